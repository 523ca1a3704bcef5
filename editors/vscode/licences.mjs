// The licences of what the bundle holds, in one file beside it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

const found = new Map();
const wanted = ["vscode-languageclient"];
while (wanted.length > 0) {
  const name = wanted.pop();
  if (found.has(name)) {
    continue;
  }
  const folder = `node_modules/${name}`;
  const file = ["LICENSE", "LICENSE.md", "License.txt", "LICENSE.txt", "license"].find((f) => existsSync(`${folder}/${f}`));
  const about = JSON.parse(readFileSync(`${folder}/package.json`));
  found.set(name, `${name} ${about.version} (${about.license})\n\n${file ? readFileSync(`${folder}/${file}`) : ""}`);
  wanted.push(...Object.keys(about.dependencies ?? {}));
}
writeFileSync("dist/licences.txt", [...found.values()].join(`\n${"-".repeat(80)}\n\n`));
