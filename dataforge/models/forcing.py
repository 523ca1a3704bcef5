"""Budget forcing: thinking that has used up its budget is closed from outside, and the model made to answer.

The method is that of s1: Simple test-time scaling (Muennighoff et al., 2025, section 3): at a set number of tokens the
end-of-thinking delimiter is appended, and the model goes on from there. It trains nothing, and so is what training for
length is measured against.

Over a chat API it takes two calls. The first may have as many tokens as the budget. Where it ends by itself, which it does
for thinking that fits, its reply is the reply. Where it is cut off in its thinking, a newline and `</think>` are appended,
and a second request, whose last message is this beginning of an assistant's, has the model go on to its answer. Where it
is cut off in its answer, the second request has it go on with that, and nothing was forced.

The budget is counted by the server, as the `max_tokens` of the first call: it is exact, and the tokens of an opening tag
that the model writes are among it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Awaitable, Callable

from dataforge.errors import PermanentError
from dataforge.models.client import ChatReply, ChatRequest
from dataforge.models.thinking import CLOSE, OPEN
from schemas.chat import Message

Ask = Callable[[ChatRequest], Awaitable[ChatReply]]

_HALF_A_TAG = re.compile(r"((^|\n)<|</(t(h(i(nk?)?)?)?)?)$")
"""The beginning of a closing tag where the budget ended within it; in many vocabularies it is several tokens."""


async def complete(ask: Ask, request: ChatRequest) -> ChatReply:
    """Make a chat call that has a `thinking_budget`.

    Args:
        ask: makes a chat call that has none. Asked for one that `continues`, it gives the text as it came.
        request: where it wants thinking (`on`), all that comes before a `</think>` is taken for thinking, though no tag
            opened it: some templates open it in the prompt. Where it leaves thinking to the model, an output
            without a tag is an answer.

    Returns:
        Both calls in one reply: tokens, seconds and attempts added up, `forced` where the thinking was closed from
        outside. That is also said of a model that closed it with the very last token of its budget.

    Raises:
        PermanentError: the server started anew instead of going on.
    """
    sampling = dataclasses.replace(request.sampling, thinking_budget=None)
    budget, most = request.sampling.thinking_budget, sampling.max_tokens
    if budget is None or (most is not None and most <= budget):
        return await ask(request.sampled(sampling))
    first = await ask(request.sampled(dataclasses.replace(sampling, max_tokens=budget)))
    context_is_full = 0 < first.completion_tokens < budget
    if first.finish_reason != "length" or context_is_full:
        return first
    untagged = first.reasoning is None and request.thinking == "on"
    thought = untagged or first.reasoning is not None
    told = "" if untagged else first.text.rstrip()
    # White space alone is nothing to go on with: templates drop it.
    if not (thought or told):
        return first
    forced = thought and not told
    thinking = _HALF_A_TAG.sub("", first.text if untagged else first.reasoning or "").strip()
    second = await ask(
        dataclasses.replace(
            request,
            messages=(*request.messages, _beginning(thinking if thought else None, told)),
            sampling=dataclasses.replace(sampling, max_tokens=None if most is None else most - budget),
            # Of an answer that has begun, a schema would have the server write another one from its start.
            schema=request.schema if forced else None,
            continues=True,
        )
    )
    _check(first, second, thinking + told)
    answer = told + second.text
    return dataclasses.replace(
        second,
        text=answer.strip() if thought else answer,
        reasoning=thinking if thought else None,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        latency_s=first.latency_s + second.latency_s,
        attempts=first.attempts + second.attempts,
        forced=forced,
    )


def _beginning(thinking: str | None, told: str) -> Message:
    """The assistant's message that is to be gone on with.

    It ends in no white space: what templates do with that differs, and the model writes it better together with a word.
    """
    if thinking is None:
        return Message(role="assistant", content=told)
    block = f"{OPEN}\n{thinking}\n{CLOSE}"
    return Message(role="assistant", content=f"{block}\n\n{told}" if told else block)


def _check(first: ChatReply, second: ChatReply, written: str) -> None:
    """See that the second call went on where the first one ended.

    Raises:
        PermanentError: it shows that it did not.
    """
    help = (
        "vLLM and SGLang go on with a last assistant's message, and llama.cpp where its template allows it; start the "
        "server without a parser of reasoning, and see that the chat template keeps the thinking of the last message"
    )
    if second.reasoning is not None or second.text.lstrip().startswith(OPEN):
        raise PermanentError(
            "the server thinks anew where it should have gone on from closed thinking, or takes the answer for thinking",
            help=help,
        )
    # Told over again the text may have other tokens than it had, but hardly less than half of them.
    least = first.prompt_tokens + min(first.completion_tokens, len(written)) // 2
    if first.prompt_tokens and 0 < second.prompt_tokens < least:
        raise PermanentError(
            f"the server left the thinking out when it should have gone on from it: its prompt had "
            f"{second.prompt_tokens:,} tokens, after {first.prompt_tokens:,} and {first.completion_tokens:,} of output",
            help=help,
        )
