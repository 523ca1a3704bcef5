"use strict";
// Draws a layout as SVG, moves the view over it, and shows what is chosen: the chosen node's own arrows on top, its
// neighbours lit, the rest faded. All text goes in as text, never as markup.

const scene = (() => {
  const { data } = facts;
  const SVG = "http://www.w3.org/2000/svg";
  const svg = document.getElementById("scene");
  const map = document.getElementById("map");
  const WIDEST = 13;

  function el(name, attributes = {}, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  const world = el("g");
  const under = el("g", { class: "under" });
  const over = el("g", { class: "over", "aria-hidden": "true" });
  world.append(under, over);
  svg.append(world);

  let placed = null;
  let most = 1; // rows on the fullest arrow
  const view = { scale: 1, x: 0, y: 0 };
  /** "level:box" → its element and its place in the world; boxes in a folded stage or graph share its place. */
  const places = new Map();
  const key = (place) => place.level + ":" + place.box;

  // ---- drawing

  function draw(next) {
    placed = next;
    places.clear();
    under.replaceChildren();
    over.replaceChildren();
    most = Math.max(1, ...data.levels.flatMap((level) => level.arrows.map((arrow) => facts.flow(arrow)?.rows ?? 0)));
    drawLevel(placed, under, { x: 0, y: 0 }, { x: 0, y: 0 });
    drawMap();
  }

  /** Draw a level into an element, `at` a place in that element, which is `origin` in the world. */
  function drawLevel(layer, parent, at, origin) {
    const group = el("g", { transform: `translate(${at.x},${at.y})` });
    parent.append(group);
    const lines = el("g", { class: "edges" + density(layer.edges.length) });
    group.append(lines);
    for (const edge of layer.edges) if (edge.path) lines.append(drawEdge(layer.level, edge));
    for (const unit of layer.units) drawUnit(layer.level, unit, group, origin);
    if (layer.cut.length) {
      group.append(el("text", { class: "cut-title", x: 0, y: layer.cutTop - 14 }, "on no walk"));
      for (const unit of layer.cut) drawUnit(layer.level, unit, group, origin);
    }
  }

  const density = (count) => (count > 300 ? " many" : count > 80 ? " some" : "");

  function drawEdge(level, edge) {
    const measured = facts.added(edge.arrows);
    const style = measured ? flowStyle(measured) : { width: 1.4 };
    const group = el("g", { class: "edge" + (edge.every ? "" : " part") + (measured && !measured.rows ? " idle" : measured ? " measured" : "") });
    const line = el("path", { class: "line", d: edge.path.d, "stroke-width": style.width.toFixed(2) });
    const head = arrowHead(edge.path.end, style.width);
    if (style.colour) {
      line.style.stroke = style.colour;
      head.style.fill = style.colour;
    }
    const hit = el("path", { class: "hit", d: edge.path.d });
    group.append(line, head, hit, el("title", {}, edgeText(level, edge, measured)));
    const [tail, to] = edge.arrows[0];
    group.dataset.edge = `${level.number}:${tail}:${to}`;
    return group;
  }

  function edgeText(level, edge, measured) {
    const name = (unit) => (unit.stage === undefined ? level.boxes[unit.box].name : level.stages[unit.stage].title);
    const pair = `${name(edge.tail)} → ${name(edge.head)}`;
    const several = edge.arrows.length > 1 ? `, ${facts.count(edge.arrows.length, "edge")}` : "";
    if (measured) {
      const lost = measured.rejected ? `, ${facts.count(measured.rejected, "rejected", "rejected")}` : "";
      return `${pair}${several}: ${facts.count(measured.rows, "row")}${lost}, ${facts.count(measured.tokens, "token")}`;
    }
    return several ? pair + several : `${pair}: ${facts.walks(edge.arrows[0][3])} (${facts.percent(edge.arrows[0][2])})`;
  }

  /** Width by rows; colour by the share that is turned away at the head. */
  function flowStyle(measured) {
    if (!measured.rows) return { width: 1 };
    const width = 1.5 + (WIDEST - 1.5) * Math.min(1, measured.rows / most);
    return { width, colour: lossColour(measured.rejected / measured.rows) };
  }

  /** From blue, where nothing is lost, over amber to red; the first tenth takes as much of the scale as the rest. */
  function lossColour(share) {
    const stops = [[0, 74, 124, 199], [0.1, 222, 150, 30], [0.5, 205, 40, 40]];
    const upper = Math.max(1, stops.findIndex(([at]) => at >= Math.min(share, 0.5)));
    const [from, to] = [stops[upper - 1], stops[upper]];
    const part = Math.min(1, (share - from[0]) / (to[0] - from[0]));
    return `rgb(${[1, 2, 3].map((i) => Math.round(from[i] + (to[i] - from[i]) * part)).join(", ")})`;
  }

  function arrowHead(end, width) {
    const size = 4 + width * 0.75;
    const depth = 7 + width * 0.5;
    const points = `${end.x},${end.y} ${end.x - depth},${end.y - size} ${end.x - depth},${end.y + size}`;
    return el("polygon", { class: "head", points });
  }

  function drawUnit(level, unit, parent, origin) {
    const group = el("g", { class: "unit " + unit.kind, transform: `translate(${unit.x},${unit.y})` });
    parent.append(group);
    const spot = { x: origin.x + unit.x, y: origin.y + unit.y, width: unit.width, height: unit.height };
    if (unit.kind === "grid" || unit.kind === "stage") return drawStage(level, unit, group, spot);
    const box = level.boxes[unit.box];
    group.append(el("rect", { class: "frame", width: unit.width, height: unit.height, rx: unit.kind === "open" ? 10 : 7 }));
    register(level, unit.box, group, spot);
    if (unit.kind === "open") {
      group.append(fold(box.path, unit.width, true, `Fold ${box.name}`), text(box.name, "name", 14, 21, unit.width - 60));
      drawLevel(unit.inner, group, layout.INSIDE, { x: spot.x + layout.INSIDE.x, y: spot.y + layout.INSIDE.y });
      return;
    }
    if (unit.kind === "source" || unit.kind === "target" || unit.kind === "cut") {
      group.append(text(box.name, "name middle", unit.width / 2, unit.height / 2 + 4.5, unit.width - 12));
      return;
    }
    if (box.inner !== null) group.append(fold(box.path, unit.width, false, `Unfold ${box.name}`));
    const room = unit.width - (box.inner === null ? 20 : 44);
    group.append(text(box.name, "name", 11, 19, room), text(layout.subtitle(level, unit.box), "sub", 11, 35, room));
  }

  function drawStage(level, unit, group, spot) {
    const stage = level.stages[unit.stage];
    const name = layout.stageName(level, unit.stage);
    const open = unit.kind === "grid";
    if (!open) {
      group.append(el("rect", { class: "frame back", x: 5, y: 5, width: unit.width, height: unit.height, rx: 7 }));
    }
    group.append(
      el("rect", { class: "frame", width: unit.width, height: unit.height, rx: open ? 10 : 7 }),
      fold(name, unit.width, open, `${open ? "Fold" : "Unfold"} ${stage.title}`),
      text(stage.title, "name", 11, 20, unit.width - 84),
      text(`${stage.boxes.length}×`, "times", unit.width - 34, 20, 60),
      text(`${stage.takes.join(", ")} → ${stage.gives.join(", ")}`, "sub", 11, 36, unit.width - 20),
    );
    if (!open) {
      for (const position of stage.boxes) register(level, position, group, spot, name);
      return;
    }
    for (const chip of unit.chips) {
      const full = level.boxes[chip.box].name;
      const part = el("g", { class: "chip", transform: `translate(${chip.x},${chip.y})` });
      part.append(
        el("rect", { class: "frame", width: chip.width, height: chip.height, rx: 5 }),
        text(layout.chipName(level, stage, chip.box), "name", 7, 16, chip.width - 10, layout.CHIP.font),
        el("title", {}, full),
      );
      group.append(part);
      const here = { x: spot.x + chip.x, y: spot.y + chip.y, width: chip.width, height: chip.height };
      register(level, chip.box, part, here);
    }
  }

  /** Make an element stand for a box: something to click, to reach by keyboard, to be read out. */
  function register(level, position, element, spot, folded = null) {
    const box = level.boxes[position];
    places.set(key({ level: level.number, box: position }), { element, folded, ...spot });
    if (folded) {
      element.dataset.stage = folded;
      element.setAttribute("aria-label", `stage of ${level.stages[level.stageOf.get(position)].boxes.length} nodes`);
    } else {
      element.dataset.place = key({ level: level.number, box: position });
      const why = box.kind === "cut" ? `on no walk: ${box.reason}` : `${box.kind}, ${facts.walks(box.walks)}. ${box.doc}`;
      element.setAttribute("aria-label", `${box.path}, ${why}`);
    }
    element.setAttribute("role", "button");
    element.setAttribute("tabindex", "-1");
  }

  function fold(name, width, open, label) {
    const button = el("g", { class: "fold", role: "button", "aria-label": label, transform: `translate(${width - 26},8)` });
    button.dataset.fold = name;
    button.append(
      el("rect", { width: 18, height: 18, rx: 4 }),
      el("path", { d: open ? "M5,9H13" : "M5,9H13M9,5V13" }),
      el("title", {}, label),
    );
    return button;
  }

  /** A line of text, cut in the middle where it is wider than its room. */
  function text(content, kind, x, y, room, font = kind.startsWith("sub") ? "400 12px" : "600 13px") {
    let said = content;
    if (layout.textWidth(said, font) > room) {
      let kept = said.length - 1;
      while (kept > 3 && layout.textWidth(said, font) > room) {
        kept -= 1;
        said = content.slice(0, Math.ceil(kept * 0.6)) + "…" + content.slice(content.length - Math.floor(kept * 0.4));
      }
    }
    return el("text", { class: kind, x, y }, said);
  }

  // ---- what is chosen

  /**
   * Show what is chosen. `main`: the node whose neighbours are lit; `other`: the second of a pair; `found`: places that a
   * search found, or null.
   */
  function show({ main, other, found }) {
    svg.classList.toggle("focused", Boolean(main || found));
    for (const lit of svg.querySelectorAll(".lit, .chosen, .other, .found")) {
      lit.classList.remove("lit", "chosen", "other", "found");
    }
    over.replaceChildren();
    for (const place of found ?? []) places.get(key(place))?.element.classList.add("found");
    if (main) {
      lightAround(main);
      places.get(key(main))?.element.classList.add("chosen", "lit");
      lightNeighbours(main);
    }
    if (other) places.get(key(other))?.element.classList.add("other", "lit");
  }

  function lightAround(place) {
    for (const outer of facts.around(data.levels[place.level])) places.get(key(outer))?.element.classList.add("lit");
  }

  function lightNeighbours(main) {
    const level = data.levels[main.level];
    const lines = new Map();
    const light = (tail, head) => {
      const [from, to] = [tail, head].map((box) => places.get(key({ level: level.number, box })));
      if (!from || !to || from === to) return;
      const other = tail === main.box ? to : from;
      other.element.classList.add("lit");
      const line = [from, to].map((place) => `${place.x},${place.y}`).join(">");
      const arrow = level.arrows[level.arrowOf.get(tail + ">" + head)];
      if (!lines.has(line)) lines.set(line, { from, to, out: tail === main.box, arrows: [] });
      lines.get(line).arrows.push(arrow);
    };
    for (const head of level.after[main.box]) light(main.box, head);
    for (const tail of level.before[main.box]) light(tail, main.box);
    for (const { from, to, out, arrows } of lines.values()) {
      const start = { x: from.x + from.width, y: from.y + from.height / 2 };
      const end = { x: to.x, y: to.y + to.height / 2 };
      const measured = facts.added(arrows);
      const width = measured?.rows ? flowStyle(measured).width : 2;
      const group = el("g", { class: out ? "ray out" : "ray in" });
      const reach = Math.max(40, Math.abs(end.x - start.x) / 2);
      const d =
        `M${start.x},${start.y}C${start.x + reach},${start.y} ${end.x - reach - 6},${end.y} ${end.x - 6},${end.y}`;
      group.append(el("path", { d, "stroke-width": width.toFixed(1) }), arrowHead(end, Math.min(width, 5)));
      over.append(group);
    }
  }

  // ---- the view

  function size() {
    const frame = svg.getBoundingClientRect();
    return { width: Math.max(frame.width, 100), height: Math.max(frame.height, 100) };
  }

  function apply() {
    world.setAttribute("transform", `translate(${view.x.toFixed(2)},${view.y.toFixed(2)}) scale(${view.scale.toFixed(4)})`);
    svg.classList.toggle("far", view.scale < 0.62);
    svg.classList.toggle("very-far", view.scale < 0.34);
    moveMap();
  }

  function fit() {
    const { width, height } = size();
    const scale = Math.min((width - 40) / placed.width, (height - 48) / placed.height, 1.35);
    const small = scale < 0.3; // what would be too small to read begins at the source instead
    view.scale = small ? 0.75 : scale;
    view.x = small ? 24 : (width - placed.width * view.scale) / 2;
    view.y = (height - placed.height * view.scale) / 2;
    if (small) {
      const source = places.get("0:0");
      view.y = height / 2 - (source.y + source.height / 2) * view.scale;
    }
    apply();
  }

  function zoomAt(factor, x, y) {
    const scale = Math.min(4, Math.max(0.05, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    apply();
  }

  function zoom(factor) {
    const { width, height } = size();
    zoomAt(factor, width / 2, height / 2);
  }

  /** Bring a place into view, large enough to read. */
  function reveal(place, least = 0.75) {
    const spot = places.get(key(place));
    if (!spot) return;
    const { width, height } = size();
    const [x, y] = [view.x + (spot.x + spot.width / 2) * view.scale, view.y + (spot.y + spot.height / 2) * view.scale];
    if (view.scale >= least && x > 60 && x < width - 60 && y > 40 && y < height - 40) return;
    view.scale = Math.max(view.scale, least);
    view.x = width / 2 - (spot.x + spot.width / 2) * view.scale;
    view.y = height / 2 - (spot.y + spot.height / 2) * view.scale;
    apply();
  }

  svg.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const frame = svg.getBoundingClientRect();
      const lines = event.deltaMode === 1 ? 20 : 1;
      zoomAt(Math.exp(-event.deltaY * lines * 0.0016), event.clientX - frame.left, event.clientY - frame.top);
    },
    { passive: false },
  );

  const pointers = new Map();
  let dragged = 0;
  svg.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event);
    if (pointers.size === 1) dragged = 0;
  });
  window.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const frame = svg.getBoundingClientRect();
    if (pointers.size === 2) {
      const other = [...pointers.values()].find((one) => one.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      zoomAt(apart(event) / apart(last), other.clientX - frame.left, other.clientY - frame.top);
    } else {
      view.x += event.clientX - last.clientX;
      view.y += event.clientY - last.clientY;
      apply();
    }
    dragged += Math.abs(event.clientX - last.clientX) + Math.abs(event.clientY - last.clientY);
    if (dragged > 4) svg.classList.add("dragging");
    pointers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    window.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      svg.classList.remove("dragging");
    });
  }

  // ---- the map in the corner

  const window_ = el("rect", { class: "window" });
  let mapScale = 1;

  function drawMap() {
    mapScale = Math.min(200 / placed.width, 120 / placed.height);
    map.setAttribute("width", Math.ceil(placed.width * mapScale) + 12);
    map.setAttribute("height", Math.ceil(placed.height * mapScale) + 12);
    const body = el("g", { transform: `translate(6,6) scale(${mapScale})` });
    for (const unit of [...placed.units, ...placed.cut]) {
      body.append(el("rect", { class: unit.kind, x: unit.x, y: unit.y, width: unit.width, height: unit.height }));
    }
    body.append(window_);
    map.replaceChildren(body);
  }

  function moveMap() {
    const { width, height } = size();
    const attributes = { x: -view.x / view.scale, y: -view.y / view.scale, width: width / view.scale, height: height / view.scale };
    for (const [name, value] of Object.entries(attributes)) window_.setAttribute(name, value);
    const all = placed.width * view.scale <= width + 4 && placed.height * view.scale <= height + 4;
    map.classList.toggle("needless", all);
  }

  function jump(event) {
    const frame = map.getBoundingClientRect();
    const { width, height } = size();
    view.x = width / 2 - ((event.clientX - frame.left - 6) / mapScale) * view.scale;
    view.y = height / 2 - ((event.clientY - frame.top - 6) / mapScale) * view.scale;
    apply();
  }
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    jump(event);
  });
  map.addEventListener("pointermove", (event) => event.buttons && jump(event));

  return {
    svg,
    draw,
    show,
    fit,
    zoom,
    reveal,
    size,
    apply,
    lossColour,
    moved: () => dragged > 4,
    place: (place) => places.get(key(place)),
    view,
  };
})();
