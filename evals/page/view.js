"use strict";
// Everything that a model or a server wrote reaches the page as text nodes and nothing else.
const DATA = JSON.parse(document.getElementById("data").textContent);
const PAGE = 200;
const state = { statuses: new Set(), topic: "", search: "", only: "", shown: PAGE, chosen: 0 };
const SAMPLES = DATA.samples;

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};
const draw = (tag, attributes = {}, text = "") => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
};
const colour = (status) => `color: var(--${status})`;
const percent = (value) => (value === null || value === undefined ? "none" : `${(100 * value).toFixed(1)}%`);
const interval = (figure) =>
  !figure ? "none" : percent(figure.value) + (figure.low === null ? "" : ` (${(100 * figure.low).toFixed(1)} to ${(100 * figure.high).toFixed(1)})`);
const number = (value) => (value === null || value === undefined ? "none" : Math.round(value).toLocaleString("en"));

// ---- which items have answers that differ

const differing = new Set();
{
  const first = new Map();
  for (const sample of SAMPLES) {
    const right = sample.status === "right";
    if (!first.has(sample.item)) first.set(sample.item, right);
    else if (first.get(sample.item) !== right) differing.add(sample.item);
  }
}
const disagrees = (sample) => differing.has(sample.item) || Boolean(sample.notes && sample.notes.disagreement);
const ONLY = {
  differing: { label: "disagreement", holds: disagrees },
  unclosed: { label: "cut off in the thinking", holds: (s) => s.finish_reason === "length" && !(s.completion || "").trim() },
  cut: { label: "cut off", holds: (s) => s.finish_reason === "length" },
};

// ---- head

const headline = () => {
  const summary = DATA.summary;
  document.title = `${DATA.task}: ${DATA.label}`;
  document.getElementById("title").append(DATA.task, " ", make("small", {}, DATA.label));
  const figures = document.getElementById("figures");
  const add = (value, what) => figures.append(make("div", {}, make("b", {}, value), make("span", {}, what)));
  add(interval(summary.score), "score: unparsed, empty and overlong count as 0");
  add(interval(summary.of_parsed), "of those in which an answer was found");
  const lost = ["refused", "timeout", "unserved", "fault"].reduce((sum, name) => sum + (summary.status[name] || 0), 0);
  if (lost) add(`${percent(summary.low)} to ${percent(summary.high)}`, `over all, the ${number(lost)} not judged taken for wrong, or right`);
  for (const [k, value] of Object.entries(summary.pass_at)) if (k !== "1") add(percent(value), `pass@${k}`);
  if (summary.majority !== null) add(percent(summary.majority), "majority of an item's answers");
  if (summary.cut_off) add(`${percent(summary.unclosed)}, ${percent(summary.cut_off)}`, "overlong: inside the thinking, anywhere");
  for (const [name, figure] of Object.entries(summary.measures)) add(interval(figure), name);
  add(number(summary.samples), `samples of ${number(summary.items)} items`);
  if (summary.tokens.completion !== null) add(number(summary.tokens.completion), "tokens an answer");
  if (summary.tokens.right !== null) add(number(summary.tokens.right), "tokens a right answer");
};

// ---- plots

