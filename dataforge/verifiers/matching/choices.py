r"""Which option does a text choose? Every letter or option text that may be its choice, and the one that is.

Places are of three weights. *Final*: behind a lead-in (`Answer: B`, `I choose (B)`), in `\boxed{}` or `<answer>`, `B is
correct`, a line with nothing but an option, the text of an option as the last line. *Stated*: `it is B`, a text that opens with
`B.`. *Mentioned*: `(B)`, `**B**`, the quoted text of an option, or a last line that ends with `is` and an option, and that only
where no other option is named at all.
The heaviest kind that there is decides; two different choices of that kind are none, unless the text takes the earlier
back ("wait, …"). What follows the last of them is read once more, for what adds to it ("or perhaps A", "A is also right").

A letter counts as one only where its sentence cannot go on from it as from a word: "the answer is a bird", "C++", "B-12",
"I think" name no option. Items of a list of options are no choice. Letters of other scripts that look like one are not it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from dataforge.verifiers.matching.asserted import Corrections, visible
from dataforge.verifiers.matching.choice_patterns import UNSURE
from dataforge.verifiers.matching.named import WEIGHTS, Named, added, finals, lighter, stated
from dataforge.verifiers.matching.options import Options
from dataforge.verifiers.protocol import Candidate, Span

MOST_NAMED = 2000
"""A text that names options more often is caught in a loop, and is not read."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a text chooses: a letter and where it stands, or why there is no choice.

    Attributes:
        conflict: whether there is no choice because there are two.
    """

    letter: str | None
    span: Span | None
    candidates: tuple[Candidate, ...]
    fault: str = ""
    conflict: bool = False


def choose(text: str, among: Options, *, cut_off: bool = False) -> Chosen:
    """Find the choice of a text.

    Args:
        text: what a model said, without its thinking.
        among: the options.
        cut_off: whether the model was stopped before its end: what reaches to the end may then be half a word.
    """
    if not text.strip():
        return Chosen(None, None, (), "the answer is empty")
    seen, hidden = visible(text, emphasis=any("<" in option for option in among.spelled))
    found = list(islice(finals(seen, among), MOST_NAMED))
    named = _merged(found)
    if not any(n.weight == "final" and not n.rejected for n in named):
        # What was rejected as an item of a list, say, is not a choice by another reading.
        rejected = {n.span[0] for n in named if n.rejected}
        found = list(islice(lighter(seen, among), MOST_NAMED))
        named = _merged([*named, *(n for n in found if n.span[0] not in rejected)])
    if len(found) >= MOST_NAMED:
        return Chosen(None, None, (), "it names options again and again, without end")
    corrections = Corrections(seen)
    if standing := _heaviest(named):
        named = _merged([*named, *_afterwards(seen, among, standing[-1], corrections)])
    if cut_off:
        end = len(text.rstrip().rstrip("*_`\"'”’»)]}$."))
        named = [
            Named(n.letter, n.span, n.weight, "cut off") if not n.rejected and n.span[1] >= end else n
            for n in named
        ]
    candidates = [Candidate(text[a:b], (a, b), "struck out, or in a comment") for a, b in hidden]
    return _decide(text, seen, named, candidates, corrections)


def _heaviest(named: list[Named]) -> list[Named]:
    """Of the options named that count, those of the heaviest kind there is."""
    for weight in WEIGHTS:
        if standing := [n for n in named if n.weight == weight and not n.rejected]:
            return standing
    return []


def _afterwards(seen: str, among: Options, last: Named, corrections: Corrections) -> Iterator[Named]:
    """Other options that the text behind the last choice adds to it or puts in its place: `Answer: B. Actually, it is A.`"""
    end = last.span[1]
    more = [*islice(added(seen, end, among), MOST_NAMED)]
    if corrections.between(end, len(seen)):
        more += [n for n in islice(stated(seen, among), MOST_NAMED) if corrections.between(end, n.span[0])]
    for one in more:
        if one.letter != last.letter and not one.rejected:
            yield Named(one.letter, one.span, last.weight)


def _decide(
    text: str, seen: str, named: list[Named], candidates: list[Candidate], corrections: Corrections
) -> Chosen:
    standing = _heaviest(named)
    fault = ""
    if standing and standing[0].weight == "mentioned":
        if len({n.letter for n in named}) > 1:
            fault = "it names several options, and none as its answer"
        elif UNSURE.search(seen):
            fault = "it says that it does not know"
    last = standing[-1] if standing else None
    conflict = False
    for one in named:
        why = one.rejected
        if not why and last is not None and one is not last:
            if one.weight != last.weight:
                why = "only named on the way"
            elif one.letter == last.letter:
                why = "said again later"
            elif corrections.between(one.span[1], last.span[0]):
                why = "taken back later"
            else:
                why, conflict = "another final answer follows", not fault
        if one is last and fault:
            why = fault
        candidates.append(Candidate(text[slice(*one.span)], one.span, why))
    if conflict and last is not None:
        candidates = [
            Candidate(c.text, c.span, "another final answer comes before") if c.span == last.span else c
            for c in candidates
        ]
        fault = "it gives two different final answers"
    ordered = tuple(sorted(candidates, key=lambda c: c.span or (0, 0)))
    if last is None or fault:
        return Chosen(None, None, ordered, fault or "it chooses no option", conflict)
    return Chosen(last.letter, last.span, ordered)


def _merged(named: Iterable[Named]) -> list[Named]:
    """In the order of the text; of several readings of one place the one that stands, and of those the heaviest."""
    best: dict[int, Named] = {}
    for one in sorted(named, key=lambda n: (n.span[0], bool(n.rejected), WEIGHTS.index(n.weight))):
        best.setdefault(one.span[0], one)
    return [best[start] for start in sorted(best)]
