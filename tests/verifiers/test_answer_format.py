"""The answer-format verifier: each fault of the known predecessor, the thinking, and its generated cases."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dataforge.verifiers
from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.formats import find_format, formats
from schemas.task import Task

VERIFIER = find("answer_format")
GOLD = Path(dataforge.verifiers.__file__).parent / "gold" / "answer_format.jsonl"


def judge(
    format: str, text: str, answer: str | None = None, thinking: str = "allowed", **more: str
) -> Verdict:
    facts = {"format": format, "thinking": thinking, **({"answer": answer} if answer is not None else {})}
    return verify(VERIFIER, Task(prompt="?", facts=facts), Response(text, **more))  # type: ignore[arg-type]


def gold() -> list[Case]:
    return [Case.from_json(json.loads(line)) for line in GOLD.read_text(encoding="utf-8").splitlines()]


# ---- the gold set and generated cases


@pytest.mark.parametrize("case", gold(), ids=lambda case: f"{case.task.facts.get('format')}: {case.note}")
def test_the_gold_set_is_judged_as_a_person_judged_it(case: Case) -> None:
    verdict = verify(VERIFIER, case.task, case.response)
    assert (verdict.passed, verdict.error) == (case.passes, case.error), verdict


def test_the_gold_set_has_enough_of_both() -> None:
    said = Counter(case.passes for case in gold())
    assert said[True] >= 20
    assert said[False] >= 20


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_generated_cases_are_judged_as_they_were_made(rng: random.Random) -> None:
    for case in itertools.islice(VERIFIER.cases(rng), 12):
        verdict = verify(VERIFIER, case.task, case.response)
        assert verdict.passed == case.passes, (case.note, case.response, verdict)
        assert verdict.outcome != "error", (case.note, verdict)


def test_ten_thousand_cases_have_no_misjudged_one_and_reach_every_format() -> None:
    seen = Counter[str]()
    for case in itertools.islice(VERIFIER.cases(random.Random(5)), 10_000):
        verdict = VERIFIER.check(VERIFIER.facts.model_validate(case.task.facts), case.response)
        assert verdict.passed == case.passes, (case.note, case.response, verdict)
        assert verdict.outcome != "error", (case.note, verdict)
        seen[case.task.facts["format"]] += 1
    assert seen.keys() == {format.name for format in formats()}


def test_a_span_is_where_the_answer_stands() -> None:
    for case in itertools.islice(VERIFIER.cases(random.Random(8)), 2_000):
        verdict = VERIFIER.check(VERIFIER.facts.model_validate(case.task.facts), case.response)
        for span in filter(None, (verdict.span, *(c.span for c in verdict.candidates))):
            assert 0 <= span[0] <= span[1] <= len(case.response.text)
    # Where a form has no escapes, what was extracted is exactly what stands there.
    text = "<think>The <answer>no</answer></think>\nSo, answer: <answer> 4 + 2 </answer>"
    verdict = judge("tags_answer", text)
    assert verdict.span is not None
    assert text[slice(*verdict.span)] == verdict.extracted == "4 + 2"


# ---- faults of the predecessor, one test each


def test_text_before_the_thinking_fails() -> None:
    assert not judge("tags_answer", "Sure! <think>Hm.</think><answer>42</answer>").passed
    assert judge("tags_answer", "\n<think>Hm.</think><answer>42</answer>").passed


def test_a_boxed_fraction_comes_out_whole() -> None:
    assert judge("latex_boxed", r"So \boxed{\frac{a}{\sqrt{b}}}.").extracted == r"\frac{a}{\sqrt{b}}"


def test_a_number_in_json_is_an_answer() -> None:
    assert judge("json_object", '{"answer": 42}', "42").passed
    assert not judge("json_object", '{"answer": 43}', "42").passed
    assert judge("json_object", '{"answer": 0.10}').extracted == "0.10"


def test_escaped_quotes_in_json_are_read() -> None:
    assert judge("json_object", r'{"answer": "say \"no\" \\ yes"}', r'say "no" \ yes').passed


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("yaml_list", "- a\n- b\n- c"),
        ("toml_key", 'answer = "a"\nanswer = "b"'),
        ("tags_answer", "<answer>a</answer><answer>b</answer>"),
        ("latex_boxed", r"\boxed{a} or \boxed{b}"),
        ("json_array", '["a", "b"]'),
        ("markdown_bullet_plus", "+ a\n+ b"),
        ("line_answer_colon", "Answer: a\nAnswer: b"),
    ],
)
def test_exactly_once_means_exactly_once(format: str, text: str) -> None:
    assert not judge(format, text).passed


def test_other_parentheses_in_the_prose_do_no_harm() -> None:
    verdict = judge("bracketed_parentheses", "By (1) and f(x) we are done (see above).\n\n(f(2) = 4)")
    assert verdict.extracted == "f(2) = 4"
    assert [c.text for c in verdict.candidates if c.rejected] == ["(1)", "(x)", "(see above)"]


def test_bold_is_not_italic_and_italic_not_bold() -> None:
    assert not judge("markdown_italic", "**a**").passed
    assert not judge("markdown_bold", "*a*").passed
    assert not judge("markdown_italic", "***a***").passed
    assert judge("markdown_italic", "**b** and *a*", "a").passed


def test_the_word_answer_earlier_does_not_move_the_span() -> None:
    text = "The answer: hard to say; every answer has a price.\nAnswer: 42"
    verdict = judge("line_answer_colon", text, "42")
    assert verdict.passed
    assert verdict.span == (len(text) - 2, len(text))


def test_a_shell_variable_needs_no_quotes() -> None:
    assert judge("shell_variable", "ANSWER=42", "42").passed
    assert judge("shell_variable", "ANSWER='4 2'", "4 2").passed


@pytest.mark.parametrize(
    "format", [f.name for f in formats() if f.form.around != "anything" and not f.form.swallows]
)
def test_text_after_the_answer_fails_where_the_format_forbids_it(format: str) -> None:
    made = find_format(format)
    text = made.render({"letter": "B", "number": "4", "code": "print(4)"}.get(made.suits[0], "four boats"))
    assert judge(format, text).passed
    assert not judge(format, f"{text}\n\nI hope that this helps you").passed


# ---- thinking, facts, and what is no answer


def test_thinking_is_required_allowed_or_forbidden() -> None:
    answer = "<answer>42</answer>"
    thought = f"<think>Hm.</think>{answer}"
    assert [
        judge("tags_answer", answer, thinking=t).passed for t in ("required", "allowed", "forbidden")
    ] == [False, True, True]
    assert [
        judge("tags_answer", thought, thinking=t).passed for t in ("required", "allowed", "forbidden")
    ] == [True, True, False]
    assert judge("tags_answer", answer, thinking="required", reasoning="Hm.").passed
    assert not judge("tags_answer", answer, thinking="forbidden", reasoning="Hm.").passed


def test_the_right_form_with_a_wrong_answer_says_so() -> None:
    verdict = judge("json_object", '{"answer": "41"}', "42")
    assert verdict.outcome == "failed"
    assert verdict.parts == {"format": 1.0, "answer": 0.0}
    assert "42" not in verdict.reason


def test_only_the_form_counts_where_no_answer_is_known() -> None:
    assert judge("json_object", '{"answer": "whatever"}').parts == {"format": 1.0}


@pytest.mark.parametrize("format", [f.name for f in formats()])
def test_empty_replies_refusals_and_echoes_earn_nothing(format: str) -> None:
    made = find_format(format)
    prompt = f"What is it?\n\n{made.instruction}\n\n{made.example}"
    for text in ("", " \n", "I'm sorry, but I can't help with that.", prompt, "<think>Hm.</think>"):
        assert not judge(format, text).passed, text
    if "number" not in made.suits:
        assert not judge(format, made.example).passed


def test_bad_facts_are_the_tasks_fault() -> None:
    assert judge("no_such_format", "x").error == "task"
    assert judge("line_answer_colon", "Answer: a", "a\nb").error == "task"
    assert verify(VERIFIER, Task(prompt="?", facts={}), Response("x")).error == "task"


def test_a_look_alike_is_another_answer_and_a_composed_letter_is_not() -> None:
    assert not judge("tags_answer", "<answer>Аnna</answer>", "Anna").passed
    assert judge("tags_answer", "<answer>cafe\u0301</answer>", "caf\u00e9").passed


def test_the_marks_of_a_formula_around_an_answer_are_not_part_of_it() -> None:
    assert judge("sentence_the_answer_is", r"The answer is $\frac{1}{2}$.", r"\frac{1}{2}").passed
    assert not judge("sentence_the_answer_is", r"The answer is $\frac{1}{2}$ of $x$.", r"\frac{1}{2}").passed


# ---- tasks


def test_the_first_tasks_do_not_depend_on_how_many_are_made() -> None:
    assert list(VERIFIER.tasks(3, 25)) == list(VERIFIER.tasks(3, 60))[:25]
    assert list(VERIFIER.tasks(3, 5)) != list(VERIFIER.tasks(4, 5))


def test_tasks_are_balanced_over_formats_and_three_in_ten_are_composed() -> None:
    tasks = list(VERIFIER.tasks(1, 1_000))
    used = Counter(find_format(task.facts["format"]).name for task in tasks)
    assert sum(find_format(task.facts["format"]).composed for task in tasks) == 300
    for composed in (True, False):
        counts = [used[f.name] for f in formats() if f.composed == composed]
        assert max(counts) - min(counts) <= 1


def test_a_task_can_be_solved_and_says_how() -> None:
    for task in VERIFIER.tasks(2, 800):
        made = find_format(task.facts["format"])
        assert made.instruction in f"{task.system}\n{task.prompt}"
        assert made.example in f"{task.system}\n{task.prompt}"
        answer = task.facts.get("answer") or ("four boats" if "text" in made.suits else "print(4)")
        text = made.render(answer)
        verdict = verify(VERIFIER, task, Response(f"<think>Hm.</think>\n{text}"))
        assert verdict.passed, (task, text, verdict)


# ---- what a review found


@pytest.mark.parametrize(
    ("text", "answer", "passes"),
    [
        (r"\boxed{\text{Sunday}}", "Sunday", True),
        (r"\boxed{\text{42}}", "42", True),
        (r"\boxed{\mathbf{42}}", "42", True),
        (r"\boxed{\text{Monday}}", "Sunday", False),
        (r"\boxed{\text{4}2}", "42", False),
    ],
)
def test_a_command_that_sets_the_type_is_no_part_of_the_answer(text: str, answer: str, passes: bool) -> None:
    assert judge("latex_boxed", text, answer).passed == passes


@pytest.mark.parametrize("text", ["...", "…", "[...]"])
def test_dots_are_no_answer_where_none_is_known(text: str) -> None:
    assert not judge("latex_boxed", rf"\boxed{{{text}}}").passed


def test_a_placeholder_in_other_dress_is_no_answer() -> None:
    stands_for = find_format("latex_boxed").placeholders["answer"]
    assert not judge("latex_boxed", rf"\boxed{{[{stands_for.title()}].}}").passed


@pytest.mark.parametrize(("info", "passes"), [("JSON", True), ("Json", True), ("yaml", False), ("", False)])
def test_a_fence_names_its_language_in_any_case(info: str, passes: bool) -> None:
    name = next(f.name for f in formats() if f.example.startswith("```json\n{"))
    text = find_format(name).render("42").replace("```json", f"```{info}", 1)
    assert judge(name, text, "42").passed == passes


# ---- faults that reviewers found by hand


@pytest.mark.parametrize(
    ("name", "answer", "rights", "wrongs"),
    [
        ("markdown_section", "15", ("## Reasoning\n\nIt is so.\n\n## Answer\n\n15",),
         ("## Answer\n\n15\n\n## More\n\nx", "## Answer\n\n14\n\n## Answer\n\n15")),
        ("choice_option", "B", ("Option A is wrong.\n\nOption B",), ("Option A\n\nOption B", "Option B is right")),
        ("code_ruby_puts", "15", ("puts '15'", 'puts "15"'), ("puts `15`",)),
        ("code_lua_table", "15", ('return { answer = "15", }',), ('return { answer = "15", "x" }',)),
        ("code_php_echo", "15", ("<?php echo '15'; ?>", "<?php echo '15';"), ("<?php echo '15'; ?> x",)),
        ("code_go_println", "15", ('fmt.Println("15");',), ('fmt.Println("15");;',)),
        ("code_sql_select", "15", ("select '15' as answer;", "Select '15' As Answer"), ("SELECT '15' AS other;",)),
        ("python_return", "15", ("def answer() -> str:\n    return '15'",), ("def answer(x) -> str:\n    return '15'",)),
        ("latex_document", "15",
         ("\\documentclass[12pt]{article}\n\\usepackage{amsmath}\n\n\\begin{document}\n\n15\n\n\\end{document}",),
         ("\\documentclass{book}\n\\begin{document}\n15\n\\end{document}",)),
        ("latex_qed", "15", ("\\[15\\ \\blacksquare\\]", "So:\n\\[\n15 \\quad \\blacksquare\n\\]"), ("\\[16 \\blacksquare\\]",)),
        ("latex_aligned_display", "15", ("\\[\n\\begin{aligned}\n& 15\n\\end{aligned}\n\\]",),
         ("\\[\n\\begin{aligned}\n& 16\n\\end{aligned}\n\\]",)),
        ("markdown_task", "15", ("- [X] 15", "* [x] 15"), ("- [ ] 15",)),
        ("diff_added", "15", ("--- /dev/null\n+++ answer\n@@ -0,0 +1 @@\n+15",), ("--- /dev/null\n+++ answer\n@@ +1 @@\n+15",)),
        ("parts_sections_boxed", "15",
         ("## Given\n\na\n\n## Working\n\nb\n\n## Result\n\n$\\boxed{15}$",
          "## Given\n\na\n\n## Working\n\nb\n\n## Result\n\n\\[\\boxed{15}\\]"),
         ("## Given\n\na\n\n## Working\n\nb\n\n## Result\n\nIt is $\\boxed{15}$",)),
        ("parts_tags_boxed", "15", ("<given>a</given>\n<working>b</working>\n<result>$\\boxed{15}$</result>",),
         ("<given>a</given>\n<working>b</working>\n<result>$x = \\boxed{15}$</result>",)),
        ("json_object", None, ('{"answer": "Oslo"}',), ('{"answer": "[answer]"}', '{"answer": "____"}', '{"answer": "TODO"}')),
    ],
)  # fmt: skip
def test_grammars_in_all_their_spellings(
    name: str, answer: str | None, rights: tuple[str, ...], wrongs: tuple[str, ...]
) -> None:
    facts = {"format": name} | ({} if answer is None else {"answer": answer})

    def passes(text: str) -> bool:
        verdict = verify(find("answer_format"), Task(prompt="?", facts=facts), Response(text))
        assert verdict.error is None
        return verdict.passed

    assert [text for text in rights if not passes(text)] == []
    assert [text for text in wrongs if passes(text)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("html_paragraph", "<p>" * 33_000),
        ("html_paragraph", "<p><b>" * 16_000),
        ("html_table", "<table>" * 14_000),
        ("markdown_italic", "_*" * 50_000),
        ("toml_key", "a." * 50_000 + "a = 1"),
        ("json_object", '{"a":' * 16_000),
        ("yaml_flow", "[" * 100_000),
        ("xml_document", "<a>" * 30_000),
    ],
)
def test_floods_are_answers_that_are_wrong_and_no_errors(name: str, text: str) -> None:
    verdict = verify(find("answer_format"), Task(prompt="?", facts={"format": name}), Response(text))
    assert verdict.outcome in ("failed", "unparsed")
