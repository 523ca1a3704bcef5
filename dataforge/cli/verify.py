"""`dataforge verify`: score the responses in a file, a verdict a line, and a summary."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.verifiers import Response, Verdict, Verifier
    from schemas.task import Task

_TELL_EVERY_S = 5.0
_MOST_TOPICS = 30
_OTHER = "other topics"
_TOPICS_HELD = 1000
_STDIN = Path("-")


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)


def verify(
    names: list[str] = typer.Argument(
        ...,
        metavar="[NAME] FILE",
        help="A verifier, or none where each task names its own; and JSON Lines or Parquet with tasks and responses, "
        "a corpus directory, or - for lines on stdin.",
        show_default=False,
    ),
    out: Path | None = typer.Option(
        None, help="Where to write the verdicts, one a line.", show_default=False
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Score the responses in a file; exit code 1 where something kept a response from being judged.

    Example: `dataforge verify multiple_choice answers.jsonl --out verdicts.jsonl`

    `dataforge verifiers` lists the verifiers. A row has a `task` (or its fields `prompt`, `facts`, … beside each other) and a `response`: a text, or an object with
    `text` and perhaps `reasoning`, `tool_calls`, `finish_reason`. Rows of a corpus whose state holds a Task will do too.
    """
    from dataforge.verifiers.many import verify_all
    from dataforge.verifiers.registry import find
    from dataforge.verifiers.registry import names as known

    if len(names) > 2:
        raise typer.BadParameter(f"one file, and not {', '.join(names[1:])}", param_hint="FILE")
    verifier, file = find(names[0]) if len(names) == 2 else None, Path(names[-1])
    if verifier is None and not file.exists() and names[0] in known():
        raise typer.BadParameter(f"no file is named for `{names[0]}` to score", param_hint="FILE")
    _check(file, out)
    summary = _Summary(verifier)
    part = None if out is None else out.with_name(out.name + ".part")
    stream = None if part is None else part.open("w", encoding="utf-8")
    try:
        rows = ((row, row.verifier, row.task, row.response) for row in _rows(file, verifier))
        for row, verdict in verify_all(rows):
            summary.add(row, verdict)
            if stream is not None:
                _write(stream, row, verdict)
        if stream is not None and part is not None and out is not None:
            stream.close()
            part.replace(out)
    finally:
        if stream is not None and part is not None:
            stream.close()
            part.unlink(missing_ok=True)
    told = summary.to_json()
    if as_json:
        print_json(told)
    else:
        _show(told, out)
    if summary.errors:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    id: str | None
    verifier: Verifier[Any]
    task: Task
    response: Response


@dataclass(slots=True)
class _Counts:
    """Of the outcomes of one topic, or of all."""

    passed: int = 0
    failed: int = 0
    unparsed: int = 0
    error: int = 0
    score: float = 0.0

    def add(self, verdict: Verdict) -> None:
        setattr(self, verdict.outcome, getattr(self, verdict.outcome) + 1)
        self.score += verdict.score or 0.0

    def to_json(self) -> dict[str, Any]:
        parsed = self.passed + self.failed
        judged = parsed + self.unparsed
        return {
            "responses": judged + self.error,
            "passed": self.passed,
            "failed": self.failed,
            "unparsed": self.unparsed,
            "errors": self.error,
            "score": self.score / judged if judged else None,
            "score_of_parsed": self.score / parsed if parsed else None,
        }


