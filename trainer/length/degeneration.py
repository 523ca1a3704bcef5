"""Loops and word salad in the thinking: three figures that catch different things, each with what it does not catch.

- `repeated`: of all runs of n words, the share that occurred before in the same text. Catches loops, also those that change a
  word now and then; rises with the length of any text, so it is only compared between arms at similar lengths.
- `loop`: how many words at the end say the same again and again, to the word. Catches a run that hangs; not one that
  got out again, nor one that counts up.
- `strange`: the share of stretches of 64 words that a model of word pairs finds more surprising than 99 in 100 of those in
  the runs that the first arm finished by itself. Catches words in no order, other languages, broken characters; also a
  subject that the first arm never had. Most loops, and plain nonsense in good English, pass.

A problem's own runs never count in what its text is held against, for any arm: else the first arm would know its own text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAMS = (4, 8, 16)
"""Numbers of words whose repetitions are counted: powers of two, each made of two of the one before."""

TURNS = 3
"""How often the end of a text says the same before it counts as a loop."""

LOOP_WORDS = 24
"""And how many words that must be in all: some end with `ha ha ha`."""

STRETCH = 64
"""Words of which the surprise is a mean."""

STRANGE = 0.99
"""The quantile of the first arm's finished runs beyond which a stretch is strange."""

REFERENCE_WORDS = 2_000_000
"""The most that are read of them."""

FEWEST_STRETCHES = 50
"""Of those runs, below which nothing is called strange."""

# A character of scripts without spaces is a word.
_IDEOGRAMS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_IDEOGRAMS}]|[^\W{_IDEOGRAMS}]+|[^\w\s]")

# Of the smoothed word pairs: how many sightings of a word the prior is worth, and what a word unseen is taken to have.
_PRIOR, _UNSEEN = 4.0, 0.5


def words(text: str) -> list[str]:
    """Words and signs, in lower case."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Repetition:
    """What a text repeats.

    Attributes:
        words: how many there are.
        repeated: n → share of its runs of n words that occurred before; 0 where it is too short to have two.
        loop: words at the end that are one passage, at least `TURNS` times over; 0 where there are fewer than `LOOP_WORDS`.
        compressed: bytes of the text after zlib (level 6) by bytes before; short texts have less to gain.
    """

    words: int
    repeated: dict[int, float]
    loop: int
    compressed: float


def repetition(text: str, found: Sequence[str] | None = None) -> Repetition:
    """Loops, to the word and nearly so. `found` are the text's words, where somebody has them."""
    found, raw = words(text) if found is None else found, text.encode("utf-8", "replace")
    known: dict[str, int] = {}
    ids = [known.setdefault(word, len(known)) for word in found]
    return Repetition(
        len(found),
        _repeated(np.array(ids, dtype=np.int64)),
        looped_tail(ids),
        len(zlib.compress(raw, 6)) / len(raw) if raw else 1.0,
    )


def _repeated(ids: NDArray[np.int64]) -> dict[int, float]:
    """By doubling: a run of 2n words is a pair of runs of n, and pairs of numbers are numbered anew, so nothing collides."""
    shares, grams, n = {}, ids, 1
    while n < max(GRAMS):
        grams = grams[:-n] * (len(ids) + 1) + grams[n:] if len(grams) > n else grams[:0]
        distinct, grams = np.unique(grams, return_inverse=True)
        n *= 2
        if n in GRAMS:
            shares[n] = 1 - len(distinct) / len(grams) if len(grams) else 0.0
    return shares


