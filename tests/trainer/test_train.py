"""The loop: what a step computes, and what a run keeps whatever happens to it. Commands here are real processes."""

from __future__ import annotations

import json
import math
import random
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nursery import Nursery, until
from safetensors.torch import load_file

from dataforge.errors import InputError, RunError
from trainer import train as loop
from trainer.batch import collate
from trainer.checkpoint import State
from trainer.config import Config, load
from trainer.model import PackedLM, build_optimizer
from trainer.packed import PackedSet, Row
from trainer.parallel import World, join
from trainer.tiny import tiny_model
from trainer.train import train

STEPS = 12
WORDS = "the bee dances to tell where nectar and pollen are found while others look on"
SETS = (
    f"train.steps={STEPS}",
    "train.rows=3",
    "train.micro_rows=2",
    "checkpoint.every=3",
    "data.context=256",
)
TIMES = ("seconds", "memory_gb")
"""Figures that differ from run to run."""


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Conversations of two kinds and uneven lengths."""
    draw = random.Random(0)
    file = tmp_path_factory.mktemp("chat") / "chat.jsonl"
    with file.open("w") as lines:
        for number in range(24):
            question, answer = (" ".join(draw.choices(WORDS.split(), k=draw.randint(2, n))) for n in (6, 20))
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            row = {"id": f"row{number}", "messages": messages, "kind": ("final", "call")[number % 2]}
            lines.write(json.dumps(row) + "\n")
    return file


def configured(chat: Path, *sets: str) -> Config:
    kinds = 'data.kinds=["final", "call"]'
    return load("tiny", None, [f"data.paths={chat}", kinds, *SETS, *sets])


@pytest.fixture(scope="module")
def whole(chat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to which nothing happened."""
    out = tmp_path_factory.mktemp("whole") / "out"
    train(configured(chat), out)
    return out


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes as long as all steps. `whole` and the commands draw; what is drawn is tested elsewhere."""
    monkeypatch.setattr(loop.report, "write", lambda *_: None)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def figures(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def steps_in(out: Path) -> int:
    file = out / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


# ---- one step


@pytest.fixture
def alone() -> World:
    return join(load("tiny").mesh)


def rows(seed: int = 0) -> list[Row]:
    """Rows whose documents and trained tokens differ much in number."""
    draw = np.random.default_rng(seed)
    made = []
    for documents in ((40, 9), (3,), (11, 5, 30), (90,)):
        length = sum(documents)
        trained = draw.random(length) < (0.1 if length > 80 else 0.7)
        trained[np.cumsum((0, *documents[:-1]))] = False
        trained[1] = True
        made.append(
            Row(
                tokens=draw.integers(0, 256, length).astype(np.int32),
                trained=trained,
                lengths=np.array(documents, np.int32),
                samples=np.arange(len(documents)),
                kinds=np.zeros(len(documents), np.int32),
            )
        )
    return made


def fresh() -> State:
    # Adam's first step is the sign of the gradient: where that is next to nothing, rounding would decide.
    config = load("tiny", None, ["optimizer.eps=1e-4"])
    model = PackedLM(tiny_model(), "documents", config.train)
    return State(model, build_optimizer(model, config.optimizer))


def stepped(world: World, micro_rows: int) -> State:
    state = fresh()
    batches = [collate(rows()[at : at + micro_rows]) for at in range(0, 4, micro_rows)]
    loop.step(state, batches, 1e-3, 1.0, world, 1)
    return state


def distance(one: State, other: State) -> float:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return max(float((a - b).abs().max().detach()) for a, b in pairs)


@pytest.mark.parametrize("micro_rows", [1, 2, 3])
def test_unequal_micro_batches_make_the_step_of_one_big_batch(alone: World, micro_rows: int) -> None:
    assert distance(stepped(alone, micro_rows), stepped(alone, 4)) <= 1e-6


def test_a_mean_of_means_would_not(alone: World) -> None:
    """What the test above can see: each micro-batch divided by its own trained tokens."""
    state = fresh()
    for row in rows():
        batch = collate([row])
        loss, _ = state.model(batch)
        (loss / batch.trained / 4).backward()
    loop.clip_gradients(state.model, 1.0)
    for group in state.optimizer.param_groups:
        group["lr"] = 1e-3
    state.optimizer.step()
    assert distance(state, stepped(alone, 4)) > 1e-4


def test_a_step_reports_the_loss_of_each_kind_over_the_batch(alone: World) -> None:
    two = rows()
    two[2] = replace(two[2], kinds=np.array([0, 1, 0], np.int32))
    state = fresh()
    with torch.no_grad():
        _, losses = state.model(collate(two))
    batch = collate(two)
    sums, norm = loop.step(state, [collate([row]) for row in two], 0.0, 1.0, alone, 2)
    for kind in (0, 1):
        assert math.isclose(sums[kind], losses[batch.kinds == kind].double().sum(), rel_tol=1e-5)
        assert sums[2 + kind] == ((batch.kinds == kind) & (batch.targets != -100)).sum()
    assert sums[-1] == sum(len(row.tokens) for row in two)
    assert norm > 0
    assert (state.step, state.trained_tokens) == (1, batch.trained)


def test_padding_is_counted_nowhere(alone: World) -> None:
    batch, padded = collate(rows()), collate(rows(), fixed=512)
    assert padded.padding
    sums = [loop.step(fresh(), [b], 0.0, 1.0, alone, 1)[0] for b in (batch, padded)]
    assert torch.allclose(sums[0], sums[1], rtol=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_leaves_the_weights_as_they_were(alone: World, value: float) -> None:
    state = fresh()
    next(state.model.parameters()).register_hook(lambda gradient: gradient * value)
    _, norm = loop.step(state, [collate(rows())], 1e-3, 1.0, alone, 1)
    assert not math.isfinite(norm)
    assert distance(state, fresh()) == 0
    assert state.step == 0


def test_the_samples_whose_loss_is_no_number_are_found() -> None:
    state, share = fresh(), rows()
    marked = [replace(row, tokens=np.where(row.tokens == 7, 8, row.tokens)) for row in share]
    marked[2].tokens[14] = 7  # in the second document of the third row
    marked = [
        replace(row, samples=np.arange(10 * at, 10 * at + len(row.lengths))) for at, row in enumerate(marked)
    ]
    marked[2].trained[15] = True
    with torch.no_grad():
        state.model.lm.get_input_embeddings().weight[7] = math.nan
    batches = [collate(marked[:2]), collate(marked[2:], fixed=400)]
    assert loop.suspects(state.model, marked, batches) == [21]


# ---- a run


def test_loss_falls_and_transformers_loads_what_comes_out(whole: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    summary = json.loads((whole / "summary.json").read_text())
    assert summary["last_loss"] < summary["first_loss"] - 0.3
    assert (whole / "report.html").is_file()
    loaded = AutoModelForCausalLM.from_pretrained(whole / "model").state_dict()
    assert same({name: loaded[name] for name in weights(whole)}, weights(whole))
    assert AutoTokenizer.from_pretrained(whole / "model").chat_template
    assert [line["step"] for line in figures(whole)] == list(range(1, STEPS + 1))
    rates = [loop.learning_rate(load("tiny").optimizer, step, STEPS) for step in range(STEPS)]
    assert [line["lr"] for line in figures(whole)] == rates
    assert summary["trained_tokens"] == sum(line["trained_tokens"] for line in figures(whole))
    assert {file.name for file in (whole / "checkpoints").iterdir()} == {"step-000009", "step-000012"}


def test_a_run_says_with_what_it_ran(chat: Path, whole: Path) -> None:
    about = json.loads((whole / "run.json").read_text())
    assert about["versions"]["torch"] == torch.__version__
    assert about["data_digest"] == PackedSet(whole / "packed").digest
    assert load(file=whole / "config.toml") == configured(chat)


def test_starting_a_finished_run_again_changes_nothing(chat: Path, whole: Path) -> None:
    before = weights(whole), (whole / "metrics.jsonl").read_bytes(), (whole / "summary.json").read_bytes()
    train(configured(chat), whole)
    assert same(before[0], weights(whole))
    assert before[1:] == ((whole / "metrics.jsonl").read_bytes(), (whole / "summary.json").read_bytes())


def test_a_packed_set_trains_as_the_conversations_that_it_was_made_of(whole: Path, tmp_path: Path) -> None:
    config = configured(whole / "packed", "data.context=64")
    train(config, tmp_path)
    assert same(weights(tmp_path), weights(whole))
    assert not (tmp_path / "packed").exists()


def test_steps_come_from_epochs_where_none_are_given(chat: Path, whole: Path, tmp_path: Path) -> None:
    rows = len(PackedSet(whole / "packed"))
    summary = train(configured(whole / "packed", "train.steps=0", "train.rows=2", "train.epochs=2"), tmp_path)
    assert summary["steps"] == rows


def test_a_folder_of_another_configuration_is_refused(chat: Path, whole: Path) -> None:
    with pytest.raises(InputError, match=r"`optimizer\.lr` is 0\.001 there and 0\.5 here") as error:
        train(configured(chat, "optimizer.lr=0.5"), whole)
    assert error.value.code == "T011"
    assert load(file=whole / "config.toml") == configured(chat)


def test_before_its_first_checkpoint_a_run_may_be_told_otherwise(chat: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        train(configured(tmp_path / "nothing.jsonl", "optimizer.lr=0.5"), tmp_path / "out")
    loop.claim(tmp_path / "out", configured(chat)).close()
    assert load(file=tmp_path / "out" / "config.toml") == configured(chat)


def test_a_file_cannot_be_the_folder_of_a_run(chat: Path) -> None:
    for out in (chat, chat / "out"):
        with pytest.raises(InputError, match="cannot be the folder of a run") as error:
            train(configured(chat), out)
        assert error.value.code == "R020"


def test_no_data_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        train(load("tiny"), Path("nowhere"))
    assert error.value.code == "T001"
    assert not Path("nowhere").exists()


def test_a_batch_that_cannot_be_shared_evenly_is_refused(alone: World) -> None:
    with pytest.raises(InputError, match="3 rows cannot be shared evenly by 2") as error:
        loop._check_shares(configured(Path("x")), replace(alone, data_size=2))
    assert error.value.code == "T015"


def test_a_loss_that_is_no_number_ends_the_run_and_the_run_before_it_is_kept(
    chat: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.learning_rate
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda *a: math.nan if a[1] == 6 else real(*a))
        with pytest.raises(RunError) as error:
            train(configured(chat), tmp_path)
    assert error.value.code == "T010"
    assert error.value.message.startswith("step 8: the loss is not a number; samples row")
    assert "step-000006 is whole" in error.value.help
    assert {file.name for file in (tmp_path / "checkpoints").iterdir()} == {"step-000003", "step-000006"}
    train(configured(chat), tmp_path)
    assert same(weights(tmp_path), weights(whole))


def test_what_the_page_shows_runs(chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.jsonl").write_bytes(chat.read_bytes())
    config = load("smollm2-135m", Path("mine.toml"), ["optimizer.lr=1e-5", "log.tensorboard=true"])
    assert (config.train.steps, config.optimizer.lr) == (200, 1e-5)
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    assert (tmp_path / "out" / "tiny" / "summary.json").is_file()


# ---- real processes


def command(chat: Path, out: Path, *sets: str) -> list[str]:
    chosen = (*SETS, 'data.kinds=["final", "call"]', *sets)
    options = [option for text in chosen for option in ("--set", text)]
    return ["train", "--preset", "tiny", *options, "--data", str(chat), "--out", str(out)]


def test_killed_at_random_steps_a_run_comes_to_the_same_weights(
    nursery: Nursery, chat: Path, whole: Path, tmp_path: Path
) -> None:
    draw = random.Random()
    ends = sorted(draw.sample(range(1, STEPS), 2))
    seen = []
    for end in ends:
        child = nursery.start(*command(chat, tmp_path))
        until(lambda end=end, child=child: steps_in(tmp_path) >= end or not child.running())
        child.kill(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, child.log.read_text()
        seen.append(steps_in(tmp_path))
    code, said = nursery.run(*command(chat, tmp_path), "--json")
    assert code == 0, said
    assert json.loads(said[said.index("{") :]) == json.loads((tmp_path / "summary.json").read_text())
    assert same(weights(tmp_path), weights(whole)), f"killed after {seen}"
    assert figures(tmp_path) == figures(whole)


def test_a_signal_saves_after_the_step_and_the_same_command_goes_on(
    nursery: Nursery, chat: Path, whole: Path, tmp_path: Path
) -> None:
    done = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        child = nursery.start(*command(chat, tmp_path, "checkpoint.every=0"))
        until(lambda before=done: steps_in(tmp_path) > before)
        if not done:
            with pytest.raises(InputError, match="another process runs in") as error:
                train(configured(chat), tmp_path)
            assert error.value.code == "R022"
        child.kill(number)
        assert child.wait() == 3, child.log.read_text()
        before, done = done, steps_in(tmp_path)
        assert before < done < STEPS
        assert f"step-{done:06d}" in {file.name for file in (tmp_path / "checkpoints").iterdir()}
        assert "the same command goes on from there" in child.log.read_text()
    train(configured(chat, "checkpoint.every=0"), tmp_path)
    assert same(weights(tmp_path), weights(whole))


def test_a_signal_before_the_first_step_ends_it_at_once(nursery: Nursery, tmp_path: Path) -> None:
    fifo = tmp_path / "chat.jsonl"
    fifo.mkdir()
    # A corpus that never ends: preparing it is where the signal comes.
    (fifo / "a.jsonl").symlink_to("/dev/zero")
    child = nursery.start(*command(fifo, tmp_path / "out"))
    until(lambda: (tmp_path / "out" / "config.toml").exists())
    child.kill(signal.SIGTERM)
    assert child.wait() == 3, child.log.read_text()


def test_two_processes_come_to_the_weights_of_one_and_one_speaks(
    nursery: Nursery, chat: Path, whole: Path, tmp_path: Path
) -> None:
    first, second = nursery.both(*command(chat, tmp_path, "train.rows=4", "train.steps=4"))
    assert (first.wait(), second.wait()) == (0, 0), first.log.read_text() + second.log.read_text()
    out = tmp_path / "one"
    train(configured(chat, "train.rows=4", "train.steps=4"), out)
    one, two = weights(out), weights(tmp_path)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert [line["trained_tokens"] for line in figures(out)] == [
        line["trained_tokens"] for line in figures(tmp_path)
    ]
    assert "loss" in first.log.read_text()
    assert "loss" not in second.log.read_text()


def test_an_error_on_one_process_ends_both_and_one_speaks(nursery: Nursery, tmp_path: Path) -> None:
    first, second = nursery.both(*command(tmp_path / "nothing.jsonl", tmp_path / "out", "train.rows=4"))
    assert (first.wait(), second.wait()) == (2, 2)
    assert re.search(r"error\[T002\]", first.log.read_text())
    assert "error" not in second.log.read_text()


def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_step(
    nursery: Nursery, chat: Path, tmp_path: Path
) -> None:
    first, second = nursery.both(
        *command(chat, tmp_path, "train.rows=4", "train.steps=500", "checkpoint.every=0")
    )
    until(lambda: steps_in(tmp_path) >= 2)
    second.kill(signal.SIGTERM)
    assert (first.wait(), second.wait()) == (3, 3)
    done = steps_in(tmp_path)
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [f"step-{done:06d}"]


def test_a_wrong_configuration_is_told_before_anything_is_loaded(nursery: Nursery, tmp_path: Path) -> None:
    code, said = nursery.run("train", "--preset", "tiny", "--set", "train.row=1", "--json")
    assert code == 2
    assert json.loads(said)["error"]["code"] == "T001"
