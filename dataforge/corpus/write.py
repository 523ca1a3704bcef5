"""Outcomes → corpus: Parquet shards, card and manifest, the manifest last.

The manifest is what says that a corpus is whole. Writing begins by removing an old one and ends by putting the new one
in place, so that a crash in between leaves a directory that nobody takes for a corpus, and never a mix of two.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataforge.corpus.card import card
from dataforge.corpus.layout import (
    CARD,
    FOLDERS,
    MANIFEST,
    REJECTED,
    TRAIN,
    put_in_place,
    schema,
    shard_name,
    storing,
    sync_folder,
    write_durably,
)
from dataforge.run.journal import Outcome
from schemas.corpus import Row

ROWS_A_SHARD = 50_000
ROWS_A_GROUP = 1_000


@dataclass(frozen=True)
class CorpusInfo:
    """What a corpus says of itself besides its rows.

    Attributes:
        plan: the plan document.
        project: the project's name.
        command: what was typed.
        models: name → role, model, weights, backend, and whether it is of smoke grade only.
        counts: attempted, kept, rejected, failed, filtered; calls and tokens.
        rejected_by, failed_by: reason code → rows.
        settings: random seed, walks a seed, tokenizer.
        seeds: names of the seed files.
        self_judging: judges that were allowed to grade their own weights, in words.
        versions: of the libraries.
    """

    plan: Mapping[str, Any]
    project: str
    command: str
    models: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, Any]
    rejected_by: Mapping[str, int]
    failed_by: Mapping[str, int]
    settings: Mapping[str, Any]
    seeds: tuple[str, ...]
    self_judging: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


class _Shards:
    """Writes rows of one kind to shards under temporary names; `close` gives them their names."""

    def __init__(self, out: Path, kind: str) -> None:
        self.folder = out / FOLDERS[kind]
        self.kind = kind
        self.rows = 0
        self.tokens = 0
        self.kinds: Counter[str] = Counter()
        self.pending: list[dict[str, Any]] = []
        self.parts: list[Path] = []
        self.writer: Any = None
        self.in_shard = 0
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob(f"*{kind}-*.parquet*"):
                old.unlink()

    def add(self, row: Row) -> None:
        data = row.model_dump()
        for message in data["messages"]:
            calls = message["tool_calls"]
            message["tool_calls"] = (
                [json.dumps(c, ensure_ascii=False) for c in calls] if calls is not None else None
            )
        self.pending.append(data)
        self.rows += 1
        self.tokens += row.tokens
        self.kinds[row.kind] += 1
        if len(self.pending) >= ROWS_A_GROUP:
            self.flush()
            if self.in_shard >= ROWS_A_SHARD:
                self.end_shard()

    def flush(self) -> None:
        import pyarrow.parquet as pq

        with storing(self.folder):
            if self.writer is None:
                self.parts.append(self.folder / f".{self.kind}-{len(self.parts):05d}.parquet.tmp")
                self.writer = pq.ParquetWriter(self.parts[-1], schema(), compression="zstd")
                self.in_shard = 0
            if (
                self.pending
            ):  # `datasets` stumbles over a row group of no rows, not over a file without groups
                self.writer.write_table(_table(self.pending))
        self.in_shard += len(self.pending)
        self.pending = []

    def end_shard(self) -> None:
        with storing(self.folder):
            self.writer.close()
            with self.parts[-1].open("rb") as stream:
                os.fsync(stream.fileno())
        self.writer = None

    def close(self) -> dict[str, str]:
        """Name the shards; returns path relative to the corpus → content hash."""
        if self.pending or not self.parts:
            self.flush()
        if self.writer is not None:
            self.end_shard()
        hashes = {}
        for number, part in enumerate(self.parts):
            path = self.folder / shard_name(self.kind, number, len(self.parts))
            with storing(path):
                with part.open("rb") as stream:
                    digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
                put_in_place(part, path)
            hashes[f"{self.folder.name}/{path.name}"] = digest
        return hashes


_HALF_PAIR = re.compile("[\ud800-\udfff]")


def _table(rows: list[dict[str, Any]]) -> Any:
    """Rows as an Arrow table. Half a surrogate pair, which no UTF-8 can hold, becomes U+FFFD: models do write them."""
    import pyarrow as pa

    try:
        return pa.Table.from_pylist(rows, schema=schema())
    except UnicodeEncodeError:
        return pa.Table.from_pylist([_mended(row) for row in rows], schema=schema())


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF_PAIR.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return {k: _mended(v) for k, v in value.items()} if isinstance(value, dict) else value


def _utf8(text: str) -> bytes:
    """The text as UTF-8; names of files that are no text hold half pairs too."""
    return _HALF_PAIR.sub("\ufffd", text).encode()


def write_corpus(out: Path, outcomes: Iterable[Outcome], info: CorpusInfo) -> dict[str, Any]:
    """Write the corpus of a run; returns the manifest.

    Args:
        out: the corpus directory.
        outcomes: of every row, in order; read once.
        info: what the card and the manifest say.

    Raises:
        StorageError, OutputError: where the disk refuses; there is no manifest then.
    """
    with storing(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / MANIFEST).unlink(missing_ok=True)
        sync_folder(out)
    shards = {kind: _Shards(out, kind) for kind in (TRAIN, REJECTED)}
    for outcome in outcomes:
        for row in outcome.rows:
            shards[TRAIN if row.reason is None else REJECTED].add(row)
    files: dict[str, str] = {}
    for shard in shards.values():
        files |= shard.close()
    manifest: dict[str, Any] = {
        "corpus": 1,
        "plan": info.plan["hash"],
        "graph": info.plan["graph"],
        "project": info.project,
        "command": info.command,
        "settings": dict(info.settings),
        "models": {name: dict(model) for name, model in info.models.items()},
        "counts": {
            **info.counts,
            "rows": {
                "train": shards[TRAIN].rows,
                "final": shards[TRAIN].kinds["final"],
                "call": shards[TRAIN].kinds["call"],
                "rejected": shards[REJECTED].rows,
            },
            "tokens_in_train": shards[TRAIN].tokens,
        },
        "rejected_by": dict(info.rejected_by),
        "failed_by": dict(info.failed_by),
        "self_judging": list(info.self_judging),
        "seeds": list(info.seeds),
        "versions": dict(info.versions),
        "files": files,
    }
    write_durably(
        out / "plan.json",
        _utf8(json.dumps(info.plan, ensure_ascii=False, sort_keys=True, indent=2) + "\n"),
    )
    write_durably(out / CARD, _utf8(card(manifest, info.plan)))
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=2) + "\n"
    write_durably(out / MANIFEST, _utf8(text))
    return manifest
