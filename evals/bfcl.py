"""The Berkeley Function-Calling Leaderboard (Patil et al. 2025), single-turn parts, from the installed package `bfcl-eval`.

Its schemas are in Python's words (`dict`, `float`, `tuple`), which become JSON Schema's; its possible answers list what each
argument may be, with "" for an argument that may be left out. Calls are judged by our `tool_calls`: as multisets, with strings
as they are. The leaderboard folds case and drops spaces and some signs before it compares strings; what that would give is the
measure `lenient`. Its check lets calls with arguments of any value pass on a few items, and takes a call that cannot be parsed
for a right abstention; ours does neither.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

from dataforge.verifiers import Response, Verdict, find, verify
from dataforge.verifiers.calling.call_tasks import system_prompt
from dataforge.verifiers.calling.heard import hear
from dataforge.verifiers.calling.signatures import Signature, misfit, signatures
from dataforge.verifiers.protocol import Candidate, failed, passed, unparsed
from evals.data import Joined, Package, Row
from evals.task import Ask, EvalTask, Item, Judged
from schemas.chat import Message
from schemas.task import Task

_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "", "HashMap": "object"}
_MOST = 64
"""Alternatives of one argument; the product of those within it may be large."""


def source(category: str, *, answers: bool = True) -> Package | Joined:
    """The items of a category."""
    package = Package(
        "bfcl_eval",
        (f"data/BFCL_v4_{category}.json",),
        licence="Apache-2.0",
        install="pip install --no-deps bfcl-eval",
    )
    return Joined(package, (f"data/possible_answer/BFCL_v4_{category}.json",)) if answers else package


class Bfcl(EvalTask):
    """Calls of functions that are described to the model."""

    family = "tools"
    verifier = "tool_calls"
    paper = "https://gorilla.cs.berkeley.edu/leaderboard.html"

    def item(self, row: Row, number: int) -> Item | None:
        tools = [tool(function) for function in row["function"]]
        turns = row["question"][0]
        own = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
        system = "\n\n".join(filter(None, (own, system_prompt(tools))))
        said = [
            Message(role=turn["role"], content=turn["content"]) for turn in turns if turn["role"] != "system"
        ]
        known = signatures(tools)
        calls = [expected(call, known) for call in row.get("ground_truth", [])]
        if any(
            misfit(call["arguments"], known[call["name"]].root, known[call["name"]].root) for call in calls
        ):
            return None  # its answer is none that its own schema allows
        facts = {"tools": tools, "calls": calls}
        task = Task(prompt=said[-1].content, system=system, tools=tools, facts=facts)
        return Item(str(row["id"]), task, (Message(role="system", content=system), *said))

    def measures(self, item: Item, response: Response, verdict: Verdict) -> Mapping[str, float]:
        if not item.task.facts["calls"]:
            return {}
        return {"lenient": float(verdict.passed or self._leniently(item, response))}

    def _leniently(self, item: Item, response: Response) -> bool:
        """Whether it would pass were strings compared as the leaderboard compares them."""
        heard = hear(response, signatures(item.task.tools))
        if heard.fault or not heard.calls:
            return False
        calls = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(folded(call.arguments))},
            }
            for call in heard.calls
        ]
        facts = {**item.task.facts, "calls": [_folded_call(call) for call in item.task.facts["calls"]]}
        task = item.task.model_copy(update={"facts": facts})
        return verify(find("tool_calls"), task, Response("", tool_calls=tuple(calls))).passed


class BfclRelevance(Bfcl):
    """Requests for which one of the functions helps: any well-formed call of one passes."""

    async def judged(self, item: Item, response: Response, judge: Ask | None) -> Judged:
        known = signatures(item.task.tools)
        heard = hear(response, known)
        taken = tuple(Candidate(call.text, call.span) for call in heard.calls)
        if heard.mute:
            return Judged(unparsed(heard.fault, candidates=heard.rejected))
        if heard.fault:
            return Judged(failed(heard.fault, candidates=heard.rejected))
        if not heard.calls:
            return Judged(failed("no function is called", candidates=heard.rejected))
        if stranger := next((call.name for call in heard.calls if call.name not in known), None):
            return Judged(failed(f"there is no function `{stranger}`", candidates=taken))
        return Judged(passed(heard.calls[0].text, heard.span, candidates=taken))


def tool(function: Mapping[str, Any]) -> dict[str, Any]:
    """A function of theirs in the form of OpenAI's API."""
    return {
        "type": "function",
        "function": {
            "name": function["name"],
            "description": function.get("description", ""),
            "parameters": schema(function["parameters"]),
        },
    }


def schema(theirs: Any) -> Any:
    """A schema of theirs as JSON Schema."""
    if isinstance(theirs, list):
        return [schema(each) for each in theirs]
    if not isinstance(theirs, Mapping):
        return theirs
    made = {key: schema(value) for key, value in theirs.items()}
    kind = made.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        made["type"] = _TYPES[kind]
        if not made["type"]:
            del made["type"]
    return made


def expected(answer: Mapping[str, Mapping[str, list[Any]]], known: Mapping[str, Signature]) -> dict[str, Any]:
    """A possible answer of theirs as an expected call of ours: of the values those that the function's schema allows."""
    [(name, possible)] = answer.items()
    properties = known[name].root.get("properties", {})
    arguments: dict[str, Any] = {}
    alternatives: dict[str, list[Any]] = {}
    optional: list[str] = []
    for key, values in possible.items():
        spelt = [one for value in values if value != "" for one in _spelt(value)][:_MOST]
        one_of = {"type": "object", "properties": {key: properties.get(key, {})}}
        right = [value for value in spelt if not misfit({key: value}, one_of, one_of)]
        if not right and ("" in values or None in values or not spelt):
            continue  # it may only be left out
        arguments[key] = (right or spelt)[0]
        if len(right) > 1:
            alternatives[key] = right[1:]
        if "" in values or None in values:
            optional.append(key)
    return {"name": name, "arguments": arguments, "alternatives": alternatives, "optional": optional}


def _spelt(value: Any) -> list[Any]:
    """All values that a possible value stands for: in an object each entry is a list of what it may be."""
    if isinstance(value, Mapping):
        keys = list(value)
        choices = [_entries(value[key]) for key in keys]
        return [
            {key: one for key, one in zip(keys, each, strict=True) if one is not _LEFT_OUT}
            for each in itertools.islice(itertools.product(*choices), _MOST)
        ]
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return [list(each) for each in itertools.islice(itertools.product(*map(_spelt, value)), _MOST)]
    return [value]


_LEFT_OUT = object()


def _entries(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    return [one for value in values for one in ([_LEFT_OUT] if value == "" else _spelt(value))]


def folded(value: Any) -> Any:
    """A value with its strings as the leaderboard compares them: no case, no spaces, none of `,./-_*^`."""
    if isinstance(value, str):
        return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"')
    if isinstance(value, Mapping):
        return {key: folded(each) for key, each in value.items()}
    return [folded(each) for each in value] if isinstance(value, list) else value


def _folded_call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **call,
        "arguments": {key: folded(value) for key, value in call["arguments"].items()},
        "alternatives": {
            key: [folded(value) for value in values] for key, values in call["alternatives"].items()
        },
    }
