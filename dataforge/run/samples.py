"""Corpus rows from a row's history: the finished sample, and the model calls behind it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from dataforge.actions.context import Exchange, Lost, Rejected, RowContext
from dataforge.domain import actions as a
from dataforge.domain.measures import TokenCounter
from dataforge.domain.templates import Unrenderable, render
from dataforge.models.client import ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.seeds import Seed
from schemas.chat import Message
from schemas.corpus import ModelUse, Reason, Row


class Samples:
    """Makes the corpus rows of one run."""

    def __init__(self, plan: Plan, specs: Mapping[str, ModelSpec], tokens: TokenCounter) -> None:
        self.plan = plan
        self.uses = {
            name: ModelUse(role=name, name=spec.model, weights=spec.weights) for name, spec in specs.items()
        }
        # The same prompt or answer stands in several rows of a walk.
        self.tokens: TokenCounter = functools.lru_cache(maxsize=1_024)(tokens)
        self.nodes = plan.graph.nodes()
        self._last: tuple[Mapping[str, BaseModel], str] | None = None

    def kept(self, seed: Seed, context: RowContext, path: Sequence[str], branch: Sequence[int]) -> list[Row]:
        """The rows of a walk that arrived: the final sample, where the graph emits one, and its calls.

        Raises:
            Rejected: where the emitted field holds no messages, or a turn comes out too large.
        """
        rows = []
        emit = self.plan.graph.emit
        if emit is not None:
            messages = self._emitted(emit, context)
            last = path[-1] if path else "source"
            rows.append(self._row("final", seed, context, path, branch, messages, last, context.standing))
        standing = {id(exchange) for exchange in context.standing}
        for number, exchange in enumerate(context.exchanges):
            train = self.nodes[exchange.node].train
            if train == "none" or (train == "final" and id(exchange) not in standing):
                continue
            asked = exchange.prompt if train == "final" else exchange.sent
            messages = [*asked, self._reply(exchange)]
            rows.append(
                self._row("call", seed, context, path, (*branch, number), messages, exchange.node, [exchange])
            )
        return [*rows, *self._lost(seed, context, path, context.lost)]

    def rejected(
        self,
        seed: Seed,
        context: RowContext,
        path: Sequence[str],
        branch: Sequence[int],
        reason: Reason,
        kept: Collection[tuple[str, int, tuple[int, ...]]] = (),
    ) -> list[Row]:
        """The row of a walk that did not arrive, with the conversation as far as it came and why it ended, and its samples.

        Args:
            kept: samples that another row of the walk has kept, by node, number and branch.
        """
        asked = [e for e in context.exchanges if e.purpose == "ask"] or context.exchanges
        exchange = asked[-1] if asked else None
        messages = [*exchange.sent, self._reply(exchange)] if exchange is not None else []
        node = exchange.node if exchange is not None else reason.stage
        whole = self._row("final", seed, context, path, branch, messages, node, context.exchanges)
        return [
            whole.model_copy(update={"reason": reason.model_dump_json()}),
            *self._lost(seed, context, path, context.lost),
            *self._lost(
                seed,
                context,
                path,
                [won for won in context.won if (won.node, won.sample, won.branch) not in kept],
            ),
        ]

    def _lost(
        self, seed: Seed, context: RowContext, path: Sequence[str], samples: Sequence[Lost]
    ) -> list[Row]:
        """The samples that a node drew and did not keep: the same for every row that came of it."""
        return [
            self._row(
                "call",
                seed,
                context.fork(dict(lost.state)),
                path,
                ("lost", lost.node, *lost.branch, lost.sample),
                [*lost.exchange.sent, self._reply(lost.exchange)],
                lost.node,
                [lost.exchange],
            ).model_copy(
                update={
                    "verdicts": list(lost.verdicts),
                    "reason": Reason(stage=lost.node, code=lost.code, message=lost.reason).model_dump_json(),
                }
            )
            for lost in samples
            if lost.exchange is not None and self.nodes[lost.node].train != "none"
        ]

    def _row(
        self,
        kind: Any,
        seed: Seed,
        context: RowContext,
        path: Sequence[str],
        part: Sequence[int | str],
        messages: Sequence[Message],
        node: str,
        exchanges: Sequence[Exchange],
    ) -> Row:
        used = {exchange.model.name for exchange in exchanges}
        reasoned = any(m.reasoning_content for m in messages if m.train)
        told_off = any(e.model.settings.get("thinking") == "off" for e in exchanges if e.purpose == "ask")
        return Row(
            id=_digest(self.plan.hash, seed.id, context.row, kind, *part),
            messages=list(messages),
            kind=kind,
            graph=self.plan.graph.name,
            node=node,
            path=list(path),
            seed_id=seed.id,
            seed_source=seed.source,
            tools=None,
            models=[self.uses[name] for name in sorted(used)],
            verdicts=[v for v in context.verdicts if kind == "final" or v.node == node],
            thinking="on" if reasoned else "off" if told_off else None,
            tokens=sum(self.tokens(m.content) + self.tokens(m.reasoning_content or "") for m in messages),
            state=self._state(context.state),
            reason=None,
        )

    def _state(self, state: Mapping[str, BaseModel]) -> str:
        """The state as JSON; all rows of a walk have the same."""
        if self._last is None or self._last[0] is not state:
            self._last = (state, state_json(state))
        return self._last[1]

    @staticmethod
    def _reply(exchange: Exchange) -> Message:
        return Message(
            role="assistant", content=exchange.text, reasoning_content=exchange.reply.reasoning, train=True
        )

    def _emitted(self, emit: a.Emit, context: RowContext) -> list[Message]:
        graph = self.plan.graph.name
        if emit.messages is not None:
            value = emit.messages.value(context.state, self.tokens)
            try:
                items = [v.model_dump() if isinstance(v, BaseModel) else v for v in value or ()]  # type: ignore[attr-defined]
                messages = [Message.model_validate(item) for item in items]
            except ValidationError as error:
                raise Rejected(
                    graph, "R110", f"{emit.messages.text} holds no chat messages: {error.errors()[0]['msg']}"
                ) from error
            if not messages:
                raise Rejected(graph, "R110", f"{emit.messages.text} is empty")
            return [m.model_copy(update={"train": m.role == "assistant"}) for m in messages]
        found = []
        for turn in emit.turns:
            try:
                content = render(turn.text, context.state, {})
            except Unrenderable as error:
                raise Rejected(graph, "R105", str(error)) from error
            if turn.role == "system" and not content.strip():
                continue  # a template that had nothing to say here
            reasoning = (
                turn.reasoning.value(context.state, self.tokens) if turn.reasoning is not None else None
            )
            found.append(
                Message(
                    role=turn.role,
                    content=content,
                    reasoning_content=str(reasoning) if reasoning else None,
                    train=turn.role == "assistant",
                )
            )
        return found


def state_json(state: Mapping[str, BaseModel]) -> str:
    """The structs of a state as one JSON object, by name."""
    data = {name: instance.model_dump(mode="json") for name, instance in sorted(state.items())}
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def _digest(*parts: object) -> str:
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()
