"""What is taken for an answer: ours, measured on completions whose right extraction is known.

`gold/extraction.jsonl` holds hand-written completions, each with what should be taken from it, or null where nothing may be. `ours`
takes what our verifiers take; `is_right` compares. `benchmarks/extraction.py` puts other frameworks' own rules beside it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from dataforge.verifiers import Response, find, verify
from dataforge.verifiers.calling.heard import hear
from dataforge.verifiers.calling.signatures import signatures
from dataforge.verifiers.coding.finding import find_program
from dataforge.verifiers.protocol import response_from_json
from schemas.task import Task

WEATHER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
"""The tool that the cases call."""


@dataclass(frozen=True, slots=True)
class GoldCase:
    """A completion, and what is in it.

    Attributes:
        kind: `choice`, `think` (a choice, beside thinking), `maths`, `json`, `tool` or `code`.
        expected: the letter, the value in LaTeX, the document, the calls or the program; None where there is no answer.
        options: of a choice.
    """

    id: str
    kind: str
    note: str
    expected: Any
    response: Response
    options: tuple[str, ...] = ()


def gold() -> Iterator[GoldCase]:
    """The cases that ship."""
    text = (resources.files("evals") / "gold" / "extraction.jsonl").read_text(encoding="utf-8")
    for line in text.splitlines():
        told = json.loads(line)
        yield GoldCase(
            told["id"],
            told["kind"],
            told["note"],
            told["expected"],
            response_from_json(told["response"]),
            tuple(told.get("options", ())),
        )


def ours(case: GoldCase) -> Any:
    """What we take from a completion; None where there is no answer."""
    match case.kind:
        case "choice" | "think":
            facts: dict[str, Any] = {"answer": "A", "options": list(case.options)}
            said = verify(find("multiple_choice"), Task(prompt="?", facts=facts), case.response).extracted
            return said if said is not None and said in "ABCDEFGHIJ"[: len(case.options)] else None
        case "maths":
            verdict = verify(
                find("maths"), Task(prompt="?", facts={"answer": case.expected or "0"}), case.response
            )
            return None if verdict.outcome == "unparsed" else verdict.extracted
        case "json":
            facts = {"json_schema": {"type": "object"}}
            verdict = verify(find("schema"), Task(prompt="?", facts=facts), case.response)
            return json.loads(verdict.extracted) if verdict.passed and verdict.extracted is not None else None
        case "tool":
            heard = hear(case.response, signatures([WEATHER]))
            return None if heard.fault or not heard.calls else [call.to_json() for call in heard.calls]
        case "code":
            return find_program(case.response, "f").code
    raise AssertionError(case.kind)


def is_right(case: GoldCase, taken: Any) -> bool:
    """Whether what was taken is what is there."""
    if case.expected is None or taken is None:
        return taken is None and case.expected is None
    match case.kind:
        case "choice" | "think":
            return bool(str(taken).strip().upper() == case.expected)
        case "maths":
            boxed = Response(f"\\boxed{{{taken}}}")
            return verify(
                find("maths"), Task(prompt="?", facts={"answer": _facts(case.expected)}), boxed
            ).passed
        case "code":
            return _tree(taken) == _tree(case.expected)
    return bool(taken == case.expected)


def _facts(expected: str) -> str | list[str]:
    inside = expected.removeprefix("{").removesuffix("}")
    return inside.split(",") if expected.startswith("{") else expected


def _tree(source: str) -> str:
    try:
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError):
        return source
