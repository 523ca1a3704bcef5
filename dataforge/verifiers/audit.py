"""How often is a verifier wrong? Cases whose verdict is known beforehand, counted where it is another.

    gold/NAME.jsonl, Verifier.cases(rng) ──► audit ──► Audit

Gold cases are written by hand, generated ones drawn from a seeded generator: positives by construction, and mutants
that break one thing. A right answer that is turned down is a false negative, a wrong one that passes a false positive;
an error where none is due is neither, and counted by its kind. The bounds hold for cases such as these, not for every
answer that a model may give: they are worth what the generator of cases is worth.
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dataforge.errors import InputError
from dataforge.verifiers import library
from dataforge.verifiers.many import verify_all
from dataforge.verifiers.protocol import Case, Verdict, Verifier

Mistake = Literal["false negative", "false positive", "error", "bad span"]

GOLD_AT_LEAST = 20
"""Positives, and negatives, that a gold set has at least."""

ALPHA = 0.05
"""One minus the confidence of the upper bounds."""


def fault(case: Case, verdict: Verdict) -> Mistake | None:
    """What is wrong with a verdict, or None.

    An error is right only where one of its kind is due, and due errors must not pass for wrong answers.
    """
    if case.error is not None:
        if verdict.error == case.error:
            return None
        return "false positive" if verdict.passed else "error"
    if verdict.outcome == "error":
        return "error"
    if verdict.passed != case.passes:
        return "false negative" if case.passes else "false positive"
    return None if _spans_fit(verdict, len(case.response.text)) else "bad span"


def _spans_fit(verdict: Verdict, length: int) -> bool:
    spans = [verdict.span, *(c.span for c in verdict.candidates)]
    return all(span is None or 0 <= span[0] <= span[1] <= length for span in spans)


@dataclass(frozen=True, slots=True)
class Misjudged:
    """A case whose verdict is not what it should be.

    Attributes:
        source: `gold` or `generated`.
        number: the line of the gold file, or which of the generated ones; from 1.
    """

    source: Literal["gold", "generated"]
    number: int
    mistake: Mistake
    case: Case
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "number": self.number,
            "mistake": self.mistake,
            "case": self.case.to_json(),
            "verdict": self.verdict.to_json(),
        }


@dataclass(slots=True)
class Tally:
    """Counts of cases. `errors` are the errors where none was due, or another, by kind."""

    positives: int = 0
    negatives: int = 0
    false_negatives: int = 0
    false_positives: int = 0
    bad_spans: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def count(self, case: Case, verdict: Verdict) -> Mistake | None:
        """Add a case, and say what is wrong with its verdict."""
        if case.passes:
            self.positives += 1
        else:
            self.negatives += 1
        mistake = fault(case, verdict)
        match mistake:
            case "false negative":
                self.false_negatives += 1
            case "false positive":
                self.false_positives += 1
            case "bad span":
                self.bad_spans += 1
            case "error":
                self.errors[verdict.error or "mistaken for an answer"] += 1
        return mistake

    @property
    def wrong(self) -> int:
        """How many verdicts are not what they should be."""
        return self.false_negatives + self.false_positives + self.bad_spans + self.errors.total()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.positives + other.positives,
            self.negatives + other.negatives,
            self.false_negatives + other.false_negatives,
            self.false_positives + other.false_positives,
            self.bad_spans + other.bad_spans,
            self.errors + other.errors,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "positives": self.positives,
            "negatives": self.negatives,
            "false_negatives": self.false_negatives,
            "false_positives": self.false_positives,
            "bad_spans": self.bad_spans,
            "errors": dict(sorted(self.errors.items())),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Tally:
        return Tally(**{**value, "errors": Counter(value["errors"])})


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit of one verifier found."""

    name: str
    family: str
    version: int
    gold: Tally
    generated: Tally
    misjudged: tuple[Misjudged, ...]
    lacks: tuple[str, ...] = ()
    """What an audit needs and the verifier does not have, such as enough gold cases."""

    @property
    def good(self) -> bool:
        """Whether nothing was misjudged and nothing is lacking."""
        return not self.gold.wrong and not self.generated.wrong and not self.lacks

    def to_json(self) -> dict[str, Any]:
        together = self.gold + self.generated
        return {
            "name": self.name,
            "family": self.family,
            "version": self.version,
            "gold": self.gold.to_json(),
            "generated": self.generated.to_json(),
            "false_negative_rate": rate(together.false_negatives, together.positives),
            "false_positive_rate": rate(together.false_positives, together.negatives),
            "misjudged": [one.to_json() for one in self.misjudged],
            "lacks": list(self.lacks),
        }


