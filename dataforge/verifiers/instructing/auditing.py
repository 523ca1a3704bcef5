"""Tasks and cases: constraints drawn, put together, asked for in words, satisfied by construction, and broken."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from typing import Any

from dataforge.verifiers.instructing.composing import Asked, clashes, written
from dataforge.verifiers.instructing.drafting import Conflict
from dataforge.verifiers.instructing.registry import BY_ID, KINDS, read
from dataforge.verifiers.instructing.requests import QUESTIONS, WRITING
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

IDS = tuple(constraint.id for constraint in KINDS)
REPEAT, CHOICE = "combination:repeat_prompt", "detectable_format:constrained_response"


def drawn(rng: random.Random, id: str) -> Asked:
    """A constraint with arguments drawn for it."""
    return read(id, BY_ID[id].draw(rng))


def together(rng: random.Random, first: str, number: int) -> list[Asked]:
    """Up to `number` constraints that do not conflict, the first of a given id; fewer where few go with it."""
    asked = [drawn(rng, first)]
    for _ in range(8 * (number - 1)):
        if len(asked) == number:
            break
        id = rng.choice(IDS)
        if id in (constraint.id for constraint, _ in asked):
            continue
        more = [*asked, drawn(rng, id)]
        try:
            written(more, random.Random(0))
        except Conflict:
            continue
        asked = more
    return asked


def given(asked: list[Asked]) -> list[dict[str, Any]]:
    """Constraints as the facts of a task hold them."""
    return [
        {"id": constraint.id, "kwargs": params.model_dump(exclude_none=True)} for constraint, params in asked
    ]


def make_task(rng: random.Random, name: str, id: str, number: int) -> Task:
    """A task whose first constraint is of an id, with as many as `number` constraints."""
    asked = together(rng, id, number)
    kinds = [constraint.id for constraint, _ in asked]
    base = rng.choice(QUESTIONS if CHOICE in kinds else WRITING)
    if REPEAT in kinds:
        asked, prompt = _repeating(rng, base, asked)
    else:
        prompt = _worded(rng, base, asked)
    return Task(
        prompt=prompt,
        facts={"constraints": given(asked), "prompt": prompt},
        verifier=name,
        topic=id,
        difficulty=round(min(1.0, 0.2 * len(asked)), 2),
    )


def _worded(rng: random.Random, base: str, asked: list[Asked]) -> str:
    sentences = [constraint.instruct(params, rng) for constraint, params in asked]
    rng.shuffle(sentences)
    # What ends with an example in lines of its own or with an exact phrase stands last, or in a list.
    if len(sentences) == 1:
        return base + ("\n\n" if "\n" in sentences[0] else " ") + sentences[0]
    if len(sentences) < 3 and not any(
        "\n" in sentence or sentence[-1] not in ".!?)" for sentence in sentences
    ):
        return f"{base} {' '.join(sentences)}"
    lead = rng.choice(("Follow these instructions:", "Please note:", "Requirements:", "While doing so:"))
    if any("\n" in sentence for sentence in sentences):
        return f"{base}\n\n{lead}\n\n" + "\n\n".join(f"({i}) {s}" for i, s in enumerate(sentences, start=1))
    return f"{base}\n\n{lead}\n" + "\n".join(f"{i}. {s}" for i, s in enumerate(sentences, start=1))


def _repeating(rng: random.Random, base: str, asked: list[Asked]) -> tuple[list[Asked], str]:
    """The request to repeat is all but the sentence that asks for it; what conflicts with its text is dropped."""
    others = [pair for pair in asked if pair[0].id != REPEAT]
    while True:
        request = _worded(rng, base, others) if others else base
        repeat = read(REPEAT, {"prompt_to_repeat": request})
        if not clashes([*others, repeat]):
            break
        others = others[:-1]
    return [*others, repeat], f"{request}\n\n{repeat[0].instruct(repeat[1], rng)}"


# ---- cases


def make_case(rng: random.Random, name: str) -> Case:
    """A positive, a mutant of one broken constraint, or something that is no reply or no task at all."""
    asked = together(rng, rng.choice(IDS), rng.choice((1, 1, 2, 2, 3, 4)))
    text = written(asked, rng)
    kinds = "+".join(constraint.id for constraint, _ in asked)
    base = rng.choice(QUESTIONS if CHOICE in (constraint.id for constraint, _ in asked) else WRITING)
    prompt = _worded(rng, base, asked)
    facts: dict[str, Any] = {"constraints": given(asked), "prompt": prompt}
    task = Task(prompt=prompt, facts=facts, verifier=name, topic=asked[0][0].id)
    fate = rng.random()
    if fate < 0.5:
        response, how = _delivered(rng, text, asked)
        return Case(task, response, True, f"{kinds}{how}")
    if fate < 0.9:
        constraint, params = rng.choice(asked)
        broken, note = constraint.spoil(rng, text, params)
        return Case(task, Response(broken), False, f"{constraint.id}: {note} (of {kinds})")
    return _odd(rng, task, text)


def _delivered(rng: random.Random, text: str, asked: list[Asked]) -> tuple[Response, str]:
    match rng.randrange(10):
        case 0:
            return Response(f"<think>I must, first of all, plan. NO!</think>\n\n{text}"), ", after thinking"
        case 1:
            return Response(text, reasoning="It should be short, I think."), ", with its thinking apart"
        case 2:
            return Response(f"\n\n{text}\n\n"), ", with blank lines around"
        case 3:
            return Response(text.replace("\n", "\r\n")), ", with line breaks of Windows"
        case 4:
            return Response(unicodedata.normalize("NFD", text)), ", in decomposed letters"
        case _:
            return Response(text, finish_reason=rng.choice([None, "stop"])), ""


_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I am sorry, but I cannot assist with that request",
    "As an AI language model, I cannot write that.",
    "Sorry, I can’t do that.",
    "I must decline to answer.",
    "Lo siento, pero no puedo ayudar con eso.",
    "抱歉，我无法回答这个问题。",
)


def _odd(rng: random.Random, task: Task, text: str) -> Case:
    facts = task.facts
    match rng.randrange(9):
        case 0:
            return Case(
                task,
                Response(rng.choice(["", " ", "\n\n", "...", "***", "<think>Hm.</think>"])),
                False,
                "empty",
            )
        case 1:
            refusal = rng.choice(_REFUSALS)
            changed = rng.choice(
                [refusal, refusal.upper(), refusal.lower(), f'"{refusal}"', f"<think>.</think>{refusal}"]
            )
            return Case(task, Response(changed), False, "a refusal")
        case 2:
            changed = rng.choice([task.prompt, task.prompt.upper(), task.prompt.lower(), f'"{task.prompt}"'])
            return Case(task, Response(changed), False, "the prompt again")
        case 3:
            return Case(task, Response(f"<think>{text}"), False, "answer in thinking that never ends")
        case 4:
            return Case(task, Response("", reasoning=text), False, "answer in the reasoning only")
        case 5:
            return Case(task, Response(text, finish_reason="length"), False, "cut off at the limit of tokens")
        case 6:
            wrong = {**facts, "constraints": [*facts["constraints"], {"id": "keywords:exist", "kwargs": {}}]}
            return Case(
                task.model_copy(update={"facts": wrong}), Response(text), False, "no such constraint", "task"
            )
        case 7:
            bad = {"id": "length_constraints:number_words", "kwargs": {"words": 3}}
            wrong = {**facts, "constraints": [*facts["constraints"], bad]}
            return Case(
                task.model_copy(update={"facts": wrong}), Response(text), False, "wrong arguments", "task"
            )
        case _:
            return Case(
                task, Response(f"<think>a</think>{text}<think>b</think>"), False, "two blocks of thinking"
            )


def endless(rng: random.Random, name: str) -> Iterator[Case]:
    """Cases without end."""
    while True:
        yield make_case(rng, name)
