"""Figures: what a step is worth in numbers, where they are kept and shown, and what is drawn of them."""

from __future__ import annotations

import html
import json
import math
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import InputError
from trainer import metrics, report
from trainer.config import Config, load
from trainer.metrics import Figures, Gauge, Log, read

CPU = torch.device("cpu")


def figures(step: int, loss: float = 2.0, **changes: Any) -> Figures:
    values: dict[str, Any] = {
        "step": step,
        "loss": loss,
        "lr": 1e-4,
        "grad_norm": 1.5,
        "tokens": 900,
        "trained_tokens": 300,
        "efficiency": 0.9,
        "loss_by_kind": {"call": loss - 1, "final": loss + 1},
        "seconds": 0.5,
        "memory_gb": 0.25,
        "mfu": None,
    }
    return Figures(**(values | changes))


def about(steps: int = 4, resumed_at: int = 0) -> dict[str, Any]:
    from trainer.config import flat

    return {
        "steps": steps,
        "resumed_at": resumed_at,
        "parameters": 121152,
        "rows": 11,
        "context": 512,
        "config_digest": "c" * 16,
        "data_digest": "d" * 32,
        "config": flat(load("tiny")),
        "versions": {"torch": torch.__version__},
    }


# ---- one step


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e4), st.integers(0, 1000)).filter(lambda pair: pair[1] or not pair[0]),
        min_size=1,
        max_size=4,
    ).filter(lambda pairs: any(count for _, count in pairs))
)
def test_losses_by_kind_weigh_to_the_loss(pairs: list[tuple[float, int]]) -> None:
    kinds = tuple(f"kind{number}" for number in range(len(pairs)))
    losses, counts = ([pair[at] for pair in pairs] for at in (0, 1))
    sums = torch.tensor([*losses, *counts, 2048.0], dtype=torch.float64)
    got = Figures.of(3, sums, 1e-4, 1.0, 0.5, Gauge(kinds, 4096, CPU))
    assert set(got.loss_by_kind) == {kind for kind, count in zip(kinds, counts, strict=True) if count}
    weighed = sum(loss * counts[kinds.index(kind)] for kind, loss in got.loss_by_kind.items())
    assert math.isclose(got.loss, weighed / sum(counts), rel_tol=1e-9, abs_tol=1e-12)
    assert (got.tokens, got.trained_tokens, got.efficiency) == (2048, sum(counts), 0.5)
    assert got.mfu is None


def test_mfu_is_what_was_computed_by_what_could_have_been() -> None:
    sums = torch.tensor([1.0, 10.0, 1000.0], dtype=torch.float64)
    gauge = Gauge(("final",), 1000, CPU, flops=6e9, peak=2 * 1e14)
    assert Figures.of(1, sums, 0.0, 1.0, 0.5, gauge).mfu == pytest.approx(6e9 * 1000 / 0.5 / 2e14)


def test_a_cpu_has_no_mfu_and_some_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Set:
        kinds = ("final",)
        context = 512

    class World:
        device = CPU
        size = 1

    gauge = Gauge.of(None, Set(), load("tiny", None, ["log.gpu=H200"]), World())  # type: ignore[arg-type]
    assert gauge.peak is None
    assert gauge.room == 512 * 4
    assert 0.05 < gauge.memory_gb() < 64


# ---- metrics.jsonl


def test_what_was_written_beyond_the_checkpoint_is_taken_back(tmp_path: Path) -> None:
    with Log(tmp_path, about()) as log:
        for step in (1, 2, 3):
            log.step(figures(step))
    with Log(tmp_path, about(resumed_at=2)) as log:
        log.step(figures(3, 1.0))
    assert [(line.step, line.loss) for line in read(tmp_path / "metrics.jsonl")] == [
        (1, 2.0),
        (2, 2.0),
        (3, 1.0),
    ]


