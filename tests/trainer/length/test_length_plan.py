"""`dataforge length plan`: the 14B's figures by hand, laws of the arithmetic, and that every assumption is called one."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.cli import main
from dataforge.errors import InputError
from trainer.length.plan import (
    BANDWIDTH,
    EFFICIENCY,
    PAPER_BENCHMARKS,
    PAPER_CUT,
    Plan,
    Wish,
    cache_bytes,
    decode,
    kept_tokens,
    paper_case,
    plan_of,
)
from trainer.plan import ARCHITECTURES, GPUS, HEADROOM, flops_per_token

QWEN, B200 = ARCHITECTURES["qwen3-14b"], GPUS["B200"]
WISH = Wish(prompts=20_000)


@pytest.fixture(scope="module")
def found() -> Plan:
    """The 14B at 30,000 tokens in 40,960, on 8 B200."""
    return plan_of(QWEN, B200, 8, WISH)


def test_tokens_to_sample_by_hand(found: Plan) -> None:
    assert (found.cut, found.kept) == (12_000, 8_000)
    by_hand = 12_000 * 30_000 + 8_000 * kept_tokens(30_000) + 20_000 * 384
    assert found.sampling.decoded == pytest.approx(by_hand)
    # Each prompt once, and each cut run again with all that it had thought.
    assert found.sampling.read == 20_000 * 200 + 12_000 * 30_200
    seconds = found.sampling.decoded / found.decoding.rate
    seconds += found.sampling.read * flops_per_token(QWEN, [30_200]) / 3 / (0.4 * 2.25e15)
    assert found.sampling.gpu_hours == pytest.approx(seconds / 3_600)
    assert found.sampling.hours == pytest.approx(found.sampling.gpu_hours / 8)


def test_measurements_are_those_of_the_reports_benchmarks(found: Plan) -> None:
    assert [b.runs for b in PAPER_BENCHMARKS] == [1_920, 1_920, 1_584, 7_264]
    assert found.before.runs == found.after.runs == 12_688
    overlong = 1_920 * 0.282 + 1_920 * 0.259 + 1_584 * 0.182 + 7_264 * 0.6
    rest = (12_688 - overlong) * kept_tokens(30_000) + 12_688 * 384
    assert found.before.decoded == pytest.approx(overlong * (40_960 - 200 - 384) + rest)
    assert found.after.decoded == pytest.approx(overlong * 30_000 + rest)


def test_the_roofline_by_hand(found: Plan) -> None:
    # 2 (keys, values) × 2 bytes × 40 layers × 8 heads × 128.
    assert cache_bytes(QWEN) == 163_840
    d = found.decoding
    behind = d.attended * 163_840
    assert d.sequences == int((HEADROOM * 180e9 - 2 * QWEN.parameters) / behind) == 57
    step = (2 * QWEN.matmul_parameters + 57 * behind) / 8e12
    assert d.roofline == pytest.approx(57 / step)
    assert d.rate == EFFICIENCY * d.roofline
    assert (d.tensor, d.measured) == (1, False)
    assert set(BANDWIDTH) == set(GPUS)


def test_tokens_behind_a_token_are_a_mean_over_tokens() -> None:
    """By simulation: of a long law of runs, the mean of the positions of all their tokens."""
    draw = np.random.default_rng(3)
    lengths = np.exp(math.log(4_430) + 0.85 * draw.standard_normal(200_000))
    kept = lengths[lengths <= 30_000]
    assert kept_tokens(30_000) == pytest.approx(kept.mean(), rel=0.01)
    runs = np.where(draw.random(len(kept)) < 0.6, 30_000, kept)
    attended = decode(QWEN, B200, 1, replace(WISH, answer_tokens=1), kept_tokens(30_000)).attended
    assert attended == pytest.approx(200 + (runs**2).sum() / (2 * runs.sum()), rel=0.01)


def test_training_and_rows(found: Plan) -> None:
    # Half of the samples are ordinary ones; two positions of each cut one are trained.
    assert (found.tagged, found.ordinary, found.positions) == (12_000, 12_000, 24_000)
    tokens = 12_000 * 30_584 + 12_000 * found.ordinary_tokens
    assert found.trained_tokens == pytest.approx(tokens, rel=0.002)
    assert found.training.gpu_hours == pytest.approx(
        found.trained_tokens * found.training.flops_per_token / (0.4 * 2.25e15) / 3_600
    )
    # A cut sample has a row to itself and leaves room for short ones.
    assert found.tagged < found.rows < found.tagged + found.ordinary
    assert found.efficiency == pytest.approx(found.trained_tokens / (found.rows * 32_768), rel=0.001)
    assert found.layout is not None
    assert found.layout.fits


def test_disk_by_hand(found: Plan) -> None:
    text = 4 * (20_000 * 200 + found.sampling.decoded) + 20_000 * 2_000
    assert (found.text_bytes, found.trace_bytes) == pytest.approx((text, 0.4 * text))
    assert found.packed_bytes == pytest.approx(4.125 * found.trained_tokens)
    assert found.checkpoint_bytes == 12 * 14_768_307_200


def test_a_rate_that_was_measured_is_taken(found: Plan) -> None:
    given = plan_of(QWEN, B200, 8, replace(WISH, decode=found.decoding.rate / 2))
    assert given.decoding.measured
    assert given.decoding.roofline == found.decoding.roofline
    assert given.before.gpu_hours > 1.9 * found.before.gpu_hours


def test_epochs_train_again_and_pack_once(found: Plan) -> None:
    twice = plan_of(QWEN, B200, 8, replace(WISH, epochs=2))
    assert twice.trained_tokens == 2 * found.trained_tokens
    assert twice.training.gpu_hours == pytest.approx(2 * found.training.gpu_hours)
    assert (twice.rows, twice.packed_bytes) == (found.rows, found.packed_bytes)


wishes = st.builds(
    Wish,
    budget=st.integers(500, 30_000),
    wanted=st.integers(1, 30_000),
    samples=st.integers(1, 8),
    cut_share=st.floats(0.01, 1),
    share=st.floats(0, 0.9),
)


@given(wishes)
@settings(max_examples=25, deadline=None)
def test_prompts_give_as_many_cut_traces_as_are_wanted(wish: Wish) -> None:
    found = plan_of(QWEN, B200, 8, wish)
    assert wish.wanted is not None
    assert found.cut >= wish.wanted - 1
    # One prompt fewer would not have been enough.
    assert (found.prompts - 1) * wish.samples * wish.cut_share < wish.wanted
    assert found.cut + found.kept == found.prompts * wish.samples
    assert found.rows * wish.train_context * wish.epochs >= found.trained_tokens * 0.999
    assert found.gpu_hours > found.sampling.gpu_hours


@given(st.integers(1_000, 30_000), st.floats(0.05, 1))
@settings(max_examples=25, deadline=None)
def test_the_longer_the_runs_the_slower_a_gpu(budget: int, cut_share: float) -> None:
    wish = replace(WISH, budget=budget, cut_share=cut_share)
    shorter, longer = (
        decode(QWEN, B200, 1, replace(wish, budget=n), 500.0) for n in (budget, budget + 5_000)
    )
    assert longer.attended > shorter.attended
    assert longer.roofline <= shorter.roofline * 1.01
    # However many are under way, memory is read at its rate: this is what all sequences' caches alone would take.
    assert shorter.roofline < BANDWIDTH["B200"] / (shorter.attended * cache_bytes(QWEN))


@given(st.integers(1, 10**6))
def test_runs_that_end_before_the_budget_are_shorter_than_it(budget: int) -> None:
    assert 0 < kept_tokens(budget) <= budget


def test_a_model_that_no_gpu_holds_is_shared() -> None:
    wish = replace(WISH, train_context=40_960)
    large = ARCHITECTURES["llama-3.1-405b"]
    assert decode(large, B200, 8, wish, 5_000.0).tensor == 8
    with pytest.raises(InputError, match="fits on no 4 × B200") as refused:
        decode(large, B200, 4, wish, 5_000.0)
    assert refused.value.code == "L001"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompts": None}, "so many prompts, or for so many cut traces"),
        ({"wanted": 5}, "so many prompts, or for so many cut traces"),
        ({"budget": 40_500}, r"200 \+ 40,500 \+ 384 = 41,084 tokens, and the context is 40,960"),
        ({"budget": 32_500}, "a cut sample has 33,084 tokens, and a row of the packed set 32,768"),
        ({"finished_tokens": 30_000.0}, "think for 30,000 tokens, and the budget is 30,000"),
        ({"cut_share": 0.0}, "of the runs, 0 are cut"),
        ({"share": 1.0}, "of the samples, 1 are ordinary"),
    ],
)
def test_a_wish_at_odds_with_itself(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        plan_of(QWEN, B200, 8, replace(WISH, **change))
    assert refused.value.code == "L001"


def test_the_reports_own_case() -> None:
    case = paper_case(QWEN, B200, 8)
    # 10,709 of 0.6 runs a prompt; of 300,000 prompts 3.6%, of 12,000 unique ones 89%.
    assert case["at_20k"].prompts == math.ceil(PAPER_CUT / 0.6) == 17_849
    assert (round(case["share_of_prompts"], 3), round(case["share_of_unique"], 2)) == (0.036, 0.89)
    assert case["at_20k"].positions == 21_418
    assert case["all_prompts"].cut == 180_000
    assert case["all_prompts"].sampling.decoded == pytest.approx(
        180_000 * 30_000 + 120_000 * kept_tokens(30_000) + 300_000 * 384
    )
    assert case["stage_1_gpu_hours"] == 4_454


def plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["length", "plan", *arguments])
    captured = capsys.readouterr()
    return int(done.value.code or 0), captured.out, captured.err


def test_every_assumption_is_called_one(capsys: pytest.CaptureFixture[str], found: Plan) -> None:
    code, said, _ = plan(capsys, "--prompts", "20000")
    assert code == 0
    assert "on paper: nothing was measured" in said
    # Shares, lengths, rates and sizes that nobody knows before, each in a line that says so.
    for value in (
        "60% of the runs",
        f"{found.finished_tokens:,.0f} tokens",
        "384 of answer",
        f"{found.decoding.rate:,.0f} tokens/s a GPU, 50% of a roofline",
        f"of {found.ordinary_tokens:,.0f} tokens",
        "40% MFU",
        "4 bytes a token",
    ):
        assert re.search(rf"assumed: .*{re.escape(value)}", said), value
    assert f"{found.sampling.gpu_hours:,.0f} GPU-hours" in said
    _, said, _ = plan(capsys, "--prompts", "20000", "--decode", "2500")
    assert "nothing was measured but the rate of decoding" in said
    assert "2,500 tokens/s a GPU, as given" in said


def test_json_has_the_same_figures(capsys: pytest.CaptureFixture[str], found: Plan) -> None:
    code, said, _ = plan(capsys, "--prompts", "20000", "--json")
    document = json.loads(said)
    assert code == 0
    assert document["on_paper"] is True
    assert document["gpu_hours"] == found.gpu_hours
    assert document["sampling"]["decoded"] == found.sampling.decoded
    assert document["wish"]["budget"] == 30_000


def test_the_command_line_plans_for_the_reports_number_of_samples(capsys: pytest.CaptureFixture[str]) -> None:
    _, said, _ = plan(capsys, "--json")
    assert json.loads(said)["cut"] == PAPER_CUT
    _, said, _ = plan(capsys, "--paper")
    assert "17,849 prompts" in said
    code, _, err = plan(capsys, "--gpu", "abacus")
    assert (code, "error[T008]" in err) == (2, True)
