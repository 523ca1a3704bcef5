"""Every verifier there is, on its gold set and on drawn cases; and the audit itself, on verifiers that are wrong on purpose."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataforge.errors import InputError
from dataforge.verifiers import Case, Facts, Response, Verdict, Verifier, audited, find, hash_seeds, names
from dataforge.verifiers.audit import Tally, audit, fault, gold, gold_file, upper_bound
from dataforge.verifiers.protocol import error, failed, passed, unparsed
from schemas.task import Task

PAGE = Path(__file__).parents[2] / "docs" / "verifiers.md"
DRAWN = {"inline": 200, "process": 40, "sandbox": 16}


def found(name: str) -> Verifier[Any]:
    try:
        return find(name)
    except InputError as lacking:
        pytest.skip(lacking.message)


@pytest.mark.parametrize("name", names())
def test_no_case_of_a_verifier_is_misjudged(name: str) -> None:
    verifier = found(name)
    report = audit(verifier, generated=DRAWN[verifier.isolation], seed=20)
    errors = report.gold.errors + report.generated.errors
    if set(errors) == {"isolation"}:
        pytest.skip("isolation cannot be had here")
    told = [(m.mistake, m.source, m.number, m.case.note, m.verdict.reason) for m in report.misjudged]
    assert not told
    assert not report.lacks
    generated = report.generated
    share = generated.positives / (generated.positives + generated.negatives)
    assert 0.3 <= share <= 0.7, "about half and half"


@pytest.mark.parametrize("name", names())
def test_tasks_are_the_same_again_and_the_first_of_many_are_the_first_of_few(name: str) -> None:
    verifier = found(name)
    if not verifier.makes_tasks:
        pytest.skip("makes no tasks")
    many, few = list(verifier.tasks(3, 12)), list(verifier.tasks(3, 5))
    assert many[:5] == few
    assert len(many) == 12
    assert list(verifier.tasks(4, 5)) != few
    for task in many:
        assert task.verifier == name
        verifier.facts.model_validate(json.loads(json.dumps(task.facts)))


@pytest.mark.parametrize("name", names())
def test_an_empty_reply_and_an_echo_of_the_prompt_earn_nothing(name: str) -> None:
    from dataforge.verifiers import verify

    verifier = found(name)
    if not verifier.makes_tasks:
        pytest.skip("makes no tasks")
    for task in verifier.tasks(1, 8):
        for text in ("", " \n", "<think>hm</think>", "I'm sorry, but I can't help with that."):
            verdict = verify(verifier, task, Response(text))
            if verdict.error == "isolation":
                pytest.skip("isolation cannot be had here")
            # Where no call is wanted, a model that declines does right.
            if text.startswith("I'm") and name == "tool_calls":
                continue
            assert not verdict.passed, (task, text)


@pytest.mark.parametrize("name", names())
def test_facts_say_what_they_are(name: str) -> None:
    verifier = found(name)
    assert verifier.summary.endswith(".")
    assert "\n" not in verifier.summary
    for field, told in verifier.facts.model_fields.items():
        assert told.description, f"`{field}` of `{name}` has no description"


# ---- the hash seed


def compared(seeds: int, *, written: int | None, generated: int) -> None:
    here = [name for name in names() if _to_be_had(name)]
    differing = hash_seeds.differences(
        here, hash_seeds=range(seeds), written=written, generated=generated, tasks=8
    )
    assert {name: labels for name, labels in differing.items() if labels} == {}
    assert set(differing) == set(here)


def _to_be_had(name: str) -> bool:
    try:
        find(name)
    except InputError:
        return False
    return True


@pytest.mark.slow
def test_verdicts_and_tasks_are_the_same_under_3_hash_seeds() -> None:
    compared(3, written=12, generated=12)


@pytest.mark.slow
@pytest.mark.skipif("not config.getoption('-m')", reason="minutes: run with -m slow")
def test_verdicts_and_tasks_are_the_same_under_20_hash_seeds() -> None:
    compared(20, written=None, generated=200)


def test_a_dependence_on_the_hash_seed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprints of two processes differ where a verdict does."""
    answers = iter(({"v": {"gold 1": "a", "task 1": "b"}}, {"v": {"gold 1": "a", "task 1": "c"}}))
    monkeypatch.setattr(hash_seeds, "_under", lambda *_: next(answers))
    assert hash_seeds.differences(["v"], hash_seeds=range(2)) == {"v": ["task 1"]}


# ---- the audit itself


class WordFacts(Facts):
    word: str


class Word(Verifier[WordFacts]):
    """The word is said. It is sometimes wrong."""

    name = "word"
    family = "test"
    facts = WordFacts
    mood = "right"

    def check(self, facts: WordFacts, response: Response) -> Verdict:
        said = response.text == facts.word
        match self.mood:
            case "blind":
                return passed(response.text)
            case "harsh":
                return failed("no")
            case "broken":
                raise RuntimeError("a bug")
            case "far":
                return passed("x", (0, 99)) if said else failed("no")
        return passed(response.text) if said else unparsed("no")

    def cases(self, rng: random.Random) -> Iterator[Case]:
        while True:
            word = rng.choice("abc")
            yield Case(Task(prompt="?", facts={"word": word}), Response(word), True, "right")
            yield Case(Task(prompt="?", facts={"word": word}), Response(word + "x"), False, "wrong")


