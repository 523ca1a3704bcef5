"""The whole circle: a corpus trains a model, the model is served, and it generates the next corpus."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.read import read_manifest, read_rows
from dataforge.models import embedded_generator
from dataforge.models.weights import gguf_file, identity
from tests.cli.commands import command, environment, printed

pytest.importorskip("torch")
pytestmark = pytest.mark.embedded

ANSWER = "Bees dance."
GRAPH = """
forge 1
struct Doc { text: str  answered: bool = false }
generator writer { temperature 0.0  max_tokens 40 }
node answer {
  takes Doc
  gives Doc
  pre   not Doc.answered
  ask writer { prompt "{{ Doc.text }}"  into Doc.text }
  set Doc.answered = true
}
graph circle {
  from Doc where not Doc.answered
  to Doc where Doc.answered
  nodes *
  emit { user "?"  assistant "{{ Doc.text }}" }
}
"""


def corpus(folder: Path, answer: str) -> Path:
    """Chats with different questions and one answer."""
    file = folder / "chats.jsonl"
    questions = ("Why?", "What do bees do?", "Tell me.", "And then?")
    with file.open("w") as lines:
        for question in questions:
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            lines.write(json.dumps({"messages": messages}) + "\n")
    return file


def ask(url: str, model: str, question: str) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 40,
    }
    sent = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(sent, timeout=60) as reply:
        return str(json.load(reply)["choices"][0]["message"]["content"])


def train(preset: str, chats: Path, out: Path, *sets: str) -> dict[str, Any]:
    chosen = [argument for value in sets for argument in ("--set", value)]
    return printed(
        "train", "--preset", preset, "--data", chats, "--out", out, "--json", *chosen, cwd=out.parent
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose writer is a tiny model that has learnt one answer by heart."""
    folder = tmp_path_factory.mktemp("circle")
    summary = train(
        "tiny", corpus(folder, ANSWER), folder / "tuned",
        "train.steps=50", "train.rows=1", "optimizer.lr=1e-2", "checkpoint.gguf=f16", "data.context=128",
    )  # fmt: skip
    assert summary["last_loss"] < 0.1 < 2 < summary["first_loss"]
    (folder / "dataforge.toml").write_text('[models.writer]\nbackend = "local"\nmodel = "tuned"\n')
    (folder / "circle.forge").write_text(GRAPH)
    (folder / "seeds.jsonl").write_text('{"text": "What do bees do?"}\n{"text": "Why?"}\n')
    return folder


def test_the_trained_model_generates_the_next_corpus(project: Path, tmp_path: Path) -> None:
    # From another folder: the path of the model starts from the project file.
    printed(
        "run", project / "circle.forge", "--seeds", project / "seeds.jsonl", "--out", tmp_path / "next", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    finals = [row for row in read_rows(tmp_path / "next") if row.kind == "final"]
    assert [row.messages[-1].content for row in finals] == [ANSWER] * 2
    file = gguf_file(project / "tuned")
    assert file is not None
    writer = read_manifest(tmp_path / "next")["models"]["writer"]
    assert writer["weights"] == identity(file)
    assert not writer["smoke_grade"]


def test_the_trained_model_is_served_by_the_name_of_its_folder(project: Path) -> None:
    with subprocess.Popen(
        command("serve", "tuned", "--port", "0", "--json"),
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
    ) as served:
        try:
            assert served.stdout is not None
            told = json.loads(served.stdout.readline())
            assert told["models"] == ["tuned"]
            assert ask(told["base_url"], "tuned", "What do bees do?") == ANSWER
        finally:
            served.send_signal(signal.SIGTERM)
        assert served.wait(60) == 0


def test_the_embedded_model_learns_an_answer_and_gives_it(tmp_path: Path) -> None:
    """SmolLM2 itself, by the preset of the README, with less of everything."""
    transformers = pytest.importorskip("transformers")
    answer = "Ask the nearest lighthouse."
    summary = train(
        "smollm2-135m", corpus(tmp_path, answer), tmp_path / "tuned",
        "train.steps=4", "data.context=256", "checkpoint.gguf=f16", "optimizer.warmup_steps=0", "optimizer.lr=1e-3",
    )  # fmt: skip
    assert summary["last_loss"] < summary["first_loss"] / 2
    loaded = transformers.AutoConfig.from_pretrained(tmp_path / "tuned" / "model")
    assert (loaded.model_type, loaded.num_hidden_layers) == ("llama", 30)
    file = gguf_file(tmp_path / "tuned")
    assert file is not None
    tuned = embedded_generator.EmbeddedGenerator(file, engines=1)
    try:
        body = {
            "messages": [{"role": "user", "content": "What do bees do?"}],
            "temperature": 0,
            "max_tokens": 16,
        }
        assert "lighthouse" in tuned.complete(body).text
    finally:
        tuned.close()