@settings(max_examples=15)
@given(st.integers(0, 400))
def test_a_line_that_a_crash_cut_short_is_no_step(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    out = tmp_path_factory.mktemp("cut")
    file = out / "metrics.jsonl"
    lines = [json.dumps(asdict(figures(step))) + "\n" for step in (1, 2)]
    file.write_text("".join(lines)[:cut])
    whole = [line for line in (1, 2) if cut >= sum(map(len, lines[:line]))]
    assert [line.step for line in read(file)] == whole
    with Log(out, about(resumed_at=1)) as log:
        log.step(figures(2))
    assert [line.step for line in read(file)] == [*whole[:1], 2]


def test_a_line_that_is_no_step_is_told(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    whole = json.dumps(asdict(figures(1))).encode()
    for line in (b"\0\0", b"[]", b"\xff", whole.replace(b'"loss"', b'"los"')):
        file.write_bytes(whole + b"\n" + line + b"\n")
        with pytest.raises(InputError, match="line 2: is no step") as error:
            read(file)
        assert error.value.code == "T012"


def test_each_step_is_on_disk_before_the_next_begins(tmp_path: Path) -> None:
    with Log(tmp_path, about()) as log:
        for step in (1, 2):
            log.step(figures(step))
            assert len(read(tmp_path / "metrics.jsonl")) == step


# ---- what people see


def test_without_a_terminal_there_are_plain_lines_and_not_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Log(tmp_path, about(200)) as log:
        for step in range(1, 201):
            # Names of kinds are the data's, and no markup.
            log.step(figures(step, loss_by_kind={"[/b]": 1.0, ":bee:": 3.0}))
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert "\x1b" not in shown.err
    assert lines[0] == "121,152 parameters, 11 rows of 512 tokens, 200 steps"
    assert len(lines) == 102
    assert lines[-1] == (
        "step 200/200  loss 2.0000 (smoothed 2.0000)  by kind [/b] 1.0000, :bee: 3.0000  lr 0.0001  "
        "gradient 1.500  tokens/s 1,800 (600 trained)  packed 90.00%  memory 0.25 GB  left 0 s"
    )


def test_a_terminal_has_a_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with Log(tmp_path, about()) as log:
        log.step(figures(1, mfu=0.41))
        log.step(figures(2, mfu=0.42))
    with Log(tmp_path, about()) as log:
        log.step(figures(1, loss_by_kind={"[/b]": 1.0, ":bee:": 2.0}))
    shown = capsys.readouterr().err
    assert "[/b] 1.0000, :bee: 2.0000" in shown
    assert re.search(r"MFU.*42\.0%", shown)
    # It is drawn over itself.
    assert "\x1b[1A" in shown


def test_the_smoothed_loss_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Log(tmp_path / ".", about(3)) as log:
        for step, loss in ((1, 4.0), (2, 2.0), (3, 3.0)):
            log.step(figures(step, loss))
    uninterrupted = capsys.readouterr().err.splitlines()[-1]
    with Log(tmp_path, about(3, resumed_at=2)) as log:
        log.step(figures(3, 3.0))
    resumed = capsys.readouterr().err.splitlines()
    assert resumed[0].endswith("3 steps, of which 2 are done")
    assert resumed[-1] == uninterrupted


def test_a_warm_up_as_long_as_the_run_is_remarked_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Log(tmp_path, about(2)):
        pass
    assert "a warm-up of 2 steps leaves none at the peak rate" in capsys.readouterr().err


# ---- other places


def test_tensorboard_has_each_step_once_after_a_crash(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = load("tiny", None, ["log.tensorboard=true"])
    for resumed_at, loss in ((0, 2.0), (2, 1.0)):
        with Log(tmp_path, about(4, resumed_at), metrics.sinks(config, tmp_path)) as log:
            for step in range(resumed_at + 1, 4):
                log.step(figures(step, loss))
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 2.0), (2, 2.0), (3, 1.0)]
    assert "loss/final" in events.Tags()["scalars"]
    assert "mfu" not in events.Tags()["scalars"]


@pytest.mark.parametrize(("key", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_sink_whose_package_is_missing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"needs the package {key}") as error:
        metrics.sinks(load("tiny", None, [f"log.{key}=true"]), tmp_path)
    assert error.value.code == "T013"
    assert metrics.sinks(Config(), tmp_path) == []


def test_weights_and_biases_is_told_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in with the calls of wandb's documentation: the package itself is not there."""
    told: list[Any] = []

    class Run:
        def log(self, numbers: dict[str, float], step: int) -> None:
            told.append((step, numbers["loss"]))

        def finish(self) -> None:
            told.append("finished")

    class Wandb:
        @staticmethod
        def init(**options: Any) -> Run:
            told.append((options["project"], options["resume"], options["config"]["steps"]))
            return Run()

    monkeypatch.setitem(sys.modules, "wandb", Wandb)  # type: ignore[arg-type]
    config = load("tiny", None, ["log.wandb=true", "log.project=bees"])
    with Log(tmp_path, about(), metrics.sinks(config, tmp_path)) as log:
        log.step(figures(1))
    assert told == [("bees", "allow", 4), (1, 2.0), "finished"]


# ---- the end


def test_the_summary_is_over_all_steps() -> None:
    steps = [figures(step, float(step)) for step in range(1, 41)]
    summary = report.summarise(steps, about(40))
    assert (summary["first_loss"], summary["last_loss"]) == (2.5, 38.5)
    assert (summary["steps"], summary["tokens"], summary["trained_tokens"]) == (40, 36000, 12000)
    assert summary["tokens_per_s"] == pytest.approx(1800)


def test_the_page_needs_nothing_else_and_says_what_ran(tmp_path: Path) -> None:
    steps = [figures(step, 3 - step / 10) for step in range(1, 11)]
    told = about(10)
    told["config"] = told["config"] | {"model.path": "<script>alert(1)</script>"}
    summary = report.summarise(steps, told) | {"model": "out/model"}
    report.write(tmp_path, steps, told, summary)
    page = (tmp_path / "report.html").read_text()
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    assert html.escape("<script>alert(1)</script>") in page
    assert all(key in page for key in told["config"])
    assert torch.__version__ in page
    assert told["data_digest"] in page


def test_a_run_of_one_step_and_kinds_of_any_name_can_be_drawn(tmp_path: Path) -> None:
    steps = [figures(1, loss_by_kind={"$x_{": 2.0, "_hidden": 1.0})]
    labels = [line.get_label() for line in report._curves(steps).axes[1].lines]
    assert labels == [r"\$x_{", " _hidden"]
    report.write(tmp_path, steps, about(1), report.summarise(steps, about(1)) | {"model": "m"})
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert metrics.duration(seconds) == words
