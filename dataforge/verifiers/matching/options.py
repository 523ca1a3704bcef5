"""The options of a question, made ready to be looked for in texts: by letter, by text, and in every way a text is spelled."""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

from dataforge.verifiers.matching.normal import normal

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a question, ready to be looked for."""

    letter_of: dict[str, str]
    """Normal form of an option's text → its letter; texts that two options have are left out."""
    spelled: tuple[str, ...]
    """The ways in which those texts are spelled, in lower case, the longest first."""

    def letter(self, text: str) -> str | None:
        """The letter of the option whose text this is."""
        return self.letter_of.get(_key(text))


@functools.lru_cache(maxsize=4096)
def options(texts: tuple[str, ...]) -> Options:
    """Make options ready."""
    keys = [_key(text) for text in texts]
    labels = set(LETTERS[: len(texts)].lower())
    letter_of = {
        key: LETTERS[index]
        for index, key in enumerate(keys)
        # A text that is itself a letter would be taken for the option of that letter.
        if key and keys.count(key) == 1 and key not in labels
    }
    spelled = {
        form.lower()
        for text, key in zip(texts, keys, strict=True)
        if key in letter_of
        for form in _forms(text)
    }
    return Options(letter_of, tuple(sorted(spelled, key=lambda form: (-len(form), form))))


def _key(text: str) -> str:
    return normal(text, ignore_case=True).rstrip(".")


def _forms(text: str) -> tuple[str, ...]:
    text = text.strip().rstrip(".")
    if text.isascii():
        return (text,)
    return text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
