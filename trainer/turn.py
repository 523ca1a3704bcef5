"""A reasoning turn in pieces, each tokenised by itself: where thinking begins, where it is closed, where the turn ends.

A trace that was cut after its N-th token of thinking has exactly N of them only if nothing around it melts into them: many
vocabularies have a token for a full stop and the newline that a template puts before `</think>`. So the text around the
thinking comes from the template, rendered with a sign in the thinking's place, and each piece is encoded alone: the
sampler gives a server the same tokens to go on from that training sees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.chat import Chat
from trainer.conversations import normal
from trainer.samples import Notes

if TYPE_CHECKING:
    from trainer.masks import Renderer

OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Turn:
    """The pieces of the last turn of a conversation, as token ids.

    Attributes:
        prompt: everything up to and with the header of the turn, as a server renders it for a chat request.
        opening: between the header and the first token of thinking, such as `<think>` and a newline; empty where the header
            ends with them.
        thinking: the tokens of thinking.
        before_tag: between thinking and tag, such as a newline; may be empty.
        tag: `</think>`: one token in the vocabularies of reasoning models, several elsewhere.
        answer: everything between the tag and the end of the turn, the space that the template puts there included.
        end: the token that ends the turn.
    """

    prompt: tuple[int, ...]
    opening: tuple[int, ...]
    thinking: tuple[int, ...]
    before_tag: tuple[int, ...]
    tag: tuple[int, ...]
    answer: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def to_tag(self) -> tuple[int, ...]:
        """What a policy goes on from to write its answer: everything up to and with the tag."""
        return self.prompt + self.opening + self.thinking + self.before_tag + self.tag

    @property
    def tokens(self) -> tuple[int, ...]:
        """The whole sample. What templates put behind the end of a turn is no part of it."""
        return self.to_tag + self.answer + self.end


def in_pieces(
    renderer: Renderer,
    messages: Sequence[Message],
    thinking: Sequence[int],
    answer: str,
    tools: Sequence[dict[str, Any]] = (),
    *,
    calls: Sequence[dict[str, Any]] = (),
    row: str = "prompt",
    notes: Notes | None = None,
) -> Turn:
    """The pieces of a turn whose thinking is given as tokens.

    Args:
        renderer: with its template and tokenizer; thinking of earlier turns stays where its `data.history` is `keep`.
        messages: up to the turn: system, user, earlier turns.
        thinking: token ids (`Renderer.ids` of a text), kept exactly as they are.
        answer: text of the answer; empty for a prompt to go on from (`to_tag`).
        tools: JSON schemas of the tools offered.
        calls: tool calls of the turn.
        row: what errors call it.
        notes: where changes are counted.

    Raises:
        InputError: the template cannot render it, does not show the thinking of a last turn between tags, or shows another
            prompt than at inference (T005); or the tokenizer does not give the text back (T006).
    """
    notes = notes or Notes()
    said = Message(role="assistant", content=answer, tool_calls=list(calls) or None)
    written = json.dumps([[m.model_dump() for m in (*messages, said)], list(tools)], ensure_ascii=False)
    sign = next(char for char in map(chr, range(0x10FFFD, 0x100000, -1)) if char not in written)
    thinks = said.model_copy(update={"reasoning_content": sign})
    seen = tuple(normal(message, row, notes) for message in (*messages, thinks))
    chat = Chat(row, seen, tuple(tools), thinking=True, keep=renderer.data.history == "keep")
    rendered, (start, stop) = renderer.last_turn(chat, notes)
    text = rendered.text
    sign_at = text.find(sign, start, stop)
    close_at = text.find(CLOSE, sign_at, stop)
    if sign_at < 0 or close_at < 0 or text[sign_at + 1 : close_at].strip():
        raise _fault(row, f"the chat template does not close thinking with {CLOSE}")
    if not start:
        raise _fault(row, "the chat template puts nothing before an answer")
    answer_at = close_at + len(CLOSE)
    end_at = [match.start() for match in renderer.end.finditer(text, answer_at, stop)][-1]
    borders = (start, sign_at, sign_at + 1, close_at, answer_at, end_at, stop)
    parts = renderer.encoded(text, borders, rendered.plain)

    def between(begin: int, end: int) -> tuple[int, ...]:
        return tuple(chain.from_iterable(ids for at, ids in parts.items() if begin <= at < end))

    turn = Turn(
        prompt=between(0, start),
        opening=between(start, sign_at),
        thinking=tuple(thinking),
        before_tag=between(sign_at + 1, close_at),
        tag=between(close_at, answer_at),
        answer=between(answer_at, end_at),
        end=between(end_at, stop),
    )
    whole = text[:sign_at] + renderer.text(thinking) + text[sign_at + 1 : stop]
    renderer.check_back(turn.tokens, whole, row, notes)
    return turn


def _fault(row: str, why: str) -> InputError:
    return InputError(
        f"row {row}: {why}",
        code="T005",
        help="name a template of a reasoning model: `--set model.template=…`",
    )
