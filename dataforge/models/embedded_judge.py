"""The embedded judge: grades by measuring, not by understanding. Smoke-grade, and meant to be no more.

It reads a grading prompt, turns work and context into sentence vectors, and scores four things it can measure:
*relevance* (nearness of answer and question), *grounding* (whether each sentence, its words and its numbers are borne
out by the passage), *clarity* (length, repetition, echo, an unfinished end) and *standalone* (whether a question points
at a text that its reader lacks). It catches answers that are empty, stuck, copied, off the topic or made up out of other
words. It cannot tell a true sentence from a false one in the same words: "the price rose" and "the price fell" are alike
to it. Every reason states the figures, so that nobody takes the score for an opinion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataforge.models import prose
from dataforge.models.grading import Criterion, GradingTask
from dataforge.models.minilm import Encoder

_MAX_WORK_SENTENCES = 60
_MAX_SOURCE_SENTENCES = 200
_MAX_SOURCE_WORDS = 400
_SHORT_ANSWER_WORDS = 25
_SAME_FIELD = 0.48
"""Cosine of two words above which one may stand for the other (`stone` for `rock`, not `cheese`)."""

_QUESTION_STRUCTS = ("question", "instruction", "query", "prompt", "task", "request")
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "standalone",
        ("standalone", "stand-alone", "stand alone", "self-contained", "self contained", "without the"),
    ),
    ("contextual", ("contextual", "needs the", "needs context", "context-dependent")),
    (
        "grounding",
        ("ground", "faithful", "support", "accura", "correct", "factual", "truth", "hallucinat", "entail"),
    ),
    ("relevance", ("relevan", "on topic", "on-topic", "responsive", "addresses", "answers the", "answerab")),
    (
        "clarity",
        ("clear", "clarity", "fluen", "readab", "coheren", "gramma", "style", "concise", "quality", "format"),
    ),
)
"""Kind of measure → what its criteria are called. The name decides; the description only where the name says nothing."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value from 0 (fails) over 0.75 (passes) to 1, and the figures it was made from."""

    value: float
    said: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """One text of the task with its sentences and their vectors."""

    text: str
    sentences: list[str] = field(default_factory=list)
    vectors: Any = None

    def __bool__(self) -> bool:
        return bool(self.sentences)


@dataclass(frozen=True, slots=True)
class _Case:
    work: _Piece
    question: _Piece
    source: _Piece
    work_asks: bool
    """Whether the work is itself a question."""


def grade(task: GradingTask, encoder: Encoder) -> list[dict[str, Any]]:
    """One entry a criterion, as the verdict's schema has them."""
    case = _case(task, encoder)
    if (void := _void(case)) is not None:
        return [_entry(criterion, void) for criterion in task.criteria]
    measures: dict[str, Measure] = {"clarity": _clarity(case)}
    if (relevance := _relevance(case, encoder)) is not None:
        measures["relevance"] = relevance
    if (grounding := _grounding(case, encoder)) is not None:
        measures["grounding"] = grounding
    if case.work_asks:
        measures |= _standing(case)
    return [_entry(criterion, _chosen(criterion, measures)) for criterion in task.criteria]


def _case(task: GradingTask, encoder: Encoder) -> _Case:
    asked = {name: _text(fields) for name, fields in task.context.items() if _asks(name)}
    given = {name: _text(fields) for name, fields in task.context.items() if not _asks(name)}
    if not asked:
        # No struct is called a question; a text that ends like one will do.
        asked = {
            name: text for name, text in given.items() if text.rstrip().endswith("?") and len(text) < 1000
        }
        given = {name: text for name, text in given.items() if name not in asked}
    return _Case(
        work=_piece("\n".join(_text(fields) for fields in task.work.values()), _MAX_WORK_SENTENCES, encoder),
        question=_piece("\n".join(asked.values()), _MAX_WORK_SENTENCES, encoder),
        source=_piece("\n".join(given.values()), _MAX_SOURCE_SENTENCES, encoder),
        work_asks=all(_asks(name) for name in task.work),
    )


def _asks(struct: str) -> bool:
    return any(word in struct.lower() for word in _QUESTION_STRUCTS)


def _text(fields: Mapping[str, Any]) -> str:
    """The prose of a struct: its field `text` where it has one, else whatever in it is no mere label."""
    if isinstance(fields.get("text"), str):
        return str(fields["text"])
    found = [text for text in _strings(fields) if len(text.split()) > 2]
    return "\n".join(found or _strings(fields))


