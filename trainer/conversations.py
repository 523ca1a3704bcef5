"""Corpora and chat files → conversations, a few rows at a time.

Read are the directories that `dataforge run` writes, and `.parquet` and `.jsonl` files (or folders of them) whose rows
have `messages`, among them files for OpenAI's fine-tuning. A row that is no conversation is an error with its place: one
that was passed over in silence would be missing from the weights, and nobody would know.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.packed import is_packed_set
from trainer.samples import Conversation, Notes

COLUMNS = ("id", "messages", "tools", "kind", "thinking", "mask", "budget")
UNREAD = {
    "function_call": "calls are read from `tool_calls`",
    "reasoning": "thinking is read from `reasoning_content`",
    "thinking": "thinking is read from `reasoning_content`",
    "refusal": "leave it out of the data",
    "audio": "leave it out of the data",
}
"""What messages of other makers hold beside their content and is not read, and what to do about it."""

_INLINE = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
_ROWS_AT_ONCE = 256
_FORM = 'a row is {"messages": [{"role": …, "content": …}, …]}, with `tools`, `thinking`, `kind` and `id` if wished'


@dataclass(frozen=True, slots=True)
class Source:
    """A file with rows.

    Attributes:
        digest: of its bytes, where the corpus that it belongs to says what it should be; else empty.
    """

    path: Path
    digest: str = ""

    def fingerprint(self) -> tuple[str, int]:
        """Hash of the bytes, and rows (lines, for text), in one pass over the file.

        Raises:
            InputError: it is not what its corpus says, or cannot be read (T002).
        """
        text, lines, last = self.path.suffix == ".jsonl", 0, b"\n"
        hasher = hashlib.blake2b(digest_size=16)
        try:
            with self.path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    hasher.update(block)
                    lines += block.count(b"\n") if text else 0
                    last = block[-1:]
            rows = lines + (last != b"\n") if text else pq.read_metadata(self.path).num_rows
        except (OSError, pa.ArrowException) as error:
            raise wrong(str(self.path), f"cannot be read: {error}") from error
        if self.digest not in ("", hasher.hexdigest()):
            raise wrong(str(self.path), "is not as the run wrote it: its hash differs from the manifest's")
        return hasher.hexdigest(), rows


class Conversations:
    """The conversations of some paths that are of some kinds, in order.

    Attributes:
        sources: the files.
        seen: rows read so far, by kind.
    """

    def __init__(self, paths: Sequence[str], kinds: Sequence[str]) -> None:
        self.sources = tuple(source for path in paths for source in find(Path(path)))
        self.kinds = frozenset(kinds)
        self.seen: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Conversation]:
        self.seen.clear()
        for source in self.sources:
            rows = _lines(source.path) if source.path.suffix == ".jsonl" else _table(source.path)
            for number, row in enumerate(rows, 1):
                if row is not None:
                    kind = str(row.get("kind") or "final")
                    self.seen[kind] += 1
                    if kind in self.kinds:
                        yield conversation(
                            row, f"{source.path}, row {number}", f"{source.path.name}:{number}"
                        )
        if not self.kinds & self.seen.keys():
            self._nothing()

    def _nothing(self) -> None:
        where = ", ".join(str(source.path) for source in self.sources[:3])
        if not self.seen:
            raise wrong(where, "no row is there: nothing to train on")
        there = ", ".join(f"{n:,} are `{kind}`" for kind, n in sorted(self.seen.items()))
        raise InputError(
            f"{where}: of {self.seen.total():,} rows none is {' or '.join(f'`{k}`' for k in sorted(self.kinds))}:"
            f" {there}",
            code="T002",
            help=f"to train on those: --set 'data.kinds={json.dumps(sorted(self.seen))}'",
        )


def find(path: Path) -> list[Source]:
    """The files behind a path: itself, those that a corpus's manifest names, or those of a folder.

    Raises:
        InputError: nothing is there that could be read (T002).
    """
    if path.is_file() and path.suffix in (".parquet", ".jsonl"):
        return [Source(path)]
    if not path.is_dir():
        what = "is neither .parquet nor .jsonl" if path.exists() else "is not there"
        raise wrong(str(path), what, help="name a corpus of `dataforge run`, or .parquet and .jsonl files")
    if is_packed_set(path):
        raise wrong(
            str(path), "is a packed set", help=f"to pack it anew: name what it was made from, and -o {path}"
        )
    if (manifest := path / "manifest.json").is_file():
        try:
            files = orjson.loads(manifest.read_bytes())["files"]
            named = [Source(path / name, files[name]) for name in sorted(files) if name.startswith("data/")]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise wrong(
                str(manifest), "is no manifest of a corpus", help="name the --out of a run"
            ) from error
        if named:
            return named
    # Half a corpus would be a shorter one without a word.
    if (path / "run.json").is_file():
        raise wrong(
            str(path), "holds a run that has not finished", help="start the same run again, to its end"
        )
    found = sorted(
        p for folder in (path, path / "data") for end in ("*.parquet", "*.jsonl") for p in folder.glob(end)
    )
    if not found:
        raise wrong(str(path), "holds no corpus, and no .parquet or .jsonl file")
    return [Source(each) for each in found]


def _table(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if "messages" not in names:
                raise wrong(str(path), f"has no column `messages`, only {', '.join(names) or 'none'}")
            columns = [name for name in COLUMNS if name in names]
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                # Arrow gives all structs of a column the same fields; those that one does not have are null.
                yield from map(_without_nulls, batch.to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise wrong(str(path), f"cannot be read: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return value


def _lines(path: Path) -> Iterator[dict[str, Any] | None]:
    """The rows of a text file, None for an empty line."""
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                row = _json(line, f"{path}, row {number}", "it") if line.strip() else None
                if not isinstance(row, dict | None):
                    raise wrong(f"{path}, row {number}", "is no JSON object", help=_FORM)
                yield row
    except OSError as error:
        raise wrong(str(path), f"cannot be read: {error.strerror}") from error


def conversation(row: Mapping[str, Any], where: str, default_id: str = "") -> Conversation:
    """A row as a conversation.

    Args:
        row: with `messages`, and what else `COLUMNS` names.
        where: file and row, for errors.
        default_id: for a row without `id`.

    Raises:
        InputError: it is none (T002).
    """
    given = row.get("messages")
    if not isinstance(given, list) or not given or not all(isinstance(m, dict) for m in given):
        raise wrong(where, "`messages` is no list of messages" if given else "has no `messages`", help=_FORM)
    thinking, tools, mask = row.get("thinking"), row.get("tools"), row.get("mask")
    if thinking not in ("on", "off", None):
        raise wrong(where, f"`thinking` is {thinking!r}; it is `on`, `off` or absent")
    if not isinstance(mask, str | None):
        raise wrong(where, f"`mask` is {str(mask)[:40]}, and not the name of a strategy such as `tag`")
    budget = None if mask is None else row.get("budget")
    if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 1):
        raise wrong(where, f"`budget` is {budget!r}; it is a number of tokens")
    if isinstance(tools, str):
        tools = _json(tools, where, "tools")
    if not isinstance(tools, list | None):
        raise wrong(where, "`tools` is no list")
    return Conversation(
        id=default_id if row.get("id") in (None, "") else str(row["id"]),
        messages=tuple(
            _message(message, trained, f"{where}, message {at}")
            for at, (message, trained) in enumerate(zip(given, _trained(given, where), strict=True), 1)
        ),
        tools=tuple(_tool(tool, where) for tool in tools or ()),
        thinking=thinking,
        kind=str(row.get("kind") or "final"),
        mask=mask,
        budget=budget,
    )


def _trained(messages: Sequence[Mapping[str, Any]], where: str) -> list[bool]:
    """Which messages the loss sees: by `train`, else by OpenAI's `weight`, else all that the assistant says."""
    told = any(message.get("train") is not None for message in messages)
    flags = []
    for at, message in enumerate(messages, 1):
        says = message.get("role") == "assistant"
        flag = message.get("train") if told else says and message.get("weight")
        flag = says and not told if flag is None else flag
        if flag not in (0, 1):
            raise wrong(
                f"{where}, message {at}", f"`train` or `weight` is {flag!r}, neither yes (1) nor no (0)"
            )
        if flag and not says:
            raise wrong(f"{where}, message {at}", "is to be trained, and the assistant does not say it")
        flags.append(bool(flag))
    return flags


