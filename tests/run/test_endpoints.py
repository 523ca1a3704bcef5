"""Commands about endpoints: written by several people at once, followed by a run, and harmless whatever they say."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import InputError, ProjectError
from dataforge.run import endpoints
from dataforge.run.endpoints import checked_url, follow, read, write

A, B = "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"


class Pool:
    """Keeps what it was told, as the client's pool does."""

    def __init__(self, *urls: str) -> None:
        self.urls = list(urls)
        self.heard: list[tuple[str, str]] = []

    def add(self, url: str) -> None:
        if "169.254" in url:
            raise ProjectError("points where no model is", code="R035")
        self.heard.append(("add", url))
        self.urls.append(url)

    def drain(self, url: str) -> bool:
        if "broken" in url:
            raise RuntimeError("a bug of the pool")
        if url in self.urls:
            self.heard.append(("drain", url))
        return url in self.urls


class Backend:
    """A backend as far as steering is concerned."""

    def __init__(self, pool: Pool | None) -> None:
        self.pool = pool


def following(
    out: Path, backends: dict[str, Any], until: Callable[[], bool], known: Any = None, meanwhile: Any = None
) -> None:
    """Follow until something is so; fails where it does not come to that."""

    async def go() -> None:
        task = asyncio.create_task(follow(out, lambda: backends, every_s=0.01, known=known))
        if meanwhile is not None:
            await asyncio.sleep(0.05)
            meanwhile()
        for _ in range(1000):
            if until():
                break
            assert not task.done(), "following ended by itself"
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert until()

    asyncio.run(go())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]


# ---- the file


def test_numbers_grow_and_the_last_word_about_an_address_counts(tmp_path):
    assert read(tmp_path) == ()
    for do, url in (("add", A), ("add", B), ("drain", A), ("add", A)):
        write(tmp_path, do, "writer", url)
    assert [(c.number, c.do, c.url) for c in read(tmp_path)] == [(2, "add", B), (4, "add", A)]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "drain"]), st.sampled_from("wj"), st.sampled_from([A, B]))),
)
def test_the_file_says_the_last_word_about_each_address(tmp_path_factory, commands):
    out = tmp_path_factory.mktemp("out")
    for do, model, url in commands:
        write(out, do, model, url)
    assert {(c.model, c.url): c.do for c in read(out)} == {(m, u): do for do, m, u in commands}
    numbers = [c.number for c in read(out)]
    assert numbers == sorted(set(numbers))
    assert not commands or numbers[-1] == len(commands), "a number is never given twice"


def _write_many(out: Path, who: int) -> None:
    for n in range(20):
        write(out, "add", "writer", f"http://host{who}:{n}/v1")


def test_nothing_is_lost_when_several_write_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [c.number for c in read(tmp_path)] == list(range(1, 61))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 1, "commands": [{"number": 1}]}',
        "\x00",
        '{"commands": 3}',
    ],
)
def test_a_damaged_file_is_told_of_and_not_overwritten(tmp_path, text):
    (tmp_path / "endpoints.json").write_text(text)
    for use in (lambda: read(tmp_path), lambda: write(tmp_path, "add", "writer", A)):
        with pytest.raises(InputError, match=r"endpoints\.json is damaged at") as error:
            use()
        assert error.value.code == "R044"
    assert (tmp_path / "endpoints.json").read_text() == text


@pytest.mark.parametrize("url", ["", "node7:30000", "ftp://node7", "http://", "http://me:secret@node7/v1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError) as error:
        checked_url(url)
    assert error.value.code == "R044"


def test_an_address_is_the_same_with_a_slash_at_its_end():
    assert checked_url(A + "/") == A


# ---- following


def test_commands_are_applied_once_as_they_come(tmp_path):
    pool = Pool(A)

    def later() -> None:
        write(tmp_path, "add", "writer", B)
        write(tmp_path, "drain", "writer", A)

    following(tmp_path, {"writer": Backend(pool)}, lambda: len(pool.heard) == 2, meanwhile=later)
    assert pool.heard == [("add", B), ("drain", A)]


def test_asking_again_is_a_new_command(tmp_path):
    pool = Pool()
    write(tmp_path, "add", "writer", A)
    again = lambda: write(tmp_path, "add", "writer", A)  # noqa: E731
    following(tmp_path, {"writer": Backend(pool)}, lambda: len(pool.heard) == 2, meanwhile=again)
    assert pool.heard == [("add", A), ("add", A)], "an endpoint that was given up can be tried anew"


def test_what_was_asked_holds_for_the_next_start(tmp_path):
    write(tmp_path, "add", "writer", B)
    write(tmp_path, "drain", "writer", A)
    write(tmp_path, "add", "writer", "http://gone/v1")
    write(tmp_path, "drain", "writer", "http://gone/v1")
    for _ in range(2):
        pool = Pool(A)  # as dataforge.toml has it
        following(tmp_path, {"writer": Backend(pool)}, lambda pool=pool: len(pool.heard) == 2)
        assert pool.heard == [("add", B), ("drain", A)], "what came and went in between is not looked for"


def test_a_command_waits_for_its_model_to_be_connected(tmp_path):
    backends: dict[str, Any] = {}
    pool = Pool()
    launching = Backend(None)
    write(tmp_path, "add", "writer", A)
    write(tmp_path, "add", "tagger", A)

    def connect() -> None:
        backends.update(writer=Backend(pool), tagger=launching)
        launching.pool = Pool()

    following(
        tmp_path,
        backends,
        lambda: bool(pool.heard and launching.pool and launching.pool.heard),
        known=["writer", "tagger"],
        meanwhile=connect,
    )


def test_nothing_that_the_file_says_harms_the_run(tmp_path, caplog):
    """The good command at the end is applied all the same, and each complaint comes once."""
    pool = Pool()
    rows = [
        ("add", "nobody", A), ("add", "local", A), ("add", "writer", "no address"),
        ("add", "writer", "http://169.254.169.254/v1"), ("drain", "writer", "http://broken/v1"),
        ("add", "writer", B),
    ]  # fmt: skip
    commands = [{"number": n, "do": d, "model": m, "url": u} for n, (d, m, u) in enumerate(rows, start=1)]
    (tmp_path / "endpoints.json").write_text(json.dumps({"version": 1, "commands": commands}))
    backends = {"writer": Backend(pool), "local": object()}
    looks = 0

    def settled() -> bool:
        nonlocal looks
        looks += 1
        return looks > 20 and bool(pool.heard)

    following(tmp_path, backends, settled, known=["writer", "local"])
    assert pool.heard == [("add", B)]
    told = warnings(caplog)
    assert len(told) == 5
    assert "names the model `nobody`" in told[0]
    assert "cannot be steered" in told[1]
    assert "is no endpoint" in told[2]
    assert "points where no model is" in told[3]
    assert "a bug of the pool" in told[4]


def test_a_file_that_is_damaged_for_a_while_is_followed_again(tmp_path, caplog):
    file = tmp_path / "endpoints.json"
    file.write_text("{")
    pool = Pool()

    def mend() -> None:
        file.unlink()
        write(tmp_path, "add", "writer", A)

    following(tmp_path, {"writer": Backend(pool)}, lambda: bool(pool.heard), meanwhile=mend)
    assert len(warnings(caplog)) == 1
    assert "is damaged" in warnings(caplog)[0]


def test_a_folder_in_the_way_harms_nothing(tmp_path, caplog):
    (tmp_path / endpoints.NAME).mkdir()
    following(tmp_path, {}, lambda: bool(warnings(caplog)))
    assert "cannot be read" in warnings(caplog)[0]
