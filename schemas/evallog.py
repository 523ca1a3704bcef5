"""One row of an evaluation's log: what was asked, what came back, what was taken from it, and what that is worth.

`samples.jsonl` of a log has one a line. Every sample that was asked for has exactly one status, and the statuses of a log
add up to its samples: nothing leaves the denominator by going wrong.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from schemas.chat import Message

Status = Literal[
    "right",
    "wrong",
    "unparsed",
    "empty",
    "overlong",
    "refused",
    "timeout",
    "unserved",
    "fault",
]
"""What became of a sample.

    right, wrong    an answer was found and judged
    unparsed        the model answered, and no answer can be found in it
    empty           the model said nothing, besides thinking
    overlong        the model was cut off at its limit before it gave a right answer
    refused         the server would not serve this request: a content filter, a prompt that is too long
    timeout         no answer came in time, retries included
    unserved        the server failed in another way, retries included
    fault           the answer is there, and the verifier, the judge or the item failed: no answer is wrong by this
"""

GRADED: tuple[Status, ...] = ("right", "wrong")
OF_THE_MODEL: tuple[Status, ...] = ("right", "wrong", "unparsed", "empty", "overlong")
"""What the model itself is answerable for. Of the others nobody knows what they would have been worth."""
LOST: tuple[Status, ...] = ("refused", "timeout", "unserved", "fault")


class Considered(BaseModel):
    """A piece of the completion that might have been the answer.

    Attributes:
        span: start and end in the completion's text, in characters; None where it is from elsewhere, such as a tool call.
        rejected: why it is not; empty for what was taken.
    """

    text: str
    span: tuple[int, int] | None = None
    rejected: str = ""


class Problem(BaseModel):
    """What kept a sample from being judged.

    Attributes:
        kind: `server` and the like by whom it came: `server`, `task`, `timeout`, `isolation`, `verifier`, `judge`.
        code: an error code of docs/errors.md, where it has one.
    """

    kind: str
    message: str
    code: str = ""


class Sample(BaseModel):
    """One answer to one item.

    Attributes:
        task: name of the evaluation.
        item: id of the item within its data; stable over runs and revisions of ours.
        sample: number of the answer to it, from 0.
        cluster: items of one cluster (of one passage, say) are not independent; an item's own id where it stands alone.
        topic: the kind of item, for tables.
        prompt: the messages as sent, in the form of OpenAI's API.
        tools: tool schemas as sent.
        completion: the text, without thinking that the server or the client split off.
        reasoning: that thinking.
        tool_calls: as the server parsed them.
        turns: of a conversation, everything after the prompt.
        prompt_tokens, completion_tokens: as the server counted; of a conversation, of all its turns.
        reasoning_tokens: of the completion's, those of the thinking; None where nobody counted them.
        latency_s: wall seconds from request to reply, retries included.
        requests: how many it took.
        status: what became of it.
        score: 0 to 1; None where it is lost.
        extracted, span: what was taken for the answer, and where it stands.
        candidates: everything considered, with the reason where it was not taken.
        reason: why it is not right.
        parts: the scores of its parts, such as each instruction of several.
        measures: figures beside the score, from 0 to 1, such as whether it kept its role; a summary has their means.
        notes: what this task has to say beyond: a second opinion, a category, a judge's words.
        verify_s: wall seconds of judging.
    """

    task: str
    item: str
    sample: int = 0
    cluster: str = ""
    topic: str = ""
    prompt: list[dict[str, Any]] = Field(default_factory=list)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    completion: str = ""
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    turns: list[Message] = Field(default_factory=list)
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int | None = None
    latency_s: float = 0.0
    requests: int = 0
    model: str = ""
    forced: bool = False
    status: Status
    score: float | None = None
    extracted: str | None = None
    span: tuple[int, int] | None = None
    candidates: list[Considered] = Field(default_factory=list)
    reason: str = ""
    parts: dict[str, float] = Field(default_factory=dict)
    measures: dict[str, float] = Field(default_factory=dict)
    notes: dict[str, Any] = Field(default_factory=dict)
    problem: Problem | None = None
    verify_s: float = 0.0

    @property
    def key(self) -> tuple[str, int]:
        """Which sample it is within its task."""
        return self.item, self.sample

    @property
    def unclosed(self) -> bool:
        """Overlong by the first definition: cut off at the limit inside its thinking, with no answer begun."""
        return self.finish_reason == "length" and not self.completion.strip()

    @property
    def cut_off(self) -> bool:
        """Overlong by the second definition: cut off at the limit, wherever that was."""
        return self.finish_reason == "length"
