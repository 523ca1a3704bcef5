"""A policy in this process: a transformers model that samples for all who wait, in one batch.

Whoever asks for a trace waits until nobody else can ask any more; then tokens are drawn for all of them at once, with a cache
of keys and values. So the sampler that speaks to servers measures a small model in seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from schemas.chat import Message
from trainer.length.policy import Draft
from trainer.masks import Renderer
from trainer.packed import file_hash
from trainer.turn import CLOSE, OPEN, in_pieces

BATCH = 512
"""Sequences at once."""


@dataclass(frozen=True, slots=True)
class _Call:
    """Tokens to go on from, and the most tokens to draw."""

    prompt: tuple[int, ...]
    most: int
    drawn: asyncio.Future[list[int]]


class LocalPolicy:
    """A model in memory, as `trainer.length.policy.Policy` has it.

    What is drawn follows from the weights, the seed and the calls that wait together, and from nothing else.
    """

    def __init__(
        self,
        folder: Path,
        lm: PreTrainedModel,
        renderer: Renderer,
        *,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        """
        Args:
            folder: of the weights, for their name and identity.
            lm: the model, with transformers' own attention.
            temperature: of the distribution that is drawn from; no part of it is cut off.
        """
        self.name = folder.name
        self.weights = file_hash(folder / "model.safetensors")
        self._lm = lm
        self._renderer = renderer
        self._temperature = temperature
        self._seed = seed
        self._end: int = renderer.tokenizer.eos_token_id
        added = renderer.tokenizer.added_tokens_decoder.items()
        self._never = [n for n, t in added if n != self._end and t.special and t.content not in (OPEN, CLOSE)]
        self._waiting: list[_Call] = []

    async def think(self, messages: Sequence[Message], *, tokens: int, sample: int) -> Draft:
        turn = in_pieces(self._renderer, messages, (), "")
        prompt = turn.prompt
        ids = await self._ask(prompt, tokens)
        stopped = ids[-1:] == [self._end]
        text = self._renderer.text(ids[: len(ids) - stopped])
        # Where the template opens the thinking, the prompt ends in it.
        if turn.opening and not text.startswith(OPEN):
            return Draft(None, False, text, stopped, len(prompt), len(ids))
        thinking, tag, answer = text.removeprefix(OPEN).partition(CLOSE)
        return Draft(thinking, bool(tag), answer, stopped, len(prompt), len(ids))

    async def go_on(self, prompt: Sequence[int], *, tokens: int, sample: int) -> Draft:
        ids = await self._ask(tuple(prompt), tokens)
        stopped = ids[-1:] == [self._end]
        return Draft(
            None, False, self._renderer.text(ids[: len(ids) - stopped]), stopped, len(prompt), len(ids)
        )

    def _ask(self, prompt: tuple[int, ...], most: int) -> asyncio.Future[list[int]]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Whoever is ready now asks before it is called.
            loop.call_soon(self._answer)
        self._waiting.append(_Call(prompt, most, loop.create_future()))
        return self._waiting[-1].drawn

    def _answer(self) -> None:
        """Draw for all calls that wait. A batch holds prompts of like length, since the shorter are filled up."""
        calls, self._waiting = self._waiting, []
        calls = sorted((c for c in calls if not c.drawn.done()), key=lambda c: len(c.prompt))
        for at in range(0, len(calls), BATCH):
            batch = calls[at : at + BATCH]
            asked = repr((self._seed, [(call.prompt, call.most) for call in batch])).encode()
            seed = int.from_bytes(hashlib.blake2b(asked, digest_size=7).digest(), "big")
            prompts, most = [call.prompt for call in batch], [call.most for call in batch]
            drawn = draw(
                self._lm,
                prompts,
                most,
                self._end,
                never=self._never,
                temperature=self._temperature,
                seed=seed,
            )
            for call, ids in zip(batch, drawn, strict=True):
                call.drawn.set_result(ids)


@torch.inference_mode()
def draw(
    lm: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    most: Sequence[int],
    end: int,
    *,
    never: Sequence[int] = (),
    temperature: float,
    seed: int,
) -> list[list[int]]:
    """Tokens behind each prompt, up to and with `end`, or `most` of them.

    Args:
        prompts: of any lengths.
        most: tokens to draw for each.
        never: tokens that are not drawn: of prompts, such as headers and padding.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn: list[list[int]] = [[] for _ in prompts]
    live = [row for row, limit in enumerate(most) if limit > 0]
    if not live:
        return drawn
    # On the left, so that the next token of all of them stands in one column.
    width = max(len(prompts[row]) for row in live)
    tokens = torch.tensor([[0] * (width - len(prompts[row])) + list(prompts[row]) for row in live])
    seen = torch.tensor(
        [[0] * (width - len(prompts[row])) + [1] * len(prompts[row]) for row in live]
    )  # [batch, positions]
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache()
    while True:
        output: Any = lm(
            input_ids=tokens,
            attention_mask=seen,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1].float()
        logits[:, list(never)] = -torch.inf
        chosen = _chosen(logits, temperature, generator)
        going = []
        for at, (row, token) in enumerate(zip(live, chosen.tolist(), strict=True)):
            drawn[row].append(token)
            if token != end and len(drawn[row]) < most[row]:
                going.append(at)
        if not going:
            return drawn
        if len(going) < len(live):
            kept = torch.tensor(going)
            live = [live[at] for at in going]
            chosen, seen, positions = chosen[kept], seen[kept], positions[kept]
            cache.batch_select_indices(kept)
        tokens = chosen[:, None]
        seen = torch.cat([seen, seen.new_ones(len(live), 1)], 1)
        positions = positions[:, -1:] + 1


def _chosen(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A token a row, `[batch]`."""
    if not temperature:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator)[:, 0]
