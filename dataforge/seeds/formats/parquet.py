"""Parquet: one record a row, in small batches, with Arrow's types turned into JSON's.

Times become ISO 8601 strings (to the microsecond), durations seconds, decimals and UUIDs strings, bytes the text that they are
in UTF-8, maps lists of pairs. Files are read batch by batch, so what is held is one row group's open pages.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataforge.seeds.flaw import Flaw

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet",)

_BATCH_ROWS = 64


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        if not stream.read(1):
            return
        stream.seek(0)
        try:
            file = pq.ParquetFile(stream, pre_buffer=False)
            _refuse_duplicates(file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in _microseconds(batch).to_pylist():
                    number += 1
                    yield number, {name: _plain(value, name, number) for name, value in row.items()}
        except (
            pa.ArrowException,
            OSError,
            ValueError,
            OverflowError,
        ) as error:  # the last two: times past year 9999
            reason = str(error).partition("\n")[0].rstrip(".")
            raise Flaw(
                "R015",
                f"the Parquet file cannot be read: {reason}",
                help="it may be cut short; copy or write it anew",
            ) from error


def _refuse_duplicates(names: list[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise Flaw("R013", f"{times} columns are named {name}", help="give every column its own name")


def _microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with nanoseconds cut off: Python's own times cannot hold them."""
    import pyarrow as pa

    schema = pa.schema([field.with_type(_coarse(field.type)) for field in batch.schema])
    if schema.equals(batch.schema):
        return batch
    columns = [
        column.cast(field.type, safe=False) for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _coarse(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if types.is_dictionary(kind):
        return _coarse(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_coarse(kind.value_type)))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_coarse(field.type)) for field in kind])
    return kind


def _plain(value: Any, name: str, number: int) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): _plain(inner, name, number) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, name, number) for inner in value]
        case bytes():
            return _text(value, name, number)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case decimal.Decimal() | uuid.UUID():
            return str(value)
        case _:
            raise Flaw(
                "R015",
                f"the column {name} holds {type(value).__name__} values, which JSON has no type for",
                at=number,
                help="leave the column out, or write it as text",
            )


def _text(value: bytes, name: str, number: int) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Flaw(
            "R011",
            f"the column {name} holds bytes that are not UTF-8, from byte {error.start} of the value on",
            at=number,
            help="write texts in a string column, and leave binary columns out",
        ) from None
