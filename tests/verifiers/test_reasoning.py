"""Laws and stories of the verifier `reasoning`: every task kept is sound, and what the package's scorers get wrong is right."""

from __future__ import annotations

import decimal
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge import verifiers
from dataforge.errors import InputError
from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.checking import judge_here
from dataforge.verifiers.procedural import answers, bootcamp, grading, making
from dataforge.verifiers.procedural.auditing import faults
from dataforge.verifiers.procedural.grading import Item
from dataforge.verifiers.procedural.table import KEPT, LEFT_OUT
from schemas.task import Task

GOLD = Path(verifiers.__file__).parent / "gold" / "reasoning.jsonl"
REASONING = find("reasoning")
QUICK = ["chain_sum", "gcd", "dice", "rotate_matrix", "word_sorting", "puzzle24", "n_queens", "sudoku"]


def judged(text: str, /, **facts: Any) -> Verdict:
    return judge_here(REASONING, Task(prompt="?", facts=facts), Response(text))


# ---- the audit's laws


@pytest.mark.parametrize("line", GOLD.read_text().splitlines(), ids=lambda line: json.loads(line)["note"])
def test_every_gold_case_is_judged_rightly(line: str) -> None:
    case = Case.from_json(json.loads(line))
    verdict = judge_here(REASONING, case.task, case.response)
    assert (verdict.passed, verdict.error) == (case.passes, case.error), verdict


def test_the_gold_set_is_large_enough() -> None:
    cases = [json.loads(line) for line in GOLD.read_text().splitlines()]
    assert sum(case["passes"] for case in cases) >= 20
    assert sum(not case["passes"] for case in cases) >= 20


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_generated_positives_pass_and_mutants_fail(rng: random.Random) -> None:
    for case in itertools.islice(REASONING.cases(rng), 20):
        verdict = judge_here(REASONING, case.task, case.response)
        assert verdict.passed == case.passes, (case, verdict)
        assert verdict.outcome != "error", (case, verdict)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120), st.sampled_from(sorted(KEPT)))
def test_no_text_raises_and_spans_index_it(text: str, name: str) -> None:
    question = making.made(name, "fixed") if name in QUICK else None
    item = question.item if question else Item(name, "1", {key: {} for key in KEPT[name].keep})
    if question is None and KEPT[name].keep:
        return
    for form in answers.ASKED:
        said = f"{text}\n{answers.wrapped(text, form)}"
        verdict = judged(said, task=name, answer=item.answer, metadata=dict(item.metadata), form=form)
        assert verdict.outcome in ("passed", "failed", "unparsed"), verdict
        for candidate in verdict.candidates:
            assert candidate.span is not None
            assert said[slice(*candidate.span)] == candidate.text


# ---- the table and the package


def test_the_table_names_every_task_of_the_package() -> None:
    from reasoning_gym.factory import DATASETS

    assert set(KEPT) | set(LEFT_OUT) == set(DATASETS)
    assert not set(KEPT) & set(LEFT_OUT)
    assert len(KEPT) >= 85
    assert all(reason and not reason.endswith(".") for reason in LEFT_OUT.values())


@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_task_that_is_kept_has_no_fault(name: str) -> None:
    assert faults(name, 1 if name in ("sokoban", "puzzle24") else 2) == []


def scored(name: str, answer: str, stored: str, **metadata: Any) -> float:
    from reasoning_gym.factory import create_dataset

    entry = {"question": "", "answer": stored, "metadata": metadata}
    return float(create_dataset(name, seed=1, size=1).score_answer(answer, entry))


@pytest.mark.parametrize(
    ("name", "wrong", "stored", "metadata"),
    [
        ("game_of_life_halting", "I do not know", "False", {}),
        ("puzzle24", "6*4*1*1", "10*(8 - 5) - 6", {"numbers": [8, 5, 10, 6]}),
        ("coin_flip", "0", "3.051757812e-05", {}),
        ("number_sorting", "['-1.5', '2.4', '3.9']", "['-1.5', '2', '3']", {"direction": "ascending"}),
        ("number_format", "5.001", "5.002", {"solution": 5.002}),
        ("game_of_life", "[[0,1,1],[1,0,1],[1,1,1]]", "[[0,1],[1,0]]", {}),
        ("figlet_font", "STRAWBERRIXXXXXX", "STRAWBERRIES", {}),
        ("pool_matrix", "101.0 2.0", "100.0 2.0", {}),
    ],
)
def test_what_the_package_gives_full_marks_for_fails_here(
    name: str, wrong: str, stored: str, metadata: dict[str, Any]
) -> None:
    # Where this fails, the package has been mended, and the table's note is out of date.
    assert scored(name, wrong, stored, **metadata) >= 1.0
    kept = {key: metadata[key] for key in KEPT[name].keep}
    assert judged(f"<answer>{wrong}</answer>", task=name, answer=stored, metadata=kept).outcome == "failed"
    assert judged(f"<answer>{stored}</answer>", task=name, answer=stored, metadata=kept).passed


