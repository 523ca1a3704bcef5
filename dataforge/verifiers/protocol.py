"""What a verifier is: a pure function of a task's hidden facts and a model's response to a verdict.

    Task + Response ──► Verifier.check ──► Verdict

A verifier is one file of `library/`: a subclass of `Verifier` whose `name` is the file's. It has no clock, network,
disk or global random state, and its verdict does not depend on the hash seed. It never raises over what a model wrote:
a wrong answer is `failed`, one that cannot be found is `unparsed`. What is not the model's fault (facts that make no
sense, a limit of time, no sandbox, a bug) is an `error`, has no score, and so is never taken for a wrong answer.
"""

from __future__ import annotations

import itertools
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dataforge.errors import InputError
from schemas.chat import Message
from schemas.task import Task

Outcome = Literal["passed", "failed", "unparsed", "error"]
ErrorKind = Literal["task", "timeout", "isolation", "verifier"]
"""Whose fault an error is: facts that make no sense, a verifier out of time, no sandbox to be had, a bug of a verifier."""

Span = tuple[int, int]
"""Start and end of a piece of `Response.text`, in characters."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered.

    Attributes:
        text: the content. It may begin with `<think>…</think>` where the server did not split the thinking off.
        reasoning: the thinking, where the server or client split it off.
        tool_calls: as in OpenAI's API, where the server parsed them; each with `function.name` and `function.arguments`.
        finish_reason: `stop`, `length` or whatever the server said; None where that is not known.
        turns: the whole conversation after the task's own messages, where tools were really executed: assistant and
            tool turns, the last of them the turn that `text` is of. Empty for an answer of one turn.
    """

    text: str
    reasoning: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    turns: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that could have been the answer.

    Attributes:
        text: as it stands in the response.
        span: where it stands, or None where it is not a piece of `Response.text`.
        rejected: why it was not taken; empty for the one that was.
    """

    text: str
    span: Span | None = None
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says.

    Attributes:
        outcome: `passed`, `failed` (there is an answer and it is wrong), `unparsed` (there is no answer that can be
            read), or `error` (nothing can be said of the response).
        score: from 0 to 1; None exactly where the outcome is `error`.
        reason: for people, and for a model that is to do better: what is wrong, without giving the answer away.
        extracted: the answer that was judged, as it was read; None where none was found.
        span: where in `Response.text` it stands.
        candidates: everything that was considered, in the order of the text, with why it was not taken.
        error: whose fault it is, where the outcome is `error`.
        parts: scores of the parts of a compound check, each from 0 to 1, such as `validity` and `fidelity`.
    """

    outcome: Outcome
    score: float | None
    reason: str = ""
    extracted: str | None = None
    span: Span | None = None
    candidates: tuple[Candidate, ...] = ()
    error: ErrorKind | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.outcome == "error") != (self.score is None) or (self.outcome == "error") != (
            self.error is not None
        ):
            raise ValueError("an error has a kind and no score, and nothing else lacks a score")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score is from 0 to 1, and this is {self.score}")

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.outcome == "passed"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for logs."""
        return {
            "outcome": self.outcome,
            "score": self.score,
            "passed": self.passed,
            "reason": self.reason,
            "extracted": self.extracted,
            "span": list(self.span) if self.span is not None else None,
            "candidates": [
                {"text": c.text, "span": list(c.span) if c.span is not None else None, "rejected": c.rejected}
                for c in self.candidates
            ],
            "error": self.error,
            "parts": dict(self.parts),
        }


def passed(
    extracted: str | None = None,
    span: Span | None = None,
    *,
    reason: str = "",
    score: float = 1.0,
    candidates: Sequence[Candidate] = (),
    parts: Mapping[str, float] | None = None,
) -> Verdict:
    """The verdict on a right answer."""
    return Verdict("passed", score, reason, extracted, span, tuple(candidates), None, parts or {})


def failed(
    reason: str,
    extracted: str | None = None,
    span: Span | None = None,
    *,
    score: float = 0.0,
    candidates: Sequence[Candidate] = (),
    parts: Mapping[str, float] | None = None,
) -> Verdict:
    """The verdict on a wrong answer; a score above 0 gives credit for a part of it."""
    return Verdict("failed", score, reason, extracted, span, tuple(candidates), None, parts or {})


def unparsed(reason: str, *, candidates: Sequence[Candidate] = ()) -> Verdict:
    """The verdict on a response in which no answer can be found."""
    return Verdict("unparsed", 0.0, reason, candidates=tuple(candidates))


def error(kind: ErrorKind, reason: str) -> Verdict:
    """No verdict, and why."""
    return Verdict("error", None, reason, error=kind)


class Facts(BaseModel):
    """Base of what a verifier reads from `Task.facts`: its fields are also the arguments that `verify NAME(…)` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]
"""Several texts, or one: a fact that a field of the state can be."""

F = TypeVar("F", bound=Facts)


