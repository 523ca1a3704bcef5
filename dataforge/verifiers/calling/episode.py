"""Episodes: a conversation in which the calls of a model are really executed, one assistant turn at a time.

    episode = Episode(task)
    while not episode.finished:
        said = model(episode.messages())         # any model, any loop
        episode.step(said)                       # reads its calls, runs them, appends what the tools say
    verdict = verify(find("tool_use"), task, episode.response())

A turn without calls is a reply: it ends the episode, or is followed by the task's next message of the user. A turn that
can't be executed (a malformed call, a tool that there is not, thinking without an end) ends it with a fault. What tools
say is never trained on: of `messages()` only the assistant's turns have `train`.

The same class judges: `replay` drives a fresh episode with the assistant's turns of a transcript and compares what the
tools say with what the transcript claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from dataforge.errors import InputError
from dataforge.verifiers.calling.forms import Call, Form
from dataforge.verifiers.calling.heard import Heard, hear
from dataforge.verifiers.calling.signatures import Signature, misfit, signatures
from dataforge.verifiers.calling.strict_json import NotJson, value_of, written
from dataforge.verifiers.calling.tools import TOOLS, Overrun, State, ToolError
from dataforge.verifiers.protocol import Facts, Response
from schemas.chat import Message
from schemas.task import Task

CALLS_A_TURN = 16
"""The most calls in one turn."""


OVERRUNS = 3
"""So many calls that used up their time end an episode: each costs seconds, here and when it is run again."""


class Event(BaseModel):
    """An event of the calendar that the tools share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    date: str
    start: str
    end: str


class Shared(BaseModel):
    """What the tools of an episode share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: dict[str, str] = Field(default_factory=dict)
    calendar: list[Event] = Field(default_factory=list)
    tables: dict[str, list[dict[str, StrictStr | StrictInt | StrictFloat | bool | None]]] = Field(
        default_factory=dict
    )


class Required(BaseModel):
    """A call that a solution has to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="the tool's name")
    arguments: dict[str, Any] | None = Field(
        default=None, description="its arguments, all of them; left out for any"
    )


class ToolUseFacts(Facts):
    """What an episode starts from, and how it should end."""

    tools: list[str] = Field(description="names of the tools on offer, of those that can be run")
    state: Shared = Field(
        default_factory=Shared, description="what the tools start from: `store`, `calendar`, `tables`"
    )
    answer: StrictStr | StrictInt | StrictFloat | None = Field(
        default=None,
        description="what stands behind `Answer:` in the last reply; null where any reply will do",
    )
    accepted: list[StrictStr | StrictInt | StrictFloat] = Field(
        default_factory=list, description="other answers that are right"
    )
    tolerance: float = Field(
        default=0.0, ge=0, description="how far off a number may be, as an absolute difference"
    )
    unit: str = Field(default="", description="a unit that may stand beside the number")
    required: list[Required] = Field(
        default_factory=list, description="calls that have to be made, whatever others are"
    )
    final_state: Shared | None = Field(
        default=None, description="what the tools must have in the end; of it only the parts that are given"
    )
    follow_ups: list[str] = Field(
        default_factory=list, description="what the user says further, each after a reply"
    )
    max_turns: int = Field(default=12, ge=1, description="the most turns of the assistant")
    forms: list[Form] = Field(
        default_factory=list, description="the forms that calls may be written in; empty for any"
    )