def test_no_answer_is_ever_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    code = f"__import__('pathlib').Path({str(touched)!r}).touch()"
    spelled = "exec(" + "+".join(f"chr({ord(sign)})" for sign in code) + ")"
    for name in sorted(KEPT):
        item = making.made(name, "run").item if name in QUICK else None
        for said in (code, spelled, f"[{code}]", f"({spelled})"):
            if item is not None:
                KEPT[name].grader(item, said)
            elif not KEPT[name].keep:
                KEPT[name].grader(Item(name, "1"), said)
    grading.antiderivative(Item("simple_integration", "x", {"variable": "x", "integrand": spelled}), spelled)
    assert not touched.exists()


# ---- tasks


def test_tasks_are_the_same_for_a_seed_and_balanced() -> None:
    tasks = list(REASONING.tasks_of(QUICK, 7, 40))
    assert tasks == list(REASONING.tasks_of(QUICK, 7, 40))
    assert tasks[:11] == list(REASONING.tasks_of(QUICK, 7, 11))
    assert tasks != list(REASONING.tasks_of(QUICK, 8, 40))
    assert Counter(task.topic for task in tasks) == dict.fromkeys(QUICK, 5)
    assert all(json.loads(json.dumps(task.facts)) == task.facts for task in tasks)
    assert any(task.difficulty not in (None, 0.0) for task in tasks)


def test_a_block_of_tasks_holds_every_kind_once_and_all_their_answers_pass() -> None:
    tasks = list(REASONING.tasks(1, len(KEPT)))
    assert {task.topic for task in tasks} == set(KEPT)
    for task in tasks:
        right = answers.wrapped(task.facts["answer"], task.facts["form"])
        assert judge_here(REASONING, task, Response(right)).passed, task
        assert not judge_here(REASONING, task, Response(task.prompt)).passed, task


_HASH = """
import hashlib
from dataforge.verifiers import find
tasks = list(find("reasoning").tasks(5, 90))
print(hashlib.sha256("".join(task.model_dump_json() for task in tasks).encode()).hexdigest())
"""


@pytest.mark.slow
def test_tasks_do_not_depend_on_the_hash_seed() -> None:
    root = str(Path(verifiers.__file__).parents[2])
    found = {
        subprocess.run(
            [sys.executable, "-c", _HASH],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_an_item_does_not_depend_on_what_was_made_before() -> None:
    # decimal_arithmetic sets the precision of the whole process, which other tasks would then compute with.
    alone = making.made("decimal_chain_sum", "x")
    precision, state = decimal.getcontext().prec, random.getstate()
    making.made("decimal_arithmetic", "x")
    making.made("pool_matrix", "x")
    assert (decimal.getcontext().prec, random.getstate()) == (precision, state)
    assert making.made("decimal_chain_sum", "x") == alone


@pytest.mark.parametrize("name", ["rush_hour", "no_such_task"])
def test_a_task_that_is_not_kept_is_the_users_error(name: str) -> None:
    with pytest.raises(InputError) as caught:
        list(REASONING.tasks_of([name], 1, 1))
    assert caught.value.code == "V090"


def test_a_verdict_from_a_worker_is_the_same() -> None:
    task = next(iter(REASONING.tasks_of(["tower_of_hanoi"], 1, 1)))
    right = answers.wrapped(task.facts["answer"], task.facts["form"])
    assert verify(REASONING, task, Response(right)).passed
    assert verify(REASONING, task, Response(right.replace("disk 1", "disk 2"))).outcome == "failed"


# ---- where the answer stands


@pytest.mark.parametrize("form", sorted(answers.ASKED))
def test_only_the_place_that_the_prompt_names_counts(form: answers.Form) -> None:
    for written in answers.ASKED:
        verdict = judged(answers.wrapped("12", written), task="gcd", answer="12", form=form)
        assert verdict.passed == (written == form)


def test_two_different_answers_are_none_and_all_are_on_record() -> None:
    verdict = judged("<answer>12</answer> <answer>13</answer>", task="gcd", answer="12")
    assert verdict.outcome == "unparsed"
    assert [(c.text, bool(c.rejected)) for c in verdict.candidates] == [("12", True), ("13", True)]


# ---- InternBootcamp

CAMP = """
import random


class Adding:
    def __init__(self, most=9):
        self.most = most
        self.current = None

    def case_generator(self):
        self.current = random.randint(1, self.most)
        return {"a": self.current, "b": random.randint(1, self.most)}

    def prompt_func(self, identity):
        return f"Add {identity['a']} and {identity['b']}. Answer as [answer]...[/answer]."

    @staticmethod
    def extract_output(output):
        return output.split("[answer]")[-1].split("[/answer]")[0] if "[answer]" in output else None

    @classmethod
    def verify_score(cls, model_output, identity, format_score=0, **kwargs):
        found = cls.extract_output(model_output)
        if found is None:
            return 0
        return 1.0 if found.strip() == str(identity["a"] + identity["b"]) else format_score


class Credulous(Adding):
    @classmethod
    def verify_score(cls, model_output, identity, format_score=0, **kwargs):
        return 1.0


class Opaque(Adding):
    def case_generator(self):
        return {"a": {1, 2}, "b": 1}
"""


@pytest.fixture
def camp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / "internbootcamp"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "adding.py").write_text(CAMP)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "internbootcamp"]:
        monkeypatch.delitem(sys.modules, name)
    return "internbootcamp.adding."