const frame = (caption) => {
  const figure = make("figure", {});
  const svg = draw("svg", { viewBox: "0 0 400 170", width: "100%", role: "img" });
  svg.append(draw("title", {}, caption));
  figure.append(svg, make("figcaption", {}, caption));
  document.getElementById("plots").append(figure);
  return svg;
};
const bars = (caption, rows) => {
  const svg = frame(caption);
  const most = Math.max(...rows.map((row) => row.value), 1e-9);
  const height = Math.min(22, 160 / rows.length);
  svg.setAttribute("viewBox", `0 0 400 ${Math.max(40, rows.length * height + 8)}`);
  rows.forEach((row, index) => {
    const y = index * height + 4;
    svg.append(draw("text", { x: 108, y: y + height / 2 + 4, "text-anchor": "end" }, row.label.slice(0, 18)));
    svg.append(draw("rect", { x: 114, y, width: Math.max(1, (230 * row.value) / most), height: height - 4, style: `fill: ${row.fill}` }));
    svg.append(draw("text", { x: 120 + (230 * row.value) / most, y: y + height / 2 + 4 }, row.text));
  });
};
const histogram = (caption, groups) => {
  const all = groups.flatMap((group) => group.values);
  if (all.length < 2) return;
  const sorted = [...all].sort((a, b) => a - b);
  const top = sorted[Math.floor(0.99 * (sorted.length - 1))] || 1;
  const bins = 30;
  const svg = frame(`${caption} (up to the 99th percentile, ${number(top)})`);
  const counts = groups.map(() => new Array(bins).fill(0));
  groups.forEach((group, index) => group.values.forEach((value) => counts[index][Math.min(bins - 1, Math.floor((bins * value) / (top + 1e-9)))]++));
  const most = Math.max(...counts[0].map((_, bin) => counts.reduce((sum, each) => sum + each[bin], 0)), 1);
  for (let bin = 0; bin < bins; bin++) {
    let y = 150;
    groups.forEach((group, index) => {
      const height = (140 * counts[index][bin]) / most;
      y -= height;
      svg.append(draw("rect", { x: 10 + bin * 12.6, y, width: 11.6, height, style: `fill: ${group.fill}` }));
    });
  }
  svg.append(draw("text", { x: 10, y: 166 }, "0"), draw("text", { x: 388, y: 166, "text-anchor": "end" }, number(top)));
};
const plots = () => {
  const status = Object.entries(DATA.summary.status);
  bars("samples by status", status.map(([name, value]) => ({ label: name, value, text: number(value), fill: `var(--${name})` })));
  const answered = SAMPLES.filter((sample) => sample.completion_tokens);
  histogram("completion tokens: right below, others above", [
    { values: answered.filter((s) => s.status === "right").map((s) => s.completion_tokens), fill: "var(--right)" },
    { values: answered.filter((s) => s.status !== "right").map((s) => s.completion_tokens), fill: "var(--wrong)" },
  ]);
  const budgets = Object.entries(DATA.summary.budgets || {});
  if (budgets.length > 2) {
    bars("score, had answers been cut off at so many tokens",
      budgets.map(([tokens, score]) => ({ label: number(+tokens), value: score, text: percent(score), fill: "var(--right)" })));
  }
  const topics = Object.entries(DATA.summary.topics).filter(([, told]) => told.score !== null);
  if (topics.length > 1) {
    topics.sort((a, b) => a[1].score - b[1].score);
    const few = topics.length <= 16 ? topics : [...topics.slice(0, 8), ...topics.slice(-8)];
    bars(topics.length <= 16 ? "score by topic" : `score by topic: the 8 lowest and highest of ${topics.length}`,
      few.map(([name, told]) => ({ label: name || "(none)", value: told.score, text: percent(told.score), fill: "var(--timeout)" })));
  }
};

// ---- filters and list

const holds = (sample) =>
  (!state.statuses.size || state.statuses.has(sample.status)) &&
  (!state.topic || sample.topic === state.topic) &&
  (!state.only || ONLY[state.only].holds(sample)) &&
  (!state.search || `${sample.item}\n${sample.completion || ""}\n${sample.extracted || ""}\n${sample.reason || ""}`.toLowerCase().includes(state.search));
let found = [];
const refresh = () => {
  found = [];
  SAMPLES.forEach((sample, index) => holds(sample) && found.push(index));
  state.shown = PAGE;
  document.getElementById("count").textContent = `${number(found.length)} of ${number(SAMPLES.length)}`;
  list();
  if (found.length) choose(found[0]);
  else document.getElementById("sample").replaceChildren(make("p", { class: "note" }, "no sample is like that"));
};
const list = () => {
  const rows = document.createElement("ol");
  for (const index of found.slice(0, state.shown)) {
    const sample = SAMPLES[index];
    const row = make("li", { "data-index": index, role: "option" },
      make("span", { class: "status", style: colour(sample.status) }, sample.status), ` ${sample.item}` + (sample.sample ? ` · ${sample.sample}` : "") + (sample.extracted ? `  ${sample.extracted.slice(0, 60)}` : ""));
    rows.append(row);
  }
  const place = document.getElementById("list");
  place.replaceChildren(rows);
  if (found.length > state.shown) {
    const more = make("button", {}, `${number(found.length - state.shown)} more`);
    more.addEventListener("click", () => { state.shown += 5 * PAGE; list(); mark(); });
    place.append(make("div", { class: "more" }, more));
  }
};
const mark = () => {
  for (const row of document.querySelectorAll("#list li")) row.setAttribute("aria-selected", String(Number(row.dataset.index) === state.chosen));
};

// ---- one sample

