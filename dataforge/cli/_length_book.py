"""Sampling into a folder: every reply in a journal before anything builds on it, and the traces at the end.

    OUT/
      journal/                             replies, until the traces are whole; see `dataforge.run.journal`
      manifest.json, data/, finished/, …   the traces; see `trainer.length.trace`

The sampler asks for the same calls in every start, and those that the journal holds cost nothing. So after `kill -9` no
more than the calls in flight are made again, and the files are those of a run that nobody killed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataforge.errors import InputError, OutputError
from dataforge.models import connect
from dataforge.project import ModelTable
from dataforge.run.journal import CallRecord, Journal
from dataforge.run.stop import Stop
from trainer.packed import text_hash

if TYPE_CHECKING:
    from dataforge.models.client import ChatReply, ModelSpec
    from trainer.length.prompts import Prompt
    from trainer.length.sample import SamplingPlan
    from trainer.length.trace import Trace
    from trainer.masks import Renderer


@dataclass(frozen=True, slots=True)
class Round:
    """Prompts, and what is sampled for them. A run of several budgets has a round for each."""

    prompts: Sequence[Prompt]
    plan: SamplingPlan


class JournalBook:
    """A journal as the policy's book."""

    def __init__(self, journal: Journal, spec: ModelSpec) -> None:
        self._journal = journal
        self._spec = spec

    def reply(self, key: str) -> ChatReply | None:
        return self._journal.reply(key)

    async def keep(self, key: str, reply: ChatReply, started_at: float) -> None:
        cost = self._spec.cost(reply)
        await self._journal.put_call(
            CallRecord(key, 0, "length", self._spec.name, "ask", reply, started_at, cost)
        )


async def sampled(
    out: Path,
    spec: ModelSpec,
    renderer: Renderer,
    rounds: Sequence[Round],
    *,
    progress: Callable[[Trace], None],
    stop: Stop,
) -> dict[str, Any]:
    """The manifest of the traces in `out`: as they lie there, or once they have been sampled.

    Raises:
        InputError: the folder holds other traces or something else (L007), or what `trainer.length.sample.traces` raises.
        OutputError: another process is sampling into it (R022).
        ModelError: the policy cannot be asked.
        Interrupted: it was stopped.
    """
    about = _about(spec, renderer, rounds)
    if (found := _whole(out, about)) is not None:
        # It is there still if the process was killed at the very end.
        shutil.rmtree(out / "journal", ignore_errors=True)
        return found
    # What tells runs apart must be text in the journal.
    header = {name: json.dumps(value, ensure_ascii=False) for name, value in about["settings"].items()}
    try:
        journal = Journal.open(out / "journal", header)
    except OutputError as error:
        if error.code != "R020":
            raise
        raise _another(error.message) from error
    is_done = False
    try:
        # Another process may have ended meanwhile.
        if (found := _whole(out, about)) is None:
            found = await _sampled(out, spec, renderer, rounds, about, journal, progress, stop)
        is_done = True
        return found
    finally:
        # A run that was refused before it began may have to be mended by other settings.
        greeting = 1 if rounds[0].plan.budget is None else 2
        has_begun = len(list(islice(journal.calls(), greeting + 1))) > greeting
        journal.close()
        if is_done or not has_begun:
            shutil.rmtree(out / "journal")


async def _sampled(
    out: Path,
    spec: ModelSpec,
    renderer: Renderer,
    rounds: Sequence[Round],
    about: dict[str, Any],
    journal: Journal,
    progress: Callable[[Trace], None],
    stop: Stop,
) -> dict[str, Any]:
    from trainer.length.policy import EndpointPolicy
    from trainer.length.sample import traces
    from trainer.length.trace import TraceWriter

    backend = connect(replace(spec, options={**spec.options, "state_folder": out / "journal" / "state"}))
    try:
        policy = EndpointPolicy(spec, backend, JournalBook(journal, spec))
        with TraceWriter(out) as writer:
            for one in rounds:
                sampling = traces(
                    one.prompts, policy, renderer, one.plan, progress=progress, stop=stop.is_set
                )
                async with aclosing(sampling) as found:
                    async for trace in found:
                        writer.write(trace)
            return writer.finish(about)
    finally:
        await backend.close()


def _about(spec: ModelSpec, renderer: Renderer, rounds: Sequence[Round]) -> dict[str, Any]:
    """What a run is, for its manifest: `settings` is all that decides about its traces, but for chance."""
    told: dict[str, list[Any]] = {
        "prompts": [_of_prompts(one.prompts) for one in rounds],
        "asked": [one.prompts[0].asked for one in rounds],
        "budget": [one.plan.budget for one in rounds],
        "context": [one.plan.context for one in rounds],
        "answer_tokens": [one.plan.answer_tokens for one in rounds],
        "samples": [one.plan.samples for one in rounds],
    }
    settings = {
        "policy": spec.weights,
        "sampling": spec.sampling.listed(),
        "options": _of_backend(spec),
        "tokenizer": text_hash(renderer.tokenizer.backend_tokenizer.to_str()),
        "template": text_hash(renderer.template),
        **{name: each[0] if len(rounds) == 1 else each for name, each in told.items()},
    }
    return {"model": spec.model, "template": renderer.template_name, "settings": settings}


def _of_backend(spec: ModelSpec) -> dict[str, Any]:
    """What a backend takes beyond the keys that all know, such as `repeat_penalty`: no call's key has it."""
    return {key: spec.options[key] for key in sorted(spec.options) if key not in ModelTable.model_fields}


def _of_prompts(prompts: Sequence[Prompt]) -> str:
    lines = [
        [p.benchmark, p.problem, [m.model_dump() for m in p.messages], p.expected, p.asked] for p in prompts
    ]
    return text_hash(json.dumps(lines))


def _whole(out: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of traces that lie there already, if they are those that are asked for."""
    from trainer.length.trace import MANIFEST, read_manifest

    if not (out / MANIFEST).exists():
        if out.exists() and not out.is_dir():
            raise _another(f"{out} is a file")
        # What lies in `data/` is replaced: only where it is of a run that was stopped.
        if not (out / "journal").exists() and any(map(_is_somebodys, out.rglob("*"))):
            raise _another(f"{out} is not empty, and holds no traces")
        return None
    try:
        found = read_manifest(out)
    except InputError as error:
        raise _another(f"{out} holds something else than traces: {error.message}") from error
    kept = found.get("settings")
    if kept != about["settings"]:
        names = [
            n for n, value in about["settings"].items() if not isinstance(kept, dict) or kept.get(n) != value
        ]
        raise _another(f"{out} holds the traces of another run: other {', '.join(names)}")
    return found


def _is_somebodys(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _another(what: str) -> InputError:
    return InputError(
        what,
        code="L007",
        help="choose another --out, or go back to what that run was started with; nothing there was changed",
    )
