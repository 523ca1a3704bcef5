"""A packed set for people: a row with its mask, lengths before and rows after, and why there is room left.

Pure values but for the two files at the end; how a row looks on a terminal is the command line's business.
"""

from __future__ import annotations

import html
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataforge.files import arriving
from trainer.packed import DROPPED, PICTURES, PackedSet
from trainer.page import page, picture, table
from trainer.samples import Sample

FULL = 0.999
"""The share of a row that tokens should fill, as a set on average."""

_DROPPED_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that follow each other and are alike: their text, whether they are trained, whether they are special."""

    text: str
    trained: bool
    special: bool


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a packed row.

    Attributes:
        start: place in the row of its first token, which has position 0.
        trained: how many of its `length` tokens the loss sees.
    """

    id: str
    kind: str
    start: int
    length: int
    trained: int
    runs: tuple[Run, ...]


def documents(data: PackedSet, number: int) -> Iterator[Document]:
    """The documents of a row as text."""
    row, tokenizer = data.row(number), data.tokenizer()
    start = 0
    for sample, kind, length in zip(row.samples, row.kinds, row.lengths.tolist(), strict=True):
        here = slice(start, start + length)
        whole = Sample(data.sample_id(int(sample)), row.tokens[here], row.trained[here], data.kinds[kind])
        yield document(whole, tokenizer, start)
        start += length


def document(sample: Sample, tokenizer: Any, start: int = 0) -> Document:
    """A sample as text, with its place in a row."""
    tokens, trained = sample.tokens.tolist(), sample.trained.tolist()
    special = frozenset(tokenizer.added_tokens_decoder)
    alike = itertools.groupby(zip(tokens, trained, strict=True), lambda each: (each[1], each[0] in special))
    runs = tuple(
        Run(tokenizer.decode([token for token, _ in group], clean_up_tokenization_spaces=False), *key)
        for key, group in alike
    )
    return Document(sample.id, sample.kind, start, len(tokens), sum(trained), runs)


def room_left(data: PackedSet) -> list[str]:
    """Why rows are not filled to 99.9%, in sentences; empty where they are."""
    packing, tokens = data.manifest["packing"], data.manifest["counts"]["tokens"]
    if packing["efficiency"] >= FULL:
        return []
    rows, best, least = packing["rows"], packing["rows_at_least"], packing["rows_by_total"]
    if data.manifest["inputs"]["packing"] == "none":
        return ["each sample has a row of its own (data.packing = none)"]
    said = []
    if best > least:
        long = float(np.mean(data.document_lengths > data.context / 2))
        said.append(
            f"{long:.0%} of the samples are longer than half a row, and no two of them fit into one:"
            f" no packing fills more than {tokens / (best * data.context):.2%}"
        )
    elif tokens / (least * data.context) < FULL:
        said.append(
            f"the samples would fill {tokens / data.context:,.2f} rows, and the last one that they need stays part"
            f" empty: no packing fills more than {tokens / (least * data.context):.2%}"
        )
    if rows > best:
        window = data.manifest["inputs"]["window"]
        why = (
            f"samples were packed in windows of {window:,}"
            if window
            else "too few short samples fill the gaps"
        )
        said.append(
            f"{rows - best:,} row{'s' if rows - best > 1 else ''} more than the bound of {best:,}: {why}"
        )
    return said


def draw(data: PackedSet) -> bytes:
    """Lengths of samples before, fill of rows after, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), dpi=110, layout="constrained")
    before, after = figure.subplots(1, 2)
    lengths, rows, context = data.document_lengths, data.row_lengths, data.context
    edges = np.linspace(0, context, 65)
    before.hist(lengths, edges, color="#4c72b0")
    before.set_title(f"{len(lengths):,} samples: {lengths.mean():,.0f} tokens on average")
    before.set_ylabel("samples")
    after.hist(rows, edges, color="#55a868")
    after.set_title(f"{len(rows):,} rows: {rows.sum() / (len(rows) * context):.3%} filled")
    after.set_ylabel("rows")
    for axes in (before, after):
        axes.set_xlim(0, context * 1.02)
        axes.set_xlabel(f"tokens, of a context of {context:,}")
        axes.axvline(context, color="#c44e52", linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def facts(data: PackedSet) -> dict[str, str]:
    """What a set is, and what became of the conversations: names and figures."""
    counts, packing, inputs = (data.manifest[name] for name in ("counts", "packing", "inputs"))
    kinds = {kind: of["samples"] for kind, of in data.manifest["by_kind"].items()}
    left_out = sum(counts["dropped"].values())

    def bound(rows: int) -> str:
        return f"{rows:,} row{'s' if rows > 1 else ''} ({counts['tokens'] / (rows * data.context):.3%})"

    return {
        "conversations": f"{counts['conversations']:,} of {_each(data.manifest['rows_read'], 'rows')}",
        "samples": _each(kinds, "in all"),
        "dropped": _each(counts["dropped"], "in all") if left_out else "none",
        "changed": ", ".join(f"{name} {n:,}" for name, n in sorted(counts["changes"].items())) or "nothing",
        "tokens": f"{counts['tokens']:,}, of which {counts['trained']:,} ({counts['trained'] / counts['tokens']:.1%}) trained",
        "policies": ", ".join(f"{name} = {inputs[name]}" for name in ("history", "overlong", "untrained")),
        "rows": f"{packing['rows']:,} of {data.context:,} tokens, {_HOW[inputs['packing']]}",
        "bounds": f"{bound(packing['rows_by_total'])} by the total, {bound(packing['rows_at_least'])} by Martello and Toth's L2",
        "filled": f"{packing['efficiency']:.3%}, {packing['padding']:,} tokens of room left",
    }


_HOW = {
    "ffd": "by first-fit decreasing",
    "bfd": "by best-fit decreasing",
    "none": "one sample each",
}


def _each(counts: Mapping[str, int], of: str) -> str:
    total = f"{sum(counts.values()):,}"
    if of == "in all" and len(counts) == 1:
        return f"{total} {next(iter(counts))}"
    return f"{total} {of} ({', '.join(f'{n:,} {name}' for name, n in sorted(counts.items()))})"


def write_page(data: PackedSet) -> Path:
    """Write `lengths.png`, and `report.html`: one page that needs nothing else."""
    drawn = draw(data)
    image, file = (data.folder / name for name in PICTURES)
    with arriving(image) as stream:
        stream.write(drawn)
    left = "".join(f"<li>{html.escape(why)}</li>" for why in room_left(data))
    total = sum(data.manifest["counts"]["dropped"].values())
    with (data.folder / DROPPED).open("rb") as lines:
        dropped = [json.loads(line) for line in itertools.islice(lines, _DROPPED_SHOWN)]
    inputs = data.manifest["inputs"]
    with arriving(file) as stream:
        stream.write(
            page(
                data.folder.resolve().name,
                table(facts(data).items()),
                picture(drawn, "lengths of samples, and fill of rows"),
                f"<h2>Room left</h2><ul>{left}</ul>" if left else "",
                f"<h2>Left out: {total:,}</h2>",
                table((each["id"], each["reason"], each["detail"]) for each in dropped),
                f"<p>The first {len(dropped):,}; all are in {DROPPED}.</p>" if total > len(dropped) else "",
                "<h2>Made from</h2>",
                table((each["name"], each["hash"]) for each in inputs["files"]),
                table((key, json.dumps(value)) for key, value in inputs.items() if key != "files"),
            )
        )
    return file