def test_a_class_of_internbootcamp_makes_and_judges_tasks(camp: str) -> None:
    state = random.getstate()
    tasks = list(bootcamp.tasks(camp + "Adding", 3, 20, most=50))
    assert random.getstate() == state
    assert tasks == list(bootcamp.tasks(camp + "Adding", 3, 20, most=50))
    assert len({task.prompt for task in tasks}) > 10
    # Judged in any order: each from its own identity.
    for task in reversed(tasks):
        total = task.facts["metadata"]["a"] + task.facts["metadata"]["b"]
        assert judge_here(REASONING, task, Response(f"[answer]{total}[/answer]")).passed
        assert judge_here(REASONING, task, Response(f"[answer]{total + 1}[/answer]")).outcome == "failed"
        assert (
            judge_here(REASONING, task, Response(f"<think>[answer]{total}[/answer]</think>no")).outcome
            == "unparsed"
        )
        assert judge_here(REASONING, task, Response("")).outcome == "unparsed"


def test_a_class_that_takes_anything_is_found_out(camp: str) -> None:
    assert bootcamp.faults(camp + "Adding") == []
    assert any("I do not know" in fault for fault in bootcamp.faults(camp + "Credulous"))


def test_classes_that_cannot_be_used_are_errors_of_their_kind(camp: str) -> None:
    for path, code in (
        (camp + "Opaque", "V091"),
        (camp + "Missing", "V090"),
        ("os.path.join", "V090"),
        ("internbootcamp.nope.X", "V090"),
    ):
        with pytest.raises(InputError) as caught:
            list(bootcamp.tasks(path, 1, 1))
        assert caught.value.code == code
    assert judged("[answer]1[/answer]", task="bootcamp:os.system", metadata={}).error == "task"


# ---- dressings, and what only looks like an answer


DRESSINGS = (
    "**{}**",
    "${}$",
    "\\boxed{{{}}}",
    "\\boxed{{\\text{{{}}}}}",
    '"{}"',
    "$\\boxed{{{}}}$",
    "**\\boxed{{{}}}**",
)


@pytest.mark.parametrize(
    "name", ["aiw", "chain_sum", "gcd", "syllogism", "spiral_matrix", "knights_knaves", "sokoban"]
)
def test_an_answer_may_wear_what_models_put_around_it(name: str) -> None:
    first, second = REASONING.tasks_of([name], 3, 2)
    others = [t for t in REASONING.tasks_of([name], 4, 20) if t.facts["answer"] != first.facts["answer"]]
    for dressing in DRESSINGS:
        right, wrong = (dressing.format(task.facts["answer"]) for task in (first, others[0]))
        for form in ("tags", "line"):
            facts = {**first.facts, "form": form}
            assert judged(answers.wrapped(right, form), **facts).passed, (dressing, form)
            assert not judged(answers.wrapped(wrong, form), **facts).passed, (dressing, form)
    assert judged(f"**Answer: {second.facts['answer']}**", **{**second.facts, "form": "line"}).passed


