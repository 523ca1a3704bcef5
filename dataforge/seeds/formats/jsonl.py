"""JSON Lines, plain or gzipped: one object a line; blank lines are passed over.

JSON itself leaves open what a key that appears twice means, and Python's reader takes NaN for a number. Both are
refused here: what is ambiguous in the file would be a guess in the corpus.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from dataforge.seeds.flaw import Flaw
from dataforge.seeds.lines import read_lines
from dataforge.seeds.seed import nested_too_deeply

SUFFIXES = (".jsonl", ".jsonl.gz")

_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
}


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    zipped = path.suffix.lower() == ".gz"
    with cast("BinaryIO", gzip.open(path)) if zipped else path.open("rb") as stream:
        try:
            for number, line in read_lines(stream):
                if line.strip():
                    yield number, _object(line, number)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise Flaw(
                "R015",
                f"the compressed file is damaged: {error}",
                help="it may be cut short; copy or make it anew",
            ) from None


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except Flaw as flaw:
        raise flaw.placed(number) from None
    except json.JSONDecodeError as error:
        raise Flaw(
            "R013",
            f"not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}",
            at=f"{number}:{error.colno}",
            help="every line must be one whole JSON object; a text with line breaks writes them as \\n",
        ) from None
    except RecursionError:
        raise nested_too_deeply().placed(number) from None
    except ValueError:
        # All that is left: Python refuses to read an integer of thousands of digits.
        raise Flaw("R013", "a number has too many digits", at=number, help="write it as a string") from None
    if not isinstance(value, dict):
        kind = _NAMES.get(type(value), "null")
        raise Flaw(
            "R013",
            f"{kind} where an object was expected",
            at=f"{number}:1",
            help='write the fields by name, for example {"text": "..."}',
        )
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Flaw(
            "R013", f"the key {json.dumps(twice)} appears twice in one object", help="keep one of them"
        )
    return fields


def _refuse_constant(name: str) -> Any:
    raise Flaw("R013", f"{name} is no JSON", help="write a missing number as null, or leave the key out")
