"""Traces: what a policy thought and answered to a prompt, how it ended, and the folder that holds them.

    traces/
      manifest.json                 what they were sampled with, counts and hashes; written last
      data/train-…parquet           cut at the budget, closed and answered: what length control trains on
      finished/finished-…parquet    ended by themselves: statistics, and ordinary samples to mix in
      unfit/unfit-…parquet          measured and never trained on, each with its reason (`Unfit`)

A row of any of these is a row of a corpus (`messages` with `reasoning_content`, `thinking`, `kind`, `id`) with the fields of
`Trace` beside it, so that `dataforge train` reads it too. It is told of `data/` alone.

What a token of thinking is: servers strip the white space around thinking and around answers, each in its own way, and
templates put some of their own there. So neither counts: thinking is the text between the tags without white space at its
ends, encoded by itself. Only where a trace was cut may it end in white space, which are then tokens of the budget.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, median
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from dataforge.errors import InputError
from dataforge.files import arriving, write_json
from schemas.chat import Message
from trainer.packed import file_hash

Case = Literal["finished", "thinking", "answer"]
"""How the first pass ended: by itself; cut inside the thinking; cut inside the answer."""

Unfit = Literal["overlong", "unended", "unstable", "short", "thoughtless", "control", "reopened"]
"""Why nothing is trained on a trace that did not finish.

`overlong`: a measurement, and it never closed its thinking. `unended`: its answer did not end by a stop token, and what is
trained on it would be an end that the policy never wrote. `unstable`: the text of the tokens up to the budget encodes to
other tokens (half a character, or a token that melts at the cut). `short`: the server cut it before its budget.
`thoughtless`: it answered without thinking. `control`: its thinking or answer spells out a control token, such as one that
ends turns. `reopened`: its answer has a thinking tag of its own, or its thinking one that closes it.
"""

MANIFEST = "manifest.json"
FORMAT = 1
_FOLDERS = {"data": "train", "finished": "finished", "unfit": "unfit"}
"""The files' folders, in the order in which they are read, and how a file's name begins."""
_BYTES_A_GROUP = 32 * 1024 * 1024
"""Text of a row group, which is what is in memory at once."""

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
MESSAGE = pa.struct(
    [
        ("role", _TEXT),
        ("content", _TEXT),
        ("reasoning_content", _TEXT),
        ("tool_calls", _TEXTS),
        ("tool_call_id", _TEXT),
        ("train", pa.bool_()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("messages", pa.list_(MESSAGE)),
        ("kind", _TEXT),
        ("thinking", _TEXT),
        ("benchmark", _TEXT),
        ("problem", _TEXT),
        ("sample", pa.int64()),
        ("budget", pa.int64()),
        ("limit", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("thinking_tokens", pa.int64()),
        ("closed", pa.bool_()),
        ("case", _TEXT),
        ("answer_tokens", pa.int64()),
        ("ended", pa.bool_()),
        ("expected", _TEXT),
        ("score", pa.float64()),
        ("asked", pa.int64()),
        ("unfit", _TEXT),
    ]
)


@dataclass(frozen=True, slots=True)
class Trace:
    """One rollout.

    Attributes:
        id: stable: hash of policy, problem, sample and budget.
        benchmark: name of the set that the problem is from; `prompts` where it has none.
        problem: id of the problem, for pairing rollouts of different policies.
        sample: number of the rollout of this problem, from 0.
        messages: the prompt: system, user, earlier turns.
        budget: tokens of thinking at which the trace was to be cut; None where it might use the whole context (a
            measurement).
        limit: tokens that prompt and output together might have (the context).
        prompt_tokens: of the rendered prompt.
        thinking: the text of the thinking, cut to the budget where it was longer. It has no white space at its ends, but
            for a cut one, which has what lies before the cut.
        thinking_tokens: of `thinking`, encoded by itself under the model's tokenizer. So neither the tags count nor the
            white space between them and the thinking. Of a trace that was cut inside the thinking it is the budget.
        closed: whether the policy closed its thinking by itself, and within the budget; True where it answered without
            any. Where a server tells thinking and answer apart and sends no answer, nobody can say: False.
        case: how the first pass ended.
        answer: the final answer, without white space at its ends; after a cut inside the thinking, what the policy
            answered once `</think>` was appended.
        answer_tokens: of the answer, encoded by itself.
        ended: whether the answer ended by a stop token.
        expected: the reference answer of the problem, or None.
        score: 0 to 1; None where there is nothing to hold it against. A trace that never closed scores 0.
        asked: the budget that the prompt itself asks for (a system line), or None.
        unfit: why nothing is trained on it, though it was cut; None where something is, and for finished ones.
    """

    id: str
    benchmark: str
    problem: str
    sample: int
    messages: tuple[Message, ...]
    budget: int | None
    limit: int
    prompt_tokens: int
    thinking: str
    thinking_tokens: int
    closed: bool
    case: Case
    answer: str
    answer_tokens: int
    ended: bool
    expected: str | None = None
    score: float | None = None
    asked: int | None = None
    unfit: Unfit | None = None

    @property
    def forced(self) -> bool:
        """Whether `</think>` was appended from outside: not where the server had cut it before its budget."""
        return self.case == "thinking" and self.budget is not None and self.unfit != "short"

    @property
    def trainable(self) -> bool:
        """Whether length control trains on it: what `data/` holds."""
        return self.case != "finished" and self.unfit is None


_PLAIN = tuple(f.name for f in fields(Trace) if f.name not in ("messages", "thinking", "answer"))
"""Fields that are columns as they are. The others are in the row's `messages`."""


