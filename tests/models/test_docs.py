"""What docs/models.md shows is what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataforge.models import backend_names
from dataforge.models.replay import read_recordings
from dataforge.models.weights import ENGINES, WEIGHTS
from dataforge.project import ModelTable, load_models_file

GUIDE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_toml_blocks_are_valid(tmp_path, text):
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    assert load_models_file(file)


@pytest.mark.parametrize("text", blocks("jsonl"))
def test_recordings_are_valid(tmp_path, text):
    file = tmp_path / "recorded.jsonl"
    file.write_text(text, encoding="utf-8")
    assert len(list(read_recordings(file))) == 3


def test_every_key_and_backend_is_documented():
    assert [key for key in ModelTable.model_fields if f"`{key}`" not in GUIDE] == []
    assert [name for name in backend_names() if f"`{name}`" not in GUIDE] == []


def test_the_install_commands_are_those_of_the_error_messages():
    assert ENGINES in GUIDE
    assert WEIGHTS in GUIDE
