"""Traces → rows to train on, each with its mask strategy, each checked: its budget to the token, its trained positions.

    masked/
      manifest.json           what it is made from; then also counts and hashes, once it is whole
      data/train-…parquet     rows of `trainer.conversations`, with `mask` and `budget`

`dataforge train --data` and `dataforge pack` read the folder as any corpus, and render the rows anew with the same checks.
"""

from __future__ import annotations

import errno
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataforge.errors import InputError, OutputError, StorageError
from dataforge.files import arriving, write_json
from schemas.chat import Message
from trainer.config import MANY
from trainer.conversations import Conversations, conversation
from trainer.disk import held
from trainer.length.strategies import strategy as parsed
from trainer.length.trace import MESSAGE, Trace, as_column, each_trace, read_manifest
from trainer.masks import Renderer
from trainer.packed import file_hash, text_hash
from trainer.rendering import rendered
from trainer.samples import Conversation, Notes
from trainer.show import Document, document
from trainer.turn import in_pieces

FORMAT = 1
MANIFEST, ROWS = "manifest.json", "data/train-00000-of-00001.parquet"

_ROWS_A_GROUP = 256
_TEXT = pa.string()
_SCHEMA = pa.schema(
    {
        "id": _TEXT,
        "messages": pa.list_(MESSAGE),
        "kind": _TEXT,
        "thinking": _TEXT,
        "mask": _TEXT,
        "budget": pa.int64(),
        "benchmark": _TEXT,
        "problem": _TEXT,
        "sample": pa.int64(),
    }
)


def masked_rows(traces: Sequence[Trace], strategy: str) -> list[dict[str, Any]]:
    """The rows of the traces that were cut and can be trained on: what `trainer.conversations` reads.

    Raises:
        InputError: no such strategy (L006).
    """
    parsed(strategy)
    return [_row(trace, strategy) for trace in traces if trace.trainable]


def write_masked(
    traces: Path,
    strategy: str,
    out: Path,
    renderer: Renderer,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a folder that `dataforge train --data` takes, after checking every row; returns its summary.

    Started again on a folder that is whole, it changes nothing. One that was interrupted is made anew.

    Args:
        traces: folder of `trainer.length.trace`.
        renderer: of the tokenizer that the traces were sampled with. Its context counts for nothing here.
        progress: told rows checked, and how many there are. It may raise to stop.

    Raises:
        InputError: a trace has not its budget (L005), a strategy does not give what it promises (L006), `out` holds
            something else (L007), the traces cannot be read (L008), none can be trained on (L009).
    """
    parsed(strategy)
    about = read_manifest(traces)
    rows = sum(arm["trainable"] for arm in about["arms"])
    if not rows:
        raise _nothing(traces, about["arms"])
    inputs = {
        "traces": file_hash(traces / MANIFEST),
        "strategy": strategy,
        "tokenizer": text_hash(renderer.tokenizer.backend_tokenizer.to_str()),
        "template": text_hash(renderer.template),
        "history": renderer.data.history,
    }
    with _alone(out, inputs) as found:
        if "files" in found:
            summary: dict[str, Any] = found["summary"]
            return summary
        write_json(out / MANIFEST, {"masked": FORMAT, "inputs": inputs})
        (out / ROWS).parent.mkdir(exist_ok=True)
        summary = _write(traces, strategy, out / ROWS, renderer, rows, progress or (lambda done, total: None))
        write_json(
            out / MANIFEST,
            {
                "masked": FORMAT,
                "inputs": inputs,
                "summary": summary,
                "files": {ROWS: file_hash(out / ROWS)},
            },
        )
    return summary


def shown(out: Path, number: int, renderer: Renderer) -> Document:
    """A row of a masked folder as text, with what is trained in it.

    Raises:
        InputError: there is no such row (L001).
    """
    told = list(itertools.islice(Conversations([str(out)], ("final",)), number, number + 1))
    if not told:
        rows = pq.read_metadata(out / ROWS).num_rows
        raise InputError(
            f"{out} has no row {number:,}", code="L001", help=f"rows have the numbers 0 to {rows - 1:,}"
        )
    (sample,) = _wide(renderer).samples(told[0], Notes())
    return document(sample, renderer.tokenizer)


def _row(trace: Trace, strategy: str) -> dict[str, Any]:
    turn = Message(role="assistant", content=trace.answer, reasoning_content=trace.thinking, train=True)
    prompt = [message.model_copy(update={"train": False}) for message in trace.messages]
    return {
        "id": trace.id,
        "messages": [as_column(message) for message in (*prompt, turn)],
        "kind": "final",
        "thinking": "on",
        "mask": strategy,
        # A trace that was cut inside its answer closed its thinking by itself, before the budget.
        "budget": trace.budget if trace.forced else None,
        "benchmark": trace.benchmark,
        "problem": trace.problem,
        "sample": trace.sample,
    }


def _write(
    traces: Path,
    strategy: str,
    path: Path,
    renderer: Renderer,
    rows: int,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write the rows, and render each of them while it passes."""
    budgets: Counter[int | None] = Counter()
    thinking, untaught = 0, ""

    def passing(writer: pq.ParquetWriter) -> Iterator[Conversation]:
        nonlocal thinking, untaught
        waiting: list[dict[str, Any]] = []
        for trace in each_trace(traces):
            if not trace.trainable:
                continue
            row = _row(trace, strategy)
            if not budgets:
                untaught = _untaught(trace, strategy, renderer)
            budgets[row["budget"]] += 1
            thinking += trace.thinking_tokens
            waiting.append(row)
            if len(waiting) == _ROWS_A_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, _SCHEMA))
                waiting.clear()
            yield conversation(row, f"{traces}, trace {trace.id}")
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, _SCHEMA))

    wide, done = _wide(renderer), 0
    lengths: list[int] = []
    trained: list[int] = []
    changes: Counter[str] = Counter()
    with arriving(path) as stream, pq.ParquetWriter(stream, _SCHEMA, compression="zstd") as writer:
        for read, samples, notes in rendered(passing(writer), wide, wide.asked, wide.data, rows):
            done += read
            lengths += [len(sample.tokens) for sample in samples]
            trained += [int(sample.trained.sum()) for sample in samples]
            changes.update(notes.counts)
            progress(done, rows)
    return {
        "strategy": strategy,
        "untaught": untaught,
        "samples": len(lengths),
        "budgets": [
            {"budget": budget, "samples": n}
            for budget, n in sorted(budgets.items(), key=lambda item: item[0] or 0)
        ],
        "trained": {"in_all": sum(trained), "least": min(trained), "most": max(trained)},
        "thinking_tokens": thinking,
        "tokens": sum(lengths),
        "longest": max(lengths),
        "changes": dict(sorted(changes.items())),
    }


