"""The special tokens of a GGUF file: those that steer a model, such as the border of a turn, and are no text.

llama.cpp leaves them out of what it gives back, save those that it is told to keep. A raw completion keeps them all but
the ones that end it, since whoever counts its tokens needs to see every one. Only the file's head is read, and of that only
the vocabulary is kept. The format is described in `docs/gguf.md` of ggml.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

_CONTROL = 3
"""The type of a token that steers."""
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_ENDS = frozenset(
    {
        "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>",
        "<|return|>", "<|call|>", "<EOT>", "_<EOT>", "< EOT >", "<end_of_utterance>", "</s>", "<turn|>",
    }
)  # fmt: skip
"""Tokens that end an answer whether the file says so or not, by their names, as in llama.cpp."""


def special_tokens(file: Path) -> tuple[str, ...]:
    """The special tokens of a GGUF file that do not end an answer.

    There are none where the file's head is not understood: the engine itself says what is wrong with it.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            told = _Head(mapped).read()
    except (OSError, ValueError, KeyError, OverflowError, struct.error):
        return ()
    tokens, kinds = told.get("tokenizer.ggml.tokens", ()), told.get("tokenizer.ggml.token_type", ())
    ending = {told.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")}
    return tuple(
        token.decode("utf-8", "replace")
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=False))
        if kind == _CONTROL and number not in ending and token.decode("utf-8", "replace") not in _ENDS
    )


class _Head:
    """The key-value pairs at the beginning of a file, of version 2 or 3."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._bytes = mapped
        self._at = 0

    def read(self) -> dict[str, Any]:
        """
        Raises:
            ValueError, KeyError, struct.error: it is no such file, or is cut short.
        """
        magic, version, _, count = self._take("4sIQQ")
        if magic != b"GGUF" or version not in {2, 3}:
            raise ValueError("no GGUF file of a known version")
        return {
            self._string().decode("utf-8", "replace"): self._value(self._take("I")[0]) for _ in range(count)
        }

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._take(_NUMBERS[kind])[0]
        inner, count = self._take("IQ")
        if inner in {_STRING, _ARRAY}:
            return [self._value(inner) for _ in range(count)]
        return self._take(f"{count}{_NUMBERS[inner]}")

    def _string(self) -> bytes:
        (length,) = self._take("Q")
        start, self._at = self._at, self._at + length
        return self._bytes[start : self._at]

    def _take(self, form: str) -> tuple[Any, ...]:
        form = "<" + form
        found = struct.unpack_from(form, self._bytes, self._at)
        self._at += struct.calcsize(form)
        return found
