"use strict";
// The data, indexed, and what can be said from it: neighbours, rows, and why there is or is no edge between two nodes.
// Nothing here touches the page.

const facts = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  for (const [number, level] of data.levels.entries()) {
    level.number = number;
    level.after = level.boxes.map(() => []);
    level.before = level.boxes.map(() => []);
    level.arrowOf = new Map();
    for (const [position, arrow] of level.arrows.entries()) {
      const [tail, head] = arrow;
      level.after[tail].push(head);
      level.before[head].push(tail);
      level.arrowOf.set(tail + ">" + head, position);
    }
    level.stageOf = new Map();
    for (const [position, stage] of level.stages.entries()) {
      for (const box of stage.boxes) level.stageOf.set(box, position);
    }
    level.why.gains = level.why.gains.map(mask);
    level.why.states = level.why.states.map((state) => state.map(mask));
    for (const [position, box] of level.boxes.entries()) {
      if (box.inner !== null) {
        data.levels[box.inner].parent = { level: number, box: position };
      }
    }
  }

  function mask(hexadecimal) {
    return BigInt("0x" + hexadecimal);
  }

  const holds = (known, literal) => (known >> BigInt(literal)) & 1n;

  /** Rows on an arrow, or null without a corpus. */
  function flow(arrow) {
    if (!arrow[4]) return null;
    const [kept, rejected, later, tokens, reasons] = arrow[4];
    return { kept, rejected, later, tokens, reasons, rows: kept + rejected + later };
  }

  /** The rows of several arrows together, or null without a corpus. */
  function added(arrows) {
    let total = null;
    for (const arrow of arrows) {
      const part = flow(arrow);
      if (!part) continue;
      total ??= { kept: 0, rejected: 0, later: 0, tokens: 0, reasons: {}, rows: 0 };
      for (const key of ["kept", "rejected", "later", "tokens", "rows"]) total[key] += part[key];
      for (const [code, count] of Object.entries(part.reasons)) {
        total.reasons[code] = (total.reasons[code] ?? 0) + count;
      }
    }
    return total;
  }

  const into = (level, box) => added(level.before[box].map((b) => level.arrows[level.arrowOf.get(b + ">" + box)]));

  /** Everything that can come before a box, itself not included. */
  function ancestors(level, box) {
    const found = new Set();
    const open = [...level.before[box]];
    while (open.length) {
      const next = open.pop();
      if (!found.has(next)) {
        found.add(next);
        open.push(...level.before[next]);
      }
    }
    return found;
  }

  /** Clauses of a box's requirement that a state does not entail: in some alternative none of its literals is known. */
  function missing(level, state, box) {
    return level.why.needs[box].filter(
      (clause) => !level.why.states[state].every((known) => clause.some((literal) => holds(known, literal))),
    );
  }

  /** Boxes that make a literal known, in at least one of their outcomes. */
  function givers(level, literal) {
    return level.boxes.flatMap((box, position) =>
      box.kind !== "target" && holds(level.why.gains[position], literal) ? [position] : [],
    );
  }

  /** Boxes that break a freshness rule for good: they give the struct, or make something else from it. */
  function breakers(level, literal) {
    const [, struct, used] = level.why.literals[literal];
    return level.boxes.flatMap((box, position) => {
      const gives = box.card.gives ?? box.card.to ?? [];
      const takes = box.card.takes ?? box.card.from ?? [];
      const breaks = used ? takes.includes(struct) && gives.some((g) => g !== struct) : gives.includes(struct);
      return breaks ? [position] : [];
    });
  }

  /** What a state knows of the terms of a clause, as conditions: what stands there instead. */
  function knownInstead(level, state, clause) {
    const terms = new Set(clause.map((literal) => level.why.literals[literal][3]).filter(Boolean));
    const all = level.why.literals.flatMap(([text, , , term], literal) =>
      terms.has(term) && level.why.states[state].every((known) => holds(known, literal)) ? [text] : [],
    );
    const positive = all.filter((text) => !text.startsWith("not ("));
    return positive.length ? positive : all;
  }

  const sayClause = (level, clause) => clause.map((literal) => level.why.literals[literal][0]).join(" or ");

  /**
   * Why there is or is no edge from box `a` to box `b` of one level.
   *
   * `linked`: whether there is. `clauses`: each of b's needs after the nearest state that a leads to, with `held`, and
   * `by`, the boxes that gave it (or could give it), `broken`, those that made a freshness rule fail for good, and
   * `instead`, what is known there of the same term.
   * `some`: where not every state after a allows b, how many do.
   */
  function explain(level, a, b) {
    const states = level.why.after[a];
    const linked = level.arrowOf.has(a + ">" + b);
    const ranked = states.map((state) => [state, missing(level, state, b)]).sort((x, y) => x[1].length - y[1].length);
    if (!ranked.length) return { linked, states: 0, some: 0, clauses: [] };
    const [state, lacking] = ranked[0];
    const before = ancestors(level, a);
    const clauses = level.why.needs[b].map((clause) => {
      const held = !lacking.includes(clause);
      const literals = held
        ? clause.filter((literal) => level.why.states[state].some((known) => holds(known, literal)))
        : clause;
      const by = [...new Set(literals.flatMap((literal) => givers(level, literal)))];
      const fresh = clause.some((literal) => level.why.literals[literal][1] !== null);
      return {
        text: sayClause(level, clause),
        held,
        instead: held ? [] : knownInstead(level, state, clause),
        here: by.includes(a),
        by: held ? by.filter((box) => before.has(box)) : by,
        broken: held || !fresh ? [] : breakers(level, clause[0]).filter((box) => box === a || before.has(box)),
        fresh,
      };
    });
    return { linked, states: states.length, some: ranked.filter((one) => !one[1].length).length, clauses };
  }

  /** The graphs around a level, from the outside in, as pairs of level and box. */
  function around(level) {
    const found = [];
    for (let here = level; here.parent; here = data.levels[here.parent.level]) found.unshift(here.parent);
    return found;
  }

  /** Two places lifted to the innermost level that both lie in. */
  function lifted(one, other) {
    const pathOf = (place) => [...around(data.levels[place.level]), place];
    const [first, second] = [pathOf(one), pathOf(other)];
    let depth = 0;
    while (
      depth < first.length - 1 &&
      depth < second.length - 1 &&
      first[depth].level === second[depth].level &&
      first[depth].box === second[depth].box
    ) {
      depth += 1;
    }
    return [first[depth], second[depth]];
  }

  const number = new Intl.NumberFormat("en-US");
  const count = (value, one, many = one + "s") => `${number.format(value)} ${value === 1 ? one : many}`;
  const walks = (text) => `${text} walk${text === "1" ? "" : "s"}`; // a text, since there may be 1e300
  function percent(share) {
    if (share === 0) return "0%";
    if (share < 0.005) return "<1%";
    return share >= 0.995 && share < 1 ? ">99%" : Math.round(share * 100) + "%";
  }

  return { data, flow, added, into, explain, around, lifted, ancestors, count, walks, percent };
})();
