"""`dataforge show --live DIR`: watch a run from another terminal, by the file in which it tells its state.

Only `live.json` is read, so that it works on a share, without any right to write, and while the run writes its journal.
Whatever stands in the file is shown as it is and steers nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from dataforge.cli._summary import calls_table, count, money, reasons
from dataforge.cli._terminal import print_json, printable, say
from dataforge.run.live import STALE_AFTER_S, Snapshot, read_live

EVERY_S = 1.0
NOTES = 6


def show_live(directory: Path, *, as_json: bool) -> None:
    """Watch on a terminal until the run is over; elsewhere, say once how it stands.

    Raises:
        OutputError: R023, where there is no run to watch.
    """
    state = read_live(directory)
    stale = state.stale(datetime.now(UTC))
    if as_json:
        print_json(state.model_dump(mode="json") | {"stale": stale})
    elif not sys.stdout.isatty():
        for line in view(directory, state, stale):
            say(line)
    else:
        _watch(directory)


def _watch(directory: Path) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        with Live(console=console, auto_refresh=False) as screen:
            for state, stale in _states(directory):
                screen.update(_drawn(directory, state, stale), refresh=True)
    except KeyboardInterrupt:
        pass  # the watcher has seen enough


def _states(directory: Path) -> Iterator[tuple[Snapshot, str | None]]:
    """The run's state about each second, and whether it is stale, until nothing more is to come.

    The clocks of two machines may differ. So a state that changes before our eyes is fresh, whatever time it bears.
    """
    began = time.monotonic()
    changed_at, seen = began - STALE_AFTER_S, None
    while True:
        state, now = read_live(directory), time.monotonic()
        if seen is not None and state.updated_at != seen:
            changed_at = now
        seen = state.updated_at
        left_behind = now - changed_at >= STALE_AFTER_S
        stale = state.stale(datetime.now(UTC)) if left_behind else None
        yield state, stale
        if state.over or (stale is not None and now - began >= STALE_AFTER_S):
            return
        time.sleep(EVERY_S)


def _drawn(directory: Path, state: Snapshot, stale: str | None) -> Group:
    title, *rest = (printable(line) for line in view(directory, state, stale))
    bar = ProgressBar(total=state.rows.planned or 0, completed=state.rows.done, width=60)
    return Group(
        Text(title, style="bold", no_wrap=True, overflow="ellipsis"),
        *([Padding(bar)] if state.rows.planned else []),  # a bar by itself ends no line
        Text("\n".join(rest), no_wrap=True, overflow="ellipsis"),
    )


def view(directory: Path, state: Snapshot, stale: str | None) -> list[str]:
    """The state as lines for people."""
    why = f": {state.why}" if state.why else ""
    took = _duration((state.updated_at - state.started_at).total_seconds())
    lines = [f"{directory}: {state.state}{why}, after {took}, by process {state.pid} on {state.host}"]
    if stale is not None:
        lines.append(
            f"nobody writes this any more ({stale}): what is finished is kept, and the same command goes on"
        )
    lines += [*_rows(state), *_calls(state)]
    for block in (
        calls_table(state.nodes),
        reasons(state.rows.rejected_by, "rejected") + reasons(state.rows.failed_by, "lost"),
        [f"{name}: {bound}" for name, bound in state.models.items()],
        list(_endpoints(state.endpoints)),
        [f"{note.at.astimezone():%H:%M:%S}  {note.message}" for note in state.notes[-NOTES:]],
    ):
        if block:
            lines += ["", *block]
    return [line.replace("\n", " ").replace("\t", " ") for line in lines]


def _rows(state: Snapshot) -> Iterator[str]:
    rows, shards = state.rows, state.shards
    of = f" of {rows.planned:,} rows ({rows.done / rows.planned:.1%})" if rows.planned else " rows"
    whole = f", {shards.whole:,} of {shards.planned:,} shards" if shards.planned else ""
    yield f"{rows.done:,}{of}{whole}"
    parts = [f"{number:,} {status}" for status, number in rows.by_status.items()]
    if rows.earlier:
        parts.append(f"{rows.earlier:,} by earlier starts")
    if parts:
        yield ", ".join(parts)


def _calls(state: Snapshot) -> Iterator[str]:
    calls, speed = state.calls, state.speed
    reused = f", {calls.reused:,} reused" if calls.reused else ""
    cost = f" · cost {money(calls.cost)}" if calls.cost else ""
    yield f"{calls.made:,} calls{reused}, {calls.retries:,} retries, {calls.in_flight:,} in flight{cost}"
    tokens = f"{count(calls.prompt_tokens)} tokens in, {count(calls.completion_tokens)} out"
    yield f"{tokens} · {speed.calls:,.1f} calls/s, {speed.tokens:,.0f} tokens/s"


def _endpoints(endpoints: Mapping[str, Any]) -> Iterator[str]:
    """Whatever backends tell of their endpoints: a line each, address and state first."""
    for model, told in endpoints.items():
        for endpoint in told if isinstance(told, list) else [told]:
            if not isinstance(endpoint, dict):
                yield f"{model}: {endpoint}"
                continue
            head = " ".join(str(endpoint[key]) for key in ("url", "state") if key in endpoint)
            rest = [
                f"{key.replace('_', ' ')} {value}"
                for key, value in endpoint.items()
                if key not in ("url", "state")
            ]
            yield f"{model}: {head}  {', '.join(rest)}".rstrip()


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"