def looped_tail(ids: Sequence[int]) -> int:
    """The most words at the end that repeat one passage `TURNS` times or more; 0 where that is under `LOOP_WORDS`.

    With the words in reverse, the passage of p words goes on repeating for as long as they agree with themselves p further
    on: that is the Z function (Gusfield 1997, section 1.4), which takes time in proportion to the words.
    """
    text, agree = list(ids)[::-1], [0] * len(ids)
    longest = left = right = 0
    # No passage is longer than its share of the text.
    for p in range(1, len(text) // TURNS + 1):
        length = min(right - p, agree[p - left]) if p < right else 0
        while p + length < len(text) and text[length] == text[p + length]:
            length += 1
        agree[p] = length
        if p + length > right:
            left, right = p, p + length
        if length >= (TURNS - 1) * p:
            longest = max(longest, p + length)
    return longest if longest >= LOOP_WORDS else 0


def _plain(found: Sequence[str]) -> list[str]:
    """All numbers are one word, since any of them may be new."""
    return ["0" if word.isdigit() else word for word in found]


_Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Numbers that occur, in increasing order, and how often each does."""


class Reference:
    """A model of word pairs, of the runs that the first arm finished by itself.

    A pair has the probability (c(v, w) + m·p(w)) / (c(v) + m), with p(w) of single words, smoothed likewise
    (MacKay and Peto 1995).

    Args:
        texts: problem and text of each run, in a fixed order; of more than `REFERENCE_WORDS` words the first are taken.

    Attributes:
        threshold: bits a word beyond which a stretch is strange; None where there are too few to tell.
    """

    def __init__(self, texts: Iterable[tuple[Hashable, str]]) -> None:
        runs: dict[Hashable, list[list[str]]] = {}
        left = REFERENCE_WORDS
        for problem, text in texts:
            if found := _plain(words(text))[:left]:
                runs.setdefault(problem, []).append(found)
                left -= len(found)
        # 0 is for words that never occur.
        self._ids = {
            word: number
            for number, word in enumerate(
                sorted({w for all_runs in runs.values() for run in all_runs for w in run}), 1
            )
        }
        numbers = {problem: [self._numbers(run) for run in all_runs] for problem, all_runs in runs.items()}
        self._own = {problem: self._count(all_runs) for problem, all_runs in numbers.items()}
        self._all = self._count([run for all_runs in numbers.values() for run in all_runs])
        self._words = int(self._all[0][1].sum())
        bits = [self._bits(problem, run) for problem, all_runs in numbers.items() for run in all_runs]
        stretches = np.concatenate([np.zeros(0), *bits])
        enough = len(runs) > 1 and len(stretches) >= FEWEST_STRETCHES
        self.threshold = float(np.quantile(stretches, STRANGE)) if enough else None

    def strange(self, problem: Hashable, found: Sequence[str]) -> float | None:
        """The share of the stretches of a text, given as its words, that are strange.

        None where it has no whole stretch, or nothing is known.
        """
        if self.threshold is None:
            return None
        bits = self._bits(problem, self._numbers(_plain(found)))
        return float((bits > self.threshold).mean()) if len(bits) else None

    def _numbers(self, found: Sequence[str]) -> NDArray[np.int64]:
        return np.array([self._ids.get(word, 0) for word in found], dtype=np.int64)

    def _pairs(self, run: NDArray[np.int64]) -> NDArray[np.int64]:
        return run[:-1] * (len(self._ids) + 1) + run[1:]

    def _count(self, runs: Sequence[NDArray[np.int64]]) -> tuple[_Counts, _Counts]:
        none = np.zeros(0, dtype=np.int64)
        single, pairs = (
            np.unique(np.concatenate([none, *parts]), return_counts=True)
            for parts in (runs, [self._pairs(run) for run in runs])
        )
        return single, pairs

    def _bits(self, problem: Hashable, run: NDArray[np.int64]) -> NDArray[np.float64]:
        """Bits a word of each stretch, by all that is known but for what comes from the same problem."""
        if len(run) <= STRETCH:
            return np.zeros(0)
        own = self._own.get(problem)

        def seen(kind: int, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
            found = _look_up(self._all[kind], numbers)
            return found - _look_up(own[kind], numbers) if own else found

        in_all = self._words - (int(own[0][1].sum()) if own else 0)
        alone = (seen(0, run) + _UNSEEN) / (in_all + _UNSEEN * (len(self._ids) + 1))
        before = seen(0, run[:-1])
        in_pairs = (seen(1, self._pairs(run)) + _PRIOR * alone[1:]) / (before + _PRIOR)
        parts = np.array_split(-np.log2(in_pairs), len(in_pairs) // STRETCH)
        return np.array([part.mean() for part in parts])


def _look_up(counts: _Counts, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    there, times = counts
    if not len(there):
        return np.zeros(len(numbers))
    places = np.minimum(np.searchsorted(there, numbers), len(there) - 1)
    return np.where(there[places] == numbers, times[places], 0).astype(np.float64)
