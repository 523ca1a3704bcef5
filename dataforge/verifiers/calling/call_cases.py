"""Generated cases for `tool_calls`: the right calls in every form, and the same with exactly one thing wrong.

A positive is written from the expected calls with every freedom the form leaves (`call_drafts`). A mutant takes one and
breaks one thing by a rule of its own (`call_mutants`), which the case's note names; it never asks the verifier whether
it broke.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy

from dataforge.verifiers.calling.call_drafts import drafted, finished, properties_of, with_thinking
from dataforge.verifiers.calling.call_mutants import REPLIES, mutant, mute_mutant
from dataforge.verifiers.calling.call_tasks import draw
from dataforge.verifiers.calling.changes import changed, nasty
from dataforge.verifiers.calling.forms import FORMS
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task


def cases(rng: random.Random) -> Iterator[Case]:
    """An endless stream, about half of each."""
    while True:
        task = _varied(draw(rng), rng)
        if rng.random() < 0.5:
            yield _positive(task, rng)
        elif task.facts["calls"]:
            yield mutant(task, rng)
        else:
            yield mute_mutant(task, rng)


def _positive(task: Task, rng: random.Random) -> Case:
    if not task.facts["calls"]:
        reply = rng.choice(REPLIES)
        return Case(task, with_thinking(Response(reply), rng), True, "no call, and a reply")
    draft = drafted(task, rng)
    note = f"right calls, {draft.form}"
    return Case(draft.task, with_thinking(finished(draft), rng), True, note)


def _varied(task: Task, rng: random.Random) -> Task:
    """The same task with strings that are hard to write, and with what facts may say besides."""
    facts = deepcopy(task.facts)
    for call in facts["calls"]:
        properties = properties_of(task, call["name"])
        for key, value in call["arguments"].items():
            if rng.random() < 0.4:
                call["arguments"][key] = nasty(value, properties[key], rng)
        if rng.random() < 0.2:
            key = rng.choice(list(call["arguments"]))
            call["alternatives"] = {
                key: [changed(call["arguments"][key], rng) for _ in range(rng.randint(1, 2))]
            }
        if rng.random() < 0.1:
            call["optional"] = [rng.choice(list(call["arguments"]))]
    if facts["calls"] and rng.random() < 0.2:
        facts["order"] = "given"
    if rng.random() < 0.15:
        facts["forms"] = sorted(rng.sample(FORMS, rng.randint(1, 3)), key=FORMS.index)
    return task.model_copy(update={"facts": facts})