Progress = Callable[[str, int, int], None]
"""Told of a verifier's name, the cases judged so far, and how many there will be."""


def audit(
    verifier: Verifier[Any],
    *,
    generated: int = 10_000,
    seed: int = 0,
    progress: Progress = lambda name, done, of: None,
) -> Audit:
    """Judge every gold case of a verifier and so many generated ones.

    Args:
        verifier: which.
        generated: how many cases to draw; a verifier that can draw none says so in `lacks`.
        seed: what they are drawn by: the same seed, the same cases.
        progress: told now and then how far it is.

    Raises:
        InputError: V010, where a line of the gold file is no case.
    """
    lacks = []
    written = gold(verifier)
    right = sum(case.passes for case in written)
    for count, what in ((right, "positives"), (len(written) - right, "negatives")):
        if count < GOLD_AT_LEAST:
            lacks.append(f"the gold set has {count} {what}, and should have {GOLD_AT_LEAST}")
    drawn: Iterable[Case] = ()
    if type(verifier).cases is Verifier.cases:
        lacks.append("it has no generated cases")
        generated = 0
    else:
        drawn = itertools.islice(verifier.cases(random.Random(seed)), generated)
    tallies = {"gold": Tally(), "generated": Tally()}
    misjudged = []
    total = len(written) + generated
    cases = ((case, verifier, case.task, case.response) for case in itertools.chain(written, drawn))
    for index, (case, verdict) in enumerate(verify_all(cases)):
        source: Literal["gold", "generated"] = "gold" if index < len(written) else "generated"
        mistake = tallies[source].count(case, verdict)
        if mistake is not None:
            number = index + 1 if source == "gold" else index + 1 - len(written)
            misjudged.append(Misjudged(source, number, mistake, case, verdict))
        progress(verifier.name, index + 1, total)
    return Audit(
        verifier.name,
        verifier.family,
        verifier.version,
        tallies["gold"],
        tallies["generated"],
        tuple(misjudged),
        tuple(lacks),
    )


def gold_file(verifier: Verifier[Any]) -> Path:
    """Where a verifier's gold cases lie: in `gold/` beside `library/`, or beside the module of an installed package's."""
    folder = Path(inspect.getfile(type(verifier))).parent
    if type(verifier).__module__.startswith(f"{library.__name__}."):
        folder = folder.parent
    return folder / "gold" / f"{verifier.name}.jsonl"


def gold(verifier: Verifier[Any]) -> list[Case]:
    """The gold cases of a verifier; none where it has no file of them.

    Raises:
        InputError: V010, where a line is no case.
    """
    path = gold_file(verifier)
    if not path.is_file():
        return []
    cases = []
    # Not `splitlines`, which also breaks at characters that may stand inside JSON strings.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            case = Case.from_json(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path.name}:{number} is no case: {type(error).__name__}: {error}",
                code="V010",
                help="a line of a gold file is what `Case.to_json` writes: note, passes, task, response",
            ) from error
        cases.append(case)
    return cases


def rate(wrong: int, of: int) -> dict[str, float] | None:
    """A share and its upper bound, or None of none."""
    return None if of == 0 else {"rate": wrong / of, "at_most": upper_bound(wrong, of)}


def upper_bound(wrong: int, of: int, alpha: float = ALPHA) -> float:
    """The exact (Clopper–Pearson) one-sided upper bound of a share: at least 1 - alpha of such bounds hold.

    It is the share under which so few of so many come up with a chance of just `alpha`; for none of n about 3/n.
    """
    if of == 0 or wrong >= of:
        return 1.0
    if wrong == 0:
        return -math.expm1(math.log(alpha) / of)
    low, high = wrong / of, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _chance_of_at_most(wrong, of, middle) > alpha:
            low = middle
        else:
            high = middle
    return high


def _chance_of_at_most(wrong: int, of: int, share: float) -> float:
    """The binomial distribution function, its terms by logarithms so that none of them overflows."""
    whole = math.lgamma(of + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(k + 1)
            - math.lgamma(of - k + 1)
            + k * math.log(share)
            + (of - k) * math.log1p(-share)
        )
        for k in range(wrong + 1)
    )
