"""Bytes → lines of text, with both ends guarded: no line is read past the limit, and none that is not UTF-8.

The guard is on the read itself: a line of 200 MB costs no more than the limit before it is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from dataforge.seeds.flaw import LIMIT_BYTES, Flaw, too_long

_SIGNATURES = {
    b"\x1f\x8b": "it is compressed with gzip; unpack it, or name it .jsonl.gz if it is that",
    b"PK\x03\x04": "it is a zip archive or an office document; export its text as UTF-8",
    b"%PDF": "it is a PDF; extract its text first",
    b"PAR1": "it is a Parquet file; name it .parquet",
    codecs.BOM_UTF16_LE: "it is UTF-16; convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`",
    codecs.BOM_UTF16_BE: "it is UTF-16; convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`",
}


def read_lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield every line's number, from 1, and its text without the line break (LF or CRLF).

    A byte order mark before the first line is dropped.

    Raises:
        Flaw: R012 at a line longer than the limit, R011 at bytes that are not UTF-8 text.
    """
    offset = 0
    number = 0
    while raw := stream.readline(LIMIT_BYTES + 1):
        number += 1
        if number == 1:
            _refuse_other_kinds(raw)
        if len(raw) > LIMIT_BYTES:
            raise too_long(number)
        yield number, _decode(raw, number, offset)
        offset += len(raw)


def _decode(raw: bytes, number: int, offset: int) -> str:
    skipped = len(codecs.BOM_UTF8) if number == 1 and raw.startswith(codecs.BOM_UTF8) else 0
    try:
        text = raw[skipped:].decode()
    except UnicodeDecodeError as error:
        at = offset + skipped + error.start
        bad = error.object[error.start]
        raise Flaw(
            "R011",
            f"not UTF-8: byte 0x{bad:02x} at offset {at} begins no character",
            at=number,
            help=_likely_encoding(raw),
        ) from None
    if "\0" in text:
        raise Flaw(
            "R011",
            f"not text: a NUL byte at offset {offset + raw.index(0)}",
            at=number,
            help="it may be UTF-16 or a binary file; convert it to UTF-8 text",
        )
    return text.removesuffix("\n").removesuffix("\r")


def _refuse_other_kinds(start: bytes) -> None:
    for signature, what in _SIGNATURES.items():
        if start.startswith(signature):
            raise Flaw("R011", "not UTF-8 text", at=1, help=what)


def _likely_encoding(raw: bytes) -> str:
    # The bytes 0x80–0x9f are quotes and dashes in Windows-1252, and control characters that nobody types in Latin-1.
    name = "Windows-1252" if any(0x80 <= byte <= 0x9F for byte in raw) else "ISO-8859-1 (Latin-1)"
    return f"it may be {name}; convert it to UTF-8, for example with `iconv -f {name.split()[0]} -t UTF-8`"
