"""Prompts to sample traces for, and benchmarks to measure on: problems, with a reference answer where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from string import punctuation, whitespace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dataforge.errors import InputError
from dataforge.verifiers import CHECKS, Response
from dataforge.verifiers import find as verifier_named
from schemas.chat import Message
from schemas.task import Task
from trainer.conversations import conversation, find

BENCHMARK = "prompts"
"""Name of the set of a problem that does not say which it is from."""
_ROWS_AT_ONCE = 256
_FORM = 'a row is {"prompt": "…"} or {"messages": […]}, with `id`, `benchmark` and `expected` (or `answer`), or `verifier` and `facts`, if wished'


@dataclass(frozen=True, slots=True)
class Prompt:
    """A problem.

    Attributes:
        problem: its id.
        benchmark: name of its set.
        messages: what the policy is asked, up to and without its turn.
        expected: the reference answer, or None.
        task: what a verifier scores answers by, in the place of the reference answer; None where there is none.
        asked: the budget that the messages ask for, or None; see `asking`.
    """

    problem: str
    benchmark: str
    messages: tuple[Message, ...]
    expected: str | None = None
    asked: int | None = None
    task: Task | None = None


def read_prompts(paths: Sequence[Path]) -> list[Prompt]:
    """The problems of `.jsonl` and `.parquet` files, and of corpora of `dataforge run`.

    A row has `prompt` (a string) or `messages`, which are taken without the turn of the assistant at their end; and may
    have `problem` or `id`, `benchmark`, and the reference answer as `expected` or `answer`. Of a corpus only the rows of
    the kind `final` are taken. A row without an id is called by its file and number.

    Raises:
        InputError: unreadable, empty, a row has no prompt, two problems of one benchmark have one id (L002).
    """
    prompts: list[Prompt] = []
    places: dict[tuple[str, str], str] = {}
    for path in paths:
        with _told_of(path):
            for where, name, row in _rows(path):
                if str(row.get("kind") or "final") != "final":
                    continue
                prompt = _prompt(row, where, name)
                earlier = places.setdefault((prompt.benchmark, prompt.problem), where)
                if earlier != where:
                    raise _wrong(
                        where,
                        f"is the problem `{prompt.problem}` of `{prompt.benchmark}`, and so is {earlier}",
                        "give each row an `id` of its own, or each file its `benchmark`",
                    )
                prompts.append(prompt)
    if not prompts:
        raise _wrong(", ".join(map(str, paths)) or "the command", "has no prompt in it", _FORM)
    return prompts


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Whatever cannot be read is told of as a prompt, not as something to train on."""
    try:
        yield
    except InputError as error:
        if error.code != "T002":
            raise
        raise InputError(error.message, code="L002", help=error.help) from error
    except (OSError, pa.ArrowException) as error:
        raise _wrong(str(path), f"cannot be read: {error}") from error


