"""GGUF files of one's own as local models: how they are found, and what tells one from another."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from dataforge.errors import ProjectError
from dataforge.models import connect, embedded_generator
from dataforge.models.binding import bind
from dataforge.models.client import ChatRequest, ModelSpec
from dataforge.models.weights import generator_file, gguf_file, identity
from dataforge.project import load_project
from schemas.chat import Message


def bound(folder: Path, model: str, models_file: Path | None = None) -> ModelSpec:
    (folder / "dataforge.toml").write_text(f'[models.writer]\nbackend = "local"\nmodel = "{model}"\n')
    return bind([("writer", "generator", {})], load_project(folder), models_file, {})["writer"]


def tuned(folder: Path, content: bytes = b"weights", name: str = "model-q8_0.gguf") -> Path:
    file = folder / "model" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_name_is_a_file_a_folder_or_what_training_wrote(tmp_path: Path) -> None:
    file = tuned(tmp_path / "out")
    (tmp_path / "notes.txt").write_text("")
    assert gguf_file(file) == gguf_file(tmp_path / "out") == gguf_file(tmp_path / "out" / "model") == file
    assert gguf_file(tmp_path / "notes.txt") is gguf_file(tmp_path / "nowhere") is gguf_file(tmp_path) is None


def test_paths_start_from_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    first, second = tuned(project / "tuned"), tuned(elsewhere / "tuned", b"others")
    monkeypatch.chdir(tmp_path)
    assert bound(project, "tuned").options["path"] == str(first)
    file = elsewhere / "models.toml"
    file.write_text('[models.writer]\nbackend = "local"\nmodel = "tuned"\n')
    assert bound(project, "tuned", file).options["path"] == str(second)


def test_weights_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    """Training again into the same folder makes another model: no reply of the old one may stand for it."""
    file = tuned(tmp_path / "out")
    first = bound(tmp_path, "out")
    assert first.weights.startswith("model-q8_0@")
    tuned(tmp_path / "out", b"WEIGHTS")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    second = bound(tmp_path, "out")
    assert second.weights != first.weights
    request = ChatRequest((Message(role="user", content="Hello"),))
    assert request.key(second.weights) != request.key(first.weights)
    copy = tuned(tmp_path / "copy", b"WEIGHTS")
    assert identity(copy) == second.weights


def test_a_hash_is_kept_for_as_long_as_size_and_time_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tuned(tmp_path)
    first, state = identity(file), file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert identity(file) == first
    (kept,) = (tmp_path / "cache").rglob("*.json")
    for damage in ("", "[]", '{"seen": [1, 2], "digest": "x"}'):
        kept.write_text(damage)
        assert identity(file) != first


def test_a_hash_needs_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    assert identity(tuned(tmp_path)) == identity(tuned(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless(path: Path) -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert identity(tuned(tmp_path)).startswith("model-q8_0@")


def test_a_judge_of_the_same_file_grades_its_own_homework(tmp_path: Path) -> None:
    tuned(tmp_path / "out")
    (tmp_path / "dataforge.toml").write_text(
        '[models.writer]\nbackend = "local"\nmodel = "out"\n[models.critic]\nbackend = "local"\nmodel = "out/model"\n'
    )
    asked: Any = [("writer", "generator", {}), ("critic", "judge", {})]
    specs = bind(asked, load_project(tmp_path), None, {})
    assert specs["writer"].weights == specs["critic"].weights


def test_a_folder_without_a_gguf_file_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "out" / "model" / "folder.gguf").mkdir(parents=True)
    with pytest.raises(ProjectError, match="there is no GGUF file at") as caught:
        bound(tmp_path, "out")
    assert caught.value.code == "R002"
    assert "checkpoint.gguf=q8_0" in str(caught.value.help)
    assert "convert_hf_to_gguf.py" in str(caught.value.help)


def test_several_gguf_files_are_not_guessed_from(tmp_path: Path) -> None:
    tuned(tmp_path / "out")
    tuned(tmp_path / "out", name="model-f16.gguf")
    with pytest.raises(ProjectError, match=r"holds 2 GGUF files: model-f16\.gguf, model-q8_0\.gguf"):
        bound(tmp_path, "out")
    assert bound(tmp_path, "out/model/model-f16.gguf").weights.startswith("model-f16@")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = tuned(tmp_path / "out")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ProjectError, match=r"model-q8_0\.gguf cannot be read: Permission denied") as caught:
        identity(file)
    assert caught.value.code == "R002"


@pytest.mark.embedded
def test_names_of_one_file_share_its_engines_and_other_files_have_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_generator, "_cores", lambda: 1)
    link = tmp_path / "same.gguf"
    link.symlink_to(generator_file())
    other = tmp_path / "other.gguf"
    other.write_bytes(generator_file().read_bytes())

    async def run() -> None:
        backends = [connect(bound(tmp_path, name)) for name in ("same.gguf", "same.gguf", "other.gguf")]
        assert [await backend.ping() for backend in backends] == ["same.gguf", "same.gguf", "other.gguf"]
        assert set(embedded_generator._shared) == {generator_file().resolve(), other}
        reply = await backends[2].complete(ChatRequest((Message(role="user", content="Hi"),)))
        assert reply.model == "other.gguf"
        await backends[0].close()
        assert len(embedded_generator._shared) == 2
        for backend in backends:
            await backend.close()
        assert not embedded_generator._shared

    asyncio.run(run())