def _strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case Mapping():
            return [text for inner in value.values() for text in _strings(inner)]
        case list():
            return [text for inner in value for text in _strings(inner)]
        case _:
            return []


def _piece(text: str, most: int, encoder: Encoder) -> _Piece:
    found = prose.sentences(text)[:most]
    return _Piece(text, found, encoder.encode(found)) if found else _Piece(text)


def _void(case: _Case) -> Measure | None:
    """What no criterion can make good."""
    if not case.work:
        return Measure(0.0, "there is no text to grade")
    if (stuck := prose.repetition(case.work.text)) >= 0.5:
        return Measure(0.0, f"stuck: {stuck:.0%} of its three-word runs occurred before")
    if case.work_asks:
        return None
    told, source = len(case.work.text.split()), len(case.source.text.split())
    of_question = prose.copied(case.work.text, case.question.text)
    if of_question >= 0.8 and told <= 1.3 * len(case.question.text.split()):
        return Measure(0.0, f"an echo: {of_question:.0%} of it stands in the question")
    of_source = prose.copied(case.work.text, case.source.text)
    if of_source >= 0.8 and source >= 30 and told >= 0.7 * source:
        return Measure(
            0.0, f"a copy: {of_source:.0%} of it stands in the source, nearly all of which it repeats"
        )
    return None


def _clarity(case: _Case) -> Measure:
    text = case.work.text
    count = len(text.split())
    said, value = [f"{count} words"], 1.0
    longest = 60 if case.work_asks else 1000
    faults = (
        (count < 2, 0.3, "a single word"),
        (count > longest, 0.4, f"longer than {longest} words"),
        ((stuck := prose.repetition(text)) > 0.1, min(1.0, 2.5 * stuck), f"{stuck:.0%} repeated"),
        (prose.unfinished(text), 0.4, "the last sentence breaks off"),
        (prose.chatter(text), 0.4, "opens with talk about the task"),
        (case.work_asks and not prose.asks(text), 0.5, "asks nothing"),
        (
            (foreign := prose.foreign_share(text))
            > prose.foreign_share(case.question.text + case.source.text) + 0.2,
            0.6,
            f"{foreign:.0%} in another script",
        ),
    )
    for found, cost, name in faults:
        if found:
            value -= cost
            said.append(name)
    return Measure(max(0.0, value), ", ".join(said) + ("" if len(said) > 1 else ", no fault found"))


def _relevance(case: _Case, encoder: Encoder) -> Measure | None:
    if not case.question:
        if not case.source:
            return None
        near = _nearest(case.work, case.source)
        mean = float(near.mean())
        return Measure(
            _graded(mean, 0.25, 0.45, 0.7), f"cosine to the nearest sentence of the source {mean:.2f}"
        )
    whole, *parts = _cosines(encoder, case.question.text, [case.work.text, *case.work.sentences])
    best = max(whole, *parts)
    said = f"cosine to the question {best:.2f}"
    if _brings_from_source(case, case.work.text):
        alone, together = _in_source(encoder, case, case.work.text)
        if together - alone >= 0.02:
            best = max(best, together)
            said += f"; with it {together:.2f} to the source, {alone:.2f} without"
    return Measure(_graded(best, 0.2, 0.38, 0.7), said)


def _grounding(case: _Case, encoder: Encoder) -> Measure | None:
    if not case.source:
        return None
    if case.work_asks:
        near = float(_nearest(case.work, case.source).max())
        return Measure(
            _graded(near, 0.25, 0.45, 0.7), f"cosine to the nearest sentence of the source {near:.2f}"
        )
    given = prose.content_words(case.source.text + "\n" + case.question.text)[:_MAX_SOURCE_WORDS]
    known_numbers = prose.numbers(case.source.text + " " + case.question.text)
    values, figures = [], []
    for sentence, near in zip(case.work.sentences, _nearest(case.work, case.source), strict=True):
        close = float(near)
        if _brings_from_source(case, sentence):
            alone, together = _in_source(encoder, case, sentence)
            close = max(close, together if together > alone else 0.0)
        told = prose.content_words(sentence)
        strange = _strange(told, given, encoder)
        odd_numbers = sorted(prose.numbers(sentence) - known_numbers)
        support = 1 - len(strange) / len(told) if told else 1.0
        value = min(
            _graded(close, 0.3, 0.5, 0.8), _graded(support, 0.4, 0.66, 1.0), 0.2 if odd_numbers else 1.0
        )
        values.append(value)
        strangers = ", ".join([*strange, *odd_numbers][:4])
        figures.append(
            (
                value,
                f"cosine {close:.2f}, {support:.0%} of its words borne out"
                + (f" (not: {strangers})" if strangers else ""),
            )
        )
    # Half the mean, half the worst: one invented sentence spoils an answer, one clumsy sentence does not.
    value = (sum(values) / len(values) + min(values)) / 2
    return Measure(value, f"weakest of {len(values)} sentences: {min(figures)[1]}")