@pytest.mark.parametrize(
    ("mood", "positive", "negative", "errors", "spans"),
    [
        ("right", 0, 0, {}, 0),
        ("blind", 0, 50, {}, 0),
        ("harsh", 50, 0, {}, 0),
        ("broken", 0, 0, {"verifier": 100}, 0),
        ("far", 0, 0, {}, 50),
    ],
)
def test_what_is_wrong_is_counted_as_what_it_is(
    mood: str, positive: int, negative: int, errors: dict[str, int], spans: int
) -> None:
    verifier = Word()
    verifier.mood = mood
    report = audit(verifier, generated=100)
    tally = report.generated
    assert (tally.positives, tally.negatives) == (50, 50)
    assert (tally.false_negatives, tally.false_positives) == (positive, negative)
    assert dict(tally.errors) == errors
    assert tally.bad_spans == spans
    assert len(report.misjudged) == tally.wrong
    # It has no gold set, and that is said.
    assert report.lacks[0] == "the gold set has 0 positives, and should have 20"
    assert not report.good


@pytest.mark.parametrize(
    ("passes", "due", "verdict", "mistake"),
    [
        (True, None, passed("x"), None),
        (True, None, failed("no"), "false negative"),
        (True, None, unparsed("no"), "false negative"),
        (True, None, error("timeout", "late"), "error"),
        (False, None, passed("x"), "false positive"),
        (False, None, failed("no"), None),
        (False, None, unparsed("no"), None),
        (False, None, error("verifier", "bug"), "error"),
        (False, "task", error("task", "facts"), None),
        (False, "task", error("verifier", "bug"), "error"),
        (False, "task", failed("no"), "error"),
        (False, "task", passed("x"), "false positive"),
        (True, None, passed("x", (2, 3)), "bad span"),
    ],
)
def test_an_error_is_neither_right_nor_wrong(
    passes: bool, due: Any, verdict: Verdict, mistake: str | None
) -> None:
    assert fault(Case(Task(prompt="?"), Response("x"), passes, "", due), verdict) == mistake


def test_the_bound_is_exact() -> None:
    assert upper_bound(0, 10_000) == pytest.approx(3 / 10_000, rel=0.002)
    assert upper_bound(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    # Of Clopper and Pearson's tables, one-sided 95%.
    assert upper_bound(1, 20) == pytest.approx(0.2161, abs=1e-4)
    assert upper_bound(5, 10) == pytest.approx(0.7776, abs=1e-4)
    assert upper_bound(0, 0) == upper_bound(7, 7) == 1.0
    for wrong, of in ((2, 30), (3, 5000)):
        share = upper_bound(wrong, of)
        below = sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(wrong + 1))
        assert below == pytest.approx(0.05, abs=1e-6)


def test_a_gold_line_that_is_no_case_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "word.jsonl"
    path.write_text('\n{"note": "x"}\n')
    monkeypatch.setattr("dataforge.verifiers.audit.gold_file", lambda verifier: path)
    with pytest.raises(InputError, match=r"word\.jsonl:2 is no case") as caught:
        gold(Word())
    assert caught.value.code == "V010"


def test_an_installed_package_has_its_gold_beside_its_module() -> None:
    assert gold_file(Word()) == Path(__file__).parent / "gold" / "word.jsonl"
    assert gold_file(find("exact")).parts[-3:] == ("verifiers", "gold", "exact.jsonl")


# ---- what is on record


def test_figures_on_record_come_back_and_go_with_the_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verifier = find("exact")
    monkeypatch.setattr(audited, "_file", lambda verifier: tmp_path / "audited.json")
    report = audit(verifier, generated=50)
    audited.record([report], seed=0, hash_seeds=3)
    kept = audited.recorded(verifier)
    assert kept is not None
    assert (kept.gold, kept.generated, kept.hash_seeds) == (report.gold, report.generated, 3)
    assert "| `exact` v1 | multiple choice and matching |" in audited.table()
    monkeypatch.setattr(type(verifier), "version", 2)
    assert audited.recorded(verifier) is None
    assert "| `exact` v2 | multiple choice and matching | not audited |" in audited.table()


def test_a_page_without_a_place_for_the_table_is_wrong_input() -> None:
    with pytest.raises(InputError) as caught:
        audited.in_page("# Verifiers\n")
    assert caught.value.code == "V011"
    page = f"before\n{audited.BEGIN}\nOUTDATED\n{audited.END}\nafter\n"
    made = audited.in_page(page)
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "OUTDATED" not in made
    assert audited.in_page(made) == made


def test_the_page_has_every_verifier_with_the_figures_on_record() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in names():
        assert f"`{name}` v{found(name).version} |" in page, (
            "make the table anew: dataforge verifiers audit --page docs/verifiers.md"
        )
    assert audited.in_page(page) == page


def test_tallies_add_up() -> None:
    one, two = Tally(1, 2, 1, 0, 0), Tally(3, 4, 0, 2, 1)
    two.errors["task"] += 5
    assert (one + two).to_json() == {
        "positives": 4,
        "negatives": 6,
        "false_negatives": 1,
        "false_positives": 2,
        "bad_spans": 1,
        "errors": {"task": 5},
    }
    assert Tally.from_json((one + two).to_json()) == one + two