def _rows(path: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each row of a path, with its place for errors and a name for want of an id."""
    for source in find(path):
        rows = _lines(source.path) if source.path.suffix == ".jsonl" else _table(source.path)
        for number, row in rows:
            yield f"{source.path}, row {number}", f"{source.path.name}:{number}", row


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except ValueError as error:
                raise _wrong(f"{path}, row {number}", f"is no JSON: {error}", _FORM) from error
            if not isinstance(row, dict):
                raise _wrong(f"{path}, row {number}", "is no JSON object", _FORM)
            yield number, row


def _table(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _prompt(row: Mapping[str, Any], where: str, name: str) -> Prompt:
    if row.get("tools"):
        raise _wrong(where, "offers tools, which length control doesn't know", "take the row out")
    if row.get("messages") is not None:
        messages = list(conversation(row, where).messages)
        if messages[-1].role == "assistant":
            messages.pop()
    else:
        text = row.get("prompt")
        if not isinstance(text, str) or not text.strip():
            what = "has no prompt" if text is None else "has a `prompt` that is empty, or no text"
            raise _wrong(where, what, _FORM)
        messages = [Message(role="user", content=text)]
    if not any(message.role in ("user", "tool") for message in messages[-1:]):
        raise _wrong(where, "has no question before the assistant's turn", _FORM)
    return Prompt(
        problem=_word(row, ("problem", "id"), where) or name,
        benchmark=_word(row, ("benchmark",), where) or BENCHMARK,
        messages=tuple(message.model_copy(update={"train": False}) for message in messages),
        expected=_word(row, ("expected", "answer"), where) or None,
        task=_task(row, where),
    )


def _task(row: Mapping[str, Any], where: str) -> Task | None:
    """The task of a row that names its verifier, as `dataforge verifiers tasks` writes them."""
    name = _word(row, ("verifier",), where)
    if not name:
        return None
    try:
        verifier_named(name)
        facts = row.get("facts") or {}
        return Task(prompt="", verifier=name, facts=orjson.loads(facts) if isinstance(facts, str) else facts)
    except InputError as error:
        raise _wrong(where, error.message, error.help) from error
    except ValueError as error:
        raise _wrong(
            where, "has `facts` that are no JSON object", "they are the hidden facts of its verifier"
        ) from error


def _word(row: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    """The first of these fields that a row has, as text."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value).strip()
        if value is not None:
            raise _wrong(where, f"has a `{name}` that is neither text nor a number")
    return ""


def _wrong(where: str, what: str, help: str | None = None) -> InputError:
    return InputError(f"{where}: {what}", code="L002", help=help)


def asking(prompt: Prompt, budget: int, line: str) -> Prompt:
    """The prompt with a line that asks for a budget in its system message, such as `reasoning budget: 8k`.

    The line stands at the end of the system message, after an empty line; a prompt without one gets one.

    Args:
        line: with `{budget}` in it, which becomes `8k` for 8,000, `8192` for 8,192, `96` for 96.

    Raises:
        InputError: the line says nothing of the budget (L001).
    """
    if "{budget}" not in line:
        raise InputError(
            f"the line that asks for a budget, `{line}`, has no place for it",
            code="L001",
            help="write {budget} where it belongs: --ask 'reasoning budget: {budget}'",
        )
    said = line.replace("{budget}", in_words(budget))
    first, rest = prompt.messages[0], prompt.messages[1:]
    if first.role != "system":
        first, rest = Message(role="system", content=said), prompt.messages
    else:
        first = first.model_copy(update={"content": f"{first.content}\n\n{said}" if first.content else said})
    return replace(prompt, messages=(first, *rest), asked=budget)


def in_words(budget: int) -> str:
    """A budget as prompts name it: `8k` for 8,000, `8192` for 8,192."""
    return f"{budget // 1000}k" if budget % 1000 == 0 else str(budget)


_LEAD_IN = re.compile(r"answer is|answer:", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|[-+]?\.\d+", re.ASCII)
_AROUND = "".join(set(punctuation + whitespace) - set("-+."))
"""What may stand before a number and is no part of it; behind one, a full stop may too."""


async def scored(prompt: Prompt, answer: str) -> float | None:
    """The score of an answer: by the prompt's verifier, else by its reference answer; None where nothing can be said."""
    if prompt.task is not None:
        return (await CHECKS.verdict(None, prompt.task, Response(answer, reasoning=""))).score
    return score(answer, prompt.expected)


def score(answer: str, expected: str | None) -> float | None:
    r"""1.0 where the final answer is the expected one, 0.0 where it is not, None where none is expected.

    The final answer is what stands in the last `\boxed{…}`, else behind the last `answer is` or `answer:` to the end of
    that line, else the last line; lines with nothing but space and punctuation count only where there are no others.
    Numbers (`-1,234.50`, `.5`, `3/4`, without unit or exponent) are compared exactly, as numbers; all else as text, without
    case and surrounding punctuation, white space of any kind and length being one space. An empty final answer is never
    right.
    """
    if expected is None:
        return None
    given = final_answer(answer)
    if not given:
        return 0.0
    numbers = _number(given), _number(expected)
    if None not in numbers:
        return float(numbers[0] == numbers[1])
    return float(_bare(given) == _bare(expected))


def final_answer(text: str) -> str:
    """What a text gives as its answer; see `score`."""
    if (boxed := _boxed(text)) is not None:
        return boxed.strip()
    ends = [lead_in.end() for lead_in in _LEAD_IN.finditer(text)]
    behind = _telling(text[ends[-1] :])[:1] if ends else []
    return (behind or _telling(text)[-1:] or text.strip().splitlines()[-1:] or [""])[0].strip()


def _boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` whose braces are closed."""
    last: tuple[int, int] | None = None
    opened: list[tuple[int, bool]] = []
    for brace in re.finditer(r"(\\boxed\s*)?\{|\}", text):
        if brace[0] != "}":
            opened.append((brace.end(), brace[1] is not None))
        elif opened:
            begin, is_box = opened.pop()
            if is_box and (last is None or begin > last[0]):
                last = begin, brace.start()
    return None if last is None else text[slice(*last)]


def _telling(text: str) -> list[str]:
    """Its lines, but for those with nothing but space and punctuation."""
    return [line.strip() for line in text.splitlines() if line.strip(punctuation + whitespace)]


def _number(text: str) -> Fraction | None:
    bare = text.lstrip(_AROUND).rstrip(_AROUND + ".")
    parts = [part.strip() for part in bare.split("/")]
    if len(parts) > 2 or len(bare) > 1000 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    top, *bottom = (Fraction(part.replace(",", "")) for part in parts)
    if not bottom:
        return top
    return top / bottom[0] if bottom[0] else None


def _bare(text: str) -> str:
    text = " ".join(text.casefold().split())
    return text.strip(punctuation + whitespace) or text
