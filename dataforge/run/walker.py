"""One row, from its seed to its outcome."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from dataforge.actions.context import Rejected, RowContext
from dataforge.domain import actions as a
from dataforge.domain.measures import TokenCounter
from dataforge.errors import FunctionFailed, ModelError, QuotaError
from dataforge.models.client import NO_ENDPOINT, ChatReply, ChatRequest, ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.plan.walk import row_random
from dataforge.run.jobs import Job
from dataforge.run.journal import Outcome, Purpose
from dataforge.run.row import Router
from dataforge.run.samples import Samples
from schemas.corpus import Reason, Row

RowCaller = Callable[[int, a.Model, ChatRequest, str, Purpose], Awaitable[ChatReply]]
"""The way to models for one row: (row, model, request, node, purpose) → reply."""


class Walker:
    """Walks the rows of one plan."""

    def __init__(self, plan: Plan, specs: dict[str, ModelSpec], tokens: TokenCounter, seed: int) -> None:
        self.plan = plan
        self.tokens = tokens
        self.seed = seed
        self.samples = Samples(plan, specs, tokens)
        self.router = Router(plan.linked, seed, plan.graph.name)

    async def walk(self, job: Job, call_model: RowCaller) -> Outcome:
        """Walk one row to its end, whatever the end is.

        Raises:
            QuotaError, ModelError with code R005, Interrupted: where the row cannot go on now, and may later.
            StorageError, ContractBug: where the run cannot go on.
        """

        async def call(model: a.Model, request: ChatRequest, node: str, purpose: Any) -> ChatReply:
            return await call_model(job.row, model, request, node, purpose)

        context = RowContext(
            row=job.row,
            walk=job.walk,
            call_model=call,
            tokens=self.tokens,
            rng=lambda purpose: row_random(self.seed, self.plan.graph.name, job.row, purpose),
            state=dict(job.state),
        )
        try:
            arrived, refused = await self.router.travel(context)
        except (ModelError, FunctionFailed) as error:
            if isinstance(error, QuotaError) or error.code == NO_ENDPOINT:
                raise  # nothing is wrong with the row, and the next one would fare no better
            reason = Reason(stage="run", code=error.code, message=error.message)
            lost = self.samples.rejected(job.seed, context, [], (), reason)
            return Outcome(job.row, "failed", tuple(lost), error.code)
        rows: list[Row] = []
        kept = False
        won: set[tuple[str, int, tuple[int, ...]]] = set()
        for traveller in arrived:
            try:
                rows.extend(self.samples.kept(job.seed, traveller.context, traveller.path, traveller.branch))
                kept = True
                won |= {(one.node, one.sample, one.branch) for one in traveller.context.won}
            except Rejected as rejection:
                refused.append((traveller, rejection))
        for traveller, why in refused:
            reason = Reason(stage=why.node, code=why.code, message=why.message)
            context, path, branch = traveller.context, traveller.path, traveller.branch
            rows.extend(self.samples.rejected(job.seed, context, path, branch, reason, won))
        # A sample that was lost before the row went apart is part of the history of each that came of it.
        rows = list({row.id: row for row in rows}.values())
        return (
            Outcome(job.row, "kept", tuple(rows))
            if kept
            else Outcome(job.row, "rejected", tuple(rows), _code(rows))
        )


def _code(rows: list[Row]) -> str:
    """Why a row was turned away: the first reason."""
    told = next((row.reason for row in rows if row.reason is not None), None)
    return str(json.loads(told)["code"]) if told is not None else "R000"
