// The TextMate grammar on a sample, with the engine that the editor uses: each word must get the scope that it is meant to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

const read = (path) => readFileSync(new URL(path, import.meta.url));
await oniguruma.loadWASM(readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")).buffer);
const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  loadGrammar: async () =>
    textmate.parseRawGrammar(read("../syntaxes/forge.tmLanguage.json").toString(), "forge.tmLanguage.json"),
});
const grammar = await registry.loadGrammar("source.forge");

/** Word → the innermost scopes that it gets, over a whole text. */
function scopes(text) {
  const found = new Map();
  let state = textmate.INITIAL;
  for (const line of text.split("\n")) {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    for (const { startIndex, endIndex, scopes } of tokens) {
      const word = line.slice(startIndex, endIndex).trim();
      if (word) {
        found.set(word, [...(found.get(word) ?? []), scopes.join(" ")]);
      }
    }
    state = ruleStack;
  }
  return found;
}

const found = scopes(read("sample.forge").toString());
const expected = {
  "# a comment": "comment.line",
  "schemas.text": "entity.name.namespace",
  node: "storage.type",
  ask_once: "entity.name.function",
  Card: "entity.name.type",
  takes: "keyword.other",
  words: "support.function",
  has: "keyword.operator.word",
  "60": "constant.numeric",
  "prompts/a.j2": "string.other.link",
  upper: "support.function.filter.jinja",
  if: "keyword.control.jinja",
  true: "constant.language",
  "==": "keyword.operator",
  writer: "",
};
for (const [word, scope] of Object.entries(expected)) {
  const got = found.get(word) ?? [...found].filter(([w]) => w.includes(word)).flatMap(([, s]) => s);
  assert.ok(got.length > 0, `${word} is no token; there are ${[...found.keys()].join(" ")}`);
  assert.ok(got.some((s) => s.includes(scope)), `${word} has no ${scope}, but ${got}`);
}
// What comes after a prompt is not coloured as part of it.
assert.ok(found.get("into").every((s) => !s.includes("string") && !s.includes("jinja")), `${found.get("into")}`);
assert.ok(found.get("retry").every((s) => !s.includes("string")), `${found.get("retry")}`);
console.log(`${found.size} words have their scopes`);
