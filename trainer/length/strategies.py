"""Which tokens of a reasoning turn the loss sees: one function a strategy, found by name.

A row of a corpus names its strategy in the column `mask`, with an argument behind a colon where it takes one
(`window:256`); a row without one is trained as all others are. `standard` is what they get.

A strategy says two things that must agree: of which pieces the loss sees how many tokens, and which tokens these are. They
are held together on every sample, since a mask that is off by one trains another token, and no curve shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dataforge.errors import InputError
from trainer.turn import Turn

PIECES = tuple(field.name for field in fields(Turn))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the loss sees of a turn.

    Attributes:
        pieces: of which pieces it sees how many tokens, counted from their end.
        tokens: what it sees, in order.
    """

    pieces: Mapping[str, int]
    tokens: tuple[int, ...]


def _tag(turn: Turn, _: int) -> Seen:
    """The tag and the end of the turn, as in Hermes 4: two positions where the tag is one token."""
    return Seen(_whole(turn, "tag", "end"), turn.tag + turn.end)


def _standard(turn: Turn, _: int) -> Seen:
    """All that the assistant says, the thinking too."""
    return Seen(_whole(turn, *PIECES[1:]), turn.tokens[len(turn.prompt) :])


def _answer(turn: Turn, _: int) -> Seen:
    """The tag and everything behind it."""
    return Seen(_whole(turn, "tag", "answer", "end"), turn.tag + turn.answer + turn.end)


def _window(turn: Turn, last: int) -> Seen:
    """The last tokens of thinking, what stands before the tag, the tag, and the end of the turn."""
    pieces = {"thinking": last, **_whole(turn, "before_tag", "tag", "end")}
    # Counted from the front, since the last 0 of a tuple are not `[-0:]`.
    seen = turn.thinking[max(0, len(turn.thinking) - last) :]
    return Seen(pieces, seen + turn.before_tag + turn.tag + turn.end)


def _truncated(turn: Turn, _: int) -> Seen:
    """The thinking alone: what is learnt of a trace that was cut at its end and never closed."""
    return Seen(_whole(turn, "opening", "thinking"), turn.opening + turn.thinking)


STRATEGIES: dict[str, Callable[[Turn, int], Seen]] = {
    "tag": _tag,
    "standard": _standard,
    "answer": _answer,
    "window": _window,
    "truncated": _truncated,
}

_COUNTS = frozenset({"window"})
"""Strategies that take a number of tokens."""


def _whole(turn: Turn, *pieces: str) -> dict[str, int]:
    return {piece: len(getattr(turn, piece)) for piece in pieces}


def strategy(name: str, row: str = "") -> tuple[str, int]:
    """A strategy's name and its number of tokens, 0 where it takes none.

    Args:
        row: what errors call the sample that names it.

    Raises:
        InputError: no such strategy, or its argument is wrong (L006).
    """
    what, colon, argument = name.partition(":")
    if what not in STRATEGIES:
        raise _wrong(name, row, "there is no such strategy")
    if what not in _COUNTS:
        if colon:
            raise _wrong(name, row, f"`{what}` takes no argument")
        return what, 0
    if not (argument.isascii() and argument.isdigit() and len(argument) < 10):
        raise _wrong(name, row, f"`{what}` takes a number of tokens")
    return what, int(argument)


def mask(name: str, turn: Turn, row: str = "") -> NDArray[np.bool_]:
    """Bool `[len(turn.tokens)]`, True where the loss sees the token.

    `tag`: the tag and the end of the turn, nothing else (exactly two positions where the tag is one token);
    `standard`: opening, thinking, before_tag, tag, answer and end; `answer`: tag, answer and end;
    `window:K`: the last K tokens of thinking (0 for none), before_tag, tag and end; `truncated`: opening and thinking.

    Args:
        row: what errors call the sample.

    Raises:
        InputError: no such strategy, its argument is wrong, or the turn does not hold what it promises (L006).
    """
    what, last = strategy(name, row)
    seen = STRATEGIES[what](turn, last)
    lengths = [len(getattr(turn, piece)) for piece in PIECES]
    there = all(n <= len(getattr(turn, piece)) for piece, n in seen.pieces.items())
    trained = np.zeros(sum(lengths), np.bool_)
    for piece, end in zip(PIECES, np.cumsum(lengths), strict=True):
        trained[end - seen.pieces.get(piece, 0) : end] = True
    found = np.array(turn.tokens, np.int64)[trained].tolist()
    closed = bool(turn.thinking and turn.tag) and len(turn.end) == 1
    if not (there and closed and tuple(found) == seen.tokens):
        raise _unkept(name, turn, sum(seen.pieces.values()), row)
    return trained


def _unkept(name: str, turn: Turn, trained: int, row: str) -> InputError:
    has = ", ".join(f"{piece} {len(getattr(turn, piece)):,}" for piece in PIECES[1:])
    return InputError(
        f"{_place(row)}the mask `{name}` does not fit: it would train {trained:,} tokens of a turn"
        f" with {has}",
        code="L006",
        help="a turn must think, close its thinking, and end; `window:K` needs K tokens of thinking",
    )


def _wrong(name: str, row: str, why: str) -> InputError:
    known = ", ".join(f"{each}:K" if each in _COUNTS else each for each in STRATEGIES)
    return InputError(f"{_place(row)}the mask `{name}`: {why}", code="L006", help=f"it is one of {known}")


def _place(row: str) -> str:
    return f"row {row}: " if row else ""
