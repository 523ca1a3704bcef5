"""From seeds to the rows of a run: which seeds fit, how they are numbered, and which shard each row belongs to.

A row is one seed and one walk. Rows are numbered in the order of the seeds that satisfy the graph's `from`, so a row's
number, its shard and all that is drawn for it are the same whoever walks it, and however often the run is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.domain.structs import first_problem
from dataforge.errors import SeedError
from dataforge.run.options import RunOptions
from dataforge.seeds import Seed


@dataclass(frozen=True, slots=True)
class Job:
    """One row to be walked."""

    row: int
    walk: int
    seed: Seed
    state: dict[str, BaseModel]


class Filter:
    """Turns seeds into source states; counts those that do not satisfy the graph's `from`."""

    def __init__(self, graph: a.Graph, tokens: Callable[[str], int]) -> None:
        self.graph = graph
        self.tokens = tokens
        self.filtered = 0
        self.first_reason = ""

    def state(self, seed: Seed) -> dict[str, BaseModel] | None:
        """The source state, or None where the seed does not fit."""
        state: dict[str, BaseModel] = {}
        for name, struct in self.graph.sources.items():
            own = seed.fields.get(name) if len(self.graph.sources) > 1 or set(seed.fields) == {name} else None
            fields = own if isinstance(own, dict) else seed.fields
            try:
                state[name] = struct.model.model_validate(
                    {k: v for k, v in fields.items() if k in struct.fields}
                )
            except ValidationError as error:
                self._note(seed, first_problem(error, name))
                return None
        failing = broken(self.graph.where, state, self.tokens)
        if failing:
            self._note(seed, failing[0])
            return None
        return state

    def _note(self, seed: Seed, reason: str) -> None:
        self.filtered += 1
        self.first_reason = self.first_reason or f"{seed.source}: {reason}"


def jobs(sources: Iterable[Seed], options: RunOptions, seeds: Filter) -> Iterator[Job]:
    """The rows of a run, in order: for each seed that fits, its walks."""
    row = 0
    for seed in sources:
        if options.rows is not None and row >= options.rows:
            return
        state = seeds.state(seed)
        if state is None:
            continue
        for walk in range(options.walks):
            if options.rows is not None and row >= options.rows:
                return
            yield Job(row, walk, seed, state)
            row += 1


def nothing_fits(graph: a.Graph, seeds: Filter) -> SeedError:
    """The error for a run without a row."""
    return SeedError(
        f"no seed satisfies the `from` of `{graph.name}`: {seeds.filtered} read; {seeds.first_reason}",
        code="R017",
        help="change the seeds, or ask less of them in `from … where`",
    )