def _untaught(trace: Trace, strategy: str, renderer: Renderer) -> str:
    """What the template writes between thinking and tag, where the strategy trains the tag and not this: the model is never
    taught to write it, and without it the tag may never come.
    """
    if parsed(strategy)[0] not in ("tag", "answer"):
        return ""
    turn = in_pieces(renderer, trace.messages, renderer.ids(trace.thinking), trace.answer, row=trace.id)
    return renderer.text(turn.before_tag)


def _wide(renderer: Renderer) -> Renderer:
    """The same renderer with room for any row: which context a model is trained with is said later."""
    data = replace(renderer.data, context=MANY, overlong="drop")
    return Renderer(renderer.tokenizer, renderer.asked, data)


def _nothing(traces: Path, arms: Sequence[dict[str, Any]]) -> InputError:
    finished, unfit = sum(arm["finished"] for arm in arms), Counter[str]()
    for arm in arms:
        unfit.update(arm["unfit"])
    why = ", ".join(f"{n:,} unfit ({name})" for name, n in sorted(unfit.items()))
    return InputError(
        f"{traces} has no trace to train on: {finished:,} finished by themselves{', ' if why else ''}{why}",
        code="L009",
        help="sample with a smaller --budget, or more prompts; a model that never runs over needs no length control",
    )


@contextmanager
def _alone(out: Path, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Hold a folder for this process alone; gives the manifest that is there.

    Raises:
        InputError: it is in use, or holds something else (L007).
        StorageError, OutputError: it cannot be written (R021).
    """
    try:
        with held(out):
            found = _manifest(out)
            if found is None and any(not path.name.startswith(".") for path in out.iterdir()):
                raise _taken(out, "is not empty, and holds no masked traces")
            if found is not None and found.get("masked") != FORMAT:
                raise _taken(out, "holds something else than masked traces of this format")
            if found and (kept := found.get("inputs")) != inputs:
                known = kept if isinstance(kept, dict) else {}
                other = ", ".join(name for name, value in inputs.items() if known.get(name) != value)
                raise _taken(out, f"holds traces that were masked otherwise (other {other})")
            yield found or {}
    except BlockingIOError as error:
        raise _taken(out, "is being written by another process") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise StorageError(
                f"the disk refused: {out} cannot be written: {error.strerror}",
                help="make room, and start the same command again",
            ) from error
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}",
            code="R021",
            help="give another folder",
        ) from error


def _manifest(out: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((out / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _taken(out: Path, what: str) -> InputError:
    return InputError(f"{out} {what}", code="L007", help="give a new folder; nothing was changed")