def _message(data: Mapping[str, Any], trained: bool, where: str) -> Message:
    for name, help in UNREAD.items():
        if data.get(name):
            raise wrong(where, f"has `{name}`, which is not read", help=help)
    content = data.get("content")
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) else None for part in content]
        content = "".join(text for text in texts if isinstance(text, str))
        if not all(isinstance(text, str) for text in texts):
            raise wrong(where, "has parts that are no text", help="this trainer knows text only")
    calls, thoughts = data.get("tool_calls") or None, data.get("reasoning_content") or None
    if not isinstance(calls, list | None):
        raise wrong(where, "`tool_calls` is no list")
    if (calls or thoughts) and data.get("role") != "assistant":
        raise wrong(where, "calls tools or thinks, and is not the assistant's")
    if content is None and (calls or thoughts):
        content = ""
    try:
        return Message.model_validate(
            {
                "role": data.get("role"),
                "content": content,
                "reasoning_content": thoughts,
                "tool_calls": calls and [_object(call, where, "tool_calls") for call in calls],
                "tool_call_id": data.get("tool_call_id"),
                "train": trained,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        given = f", not {first['input']!r}"[:60]
        raise wrong(where, f"`{first['loc'][0]}`: {first['msg']}{given}", help=_FORM) from error


def _tool(value: Any, where: str) -> dict[str, Any]:
    tool = _object(value, where, "tools")
    function = tool.get("function", tool)
    if not (isinstance(function, dict) and isinstance(function.get("name"), str) and function["name"]):
        raise wrong(where, "`tools` holds one without a name")
    return tool


def _object(value: Any, where: str, what: str) -> dict[str, Any]:
    """A JSON object, or the text of one, as the corpus's columns have it."""
    found = _json(value, where, f"`{what}`") if isinstance(value, str) else value
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as error:
        # A column of Parquet may hold dates or bytes.
        raise wrong(where, f"`{what}` holds something that is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise wrong(where, f"`{what}` holds something that is no JSON object")
    return found


def _json(text: str | bytes, where: str, what: str) -> Any:
    """What a text says as JSON, exactly: orjson refuses NaN and half characters, json keeps large integers."""
    try:
        orjson.loads(text)
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise wrong(where, f"{what} is no JSON: {error}") from error


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Of a key that is there twice, one value would be lost."""
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def normal(message: Message, row: str, notes: Notes) -> Message:
    """A message in one form: thinking in a field of its own, arguments of tool calls as objects.

    Raises:
        InputError: a tool call cannot be an object without loss (T005).
    """
    if message.role != "assistant":
        return message
    thoughts, content = apart(message)
    if content is not message.content:
        notes.count("inline_thinking")
    calls = [_call(call, row) for call in message.tool_calls or []]
    thoughts = thoughts if thoughts and thoughts.strip() else None
    return message.model_copy(
        update={"reasoning_content": thoughts, "content": content, "tool_calls": calls or None}
    )


def apart(message: Message) -> tuple[str | None, str]:
    """Thinking and answer of a turn, though both may stand in its content."""
    thoughts, content = message.reasoning_content, message.content
    if not thoughts and (inline := _INLINE.match(content)):
        return inline[1], content[inline.end() :]
    return thoughts, content


def _call(call: dict[str, Any], row: str) -> dict[str, Any]:
    """A tool call with its arguments as an object, if that loses nothing: a template prints it as JSON again."""
    try:
        function = call["function"]
        arguments = function["arguments"]
        if isinstance(arguments, str):
            arguments = json.loads(arguments or "{}", parse_float=_exact, object_pairs_hook=unique)
        if not isinstance(arguments, dict):
            raise ValueError(f"{json.dumps(arguments)} is no object")
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
        return {**call, "function": {"name": str(function["name"]), "arguments": arguments}}
    except (ValueError, LookupError, TypeError) as error:
        why = error if isinstance(error, ValueError) else "it has no `function` with `name` and `arguments`"
        raise InputError(
            f"row {row}: the tool call {str(call)[:200]} cannot be rendered exactly: {why}",
            code="T005",
            help="calls have the form of OpenAI's API; `arguments` is a JSON object",
        ) from error


def _exact(digits: str) -> float:
    if Decimal(digits) != Decimal(repr(float(digits))):
        raise ValueError(f"the number {digits} has more digits than a float")
    return float(digits)


def wrong(where: str, what: str, *, help: str | None = None) -> InputError:
    return InputError(f"{where}: {what}", code="T002", help=help)