_UNREAD = ToolUseFacts(tools=[])
"""Stands for facts that are still to be read from the task."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A call that was run.

    Attributes:
        failed: whether the tool could not do it.
    """

    call: Call
    content: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What comes of a turn.

    Attributes:
        messages: what follows it: the tools' turns, or one of the user; empty where the episode is over.
        finished: whether it is over.
        fault: why it had to end; empty where it ended with a reply, or goes on.
    """

    messages: tuple[Message, ...]
    finished: bool
    fault: str = ""


@dataclass(slots=True)
class Episode:
    """One conversation with tools that run.

    Attributes:
        task: with the facts of `tool_use`.
        turns: all that came after the task's own messages.
        executed: every call that was run, in order.
        finished: whether it is over.
        fault: why it had to end; empty where it ended with a reply, or goes on.
    """

    task: Task
    turns: list[Message] = field(default_factory=list)
    executed: list[Executed] = field(default_factory=list)
    finished: bool = False
    fault: str = ""
    facts: ToolUseFacts = field(default=_UNREAD)
    state: State = field(init=False)
    heard: Heard | None = field(init=False, default=None)
    _known: dict[str, Signature] = field(init=False)
    _replies: int = field(init=False, default=0)
    _said: int = field(init=False, default=0)
    _overruns: int = field(init=False, default=0)
    _finish_reason: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Start from the facts.

        Raises:
            InputError: V080, the facts are not those of `tool_use`, or name a tool that can't be run.
        """
        if self.facts is _UNREAD:
            try:
                self.facts = ToolUseFacts.model_validate(self.task.facts)
            except ValidationError as error:
                first = error.errors()[0]
                raise _senseless(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        for name in (*self.facts.tools, *(one.name for one in self.facts.required)):
            if name not in TOOLS:
                raise _senseless(f"there is no tool `{name}` that can be run")
        if len(set(self.facts.tools)) != len(self.facts.tools):
            raise _senseless("a tool is named twice")
        self._known = signatures([TOOLS[name].schema for name in self.facts.tools])
        self.state = deepcopy(self.facts.state.model_dump())

    def step(self, said: Message, finish_reason: str | None = None) -> Step:
        """Take a turn of the assistant, run its calls, and append what follows.

        Raises:
            IsolationError: V020, a program was to be run, and this machine has no sandbox for it.
            InputError: V081, the turn is not the assistant's, or the episode is over.
        """
        if self.finished or said.role != "assistant":
            what = "an episode that is over" if self.finished else "an episode in place of the assistant's"
            raise InputError(
                f"a turn of the role `{said.role}` was given to {what}",
                code="V081",
                help="give `step` the assistant's turns, until `finished`; what follows them it appends itself",
            )
        self.turns.append(said)
        self._said += 1
        self._finish_reason = finish_reason
        heard = self.heard = hear(
            Response(said.content, said.reasoning_content, tuple(said.tool_calls or ()), finish_reason),
            self._known,
        )
        if fault := self._unfit(heard):
            return self._end(fault)
        if heard.calls:
            ran: list[Executed] = []
            for call in heard.calls:
                ran.append(self._execute(call))
                self.executed.append(ran[-1])
                if self._overruns == OVERRUNS:
                    return self._end("too many calls used up what they may use")
            return self._go_on(
                [Message(role="tool", content=one.content, tool_call_id=one.call.id) for one in ran]
            )
        self._replies += 1
        if self._replies > len(self.facts.follow_ups):
            return self._end("")
        return self._go_on([Message(role="user", content=self.facts.follow_ups[self._replies - 1])])

    def messages(self) -> list[Message]:
        """The whole conversation so far; `train` is set on the assistant's turns and on nothing else."""
        first = [Message(role="system", content=self.task.system)] if self.task.system is not None else []
        return with_masks([*first, Message(role="user", content=self.task.prompt), *self.turns])

    def response(self) -> Response:
        """What is to be judged: the last turn of the assistant, with all turns before it."""
        turns = list(self.turns)
        while turns and turns[-1].role != "assistant":
            turns.pop()
        if not turns:
            return Response("")
        last = turns[-1]
        return Response(
            last.content,
            last.reasoning_content,
            tuple(last.tool_calls or ()),
            self._finish_reason,
            tuple(turns),
        )

    def _unfit(self, heard: Heard) -> str:
        """Why a turn can't be taken; empty where it can."""
        if heard.fault:
            return heard.fault
        if not heard.calls:
            return (
                "" if any(char.isalnum() for char in heard.prose) else "a turn says nothing and calls nothing"
            )
        if unknown := next((call.name for call in heard.calls if call.name not in self._known), None):
            return f"there is no tool `{unknown}`"
        if self.facts.forms and heard.calls[0].form not in self.facts.forms:
            return "the calls are written in a form that is not asked for"
        if len(heard.calls) > CALLS_A_TURN:
            return f"a turn has more than {CALLS_A_TURN} calls"
        ids = [call.id for call in heard.calls if call.id is not None]
        if len(set(ids)) != len(ids):
            return "two calls have one id"
        if self._said >= self.facts.max_turns:
            return f"there is no reply within {self.facts.max_turns} turns"
        return ""

    def _execute(self, call: Call) -> Executed:
        signature = self._known[call.name]
        answer: dict[str, Any]
        if why := misfit(call.arguments, signature.root, signature.root):
            answer = {"error": why}
        else:
            try:
                answer = {"result": TOOLS[call.name].run(self.state, call.arguments)}
            except ToolError as error:
                answer = {"error": str(error), **error.besides}
                self._overruns += isinstance(error, Overrun)
        return Executed(call, written(answer), "error" in answer)

    def _go_on(self, messages: list[Message]) -> Step:
        self.turns += messages
        return Step(tuple(messages), False)

    def _end(self, fault: str) -> Step:
        self.finished = True
        self.fault = fault
        return Step((), True, fault)


def _senseless(why: str) -> InputError:
    return InputError(
        f"an episode can't start from the facts of this task: {why}",
        code="V080",
        help="facts of `tool_use` name tools that can be run: " + ", ".join(TOOLS),
    )


def with_masks(messages: Sequence[Message]) -> list[Message]:
    """The messages with `train` on the assistant's turns alone: what users, systems and tools say is never trained on."""
    return [
        message
        if message.train == (message.role == "assistant")
        else message.model_copy(update={"train": message.role == "assistant"})
        for message in messages
    ]


def replay(task: Task, response: Response, facts: ToolUseFacts | None = None) -> tuple[Episode, str]:
    """Run a transcript again. The second value says what in it is not what happened; empty where all is.

    Raises:
        IsolationError: V020, a program is to be run, and this machine has no sandbox for it.
        InputError: V080, as `Episode`.
    """
    episode = Episode(task, facts=facts or _UNREAD)
    turns = response.turns or (
        Message(
            role="assistant",
            content=response.text,
            reasoning_content=response.reasoning,
            tool_calls=[dict(call) for call in response.tool_calls] or None,
        ),
    )
    end = turns[-1]
    if (
        end.role != "assistant"
        or end.content != response.text
        or (response.tool_calls and not end.tool_calls)
    ):
        return episode, "the turns do not end with the reply"
    at = 0
    while at < len(turns):
        said = turns[at]
        if said.role != "assistant":
            return episode, f"a turn of the role `{said.role}` stands where the assistant's should"
        last = at == len(turns) - 1
        step = episode.step(said, response.finish_reason if last else None)
        at += 1
        if step.finished:
            return episode, "" if last else episode.fault or "the turns go on after the end"
        for due in step.messages:
            if at >= len(turns):
                break
            if why := _unlike_turn(due, turns[at]):
                return episode, why
            at += 1
    return episode, "the turns end before a reply"


def _unlike_turn(due: Message, found: Message) -> str:
    if due.role != found.role:
        return f"a turn of the role `{found.role}` stands where one of the role `{due.role}` should"
    if due.role == "tool" and due.tool_call_id is not None and found.tool_call_id != due.tool_call_id:
        return "a tool's turn has the id of another call"
    if found.content != due.content and not _same_json(due.content, found.content):
        return (
            "a tool's turn is not what the call gives"
            if due.role == "tool"
            else "the user's turn is not the task's"
        )
    return ""


def _same_json(due: str, found: str) -> bool:
    """Whether two texts are the same value: another harness may space its JSON otherwise."""
    try:
        return written(_sorted(value_of(due))) == written(_sorted(value_of(found)))
    except NotJson:
        return False


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(part) for part in value] if isinstance(value, list) else value
