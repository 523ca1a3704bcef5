"""The experiment: its task, its sampler, and all of it on a minute model, through SIGKILL."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.config import DataConfig
from trainer.conversations import conversation
from trainer.length import experiment, results, task
from trainer.length.demo import demo
from trainer.length.sampler import LocalPolicy, draw
from trainer.length.trace import read_traces
from trainer.masks import Renderer
from trainer.packed import PackedSet
from trainer.samples import Notes
from trainer.tiny import tiny_model

ROOT = Path(__file__).parents[3]
TOKENIZER = task.tokenizer()


@st.composite
def thoughts(draw: st.DrawFn) -> tuple[task.Problem, list[str], str]:
    rng = random.Random(draw(st.integers(0, 10**9)))
    size = draw(st.integers(1, 18))
    made = task.problem(rng, size, draw(st.integers(0, size)))
    words = None
    while words is None:
        words = task.thinking(rng, made, draw(st.sampled_from([0.0, 0.3])), 500)
    said = task.chatter(rng, 20) if draw(st.booleans()) else ""
    return made, words, said


@given(thoughts())
def test_every_word_is_a_token_and_a_row_trains_what_was_thought(
    thought: tuple[task.Problem, list[str], str],
) -> None:
    made, words, said = thought
    row = task.row("a", made.prompt + said, words, made.answer)
    assert TOKENIZER.tokenize("".join(words)) == words
    (sample,) = Renderer(TOKENIZER).samples(conversation(row, "a"), Notes())
    trained = TOKENIZER.convert_ids_to_tokens(sample.tokens[sample.trained].tolist())
    assert trained == [*words, "</think>", made.answer, "<|end|>"]


@given(thoughts())
def test_thinking_says_the_sum_before_it_checks_and_ends_at_a_check_without_doubt(
    thought: tuple[task.Problem, list[str], str],
) -> None:
    made, words, _ = thought
    total = sum(int(entry[1]) for entry in made.entries) % task.BASE
    first, checks = words[: 3 * len(made.entries)], words[3 * len(made.entries) :]
    assert first[::3] == list(made.entries)
    assert checks[0] == f"={total}"
    assert made.answer == str(total)
    assert checks[-len(made.entries) - 1 :] == [*made.entries, task.OK]
    doubted = [before for before, word in pairwise(checks) if word == task.WAIT]
    assert all(entry[0] in task.DOUBTFUL for entry in doubted)
    restated = [after for word, after in pairwise(checks) if word == task.WAIT]
    assert restated == [f"={total}"] * len(restated)


def model(**changes: Any) -> Any:
    return tiny_model(
        vocab_size=len(TOKENIZER),
        bos_token_id=None,
        eos_token_id=TOKENIZER.eos_token_id,
        pad_token_id=0,
        **changes,
    )


def test_what_is_drawn_in_a_batch_is_what_each_would_get_alone() -> None:
    lm, end = model(), TOKENIZER.eos_token_id
    prompts = [[1, 20, 30], [1, 40], [1, 25, 35, 45, 55, 2], [1]]
    most = [9, 3, 12, 0]
    found = draw(lm, prompts, most, end, temperature=0, seed=0)
    for prompt, limit, got in zip(prompts, most, found, strict=True):
        alone = list(prompt)
        while len(alone) - len(prompt) < limit and alone[-1] != end:
            alone.append(int(lm(input_ids=torch.tensor([alone])).logits[0, -1].argmax()))
        assert got == alone[len(prompt) :]


def test_drawing_ends_with_the_turn_and_leaves_out_what_it_must_not_draw() -> None:
    lm, end = model(), TOKENIZER.eos_token_id
    allowed = {end, 50, 60}
    never = [token for token in range(len(TOKENIZER)) if token not in allowed]
    found = draw(lm, [[1, 20]] * 40, [30] * 40, end, never=never, temperature=1, seed=3)
    assert set().union(*found) <= allowed
    assert all(end not in ids[:-1] for ids in found)
    assert all(len(ids) == 30 or ids[-1] == end for ids in found)
    assert found == draw(lm, [[1, 20]] * 40, [30] * 40, end, never=never, temperature=1, seed=3)


def test_all_who_wait_are_drawn_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model()
    lm.save_pretrained(tmp_path)
    policy = LocalPolicy(tmp_path, lm, Renderer(TOKENIZER, data=DataConfig(context=64)))
    batches: list[int] = []

    def counted(lm: Any, prompts: Any, *args: Any, **kwargs: Any) -> Any:
        batches.append(len(prompts))
        return draw(lm, prompts, *args, **kwargs)

    monkeypatch.setattr("trainer.length.sampler.draw", counted)

    async def ask() -> Any:
        asked = [Message(role="user", content=f"A{digit}") for digit in range(5)]
        first = [policy.think([each], tokens=4, sample=0) for each in asked]
        return await asyncio.gather(*first, policy.go_on([1, 20], tokens=2, sample=0))

    drafts = asyncio.run(ask())
    assert batches == [6]
    assert all(draft.prompt_tokens == 4 for draft in drafts[:5])
    assert all(0 < draft.tokens <= 4 for draft in drafts)


MINUTE = replace(
    experiment.full(),
    seeds=(0,),
    context=48,
    row=64,
    rows=600,
    sizes=(2, 4),
    chatter=8,
    thinking=24,
    hard=(3, 5),
    doubtful=(0, 1),
    steps=120,
    batch=8,
    loose=20,
    tight=12,
    sampled=(60, 40),
    tested=30,
    exam=5,
    share=0.5,
    arms=(*((arm, 20) for arm in experiment.STRATEGIES), ("tag", 12), ("control", 12)),
    tune_steps=4,
    tune_batch=8,
    shape=(
        ("hidden_size", 32),
        ("intermediate_size", 64),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 2),
        ("num_key_value_heads", 2),
        ("head_dim", 16),
    ),
)
"""Every job of the experiment, on a model that has hardly learnt to think."""

SCRIPT = """
import sys
from itertools import pairwise
from pathlib import Path
from dataforge.errors import DataForgeError
from tests.trainer.length.test_length_demo import MINUTE
from trainer.length.demo import demo
if __name__ == "__main__":
    try:
        demo(MINUTE, Path(sys.argv[1]), processes=1, tell=lambda line: print(line, flush=True))
    except DataForgeError as error:
        print(error)
        sys.exit(error.exit_code)
