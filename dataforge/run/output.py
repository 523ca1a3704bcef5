"""Corpus rows as bytes: the lines that a journal keeps, and the Parquet files that a shard makes of them.

A row becomes a line of JSON in the very form that the columns of the corpus have, once, when it is journalled. From
there on it is not looked at again: Arrow reads the lines by itself, a tenth of the cost of going through Python objects.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataforge.run.storage import put_in_place, storing
from schemas.corpus import Row

TRAIN, REJECTED = "train", "rejected"
LOST = "lost"

ROWS_A_GROUP = 1_000
_BYTES_A_GROUP = 64 * 1024 * 1024
"""Bounds of a row group, which is what is in memory at once."""

_HALF_PAIR = re.compile("[\ud800-\udfff]")


@functools.cache
def schema() -> Any:
    """The Arrow schema of every Parquet file of a corpus; columns as in `schemas.corpus.Row`."""
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    message = pa.struct(
        [
            ("role", text),
            ("content", text),
            ("reasoning_content", text),
            ("tool_calls", texts),  # each call as JSON: their arguments have no common type
            ("tool_call_id", text),
            ("train", pa.bool_()),
        ]
    )
    model = pa.struct([("role", text), ("name", text), ("weights", text)])
    verdict = pa.struct(
        [
            ("node", text),
            ("criterion", text),
            ("score", pa.float64()),
            ("reason", text),
            ("round", pa.int64()),
        ]
    )
    return pa.schema(
        [
            ("id", text),
            ("messages", pa.list_(message)),
            ("tools", texts),
            ("kind", text),
            ("graph", text),
            ("node", text),
            ("path", texts),
            ("seed_id", text),
            ("seed_source", text),
            ("models", pa.list_(model)),
            ("verdicts", pa.list_(verdict)),
            ("thinking", text),
            ("tokens", pa.int64()),
            ("state", text),
            ("reason", text),
        ]
    )


def line(row: Row) -> bytes:
    """A row as a line of JSON with the corpus's columns, without the line's end.

    Half a surrogate pair, which no UTF-8 can hold, becomes U+FFFD: models do write them.
    """
    if not any(message.tool_calls for message in row.messages):
        try:
            return row.model_dump_json().encode()
        except ValueError:  # pydantic's word for half a pair
            pass
    data = row.model_dump()
    for message in data["messages"]:
        if message["tool_calls"] is not None:
            message["tool_calls"] = [json.dumps(call, ensure_ascii=False) for call in message["tool_calls"]]
    return json.dumps(whole(data), ensure_ascii=False, separators=(",", ":")).encode()


def whole(value: Any) -> Any:
    """A JSON value in which every half of a surrogate pair has become U+FFFD."""
    if isinstance(value, str):
        return _HALF_PAIR.sub("\ufffd", value)
    if isinstance(value, list):
        return [whole(each) for each in value]
    return {whole(k): whole(v) for k, v in value.items()} if isinstance(value, dict) else value


@dataclass
class Written:
    """What the two files of a shard hold.

    Attributes:
        rows: rows by kind: `train`, of which `final` and `call`, and `rejected`, of which `lost` are samples of a row that may
            have been kept.
        tokens: in the training rows.
        files: file name → BLAKE2b hash (32 hex digits).
    """

    rows: dict[str, int] = field(
        default_factory=lambda: {TRAIN: 0, "final": 0, "call": 0, REJECTED: 0, LOST: 0}
    )
    tokens: int = 0
    files: dict[str, str] = field(default_factory=dict)


def write_rows(outcomes: Iterable[Sequence[bytes]], folder: Path) -> Written:
    """Write the lines of a shard's outcomes, in their order, to `train.parquet` and `rejected.parquet`.

    The bytes depend on the lines alone. Both files are always written, even where one holds no row.

    Raises:
        StorageError, OutputError: where the disk refuses.
    """
    written = Written()
    writers = {kind: _Writer(folder / f"{kind}.parquet") for kind in (TRAIN, REJECTED)}
    for group in _groups(outcomes):
        table = _table(group)
        for kind, part in _parted(table):
            writers[kind].write(part)
            written.rows[kind] += part.num_rows
            _count(part, kind, written)
    for writer in writers.values():
        written.files[writer.path.name] = writer.close()
    return written


def _groups(outcomes: Iterable[Sequence[bytes]]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for lines in outcomes:
        for one in lines:
            group.append(one)
            size += len(one)
            if len(group) >= ROWS_A_GROUP or size >= _BYTES_A_GROUP:
                yield group
                group, size = [], 0
    if group:
        yield group


def _table(lines: list[bytes]) -> Any:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    text = b"\n".join(lines)
    return arrow_json.read_json(
        pa.BufferReader(text),
        # One block: a row may be longer than the default size of a block.
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=arrow_json.ParseOptions(explicit_schema=schema(), unexpected_field_behavior="error"),
    )


def _parted(table: Any) -> Iterator[tuple[str, Any]]:
    import pyarrow.compute as pc

    kept = pc.is_null(table["reason"])
    for kind, chosen in ((TRAIN, kept), (REJECTED, pc.invert(kept))):
        part = table.filter(chosen)
        if part.num_rows:
            yield kind, part


def _count(part: Any, kind: str, written: Written) -> None:
    import pyarrow.compute as pc

    if kind == REJECTED:
        written.rows[LOST] += pc.sum(pc.equal(part["kind"], "call")).as_py()
        return
    written.tokens += pc.sum(part["tokens"]).as_py()
    for entry in pc.value_counts(part["kind"]).to_pylist():
        written.rows[entry["values"]] += entry["counts"]


class _Writer:
    """One Parquet file, under a temporary name until it is whole."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.temporary = path.with_name(f".{path.name}.tmp")
        with storing(path):
            self.writer = pq.ParquetWriter(self.temporary, schema(), compression="zstd")

    def write(self, table: Any) -> None:
        with storing(self.path):
            self.writer.write_table(table.combine_chunks())

    def close(self) -> str:
        with storing(self.path):
            self.writer.close()
            with self.temporary.open("rb") as stream:
                os.fsync(stream.fileno())
                digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            put_in_place(self.temporary, self.path)
        return digest
