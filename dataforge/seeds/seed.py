"""A seed and its identity.

A seed is known by what it says, not by where it stands: its id is a hash of the canonical JSON of its fields, so that
moving, renaming or re-sorting files changes no row of a corpus. Making the canonical form is also where values that
JSON cannot carry are found, whatever format they came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dataforge.seeds.flaw import LIMIT_BYTES, Flaw, too_long


@dataclass(frozen=True, slots=True)
class Seed:
    """One record of a seed file.

    Attributes:
        id: 32 hex digits over the fields; the same content has the same id wherever it stands.
        source: where it was read, for people: ``seeds/science.jsonl:17``.
        fields: the columns and their values, all of JSON's types.
    """

    id: str
    source: str
    fields: Mapping[str, Any] = field(hash=False)


def identify(fields: Mapping[str, Any]) -> str:
    """The id of a seed with these fields: BLAKE2b-128 of their canonical JSON (sorted keys, UTF-8, no spaces).

    Raises:
        Flaw: a value that JSON cannot carry, or a record that is too long.
    """
    try:
        canonical = json.dumps(
            fields, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise Flaw(
            "R011",
            f"the text holds a lone surrogate, {half}: half of a character",
            help="write the character whole, or take it out; it was probably cut in two by a tool that counts UTF-16",
        ) from None
    except ValueError:
        raise Flaw(
            "R013",
            "a number is not finite: NaN and infinity are no JSON",
            help="write a missing number as null, or leave the key out",
        ) from None
    except RecursionError:
        raise nested_too_deeply() from None
    if len(canonical) > LIMIT_BYTES:
        raise too_long()
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def nested_too_deeply() -> Flaw:
    return Flaw("R013", "the record is nested too deeply", help="keep lists and objects within a few levels")
