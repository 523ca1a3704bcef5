"""Judge a log's answers again, without asking the model for anything.

With its own evaluation: after a verifier was mended, say. With a verifier: what would another have said? Only answers that are
there are judged; what the server kept from us stays lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers import Verifier, find, verify
from evals.log import Log
from evals.registry import find as find_task
from evals.registry import names
from evals.score import judged_again, response_of, says_nothing, whole
from evals.task import EvalTask, Item
from schemas.evallog import LOST, Sample

OWN = "own"
"""`--with own`: the evaluation itself, as it judges today."""


def rescored(log: Log, items: Mapping[str, Item], by: str) -> Iterator[Sample]:
    """The samples of a log under another judgement, in their order.

    Args:
        by: `own`, or the name of a verifier whose facts are those of the items.

    Raises:
        InputError: E022, the evaluation is judged by a model, or an item is missing; V001, there is no such verifier.
    """
    task = find_task(log.task) if log.task in names() else None
    if by == OWN and (task is None or task.needs_judge):
        raise InputError(
            f"`{log.task}` is judged by a model"
            if task is not None
            else f"there is no evaluation `{log.task}` here",
            code="E022",
            help="name a verifier with --with, or run the evaluation again on the same folder: replies are asked once",
        )
    verifier = None if by == OWN else find(by)

    def judge(sample: Sample) -> Sample:
        if sample.status in LOST and not sample.completion and not sample.turns:
            return sample
        response = response_of(sample)
        if says_nothing(response) or response.finish_reason == "content_filter":
            return sample
        item = items.get(sample.item)
        if item is None:
            raise InputError(
                f"the log has no item `{sample.item}`",
                code="E022",
                help="a log is judged again by its items.jsonl",
            )
        facts = item.task if verifier is None else item.task.model_copy(update={"verifier": verifier.name})
        if verifier is None and task is not None:
            found = asyncio.run(task.judged(item, response, None)) if _judges(task) else None
            if found is not None:
                return judged_again(sample, found.verdict, notes=found.notes, measures=found.measures)
        chosen = verifier or _verifier(task, item)
        verdict = verify(chosen, facts, response)
        measures = task.measures(item, response, verdict) if task is not None and verifier is None else {}
        return judged_again(sample, whole(verdict), measures=measures)

    with ThreadPoolExecutor(4, thread_name_prefix="judge") as threads:
        yield from (
            threads.map(judge, log.samples) if _works_elsewhere(verifier, task) else map(judge, log.samples)
        )


def _judges(task: EvalTask) -> bool:
    """Whether it has a judgement of its own, which no verifier has."""
    return type(task).judged is not EvalTask.judged


def _verifier(task: EvalTask | None, item: Item) -> Verifier[Any]:
    name = item.task.verifier or (task.verifier if task is not None else "")
    if not name:
        raise InputError(f"the item `{item.id}` names no verifier", code="E022", help="name one with --with")
    return find(name)


def _works_elsewhere(verifier: Verifier[Any] | None, task: EvalTask | None) -> bool:
    """Whether judging waits for other processes: what runs here is quicker one by one."""
    chosen = verifier or (find(task.verifier) if task is not None and task.verifier else None)
    return chosen is not None and chosen.isolation != "inline"
