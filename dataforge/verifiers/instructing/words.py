"""What a word is, in any language.

- A word is a run of letters, digits and combining marks: `naïve`, `हिन्दी`, `42`.
- An apostrophe, hyphen or underscore between two of these joins them: `don't`, `mother-in-law`, `snake_case` are one word
  each. So does a point, comma or colon between digits (`3.14`, `1,000`, `10:30`) and a point between single letters
  (`e.g.`, `U.S.`). A dash or slash does not: `and/or` is two.
- Chinese characters, kana and bopomofo count one word each: `你好吗` is three. Korean is counted by its spaces.
- Thai, Lao, Khmer and Burmese put no spaces between words; a run between spaces counts one word there, which is less
  than a reader would count, so no task of ours counts words in them.
- What is no letter and no digit counts nothing: emoji, `***`, bullets, emphasis marks around a word. Nor does the numeral of
  a list item: `1.`, `2)` or `(3)` at the head of a line, with something behind it.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import NamedTuple


class Word(NamedTuple):
    """A word and where it stands."""

    text: str
    start: int
    end: int


def spread(words: str) -> tuple[str, ...]:
    """Words that stand in one string."""
    return tuple(words.split())


UNSPACED = "\u3040-\u30ff\u3105-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
"""Characters that are a word each, as the inside of a class of a regular expression."""

CJK = re.compile(f"[{UNSPACED}]")
_NUMBER = r"[0-9]+(?:[.,:][0-9]+)*(?![^\W_])"
_JOIN = "['’ʼ‘‐‑_-]"
_ASCII = re.compile(
    rf"{_NUMBER}|(?<![^\W_])[A-Za-z](?:\.[A-Za-z])+(?![A-Za-z0-9])|[A-Za-z0-9]+(?:['_-][A-Za-z0-9]+)*"
)


_NUMERAL = re.compile(
    r"^[^\S\n]{0,12}(?:[-*+>•][^\S\n]{1,4}){0,3}\(?(\d{1,3})[.)](?=[^\S\n]+\S)", re.MULTILINE
)


@functools.cache
def marks() -> str:
    """Every combining mark, as the inside of a class of a regular expression: `\\w` leaves them out."""
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):
        if unicodedata.category(chr(code))[0] == "M" and not 0xFE00 <= code <= 0xFE0F and code != 0x20E3:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(a)}-{chr(b)}" if a != b else chr(a) for a, b in ranges)


@functools.cache
def _general() -> re.Pattern[str]:
    letter = rf"(?:(?![{UNSPACED}])[^\W_][{marks()}\u200c\u200d]*)"
    run = f"{letter}+"
    number = r"\d+(?:[.,:٫٬]\d+)*(?![^\W_])"
    return re.compile(
        rf"{number}|(?<![^\W_])[^\W\d_{UNSPACED}](?:\.[^\W\d_{UNSPACED}])+(?![^\W_])|{run}(?:{_JOIN}{run})*|[{UNSPACED}]"
    )


def words_in(text: str) -> list[Word]:
    """The words of a text, in order."""
    pattern = _ASCII if text.isascii() else _general()
    found = [Word(match[0], match.start(), match.end()) for match in pattern.finditer(text)]
    numerals = {match.start(1) for match in _NUMERAL.finditer(text)}
    return [word for word in found if word.start not in numerals] if numerals else found


@functools.lru_cache(maxsize=4096)
def whole(phrase: str) -> re.Pattern[str]:
    """What finds a word or phrase as a whole, in any case: `art` is not in `department`, nor `cat` in `cats`.

    White space in the phrase stands for any white space. An edge that is no letter or digit (`C++`) has no boundary, nor
    has one in a script that puts no spaces between words. Straight and curly apostrophes are the same.
    """
    phrase = unicodedata.normalize("NFC", phrase).strip()
    body = re.sub("['’]", "['’]", r"\s+".join(re.escape(piece) for piece in phrase.split()))
    before = r"(?<![^\W_])(?<![^\W_]_)" if _bounded(phrase[:1]) else ""
    after = rf"(?!_?[^\W_]{'' if phrase.isascii() else f'|[{marks()}]'})" if _bounded(phrase[-1:]) else ""
    return re.compile(f"{before}{body}{after}", re.IGNORECASE)


def _bounded(letter: str) -> bool:
    if not letter or not (letter.isalnum() or unicodedata.category(letter)[0] == "M"):
        return False
    return not CJK.match(letter) and not "\u0e00" <= letter <= "\u0eff" and not "\u1000" <= letter <= "\u109f"