@dataclass(slots=True)
class _Summary:
    """What came out, counted.

    Attributes:
        verifier: that of all rows; None where each has its own, which its topic then begins with.
    """

    verifier: Verifier[Any] | None
    versions: dict[str, int] = field(default_factory=dict)
    all: _Counts = field(default_factory=_Counts)
    topics: dict[str, _Counts] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    first_errors: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    done: int = 0

    def add(self, row: _Row, verdict: Verdict) -> None:
        self.all.add(verdict)
        self.versions[row.verifier.name] = row.verifier.version
        topic = row.task.topic
        if self.verifier is None:
            topic = f"{row.verifier.name}: {topic}" if topic else row.verifier.name
        if topic not in self.topics and len(self.topics) >= _TOPICS_HELD:
            topic = _OTHER
        self.topics.setdefault(topic, _Counts()).add(verdict)
        if verdict.error is not None:
            self.errors[verdict.error] += 1
            self.first_errors.setdefault(verdict.error, f"row {row.number}: {verdict.reason}")
        self.done += 1
        now = time.monotonic()
        if now - self.told >= _TELL_EVERY_S:
            self.told = now
            say(f"{self.done:,} responses · {self.done / (now - self.began):,.0f}/s", err=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "verifiers": dict(sorted(self.versions.items())),
            **self.all.to_json(),
            "errors_by_kind": dict(sorted(self.errors.items())),
            "first_errors": dict(sorted(self.first_errors.items())),
            "topics": {topic: counts.to_json() for topic, counts in sorted(self.topics.items())},
        }


def _check(file: Path, out: Path | None) -> None:
    """See that the file is there, and that the output does not take its place."""
    from dataforge.errors import InputError, OutputError

    if file != _STDIN and not file.exists():
        raise InputError(
            f"{file}: there is no such file",
            code="V014",
            help="name a .jsonl or .parquet file, or - for stdin",
        )
    if out is None:
        return
    read = file.exists() and out.exists() and out.samefile(file)
    if read or (out.exists() and not out.is_file()):
        what = "what is read" if read else "no ordinary file"
        raise OutputError(f"{out} is {what}", code="R021", help="give --out another name")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise OutputError(
            f"{out} cannot be written: {out.parent} is no folder that can be written to",
            code="R021",
            help="make the folder, or choose another --out",
        )


def _rows(file: Path, verifier: Verifier[Any] | None) -> Iterator[_Row]:
    """The rows of a file, each with its verifier: the given one, or else the one that its task names."""
    from dataforge.errors import InputError
    from dataforge.verifiers.registry import find

    if file.is_dir():
        from dataforge.corpus.read import read_rows

        records: Iterator[tuple[int, dict[str, Any]]] = (
            (number, row.model_dump()) for number, row in enumerate(read_rows(file), 1) if row.kind == "final"
        )
    else:
        records = _records(file)
    empty = True
    for number, record in records:
        empty = False
        try:
            task, response = _read(record)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}:{number}: {_said(error)}",
                code="V015",
                help='a row is {"task": {"prompt": …, "facts": …}, "response": …}; see docs/verifiers.md',
            ) from error
        meant = verifier
        if meant is None and task.verifier:
            meant = find(task.verifier)
        if meant is None or task.verifier not in ("", meant.name):
            raise InputError(
                f"{file}:{number}: the task "
                + (
                    "names no verifier"
                    if meant is None
                    else f"is for the verifier `{task.verifier}`, and not for `{meant.name}`"
                ),
                code="V016",
                help=f"dataforge verify {task.verifier or 'NAME'} {file}"
                + ("" if meant is None else f", or dataforge verify {file} to judge each task by its own"),
            )
        identity = record.get("id")
        yield _Row(number, None if identity is None else str(identity), meant, task, response)
    if empty:
        raise InputError(f"{file}: there is no row in it", code="V014", help="a row is a task and a response")


def _records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    from dataforge.seeds.flaw import Flaw
    from dataforge.seeds.formats import format_of

    try:
        if file == _STDIN:
            yield from format_of(Path("-.jsonl"), "-").read(Path("/dev/stdin"))
        else:
            yield from format_of(file, str(file)).read(file)
    except Flaw as flaw:
        raise flaw.named(str(file)) from None


