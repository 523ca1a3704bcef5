"""`dataforge length report`: three arms on disk, compared; what does not match; what hostile names do to the page."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dataforge.cli import main
from dataforge.errors import InputError
from schemas.chat import Message
from tests.cli.commands import environment
from trainer.length.degeneration import Reference
from trainer.length.drawing import label
from trainer.length.report import analyse, matched, write_report
from trainer.length.trace import Trace, write_traces

LIMIT, BUDGET = 1_000, 600
SETTINGS: dict[str, Any] = {"context": LIMIT, "output": 800, "budget": BUDGET}


def arm(
    kind: str, benchmarks: Sequence[str] = ("sums", "words"), problems: int = 12, samples: int = 2
) -> list[Trace]:
    """Traces of a policy that thinks too long on every third problem: as it is, forced to stop, or taught to."""
    found = []
    for benchmark in benchmarks:
        for problem in range(problems):
            for sample in range(samples):
                draw = random.Random(f"{kind}/{benchmark}/{problem}/{sample}")
                long, length = problem % 3 == 0, draw.randrange(100, 500)
                text = " ".join(
                    draw.choice(["so", "we", "add", "one", "to", "two", "and"]) for _ in range(140)
                )
                one = Trace(
                    id=f"{kind}-{benchmark}-{problem}-{sample}",
                    benchmark=benchmark,
                    problem=str(problem),
                    sample=sample,
                    messages=(Message(role="user", content=f"problem {problem} of {benchmark}"),),
                    budget=None,
                    limit=LIMIT,
                    prompt_tokens=50,
                    thinking=text,
                    thinking_tokens=length,
                    closed=True,
                    case="finished",
                    answer="4",
                    answer_tokens=20,
                    ended=True,
                    expected="4",
                    score=float(draw.random() < 0.8),
                )
                if long and kind == "base":
                    one = replace(
                        one,
                        thinking_tokens=950,
                        closed=False,
                        case="thinking",
                        score=0.0,
                        ended=False,
                        answer_tokens=0,
                    )
                elif long and kind == "forced":
                    one = replace(one, budget=BUDGET, thinking_tokens=BUDGET, closed=False, case="thinking")
                elif long:
                    one = replace(one, thinking_tokens=BUDGET + draw.randrange(-5, 6))
                found.append(one)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("traces")
    for kind in ("base", "forced", "tuned"):
        write_traces(root / kind, arm(kind), {})
    return root


def report(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = 0
    try:
        main(["length", "report", *map(str, arguments)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class Text(HTMLParser):
    """What a reader sees of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags = "", set[str]()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def test_three_arms_on_one_page(folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [word for name in ("base", "forced <b>", "tuned") for word in ("--name", name)]
    out = tmp_path / "report"
    code, said, _ = report(
        capsys,
        *(folders / kind for kind in ("base", "forced", "tuned")),
        *names,
        *("--context", "1000", "--output", "800", "--price", "2", "-o", out),
    )
    assert code == 0
    assert "tuned: overlong 33.3% → 0.0% (−100.0%)" in said
    document = json.loads((out / "report.json").read_bytes())
    # The budget is that of the forced traces, since no other is there.
    assert document["budget"] == BUDGET
    for group in (*document["benchmarks"].values(), document["all"]):
        base, tuned = group["arms"]["base"], group["arms"]["tuned"]
        assert base["overlong_context"]["value"] == base["overlong_output"]["value"] == pytest.approx(1 / 3)
        assert tuned["closing"]["at_budget"]["value"] == pytest.approx(1 / 3)
        assert group["against"]["tuned"]["score_where_finished"]["problems"] == base["problems"] * 2 / 3
        # 950 tokens became about 600 on a third, and 20 of answer.
        assert group["arms"]["forced <b>"]["tokens"]["value"] < base["tokens"]["value"]
    page = (out / "report.html").read_text(encoding="utf-8")
    seen = Text(page).words
    assert "no </think> within 1,000 tokens of prompt and output together" in seen
    assert "no </think> within 800 tokens of output" in seen
    assert "forced <b>" in seen
    assert "16 of 48 runs of forced <b> were closed from outside" in seen
    assert 'src="data:image/png;base64,' in page
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    total = document["all"]["arms"]["base"]["tokens"]["total"]
    assert f"{total * 2 / 1e6:,.2f}" in seen


def test_json_is_the_document(folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = report(capsys, folders / "base", folders / "tuned", "--json", "-o", tmp_path)
    assert code == 0
    document = json.loads(said, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert document == json.loads((tmp_path / "report.json").read_bytes())
    # By default what the first arm had, and 0.8 of it.
    assert (document["context"], document["output"]) == (LIMIT, LIMIT * 4 // 5)


HOSTILE = ("<script>alert(1)</script>", r"$\frac{1}$ & $x", "_hidden", "a\x1b[2J\u202eb", "再び" * 40)


def test_names_are_data(tmp_path: Path) -> None:
    """Of arms and of benchmarks: no markup, no formula, nothing hidden or turned, and no warning about glyphs."""
    tuned = [
        replace(t, asked=100 * (1 + int(t.problem))) for t in arm("tuned", HOSTILE, problems=3, samples=1)
    ]
    arms = {"base": arm("base", HOSTILE, problems=3, samples=1), **dict.fromkeys(HOSTILE, tuned)}
    document = write_report(arms, tmp_path, **SETTINGS)
    page = Text((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    for name in HOSTILE:
        assert page.words.count(name.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")) > 20
    assert not {"\x1b", "\u202e"} & set(page.words)
    assert list(document["benchmarks"]) == sorted(HOSTILE)


def test_a_name_for_matplotlib_is_no_formula_and_not_hidden() -> None:
    assert [label(name) for name in HOSTILE[1:4]] == [r"\$\frac{1}\$ & \$x", " _hidden", "a\ufffd[2J\ufffdb"]
    assert label("x" * 40) == "x" * 23 + "…"


def test_arms_of_other_problems_are_refused_and_told_apart(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = [t for t in arm("tuned") if not (t.benchmark == "words" and t.problem in ("4", "7"))]
    write_traces(tmp_path / "fewer", fewer, {})
    both = (folders / "base", tmp_path / "fewer")
    code, _, err = report(capsys, *both, "-o", tmp_path / "out")
    assert code == 2
    assert "error[L010]" in err
    assert "fewer lacks 2: 4 of words, 7 of words" in err
    assert "--only-common" in err
    assert not (tmp_path / "out").exists()
    code, said, _ = report(capsys, *both, "-o", tmp_path / "out", "--only-common")
    assert code == 0
    assert "compared on the 22 problems that all arms have; left out: 2 of base" in said
    document = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert document["all"]["arms"]["base"]["problems"] == 22


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ({"base": arm("base")}, "there is one arm only"),
        ({"base": arm("base"), "tuned": []}, "`tuned` has no traces"),
        ({"base": arm("base", ["sums"]), "tuned": arm("tuned", ["words"])}, "no problem is in all arms"),
    ],
)
def test_nothing_to_compare(arms: dict[str, list[Trace]], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as refused:
        write_report(arms, tmp_path, **SETTINGS, only_common=True)
    assert refused.value.code == "L010"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["base", "base"], "two folders are called base"),
        (["base", "tuned", "--name", "one"], "2 folders and 1 names"),
    ],
)
def test_names_that_do_not_tell_folders_apart(
    arguments: list[str], words: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(folders / word) if word in ("base", "tuned") else word for word in arguments]
    code, _, err = report(capsys, *paths)
    assert (code, "error[L001]" in err, words in err) == (2, True, True)


def test_a_folder_that_cannot_be_written(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = report(capsys, folders / "base", folders / "tuned", "-o", tmp_path / "file" / "report")
    assert code == 1
    assert "error[R021]" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t if t.sample == 0 else None,
            "not as many runs a problem everywhere: 2 in base, 1 in tuned",
        ),
        (lambda t: replace(t, limit=2_000), "they had not the same context: 1,000 in base, 2,000 in tuned"),
        (
            lambda t: replace(t, prompt_tokens=51),
            "24 prompts of tuned have not as many tokens as the same prompts of base: another tokenizer",
        ),
        (
            lambda t: replace(t, messages=(Message(role="user", content="another question"),)),
            "24 problems of tuned have another last message of the user",
        ),
        (lambda t: replace(t, score=None), "48 of 48 runs of tuned have no score"),
        (
            lambda t: replace(t, limit=500, closed=False, case="thinking", thinking_tokens=440),
            "48 runs of tuned were cut off before the context or the output that was asked about",
        ),
    ],
)
def test_arms_that_are_not_alike_are_told(change: Any, words: str) -> None:
    tuned = [changed for t in arm("tuned") if (changed := change(t)) is not None]
    document = analyse({"base": arm("base"), "tuned": tuned}, **SETTINGS)
    assert any(words in note for note in document["notes"]), document["notes"]


def test_arms_that_are_alike_need_no_note() -> None:
    assert analyse({"base": arm("base"), "tuned": arm("tuned")}, **SETTINGS)["notes"] == []


def test_a_system_line_that_asks_for_a_budget_is_no_other_tokenizer() -> None:
    line = Message(role="system", content="reasoning budget: 600")
    tuned = [replace(t, messages=(line, *t.messages), prompt_tokens=60, asked=600) for t in arm("tuned")]
    document = analyse({"base": arm("base"), "tuned": tuned}, **SETTINGS)
    assert document["notes"] == []
    assert document["dial"]["tuned"]["steps"][0]["asked"] == 600


def test_arms_that_were_each_asked_for_another_budget_are_one_dial(tmp_path: Path) -> None:
    asked = {
        f"tuned {budget}": [replace(t, asked=budget, thinking_tokens=budget - 1) for t in arm("tuned")]
        for budget in (600, 100)
    }
    document = write_report({"base": arm("base"), **asked}, tmp_path, **SETTINGS)
    [(name, found)] = document["dial"].items()
    assert name == "tuned 600 + tuned 100"
    assert [(step["asked"], step["median"]) for step in found["steps"]] == [(100, 99), (600, 599)]
    assert found["monotone"] is True
    # Two policies that were asked for the same are two dials.
    twins = dict.fromkeys(("one", "other"), asked["tuned 600"])
    assert list(analyse({"base": arm("base"), **twins}, **SETTINGS)["dial"]) == ["one", "other"]


def test_where_nobody_thinks_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    silent = [replace(t, thinking="", thinking_tokens=0) for t in arm("tuned", ["sums"], 1, 1)]
    document = write_report({"base": silent, "tuned": silent}, tmp_path, **SETTINGS)
    page = Text((tmp_path / "report.html").read_text()).words
    assert "on the 1 problem that “base” finished" in page
    assert "Loops and word salad" not in page
    assert document["all"]["arms"]["base"]["closing"]["none"]["value"] == 1.0


def test_p_values_are_corrected_over_benchmarks_and_arms() -> None:
    arms = {kind: arm(kind) for kind in ("base", "forced", "tuned")}
    document = analyse(arms, **SETTINGS)
    family = [
        group["against"][name]["score"]
        for group in document["benchmarks"].values()
        for name in ("forced", "tuned")
    ]
    assert len(family) == 4
    smallest = min(family, key=lambda found: found["p"])
    assert smallest["p_holm"] == pytest.approx(min(1.0, 4 * smallest["p"]))
    # Four of twelve problems of each benchmark went from 1 to 0: 2 / 2⁴ by signs.
    overlong = document["benchmarks"]["sums"]["against"]["tuned"]["overlong_context"]
    assert (overlong["p"], overlong["p_holm"]) == pytest.approx((2 / 2**4, 4 * 2 / 2**4))
    # All benchmarks together are none of the family.
    assert "p_holm" not in document["all"]["against"]["tuned"]["score"]


def test_text_is_held_against_a_run_of_every_problem_before_a_second_of_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And only against what the first arm closed by itself."""
    given: list[Any] = []

    def record(texts: Any) -> Reference:
        given.extend(texts)
        return Reference(given)

    monkeypatch.setattr("trainer.length.report.Reference", record)
    base = arm("base")
    texts = [t.thinking for t in base if t.closed]
    analyse({"base": base, "tuned": arm("tuned")}, **SETTINGS)
    problems = [problem for problem, _ in given]
    assert len(set(problems[: len(problems) // 2])) == len(set(problems)) == 16
    assert sorted(text for _, text in given) == sorted(texts)


def test_all_is_the_mean_over_problems_of_every_benchmark() -> None:
    base = arm("base", ["sums"], problems=3) + arm("base", ["words"], problems=12)
    tuned = arm("tuned", ["sums"], problems=3) + arm("tuned", ["words"], problems=12)
    document = analyse({"base": base, "tuned": tuned}, **SETTINGS)
    for kind, traces in (("base", base), ("tuned", tuned)):
        found = document["all"]["arms"][kind]["score"]["value"]
        assert found == pytest.approx(sum(t.score or 0.0 for t in traces) / len(traces))


def test_the_order_of_traces_does_not_matter() -> None:
    arms = {kind: arm(kind) for kind in ("base", "tuned")}
    mixed = {kind: random.Random(1).sample(traces, len(traces)) for kind, traces in arms.items()}
    a, b = (analyse(each, **SETTINGS) for each in (arms, mixed))
    assert flat(a) == pytest.approx(flat(b), rel=1e-12)


def flat(document: Any) -> dict[str, float]:
    """Numbers by their place."""
    found: dict[str, float] = {}

    def walk(place: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(f"{place}/{name}", inner)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                walk(f"{place}/{number}", inner)
        elif isinstance(value, int | float):
            found[place] = float(value)

    walk("", document)
    return found


def test_a_report_is_the_same_bytes_whatever_the_hash_seed(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Ours is drawn anew for every process, unless somebody set it.
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    arguments = ["length", "report", folders / "base", folders / "tuned", "-o"]
    subprocess.run(
        [sys.executable, "-m", "dataforge", *map(str, arguments), tmp_path / "there"],
        env=environment(PYTHONHASHSEED=seed),
        check=True,
        capture_output=True,
    )
    report(capsys, *arguments[2:], tmp_path / "here")
    names = ["report.html", "report.json", "report.png"]
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == names
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_what_all_arms_share_is_kept_whole() -> None:
    arms = {"base": arm("base", problems=4), "tuned": arm("tuned", problems=6)}
    kept, told = matched(arms, only_common=True)
    assert kept["base"] == arms["base"]
    assert {t.problem for t in kept["tuned"]} == {"0", "1", "2", "3"}
    assert re.search("8 problems .* left out: 4 of tuned", told[0])
