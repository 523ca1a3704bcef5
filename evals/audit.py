"""How far a score depends on the parser: several rules over the same completions, where they disagree, and by how much.

A report on Hermes 4 (arXiv:2508.18255, section 4) found that a popular parser of GPQA answers and a strong model's reading
disagreed on 7.3% of samples. Here every sample of a log is read by each rule, ours first; the table says how often each pair
differs, the score under each, and the swing between the highest and the lowest. A judge model can be one of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataforge.errors import InputError
from dataforge.models.client import ChatRequest
from evals.log import Log
from evals.rules import Rule, Taken, options_of, rules_for, said_by, score_of
from evals.summary import Figure, figure_of
from evals.task import Ask, Item
from schemas.chat import Message
from schemas.evallog import LOST, Sample

OURS, JUDGE = "ours", "judge"


@dataclass(frozen=True, slots=True)
class Read:
    """One sample under all rules.

    Attributes:
        taken: rule → what it takes; None where it takes nothing.
        scores: rule → what that is worth.
    """

    sample: Sample
    taken: Mapping[str, str | None]
    scores: Mapping[str, float]

    @property
    def disagrees(self) -> bool:
        """Whether the rules give different scores."""
        return len(set(self.scores.values())) > 1


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        rules: names, ours first.
        scores: rule → the score of the log under it.
        takes: rule → the share of samples in which it takes anything.
        disagreement: pair of rules → the share of samples whose score differs between them.
        swing: the highest score less the lowest.
        reads: the samples, in the order of the log; those that a server lost are left out.
    """

    rules: tuple[str, ...]
    scores: Mapping[str, Figure]
    takes: Mapping[str, float]
    disagreement: Mapping[tuple[str, str], float]
    swing: float
    reads: tuple[Read, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": len(self.reads),
            "rules": list(self.rules),
            "scores": {name: figure.to_json() for name, figure in self.scores.items()},
            "takes": dict(self.takes),
            "disagreement": [{"a": a, "b": b, "share": share} for (a, b), share in self.disagreement.items()],
            "swing": self.swing,
            "samples_that_disagree": [
                {
                    "item": r.sample.item,
                    "sample": r.sample.sample,
                    "taken": dict(r.taken),
                    "scores": dict(r.scores),
                }
                for r in self.reads
                if r.disagrees
            ],
        }


def audit(
    log: Log, items: Mapping[str, Item], judged: Mapping[tuple[str, int], str | None] | None = None
) -> Audit:
    """Read the samples of a log by every rule that there is for its verifier.

    Args:
        judged: what a judge model took from each sample, where one was asked.

    Raises:
        InputError: E024, no rule is for what the log's items are judged by, or there is no sample.
    """
    verifier = verifier_of(log, items)
    rules = rules_for(verifier)
    reads = [
        _read(sample, items[sample.item], verifier, rules, judged)
        for sample in log.samples
        if sample.status not in LOST
    ]
    if not reads:
        raise InputError(
            "the log has no sample that was answered", code="E024", help="run the evaluation first"
        )
    names = (OURS, *(rule.name for rule in rules), *((JUDGE,) if judged is not None else ()))
    scores: dict[str, Figure] = {}
    for name in names:
        by = {read.sample.key: read.scores[name] for read in reads}
        figure = figure_of((read.sample for read in reads), lambda sample, by=by: by[sample.key])  # type: ignore[misc]
        assert figure is not None
        scores[name] = figure
    values = [figure.value for figure in scores.values()]
    return Audit(
        names,
        scores,
        {name: sum(read.taken[name] is not None for read in reads) / len(reads) for name in names},
        {
            (a, b): sum(read.scores[a] != read.scores[b] for read in reads) / len(reads)
            for at, a in enumerate(names)
            for b in names[at + 1 :]
        },
        max(values) - min(values),
        tuple(reads),
    )


def verifier_of(log: Log, items: Mapping[str, Item]) -> str:
    """What the items of a log are judged by.

    Raises:
        InputError: E024, there are no rules for it.
    """
    named = {item.task.verifier for item in items.values()} - {""} or set(log.manifest.get("verifier") or ())
    for name in sorted(named):
        if rules_for(name):
            return name
    raise InputError(
        f"other rules are known for choices and values, and the items of `{log.task}` are judged by {', '.join(sorted(named)) or 'none'}",
        code="E024",
        help="audit a log of a multiple-choice or mathematical evaluation",
    )


def _read(
    sample: Sample,
    item: Item,
    verifier: str,
    rules: Sequence[Rule],
    judged: Mapping[tuple[str, int], str | None] | None,
) -> Read:
    taken: dict[str, str | None] = {OURS: sample.extracted if sample.status in ("right", "wrong") else None}
    scores: dict[str, float] = {OURS: float(sample.status == "right")}
    for rule in rules:
        found = rule.take(said_by(sample), options_of(item))
        taken[rule.name] = None if found is None else found.text
        scores[rule.name] = score_of(found, item, verifier)
    if judged is not None:
        text = judged.get(sample.key)
        taken[JUDGE] = text
        scores[JUDGE] = score_of(None if text is None else Taken(text), item, verifier)
    return Read(sample, taken, scores)


_NOTHING = "NONE"


async def ask_judge(sample: Sample, item: Item, judge: Ask) -> str | None:
    """What a judge model reads as the final answer of a completion, without being told the right one; None where it sees none.

    Raises:
        ModelError: it cannot be asked.
    """
    options = options_of(item)
    what = "the letter of the option" if options else "the value"
    prompt = (
        "Below is a question and a reply. Do not solve the question. Say what the reply gives as its final answer: "
        f"{what}, copied, or {_NOTHING} where it gives none or several. End with a line `Final: ` and that alone.\n\n"
        f"QUESTION\n{item.said()[-1].content}\n\nREPLY\n{sample.completion}\n\n(end of the reply)"
    )
    reply = await judge(ChatRequest((Message(role="user", content=prompt),)))
    lines = [
        line for line in reply.text.splitlines() if line.strip().lower().lstrip("*_ ").startswith("final")
    ]
    said = lines[-1].partition(":")[2].strip(" *_`.()") if lines else ""
    return said if said and said.upper() != _NOTHING else None


def table(found: Audit) -> str:
    """The audit for people, in Markdown."""
    lines = ["| rule | score | takes something | differs from ours |", "|---|---|---|---|"]
    for name in found.rules:
        figure = found.scores[name]
        apart = 0.0 if name == OURS else found.disagreement[OURS, name]
        bounds = (
            ""
            if figure.low is None or figure.high is None
            else f" ({100 * figure.low:.1f} to {100 * figure.high:.1f})"
        )
        lines.append(
            f"| {name} | {100 * figure.value:.1f}{bounds} | {100 * found.takes[name]:.1f}% | {100 * apart:.1f}% |"
        )
    lines.append("")
    lines.append(
        f"The headline swings by {100 * found.swing:.1f} points with the parser, over {len(found.reads):,} samples."
    )
    return "\n".join(lines) + "\n"