def _read(record: dict[str, Any]) -> tuple[Task, Response]:
    """The task and the response of a row, in any of the forms.

    Raises:
        KeyError, TypeError, ValueError: it is none of them.
    """
    from dataforge.verifiers.protocol import response_from_json
    from schemas.task import Task

    if "response" not in record and "messages" in record and "state" in record:
        return _of_corpus(record)
    if record.get("response") is None:
        raise ValueError("there is no `response`")
    if "task" in record:
        task = _decoded(record["task"], "task")
    else:
        task = {key: record[key] for key in Task.model_fields if key in record and record[key] is not None}
        if "facts" in task:
            task["facts"] = _decoded(task["facts"], "facts")
    response = record["response"]
    if not isinstance(response, str | dict):
        raise ValueError("the `response` is neither a text nor an object")
    if isinstance(response, dict) and not isinstance(response.get("text"), str):
        raise ValueError("the `response` has no `text`")
    return Task.model_validate(task), response_from_json(response)


def _decoded(value: Any, what: str) -> dict[str, Any]:
    """An object, or the JSON text of one: Parquet columns hold facts of many shapes as texts."""
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError(f"`{what}` is no object")
    return found


def _of_corpus(record: dict[str, Any]) -> tuple[Task, Response]:
    """The task among the structs of a corpus row, and the turns after its prompt as the response."""
    from dataforge.verifiers import Response
    from schemas.chat import Message
    from schemas.task import Task

    structs = _decoded(record["state"], "state").values()
    tasks = [
        struct for struct in structs if isinstance(struct, dict) and {"prompt", "facts"} <= struct.keys()
    ]
    if len(tasks) != 1:
        raise ValueError(f"the state of the row holds {len(tasks)} tasks, and should hold one")
    messages = [Message.model_validate(message) for message in record["messages"]]
    if not messages or messages[-1].role != "assistant":
        raise ValueError("the conversation does not end with the assistant's turn")
    last = messages[-1]
    first = next(index for index, message in enumerate(messages) if message.role == "assistant")
    turns = tuple(messages[first:])
    fields = {key: value for key, value in tasks[0].items() if key in Task.model_fields}
    response = Response(
        text=last.content,
        reasoning=last.reasoning_content,
        tool_calls=tuple(last.tool_calls or ()),
        turns=turns if any(turn.role == "tool" for turn in turns) else (),
    )
    return Task.model_validate(fields), response


def _said(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    if isinstance(error, KeyError):
        return f"there is no `{error.args[0]}`"
    return str(error)


def _write(stream: TextIO, row: _Row, verdict: Verdict) -> None:
    line: dict[str, Any] = {"row": row.number}
    if row.id is not None:
        line["id"] = row.id
    if row.task.topic:
        line["topic"] = row.task.topic
    # A lone surrogate, which a model's JSON may bring, cannot be written as it is.
    text = json.dumps({**line, **verdict.to_json()}, ensure_ascii=False)
    stream.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def _show(told: dict[str, Any], out: Path | None) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("topic", overflow="fold")
    for column in ("responses", "passed", "failed", "unparsed", "errors", "score", "of parsed"):
        table.add_column(column, justify="right")
    topics = sorted(told["topics"].items(), key=lambda item: -item[1]["responses"])
    if len(topics) > 1:
        for topic, counts in topics[:_MOST_TOPICS]:
            table.add_row(_cell(topic or "(none)"), *_cells(counts))
    table.add_row("all", *_cells(told))
    say(", ".join(f"{name} v{version}" for name, version in told["verifiers"].items()) + "\n")
    _console().print(table)
    if len(topics) > _MOST_TOPICS:
        say(f"and {len(topics) - _MOST_TOPICS:,} more topics; --json has them all")
    for kind, count in told["errors_by_kind"].items():
        say(f"{count:,} not judged ({kind}), the first of them {told['first_errors'][kind]}")
    if out is not None:
        say(f"verdicts in {out}")


def _cells(counts: dict[str, Any]) -> list[str]:
    numbers = [f"{counts[key]:,}" for key in ("responses", "passed", "failed", "unparsed", "errors")]
    scores = ["" if (s := counts[key]) is None else f"{s:.3f}" for key in ("score", "score_of_parsed")]
    return numbers + scores


def _cell(text: str) -> Any:
    from rich.text import Text

    from dataforge.cli._terminal import printable

    return Text(printable(text))


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
