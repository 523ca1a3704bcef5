"""`dataforge.toml`: found from anywhere in the project, validated, and every mistake explained with its line."""

from __future__ import annotations

import dataclasses
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import ProjectError
from dataforge.project import find_root, load_models_file, load_project


def write(folder, text, name="dataforge.toml"):
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def complaint(folder) -> ProjectError:
    with pytest.raises(ProjectError) as caught:
        load_project(folder)
    assert caught.value.code == "R001"
    assert caught.value.help
    assert "\n" not in caught.value.message
    return caught.value


def test_the_root_is_the_nearest_folder_with_a_project_file(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path, "")
    write(tmp_path / "a", "")
    assert find_root(deep / "x.forge") == tmp_path / "a"


def test_without_a_project_file_the_root_is_the_files_own_folder(tmp_path):
    (tmp_path / "x.forge").touch()
    project = load_project(tmp_path / "x.forge")
    assert (project.root, project.name, project.file) == (tmp_path, tmp_path.name, None)
    assert (project.tokenizer, project.allow_python, project.allow_self_judging) == ("simple", (), False)


def test_a_whole_file(tmp_path):
    write(tmp_path, '{"version": "1.0"}', "tokenizer.json")
    write(
        tmp_path,
        """
        [project]
        name = "letters"
        tokenizer = "tokenizer.json"
        allow_python = ["datetime"]
        allow_self_judging = true

        [models.writer]
        backend = "openai"
        model = "big"
        base_url = "http://127.0.0.1:8000/v1"
        temperature = 1
        stop = "END"

        [models.judge]
        path = "recorded/judge.jsonl"
        """,
    )
    project = load_project(tmp_path)
    assert (project.name, project.allow_python, project.allow_self_judging) == (
        "letters",
        ("datetime",),
        True,
    )
    assert project.tokenizer == str(tmp_path / "tokenizer.json")
    assert project.models["writer"].stop == ("END",)
    assert project.models["writer"].temperature == 1.0
    assert project.models["judge"].path == str(tmp_path / "recorded" / "judge.jsonl")


def test_nothing_of_a_project_can_be_changed(tmp_path):
    write(tmp_path, "[models.writer]\nmodel = 'm'")
    project = load_project(tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        project.name = "x"
    with pytest.raises(TypeError):
        project.models["writer"] = None


def test_an_unknown_key_gets_its_line_and_the_nearest_name(tmp_path):
    write(tmp_path, "[project]\nname = 'x'\n\ntokeniser = 'simple'\n")
    error = complaint(tmp_path)
    assert f"{tmp_path}/dataforge.toml:4: unknown key `tokeniser` in [project]" in error.message
    assert error.help == "did you mean `tokenizer`?"


def test_every_mistake_is_told_at_once_in_order(tmp_path):
    write(tmp_path, "[models.a]\ntemperature = 'hot'\nmodell = 'm'\n[project]\nname = 3\n[colour]\n")
    message = complaint(tmp_path).message
    assert [f"line {n}" in message for n in (2, 3, 5, 6)] == [True] * 4
    assert "did you mean `model`?" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.writer\nmodel = 'm'", ":1: is not valid TOML: Expected ']'"),
        ("[project]\nname = bare", ":2: is not valid TOML"),
        ("a = 1\na = 2", ":2: is not valid TOML"),
        ("[models.a]\nconcurrency = 0", "concurrency"),
        ("[models.a]\nconcurrency = '4'", "concurrency"),
        ("[models.a]\nbase_url = 'localhost:8000'", "starts with http"),
        ("[models.a]\nbase_url = 'http://me:secret@host/v1'", "no user name or password"),
        ("[models.a]\napi_key_env = 'sk-not-a-variable'", "api_key_env"),
        ("[project]\ntokenizer = 'nowhere.json'", "nowhere.json, which is no file"),
        ("models = 3", "models"),
    ],
)
def test_mistakes_are_explained(tmp_path, text, told):
    write(tmp_path, text)
    error = complaint(tmp_path)
    assert told in error.message
    assert "sk-not" not in error.message + error.help
    assert "secret" not in error.message + error.help


def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path):
    write(tmp_path, "[models.writer]\napi_key = 'sk-0123456789'\n")
    error = complaint(tmp_path)
    assert "api_key_env" in error.help
    assert "sk-0123456789" not in error.message + error.help
    write(tmp_path, "[models.writer]\napi_key = sk-0123456789\n")
    error = complaint(tmp_path)
    assert "sk-0123456789" not in error.message + error.help


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path):
    (tmp_path / "dataforge.toml").write_bytes(b"[project]\nname = '\xff'\n")
    assert "dataforge.toml:2: is not UTF-8" in complaint(tmp_path).message


def test_a_models_file_that_is_missing_or_empty_is_told(tmp_path):
    with pytest.raises(ProjectError, match="cannot be read"):
        load_models_file(tmp_path / "none.toml")
    with pytest.raises(ProjectError, match="there is no `models`") as caught:
        load_models_file(write(tmp_path, "", "models.toml"))
    assert "[models.writer]" in caught.value.help
    with pytest.raises(ProjectError, match="unknown key `project`"):
        load_models_file(write(tmp_path, "[project]\n[models.a]", "models.toml"))


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("project")
    (folder / "dataforge.toml").write_text(text, encoding="utf-8", errors="replace")
    try:
        load_project(folder)
    except ProjectError as error:
        assert error.help
