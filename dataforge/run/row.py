"""Walk one row from source to target: choose, run, go on by the outcome; inner graphs with a state of their own."""

from __future__ import annotations

from dataclasses import dataclass

from dataforge.actions.context import Rejected, RowContext
from dataforge.actions.node import run_node
from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.errors import ContractBug
from dataforge.plan.linked import Linked
from dataforge.plan.walk import Walk, Walks


@dataclass
class Traveller:
    """One row, or one of the several that a `many` node made of it: where it is and what it has done."""

    context: RowContext
    walk: Walk
    path: list[str]
    rejection: Rejected | None = None

    @property
    def branch(self) -> tuple[int, ...]:
        """Which of the items of each fan-out this is."""
        return self.context.branch


class Router:
    """The linked graphs of a plan, with their walk laws ready."""

    def __init__(self, linked: Linked, seed: int, graph: str) -> None:
        self.seed = seed
        self.graph = graph
        self.walks = {"": Walks(linked, seed, graph)}
        self._add(linked, "")

    def _add(self, linked: Linked, prefix: str) -> None:
        for name, inner in linked.inner.items():
            self.walks[prefix + name] = Walks(inner, self.seed, self.graph)
            self._add(inner, f"{prefix}{name}/")

    async def travel(self, context: RowContext) -> tuple[list[Traveller], list[tuple[Traveller, Rejected]]]:
        """Take a row to the target.

        Returns:
            Those that arrived and those that were rejected, each in order: together one, or several where a node gave
            many.
        """
        waiting = [Traveller(context, self.walks[""].walk(context.row), [])]
        arrived: list[Traveller] = []
        rejected: list[tuple[Traveller, Rejected]] = []
        while waiting:
            traveller = waiting.pop()
            if traveller.rejection is not None:
                rejected.append((traveller, traveller.rejection))
                continue
            try:
                step = await self._step(traveller, "", self.walks[""].linked)
            except Rejected as rejection:
                rejected.append((traveller, rejection))
                continue
            if step is None:
                arrived.append(traveller)
            else:
                waiting.extend(reversed(step))
        return arrived, rejected

    async def _step(self, traveller: Traveller, prefix: str, linked: Linked) -> list[Traveller] | None:
        """One action; None at the target, else the travellers after it."""
        number = traveller.walk.choose()
        if number is None:
            return None
        action = linked.actions[number]
        name = prefix + action.name
        if isinstance(action.member, a.Graph):
            await self._through(traveller, action.member, name, linked.inner[action.name])
            results = [traveller.context]
        else:
            traveller.path.append(name)
            results = await run_node(action.member, name, traveller.context)
        after: list[Traveller] = []
        for index, context in enumerate(results):
            follower = traveller
            if len(results) > 1:
                context.branch = (*traveller.branch, index)
                walk = self.walks[prefix.rstrip("/")].walk(context.row, context.branch)
                walk.position = traveller.walk.position
                follower = Traveller(context, walk, list(traveller.path))
            follower.context = context
            outcome = 0
            if isinstance(action.member, a.Node) and action.member.branch is not None:
                branch_on = action.member.branch
                value = branch_on.term.value(context.state, context.tokens)
                outcome = action.labels.index(value)
                if not follower.walk.advance(number, outcome):
                    message = f"{branch_on.term.text} turned out to be {value!r}, which goes nowhere"
                    follower.rejection = Rejected(name, "R109", message)
            else:
                follower.walk.advance(number, outcome)
            after.append(follower)
        return after

    async def _through(self, traveller: Traveller, graph: a.Graph, name: str, linked: Linked) -> None:
        """Through an inner graph: only its `from` goes in, only its `to` comes out."""
        outer = traveller.context
        failing = broken(graph.where, outer.state, outer.tokens)
        if failing:
            raise ContractBug(
                f"graph `{name}` was linked where its `from` does not hold: {'; '.join(failing)}"
            )
        inner = outer.fork({struct: outer.state[struct] for struct in graph.sources})
        walk = self.walks[name].walk(outer.row, name, *traveller.branch)
        guest = Traveller(inner, walk, traveller.path)
        try:
            while (step := await self._step(guest, f"{name}/", linked)) is not None:
                (guest,) = step  # the compiler lets nothing inside give many
                if guest.rejection is not None:
                    raise guest.rejection
        except Rejected:
            traveller.context = guest.context  # its history is what the rejected row shows
            raise
        failing = broken(graph.goal, guest.context.state, outer.tokens)
        if failing:
            raise ContractBug(
                f"graph `{name}` reached its target where `to` does not hold: {'; '.join(failing)}"
            )
        state = {**outer.state, **{struct: guest.context.state[struct] for struct in graph.targets}}
        traveller.context = guest.context.fork(state)
