"""Texts that match a pattern, for patterns of the plain sort: a sequence of characters and classes, each perhaps repeated.

    ^[A-Z]{3}-[0-9]{4}$        ^SKU[0-9]{6}$        ^[a-z][a-z0-9_]{2,15}$

Groups, alternatives, look-around and back references are not read here: `sample` says so by None, and whoever makes
instances gives a sample of his own or leaves the pattern out.
"""

from __future__ import annotations

import functools
import random
import re

_TOKEN = re.compile(
    r"(?:\\(?P<escaped>.)|\[(?P<class>(?:\\.|[^\]\\])+)\]|(?P<plain>[^\\\[\](){}*+?|^$]))"
    r"(?:\{(?P<low>[0-9]+)(?P<comma>,(?P<high>[0-9]*))?\}|(?P<sign>[*+?]))?"
)
_SETS = {
    "d": "0123456789",
    "w": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
    "s": " ",
}
_ANY = "abcdefghijklmnopqrstuvwxyz0123456789 "

Piece = tuple[str, int, int]
"""The characters to choose from, and how often at least and at most."""


def sample(pattern: str, rng: random.Random, most: int = 6) -> str | None:
    """A text that matches, or None for a pattern of another sort; what is open-ended is repeated up to `most` times more."""
    pieces = _read(pattern)
    if pieces is None:
        return None
    return "".join(
        "".join(rng.choice(signs) for _ in range(rng.randint(low, min(high, low + most))))
        for signs, low, high in pieces
    )


@functools.lru_cache(maxsize=1024)
def _read(pattern: str) -> tuple[Piece, ...] | None:
    body = pattern.removeprefix("^")
    if body.endswith("$") and not body.endswith("\\$"):
        body = body[:-1]
    pieces: list[Piece] = []
    position = 0
    while position < len(body):
        token = _TOKEN.match(body, position)
        if token is None:
            return None
        signs = _signs(token)
        if not signs:
            return None
        if token["low"] is not None:
            low = int(token["low"])
            high = low if token["comma"] is None else int(token["high"]) if token["high"] else 10**6
        else:
            low, high = {None: (1, 1), "*": (0, 10**6), "+": (1, 10**6), "?": (0, 1)}[token["sign"]]
        pieces.append((signs, low, high))
        position = token.end()
    return tuple(pieces)


def _signs(token: re.Match[str]) -> str:
    if token["plain"] is not None:
        return _ANY if token["plain"] == "." else token["plain"]
    if token["escaped"] is not None:
        sign = token["escaped"]
        return _SETS.get(sign, "" if sign.isalnum() else sign)
    return _class(token["class"])


def _class(body: str) -> str:
    if body.startswith("^"):
        return ""
    found: list[str] = []
    index = 0
    while index < len(body):
        if body[index] == "\\":
            sign = body[index + 1]
            found.append(_SETS.get(sign, "" if sign.isalnum() else sign))
            index += 2
        elif index + 2 < len(body) and body[index + 1] == "-" and body[index + 2] != "\\":
            found.append("".join(map(chr, range(ord(body[index]), ord(body[index + 2]) + 1))))
            index += 3
        else:
            found.append(body[index])
            index += 1
    return "".join(found)
