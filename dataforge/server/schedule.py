"""When programs are analysed: in a thread of their own, the newest text only, while requests are answered.

An edit marks the programs that read its file. One worker takes them one by one; a program whose text changes while it
is being worked on is given up at the next step and begun again, and no diagnostics of an old text are sent. The first
edit after a pause is looked at after a moment (`SETTLE_S`), so that an edit that an editor sends in pieces counts as one.
"""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dataforge.server.analysis import Analyser, Analysis, Stale
from dataforge.server.workspace import Workspace

SETTLE_S = 0.01
QUIET_S = 2.0
COLLECT_EVERY = 8
"""After so many analyses, and a pause, what they left is collected."""
COLLECT_AT_LAST = 100
"""After so many it is collected though somebody types: each leaves some 1.5 MB at 1,000 nodes."""


class Schedule:
    """Analyses the programs of a workspace as they change.

    Args:
        workspace: what is open; its `analyses` are kept up to date.
        publish: called with each finished analysis whose text is still the newest.
        complain: called with the text of an exception that is ours.
    """

    def __init__(
        self,
        workspace: Workspace,
        publish: Callable[[Path, Analysis], None],
        complain: Callable[[str], None],
    ) -> None:
        self.workspace = workspace
        self.publish = publish
        self.complain = complain
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="analysis")
        self._waiting: dict[Path, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._since_collected = 0
        self._edits = 0

    def changed(self, mains: Iterable[Path]) -> None:
        """Programs are to be analysed anew."""
        self._edits += 1
        for path in mains:
            self._waiting.pop(path, None)
            self._waiting[path] = None  # the one that is being edited last, so that it is taken first
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._work())

    def close(self) -> None:
        """No more work is begun."""
        self._waiting.clear()
        self.worker.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        await asyncio.sleep(SETTLE_S)
        while self._waiting:
            path, _ = self._waiting.popitem()
            await self._analyse(path)
        if self._since_collected >= COLLECT_EVERY and (self._tidying is None or self._tidying.done()):
            self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def _analyse(self, path: Path) -> None:
        analyser, overlay = self.workspace.analyser(path), self.workspace.overlay
        loop = asyncio.get_running_loop()
        try:
            analysis = await loop.run_in_executor(self.worker, self._now, path, analyser, overlay)
        except Stale:
            return
        except Exception:  # noqa: BLE001 - the boundary: it must not end the server, and must be seen
            self.complain(traceback.format_exc())
            return
        self._since_collected += 1
        self.workspace.analyses[path] = analysis
        if path not in self._waiting:
            self.publish(path, analysis)

    def _now(self, path: Path, analyser: Analyser, overlay: Mapping[Path, str]) -> Analysis:
        """In the worker: analyse, and make ready what the first question after it would wait for."""
        analysis = analyser.analyse(overlay, lambda: path in self._waiting)
        for graph in analysis.graphs.values():
            graph.prepare()
        self.workspace.outline(path)
        if self._since_collected >= COLLECT_AT_LAST:
            self._since_collected = 0
            gc.collect()
        return analysis

    async def _tidy(self) -> None:
        """Collect garbage in a pause: an analysis leaves cycles, and the collector is off (see `serve`)."""
        edits = -1
        while edits != self._edits:
            edits = self._edits
            await asyncio.sleep(QUIET_S)
        self._since_collected = 0
        await asyncio.get_running_loop().run_in_executor(self.worker, gc.collect)
