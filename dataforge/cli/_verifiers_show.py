"""`dataforge verifiers show`: one verifier, what it reads from a task, and what it says of an example."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.verifiers import Case, Facts, Verifier


def show(
    name: str = typer.Argument(..., help="A verifier's name.", show_default=False),
    kinds: bool = typer.Option(
        False,
        "--kinds",
        help="List what its facts choose from, such as formats or constraints, and nothing else.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """Show a verifier: its facts with their types and meaning, a task, and verdicts on a right and a wrong answer.

    Example: `dataforge verifiers show multiple_choice`
    """
    from dataforge.verifiers import verify
    from dataforge.verifiers.audit import gold
    from dataforge.verifiers.registry import find

    verifier = find(name)
    if kinds:
        _list(verifier, as_json=as_json)
        return
    cases = gold(verifier)
    examples = [
        (case, verify(verifier, case.task, case.response))
        for case in (_first(cases, passes=True), _first(cases, passes=False))
        if case is not None
    ]
    task = next(iter(verifier.tasks(0, 1)), None) if verifier.makes_tasks else None
    if task is None and examples:
        task = examples[0][0].task
    if as_json:
        print_json(
            {
                "name": name,
                "family": verifier.family,
                "version": verifier.version,
                "checks": verifier.summary,
                "isolation": verifier.isolation,
                "limit_s": verifier.limit_s,
                "makes_tasks": verifier.makes_tasks,
                "facts": verifier.facts.model_json_schema(),
                "task": None if task is None else task.model_dump(exclude_defaults=True),
                "examples": [{**case.to_json(), "verdict": verdict.to_json()} for case, verdict in examples],
            }
        )
        return
    say(f"{name} v{verifier.version} ({verifier.family})\n  {verifier.summary}\n  {_how(verifier)}")
    if many := len(verifier.kinds()):
        say(f"  {many:,} kinds; --kinds lists them")
    say("\nfacts")
    for line in _facts(verifier.facts):
        say(line)
    if task is not None:
        say("\na task")
        say(_indented(f"{task.system}\n\n{task.prompt}" if task.system else task.prompt))
        say(f"  facts: {json.dumps(task.facts, ensure_ascii=False)}")
    for case, verdict in examples:
        say(f"\n{case.note}")
        if task is None or case.task != task:
            say(f"  facts:   {json.dumps(case.task.facts, ensure_ascii=False)}")
        say(f"  answer:  {json.dumps(case.response.text, ensure_ascii=False)}")
        score = "" if verdict.score is None else f", score {verdict.score:g}"
        say(f"  verdict: {verdict.outcome}{score}{f': {verdict.reason}' if verdict.reason else ''}")


def _list(verifier: Verifier[Any], *, as_json: bool) -> None:
    """What its facts choose from, a line each."""
    found = verifier.kinds()
    if as_json:
        print_json(dict(found))
        return
    if not found:
        say(f"the facts of `{verifier.name}` choose from nothing by name")
    for kind, asks in found.items():
        say(f"{kind}\n    {' '.join(asks.split())}")


def _first(cases: list[Case], *, passes: bool) -> Case | None:
    return next((case for case in cases if case.passes == passes and case.error is None), None)


def _how(verifier: Verifier[Any]) -> str:
    where = {
        "inline": "runs in this process",
        "process": "runs in a worker process",
        "sandbox": "runs what it is given in a sandbox",
    }[verifier.isolation]
    makes = "makes tasks" if verifier.makes_tasks else "makes no tasks"
    return f"{where}, {verifier.limit_s:g} CPU seconds a verdict at most; {makes}"


def _facts(facts: type[Facts]) -> list[str]:
    """A line for each field: name, type, default, and its description."""
    lines = []
    for name, told in facts.model_fields.items():
        kind = _type(facts.model_json_schema()["properties"].get(told.alias or name, {}))
        default = (
            told.get_default(call_default_factory=True, validated_data={}) if not told.is_required() else None
        )
        needed = "needed" if told.is_required() else f"default {json.dumps(default, default=str)}"
        lines.append(f"  {name} ({kind}; {needed})")
        if told.description:
            lines.append(f"      {told.description}")
    return lines


def _type(schema: dict[str, Any]) -> str:
    """A JSON Schema's type in a few words."""
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict) and schema["items"]:
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any"))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