def _standing(case: _Case) -> dict[str, Measure]:
    found = prose.pointers(case.work.text)
    said = f"points outside itself: {', '.join(found[:3])}" if found else "points at nothing outside itself"
    return {
        "standalone": Measure(0.1 if found else 1.0, said),
        "contextual": Measure(1.0 if found else 0.1, said),
    }


def _strange(told: Sequence[str], given: Sequence[str], encoder: Encoder) -> list[str]:
    """Words of the work that the source has in no form, nor anything near them in meaning."""
    missing = [word for word in told if word not in prose.supported(told, given)]
    if not missing or not given:
        return missing
    nearness = (encoder.encode(missing) @ encoder.encode(given).T).max(axis=1)
    return [word for word, near in zip(missing, nearness, strict=True) if near < _SAME_FIELD]


def _brings_from_source(case: _Case, answer: str) -> bool:
    """Whether a short answer tells something that the source says and the question does not.

    "About 1450." is nothing like its question. But question and answer together are like the sentence that holds the
    answer, and more so than the question alone. That is worth measuring only where there is something to find.
    """
    if not case.question or not case.source or len(answer.split()) > _SHORT_ANSWER_WORDS:
        return False
    fresh = prose.numbers(answer) - prose.numbers(case.question.text)
    told = prose.content_words(answer)
    asked = prose.supported(told, prose.content_words(case.question.text))
    new_words = [word for word in told if word not in asked]
    return bool(
        fresh & prose.numbers(case.source.text)
        or prose.supported(new_words, prose.content_words(case.source.text))
    )


def _in_source(encoder: Encoder, case: _Case, answer: str) -> tuple[float, float]:
    """How near the source comes to the question alone, and to question and answer together."""
    vectors = encoder.encode([case.question.text, f"{case.question.text} {answer}"])
    alone, together = (vectors @ case.source.vectors.T).max(axis=1)
    return float(alone), float(together)


def _nearest(piece: _Piece, source: _Piece) -> Any:
    """For each sentence its cosine to the nearest sentence of the source, `[sentences]`."""
    return (piece.vectors @ source.vectors.T).max(axis=1)


def _cosines(encoder: Encoder, one: str, others: Sequence[str]) -> list[float]:
    vectors = encoder.encode([one, *others])
    return [float(cosine) for cosine in vectors[1:] @ vectors[0]]


def _graded(raw: float, failing: float, passing: float, best: float) -> float:
    """Map a figure to 0 at `failing`, 0.75 at `passing` and 1 at `best`, straight in between."""
    if raw < passing:
        return max(0.0, 0.75 * (raw - failing) / (passing - failing))
    return min(1.0, 0.75 + 0.25 * (raw - passing) / (best - passing))


def _chosen(criterion: Criterion, measures: Mapping[str, Measure]) -> Measure:
    kind = _kind(criterion.name) or _kind(criterion.description)
    if kind in measures:
        return Measure(measures[kind].value, f"{kind}: {measures[kind].said}")
    counted = {name: one for name, one in measures.items() if name in {"clarity", "relevance", "grounding"}}
    mean = sum(one.value for one in counted.values()) / len(counted)
    worst = min(one.value for one in counted.values())
    # A flat failure is not made good by the rest.
    value = min(mean, 0.7) if worst < 0.6 else mean
    shown = "; ".join(f"{name} {one.value:.2f} ({one.said})" for name, one in counted.items())
    return Measure(value, f"no measure of its own, so the mean of all: {shown}")


def _kind(text: str) -> str:
    text = text.lower().replace("_", " ")
    return next((kind for kind, names in _KINDS if any(name in text for name in names)), "")


def _entry(criterion: Criterion, measure: Measure) -> dict[str, Any]:
    width = criterion.high - criterion.low
    score = round(criterion.low + measure.value * width, 1 if width >= 2 else 2)
    return {
        "criterion": criterion.name,
        "reason": measure.said,
        "score": min(max(score, criterion.low), criterion.high),
    }
