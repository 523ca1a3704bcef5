"""Why a run ends before its rows do: somebody stopped it, a budget is spent, or an endpoint will not go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dataforge.run.progress import CallEvent, Progress


class Stop:
    """A request to begin nothing new, and why. The first reason stays."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._then: list[Callable[[], None]] = []

    def set(self, reason: str = "interrupted") -> None:
        if self.reason is None:
            self.reason = reason
            for act in self._then:
                act()

    def then(self, act: Callable[[], None]) -> None:
        """Have something done when the stop comes, or at once where it has come."""
        self._then.append(act)
        if self.reason is not None:
            act()

    def is_set(self) -> bool:
        return self.reason is not None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend; None is without bound.

    Attributes:
        tokens: prompt and completion tokens, earlier starts included.
        cost: by the prices of the bindings, earlier starts included.
        time_s: seconds of this start.
    """

    tokens: int | None = None
    cost: float | None = None
    time_s: float | None = None


class Purse(Progress):
    """Listens to what calls cost, and stops the run when a budget is spent.

    Calls in flight then are let finish and are paid for, so a budget is passed by what they cost.
    """

    def __init__(self, budget: Budget, stop: Stop, tokens: int, cost: float) -> None:
        self.budget, self.stop = budget, stop
        self.tokens, self.cost = tokens, cost
        self._look()

    def call(self, event: CallEvent) -> None:
        if not event.reused:
            self.tokens += event.prompt_tokens + event.completion_tokens
            self.cost += event.cost
            self._look()

    def begin_clock(self) -> asyncio.TimerHandle | None:
        """Stop when the time is up; returns the timer, to be cancelled at the run's end."""
        if self.budget.time_s is None:
            return None
        reason = f"the time budget of {self.budget.time_s:g} s is spent"
        return asyncio.get_running_loop().call_later(self.budget.time_s, self.stop.set, reason)

    def _look(self) -> None:
        if self.budget.tokens is not None and self.tokens >= self.budget.tokens:
            self.stop.set(f"the token budget of {self.budget.tokens:,} is spent")
        if self.budget.cost is not None and self.cost >= self.budget.cost:
            self.stop.set(f"the cost budget of {self.budget.cost:g} is spent")
