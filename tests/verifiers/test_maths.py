"""Laws and stories of the verifier `maths`: equal forms pass, what misses by one thing fails, and nothing is guessed."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge import verifiers
from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.checking import judge_here
from dataforge.verifiers.mathematics import notation, numerals, reading, units
from dataforge.verifiers.mathematics.problems import ASKED
from schemas.task import Task

GOLD = Path(verifiers.__file__).parent / "gold" / "maths.jsonl"
MATHS = find("maths")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def judged(text: str, answer: str | list[str], /, **facts: Any) -> Verdict:
    return judge_here(MATHS, Task(prompt="?", facts={"answer": answer, **facts}), Response(text))


def right(text: str, answer: str | list[str], /, **facts: Any) -> bool:
    verdict = judged(text, answer, **facts)
    assert verdict.outcome != "error", verdict.reason
    return verdict.passed


# ---- the audit's laws


@pytest.mark.parametrize("line", GOLD.read_text().splitlines(), ids=lambda line: json.loads(line)["note"])
def test_every_gold_case_is_judged_rightly(line: str) -> None:
    case = Case.from_json(json.loads(line))
    verdict = judge_here(MATHS, case.task, case.response)
    assert (verdict.passed, verdict.error) == (case.passes, case.error), verdict


def test_the_gold_set_is_large_enough() -> None:
    cases = [json.loads(line) for line in GOLD.read_text().splitlines()]
    assert sum(case["passes"] for case in cases) >= 20
    assert sum(not case["passes"] for case in cases) >= 20
    assert len({case["note"] for case in cases}) == len(cases)


@quick
@given(st.randoms(use_true_random=False))
def test_generated_positives_pass_and_mutants_fail(rng: random.Random) -> None:
    for case in itertools.islice(MATHS.cases(rng), 20):
        verdict = judge_here(MATHS, case.task, case.response)
        assert verdict.passed == case.passes, (case, verdict)
        assert verdict.outcome != "error", (case, verdict)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=200), st.sampled_from(["5", "x^2 + 1", "(1, 2)", "[1, 2)", "\\{1, 2\\}", "yes", "5 km"])
)
def test_no_text_raises_and_spans_index_it(text: str, answer: str) -> None:
    for said in (text, f"\\boxed{{{text}}}", f"The answer is {text}", f"<think>{text}</think>{text}"):
        verdict = judge_here(MATHS, Task(prompt="?", facts={"answer": answer}), Response(said))
        assert verdict.outcome in ("passed", "failed", "unparsed"), verdict
        for candidate in verdict.candidates:
            assert candidate.span is not None
            assert said[slice(*candidate.span)] == candidate.text


# ---- tasks


def test_tasks_are_the_same_for_a_seed_and_balanced_over_topics() -> None:
    tasks = list(MATHS.tasks(7, 92))
    assert tasks == list(MATHS.tasks(7, 92))
    assert tasks[:10] == list(MATHS.tasks(7, 10))
    assert tasks != list(MATHS.tasks(8, 92))
    topics = [task.topic for task in tasks]
    assert len(set(topics)) == 23
    assert all(topics.count(topic) == 4 for topic in topics)
    assert {task.difficulty for task in tasks} == {0.0, 0.5, 1.0}


def test_the_answer_of_a_task_passes_and_its_prompt_does_not() -> None:
    for task in MATHS.tasks(3, 230):
        answer = task.facts["answer"]
        said = answer if isinstance(answer, str) else ", ".join(answer)
        assert any(task.prompt.endswith(asked) for asked in ASKED)
        assert judge_here(MATHS, task, Response(f"So\n\n\\boxed{{{said}}}")).passed, task
        for wrong in (task.prompt, f"\\boxed{{{task.prompt.splitlines()[0]}}}", "\\boxed{I do not know}", ""):
            assert not judge_here(MATHS, task, Response(wrong)).passed, (task, wrong)


def test_the_question_given_back_is_no_answer() -> None:
    assert not right("\\boxed{3 + 4}", "7")
    assert right("\\boxed{3 + 4}", "7", form="any")
    assert right("$3 + 4 = 7$", "7")


# ---- which place counts


def test_a_box_outranks_a_lead_in_but_not_one_that_contradicts_it_later() -> None:
    assert right("The answer is 4. To be exact, \\boxed{5}.", "5")
    assert not right("\\boxed{5}. Wait, that is wrong. The answer is 4.", "5")
    assert right("\\boxed{5}. The answer is in cm.", "5")


def test_two_different_boxes_are_an_answer_only_where_work_lies_between() -> None:
    assert right(
        "\\boxed{4} would hold without friction. With friction we subtract one and get \\boxed{3}.", "3"
    )
    assert not right("\\boxed{4} or \\boxed{3}", "3")
    assert not right("\\boxed{4}\n\n\\boxed{3}", "3")
    assert not right("\\boxed{4} is one way to see it. Alternatively we could say \\boxed{3}.", "3")
    assert not right("\\boxed{4} would hold without friction. With it we get \\boxed{3}.", "3", strict=True)
    assert right("\\boxed{3} and again, written otherwise, \\boxed{\\frac{6}{2}}", "3")


def test_nested_braces_are_read_to_their_end() -> None:
    verdict = judged("\\boxed{\\frac{\\sqrt{3}}{2}}", "\\frac{\\sqrt{3}}{2}")
    assert (verdict.extracted, verdict.passed) == ("\\frac{\\sqrt{3}}{2}", True)


def test_every_candidate_is_on_record_with_why_it_was_not_taken() -> None:
    text = "First \\boxed{4}. Then we check by hand and see that it is one less: \\boxed{3}."
    verdict = judged(text, "3")
    assert [(c.text, bool(c.rejected)) for c in verdict.candidates] == [("4", True), ("3", False)]
    assert verdict.span is not None
    assert text[slice(*verdict.span)] == "3"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I do not know.",
        "I'm sorry, but I can't.",
        "\\boxed{}",
        "5?",
        "Maybe it is 5.",
        "The answer isn't 5.",
    ],
)
def test_silence_refusals_and_guesses_earn_nothing(text: str) -> None:
    assert not right(text, "5")


def test_reasons_do_not_give_the_answer_away() -> None:
    for text in ("\\boxed{41}", "\\boxed{x}", "nothing"):
        verdict = judged(text, "8675309")
        assert "8675309" not in verdict.reason
        assert all("8675309" not in candidate.rejected for candidate in verdict.candidates)


# ---- numbers and units


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=500), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_a_fraction_is_read_exactly_however_it_is_written(value: Fraction, k: int) -> None:
    above, below = value.numerator * k, value.denominator * k
    for text in (
        f"{above}/{below}",
        f"\\frac{{{above}}}{{{below}}}",
        f"{'-' if above < 0 else ''}\\dfrac{{{abs(above)}}}{{{below}}}",
    ):
        found = numerals.number(notation.plain(text))
        assert found is not None
        assert found.value == value


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3, allow_nan=False))
@settings(max_examples=100, deadline=None)
def test_a_decimal_is_read_exactly_in_both_locales(value: Any) -> None:
    english = f"{value:,.3f}"
    european = english.replace(",", " ").replace(".", ",")
    for text, separator in ((english, "."), (european, ",")):
        found = numerals.number(notation.plain(text), separator)
        assert found is not None, text
        assert found.value == Fraction(value)


def test_what_is_no_number_is_not_taken_for_one() -> None:
    for text in (
        "1,2",
        "12,34",
        "1.2.3",
        "٥",
        "1O",
        "1/0",
        "2 5/3",
        "--5",
        "5-",
        "1e99999",
        "NaN",
        "0x10",
        "",
        ".",
    ):
        assert numerals.number(notation.plain(text)) is None, text


@pytest.mark.parametrize(
    ("text", "answer", "unit", "expected"),
    [
        ("5000 m", "5", "km", True),
        ("5 m", "5", "km", False),
        ("1 foot", "30.48", "cm", True),
        ("1 m^2", "10000", "cm^2", True),
        ("1 m", "10000", "cm^2", False),
        ("36 km/h", "10", "meters per second", True),
        ("2 liters", "2000", "cm^3", True),
        ("32 °F", "0", "°C", True),
        ("180°", "\\pi", "rad", True),
        ("5", "5", "km", True),
        ("5 apples", "5", "apples", True),
        ("5 pears", "5", "apples", False),
        ("1500 cents", "15", "USD", True),
        ("15 EUR", "15", "USD", False),
    ],
)
def test_units_convert_within_their_kind_only(text: str, answer: str, unit: str, expected: bool) -> None:
    assert right(f"\\boxed{{{text}}}", answer, unit=unit) is expected


def test_a_missing_unit_is_wrong_only_where_it_is_required() -> None:
    assert right("\\boxed{5}", "5 km")
    assert not right("\\boxed{5}", "5 km", unit_required=True)


def test_every_unit_converts_into_itself() -> None:
    for name in ("cm", "kg", "h", "°C", "°F", "km/h", "cm^2", "USD", "%", "°"):
        one = units.unit(notation.plain(name))
        assert one is not None, name
        assert units.converted(Fraction(7), one, one) == (7, 0)


def test_a_tolerance_is_absolute_or_a_share() -> None:
    assert right("3.15", "3.14", tolerance=0.01)
    assert not right("3.16", "3.14", tolerance=0.01)
    assert right("101", "100", tolerance="1%")
    assert not right("102", "100", tolerance="1%")
    assert right("\\boxed{\\sqrt{2}}", "1.4142", tolerance="0.001")
    assert judged("3", "3", tolerance="much").error == "task"


# ---- what has parts


def test_a_pair_is_a_tuple_or_an_interval_as_the_kind_says() -> None:
    assert right("\\boxed{(1, 2)}", "(1, 2)")
    assert not right("\\boxed{1 < x < 2}", "(1, 2)")
    assert right("\\boxed{1 < x < 2}", "(1, 2)", kind="interval")


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_counts_in_tuples_and_not_in_sets(items: list[int], rng: random.Random) -> None:
    shuffled = items[:]
    rng.shuffle(shuffled)
    listed = ", ".join(map(str, shuffled))
    assert right(f"\\boxed{{\\{{{listed}\\}}}}", [str(item) for item in items])
    assert right(f"\\boxed{{({listed})}}", "(" + ", ".join(map(str, items)) + ")", kind="tuple") == (
        items == shuffled
    )


def test_intervals_that_touch_are_one() -> None:
    assert right("\\boxed{(1, 2] \\cup (2, 3)}", "(1, 3)", kind="interval")
    assert not right("\\boxed{(1, 2) \\cup (2, 3)}", "(1, 3)", kind="interval")
    assert right("\\boxed{x \\neq 2}", "(-\\infty, 2) \\cup (2, \\infty)")
    assert right("no solution", "\\emptyset", kind="interval")


def test_an_end_at_infinity_is_never_closed() -> None:
    assert not right("\\boxed{[2, \\infty]}", "[2, \\infty)")


def test_one_comma_may_be_of_thousands_or_between_items() -> None:
    assert right("\\boxed{1,234}", "1234")
    assert right("\\boxed{1,234}", ["1", "234"])
    assert not right("\\boxed{1,2}", "1.2")
    assert right("\\boxed{1,2}", "1.2".replace(".", ","), decimal=",")


# ---- formulas


@pytest.mark.parametrize(
    ("truth", "equal", "other"),
    [
        ("x^2 - 1", "(x-1)(x+1)", "(x-1)^2"),
        ("\\frac{1}{x-1}", "(x-1)^{-1}", "\\frac{1}{x+1}"),
        ("e^{2x}", "(e^x)^2", "e^{x^2}"),
        ("\\sin(2x)", "2 \\sin x \\cos x", "2 \\sin x"),
        ("\\ln 8", "3 \\ln 2", "2 \\ln 3"),
        ("2^{n+1}", "2 \\cdot 2^n", "4^n"),
        ("|x|", "\\sqrt{x^2}", "x"),
        ("\\frac{\\sqrt{3}}{2}", "sqrt(3)/2", "\\frac{3}{2}"),
        ("x^{10}", "x**10", "10x"),
        ("0.5x", "\\frac{x}{2}", "0.05x"),
    ],
)
def test_formulas_are_compared_as_functions(truth: str, equal: str, other: str) -> None:
    assert right(f"\\boxed{{{equal}}}", truth, kind="expression")
    assert right(f"\\boxed{{{truth}}}", equal, kind="expression")
    assert not right(f"\\boxed{{{other}}}", truth, kind="expression")


def test_a_formula_is_not_equal_by_being_near() -> None:
    # math-verify rounds to six places, and 22/7 or a long decimal of π would pass there for some truths.
    assert not right("\\boxed{3.14159265}", "\\pi")
    assert not right("\\boxed{0.333333333}", "\\frac{1}{3}")
    assert not right("\\boxed{x + 0.0000001}", "x", kind="expression")


def test_percent_is_a_hundredth_and_may_be_left_out() -> None:
    assert right("\\boxed{25}", "25\\%")
    assert right("\\boxed{25\\%}", "1/4")
    assert right("\\boxed{25\\%}", "25")
    assert not right("\\boxed{0.25}", "25", unit="%")


# ---- facts, workers, time


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"answer": ""},
        {"answer": "5", "kind": "poem"},
        {"answer": "x", "kind": "number"},
        {"answer": []},
        {"answer": "5", "more": 1},
    ],
)
def test_facts_that_make_no_sense_are_the_tasks_fault(facts: dict[str, Any]) -> None:
    assert judge_here(MATHS, Task(prompt="?", facts=facts), Response("\\boxed{5}")).error == "task"


def test_a_verdict_from_a_worker_is_the_same_from_any_thread() -> None:
    task, response = Task(prompt="?", facts={"answer": "x^2 - 1"}), Response("\\boxed{(x-1)(x+1)}")
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.append(verify(MATHS, task, response)))
    thread.start()
    found.append(verify(MATHS, task, response))
    thread.join()
    assert [verdict.outcome for verdict in found] == ["passed", "passed"]


def test_what_would_take_for_ever_to_work_out_is_not_worked_out() -> None:
    for text in ("9^{9^{9^{9}}}", "99999999!", "\\binom{10000000}{5000000}", "2^{999999}"):
        assert judged(f"\\boxed{{{text}}}", "x + 1").outcome == "failed"
    assert judged("\\boxed{" + "(" * 5000 + "x" + ")" * 5000 + "}", "x + 1").outcome in ("failed", "unparsed")


@pytest.mark.slow
def test_a_comparison_that_does_not_end_is_a_timeout_and_not_wrong() -> None:
    task = Task(prompt="?", facts={"answer": "\\binom{30000000}{15000000} + x"})
    verdict = verify(MATHS, task, Response("\\boxed{x + 1}"))
    assert (verdict.outcome, verdict.error) == ("error", "timeout")


def test_the_spelling_keeps_matrices_and_ellipses() -> None:
    assert reading.matrix(notation.plain("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}")) == (
        ("1", "2"),
        ("3", "4"),
    )
    assert notation.plain("0.333...") == "0.333..."
    assert notation.plain("$\\left( 1,\\, 2 \\right)$.") == "( 1, 2 )"


@given(
    st.integers(-9, 9).filter(bool),
    st.integers(-9, 9).filter(bool),
    st.integers(-20, 20),
    st.integers(-20, 20),
)
@settings(max_examples=25, deadline=None)
def test_equations_of_two_letters_are_told_apart_by_their_constants(
    a: int, b: int, c: int, other: int
) -> None:
    """Points whose letters are in a fixed relation would take `x - y = 1` for `x - y = 2`."""
    from dataforge.verifiers.mathematics import symbolic

    truth, answer = (f"{a} \\cdot x + {b} \\cdot y - ({d})" for d in (c, other))
    assert symbolic.proportional(truth, answer) == (c == other)
    assert symbolic.same(truth, answer) == (c == other)


def test_no_two_letters_of_the_points_are_in_a_fixed_relation() -> None:
    from dataforge.verifiers.mathematics import symbolic

    points = symbolic._points(6)
    for first, second in itertools.combinations(range(6), 2):
        assert len({point[first] - point[second] for point in points}) == len(points)
        assert len({point[first] / point[second] for point in points}) == len(points)


# ---- faults that reviewers found by hand


@pytest.mark.parametrize(
    ("truth", "rights", "wrongs"),
    [
        ("x", (), (r"\boxed{x'}", r"\boxed{X}")),
        ("x'", (r"\boxed{x'}",), (r"\boxed{x}", r"\boxed{x''}")),
        ("x^2", (), (r"\boxed{(x^2)'}", r"\boxed{x^2''}")),
        ("A^T", (r"\boxed{A^{T}}", r"\boxed{A^\top}"), (r"\boxed{A}",)),
        ("2^T", (r"\boxed{2^{T}}",), (r"\boxed{2}",)),
        ("a^2+A", (r"\boxed{A+a^2}",), (r"\boxed{a^2+a}",)),
        ("f(x)", (r"\boxed{f(x)}",), (r"\boxed{f'(x)}", r"\boxed{f(x)+1}")),
        ("f'(x)", (r"\boxed{f'(x)}",), (r"\boxed{f(x)}",)),
        (r"2\pi", (r"\boxed{2\pi \text{ cm}^2}", r"\boxed{2\pi \text{ rad}}"), (r"\boxed{2 \text{ cm}^2}",)),
        (r"3\sqrt{2}", (r"\boxed{3\sqrt{2}\text{ units}}",), (r"\boxed{3\text{ units}}",)),
        (r"12\pi", ("The area is 12π cm².", r"\boxed{12\pi\text{ square units}}"), ("The area is 13π cm².",)),
        ("2x", (), (r"\boxed{2x\text{ cm}}",)),
        (
            ["1", "2"],
            (r"\boxed{A \setminus B = \{1, 2\}}", r"\boxed{A \cup B=\{2,1\}}"),
            (r"\boxed{A = \{1,3\}}",),
        ),
        (["7", "-4"], (r"\boxed{x \in \{-4,7\}}",), (r"\boxed{x \in \{-4,8\}}",)),
        (
            "y=2x+1",
            (r"\boxed{2x-y+1=0}", r"\boxed{2y=4x+2}", "The line is $y = 2x + 1$."),
            (r"\boxed{2x-y+2=0}",),
        ),
        ("y=2x+1", (r"\boxed{2x+1}",), (r"\boxed{x=2y+1}", r"\boxed{y=2x+2}")),
        (
            "5",
            ("Final Answer: The final answer is $5$. I hope it is correct.",),
            ("Final answer: The answer is 6.",),
        ),
        ("24", (r"\textbf{(C) }24", r"\boxed{\textbf{(C)}\ 24}"), (r"\boxed{\textbf{(C)}\ 25}",)),
        ("C", (r"\textbf{(C) }24",), (r"\textbf{(B) }24",)),
        ("21 km/h", (r"\boxed{21 \frac{\text{km}}{\text{h}}}",), (r"\boxed{21 \frac{m}{s}}",)),
        ("1", (), (r"$\boxed{1}^2$", r"$x = -\boxed{1}$")),
        ("5 cm", (), (r"\boxed{5 cm \times 2}", r"\boxed{5 cm \times 1}")),
    ],
)
def test_marks_units_names_and_forms(
    truth: str | list[str], rights: tuple[str, ...], wrongs: tuple[str, ...]
) -> None:
    assert [text for text in rights if not right(text, truth)] == []
    assert [text for text in wrongs if right(text, truth)] == []


def test_a_typeset_placeholder_is_no_answer() -> None:
    assert judged(r"\boxed{\text{your answer}}", "5").outcome == "unparsed"


def test_a_truth_that_cannot_be_read_is_the_tasks_fault_before_anything_is_compared() -> None:
    assert judged(r"\boxed{z}", "z^*").error == "task"


@pytest.mark.parametrize(
    "text",
    [
        "The answer is " * 7_000,
        "the answer is 5 " * 6_000,
        "<answer>" * 12_000,
        r"\boxed{" * 14_000,
        "$" * 100_000,
        "**" * 50_000,
        "\n" * 100_000,
        "####" * 25_000,
        r"\(" * 50_000,
        r"\boxed{" + "(" * 90_000 + "}",
        r"\boxed{x^{x^{x^{x^{9999}}}}}",
    ],
    ids=lambda text: text[:24],
)
def test_floods_are_judged_at_once(text: str) -> None:
    began = time.process_time()
    assert judged(text, "2^x").error is None
    assert time.process_time() - began < MATHS.limit_s / 4
