"""The dataset card: what the corpus is, how it was made, what was turned away, and what it is not good for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """The card as Markdown with the YAML header that dataset hubs read.

    Args:
        manifest: the corpus's manifest.
        plan: the plan document.
    """
    rows = manifest["counts"]["rows"]
    size = next((name for most, name in _SIZES if rows["train"] < most), "1M<n<10M")
    parts = [
        _header(manifest, size),
        _what(manifest, plan),
        _how(manifest, plan),
        _counts(manifest),
        _limits(manifest),
    ]
    return "\n".join(parts)


def _header(manifest: Mapping[str, Any], size: str) -> str:
    name = _line(f"{manifest['project']}: {manifest['graph']}")
    # YAML takes no control characters, quoted or not.
    name = "".join(c if c.isprintable() else " " for c in name)
    return f"""---
pretty_name: {json.dumps(name, ensure_ascii=False)}
license: other
task_categories:
- text-generation
tags:
- synthetic
- dataforge
size_categories:
- {size}
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
- config_name: rejected
  data_files:
  - split: rejected
    path: rejected/rejected-*.parquet
---
"""


def _what(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    rows = manifest["counts"]["rows"]
    doc = plan["ends"]["doc"] or "A graph without a description."
    return f"""# {_name(manifest["project"])}: {_name(manifest["graph"])}

{_line(doc)}

{rows["train"]:,} training rows: {rows["final"]:,} finished samples and {rows["call"]:,} single model calls behind them
(`kind` tells them apart), {manifest["counts"]["tokens_in_train"]:,} tokens by the {_code(str(manifest["settings"]["tokenizer"]))}
tokenizer. `messages` is in OpenAI's chat form; `train` marks the turns that the loss should see.

```python
from datasets import load_dataset
rows = load_dataset("parquet", data_files="data/*.parquet", split="train")
```
"""


def _how(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    models = "\n".join(
        f"| {_cell(name)} | {_cell(m['role'])} | {_cell(m['model'])} | {_cell(m['weights'])} | {_cell(m['backend'])} |"
        for name, m in sorted(manifest["models"].items())
    )
    nodes = "\n".join(
        f"| {_cell(name)} | {_cell(', '.join(node['pre']))} | {_cell(', '.join(node['post']))} |"
        for name, node in sorted(plan["nodes"].items())
    )
    fence = _ticks(manifest["command"], 3)
    return f"""## How it was made

Each row is one seed walked through the graph from its source to its target (`walk {plan["ends"]["walk"]}`, {plan["paths"]} possible
paths). Every node's postcondition was checked on the real values; rows that broke one were retried, then turned away.

| model | role | name | weights | backend |
|---|---|---|---|---|
{models}

| node | requires | guarantees |
|---|---|---|
{nodes}

Made with:

{fence}
{manifest["command"]}
{fence}

The plan is in `plan.json` (hash `{manifest["plan"]}`), prompts and contracts included.
"""


def _counts(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    reasons = "\n".join(
        f"| {_cell(code)} | {status} | {number:,} |"
        for status, found in (("rejected", manifest["rejected_by"]), ("failed", manifest["failed_by"]))
        for code, number in sorted(found.items())
    )
    table = f"\n| reason | | rows |\n|---|---|---|\n{reasons}\n" if reasons else ""
    samples = counts["rows"].get("lost", 0)
    lost = (
        f", and so are {samples:,} samples (`kind` is `call`) that a node drew and did not keep"
        if samples
        else ""
    )
    return f"""## Counts

{counts["planned"]:,} rows = {counts["kept"]:,} kept + {counts["rejected"]:,} rejected + {counts["failed"]:,} lost to errors + {counts["parked"]:,} not finished.
{counts["filtered"]:,} seeds did not satisfy the graph's `from` and were not attempted. What the codes mean is in DataForge's
`docs/errors.md`; the rejected rows themselves are in `rejected/`{lost}.
{table}
{counts["calls"]:,} model calls, {counts["prompt_tokens"]:,} prompt tokens, {counts["completion_tokens"]:,} completion tokens.
"""


def _limits(manifest: Mapping[str, Any]) -> str:
    limits = [
        "The text is written by language models: it can be wrong, and it carries their habits.",
        "The seeds keep the terms of their sources; `seed_source` and `state` say which. Check them before publishing.",
    ]
    if manifest["stopped"] is not None:
        limits.append(
            f"**Not whole**: the run stopped before its rows were done: {_line(manifest['stopped'])}."
        )
    smoke = sorted(name for name, m in manifest["models"].items() if m["smoke_grade"])
    if smoke:
        limits.append(
            f"**Smoke grade.** {', '.join(smoke)} {'is' if len(smoke) == 1 else 'are'} bound to an embedded model, made to show that "
            "the pipeline runs: a generator of 135M parameters, and a judge that compares sentence embeddings. Its verdicts "
            "are no opinion on truth. Do not train on this corpus for quality."
        )
    limits.extend(
        f"**Self-judging was allowed**: {line}. Such a judge favours its own work."
        for line in manifest["self_judging"]
    )
    seeds = "\n".join(f"- {_code(s)}" for s in manifest["seeds"])
    return "## Seeds\n\n" + seeds + "\n\n## Limits\n\n" + "\n".join(f"- {line}" for line in limits) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _name(text) or "-"


def _name(text: str) -> str:
    """A name or a condition as Markdown that shows it, and takes nothing in it for markup or HTML."""
    return re.sub(r"([\\`*\[<|])", r"\\\1", _line(text))


def _code(text: str) -> str:
    """A name in a code span, which nothing in it can end."""
    text = _line(text)
    ticks = _ticks(text, 1)
    return f"{ticks} {text} {ticks}" if "`" in text else f"{ticks}{text}{ticks}"


def _ticks(text: str, least: int) -> str:
    """Backticks, more than stand together anywhere in the text."""
    return "`" * max([least, *(len(run) + 1 for run in re.findall("`+", text))])
