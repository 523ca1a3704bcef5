"use strict";
// The panel beside the graph: one node, one pair of nodes, or the graph as a whole, in words. Every text is set as text.

const panel = (() => {
  const { data } = facts;
  const root = document.getElementById("panel");
  let follow = () => {};

  /** An element: attributes, then children; strings become text. */
  function make(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "onclick") made.addEventListener("click", value);
      else if (value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  const said = (conditions) => (conditions ?? []).filter((condition) => condition !== "true");

  function link(level, box, label = level.boxes[box].name) {
    const place = { level: level.number, box };
    return make("button", { type: "button", class: "link", onclick: (event) => follow(place, event.shiftKey) }, label);
  }

  function row(term, ...values) {
    const kept = values.flat().filter((value) => value);
    return kept.length ? [make("dt", {}, term), make("dd", {}, ...kept)] : [];
  }

  const codes = (texts) => said(texts).map((text) => make("code", { class: "line" }, text));
  const section = (title, ...children) =>
    children.flat().filter((child) => child).length ? [make("h3", {}, title), ...children] : [];
  const list = (items) => (items.length ? make("dl", {}, items) : null);
  const plain = /^[\w.-]+$/;
  const value = (any) => (typeof any === "string" && plain.test(any) ? any : JSON.stringify(any));

  function show(...children) {
    root.replaceChildren(...children.flat().filter((child) => child));
    root.scrollTop = 0;
  }

  // ---- the graph as a whole

  function graph() {
    const main = data.levels[0];
    const nodes = main.boxes.filter((box) => box.kind === "node" || box.kind === "graph").length;
    const cut = main.boxes.filter((box) => box.kind === "cut").length;
    const models = Object.entries(data.models).map(([name, model]) => make("li", {}, make("b", {}, name), ` (${model.kind})`));
    show(
      make("h2", {}, main.name),
      main.doc ? make("p", { class: "doc" }, main.doc) : null,
      list([
        ...row("nodes", facts.count(nodes, "node") + (cut ? `, ${cut} more on no walk` : "")),
        ...row("walks", `${main.walks}, drawn by the law ${main.ends.walk}`),
        ...row("from", main.ends.from.join(", "), codes(main.ends.where)),
        ...row("to", main.ends.to.join(", "), codes(main.ends.goal)),
        ...row("plan", make("code", {}, data.plan.slice(0, 12))),
      ]),
      run(),
      section("Models", models.length ? make("ul", {}, models) : null),
      section(
        "How to read it",
        make(
          "ul",
          { class: "help" },
          make("li", {}, "An arrow leads to what may follow: what holds after its tail entails what its head needs."),
          make("li", {}, "Choose a node for its contract and prompts; Shift-click a second one, or press ", make("kbd", {}, "e"), ", for why there is or is no edge."),
          layout.byStages(main)
            ? make("li", {}, "Nodes of one layer with the same structs stand in one frame. A dashed arrow holds for some of its nodes; choose a node for its own arrows.")
            : null,
          make("li", {}, make("kbd", {}, "/"), " finds, ", make("kbd", {}, "←"), make("kbd", {}, "→"), " follow arrows, ", make("kbd", {}, "f"), " fits, ", make("kbd", {}, "Esc"), " goes back."),
        ),
      ),
    );
  }

  function run() {
    if (!data.run) return [];
    const reasons = Object.entries(data.run.reasons).sort((a, b) => b[1] - a[1]);
    return section(
      "Rows of the corpus",
      list([
        ...row("corpus", data.run.name),
        ...row("kept", facts.count(data.run.kept, "row")),
        ...row("rejected", facts.count(data.run.rejected, "row")),
        ...row("lost", data.run.failed ? `${facts.count(data.run.failed, "row")} to errors, on no arrow` : null),
      ]),
      reasonsTable(reasons),
    );
  }

  function reasonsTable(reasons) {
    if (!reasons.length) return null;
    return make(
      "table",
      {},
      reasons.map(([code, count]) =>
        make("tr", {}, make("td", {}, code), make("td", {}, data.run?.meanings?.[code] ?? ""), make("td", { class: "number" }, String(count))),
      ),
    );
  }

  // ---- one node

  function node(place, onExplain) {
    const level = data.levels[place.level];
    const box = level.boxes[place.box];
    const kind = { source: "source", target: "target", graph: "graph", cut: "on no walk", node: "node" }[box.kind];
    show(
      make("p", { class: "kind" }, kind, level.path ? ` of ${level.path}` : ""),
      make("h2", {}, box.name),
      box.doc ? make("p", { class: "doc" }, box.doc) : null,
      box.kind === "cut" ? make("p", { class: "reason" }, box.reason) : null,
      box.kind === "cut" ? null : numbers(level, place.box),
      contract(level, box),
      steps(box.card),
      next(level, place.box),
      make(
        "p",
        { class: "actions" },
        make("button", { type: "button", onclick: onExplain }, "Explain an edge from here to …"),
      ),
    );
  }

  function numbers(level, position) {
    const box = level.boxes[position];
    const measured = facts.into(level, position);
    const share = box.kind === "source" || box.kind === "target" ? "" : ` of ${level.walks} (${facts.percent(box.share)})`;
    const items = row("walks", box.walks + share, meter(box.share));
    if (measured && box.kind !== "source") {
      items.push(
        ...row("rows", facts.count(measured.rows, "row") + " came here"),
        ...row("rejected", `${measured.rejected} here` + (measured.rows ? ` (${facts.percent(measured.rejected / measured.rows)})` : "")),
        ...row("later", measured.later ? `${measured.later} rejected further on` : null),
        ...row("tokens", facts.count(measured.tokens, "token") + " kept from here"),
      );
    }
    return [list(items), measured ? reasonsTable(Object.entries(measured.reasons)) : null];
  }

  function meter(share) {
    return make("meter", { min: 0, max: 1, value: share, "aria-label": "share of walks" });
  }

  function contract(level, box) {
    const card = box.card;
    if (box.kind === "source") {
      return section("Gives", list([...row("from", level.ends.from.join(", ")), ...row("where", codes(level.ends.where)), ...row("seeds", codes(level.ends.seeds))]));
    }
    if (box.kind === "target") {
      return [
        ...section("Needs", list([...row("to", level.ends.to.join(", ")), ...row("where", codes(level.ends.goal))])),
        ...emit(level.ends.emit),
      ];
    }
    const constants = Object.entries(card.constants ?? {}).map(([field, constant]) => `${field} = ${JSON.stringify(constant)}`);
    return section(
      "Contract",
      list([
        ...row("takes", (card.takes ?? card.from ?? []).join(", ")),
        ...row("pre", codes(card.pre ?? card.where)),
        ...row("gives", (card.gives ?? card.to ?? []).join(", ") + many(card.many)),
        ...row("post", codes(card.post ?? card.goal)),
        ...row("sets", codes(constants)),
        ...row("keeps", codes(card.keeps)),
        ...row("branch", card.branch ? make("code", {}, card.branch + (card.else_reject ? " else reject" : "")) : null),
        ...row("nodes", card.nodes?.join(", ")),
        ...row("retry", card.retry === undefined ? null : facts.count(card.retry, "more attempt")),
        ...row("weight", card.weight !== undefined && card.weight !== 1 ? String(card.weight) : null),
        ...row("train", card.train !== undefined && card.train !== "all" ? card.train : null),
      ]),
    );
  }

  const many = (range) => (range ? ` (many: ${range.join(" to ")} of them)` : "");

  function emit(turns) {
    if (!turns) return [];
    if (typeof turns === "string") return section("Emits", make("code", {}, turns));
    return section("Emits", ...turns.flatMap((turn) => prompt(turn.role, turn.text)));
  }

  const prompt = (title, digest) => (digest ? [make("h4", {}, title), make("pre", {}, data.prompts[digest] ?? "")] : []);

  function steps(card) {
    return section("What it does", ...(card.action ?? []).map((step) => make("div", { class: "step" }, ...step_(step, card.constants ?? {}))));
  }

  function settings(step) {
    const parts = Object.entries(step.settings ?? {}).map(([name, setting]) => `${name} ${value(setting)}`);
    if (step.thinking && step.thinking !== "auto") parts.push(`thinking ${step.thinking}`);
    return parts.length ? make("p", { class: "settings" }, parts.join(" · ")) : null;
  }

  function step_(step, constants) {
    const p = (...children) => make("p", {}, ...children);
    const b = (text) => make("b", {}, text);
    if (step.ask) {
      const into = step.into ?? step.json;
      return [
        p("asks ", b(step.ask), into ? " for " : "", into ? make("code", {}, into) : "", step.json ? " as JSON" : ""),
        settings(step),
        ...prompt("system", step.system),
        ...prompt("prompt", step.prompt),
      ];
    }
    if (step.judge) {
      const { rubric } = step;
      return [
        p("judged by ", b(step.judge), " on ", b(rubric.name), `, ${facts.count(step.rounds, "round")}`),
        settings(step),
        rubric.doc ? p(rubric.doc) : null,
        make("ul", {}, rubric.criteria.map(([name, text, low, high]) => make("li", {}, b(name), ` ${low}–${high}: ${text}`))),
        rubric.accept ? p("accepts where ", make("code", {}, rubric.accept)) : null,
        ...prompt("instructions", step.prompt),
      ];
    }
    if (step.call) return [p("calls ", make("code", {}, step.call))];
    if (step.draw) return [p("draws ", b(step.draw), " from the list ", b(step.from))];
    const to = step.set in constants ? JSON.stringify(constants[step.set]) : step.to; // else another field's value
    return [p("sets ", make("code", {}, `${step.set} = ${to}`))];
  }

  function next(level, position) {
    const arrows = (boxes, arrowOf) =>
      boxes.map((box) => {
        const arrow = level.arrows[arrowOf(box)];
        const measured = facts.flow(arrow);
        const number = measured ? facts.count(measured.rows, "row") : facts.percent(arrow[2]);
        return make("li", {}, link(level, box), make("span", { class: "number" }, number));
      });
    const after = arrows(level.after[position], (box) => level.arrowOf.get(position + ">" + box));
    const before = arrows(level.before[position], (box) => level.arrowOf.get(box + ">" + position));
    return [
      ...section("What may follow", after.length ? make("ul", { class: "neighbours" }, after) : null),
      ...section("What may come before", before.length ? make("ul", { class: "neighbours" }, before) : null),
    ];
  }

  // ---- two nodes

  function pair(one, other) {
    const [a, b] = facts.lifted(one, other);
    const level = data.levels[a.level];
    const [tail, head] = [level.boxes[a.box], level.boxes[b.box]];
    const told = facts.explain(level, a.box, b.box);
    const inside = a !== one || b !== other;
    show(
      make("p", { class: "kind" }, "why"),
      make("h2", {}, link(level, a.box), " → ", link(level, b.box)),
      inside ? make("p", {}, "They lie in different graphs, so the boxes around them are compared.") : null,
      make("p", { class: told.linked ? "verdict yes" : "verdict no" }, verdict(level, a, b, told)),
      numbersOf(level, a, b),
      clauses(level, tail, head, told),
      level.arrowOf.has(b.box + ">" + a.box) && !told.linked
        ? make("p", {}, "There is an edge the other way: ", link(level, b.box), " → ", link(level, a.box), ".")
        : null,
      make("p", { class: "actions" }, make("button", { type: "button", onclick: () => follow(b, false, a) }, "The other way round")),
    );
  }

  function verdict(level, a, b, told) {
    const [tail, head] = [level.boxes[a.box], level.boxes[b.box]];
    if (told.linked) {
      const some = told.some && told.some < told.states ? ` In ${told.some} of the ${told.states} states after it.` : "";
      return `There is an edge: what holds after ${tail.name} entails what ${head.name} needs.${some}`;
    }
    if (head.kind === "source") return "No edge leads to the source: every walk begins there.";
    if (tail.kind === "target") return "No edge leads on from the target: every walk ends there.";
    if (tail.kind === "cut") return `There is no edge: ${tail.name} is on no walk (${tail.reason}).`;
    const lacking = told.clauses.filter((clause) => !clause.held);
    if (!lacking.length) {
      if (head.kind === "cut") return `There is no edge: ${head.name} could run, but is on no walk (${head.reason}).`;
      return (
        `There is no edge, though what ${head.name} needs would hold: from there the target cannot be reached, ` +
        "or the graph's steps allow no more, or what it keeps contradicts what it guarantees."
      );
    }
    if (lacking.every((clause) => clause.fresh)) return `There is no edge, by the freshness rules: ${head.name} would come too late.`;
    return `There is no edge: after ${tail.name}, ${facts.count(lacking.length, "need")} of ${head.name} ${lacking.length === 1 ? "is" : "are"} not known to hold` + (told.states > 1 ? ", in the nearest of its states." : ".");
  }

  function numbersOf(level, a, b) {
    const arrow = level.arrows[level.arrowOf.get(a.box + ">" + b.box)];
    if (!arrow) return null;
    const measured = facts.flow(arrow);
    const items = row("walks", `${arrow[3]} of ${level.walks} (${facts.percent(arrow[2])})`);
    if (measured) {
      items.push(
        ...row("rows", facts.count(measured.rows, "row")),
        ...row("rejected", `${measured.rejected} at ${level.boxes[b.box].name}`),
        ...row("later", measured.later ? `${measured.later} rejected further on` : null),
        ...row("tokens", facts.count(measured.tokens, "token")),
      );
    }
    return list(items);
  }

  function clauses(level, tail, head, told) {
    if (!told.clauses.length) {
      return told.states ? make("p", {}, `${head.name} needs nothing.`) : null;
    }
    const names = (boxes) => {
      const shownBoxes = boxes.slice(0, 8);
      const parts = shownBoxes.flatMap((box, i) => [i ? ", " : "", link(level, box)]);
      if (boxes.length > 8) parts.push(` and ${boxes.length - 8} more`);
      return parts;
    };
    const line = (clause) => {
      const how = [];
      if (clause.held) {
        if (clause.here) how.push(`given by ${tail.name}`);
        else if (clause.fresh) how.push("still so");
        else if (clause.by.length) how.push("still holds from ", ...names(clause.by));
        else how.push("known");
      } else if (clause.fresh) {
        if (clause.broken.length) how.push("broken by ", ...names(clause.broken));
        else how.push("not so here");
      } else if (clause.by.length) how.push("could be given by ", ...names(clause.by));
      else how.push("nothing gives it");
      return make(
        "li",
        { class: clause.held ? "held" : "missing" },
        make("code", {}, clause.text),
        clause.instead.length
          ? make("span", { class: "how" }, `known after ${tail.name}: `, make("code", {}, clause.instead.slice(0, 3).join(", ")))
          : null,
        make("span", { class: "how" }, ...how),
      );
    };
    const lacking = told.clauses.filter((clause) => !clause.held);
    const held = told.clauses.filter((clause) => clause.held);
    return [
      ...section(lacking.length ? "Not known there" : "", lacking.length ? make("ul", { class: "clauses" }, lacking.map(line)) : null),
      ...section(`What ${head.name} needs and has`, held.length ? make("ul", { class: "clauses" }, held.map(line)) : null),
    ];
  }

  return { graph, node, pair, root, onFollow: (action) => (follow = action) };
})();