"""


class Run:
    """The experiment in a process of its own."""

    def __init__(self, out: Path) -> None:
        script = out.with_suffix(".py")
        script.write_text(SCRIPT)
        self._process = subprocess.Popen(
            [sys.executable, script, out, json.dumps(asdict(MINUTE))],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self, number: int | None = None) -> tuple[int, str]:
        """Exit code and output, after a signal where one is given."""
        if number is not None:
            self._process.send_signal(number)
        said, _ = self._process.communicate(timeout=300)
        return self._process.returncode, said


def until(there: Path) -> None:
    end = time.monotonic() + 300
    while not there.exists():
        assert time.monotonic() < end, f"{there} never came"
        time.sleep(0.01)


@dataclass(frozen=True)
class Whole:
    """A folder with the whole experiment, how its three starts ended, and when jobs were done that the second one did."""

    out: Path
    ends: tuple[tuple[int, str], ...]
    before: dict[str, int]


def done(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in out.rglob(experiment.DONE)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The experiment, stopped while stage 1 trains, killed while an arm does, and started a third time."""
    out = tmp_path_factory.mktemp("demo") / "out"
    first = Run(out)
    until(out / "seed-0" / "stage-1" / "metrics.jsonl")
    stopped = first.ended(signal.SIGTERM)
    assert "stage-1" not in done(out), stopped
    second = Run(out)
    until(out / "seed-0" / "tag-20" / "tuned" / "metrics.jsonl")
    killed = second.ended(signal.SIGKILL)
    before = done(out)
    return Whole(out, (stopped, killed, Run(out).ended()), before)


@pytest.mark.slow
def test_a_run_that_was_stopped_and_killed_goes_on_without_doing_a_job_twice(whole: Whole) -> None:
    (stopped, said), (killed, _), (ended, rest) = whole.ends
    assert (stopped, killed, ended) == (3, -signal.SIGKILL, 0), (said, rest)
    assert list((whole.out / "seed-0" / "stage-1" / "checkpoints").glob("step-*"))
    after = done(whole.out)
    assert {"rows", "stage-1", "sampled-20"} <= whole.before.keys()
    assert "tag-20" not in whole.before
    assert {name: after[name] for name in whole.before} == whole.before
    assert after.keys() == {Path(job.name).name for job in experiment.jobs(MINUTE)}