def write_traces(folder: Path, traces: Iterable[Trace], about: dict[str, Any]) -> None:
    """Write a folder of traces, the manifest last. What the folder held before is no longer one from the first moment on.

    Args:
        traces: may be an iterator: no more than a row group of them is in memory.
        about: what the manifest says besides.
    """
    with TraceWriter(folder) as writer:
        for trace in traces:
            writer.write(trace)
        writer.finish(about)


class TraceWriter:
    """A folder of traces under way. Left without `finish`, it leaves no manifest, and so no traces.

    The bytes depend on the traces and their order alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._parts: dict[str, _Part] = {}
        self._tallies: dict[tuple[int | None, int | None], _Tally] = {}

    def __enter__(self) -> TraceWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / MANIFEST).unlink(missing_ok=True)
        for name, stem in _FOLDERS.items():
            (self._folder / name).mkdir(exist_ok=True)
            for old in (self._folder / name).glob("*.parquet"):
                old.unlink()
            path = self._folder / name / f"{stem}-00000-of-00001.parquet"
            self._parts[name] = _Part(self._files.enter_context(arriving(path)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        for part in self._parts.values():
            part.close()
        self._files.__exit__(kind, error, trace)
        if error is not None:
            for name in _FOLDERS:
                for torn in (self._folder / name).glob(".*.tmp"):
                    torn.unlink()
                with suppress(OSError):
                    (self._folder / name).rmdir()

    def write(self, trace: Trace) -> None:
        self._parts[_folder_of(trace)].add(trace)
        self._tallies.setdefault((trace.budget, trace.asked), _Tally()).add(trace)

    def finish(self, about: dict[str, Any]) -> dict[str, Any]:
        """Seal the files and write the manifest, which is returned."""
        for part in self._parts.values():
            part.seal()
        self._files.close()
        files = {}
        for name, stem in _FOLDERS.items():
            path = f"{name}/{stem}-00000-of-00001.parquet"
            files[path] = file_hash(self._folder / path)
        arms = [
            {"budget": budget, "asked": asked, **tally.to_json()}
            for (budget, asked), tally in self._tallies.items()
        ]
        manifest = {"traces": FORMAT, **about, "arms": arms, "files": files}
        write_json(self._folder / MANIFEST, manifest)
        return manifest


class _Part:
    """One Parquet file, a row group at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._writer = pq.ParquetWriter(stream, _SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._size = 0

    def add(self, trace: Trace) -> None:
        self._rows.append(_row(trace))
        self._size += len(trace.thinking) + len(trace.answer) + 1024
        if self._size >= _BYTES_A_GROUP:
            self._flush()

    def seal(self) -> None:
        self._flush()
        self._writer.close()

    def close(self) -> None:
        """Let go of the stream, which may be closed from now on; a second time does nothing."""
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
            self._rows, self._size = [], 0


class _Tally:
    """What the manifest says of the traces of one budget, so that nobody has to read them for it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unfit: Counter[str] = Counter()
        self._lengths: list[int] = []
        self._scores: list[float] = []

    def add(self, trace: Trace) -> None:
        self._counts.update(
            traces=1,
            trainable=int(trace.trainable),
            unclosed=int(not trace.closed),
            prompt_tokens=trace.prompt_tokens,
            answer_tokens=trace.answer_tokens,
            **{f"case_{trace.case}": 1},
        )
        if trace.unfit is not None:
            self._unfit[trace.unfit] += 1
        self._lengths.append(trace.thinking_tokens)
        if trace.score is not None:
            self._scores.append(trace.score)

    def to_json(self) -> dict[str, Any]:
        counts = self._counts
        return {
            "traces": counts["traces"],
            "finished": counts["case_finished"],
            "cut_in_thinking": counts["case_thinking"],
            "cut_in_answer": counts["case_answer"],
            "trainable": counts["trainable"],
            "unfit": dict(sorted(self._unfit.items())),
            "unclosed": counts["unclosed"],
            "prompt_tokens": counts["prompt_tokens"],
            "thinking_tokens": sum(self._lengths),
            "answer_tokens": counts["answer_tokens"],
            "mean_thinking_tokens": fmean(self._lengths),
            "median_thinking_tokens": median(self._lengths),
            "scored": len(self._scores),
            "score": fmean(self._scores) if self._scores else None,
        }


def _folder_of(trace: Trace) -> str:
    return "data" if trace.trainable else "finished" if trace.case == "finished" else "unfit"


def _row(trace: Trace) -> dict[str, Any]:
    turn = Message(role="assistant", content=trace.answer, reasoning_content=trace.thinking, train=True)
    plain = {name: getattr(trace, name) for name in _PLAIN}
    return {
        **plain,
        "messages": [as_column(message) for message in (*trace.messages, turn)],
        "kind": "final",
        # Without any thinking it is as good as a sample of the other mode: templates would put an empty block before it.
        "thinking": "on" if trace.thinking else "off",
    }


def as_column(message: Message) -> dict[str, Any]:
    """A message as a corpus has it: each tool call as JSON, since their arguments have no common type."""
    found = message.model_dump()
    if found["tool_calls"] is not None:
        found["tool_calls"] = [json.dumps(call, ensure_ascii=False) for call in found["tool_calls"]]
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of traces.

    Raises:
        InputError: there is none, or it is none of traces (L008).
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise _unreadable(
            folder,
            "holds no traces, or sampling has not finished",
            "name the --out of `dataforge length sample`; started again, it goes on to its end",
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, f"cannot be read: {error}") from error
    parts = {"files": dict, "arms": list}
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(n), t) for n, t in parts.items()):
        raise _unreadable(path, "is no manifest of traces")
    if manifest.get("traces") != FORMAT:
        told = manifest.get("traces")
        what = "is no manifest of traces" if told is None else f"is of format {told}, and this reads {FORMAT}"
        raise _unreadable(path, what)
    return manifest


def read_traces(folder: Path) -> list[Trace]:
    """All traces of a folder: those to train on, the finished and the unfit, each in the order of problems and samples.

    Raises:
        InputError: no traces, unfinished, or damaged (L008).
    """
    return list(each_trace(folder))


def each_trace(folder: Path) -> Iterator[Trace]:
    """As `read_traces`, with a few of them in memory at once."""
    files = read_manifest(folder)["files"]
    for name in sorted(files):
        path = folder / name
        try:
            if file_hash(path) != files[name]:
                raise _unreadable(path, "is not as it was written: its hash differs from the manifest's")
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=64):
                    yield from map(_trace, batch.to_pylist())
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, ValidationError) as error:
            raise _unreadable(path, f"cannot be read: {error}") from error


def _trace(row: dict[str, Any]) -> Trace:
    for message in row["messages"]:
        if message["tool_calls"] is not None:
            message["tool_calls"] = [json.loads(call) for call in message["tool_calls"]]
    *prompt, turn = map(Message.model_validate, row["messages"])
    return Trace(
        messages=tuple(prompt),
        thinking=turn.reasoning_content or "",
        answer=turn.content,
        **{name: row[name] for name in _PLAIN},
    )


def _unreadable(path: Path, what: str, help: str = "sample them again into another folder") -> InputError:
    return InputError(f"{path} {what}", code="L008", help=help)


def encode(text: str, tokenizer: Any) -> list[int]:
    """The tokens of a piece of text by itself, as `trainer.turn` and training have them."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    return ids


def cut(
    text: str, budget: int, tokenizer: Any, ids: Sequence[int] | None = None
) -> tuple[str, tuple[int, ...]] | None:
    """The first `budget` tokens of a text of thinking: as text and as ids, or None where there are fewer, or where the text
    of those tokens does not encode to them again (half a character at the cut).

    Args:
        ids: the tokens of the text, where they are known.
    """
    kept = list(encode(text, tokenizer) if ids is None else ids)[:budget]
    if len(kept) < budget:
        return None
    said: str = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return (said, tuple(kept)) if encode(said, tokenizer) == kept else None


def of_tokens(traces: Iterable[Trace]) -> int:
    """Tokens of output of all traces, thinking and answers."""
    return sum(trace.thinking_tokens + trace.answer_tokens for trace in traces)