@pytest.mark.parametrize(
    ("said", "answer", "passes"),
    [
        ("<answer>\u22125</answer>", "-5", True),
        ("<answer>\u22126</answer>", "-5", False),
        ("<answer>5</answer>", "-5", False),
        ("<answer>-5</answer> or <answer>5</answer>", "-5", False),
        ("<think><answer>-5</answer></think> I do not know.", "-5", False),
        ("<think><answer>-5</answer>", "-5", False),
        ("<answer>It is not -5</answer>", "-5", False),
        ("<answer>-5 or 5</answer>", "-5", False),
    ],
)
def test_signs_and_places_of_a_number(said: str, answer: str, passes: bool) -> None:
    assert judged(said, task="chain_sum", answer=answer, form="tags").passed is passes


@pytest.mark.parametrize("form", answers.ASKED)
@pytest.mark.parametrize(
    "text",
    ["Answer: " * 12_000, "<answer>" * 12_000, "[" * 100_000, "9" * 100_000, "```\n" * 25_000, "\\boxed{" * 14_000,
     "9**" * 30_000 + "9", "(" * 50_000 + ")" * 50_000, "\n" * 100_000],
    ids=lambda text: repr(text[:10]),
)  # fmt: skip
def test_floods_are_judged_at_once(text: str, form: answers.Form) -> None:
    for name in ("chain_sum", "puzzle24", "word_sorting"):
        task = next(iter(REASONING.tasks_of([name], 1, 1)))
        for said in (text, answers.wrapped(text[:19_000], form)):
            began = time.process_time()
            verdict = judged(said, **{**task.facts, "form": form})
            assert verdict.outcome in ("failed", "unparsed")
            assert time.process_time() - began < REASONING.limit_s / 4, (name, said[:30])


FLOODS = (
    "9" * 5_000,
    "\n".join([" ".join(["9" * 4_400] * 4)] * 4),
    "[" * 600 + "]" * 600,
    "[" * 900 + "1" + "]" * 900,
    '{"0":' * 3_000,
    "((((((9**60)**60)**60)**60)**60)**60)",
    "A" + " " * 19_000 + "?",
    "Move disk 1 from Peg 1 to Peg 2" + "\n" * 19_000 + "?",
    "A=1," * 4_000,
    "\\text{" * 2_500 + "1" + "}" * 2_500,
    '"' * 9_000 + "1" + '"' * 9_000,
    "1" + "." * 15_000,
    "**" * 9_000,
    "\\frac{" * 3_000,
)


@pytest.mark.parametrize("name", sorted(KEPT))
def test_no_flood_is_an_error_for_any_task(name: str) -> None:
    item = making.made(name, "fixed").item
    facts = {"task": name, "answer": item.answer, "metadata": dict(item.metadata)}
    judged("<answer>?</answer>", **facts)  # loads what the package loads
    for flood in FLOODS:
        began = time.process_time()
        verdict = judged(f"<answer>{flood}</answer>", **facts)
        assert verdict.outcome in ("failed", "unparsed"), (flood[:30], verdict)
        assert time.process_time() - began < 0.5, flood[:30]


GRAPH = {"vertices": [0, 1, 2], "edges": [[0, 1]], "color_options": [1, 2]}
SUM = {"words_letters": ["A", "B"], "result_letters": "C", "allow_leading_zero": False}
PEGS = {"num_disks": 2, "num_pegs": 3, "start_peg": 1, "target_peg": 3}
MOVES = "Move disk 1 from Peg 1 to Peg 2\nMove disk 2 from Peg 1 to Peg 3\nMove disk 1 from Peg 2 to Peg 3"
MAZE = {"matrix": [["*", "O"], ["X", "#"]]}


