"""What probes of behaviour have in common: a rule looks at the answer and at the thinking, apart, and no judge is asked."""

from __future__ import annotations

from abc import abstractmethod

from dataforge.verifiers import Response
from dataforge.verifiers.protocol import unparsed
from dataforge.verifiers.spoken import Spoken, spoken
from evals.task import Ask, EvalTask, Item, Judged


class Probe(EvalTask):
    """A question with nothing right or wrong about its answer, but for how it is said."""

    family = "behaviour"

    @abstractmethod
    def seen(self, item: Item, said: Spoken, finish_reason: str | None) -> Judged:
        """What is seen in an answer that is there."""

    async def judged(self, item: Item, response: Response, judge: Ask | None) -> Judged:
        said = spoken(response)
        if said.fault or not said.answer.strip():
            return Judged(unparsed(said.fault or "there is no answer"))
        return self.seen(item, said, response.finish_reason)