@pytest.mark.slow
def test_every_arm_is_in_every_table_and_the_papers_figures_beside_them(whole: Whole) -> None:
    found = json.loads((whole.out / "demo.json").read_bytes())
    names = {f"{arm} {budget}" for arm, budget in MINUTE.arms}
    names |= {"stage 1", "forced 1", "forced 20", "forced 12"}
    assert found["arms"].keys() == names
    page = (whole.out / "demo.html").read_text()
    text = "\n".join(results.lines(results.document(MINUTE, whole.out), MINUTE))
    for name in names:
        assert f"<th>{name}</th>" in page
        assert f"\n  {name} " in text
    for told in ("Hermes 4: AIME&#x27;25", "-3.9%", "49.6 / 44.3"):
        assert told in page
    assert (whole.out / "demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("budget", [20, 12])
def test_tag_trains_two_positions_a_trace_and_thinking_has_exactly_the_budget(
    whole: Whole, budget: int
) -> None:
    at = whole.out / "seed-0"
    cut = [trace for trace in read_traces(at / f"sampled-{budget}") if trace.trainable]
    assert cut
    assert {trace.thinking_tokens for trace in cut if trace.case == "thinking"} == {budget}
    told = PackedSet(at / f"tag-{budget}" / "tuned" / "packed").manifest["by_kind"]["final-tag"]
    assert told["samples"] == len(cut)
    assert told["trained"] == 2 * len(cut)


@pytest.mark.slow
def test_the_control_sees_the_ordinary_rows_of_the_arm_and_nothing_else(whole: Whole) -> None:
    at = whole.out / "seed-0"
    mixed = (at / "tag-20" / "tuned" / "rows" / "data" / "train-00000-of-00001.jsonl").read_text()
    rows = [json.loads(line) for line in mixed.splitlines()]
    alone = [
        json.loads(line) for line in (at / "control-20" / "tuned" / "rows.jsonl").read_text().splitlines()
    ]
    assert alone == [row for row in rows if "mask" not in row]
    assert 0 < len(alone) < len(rows)
    steps = [
        json.loads((at / arm / "done.json").read_bytes())["result"]["steps"]
        for arm in ("tag-20", "control-20")
    ]
    assert steps == [MINUTE.tune_steps] * 2


@pytest.mark.slow
def test_all_arms_of_a_budget_see_the_same_rows_but_for_their_masks(whole: Whole) -> None:
    at = whole.out / "seed-0"
    seen = [
        [
            {name: value for name, value in json.loads(line).items() if name != "mask"}
            for line in (at / f"{arm}-20" / "tuned" / "rows" / "data" / "train-00000-of-00001.jsonl")
            .read_text()
            .splitlines()
        ]
        for arm in ("tag", "standard", "answer")
    ]
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.slow
def test_another_design_is_refused_and_changes_nothing(whole: Whole) -> None:
    with pytest.raises(InputError) as caught:
        demo(replace(MINUTE, tune_steps=5), whole.out)
    assert caught.value.code == "L007"


# Overlong, score, score where stage 1 finished.
AS_IN_THE_REPORT: dict[str, tuple[float, float, float]] = {
    "stage 1": (30, 60, 90),
    "forced 1": (0, 20, 20),
    "tag 92": (0.1, 60, 90),
    "standard 92": (31, 60, 90),
    "control 92": (12, 80, 90),
    "tag 27": (6, 30, 30),
    "control 27": (20, 60, 60),
}


def came_out(arms: dict[str, tuple[float, float, float]]) -> list[bool]:
    names = ("overlong", "score", "score where stage 1 finished")
    told: dict[str, Any] = {
        name: {"mean": dict(zip(names, figures, strict=True))} for name, figures in arms.items()
    }
    return [met for _, _, met in results._claims(told, experiment.quick())]


def test_what_came_out_as_in_the_report_is_said() -> None:
    assert all(came_out(AS_IN_THE_REPORT))


@pytest.mark.parametrize(
    ("arm", "figures", "fails"),
    [
        ("stage 1", (19, 60, 90), {0, 8}),
        ("forced 1", (0, 31, 20), {1}),
        ("tag 92", (0.4, 60, 90), {2}),
        ("tag 92", (0.1, 57, 90), {2}),
        ("tag 92", (0.1, 60, 86), {3}),
        ("standard 92", (0.3, 60, 90), {4, 5}),
        ("standard 92", (29, 60, 90), {5}),
        ("tag 27", (16, 30, 30), {6}),
        ("tag 27", (6, 59, 30), {6}),
        ("control 92", (0.05, 80, 90), {7}),
        ("control 92", (30, 80, 90), {7}),
        ("control 27", (5, 60, 60), {8}),
    ],
)
def test_what_does_not_come_out_is_said(
    arm: str, figures: tuple[float, float, float], fails: set[int]
) -> None:
    met = came_out(AS_IN_THE_REPORT | {arm: figures})
    assert {at for at, each in enumerate(met) if not each} == fails
