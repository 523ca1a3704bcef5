"""The cache of parsed files: what it gives back is what parsing gives, and damage costs time only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataforge.lang import store
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "graphs" / "quickstart.forge").read_text(encoding="utf-8") + "\n# " + "x" * store.MIN_CHARS


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dataforge" / "syntax"


def load(text: str = TEXT) -> tuple[object, Report]:
    report = Report()
    return store.parse_stored(Source("x.forge", text), report), report


def parsed(text: str = TEXT) -> object:
    return parse(Source("x.forge", text), Report())


def test_what_is_loaded_is_what_was_parsed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = load()
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(store, "_parse", lambda *_: pytest.fail("parsed again"))
    second, report = load()
    assert first == second == parsed()
    assert not report.diagnostics
    # Spans take no part in equality, so compare them by the way that the tree is stored.
    assert store._encode(second) == store._encode(parsed())


def test_only_sound_texts_and_long_ones_are_stored(cache: Path) -> None:
    _, report = load(TEXT + "\nnode {")
    assert report.has_errors
    load("struct A { x: str }")
    assert not cache.exists()


def test_another_text_is_another_entry(cache: Path) -> None:
    load()
    load(TEXT + " ")
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[-1]",
        b"[9999]",
        b'["x"]',
        b"[[]]",
        b"\xff\xfe",
        b"[-2, 1, 2]",
        b"[" * 100_000,
        b'{"a": 1}',
        b"[null, 1]",
        b"[1.5]",
    ],
)
def test_damaged_entry_is_parsed_anew_and_mended(cache: Path, damage: bytes) -> None:
    load()
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage)
    found, report = load()
    assert found == parsed()
    assert not report.diagnostics
    assert entry.read_bytes() == whole


def test_truncated_entry_is_ignored(cache: Path) -> None:
    load()
    (entry,) = cache.iterdir()
    data = entry.read_bytes()
    for size in range(0, len(data), max(1, len(data) // 12)):
        entry.write_bytes(data[:size])
        assert load()[0] == parsed()


def test_entry_of_another_class_is_ignored(cache: Path) -> None:
    load()
    (entry,) = cache.iterdir()
    entry.write_text(json.dumps(store._encode(parsed().items[0])))  # type: ignore[attr-defined]
    assert load()[0] == parsed()


def test_cache_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load()[0] == parsed()


def test_no_home_directory_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert load()[0] == parsed()