@dataclass(frozen=True, slots=True)
class Case:
    """A response whose verdict is known beforehand, to audit a verifier with.

    Attributes:
        passes: whether it must pass.
        note: what it tries: `two answers`, `answer in the reasoning only`, `one item dropped`.
        error: the kind of error that it must give; `passes` is False then.
    """

    task: Task
    response: Response
    passes: bool
    note: str
    error: ErrorKind | None = None

    def to_json(self) -> dict[str, Any]:
        """One line of a gold file, as JSON values: what is empty is left out."""
        response: dict[str, Any] = {"text": self.response.text}
        if self.response.reasoning is not None:
            response["reasoning"] = self.response.reasoning
        if self.response.tool_calls:
            response["tool_calls"] = [dict(call) for call in self.response.tool_calls]
        if self.response.finish_reason is not None:
            response["finish_reason"] = self.response.finish_reason
        if self.response.turns:
            response["turns"] = [turn.model_dump(exclude_none=True) for turn in self.response.turns]
        line = {
            "note": self.note,
            "passes": self.passes,
            "task": self.task.model_dump(exclude_defaults=True),
            "response": response,
        }
        return line if self.error is None else {**line, "error": self.error}

    @staticmethod
    def from_json(line: Mapping[str, Any]) -> Case:
        """Read a line of a gold file.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return Case(
            Task.model_validate(line["task"]),
            response_from_json(line["response"]),
            bool(line["passes"]),
            str(line["note"]),
            line.get("error"),
        )


def response_from_json(value: str | Mapping[str, Any]) -> Response:
    """A response from its JSON form: an object of its fields, or the text alone.

    Raises:
        KeyError, ValueError: it is none.
    """
    if isinstance(value, str):
        return Response(value)
    return Response(
        text=str(value["text"]),
        reasoning=value.get("reasoning"),
        tool_calls=tuple(value.get("tool_calls") or ()),
        finish_reason=value.get("finish_reason"),
        turns=tuple(Message.model_validate(turn) for turn in value.get("turns") or ()),
    )


class Conversation(Protocol):
    """What a model and tools that really run say to each other, one turn of the assistant at a time.

    Attributes:
        finished: whether it is over.
    """

    finished: bool

    def messages(self) -> list[Message]:
        """The whole of it so far, with the task's own messages; `train` is set on the assistant's turns alone."""

    def step(self, said: Message, finish_reason: str | None = None) -> Any:
        """Take a turn of the assistant, run its calls, and append what follows. Blocks while tools run."""

    def response(self) -> Response:
        """What is to be judged."""


SEARCHED = 5_000
"""How many tasks are drawn before it is said that there is none of a topic."""


class Verifier(ABC, Generic[F]):
    """One kind of check. A subclass's docstring begins with the sentence that `dataforge verifiers` shows.

    Attributes:
        name: as `verify NAME` in a `.forge` file calls it; the name of its file in `library/`.
        family: one of the families of `docs/verifiers.md`, such as `answer format`.
        version: to be raised when a verdict changes: it is part of the hash of a plan that names the verifier.
        facts: what it reads from a task.
        isolation: `inline` runs here, within `limit_s` CPU seconds of this process; `process` runs in a worker process
            that is killed when the limit is over, for libraries that may hang or crash; `sandbox` brings its own.
        limit_s: CPU seconds a verdict may take.
        extra: the optional dependencies that it needs, as the extra of the package that brings them, or "".
    """

    name: ClassVar[str]
    family: ClassVar[str]
    version: ClassVar[int] = 1
    facts: ClassVar[type[Facts]]
    isolation: ClassVar[Literal["inline", "process", "sandbox"]] = "inline"
    limit_s: ClassVar[float] = 2.0
    extra: ClassVar[str] = ""

    @abstractmethod
    def check(self, facts: F, response: Response) -> Verdict:
        """Judge a response. Called through `dataforge.verifiers.verify`, which validates the facts and keeps time."""

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        """Make `n` tasks; the same seed makes the same ones, and the first k of n are the first k of any other n.

        Only verifiers that can make tasks override this; `makes_tasks` tells.
        """
        raise NotImplementedError(f"{self.name} makes no tasks")

    def tasks_of(self, topics: Sequence[str], seed: int, n: int) -> Iterator[Task]:
        """`n` tasks of the named topics alone, stable as those of `tasks`.

        Raises:
            InputError: V013 or a code of its own, before the first task, where it makes none of a topic.
        """
        drawn: list[Task] = []
        missing = set(topics)
        endless = self.tasks(seed, sys.maxsize)
        while missing and len(drawn) < SEARCHED and (task := next(endless, None)) is not None:
            drawn.append(task)
            missing.discard(task.topic)
        if missing:
            raise InputError(
                f"`{self.name}` makes no tasks of the topic `{min(missing)}`",
                code="V013",
                help="its topics are " + ", ".join(sorted({task.topic for task in drawn})),
            )
        of_topic = (task for task in itertools.chain(drawn, endless) if task.topic in topics)
        return itertools.islice(of_topic, n)

    def converse(self, task: Task) -> Conversation | None:
        """A conversation about a task, where one answer is not all: None, but for verifiers whose tasks have tools that run.

        Raises:
            InputError: the facts make no sense.
        """
        return None

    def cases(self, rng: random.Random) -> Iterator[Case]:
        """An endless stream of positives by construction and of mutants that break one thing, about half and half."""
        raise NotImplementedError(f"{self.name} has no generated cases")

    def kinds(self) -> Mapping[str, str]:
        """What its facts choose from by name, such as formats or constraints: name → what each asks, in a line."""
        return {}

    @property
    def makes_tasks(self) -> bool:
        """Whether it can be used as `--seeds verifier:NAME`."""
        return type(self).tasks is not Verifier.tasks

    @property
    def converses(self) -> bool:
        """Whether its tasks are conversations, which one answer cannot solve."""
        return type(self).converse is not Verifier.converse

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return (type(self).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()
