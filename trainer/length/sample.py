"""Sampling: think up to the budget, cut exactly there, close, and let the policy answer.

The first pass is a chat request for a few tokens more than the budget, since servers take white space off the thinking
that the policy wrote. What it gave is put into tokens again, each piece of the turn by itself (`trainer.turn`), and one of
three things has happened, as in the Hermes 4 report, section 3.1:

- it ended by itself within the budget: finished;
- its thinking is longer: it is cut after the budget's last token, closed as the template closes it, and the policy answers;
- its thinking was closed within the budget, and its answer ran on to the limit: the policy finishes it.

Whatever the policy writes, it writes behind the very tokens that training will show it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from dataforge.errors import InputError, Interrupted
from trainer.chat import TAGS
from trainer.length.policy import Draft, Policy
from trainer.length.prompts import Prompt, scored
from trainer.length.trace import Case, Trace, Unfit, cut, encode
from trainer.masks import Renderer
from trainer.packed import text_hash
from trainer.turn import CLOSE, OPEN, Turn, in_pieces

_AHEAD = 8
"""Traces that are begun before those in front of them have ended, as a multiple of those under way: a bound on memory."""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """What is sampled.

    Attributes:
        budget: tokens of thinking; None to measure: up to the context, and nothing is appended.
        context: tokens of prompt and output together.
        answer_tokens: the most tokens of an answer after a cut.
        samples: rollouts a problem.
        concurrency: problems under way at once.
    """

    budget: int | None
    context: int
    answer_tokens: int = 1024
    samples: int = 1
    concurrency: int = 64


async def sample(
    prompts: Sequence[Prompt],
    policy: Policy,
    renderer: Renderer,
    plan: SamplingPlan,
    *,
    progress: Callable[[Trace], None] | None = None,
) -> list[Trace]:
    """The traces of all problems, in the order of problems and samples whatever came back first.

    Args:
        renderer: `trainer.masks.Renderer` of the policy's tokenizer and template.

    Raises:
        InputError: the context holds no prompt, budget and answer (L001), the template shows no thinking (T005), or the
            server renders prompts otherwise than the tokenizer here (L003).
        ModelError: the policy cannot be asked.
    """
    async with aclosing(traces(prompts, policy, renderer, plan, progress=progress)) as found:
        return [trace async for trace in found]


async def traces(
    prompts: Sequence[Prompt],
    policy: Policy,
    renderer: Renderer,
    plan: SamplingPlan,
    *,
    progress: Callable[[Trace], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[Trace, None]:
    """As `sample`, one by one, with no more in memory than are needed to give them in order.

    Once one has failed, or `stop` says so, no call is begun, those in flight are waited for, and then the error is raised.

    Args:
        progress: told of each trace when it is there, in whatever order.

    Raises:
        Interrupted: `stop` said so.
    """
    _check_room(prompts, renderer, plan)
    rollouts = _Rollouts(policy, renderer, plan, stop)
    await rollouts.greet(prompts[0])
    under_way: deque[asyncio.Task[Trace]] = deque()
    places = asyncio.Semaphore(plan.concurrency)

    async def one(prompt: Prompt, number: int) -> Trace:
        async with places:
            trace = await rollouts.trace(prompt, number)
        if progress is not None:
            progress(trace)
        return trace

    try:
        for prompt in prompts:
            for number in range(plan.samples):
                under_way.append(asyncio.ensure_future(one(prompt, number)))
                if len(under_way) >= _AHEAD * plan.concurrency:
                    yield await under_way[0]
                    under_way.popleft()
        while under_way:
            yield await under_way[0]
            under_way.popleft()
    except Exception as error:  # noqa: BLE001 - it is raised below, or what caused it
        ended = await asyncio.gather(*under_way, return_exceptions=True)
        # What stopped the others says more than that they were stopped.
        causes = [e for e in (error, *ended) if isinstance(e, Exception) and not isinstance(e, Interrupted)]
        raise (causes[0] if causes else error) from None
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def slack(budget: int) -> int:
    """Tokens of output beyond opening and budget in a first pass: for white space that is stripped, and for policies that
    spell a text in more tokens than the tokenizer does.
    """
    return 32 + budget // 128


def _check_room(prompts: Sequence[Prompt], renderer: Renderer, plan: SamplingPlan) -> None:
    """See that each prompt leaves room for the budget and an answer, before anything is paid for."""
    if not prompts:
        raise InputError("there is no prompt to sample for", code="L001")
    least = 1 if plan.budget is None else plan.budget
    if min(plan.context, plan.answer_tokens, plan.samples, plan.concurrency, least) < 1:
        raise InputError(
            "context, budget, answer tokens, samples and concurrency are at least 1", code="L001"
        )
    rest, room = "a token of thinking", 1
    if plan.budget is not None:
        rest = f"a budget of {plan.budget:,} and an answer of {plan.answer_tokens:,}"
        room = plan.budget + plan.answer_tokens
    needed = [len(_turn(prompt, renderer).to_tag) + room for prompt in prompts]
    if tight := sum(tokens > plan.context for tokens in needed):
        most = max(needed)
        longest = prompts[needed.index(most)]
        raise InputError(
            f"{tight:,} of {len(prompts):,} prompts leave no room for {rest} in a context of {plan.context:,} tokens; the"
            f" longest, `{longest.problem}`, needs {most:,}",
            code="L001",
            help=f"--context {most} if the server has it; or a smaller budget, or leave the long prompts out",
        )


def _turn(prompt: Prompt, renderer: Renderer, thinking: Sequence[int] = (), answer: str = "") -> Turn:
    return in_pieces(renderer, prompt.messages, thinking, answer, row=prompt.problem)


class _Rollouts:
    """Rollouts of one policy under one plan. After a failure none of them begins another call."""

    def __init__(
        self, policy: Policy, renderer: Renderer, plan: SamplingPlan, stop: Callable[[], bool]
    ) -> None:
        self._policy = policy
        self._renderer = renderer
        self._plan = plan
        self._stop = stop
        self._failed = False
        self._opened = 0
        tokenizer = renderer.tokenizer
        self._control = {
            number
            for number, token in tokenizer.added_tokens_decoder.items()
            if (token.special or token.content in renderer.template) and token.content not in TAGS
        }

    async def greet(self, prompt: Prompt) -> None:
        """See that the server renders prompts as we do and goes on from tokens, at the price of a token each.

        Hours of thinking that could not be cut would be known for it at their end only.
        """
        turn = _turn(prompt, self._renderer)
        draft = await self._think(prompt, turn, 1, 0)
        # A server whose template opens the thinking in the prompt has so much less room for output.
        self._opened = max(0, draft.prompt_tokens - len(turn.prompt))
        if self._plan.budget is not None:
            await self._go_on(prompt, turn.to_tag, 1, 0)

    async def trace(self, prompt: Prompt, number: int) -> Trace:
        try:
            return await self._trace(prompt, number)
        except BaseException:
            self._failed = True
            raise

    async def _trace(self, prompt: Prompt, number: int) -> Trace:
        plan, tokenizer = self._plan, self._renderer.tokenizer
        turn = _turn(prompt, self._renderer)
        limit = plan.context - len(turn.prompt) - self._opened
        if plan.budget is not None:
            limit = min(limit, len(turn.opening) + plan.budget + slack(plan.budget))
        draft = await self._think(prompt, turn, limit, number)
        thinking, answer = (draft.thinking or "").strip(), draft.answer.strip()
        ids = encode(thinking, tokenizer)
        case, unfit = _outcome(draft, len(ids), plan.budget)
        closed, ended = draft.closed or draft.thinking is None, draft.stopped
        if case == "thinking" and plan.budget is not None and unfit is None:
            ids, found = ids[: plan.budget], cut(thinking, plan.budget, tokenizer, ids)
            thinking = self._renderer.text(ids) if found is None else found[0]
            unfit = "unstable" if found is None else None
            so_far = _turn(prompt, self._renderer, ids).to_tag
            said = await self._go_on(prompt, so_far, plan.answer_tokens, number)
            closed, ended, answer = False, said.stopped, said.answer.strip()
        elif case == "answer" and plan.budget is not None:
            so_far = self._so_far(prompt, draft, ids, answer)
            said = await self._go_on(prompt, so_far, plan.answer_tokens, number)
            ended, answer = said.stopped, (answer + said.answer).strip()
        said_ids = encode(answer, tokenizer)
        if case != "finished" and unfit is None:
            unfit = "thoughtless" if not thinking else self._flaw(ids, said_ids, thinking, answer, ended)
        return Trace(
            id=self._id(prompt, number),
            benchmark=prompt.benchmark,
            problem=prompt.problem,
            sample=number,
            messages=prompt.messages,
            budget=plan.budget,
            limit=plan.context,
            prompt_tokens=len(turn.prompt),
            thinking=thinking,
            thinking_tokens=len(ids),
            closed=closed,
            case=case,
            answer=answer,
            answer_tokens=len(said_ids),
            ended=ended,
            expected=prompt.expected,
            score=await scored(prompt, answer),
            asked=prompt.asked,
            unfit=unfit,
        )

    def _so_far(self, prompt: Prompt, draft: Draft, ids: Sequence[int], answer: str) -> tuple[int, ...]:
        """The tokens of a turn that was cut inside its answer."""
        pieces = _turn(prompt, self._renderer, ids, answer)
        if draft.thinking is None:
            return (*pieces.prompt, *encode(answer, self._renderer.tokenizer))
        return pieces.to_tag + (pieces.answer if answer else ())

    async def _think(self, prompt: Prompt, turn: Turn, tokens: int, number: int) -> Draft:
        self._begin()
        draft = await self._policy.think(prompt.messages, tokens=tokens, sample=number)
        header, opened = len(turn.prompt), len(turn.prompt + turn.opening)
        tag = header + len(encode(OPEN, self._renderer.tokenizer))
        if draft.prompt_tokens not in (0, header, tag, opened):
            raise _another(
                f"the server counts {draft.prompt_tokens:,} tokens in the prompt of `{prompt.problem}`, and the tokenizer and"
                f" template here {header:,}" + (f", or {opened:,} with {OPEN}" if opened > header else "")
            )
        if draft.thinking is None and (draft.prompt_tokens > header or not turn.opening):
            # The prompt ends inside the thinking, there or here, and no tag shows: all of it is thinking.
            return replace(draft, thinking=draft.answer, answer="", closed=False)
        return draft

    async def _go_on(self, prompt: Prompt, tokens: Sequence[int], most: int, number: int) -> Draft:
        room = self._plan.context - len(tokens)
        if room < 1:
            return Draft(None, False, "", stopped=False)
        self._begin()
        draft = await self._policy.go_on(tokens, tokens=min(most, room), sample=number)
        if draft.prompt_tokens not in (0, len(tokens)):
            raise _another(
                f"the server counts {draft.prompt_tokens:,} tokens in the {len(tokens):,} that it was to go on from, for"
                f" `{prompt.problem}`"
            )
        return draft

    def _begin(self) -> None:
        if self._failed or self._stop():
            raise Interrupted("sampling was stopped")

    def _flaw(
        self, ids: Sequence[int], said: Sequence[int], thinking: str, answer: str, ended: bool
    ) -> Unfit | None:
        """Why a trace that was cut and answered is not fit to be trained on."""
        if not ended:
            return "unended"
        if OPEN in answer or CLOSE in answer or CLOSE in thinking:
            return "reopened"
        return None if self._control.isdisjoint((*ids, *said)) else "control"

    def _id(self, prompt: Prompt, number: int) -> str:
        parts = (
            self._policy.weights,
            prompt.benchmark,
            prompt.problem,
            number,
            self._plan.budget,
            prompt.asked,
        )
        return text_hash(repr(parts))


def _outcome(draft: Draft, length: int, budget: int | None) -> tuple[Case, Unfit | None]:
    """How a first pass ended, by its `length` in tokens of thinking."""
    cut_off = not draft.stopped
    open_still = draft.thinking is not None and not draft.closed
    if budget is not None and (length > budget or (length == budget and open_still and cut_off)):
        return "thinking", None
    if not cut_off:
        return "finished", None
    if open_still:
        return "thinking", "overlong" if budget is None else "short"
    return "answer", "unended" if budget is None else None


def _another(what: str) -> InputError:
    return InputError(
        what,
        code="L003",
        help="name the tokenizer and chat template of the weights that the server has: --model, --template; a system"
        " prompt that its template adds by itself belongs into the prompts",
    )
