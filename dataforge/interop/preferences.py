"""Pairs of a better and a worse answer to one prompt, from samples that a verifier told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from dataforge.actions.rollouts import near
from dataforge.interop.forms import Thinking, messages, tools
from dataforge.interop.siblings import Sample

Pairs = Literal["best", "all"]


def pairs(samples: Sequence[Sample], which: Pairs, most: int) -> tuple[list[tuple[Sample, Sample]], int]:
    """Pairs of one prompt, and how many were left out since the two say nearly the same.

    Args:
        samples: of one prompt.
        which: `best` is one pair, of the best that won and the worst that lost; `all` is each with each, spread so that a
            bound takes every answer once before any twice.
        most: at most so many pairs.
    """
    winners = sorted((s for s in samples if s.won), key=lambda s: -_score(s, 1.0))
    losers = sorted((s for s in samples if not s.won), key=lambda s: _score(s, 0.0))
    found: list[tuple[Sample, Sample]] = []
    alike = 0
    for winner, loser in _each_with_each(winners, losers):
        if near(winner.text, loser.text):
            alike += 1
            continue
        found.append((winner, loser))
        if len(found) >= (1 if which == "best" else most):
            break
    return found, alike


def preference(chosen: Sample, rejected: Sample, thinking: Thinking) -> dict[str, Any]:
    """A pair in TRL's conversational preference form, which DPO, ORPO, CPO and reward trainers read."""
    told: dict[str, Any] = {
        "prompt": messages(chosen.prompt, thinking),
        "chosen": messages([chosen.answer], thinking),
        "rejected": messages([rejected.answer], thinking),
    }
    return told | {"tools": tools(chosen.row)} if chosen.row.tools else told


def _each_with_each(winners: Sequence[Sample], losers: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """By rounds: in each every answer of the longer side stands once, beginning with the best and the worst."""
    longer = max(len(winners), len(losers))
    for shift in range(min(len(winners), len(losers))):
        for at in range(longer):
            if len(winners) >= len(losers):
                yield winners[at], losers[(at + shift) % len(losers)]
            else:
                yield winners[(at + shift) % len(winners)], losers[at]


def _score(sample: Sample, otherwise: float) -> float:
    return otherwise if sample.score is None else sample.score
