"use strict";
// Where everything goes. Each level is laid out by itself from left to right by dagre; an open graph inside is a box as
// large as its own layout. A level of many boxes is laid out by stages (nodes of one layer with the same takes and
// gives): an open stage is a grid of its nodes, so that arrows run between stages and the page stays small. Of the
// heights that the grids may have, the one is taken that shows the whole graph largest.

const layout = (() => {
  const { data } = facts;
  const STAGES_FROM = 40; // a level of more boxes is drawn by stages
  const GRID_ROWS = [6, 10, 15, 20, 25, 30, 36, 44, 56];
  const CHIP = { height: 22, gap: 3, pad: 8, head: 46, font: "500 14px" };
  const INSIDE = { x: 16, y: 42 }; // where an open graph's inside begins in its box
  const canvas = document.createElement("canvas").getContext("2d");
  const widths = new Map();

  function textWidth(text, font) {
    const key = font + text;
    if (!widths.has(key)) {
      canvas.font = `${font} system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif`;
      widths.set(key, canvas.measureText(text).width);
    }
    return widths.get(key);
  }

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const shown = (level) => level.boxes.flatMap((box, position) => (box.kind === "cut" ? [] : [position]));
  const byStages = (level) => shown(level).length > STAGES_FROM && level.stages.length > 0;

  /** The units of a level: boxes, and stages where it is drawn by stages. */
  function unitsOf(level, open, rows) {
    const grouped = byStages(level);
    const units = [];
    if (grouped) {
      for (const position of level.stages.keys()) units.push(stageUnit(level, position, open, rows));
    }
    for (const position of shown(level)) {
      if (!grouped || !level.stageOf.has(position)) units.push(boxUnit(level, position, open, rows));
    }
    return units;
  }

  function boxUnit(level, position, open, rows) {
    const box = level.boxes[position];
    const unit = { key: "b" + position, box: position, kind: box.kind, level: level.number };
    if (box.inner !== null && open.has(box.path)) {
      const inner = levelLayout(data.levels[box.inner], open, rows);
      const width = Math.max(inner.width, textWidth(box.name, "600 13px") + 60);
      return { ...unit, kind: "open", inner, width: width + 2 * INSIDE.x, height: inner.height + INSIDE.y + 24 };
    }
    const end = box.kind === "source" || box.kind === "target";
    if (end) return { ...unit, width: 76, height: 34 };
    const width = Math.max(textWidth(box.name, "600 13px"), textWidth(subtitle(level, position), "400 12px"));
    return { ...unit, width: clamp(width + (box.inner === null ? 24 : 50), 110, 260), height: 46 };
  }

  function stageUnit(level, position, open, rows) {
    const stage = level.stages[position];
    const unit = { key: "s" + position, stage: position, kind: "stage", level: level.number };
    const title = textWidth(stage.title, "600 17px") + textWidth(`${stage.boxes.length}×`, "600 17px") + 64;
    const subtitle = textWidth(`${stage.takes.join(", ")} → ${stage.gives.join(", ")}`, "400 12px") + 46;
    const least = Math.max(title, subtitle);
    if (!open.has(stageName(level, position))) return { ...unit, width: clamp(least, 120, 320), height: 56 };
    const columns = Math.ceil(stage.boxes.length / rows);
    const tall = Math.ceil(stage.boxes.length / columns);
    const widths = Array.from({ length: columns }, (_, column) => {
      const names = stage.boxes.slice(column * tall, (column + 1) * tall).map((box) => chipName(level, stage, box));
      return clamp(Math.max(0, ...names.map((name) => textWidth(name, CHIP.font))) + 14, 50, 230);
    });
    const sum = (some) => some.reduce((total, width) => total + width + CHIP.gap, 0);
    const spare = Math.max(0, least - (sum(widths) - CHIP.gap + 2 * CHIP.pad)) / columns;
    const wide = widths.map((width) => width + spare);
    return {
      ...unit,
      kind: "grid",
      width: sum(wide) - CHIP.gap + 2 * CHIP.pad,
      height: CHIP.head + tall * (CHIP.height + CHIP.gap) - CHIP.gap + CHIP.pad,
      chips: stage.boxes.map((box, i) => ({
        box,
        x: CHIP.pad + sum(wide.slice(0, Math.floor(i / tall))),
        y: CHIP.head + (i % tall) * (CHIP.height + CHIP.gap),
        width: wide[Math.floor(i / tall)],
        height: CHIP.height,
      })),
    };
  }

  /** A node's name in its stage, without what all names of the stage begin with. */
  const chipName = (level, stage, box) => level.boxes[box].name.slice(stage.start.length);

  /** The second line of a box: its rows where there is a corpus, else who is asked and its share of walks. */
  function subtitle(level, position) {
    const box = level.boxes[position];
    const measured = facts.into(level, position);
    if (measured) {
      const lost = measured.rejected ? ` · ${facts.count(measured.rejected, "rejected", "rejected")}` : "";
      return facts.count(measured.rows, "row") + lost;
    }
    const asked = (box.card.action ?? []).map((step) => step.ask ?? step.judge ?? (step.call ? "call" : null));
    const who = box.inner === null ? asked.find((name) => name) : "graph";
    return (who ? who + " · " : "") + facts.percent(box.share) + " of walks";
  }

  const stageName = (level, position) => `${level.path}//${level.stages[position].boxes[0]}`;

  function levelLayout(level, open, rows) {
    const units = unitsOf(level, open, rows);
    const unitOf = new Map();
    for (const unit of units) {
      for (const box of unit.stage === undefined ? [unit.box] : level.stages[unit.stage].boxes) unitOf.set(box, unit);
    }
    const edges = new Map();
    for (const arrow of level.arrows) {
      const [tail, head] = [unitOf.get(arrow[0]), unitOf.get(arrow[1])];
      const key = tail.key + ">" + head.key;
      if (!edges.has(key)) edges.set(key, { tail, head, arrows: [] });
      edges.get(key).arrows.push(arrow);
    }
    const graph = new dagre.graphlib.Graph();
    // The simplex is prettier and takes minutes on thousands of edges.
    const ranker = edges.size > 500 ? "tight-tree" : "network-simplex";
    const ranksep = clamp(24 + 24 * (edges.size / units.length), 46, 150);
    graph.setGraph({ rankdir: "LR", nodesep: units.length > 60 ? 12 : 22, edgesep: 10, ranksep, ranker });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const unit of units) graph.setNode(unit.key, { width: unit.width, height: unit.height });
    for (const edge of edges.values()) {
      if (edge.tail !== edge.head) graph.setEdge(edge.tail.key, edge.head.key);
    }
    dagre.layout(graph);
    for (const unit of units) {
      const node = graph.node(unit.key);
      Object.assign(unit, { x: node.x - unit.width / 2, y: node.y - unit.height / 2, column: Math.round(node.x) });
    }
    const columns = new Map();
    for (const unit of units) columns.set(unit.column, Math.max(columns.get(unit.column) ?? 0, unit.width / 2));
    for (const edge of edges.values()) {
      const sizes = [edge.tail, edge.head].map((unit) =>
        unit.stage === undefined ? 1 : level.stages[unit.stage].boxes.length,
      );
      edge.every = edge.arrows.length === sizes[0] * sizes[1];
      edge.path = edge.tail === edge.head ? null : route(edge, graph.edge(edge.tail.key, edge.head.key), columns);
    }
    const placed = { level, units, edges: [...edges.values()], width: 0, height: 0 };
    placed.width = Math.max(...units.map((unit) => unit.x + unit.width));
    placed.height = Math.max(...units.map((unit) => unit.y + unit.height));
    for (const edge of placed.edges) {
      if (edge.path) placed.height = Math.max(placed.height, edge.path.low);
    }
    placeCut(placed);
    return placed;
  }

  /** An arrow's way: level across every column that it passes, an S between columns. */
  function route({ tail, head }, { points }, columns) {
    const start = { x: tail.x + tail.width, y: tail.y + tail.height / 2 };
    const end = { x: head.x, y: head.y + head.height / 2 };
    if (end.x < start.x) return { ...loopBack(tail, head), end };
    let d = `M${fixed(start.x)},${fixed(start.y)}`;
    let here = start;
    let low = 0;
    const tip = { x: end.x - 7, y: end.y };
    for (const point of points.slice(1, -1)) {
      const half = columns.get(Math.round(point.x));
      if (half === undefined || point.x - half < here.x) continue;
      d += bend(here, { x: point.x - half, y: point.y }) + `H${fixed(point.x + half)}`;
      here = { x: point.x + half, y: point.y };
      low = Math.max(low, point.y);
    }
    return { d: d + bend(here, tip) + `H${fixed(end.x - 5)}`, end, low };
  }

  function bend(from, to) {
    const middle = (from.x + to.x) / 2;
    return `C${fixed(middle)},${fixed(from.y)} ${fixed(middle)},${fixed(to.y)} ${fixed(to.x)},${fixed(to.y)}`;
  }

  /** An arrow against the direction, for nodes that may run in either order: out at the right, round, in at the left. */
  function loopBack(tail, head) {
    const start = { x: tail.x + tail.width, y: tail.y + tail.height / 2 };
    const end = { x: head.x, y: head.y + head.height / 2 };
    const below = Math.max(tail.y + tail.height, head.y + head.height) + 18;
    const d =
      `M${fixed(start.x)},${fixed(start.y)}C${fixed(start.x + 46)},${fixed(start.y)} ${fixed(start.x + 46)},${fixed(below)} ` +
      `${fixed(start.x - 10)},${fixed(below)}H${fixed(end.x + 10)}` +
      `C${fixed(end.x - 46)},${fixed(below)} ${fixed(end.x - 46)},${fixed(end.y)} ${fixed(end.x - 5)},${fixed(end.y)}`;
    return { d, low: below };
  }

  const fixed = (value) => value.toFixed(1);

  /** The nodes on no walk, in rows below the rest. */
  function placeCut(placed) {
    const cut = placed.level.boxes.flatMap((box, position) => (box.kind === "cut" ? [position] : []));
    placed.cut = [];
    if (!cut.length) return;
    const top = placed.height + 56;
    const room = Math.max(placed.width, 600);
    let [x, y] = [0, top];
    for (const box of cut) {
      const width = clamp(textWidth(placed.level.boxes[box].name, "600 13px") + 30, 90, 260);
      if (x && x + width > room) [x, y] = [0, y + 38];
      placed.cut.push({ key: "b" + box, box, kind: "cut", level: placed.level.number, x, y, width, height: 30 });
      x += width + 10;
    }
    placed.cutTop = top;
    placed.width = Math.max(placed.width, ...placed.cut.map((unit) => unit.x + unit.width));
    placed.height = y + 30;
  }

  /** The whole graph, for a view of this size. `open`: names of the stages and graphs that are unfolded. */
  function whole(open, view) {
    const grids = data.levels.some(byStages);
    let best = null;
    for (const rows of grids ? GRID_ROWS : [GRID_ROWS[0]]) {
      const tried = levelLayout(data.levels[0], open, rows);
      const scale = Math.min(view.width / (tried.width + 60), view.height / (tried.height + 60));
      if (!best || scale > best.scale) best = { ...tried, scale };
    }
    return best;
  }

  /** Every name that can be unfolded. */
  function foldable() {
    return data.levels.flatMap((level) => [
      ...(byStages(level) ? level.stages.map((_, position) => stageName(level, position)) : []),
      ...level.boxes.filter((box) => box.inner !== null).map((box) => box.path),
    ]);
  }

  return { whole, foldable, stageName, byStages, textWidth, subtitle, chipName, CHIP, INSIDE };
})();
