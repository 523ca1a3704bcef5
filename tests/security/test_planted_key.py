"""A key in the environment is found nowhere else: not in what a run writes or prints, not in errors, not in reprs.

The server gives the key back in every way that servers have been seen to: in error bodies, as an address to go to, in
headers, in a status line, in HTML, in an answer. What is written is looked at as it can be read: databases row by row,
compressed values unpacked, Parquet as its rows.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataforge.errors import DataForgeError
from dataforge.models import connect
from dataforge.models.binding import bind
from dataforge.models.client import ChatRequest
from dataforge.project import load_project
from schemas.chat import Message
from tests.cli.commands import Done, dataforge
from tests.security.echo import KEY, EchoServer, forms

CASES = ["good", "answers", "denied", "forbidden", "missing", "bad", "long", "oops", "slow", "page", "garbled", "shapeless",
         "disguised", "moved", "reason", "nonsense", "header", "cut"]  # fmt: skip
PROGRAM = """
struct Doc { text: str }
struct Note { text: str  score: float? = null }
generator writer
judge critic
rubric good { clear "Is it clear?" in 1..5 }
node jot {
  takes Doc
  gives Note
  ask   writer { prompt "Write of {{ Doc.text }}"  into Note.text }
  judge critic { rubric good  score Note.score }
}
graph main {
  from Doc
  to Note
  nodes *
  seeds "seeds.jsonl"
  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}" }
}
"""


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as running:
        yield running


def write_project(folder: Path, server: EchoServer, cases: list[str], backend: str = "openai") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "main.forge").write_text(PROGRAM)
    (folder / "dataforge.toml").write_text(
        "".join(
            f'[models.{role}]\nbackend = "{backend}"\nbase_url = "{server.url}"\nmodel = "{role}-model"\n'
            'api_key_env = "PLANTED_KEY"\nretry_base_s = 0.01\nrate_limit_wait_s = 1.0\ntotal_timeout_s = 10.0\n'
            for role in ("writer", "critic")
        )
    )
    (folder / "seeds.jsonl").write_text("".join(f'{{"text": "case:{case} now"}}\n' for case in cases))
    return folder


def run(folder: Path, *arguments: str) -> Done:
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    places = {name: str(scratch) for name in ("TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "HOME")}
    return dataforge(*arguments, cwd=folder, PLANTED_KEY=KEY, **places)


# ---- reading everything


def unpacked(value: Any) -> Iterator[str]:
    """A value of a database or a file as all the texts that it may hold."""
    if isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
        for skip in (0, 1, 4, 8):
            try:
                yield zlib.decompress(value[skip:]).decode("utf-8", "replace")
            except zlib.error:
                continue
    elif value is not None:
        yield str(value)


def texts_of(file: Path) -> Iterator[str]:
    yield file.name
    data = file.read_bytes()
    yield from unpacked(data)
    if data.startswith(b"SQLite format 3\0"):
        with sqlite3.connect(file) as database:
            tables = [
                name for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            ]
            for table in tables:
                for row in database.execute(f'select * from "{table}"'):
                    for value in row:
                        yield from unpacked(value)
        database.close()
    elif data.startswith(b"PAR1"):
        import pyarrow.parquet as pq

        with file.open("rb") as stream:
            table = pq.read_table(stream)
        yield json.dumps(table.to_pylist(), default=str, ensure_ascii=False)
        yield str(table.schema.metadata)
    elif file.suffix in (".json", ".jsonl"):
        for line in data.decode().splitlines() if file.suffix == ".jsonl" else [data.decode()]:
            yield str(json.loads(line))


def leaks(text: str) -> list[str]:
    return [
        text[max(0, at - 60) : at + len(form) + 20] for form in forms(KEY) if (at := text.find(form)) >= 0
    ]


def assert_clean(done: Done, *folders: Path) -> None:
    assert not leaks(done.out), done.out
    assert not leaks(done.err), done.err
    seen = 0
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                seen += 1
                for text in texts_of(file):
                    assert not leaks(text), (file, leaks(text))
    assert seen


def test_the_search_finds_what_is_hidden(tmp_path: Path) -> None:
    """Else a test that finds nothing would say nothing."""
    with sqlite3.connect(tmp_path / "a.sqlite") as database:
        database.execute("create table t (x blob)")
        database.execute("insert into t values (?)", (zlib.compress(f"x{KEY}x".encode()),))
    database.close()
    (tmp_path / "b.json").write_text(json.dumps({"a": KEY}).replace("/", "\\/").replace("sk", "\\u0073k"))
    for file in tmp_path.iterdir():
        assert any(leaks(text) for text in texts_of(file)), file


# ---- runs


@pytest.mark.parametrize("backend", ["openai", "openai_sdk"])
def test_a_run_keeps_the_key_to_itself(tmp_path: Path, server: EchoServer, backend: str) -> None:
    folder = write_project(tmp_path / "project", server, CASES, backend)
    done = run(folder, "run", "main.forge", "--out", "out", "--max-failures", "100")
    assert server.seen["good with key"] >= 3, (server.seen, done.err)
    assert set(CASES) <= {case.split()[0] for case in server.seen}
    assert not [case for case in server.seen if "without key" in case]
    assert_clean(done, folder, tmp_path / "scratch")
    if backend != "openai":
        return
    lost = run(folder, "show", "out", "--rejected", "--limit", "100", "--json")
    assert "answered with the key that it was sent" in lost.out
    for shown in (lost, run(folder, "show", "out", "--limit", "100")):
        assert_clean(shown, folder)
    page = run(folder, "graph", "main.forge", "--run", "out", "-o", "graph.html")
    assert page.code == 0, page.err
    assert_clean(page, folder)


def test_as_json(tmp_path: Path, server: EchoServer) -> None:
    folder = write_project(tmp_path / "project", server, CASES)
    done = run(folder, "run", "main.forge", "--out", "out", "--json")
    assert done.json()
    assert_clean(done, folder, tmp_path / "scratch")


@pytest.mark.parametrize("case", ["oops", "quota", "moved"])
def test_a_run_of_which_nothing_comes(tmp_path: Path, server: EchoServer, case: str) -> None:
    folder = write_project(tmp_path / "project", server, [case] * 3)
    done = run(folder, "run", "main.forge", "--out", "out")
    assert done.code != 0
    assert_clean(done, folder, tmp_path / "scratch")


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_pings(tmp_path: Path, server: EchoServer, json_too: list[str]) -> None:
    folder = write_project(tmp_path / "project", server, ["good"])
    assert_clean(run(folder, "models", "main.forge", "--ping", *json_too), folder)
    assert_clean(run(folder, "run", "main.forge", "--dry-run", *json_too), folder)


def test_a_key_that_no_header_can_carry_is_not_shown(tmp_path: Path, server: EchoServer) -> None:
    folder = write_project(tmp_path / "project", server, ["good"])
    for odd in (f"{KEY}\n{KEY}", f"{KEY} ü", f'"{KEY}"'):
        done = dataforge("run", "main.forge", "--out", "out", cwd=folder, PLANTED_KEY=odd)
        assert_clean(done, folder)


# ---- in the process


def reachable(thing: object, depth: int = 5) -> Iterator[object]:
    """An object and those that it holds, however deep, plain values left out."""
    seen: set[int] = set()
    waiting = [(thing, depth)]
    while waiting:
        item, left = waiting.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | type | None):
            continue
        seen.add(id(item))
        if not isinstance(item, dict | list | tuple | set):
            yield item
        if left:
            slots = [s for kind in type(item).__mro__ for s in getattr(kind, "__slots__", ())]
            held: list[Any] = [getattr(item, slot, None) for slot in slots if isinstance(slot, str)]
            held += list(getattr(item, "__dict__", {}).values())
            held += list(item.values()) if isinstance(item, dict) else []
            held += list(item) if isinstance(item, list | tuple) else []
            waiting += [(each, left - 1) for each in held]


def test_reprs_and_tracebacks(tmp_path: Path, server: EchoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_project(tmp_path / "project", server, ["good"])
    monkeypatch.setenv("PLANTED_KEY", KEY)
    specs = bind([("writer", "generator", {})], load_project(folder), None, {"PLANTED_KEY": KEY})
    assert not leaks(repr(specs))

    async def ask(case: str) -> None:
        backend = connect(specs["writer"])
        try:
            request = ChatRequest((Message(role="user", content=f"Write of case:{case} now"),))
            reply = await backend.complete(request)
            assert not leaks(repr(reply))
        finally:
            for item in reachable(backend):
                # What an object shows of itself; headers and mappings must hold the key to send it.
                if type(item).__module__.partition(".")[0] in ("dataforge", "aiohttp"):
                    assert not leaks(repr(item)), type(item)
                    assert not leaks(str(item)), type(item)
            await backend.close()

    for case in CASES:
        try:
            asyncio.run(ask(case))
        except DataForgeError as error:
            shown = "".join(traceback.format_exception(error))
            assert not leaks(shown), (case, shown)
            assert not leaks(repr(error) + str(error.to_json())), case


def test_journal_and_state_are_for_their_owner(tmp_path: Path, server: EchoServer) -> None:
    """Whatever the folder that they lie in allows; the corpus itself is for whoever may read the folder."""
    folder = write_project(tmp_path / "project", server, ["good"] * 30)
    (folder / "out").mkdir(mode=0o755)
    run(folder, "run", "main.forge", "--out", "out", "--budget-tokens", "20", "--shard-rows", "4")
    found = [p for p in (folder / "out").rglob("*") if p.name.endswith((".sqlite", "-wal", "-shm", ".lock"))]
    found += [folder / "out" / name for name in ("live.json", "log.jsonl", "endpoints.json")]
    there = [p for p in found if p.exists()]
    assert any(p.suffix == ".sqlite" for p in there)
    assert not [p for p in there if p.stat().st_mode & 0o077]
    assert not [p for p in there if p.parent.name.isdecimal() and p.parent.stat().st_mode & 0o077]
