"""Tasks for `tool_calls`: a request, the tools on offer, and the calls that are right.

Five kinds, which `Task.topic` names: one call, one with nested arguments, several at once, and two where no tool helps: a
request that none of the tools is for (or that needs none), and one that lacks what its tool needs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from dataforge.verifiers.calling.catalogue import OFFERS, Offer, Request, request
from schemas.task import Task

KINDS = ("single", "nested", "parallel", "irrelevant", "incomplete")
_WEIGHTS = (3, 3, 4, 2, 1)

_NEAR = (
    ("weather", "home"), ("travel", "maps"), ("shopping", "data", "finance"), ("messages", "calendar", "home", "health"),
    ("support", "servers", "data"), ("media", "home"), ("language", "messages"),
)  # fmt: skip
"""Domains whose tools could be taken for each other's: where one is asked for, the others are not on offer either."""

_TALK = (
    "Why is the sky dark at night?", "Write two lines of verse about an old bicycle.", "What is 17 plus 26?",
    "Explain what a palindrome is, with an example.", "Thanks, that was all I needed.", "Who are you?",
    "Suggest a name for a grey cat.", "What's the difference between a lake and a pond?",
    "Rewrite this in the passive voice: The dog chased the ball.", "Give me three words that rhyme with 'stone'.",
    "Is seven a prime number? Say why.", "What do people mean by 'a red herring'?", "How do I tie a bowline?",
    "Name the three states of matter.", "Summarise in one sentence what photosynthesis does.",
    "Tell me a riddle, but not its answer.", "Which is larger, 3/4 or 5/7?", "What does the prefix 'mono' mean?",
    "Give me advice on how to start a diary.", "How many sides does a heptagon have?",
)  # fmt: skip
"""Requests that a model answers by itself."""

_JOINTS = ("Also: ", "And then: ", "One more thing: ", "Besides that: ")


def tasks(seed: int, n: int) -> Iterator[Task]:
    """Make `n` tasks; each from its own number, so that the first k of n are the first k of any other n."""
    for at in range(n):
        yield draw(random.Random(f"tool_calls:{seed}:{at}"))


def draw(rng: random.Random) -> Task:
    """Draw a task."""
    kind = rng.choices(KINDS, _WEIGHTS)[0]
    extra = rng.randint(2, 7)
    if kind in ("irrelevant", "incomplete"):
        return _without_calls(rng, kind, extra)
    wanted = _requests(rng, kind)
    offered = list(dict.fromkeys(one.offer for one in wanted))
    offered += rng.sample([offer for offer in OFFERS if offer not in offered], extra)
    return _task(
        rng,
        kind,
        _said(rng, [one.text for one in wanted]),
        offered,
        [{"name": one.offer.name, "arguments": one.arguments} for one in wanted],
        {"single": 0.1, "nested": 0.3, "parallel": 0.3 + 0.1 * len(wanted)}[kind] + 0.03 * extra,
    )


def system_prompt(tools: Sequence[dict[str, Any]]) -> str:
    """What a model is told of the tools, in the form that Hermes models are trained on."""
    listed = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    return (
        "You can call tools. Which there are, and what arguments they take, is listed here as JSON:\n"
        f"<tools>\n{listed}\n</tools>\n"
        "To call a tool, write a JSON object with its name and its arguments in a block of its own, one block for each call:\n"
        '<tool_call>\n{"name": "<name of the tool>", "arguments": {"<argument>": "<value>"}}\n</tool_call>\n'
        "Copy values exactly as the user gives them, and send no argument that the user says nothing of. "
        "If a value that a tool needs is missing, ask for it instead of guessing. "
        "If none of the tools is for what the user wants, call none and answer in words."
    )


def _requests(rng: random.Random, kind: str) -> list[Request]:
    if kind == "single":
        return [request(rng.choice([offer for offer in OFFERS if not offer.nested]), rng)]
    if kind == "nested":
        while True:
            found = request(rng.choice([offer for offer in OFFERS if offer.nested]), rng)
            if any(
                isinstance(value, dict) or (value and _objects(value)) for value in found.arguments.values()
            ):
                return [found]
    wanted: list[Request] = []
    number = rng.randint(2, 4)
    same = rng.choice(OFFERS) if rng.random() < 0.4 else None
    while len(wanted) < number:
        found = request(same or rng.choice(OFFERS), rng)
        # Twice the same would be a request that nobody makes, and "delete it" then "list them" hang together.
        if all((found.offer.name, found.arguments) != (one.offer.name, one.arguments) for one in wanted):
            wanted.append(found)
    return wanted


def _objects(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and isinstance(value[0], dict)


def _said(rng: random.Random, texts: list[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    if rng.random() < 0.5:
        return "Please do all of this:\n" + "\n".join(f"{at}. {text}" for at, text in enumerate(texts, 1))
    return "\n".join([texts[0], *(rng.choice(_JOINTS) + text for text in texts[1:])])


def _without_calls(rng: random.Random, kind: str, extra: int) -> Task:
    if kind == "incomplete":
        wanted = rng.choice([offer for offer in OFFERS if offer.vague])
        offered = [wanted, *rng.sample([offer for offer in OFFERS if offer.domain != wanted.domain], extra)]
        return _task(rng, kind, rng.choice(wanted.vague), offered, [], 0.6)
    if rng.random() < 0.3:
        return _task(rng, kind, rng.choice(_TALK), rng.sample(_beyond_talk(), extra + 1), [], 0.3)
    asked = request(rng.choice(OFFERS), rng)
    near = {asked.offer.domain, *(one for group in _NEAR if asked.offer.domain in group for one in group)}
    offered = rng.sample([offer for offer in OFFERS if offer.domain not in near], extra + 1)
    return _task(rng, kind, asked.text, offered, [], 0.5)


def _beyond_talk() -> list[Offer]:
    """Tools that nobody would call over small talk."""
    return [offer for offer in OFFERS if offer.domain not in ("language", "data")]


def _task(
    rng: random.Random,
    kind: str,
    prompt: str,
    offered: list[Offer],
    calls: list[dict[str, Any]],
    difficulty: float,
) -> Task:
    rng.shuffle(offered)
    tools = [offer.schema for offer in offered]
    facts: dict[str, Any] = {"calls": calls, "tools": tools}
    if not calls:
        facts["question"] = prompt
    return Task(
        prompt=prompt,
        facts=facts,
        system=system_prompt(tools),
        tools=tools,
        verifier="tool_calls",
        topic=kind,
        difficulty=round(min(1.0, difficulty), 2),
    )
