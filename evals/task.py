"""What an evaluation is: items made from the rows of its data, and who says what an answer is worth.

    data ──► rows ──► EvalTask.item ──► Item ──► the model ──► Reply ──► EvalTask.verdict ──► Verdict

An evaluation is one file of `tasks/`: a subclass of `EvalTask` whose `name` is the file's. Most say where their rows are and
how a row becomes a `Task` of one of our verifiers, and that is all. Those that a verifier cannot judge override `verdict`,
and get a judge to ask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dataforge.models.client import ChatReply, ChatRequest, CompletionRequest
from dataforge.verifiers import Response, Verdict
from dataforge.verifiers.protocol import Conversation
from evals.data import Row, Source
from schemas.chat import Message
from schemas.task import Task

Ask = Callable[[ChatRequest | CompletionRequest], Awaitable[ChatReply]]
"""Asks a model once; what it raises is a `ModelError`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of an evaluation.

    Attributes:
        id: stable: the data's own id where it has one, else the row's number in it.
        task: what the model is told and what it is judged by.
        messages: the conversation to send, in place of the task's system and prompt.
        raw: a text that the model goes on from, in place of messages: no chat template comes between.
        cluster: items that share it are not independent, such as questions on one passage; empty where it stands alone.
        notes: what goes into each of its samples' `notes`, such as a category that a table is made by.
    """

    id: str
    task: Task
    messages: tuple[Message, ...] = ()
    raw: str = ""
    cluster: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    def said(self) -> tuple[Message, ...]:
        """The messages to send."""
        if self.messages:
            return self.messages
        system = [Message(role="system", content=self.task.system)] if self.task.system is not None else []
        return (*system, Message(role="user", content=self.task.prompt))


@dataclass(frozen=True, slots=True)
class Judged:
    """What an evaluation says of a sample.

    Attributes:
        verdict: as a verifier's; an `error` where nothing can be said, never a low score.
        notes: for the sample's record, such as a second opinion or the judge's words.
        measures: figures of this sample beside its score, as `EvalTask.measures`.
    """

    verdict: Verdict
    notes: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


class EvalTask(ABC):
    """One evaluation. A subclass's docstring begins with the sentence that `dataforge eval tasks` shows.

    Attributes:
        name: as `dataforge eval NAME` calls it; the name of its file in `tasks/`.
        family: for lists: `knowledge`, `mathematics`, `instructions`, `code`, `tools`, `judged`, `behaviour`, `reasoning`.
        sources: where its rows may come from, the best first: the first that is there is taken.
        verifier: the verifier of its items; empty where `judged` overrides.
        samples: answers an item where nobody says otherwise: published scores on few items need many.
        max_tokens: the most tokens of an answer where neither the command nor the binding says.
        needs_judge: whether it asks a judge model.
        paper: where the benchmark is described.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    sources: ClassVar[Sequence[Source]] = ()
    verifier: ClassVar[str] = ""
    samples: ClassVar[int] = 1
    max_tokens: ClassVar[int | None] = None
    needs_judge: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    @abstractmethod
    def item(self, row: Row, number: int) -> Item | Sequence[Item] | None:
        """The item of a row, several where it is asked in several ways, or None where the row is none of this evaluation.

        Args:
            row: as the data has it.
            number: of the row in the data, from 0.

        Raises:
            KeyError, TypeError, ValueError: the row is not of the form that this evaluation reads.
        """

    async def judged(self, item: Item, response: Response, judge: Ask | None) -> Judged | None:
        """What an answer is worth, where that is not a verifier's to say; None leaves it to the verifier.

        Args:
            judge: asks the judge; None where none is bound.

        Raises:
            ModelError: the judge cannot be asked.
        """
        return None

    def converse(self, item: Item) -> Conversation | None:
        """A conversation about an item, where one answer is not all; None leaves it to the verifier."""
        return None

    def measures(self, item: Item, response: Response, verdict: Verdict) -> Mapping[str, float]:
        """Figures of a sample beside its score, each from 0 to 1: a log's summary has their means, with intervals.

        Called where a verifier judged; `judged` brings its own.
        """
        return {}

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return (type(self).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()
