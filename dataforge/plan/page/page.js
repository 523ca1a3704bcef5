"use strict";
// What the reader does: choose, explain, find, fold, move. Keeps what is chosen, and has the rest of the page show it.

(() => {
  const { data } = facts;
  const $ = (id) => document.getElementById(id);
  const chosen = { main: null, other: null, hover: null, found: null };
  const open = new Set(layout.foldable());
  let explaining = false;

  // ---- drawing

  function redraw({ fit = false } = {}) {
    const began = performance.now();
    scene.draw(layout.whole(open, scene.size()));
    if (fit) scene.fit();
    else scene.apply();
    scene.svg.dataset.layoutMs = (performance.now() - began).toFixed(0);
    const foldable = layout.foldable();
    $("unfold").hidden = foldable.length === 0;
    $("unfold").textContent = foldable.some((name) => open.has(name)) ? "Fold all" : "Unfold all";
    light();
  }

  function light() {
    scene.show({ main: chosen.hover ?? chosen.main, other: chosen.hover ? null : chosen.other, found: chosen.found });
  }

  function toggle(name) {
    if (!open.delete(name)) open.add(name);
    redraw({ fit: true });
  }

  /** Fold or unfold the chosen graph, or the stage or graph around the chosen node. */
  function toggleChosen() {
    if (!chosen.main) return;
    const level = data.levels[chosen.main.level];
    const box = level.boxes[chosen.main.box];
    const stage = layout.byStages(level) ? level.stageOf.get(chosen.main.box) : undefined;
    if (box.inner !== null) toggle(box.path);
    else if (stage !== undefined) toggle(layout.stageName(level, stage));
    else if (level.parent) {
      choose(level.parent);
      toggle(level.path);
    }
  }

  /** Unfold what hides a place. */
  function unveil(place) {
    const level = data.levels[place.level];
    const hiding = facts.around(level).map((outer) => data.levels[outer.level].boxes[outer.box].path);
    const stage = level.stageOf.get(place.box);
    if (stage !== undefined && layout.byStages(level)) hiding.push(layout.stageName(level, stage));
    const folded = hiding.filter((name) => !open.has(name));
    for (const name of folded) open.add(name);
    if (folded.length) redraw({ fit: true });
  }

  // ---- choosing

  function choose(place) {
    Object.assign(chosen, { main: place, other: null, hover: null });
    setExplaining(false);
    panel.node(place, () => setExplaining(true));
    light();
  }

  function explain(place) {
    if (!chosen.main) return choose(place);
    chosen.other = place;
    chosen.hover = null;
    setExplaining(false);
    panel.pair(chosen.main, place);
    light();
  }

  function clear() {
    Object.assign(chosen, { main: null, other: null, hover: null, found: null });
    setExplaining(false);
    panel.graph();
    light();
  }

  function pick(place, second) {
    if (second || explaining) explain(place);
    else choose(place);
  }

  function setExplaining(on) {
    explaining = on;
    $("explain").setAttribute("aria-pressed", String(on));
    scene.svg.classList.toggle("explaining", on);
    const first = chosen.main ? data.levels[chosen.main.level].boxes[chosen.main.box].name : null;
    if (on) $("hint").textContent = first ? `Choose the node that ${first} may or may not lead to.` : "Choose the first node of the edge.";
    else $("hint").textContent = chosen.main && !chosen.other ? "Shift-click another node: why there is or is no edge to it." : "";
    $("hint").hidden = !$("hint").textContent;
  }

  panel.onFollow((place, second, from) => {
    if (second) return explain(place);
    unveil(place);
    if (from) {
      chosen.main = place;
      explain(from);
    } else {
      choose(place);
    }
    scene.reveal(place);
  });

  const placeOf = (element) => {
    const text = element.closest("[data-place]")?.dataset.place;
    if (!text) return null;
    const [level, box] = text.split(":").map(Number);
    return { level, box };
  };

  scene.svg.addEventListener("click", (event) => {
    if (scene.moved()) return;
    const fold = event.target.closest("[data-fold]");
    if (fold) return toggle(fold.dataset.fold);
    const stage = event.target.closest("[data-stage]");
    if (stage) return toggle(stage.dataset.stage);
    const edge = event.target.closest("[data-edge]");
    if (edge) {
      const [level, tail, head] = edge.dataset.edge.split(":").map(Number);
      choose({ level, box: tail });
      return explain({ level, box: head });
    }
    const place = placeOf(event.target);
    if (place) pick(place, event.shiftKey);
    else if (!event.target.closest(".unit")) clear();
  });

  scene.svg.addEventListener("dblclick", (event) => {
    const place = placeOf(event.target);
    const box = place && data.levels[place.level].boxes[place.box];
    if (box && box.inner !== null) toggle(box.path);
  });

  // Hovering lights a node's neighbours as long as nothing is chosen.
  scene.svg.addEventListener("pointerover", (event) => {
    if (chosen.main || event.buttons) return;
    const place = placeOf(event.target);
    const same = chosen.hover && place && chosen.hover.level === place.level && chosen.hover.box === place.box;
    if (same || (!place && !chosen.hover)) return;
    chosen.hover = place;
    light();
  });
  scene.svg.addEventListener("pointerleave", () => {
    if (!chosen.hover) return;
    chosen.hover = null;
    light();
  });

  // ---- finding

  const everything = data.levels.flatMap((level) =>
    level.boxes.map((box, position) => ({
      place: { level: level.number, box: position },
      box,
      names: box.path.toLowerCase(),
      text: (box.doc + " " + (box.card.takes ?? []).join(" ") + " " + (box.card.gives ?? []).join(" ")).toLowerCase(),
    })),
  );
  let active = 0;
  let results = [];

  function find(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    results = words.length
      ? everything
          .map((item) => ({ item, rank: words.every((w) => item.names.includes(w)) ? 0 : words.every((w) => (item.names + item.text).includes(w)) ? 1 : 2 }))
          .filter((one) => one.rank < 2)
          .sort((a, b) => a.rank - b.rank || a.item.names.length - b.item.names.length)
          .map((one) => one.item)
      : [];
    active = 0;
    chosen.found = words.length ? results.map((item) => item.place) : null;
    listResults(words.length > 0);
    light();
  }

  function listResults(asked) {
    const items = results.slice(0, 10).map((item, position) => {
      const option = document.createElement("li");
      option.setAttribute("role", "option");
      option.id = "found-" + position;
      option.setAttribute("aria-selected", String(position === active));
      option.textContent = item.box.path;
      option.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        go(item);
      });
      return option;
    });
    if (asked) {
      const note = document.createElement("li");
      note.className = "note";
      note.textContent = results.length ? `${results.length} found` : "nothing found";
      items.push(note);
    }
    $("found").replaceChildren(...items);
    $("found").hidden = !asked;
    $("query").setAttribute("aria-expanded", String(asked));
    if (results.length) $("query").setAttribute("aria-activedescendant", "found-" + active);
    else $("query").removeAttribute("aria-activedescendant");
  }

  function go(item) {
    chosen.found = null;
    $("query").value = "";
    results = [];
    listResults(false);
    unveil(item.place);
    pick(item.place, false);
    scene.reveal(item.place, 0.9);
    scene.place(item.place)?.element.focus({ preventScroll: true });
  }

  $("query").addEventListener("input", (event) => find(event.target.value));
  $("query").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && results.length) {
      event.preventDefault();
      active = (active + step + Math.min(10, results.length)) % Math.min(10, results.length);
      listResults(true);
    } else if (event.key === "Enter" && results.length) {
      event.preventDefault();
      go(results[active]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      event.target.value = "";
      find("");
      event.target.blur();
    }
  });

  // ---- keys

  /** The next box in a direction: along an arrow, or to the one above or below in its layer. */
  function neighbour(place, key) {
    const level = data.levels[place.level];
    const here = scene.place(place);
    const along = { ArrowRight: level.after, ArrowLeft: level.before }[key]?.[place.box];
    const middle = (spot) => spot.y + spot.height / 2;
    const boxes = along ?? level.boxes.flatMap((box, position) => (box.layer === level.boxes[place.box].layer ? [position] : []));
    const options = boxes
      .map((box) => ({ level: place.level, box }))
      .map((other) => [other, scene.place(other)])
      .filter(([other, spot]) => spot && other.box !== place.box)
      .map(([other, spot]) => [other, middle(spot) - middle(here), Math.abs(spot.x - here.x)]);
    const fitting = along ? options : options.filter(([, down, side]) => (key === "ArrowDown" ? down > 0 : down < 0) && side < 400);
    fitting.sort((a, b) => Math.abs(a[1]) + a[2] * 0.2 - Math.abs(b[1]) - b[2] * 0.2);
    return fitting[0]?.[0] ?? null;
  }

  function step(key) {
    const next = chosen.main ? neighbour(chosen.main, key) : { level: 0, box: 0 };
    if (!next) return;
    choose(next);
    scene.reveal(next, 0.5);
    scene.place(next)?.element.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input")) return;
    const actions = {
      "/": () => $("query").focus(),
      Escape: () => (explaining ? setExplaining(false) : clear()),
      f: () => scene.fit(),
      e: () => setExplaining(!explaining),
      u: toggleChosen,
      "+": () => scene.zoom(1.25),
      "=": () => scene.zoom(1.25),
      "-": () => scene.zoom(0.8),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    } else if (event.key.startsWith("Arrow") && !event.target.closest("#panel")) {
      event.preventDefault();
      step(event.key);
    } else if ((event.key === "Enter" || event.key === " ") && event.target.closest("#scene")) {
      const place = placeOf(event.target);
      if (place) {
        event.preventDefault();
        pick(place, event.shiftKey);
      }
    }
  });

  $("explain").addEventListener("click", () => setExplaining(!explaining));
  $("fit").addEventListener("click", () => scene.fit());
  $("in").addEventListener("click", () => scene.zoom(1.3));
  $("out").addEventListener("click", () => scene.zoom(1 / 1.3));
  $("unfold").addEventListener("click", () => {
    const all = layout.foldable();
    const folding = all.some((name) => open.has(name));
    for (const name of all) folding ? open.delete(name) : open.add(name);
    redraw({ fit: true });
  });
  window.addEventListener("resize", () => scene.apply());

  // ---- the legend of rows

  function legend() {
    if (!data.run) return;
    const line = (text, ...swatches) => {
      const p = document.createElement("p");
      p.append(...swatches, text);
      return p;
    };
    const swatch = (colour) => {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("class", "swatch");
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [name, value] of Object.entries({ width: 22, height: 10, rx: 2, fill: colour })) rect.setAttribute(name, value);
      svg.append(rect);
      return svg;
    };
    $("legend").append(
      line("Width: rows that came this way."),
      line("Colour: the share turned away at its head:"),
      line("none", swatch(scene.lossColour(0))),
      line("one in ten", swatch(scene.lossColour(0.1))),
      line("half or more", swatch(scene.lossColour(0.5))),
    );
    $("legend").hidden = false;
  }

  // ---- begin

  const main = data.levels[0];
  const nodes = main.boxes.filter((box) => box.kind === "node" || box.kind === "graph").length;
  $("title").textContent = main.name;
  $("counts").textContent = `${facts.count(nodes, "node")} · ${facts.walks(main.walks)} · ${data.file}`;
  // Graphs inside begin folded where there is much to see; stages begin open, so that every name is there.
  for (const level of data.levels) {
    for (const box of level.boxes) if (box.inner !== null && main.boxes.length > 20) open.delete(box.path);
  }
  legend();
  panel.graph();
  setExplaining(false);
  redraw({ fit: true });
  document.documentElement.dataset.ready = "yes";
})();