const highlighted = (sample) => {
  const text = sample.completion || "";
  const spans = (sample.candidates || []).filter((c) => c.span).map((c) => ({ from: c.span[0], to: c.span[1], taken: false, why: c.rejected || "" }));
  if (sample.span) spans.push({ from: sample.span[0], to: sample.span[1], taken: true, why: "what was taken" });
  // Spans count characters; JavaScript counts halves of some.
  const points = [...text];
  spans.sort((a, b) => a.from - b.from || Number(b.taken) - Number(a.taken));
  const pre = make("pre", {});
  let at = 0;
  for (const span of spans) {
    if (span.from < at || span.to <= span.from) continue;
    pre.append(points.slice(at, span.from).join(""));
    pre.append(make(span.taken ? "mark" : "span", { class: span.taken ? "" : "passed-over", title: span.why }, points.slice(span.from, span.to).join("")));
    at = span.to;
  }
  pre.append(points.slice(at).join(""));
  return pre;
};
const folded = (title, text, open = false) => {
  const details = make("details", open ? { open: "" } : {}, make("summary", {}, title));
  details.append(make("pre", {}, text));
  return details;
};
const choose = (index) => {
  state.chosen = index;
  const sample = SAMPLES[index];
  const place = document.getElementById("sample");
  const parts = [make("h2", {}, make("span", { class: "status", style: colour(sample.status) }, sample.status), ` ${sample.item}` + (sample.sample ? ` · answer ${sample.sample + 1}` : ""))];
  const facts = [["score", sample.score], ["extracted", sample.extracted], ["reason", sample.reason], ["topic", sample.topic],
    ["finish reason", sample.finish_reason], ["tokens", sample.completion_tokens], ["latency", sample.latency_s && `${sample.latency_s} s`],
    ["requests", sample.requests], ["problem", sample.problem && `${sample.problem.kind}: ${sample.problem.message}`]];
  for (const [name, value] of Object.entries(sample.measures || {})) facts.push([name, value]);
  for (const [name, value] of Object.entries(sample.parts || {})) facts.push([name, value]);
  for (const [name, value] of Object.entries(sample.notes || {})) facts.push([name, typeof value === "string" ? value : JSON.stringify(value)]);
  const table = make("table", {});
  for (const [name, value] of facts) if (value !== undefined && value !== null && value !== "") table.append(make("tr", {}, make("th", {}, name), make("td", {}, String(value))));
  parts.push(table);
  const prompt = DATA.prompts[sample.prompt] || [];
  parts.push(make("h3", {}, "prompt"));
  for (const message of prompt) parts.push(folded(message.role, typeof message.content === "string" ? message.content : JSON.stringify(message.content), message.role !== "system"));
  if (sample.reasoning) parts.push(make("h3", {}, "thinking"), folded(`${number([...sample.reasoning].length)} characters`, sample.reasoning));
  for (const turn of (sample.turns || []).slice(0, -1)) parts.push(folded(turn.role, turn.content || JSON.stringify(turn.tool_calls || "")));
  parts.push(make("h3", {}, "completion"), highlighted(sample));
  if (sample.tool_calls && sample.tool_calls.length) parts.push(folded("tool calls", JSON.stringify(sample.tool_calls, null, 2), true));
  const candidates = (sample.candidates || []).filter((c) => c.rejected);
  if (candidates.length) {
    const rows = make("table", {});
    for (const each of candidates) rows.append(make("tr", {}, make("td", {}, each.text), make("td", { class: "note" }, each.rejected)));
    parts.push(make("h3", {}, "considered and not taken"), rows);
  }
  place.replaceChildren(...parts);
  mark();
};

// ---- start

const start = () => {
  headline();
  plots();
  const bar = document.getElementById("filters");
  for (const status of Object.keys(DATA.summary.status)) {
    const button = make("button", { "aria-pressed": "false", "data-status": status }, `${status} ${number(DATA.summary.status[status])}`);
    button.addEventListener("click", () => {
      state.statuses.has(status) ? state.statuses.delete(status) : state.statuses.add(status);
      button.setAttribute("aria-pressed", String(state.statuses.has(status)));
      refresh();
    });
    bar.append(button);
  }
  const only = make("select", { "aria-label": "only", id: "only" }, make("option", { value: "" }, "all samples"));
  for (const [name, told] of Object.entries(ONLY)) {
    const many = SAMPLES.filter(told.holds).length;
    if (many) only.append(make("option", { value: name }, `${told.label} ${number(many)}`));
  }
  only.addEventListener("change", () => { state.only = only.value; refresh(); });
  const topics = Object.keys(DATA.summary.topics);
  const topic = make("select", { "aria-label": "topic" }, make("option", { value: "" }, "all topics"));
  for (const name of topics) topic.append(make("option", { value: name }, name || "(none)"));
  topic.addEventListener("change", () => { state.topic = topic.value; refresh(); });
  const search = make("input", { type: "search", placeholder: "search answers", "aria-label": "search", id: "search" });
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => { state.search = search.value.toLowerCase(); refresh(); }, 150); });
  bar.append(only, topics.length > 1 ? topic : "", search, make("span", { class: "note", id: "count" }));
  document.getElementById("list").addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (row) choose(Number(row.dataset.index));
  });
  document.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT"].includes(document.activeElement.tagName)) return;
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const next = found[found.indexOf(state.chosen) + step];
    if (next !== undefined) { choose(next); event.preventDefault(); }
  });
  refresh();
  document.body.dataset.ready = String(Math.round(performance.now()));
};
start();
