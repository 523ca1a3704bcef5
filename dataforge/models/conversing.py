"""One answer, or a conversation whose other side really does something: asked turn by turn until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dataforge.models.client import ChatReply
from dataforge.verifiers import Response
from dataforge.verifiers.protocol import Conversation
from schemas.chat import Message


async def conversed(
    conversation: Conversation | None,
    messages: tuple[Message, ...],
    ask: Callable[[tuple[Message, ...]], Awaitable[ChatReply]],
) -> tuple[tuple[Message, ...], Response]:
    """All messages in the end, with `train` on the model's turns, and what is to be judged.

    Args:
        conversation: what answers the model; None where one answer is all.
        messages: what the model is asked first.
        ask: makes one call; what it raises is raised.
    """
    while True:
        reply = await ask(messages)
        turn = Message(role="assistant", content=reply.text, reasoning_content=reply.reasoning, train=True)
        if conversation is None:
            return (*messages, turn), Response(reply.text, reply.reasoning, finish_reason=reply.finish_reason)
        await asyncio.to_thread(conversation.step, turn, reply.finish_reason)
        messages = tuple(conversation.messages())
        if conversation.finished:
            return messages, conversation.response()
