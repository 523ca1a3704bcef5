"""The models of a run: bound, checked for independence, and asked through the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from dataforge.actions.context import Purpose
from dataforge.domain import actions as a
from dataforge.errors import InputError, Interrupted, ModelError
from dataforge.models import connect
from dataforge.models.binding import SelfJudging, bind, check_independence, with_defaults
from dataforge.models.client import Backend, ChatReply, ChatRequest, ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.run.journal import CallRecord, Journal
from dataforge.run.progress import CallEvent, Progress
from dataforge.run.stop import Stop
from dataforge.run.store import CallStore, Reuse


def bind_models(
    plan: Plan, models_file: Any, environ: Mapping[str, str]
) -> tuple[dict[str, ModelSpec], tuple[SelfJudging, ...]]:
    """Bind every model of a plan, and hold its judges to independence.

    Raises:
        ProjectError: where a binding is wrong, or a judge would grade work of its own weights.
    """
    wanted = [(m.name, m.kind, m.settings) for m in plan.program.models.values()]
    specs = bind(wanted, plan.project, models_file, environ)
    return specs, check_independence(specs, graded(plan), plan.project.allow_self_judging)


def graded(plan: Plan) -> list[tuple[str, str, str]]:
    """(judge, generator, node) for every judge and every generator whose work it grades.

    A judge grades what its node gives. Where the node asks nobody itself, that work is kept from earlier nodes, so the
    generators of every node that gives the same structs count.
    """
    nodes = plan.graph.nodes()
    found: dict[tuple[str, str, str], None] = {}
    for name, node in nodes.items():
        for judge in [step for step in node.steps if isinstance(step, a.Judge)]:
            makers = [node]
            if node.keeps:
                makers += [other for other in nodes.values() if set(other.gives) & set(node.gives)]
            for maker in makers:
                for ask in maker.steps:
                    if isinstance(ask, a.Ask):
                        found[judge.model.name, ask.model.name, name] = None
    return list(found)


class Models:
    """The connected models of a run. A reply that the journal holds is used again; a new one is journalled first."""

    def __init__(
        self,
        specs: Mapping[str, ModelSpec],
        store: CallStore | None,
        reuse: Reuse,
        progress: Progress,
        stop: Stop,
        connector: Callable[[ModelSpec], Backend] = connect,
    ) -> None:
        """
        Args:
            store: the replies of the run's whole shards; None where they are out of reach, as on another machine.
            reuse: the replies of other runs.
        """
        self.specs = specs
        self.store = store
        self.reuse = reuse
        self.progress = progress
        self.stop = stop
        self.connector = connector
        self.calls = 0
        self.reused = 0
        self.journals: list[Journal] = []
        """Of the shards under way: a reply in any of them is not paid for again."""
        self._leaving: list[asyncio.Future[None]] = []
        self._backends: dict[str, asyncio.Task[Backend]] = {}
        self._under_way: dict[str, asyncio.Future[ChatReply]] = {}

    async def call(
        self, journal: Journal, row: int, model: a.Model, request: ChatRequest, node: str, purpose: Purpose
    ) -> ChatReply:
        """Ask a model, once for each distinct request.

        Args:
            journal: of the row's shard.

        Raises:
            ModelError: where it cannot be asked.
            InputError: where it does not answer at all, found at the first call.
            Interrupted: where the run is being stopped and the call has not begun.
        """
        spec = self.specs[model.name]
        request = with_defaults(request, spec)
        key = request.key(spec.weights)
        known = self._known(key)
        while known is None and (other := self._under_way.get(key)) is not None:
            try:
                known = await asyncio.shield(other)
            except asyncio.CancelledError:
                # The other caller was cancelled, such as a sample that is not needed any more: the call is ours now.
                if (own := asyncio.current_task()) is not None and own.cancelling():
                    raise
        if known is not None:
            self._tell(row, model.name, node, purpose, known, time.time(), reused=True)
            return known
        if (known := self.reuse.reply(key)) is not None:
            # Into this run's own journal: the other run's directory may be gone at the next start.
            now = time.time()
            await journal.put_call(CallRecord(key, row, node, model.name, purpose, known, now, reused=True))
            self._tell(row, model.name, node, purpose, known, now, reused=True)
            return known
        if self.stop.is_set():
            raise Interrupted("the run was stopped")
        future: asyncio.Future[ChatReply] = asyncio.get_running_loop().create_future()
        self._under_way[key] = future
        try:
            backend = await self._backend(model.name)
            if self.stop.is_set():  # meanwhile: a first answer may take minutes
                raise Interrupted("the run was stopped")
            started = time.time()
            reply = await backend.complete(request)
            await journal.put_call(
                CallRecord(key, row, node, model.name, purpose, reply, started, spec.cost(reply))
            )
            future.set_result(reply)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # retrieved: nobody else may be waiting for it
            raise
        finally:
            del self._under_way[key]
        self._tell(row, model.name, node, purpose, reply, started, reused=False)
        return reply

    def _known(self, key: str) -> ChatReply | None:
        """The reply to a call of this run that was made before."""
        for journal in self.journals:
            if (found := journal.reply(key)) is not None:
                return found
        return self.store.reply(key) if self.store is not None else None

    def _tell(
        self,
        row: int,
        model: str,
        node: str,
        purpose: Purpose,
        reply: ChatReply,
        started_at: float,
        *,
        reused: bool,
    ) -> None:
        self.calls += not reused
        self.reused += reused
        self.progress.call(
            CallEvent(
                row=row,
                node=node,
                purpose=purpose,
                model=model,
                served_by=reply.model,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                latency_s=0.0 if reused else reply.latency_s,
                attempts=reply.attempts,
                cost=0.0 if reused else self.specs[model].cost(reply),
                reused=reused,
                started_at=started_at,
                finish_reason=reply.finish_reason,
            )
        )

    async def _backend(self, name: str) -> Backend:
        if name not in self._backends:
            self._backends[name] = asyncio.create_task(self._open(self.specs[name]))
        return await asyncio.shield(self._backends[name])

    async def _open(self, spec: ModelSpec) -> Backend:
        """Connect, and see that the model answers, before rows are lost to one that does not."""
        backend = self.connector(spec)
        try:
            await backend.ping()
        except BaseException as error:
            await backend.close()
            if not isinstance(error, ModelError):
                raise
            raise InputError(
                f"model `{spec.name}` does not answer: {error.message}", code=error.code, help=error.help
            ) from error
        return backend

    @property
    def in_flight(self) -> int:
        """Calls that are waiting for their answer."""
        return len(self._under_way)

    @property
    def is_crowded(self) -> bool:
        """Whether some model has more calls waiting for a place in flight than keep its places filled."""
        return any(pool.waiting > 2 + pool.in_flight // 8 for pool in self.pools().values())

    def pools(self) -> dict[str, Any]:
        """The endpoints of each model that is connected and has a pool of them, by its logical name."""
        found = {name: getattr(backend, "pool", None) for name, backend in self.backends().items()}
        return {name: pool for name, pool in found.items() if pool is not None}

    def backends(self) -> dict[str, Backend]:
        """The backends that are connected, by the logical name of their model."""
        return {
            name: task.result()
            for name, task in self._backends.items()
            if task.done() and not task.cancelled() and task.exception() is None
        }

    def leave(self) -> None:
        """Stop waiting for calls that go on without us, such as batches: the next start finds them."""
        for backend in self.backends().values():
            if getattr(backend, "outlives_us", False):
                self._leaving.append(asyncio.ensure_future(backend.close()))

    async def close(self) -> None:
        await asyncio.gather(*self._leaving)
        for task in self._backends.values():
            task.cancel()  # one that still waits for a first answer closes what it has opened
        await asyncio.gather(*self._backends.values(), return_exceptions=True)
        for backend in self.backends().values():
            await backend.close()