@pytest.mark.parametrize(
    ("name", "answer", "metadata", "right", "wrong"),
    [
        (
            "graph_color",
            '{"0": 1, "1": 2, "2": 1}',
            {"puzzle": GRAPH},
            ('{"2":2,"1":2,"0":1}',),
            (
                '{"0": 2, "0": 1, "1": 2, "2": 1}',
                '{"0": 1, "1": 2, "2": 1, "3": 1}',
                '{"0": 1, "1": 1, "2": 1}',
                '{"0": 1, "1": 2, "2": 3}',
                '{"0": 1, "1": 2, "2": true}',
                '{"0": 1, "1": 2, "2": {"a": 1}}',
                "[1, 2, 1]",
            ),
        ),
        (
            "cryptarithm",
            "A=1,B=2,C=3",
            SUM,
            ("A = 1, B = 2, C = 3", "A=1\nB=2\nC=3", "C=3,B=2,A=1"),
            ("A=9,A=1,B=2,C=3", "A=1,B=2,C=3,C=4", "A=1,B=2", "A=1,B=1,C=2", "A=1,B=2,C=3,D=4"),
        ),
        (
            "tower_of_hanoi",
            MOVES,
            PEGS,
            (
                MOVES.lower(),
                "1. " + MOVES.replace("\n", ".\n2) "),
                f"Move disk 1 from Peg 1 to Peg 3\nMove disk 1 from Peg 3 to Peg 1\n{MOVES}",
            ),
            (
                MOVES.rsplit("\n", 1)[0],
                MOVES.replace("disk 2", "disk 1"),
                MOVES.replace("Peg 3", "Peg 4"),
                "Move disk 1 from Peg 1 to Peg 3\nMove disk 2 from Peg 1 to Peg 3",
                f"{MOVES}\nThen we are done.",
            ),
        ),
        ("advanced_geometry", "269.590", {}, ("269.590", "269.59°", "r = 269.5901"), ("269.585", "269.600", "269.6")),
        ("coin_flip", "0.3125", {}, ("5/16", "\\frac{5}{16}", "$\\dfrac{5}{16}$"), ("-\\frac{5}{16}", "16/5", "5/0")),
        ("simple_equations", "-1234", {}, ("u = -1{,}234", "\u20131,234", "x=\u22121234"), ("u = 1234", "1,23,4")),
        ("power_function", "3.158e-12", {}, ("3.16 \\times 10^{-12}", "3.16 × 10^-12"), ("3.16 × 10^12", "3.26 × 10^-12")),
        (
            "simple_integration",
            "-3*X**7/2 + 2*X**3 + C",
            {"variable": "X", "integrand": "-21*X**6/2 + 6*X**2"},
            ("-\\frac{3X^7}{2} + 2X^3 + c", "-\\frac{3}{2} \\cdot x^{7} + 2x^{3}", "-3*X**7/2 + 2*X**3 + C**"),
            ("-\\frac{3X^7}{2} - 2X^3 + C", "-3X^7/2 + 2X^3 + CX", "-\\frac{2}{3}X^7 + 2X^3"),
        ),
        (
            "puzzle24",
            "6*(6 + 1 - 3)",
            {"numbers": [6, 1, 3, 6]},
            ("6 \\times \\left(6 + 1 - 3\\right)", "6 \\cdot (6+1\u22123)"),
            ("6 \\times (6 - 1 - 3)", "24", "\\frac{24}{1}"),
        ),
        (
            "rotate_matrix",
            "1 2\n3 4",
            {},
            ("[[1, 2], [3, 4]]", "[1,2]\n[3,4]", "| 1 | 2 |\n|---|:-:|\n| 3 | 4 |", "1 2\n\n3 4", "1, 2\n3, 4"),
            ("[[3, 4], [1, 2]]", "[[1, 2, 3, 4]]", "| 1 | 3 |\n|---|---|\n| 2 | 4 |", "[[1, 2], [3]]", "12\n34"),
        ),
        ("shortest_path", "right down", MAZE, ("Right, Down", "RIGHT → DOWN"), ("Right or down", "down right", "right")),
        ("spiral_matrix", "1 2 4 3", {}, ("[1, 2, 4, 3]", "1, 2, 4, 3"), ("[1, 2, 3, 4]", "[1, 2, 4]")),
    ],
    ids=lambda value: value if isinstance(value, str) and value in KEPT else "",
)  # fmt: skip
def test_spellings_of_right_answers_pass_and_wrong_ones_fail(
    name: str, answer: str, metadata: dict[str, Any], right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    facts = {"task": name, "answer": answer, "metadata": metadata}
    for said in right:
        assert judged(f"<answer>{said}</answer>", **facts).passed, said
    for said in wrong:
        assert judged(f"<answer>{said}</answer>", **facts).outcome == "failed", said


@pytest.mark.parametrize(
    ("said", "form", "passes"),
    [
        ("<Answer>8</Answer>", "tags", True),
        ("<answer>Answer: 8</answer>", "tags", True),
        ("<answer>7</answer> <ANSWER>8</ANSWER>", "tags", False),
        ("### Answer: 8", "line", True),
        ("- **Answer:** 8", "line", True),
        ("> Answer : 8", "line", True),
        ("Answer：8", "line", True),
        ("- Answer: 7\nAnswer: 8", "line", False),
        ("Not the answer: 8", "line", False),
    ],
)
def test_signs_around_the_place_of_an_answer(said: str, form: str, passes: bool) -> None:
    assert judged(said, task="gcd", answer="8", form=form).passed is passes
