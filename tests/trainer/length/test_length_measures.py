"""What is measured of traces: each statistic against hand, brute force or simulation; each figure of a small set by hand."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.statistics import bootstrap, holm, kaplan_meier, p_value, share, student, wilson
from schemas.chat import Message
from trainer.length.degeneration import GRAMS, LOOP_WORDS, TURNS, Reference, looped_tail, repetition, words
from trainer.length.measures import (
    by_length,
    closing,
    compare,
    dial,
    edges,
    measure,
    overlong_in_context,
    overlong_in_output,
    spread,
)
from trainer.length.trace import Trace


def trace(problem: str = "p", sample: int = 0, **given: Any) -> Trace:
    """A trace that closed its thinking by itself."""
    usual: dict[str, Any] = {
        "id": f"{problem}-{sample}",
        "benchmark": "sums",
        "messages": (Message(role="user", content=f"what is {problem}?"),),
        "budget": None,
        "limit": 1_000,
        "prompt_tokens": 100,
        "thinking": "we add",
        "thinking_tokens": 50,
        "closed": True,
        "case": "finished",
        "answer": "4",
        "answer_tokens": 10,
        "ended": True,
        "expected": "4",
        "score": 1.0,
    }
    return Trace(problem=problem, sample=sample, **usual | given)


UNCLOSED: dict[str, Any] = {"closed": False, "case": "thinking", "thinking_tokens": 900, "score": 0.0}
FORCED: dict[str, Any] = {"closed": False, "case": "thinking", "thinking_tokens": 600, "budget": 600}


@pytest.mark.parametrize(
    ("given", "in_context", "in_output"),
    [
        # The tag itself must lie within the limit: 100 + 99 + 1 tokens are 200, and 99 + 1 are 100.
        ({"thinking_tokens": 99}, False, False),
        ({"thinking_tokens": 100}, True, True),
        ({"thinking_tokens": 99, "prompt_tokens": 101}, True, False),
        ({"thinking_tokens": 100, "prompt_tokens": 99}, False, True),
        # It never came, however short the run was cut.
        ({**UNCLOSED, "thinking_tokens": 20}, True, True),
        # It was appended from outside.
        ({**FORCED, "thinking_tokens": 60}, False, False),
        ({**FORCED, "thinking_tokens": 100}, True, True),
        # The turn ended inside its thinking; and there was none.
        ({"closed": False}, True, True),
        ({"thinking": "", "thinking_tokens": 0, "prompt_tokens": 500}, False, False),
        ({"thinking": "", "thinking_tokens": 0, "closed": False}, False, False),
    ],
)
def test_overlong_by_both_definitions(given: dict[str, Any], in_context: bool, in_output: bool) -> None:
    assert overlong_in_context(trace(**given), 200) is in_context
    assert overlong_in_output(trace(**given), 100) is in_output


# ── survival ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_survival_by_hand() -> None:
    """Six runs: of those under way, 1 of 6 ends at 1, 2 of 4 at 3, and 1 of 1 at 5; those cut off at 2 and 4 do not."""
    curve = kaplan_meier([1, 2, 3, 3, 4, 5], [True, False, True, True, False, True])
    assert curve.at == (1, 3, 5)
    assert curve.share == pytest.approx((5 / 6, 5 / 6 * 2 / 4, 0.0))
    assert [curve.beyond(n) for n in (0, 1, 2, 3)] == pytest.approx([1, 5 / 6, 5 / 6, 5 / 12])


def redistributed(runs: Sequence[tuple[int, bool]]) -> dict[int, Fraction]:
    """Efron (1967): each run has the same mass; that of one that was cut off goes to those that last longer, evenly."""
    # At one length, those that end come before those that are cut off.
    order = sorted(runs, key=lambda run: (run[0], not run[1]))
    mass = [Fraction(1, len(order))] * len(order)
    for at, (_, ended) in enumerate(order):
        if not ended and (later := len(order) - at - 1):
            for other in range(at + 1, len(order)):
                mass[other] += mass[at] / later
            mass[at] = Fraction(0)
    ends: dict[int, Fraction] = {}
    for (length, ended), m in zip(order, mass, strict=True):
        if ended:
            ends[length] = ends.get(length, Fraction(0)) + m
    return ends


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=14))
def test_survival_is_mass_given_to_those_that_last_longer(runs: list[tuple[int, bool]]) -> None:
    curve = kaplan_meier([n for n, _ in runs], [ended for _, ended in runs])
    ends = redistributed(runs)
    assert curve.at == tuple(sorted(ends))
    for length in range(14):
        left = 1 - sum((m for n, m in ends.items() if n <= length), Fraction(0))
        assert curve.beyond(length) == pytest.approx(float(left), abs=1e-12)


# ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_wilson_by_hand() -> None:
    # Wilson (1927): at 0 of n the bound is z² / (n + z²).
    assert wilson(0.0, 30).high == pytest.approx(3.841459 / 33.841459, abs=1e-6)
    assert wilson(0.0, 30).low == 0.0
    found = wilson(0.5, 10)
    assert (found.low, found.high) == pytest.approx((0.236593, 0.763407), abs=1e-6)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423)]
)
def test_students_quantiles(degrees: int, quantile: float) -> None:
    assert student(degrees) == pytest.approx(quantile, rel=0.003)


def test_a_clustered_interval_is_wider_than_that_of_as_many_single_runs() -> None:
    alike = {("b", str(n)): [float(n < 8)] * 16 for n in range(20)}
    single = {("b", str(n)): [float(n < 128)] for n in range(320)}
    assert share(alike).value == share(single).value == 0.4
    assert share(alike).high - share(alike).low > 3 * (share(single).high - share(single).low)
    # 16 equal runs of a problem say no more than one of it.
    once = {problem: runs[:1] for problem, runs in alike.items()}
    assert share(alike) == share(once)


@pytest.mark.parametrize(
    ("problems", "runs", "rate", "spread_of_problems"),
    [(30, 1, 0.3, 0.0), (30, 8, 0.3, 0.25), (12, 4, 0.6, 0.3), (200, 1, 0.01, 0.0), (60, 16, 0.04, 0.03)],
)
def test_intervals_of_rates_cover(problems: int, runs: int, rate: float, spread_of_problems: float) -> None:
    """In 400 draws of benchmarks, 95% of the intervals hold the rate of the population: at most 4 standard errors fewer."""
    draw = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        # Half of the problems are harder, half easier, so that runs of one problem are alike.
        sign = draw.integers(2, size=problems) * 2 - 1
        hits = draw.random((problems, runs)) < (rate + sign * spread_of_problems)[:, None]
        found = share({("b", f"{n:03}"): row.astype(float).tolist() for n, row in enumerate(hits)})
        covered += found.low <= rate <= found.high
    assert covered / 400 > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize(("problems", "least"), [(8, 0.85), (40, 0.91)])
def test_intervals_of_differences_cover(problems: int, least: float) -> None:
    """Of a lopsided law; with few problems less often than they say, as the docstring has it."""
    draw = np.random.default_rng(11)
    covered = 0
    for seed in range(200):
        found = bootstrap(draw.choice([-1.0, 0.0, 0.5], size=problems, p=[0.2, 0.5, 0.3]), seed)
        covered += found.low <= -0.05 <= found.high
    assert covered / 200 >= least


def test_where_no_problem_differs_each_counts_as_one_run() -> None:
    # The mean of three tenths is more than a tenth, by rounding.
    found = share({("b", str(n)): [1.0, *[0.0] * 9] for n in range(3)})
    assert (found.low, found.high) == pytest.approx((wilson(0.1, 3).low, wilson(0.1, 3).high))


def test_of_one_problem_nothing_is_known() -> None:
    assert (share({("b", "1"): [1.0, 1.0]}).low, share({("b", "1"): [1.0, 1.0]}).high) == (0.0, 1.0)
    assert bootstrap(np.array([3.0]), 0).low == -math.inf


def test_a_bootstrap_is_its_seed() -> None:
    each = np.random.default_rng(0).random(50)
    assert bootstrap(each, 3) == bootstrap(each.copy(), 3)
    assert bootstrap(each, 3) != bootstrap(each, 4)


# ── tests ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def scores(*means: float, runs: int = 1) -> dict[tuple[str, str], list[float]]:
    return {
        ("b", f"{n:03}"): [1.0] * round(m * runs) + [0.0] * (runs - round(m * runs))
        for n, m in enumerate(means)
    }


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_with_one_run_a_problem_it_is_mcnemars_exact_test(pairs: list[tuple[bool, bool]]) -> None:
    lost = sum(a and not b for a, b in pairs)
    won = sum(b and not a for a, b in pairs)
    tail = sum(math.comb(lost + won, k) for k in range(min(lost, won) + 1)) / 2 ** (lost + won)
    found = p_value(scores(*(a for a, _ in pairs)), scores(*(b for _, b in pairs)), 0)
    assert found == pytest.approx(min(1.0, 2 * tail))


def by_all_signs(differences: Sequence[float]) -> float:
    seen = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return sum(total >= seen - 1e-9 for total in sums) / len(sums)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=7))
@settings(max_examples=40)
def test_with_several_runs_every_sign_pattern_is_counted(pairs: list[tuple[int, int]]) -> None:
    before, after = (scores(*(pair[side] / 4 for pair in pairs), runs=4) for side in (0, 1))
    found = p_value(before, after, 0)
    assert found == pytest.approx(by_all_signs([(b - a) / 4 for a, b in pairs]))


def test_where_scores_are_no_fractions_signs_are_drawn() -> None:
    draw = np.random.default_rng(5)
    before = {("b", str(n)): [value] for n, value in enumerate(draw.random(10))}
    after = {problem: [value[0] + 0.15 * draw.standard_normal() + 0.05] for problem, value in before.items()}
    exact = by_all_signs([after[p][0] - before[p][0] for p in before])
    found = p_value(before, after, 0)
    assert 0.01 < exact < 0.99
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)
    assert found == p_value(before, after, 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


# ── loops and salad ──────────────────────────────────────────────────────────────────────────────────────────────────

WHO = ["the sum", "the product", "this case", "every factor", "the number", "our guess", "the last digit"]
DOES = ["is", "must be", "divides", "equals", "leaves", "cannot be"]
WHAT = ["an even number", "an odd number", "the product", "a prime", "the remainder of the sum", "zero again"]
SO = [
    "so we go on",
    "and that helps",
    "but let us check it",
    "which is what we need",
    "so the case is closed",
]


def sentence(draw: random.Random) -> str:
    return f"{draw.choice(WHO)} {draw.choice(DOES)} {draw.choice(WHAT)}, {draw.choice(SO)}."


def good(seed: int, sentences: int = 60) -> str:
    draw = random.Random(seed)
    return " ".join(sentence(draw) for _ in range(sentences))


def shuffled(text: str) -> str:
    found = text.split()
    random.Random(1).shuffle(found)
    return " ".join(found)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference((seed, good(seed)) for seed in range(40))


def test_loops_and_salad_are_told_from_good_text_and_from_each_other(reference: Reference) -> None:
    fine, salad = good(100), shuffled(good(100))
    loop = good(101, 20) + " the sum is zero again, but let us check it." * 30
    draw = random.Random(0)
    foreign = " ".join("".join(chr(draw.randrange(0x430, 0x450)) for _ in range(6)) for _ in range(300))
    texts = {"fine": fine, "salad": salad, "loop": loop, "foreign": foreign}
    hangs = {name: repetition(text).loop > 0 for name, text in texts.items()}
    assert hangs == {"fine": False, "salad": False, "loop": True, "foreign": False}
    strange = {name: reference.strange("new", words(text)) or 0.0 for name, text in texts.items()}
    assert strange["fine"] < 0.2
    assert strange["loop"] < 0.2
    assert strange["salad"] == strange["foreign"] == 1.0
    assert repetition(loop).repeated[16] > 0.5 > repetition(fine).repeated[16]
    assert (
        repetition(loop).compressed < 0.8 * repetition(fine).compressed < 0.8 * repetition(salad).compressed
    )


def test_salad_at_the_end_counts_for_as_much_as_there_is_of_it(reference: Reference) -> None:
    half = good(200) + " " + shuffled(good(201))
    assert reference.strange("new", words(half)) == pytest.approx(0.5, abs=0.15)


def test_of_what_the_reference_holds_one_stretch_in_a_hundred_is_strange(reference: Reference) -> None:
    found = [reference.strange(seed, words(good(seed))) for seed in range(40)]
    assert np.mean([share for share in found if share is not None]) == pytest.approx(0.01, abs=0.005)


def test_no_text_is_held_against_its_own_problem() -> None:
    """A text that repeats what its own problem said, and nobody else, is as strange as if that had never been said."""
    odd = "zut alors " * 65
    with_it = Reference([*((seed, good(seed)) for seed in range(40)), ("odd", odd)])
    assert with_it.strange("odd", words(odd)) == 1.0
    assert with_it.strange("another", words(odd)) == 0.0


def test_too_little_text_is_no_reference() -> None:
    assert Reference([(1, good(1)), (2, good(2))]).strange("new", words(shuffled(good(3)))) is None
    assert Reference([]).strange("new", words(good(1))) is None
    # All of one problem: nothing is left to hold it against.
    assert Reference((1, good(seed)) for seed in range(40)).threshold is None


def test_a_text_of_less_than_a_stretch_is_not_judged(reference: Reference) -> None:
    assert reference.strange("new", words("zero zero odd the the")) is None
    assert reference.strange("new", words("")) is None


def longest_tail(ids: Sequence[int]) -> int:
    """By its definition: the longest end that agrees with itself p further on, and holds p at least `TURNS` times."""
    n = len(ids)
    found = [
        length
        for p in range(1, n)
        for length in range(TURNS * p, n + 1)
        if all(ids[i] == ids[i - p] for i in range(n - length + p, n))
    ]
    longest = max(found, default=0)
    return longest if longest >= LOOP_WORDS else 0


@given(
    st.lists(st.integers(0, 2), max_size=12),
    st.lists(st.integers(0, 2), min_size=1, max_size=9),
    st.integers(0, 9),
    st.integers(0, 8),
)
@settings(max_examples=60)
def test_a_loop_is_the_longest_end_that_repeats(
    head: list[int], turn: list[int], times: int, more: int
) -> None:
    ids = head + turn * times + turn[:more]
    assert looped_tail(ids) == longest_tail(ids)


def test_three_turns_are_a_loop_and_nearly_three_are_none() -> None:
    passage = [1, 2, 3, 4, 5, 6, 7, 8]
    assert looped_tail([9, *passage * 3]) == 24
    assert looped_tail([9, *passage * 2, *passage[:7]]) == 0
    assert looped_tail([9, *passage[:7] * 3]) == 0


@given(st.lists(st.sampled_from("abc"), max_size=60))
@settings(max_examples=40)
def test_repeated_runs_of_words_are_those_that_were_there_before(letters: list[str]) -> None:
    found = repetition(" ".join(letters)).repeated
    for n in GRAMS:
        grams = Counter(tuple(letters[i : i + n]) for i in range(len(letters) - n + 1))
        again = sum(grams.values()) - len(grams)
        assert found[n] == pytest.approx(again / sum(grams.values()) if grams else 0.0)


def test_words_of_scripts_without_spaces_are_their_characters() -> None:
    assert words("So x=12, 再び確認") == ["so", "x", "=", "12", ",", "再", "び", "確", "認"]


# ── measures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

BEFORE = [
    trace("1", 0, thinking_tokens=50),
    trace("1", 1, thinking_tokens=90, score=0.0),
    trace("2", 0, **UNCLOSED, answer_tokens=0, ended=False),
    trace("2", 1, thinking_tokens=300),
    trace("3", 0, thinking_tokens=700),
    trace("3", 1, thinking_tokens=110),
]
AFTER = [
    trace("1", 0, thinking_tokens=40),
    trace("1", 1, thinking_tokens=60, score=0.0),
    trace("2", 0, thinking_tokens=199),
    trace("2", 1, thinking_tokens=198, score=0.0),
    trace("3", 0, thinking_tokens=201),
    trace("3", 1, thinking_tokens=100, score=0.0),
]


def test_every_figure_of_a_small_set_by_hand() -> None:
    found = measure(BEFORE, context=1_000, output=500, budget=200)
    assert (found["problems"], found["runs"], found["runs_a_problem"]) == (3, 6, [2, 2])
    # By problem: 1/2, 1/2 and 2/2.
    assert found["score"]["value"] == pytest.approx(2 / 3)
    assert found["overlong_context"]["value"] == pytest.approx(1 / 6)
    # 900 and 700 tokens of thinking are more than 500 of output.
    assert found["overlong_output"]["value"] == pytest.approx(2 / 6)
    assert found["endings"] == {"closed": 5, "forced": 0, "limit": 1, "stopped": 0, "none": 0}
    assert found["answers_ended"]["value"] == pytest.approx(5 / 6)
    assert found["thinking"] == {
        "mean": pytest.approx(2_150 / 6),
        "median": 110,
        "p90": 900,
        "p95": 900,
        "p99": 900,
        "max": 900,
        "cut_off": 1,
        "at_least": ["mean", "p90", "p95", "p99", "max"],
    }
    assert found["survival"]["at"] == (50, 90, 110, 300, 700)
    assert found["survival"]["share"] == pytest.approx((5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6))
    assert found["survival"]["longest"] == 900
    # 60 and 100 tokens; 900 and 310; 710 and 120.
    assert found["tokens"]["value"] == pytest.approx((80 + 605 + 415) / 3)
    assert found["tokens"]["total"] == 2_200
    assert found["score_per_1000_tokens"] == pytest.approx(1_000 * (2 / 3) / (1_100 / 3))
    assert [
        found["closing"][name]["value"] for name in ("early", "nearly", "at_budget", "beyond", "not_closed")
    ] == (pytest.approx([3 / 6, 0, 0, 2 / 6, 1 / 6]))
    assert found["degeneration"]["loops"]["value"] == 0.0
    assert found["degeneration"]["strange"] is None


def test_two_arms_by_hand() -> None:
    found = compare(BEFORE, AFTER, context=1_000, output=500)
    score = found["score"]
    assert (score["before"], score["after"]) == pytest.approx((2 / 3, 1 / 2))
    assert score["relative"] == pytest.approx(-0.25)
    # Differences of 0, 0 and -1/2: both signs of one are as far off.
    assert (score["difference"]["value"], score["p"]) == pytest.approx((-1 / 6, 1.0))
    assert found["overlong_context"]["relative"] == pytest.approx(-1.0)
    # Problem 2 had a run that did not finish: what is left went from 3/4 to 1/2.
    kept = found["score_where_finished"]
    assert (kept["problems"], kept["before"], kept["after"]) == (2, pytest.approx(0.75), pytest.approx(0.5))
    assert kept["relative"] == pytest.approx(-1 / 3)
    tokens = found["tokens"]
    assert tokens["after"] == pytest.approx((60 + 208.5 + 160.5) / 3)
    assert tokens["saved"] == pytest.approx(2_200 - 858)


def test_relative_to_nothing_is_nothing() -> None:
    same = compare(AFTER, AFTER, context=1_000, output=500)
    assert same["overlong_context"]["relative"] is None
    assert same["overlong_context"]["p"] == 1.0


def test_problems_without_a_reference_answer_count_in_no_score() -> None:
    unscored = [trace("1", score=None, thinking_tokens=400), trace("2")]
    found = measure(unscored, context=1_000, output=500, budget=None)
    assert found["score"]["value"] == 1.0
    assert found["score_per_1000_tokens"] == pytest.approx(1_000 / 60)
    assert measure(unscored[:1], context=1_000, output=500, budget=None)["score"] is None
    assert compare(unscored[:1], unscored[:1], context=1_000, output=500)["score"] is None


def test_closed_from_outside_is_not_closed_at_the_budget_and_cut_off_for_survival() -> None:
    found = measure(
        [trace("1", **FORCED), trace("2", thinking_tokens=600)], context=1_000, output=900, budget=600
    )
    assert found["closing"]["at_budget"]["value"] == found["closing"]["not_closed"]["value"] == 0.5
    assert found["survival"]["share"] == pytest.approx((0.5,))
    assert found["overlong_context"]["value"] == 0.0


def test_a_policy_that_stops_thinking_does_not_vanish_from_the_lengths() -> None:
    silent = [trace(str(n), thinking="", thinking_tokens=0) for n in range(3)] + [
        trace("3", thinking_tokens=100)
    ]
    found = measure(silent, context=1_000, output=500, budget=100)
    assert found["endings"]["none"] == 3
    assert found["thinking"]["mean"] == 25
    assert (found["closing"]["none"]["value"], found["closing"]["early"]["value"]) == (0.75, 0.0)


@given(st.lists(st.tuples(st.integers(0, 120), st.booleans()), min_size=1, max_size=20), st.integers(1, 100))
@settings(max_examples=40)
def test_places_of_closing_make_up_all_runs(runs: list[tuple[int, bool]], budget: int) -> None:
    case = {True: "finished", False: "thinking"}
    traces = [
        trace(str(n), thinking_tokens=length, closed=closed, case=case[closed])
        for n, (length, closed) in enumerate(runs)
    ]
    found = closing(traces, budget)
    assert sum(each["value"] for each in found.values()) == pytest.approx(1.0)
    at = sum(closed and abs(length - budget) <= budget / 100 for length, closed in runs)
    assert found["at_budget"]["value"] == pytest.approx(at / len(runs))


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=40)
def test_a_length_is_at_least_so_long_only_if_a_cut_run_could_reach_it(runs: list[tuple[int, bool]]) -> None:
    """Whatever the true lengths of cut runs are, figures that are not marked stay."""
    lengths, ended = [n for n, _ in runs], [whole for _, whole in runs]
    found = spread(lengths, ended)
    longer = spread([n if whole else n + 1_000 for n, whole in runs], [True] * len(runs))
    for name in ("mean", "median", "p90", "p95", "p99", "max"):
        assert longer[name] == found[name] or name in found["at_least"]
        assert longer[name] >= found[name]


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=20), min_size=2, max_size=3))
@settings(max_examples=40)
def test_every_run_is_in_one_bin_and_bins_are_common(arms: list[list[int]]) -> None:
    traces = [[trace(str(n), thinking_tokens=length) for n, length in enumerate(arm)] for arm in arms]
    between = edges(itertools.chain.from_iterable(traces))
    tables = [by_length(each, between) for each in traces]
    for arm, bins in zip(arms, tables, strict=True):
        assert sum(each["runs"] for each in bins) == len(arm)
        for each in bins:
            high = math.inf if each["to"] is None else each["to"]
            assert each["runs"] == sum(each["from"] <= length < high for length in arm)
    assert all(
        [(b["from"], b["to"]) for b in bins] == [(b["from"], b["to"]) for b in tables[0]] for bins in tables
    )


def test_where_the_places_of_closing_meet() -> None:
    lengths = (189, 190, 197, 198, 202, 203)
    found = closing([trace(str(n), thinking_tokens=length) for n, length in enumerate(lengths)], 200)
    by_hand = {"early": 1, "nearly": 2, "at_budget": 2, "beyond": 1, "not_closed": 0, "none": 0}
    assert {name: each["value"] for name, each in found.items()} == pytest.approx(
        {name: n / 6 for name, n in by_hand.items()}
    )


def test_the_dial_by_hand() -> None:
    got = {100: (99, 101, 100, 90, 80), 200: (200, 195, 150, 230, 205)}
    traces = [
        trace(str(n), asked=asked, thinking_tokens=length)
        for asked, lengths in got.items()
        for n, length in enumerate(lengths)
    ]
    found = dial(traces)
    assert found is not None
    low, high = found["steps"]
    assert (low["asked"], low["median"], low["p10"], low["p90"]) == (100, 99, 80, 101)
    assert (low["within_1"], low["within_10"], low["over"]) == pytest.approx((3 / 5, 4 / 5, 0.0))
    assert (high["within_1"], high["within_10"], high["over"]) == pytest.approx((1 / 5, 3 / 5, 2 / 5))
    assert found["monotone"] is True
    back = dial([trace("1", asked=100, thinking_tokens=90), trace("2", asked=200, thinking_tokens=90)])
    assert back is not None
    assert back["monotone"] is False
    assert dial([trace("1")]) is None
