"""How long an editor waits for `dataforge lsp`, through the real protocol, beside a full compilation for each question.

    python benchmarks/lsp.py --quick
    python benchmarks/lsp.py --nodes 1000 --edits 40

A client speaks JSON-RPC over stdio to a server process that has a `layered` graph open (see benchmarks/compile.py), and
types in it: each edit changes one node, at a place drawn at random from the whole file. Measured in wall seconds at the
client: `diagnostics`, from an edit until the diagnostics of that very text have arrived; `hover` and `completion`, asked
while nothing else is done, until the answer is decoded; `busy_hover` and `busy_completion`, asked right after an edit,
while the analysis runs.

Three kinds of edit take turns: one that changes nothing that is linked (a prompt), one that changes a contract, and one
that breaks an item's syntax, with the edit that mends it. The baseline is the same graph compiled from its text by
`compile_program` with a warm parser, as a server would that keeps nothing between two edits. The last line is one JSON
object; `ratio` is the baseline over the median of `diagnostics`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from compile import layered
from lsprotocol import types
from pygls.lsp.client import BaseLanguageClient


class Client(BaseLanguageClient):
    """A client with one file open."""

    def __init__(self) -> None:
        super().__init__("benchmark", "1")
        self.arrived: dict[int, float] = {}
        self.news = asyncio.Event()

        decode = self.protocol.structure_message

        def arrive(message: dict[str, Any]) -> Any:
            # Before pygls makes objects of it, which takes it 0.1 ms a diagnostic and is no part of the server.
            if message.get("method") == types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS:
                self.arrived[message["params"].get("version", 0)] = time.perf_counter()
                self.news.set()
            return decode(message)

        self.protocol.structure_message = arrive  # type: ignore[method-assign]

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params: types.PublishDiagnosticsParams) -> None:
            """Told above."""

    async def diagnosed(self, version: int) -> float:
        async with asyncio.timeout(60):
            while version not in self.arrived:
                self.news.clear()
                await self.news.wait()
        return self.arrived[version]


class Session:
    """One text that is typed in."""

    def __init__(self, client: Client, path: Path, text: str) -> None:
        self.client, self.path, self.text, self.version = client, path, text, 1
        self.uri = path.as_uri()

    def open(self) -> None:
        item = types.TextDocumentItem(self.uri, "forge", 1, self.text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, start: int, old: str, new: str) -> float:
        """Put one text in the place of another; the moment at which it was sent."""
        assert self.text.startswith(old, start)
        first, last = self.position(start), self.position(start + len(old))
        self.text = self.text[:start] + new + self.text[start + len(old) :]
        self.version += 1
        sent = time.perf_counter()
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.version, self.uri),
                [types.TextDocumentContentChangePartial(types.Range(first, last), new)],
            )
        )
        return sent

    def position(self, offset: int) -> types.Position:
        line = self.text.count("\n", 0, offset)
        return types.Position(line, offset - self.text.rfind("\n", 0, offset) - 1)

    def at(self, offset: int) -> dict[str, Any]:
        return {"text_document": types.TextDocumentIdentifier(self.uri), "position": self.position(offset)}

    async def hover(self, offset: int) -> float:
        return await timed(
            lambda: self.client.text_document_hover_async(types.HoverParams(**self.at(offset)))
        )

    async def completion(self, offset: int) -> float:
        return await timed(
            lambda: self.client.text_document_completion_async(types.CompletionParams(**self.at(offset)))
        )


async def timed(ask: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    answer = await ask()
    assert answer, "a question without an answer is no measurement"
    return time.perf_counter() - began


EDITS = (
    ("prompt", '"Rewrite this: ', '"Rewrite all this: '),
    ("contract", "post  words(Doc.text) >= 2", "post  words(Doc.text) >= 12"),
    ("broken", "gives Doc\n", "gives Doc Doc\n"),
)


async def measure(path: Path, text: str, edits: int) -> dict[str, list[float]]:
    client = Client()
    await client.start_io(sys.executable, "-m", "dataforge", "lsp")
    await client.initialize_async(
        types.InitializeParams(types.ClientCapabilities(), root_uri=path.parent.as_uri())
    )
    client.initialized(types.InitializedParams())
    session = Session(client, path, text)
    found: dict[str, list[float]] = {"opening": [time.perf_counter()]}
    session.open()
    found["opening"] = [await client.diagnosed(1) - found["opening"][0]]
    dice = random.Random(1)

    def somewhere(what: str) -> int:
        return session.text.index(what, dice.randrange(len(session.text) * 9 // 10))

    for number in range(edits):
        kind, old, new = EDITS[number % len(EDITS)]
        start = somewhere(old)
        for before, after in ((old, new), (new, old)):
            sent = session.change(start, before, after)
            took = await client.diagnosed(session.version) - sent
            name = "mended" if kind == "broken" and after == old else kind
            found.setdefault(f"after_{name}", []).append(took)
            found.setdefault("diagnostics", []).append(took)
        found.setdefault("hover", []).append(await session.hover(somewhere("node n") + 6))
        found.setdefault("completion", []).append(await session.completion(somewhere("Doc.layer ==") + 4))
        # A person who types does not wait: ask while the analysis runs.
        start = somewhere('"Rewrite this: ')
        session.change(start, '"Rewrite this: ', '"Rewrite  this: ')
        await asyncio.sleep(0.03)
        found.setdefault("busy_hover", []).append(await session.hover(somewhere("node n") + 6))
        found.setdefault("busy_completion", []).append(
            await session.completion(somewhere("Doc.layer ==") + 4)
        )
        await client.diagnosed(session.version)
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return found


def baseline(path: Path, text: str, times: int) -> list[float]:
    """Compile the whole text, each time anew, with a parser that is there already and nothing written to the cache."""
    os.environ["XDG_CACHE_HOME"] = os.devnull
    from dataforge.errors import InputError
    from dataforge.plan.artifact import compile_program

    found: list[float] = []
    for number in range(times + 1):
        path.write_text(text.replace('"Rewrite this', f'"Rewrite {number}', 1), encoding="utf-8")
        began = time.perf_counter()
        try:
            compile_program(path)
        except InputError as error:
            raise SystemExit(str(error)) from error
        found.append(time.perf_counter() - began)
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="12 edits: well under a minute")
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--edits", type=int, default=30)
    options = parser.parse_args()
    edits = 12 if options.quick else options.edits
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        root = Path(folder).resolve()
        (root / "dataforge.toml").write_text("")
        path, text = root / "graph.forge", layered(options.nodes)
        path.write_text(text, encoding="utf-8")
        found = asyncio.run(measure(path, text, edits))
        compiled = baseline(path, text, 3 if options.quick else 7)
    print(f"wall milliseconds at {options.nodes:,} nodes, through the protocol")
    print(f"{'':>18} {'median':>8} {'worst':>8} {'times':>6}")
    for name, values in {**found, "full compile": compiled}.items():
        median, worst = (f"{1000 * v:.1f}" for v in (statistics.median(values), max(values)))
        print(f"{name:>18} {median:>8} {worst:>8} {len(values):>6}")
    median_ms = {name: round(1000 * statistics.median(values), 1) for name, values in found.items()}
    print(
        json.dumps(
            {
                "benchmark": "lsp",
                "nodes": options.nodes,
                "median_ms": median_ms,
                "worst_ms": {name: round(1000 * max(values), 1) for name, values in found.items()},
                "baseline": "the whole text compiled at each edit, parser warm, nothing kept",
                "baseline_ms": round(1000 * statistics.median(compiled), 1),
                "ratio": round(statistics.median(compiled) / statistics.median(found["diagnostics"]), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
