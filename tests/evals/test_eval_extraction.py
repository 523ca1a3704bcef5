"""What is taken from tricky completions: at least 98% right, and no letter invented where there is no answer."""

from __future__ import annotations

from collections import Counter

from evals.extraction import gold, is_right, ours


def test_ours_takes_what_is_there_and_invents_nothing() -> None:
    cases = list(gold())
    assert len(cases) >= 200
    assert len({case.id for case in cases}) == len(cases)
    missed = [(case.id, case.note, ours(case)) for case in cases if not is_right(case, ours(case))]
    assert 1 - len(missed) / len(cases) >= 0.98, missed
    invented = [case.id for case in cases if case.expected is None and ours(case) is not None]
    assert invented == []


def test_the_cases_are_of_all_kinds_and_a_third_have_no_answer() -> None:
    cases = list(gold())
    kinds = Counter(case.kind for case in cases)
    assert kinds.keys() == {"choice", "think", "maths", "json", "tool", "code"}
    assert sum(case.expected is None for case in cases) >= len(cases) / 4
