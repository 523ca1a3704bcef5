"""`verify`: samples drawn side by side, checked as they come, and kept by the rule that the node gives."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.read import read_rows
from dataforge.errors import RunError, SeedError
from dataforge.lang.diagnostics import CompileError
from dataforge.models import grading
from dataforge.plan.artifact import Plan, compile_program
from dataforge.run.dry import dry_run
from dataforge.run.options import RunOptions, RunSummary
from schemas.chat import Message
from schemas.corpus import Row
from tests.e2e import verifier_package
from tests.e2e.server import ModelServer
from tests.e2e.test_run import go

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "graphs" / "rejection.forge"
STRUCTS = """
from schemas.task import Task
struct Note { text: str  score: float = 0  rate: float = 0  whole: int = 0  reasoning: str? = null }
generator writer
judge critic
rubric good { clear "Is it clear?" in 1..5  accept clear >= 3 }
"""
GRAPH = """
graph main {
  from Task
  to Note
  nodes solve
  emit { user "{{ Task.prompt }}"  assistant "{{ Note.text }}" }
}
"""


class Solver(ModelServer):
    """Answers "What is a + b?" rightly in a share of cases that does not depend on the order of the requests' rows."""

    def __init__(self, accuracy: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.accuracy = accuracy
        self.asked: Counter[str] = Counter()
        self.right: Counter[str] = Counter()
        self.scripts: dict[int, list[str]] = {}

    def text(self, messages: list[Message]) -> str:
        found = re.search(r"What is (\d+) \+ (\d+)\?", messages[-1].content)
        if found is None:
            return super().text(messages)
        total = int(found[1]) + int(found[2])
        with self.lock:
            number = self.asked[found[0]]
            self.asked[found[0]] += 1
        if total in self.scripts:
            return self.scripts[total][number % len(self.scripts[total])]
        if random.Random(f"{found[0]}/{number}").random() < self.accuracy:
            with self.lock:
                self.right[found[0]] += 1
            return f"By careful adding, way {number}, it is {total}"
        return f"It may be {total + 7 + number}"


@pytest.fixture(autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("package") / "site"
    with verifier_package.installed(folder):
        yield folder


@pytest.fixture
def server() -> Iterator[Solver]:
    with Solver() as running:
        yield running


def planned(folder: Path, verify: str, gives: str = "gives Note", more: str = "", graph: str = GRAPH) -> Plan:
    (folder / "dataforge.toml").write_text('[project]\nname = "test"\n')
    node = (
        f'node solve {{\n takes Task\n {gives}\n ask writer {{ prompt "{{{{ Task.prompt }}}}"  into Note.text }}\n'
        f" {verify}\n {more}\n}}\n"
    )
    (folder / "main.forge").write_text(STRUCTS + node + graph)
    return compile_program(folder / "main.forge")


def task(total: int, **more: Any) -> str:
    return json.dumps(
        {"prompt": f"What is {total - 1} + 1?", "facts": {"total": total}, "verifier": "sums", **more}
    )


def ran(
    plan: Plan, folder: Path, server: Solver, tasks: list[str] | None = None, **options: Any
) -> tuple[RunSummary, list[Row], list[Row]]:
    seeds = options.pop("seeds", None)
    if tasks is not None:
        (folder / "tasks.jsonl").write_text("\n".join(tasks) + "\n")
        seeds = (str(folder / "tasks.jsonl"),)
    summary = go(plan, folder / "out", server, seeds=seeds, **options)
    rejected = list(read_rows(folder / "out", rejected=True))
    return summary, list(read_rows(folder / "out")), rejected


IDEAS = """
struct Idea { text: str }
node ideas {
  takes Task
  gives many 3..3 Idea
  ask writer { prompt "Ideas for a task, please."  into Idea.text }
}
node solve {
  takes Task, Idea
  gives Note
  ask writer { prompt "{{ Idea.text }}: {{ Task.prompt }}"  into Note.text }
  verify Task { samples 4  keep best }
}
"""


def reasons(rows: list[Row]) -> list[tuple[str, str]]:
    return [
        (json.loads(row.reason or "{}")["code"], json.loads(row.reason or "{}")["message"]) for row in rows
    ]


# ---- what is kept


def test_the_best_of_the_samples_is_kept_with_its_score_and_the_others_are_on_record(
    tmp_path: Path, server: Solver
) -> None:
    server.scripts[10] = ["It is 12", "It is 9, or so: 11", "surely 10", "I cannot say"]
    plan = planned(
        tmp_path,
        "verify Task { samples 4  keep best  score Note.score  rate Note.rate }",
        more="post Note.score == 1",
    )
    summary, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert (summary.kept, summary.rejected) == (1, 0)
    final = next(row for row in kept if row.kind == "final")
    assert final.messages[-1].content == "surely 10"
    assert json.loads(final.state)["Note"] == {
        "text": "surely 10",
        "score": 1.0,
        "rate": 0.25,
        "whole": 0,
        "reasoning": None,
    }
    assert {(v.criterion, v.score) for v in final.verdicts} == {("sums", 1.0), ("pass_rate", 0.25)}
    (call,) = [row for row in kept if row.kind == "call"]
    assert call.messages[-1].content == "surely 10"
    assert {row.messages[-1].content for row in rejected} == {
        "It is 12",
        "It is 9, or so: 11",
        "I cannot say",
    }
    for row in rejected:
        assert (row.kind, row.node, row.seed_id) == ("call", "solve", call.seed_id)
        assert row.messages[:-1] == call.messages[:-1]
        assert "Note" not in json.loads(row.state)  # it gave none that stands
        (line,) = row.verdicts
        assert line.criterion == "sums"
        assert line.score == (0.25 if "11" in row.messages[-1].content else 0.0)
    assert {code for code, _ in reasons(rejected)} == {"R111"}


def test_a_higher_score_goes_before_an_earlier_sample(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["it is 9", "it is 10"]
    plan = planned(tmp_path, "verify sums(10, tolerance = 1) { samples 2  keep best  score Note.score }")
    _, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert next(r for r in kept if r.kind == "final").messages[-1].content == "it is 10"
    assert reasons(rejected) == [("R115", "it passes, and another sample is kept")]


def test_no_sample_passes_and_the_row_is_rejected_with_every_sample(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["It is 12", "It is 13"]
    plan = planned(tmp_path, "verify Task { samples 2 }")
    summary, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert (summary.kept, summary.rejected, kept) == (0, 1, [])
    (whole,) = [row for row in rejected if row.kind == "final"]
    assert reasons([whole]) == [("R111", "0 of 2 samples pass; sums: the number is wrong")]
    assert ("pass_rate", 0.0) in {(v.criterion, v.score) for v in whole.verdicts}
    assert len([row for row in rejected if row.kind == "call"]) == 2


def test_first_stops_drawing_and_pays_for_few(tmp_path: Path) -> None:
    with Solver(delay_s=0.05) as server:
        plan = planned(tmp_path, "verify Task { samples 8  keep first }")
        text = server.models_file().replace("retry_base_s", "concurrency = 1\nretry_base_s")
        server.models_file = lambda: text  # type: ignore[method-assign]
        summary, kept, _ = ran(plan, tmp_path, server, [task(n) for n in (10, 20, 30)])
    assert summary.kept == 3
    assert len([row for row in kept if row.kind == "call"]) == 3
    assert server.calls < 3 * 8 / 2


def test_all_gives_a_row_for_each_winner_that_differs(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = [
        "Adding one to nine I get ten, which is written 10",
        "adding one to nine, I get ten; which is written 10",
        "It is 11",
        "Count on from nine once: that makes 10",
    ]
    plan = planned(
        tmp_path, "verify Task { samples 4  keep all  rate Note.rate }", gives="gives many 1..3 Note"
    )
    summary, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    finals = [row for row in kept if row.kind == "final"]
    assert summary.kept == 1
    assert len(finals) == 2
    assert {row.messages[-1].content[:6].casefold() for row in finals} == {"adding", "count "}
    assert [json.loads(row.state)["Note"]["rate"] for row in finals] == [0.75, 0.75]
    assert Counter(code for code, _ in reasons(rejected)) == {"R111": 1, "R115": 1}
    assert len({row.id for row in [*kept, *rejected]}) == len(kept) + len(rejected)


def test_too_few_that_differ(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["It is 10"]
    plan = planned(tmp_path, "verify Task { samples 3  keep all }", gives="gives many 2..3 Note")
    _, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert kept == []
    told = [("R111", "3 of 3 samples pass, and the node gives at least 2 that differ")]
    assert reasons([row for row in rejected if row.kind == "final"]) == told
    assert Counter(code for code, _ in reasons(rejected)) == {"R111": 1, "R115": 3}


def test_tasks_that_are_too_easy_or_too_hard_are_left_out(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["It is 10"]
    server.scripts[20] = ["It is 20", "It is 1"]
    server.scripts[30] = ["It is 1"]
    plan = planned(tmp_path, "verify Task { samples 4  keep best  pass_rate 0.1..0.9 }")
    summary, kept, rejected = ran(plan, tmp_path, server, [task(10), task(20), task(30)])
    assert summary.kept == 1
    assert next(r for r in kept if r.kind == "final").messages[-1].content == "It is 20"
    finals = dict(reasons([row for row in rejected if row.kind == "final"]))
    assert finals["R113"] == "4 of 4 samples pass, and `pass_rate` wants 0.1..0.9 of them"
    assert "0 of 4" in finals["R111"]


def test_a_budget_bounds_what_is_asked_for_and_what_is_kept(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["one two three four five 10", "it is 10"]
    seen: list[Any] = []
    reply = server.reply
    server.reply = lambda body: (seen.append(body.get("max_tokens")), reply(body))[1]  # type: ignore[method-assign]
    plan = planned(tmp_path, "verify Task { samples 2  keep all  budget 4 }", gives="gives many Note")
    _, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert [r.messages[-1].content for r in kept if r.kind == "final"] == ["it is 10"]
    assert reasons(rejected) == [("R111", "it took 6 tokens, and the budget is 4")]
    assert 4 in seen


def test_each_of_several_rows_keeps_its_own_samples_on_record(tmp_path: Path, server: Solver) -> None:
    server.answers["Ideas for"] = json.dumps({"items": ["alpha", "beta", "gamma"]})
    server.scripts[10] = ["it is 10", "it is 1", "it is 2", "it is 3"]
    (tmp_path / "dataforge.toml").write_text('[project]\nname = "test"\n')
    (tmp_path / "main.forge").write_text(STRUCTS + IDEAS + GRAPH.replace("nodes solve", "nodes *"))
    plan = compile_program(tmp_path / "main.forge")
    task_about = json.dumps({"prompt": "What is 9 + 1?", "facts": {"total": 10}, "verifier": "sums"})
    _, kept, rejected = ran(plan, tmp_path, server, [task_about])
    samples = [row for row in [*kept, *rejected] if row.kind == "call" and row.node == "solve"]
    assert len(samples) == 12
    assert Counter(row.messages[0].content.partition(":")[0] for row in samples) == {
        "alpha": 4,
        "beta": 4,
        "gamma": 4,
    }


def test_a_sample_that_passes_is_on_record_where_its_row_is_rejected_later(
    tmp_path: Path, server: Solver
) -> None:
    server.scripts[10] = ["it is 10", "it is 1"]
    server.answers["Praise"] = "no"
    (tmp_path / "dataforge.toml").write_text('[project]\nname = "test"\n')
    nodes = """
struct Praise { text: str }
node solve {
  takes Task
  gives Note
  ask writer { prompt "{{ Task.prompt }}"  into Note.text }
  verify Task { samples 2  keep best }
}
node praise {
  takes Note
  gives Praise
  post words(Praise.text) >= 5
  ask writer { prompt "Praise {{ Note.text }}"  into Praise.text }
  retry 0
}
"""
    graph = GRAPH.replace("to Note", "to Note, Praise").replace("nodes solve", "nodes *")
    (tmp_path / "main.forge").write_text(STRUCTS + nodes + graph)
    plan = compile_program(tmp_path / "main.forge")
    _, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert kept == []
    codes = Counter(code for code, _ in reasons([row for row in rejected if row.kind == "call"]))
    assert codes == {"R111": 1, "R115": 1}


def test_a_budget_lowers_what_a_model_may_write_and_never_raises_it(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["it is 10"]
    seen: list[tuple[int, int]] = []
    reply = server.reply

    def noted(body: dict[str, Any]) -> dict[str, Any]:
        if body["messages"][-1]["content"].startswith("What is"):
            seen.append((body["max_tokens"], body["seed"]))
        return reply(body)

    server.reply = noted  # type: ignore[method-assign]
    models = server.models_file().replace("retry_base_s", "max_tokens = 64\nseed = 7\nretry_base_s")
    server.models_file = lambda: models  # type: ignore[method-assign]
    ran(planned(tmp_path, "verify Task { samples 3  budget 100_000 }"), tmp_path, server, [task(10)])
    # A server that heeds the seed draws three samples, and not one three times.
    assert sorted(seen) == [(64, 7), (64, 8), (64, 9)]


def test_the_share_that_passes_is_of_samples_that_keep_the_contract(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["it is 10", "long it is, and right all the same: 10", "it is 3"]
    post = "post words(Note.text) <= 4"
    for verify in (
        "verify Task { samples 3  pass_rate 0.6..1 }",
        "verify Task { samples 3  pass_rate 0.6..1  rate Note.rate }",
    ):
        folder = tmp_path / str(len(verify))
        folder.mkdir()
        server.asked.clear()
        _, kept, rejected = ran(planned(folder, verify, more=post), folder, server, [task(10)])
        assert kept == []
        assert [code for code, _ in reasons([row for row in rejected if row.kind == "final"])] == ["R113"]


def test_a_judge_that_cannot_be_read_costs_one_sample_and_not_the_row(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["it is 10, said one way", "10 it is, by another way"]
    good = json.dumps({"criteria": [{"criterion": "clear", "reason": "so", "score": 4}]})
    text = server.text

    def judged(messages: list[Message]) -> str:
        if grading.read(messages[:1]) is None and grading.read(messages) is None:
            return text(messages)
        told = "".join(message.content for message in messages)
        return "I would rather not" if "said one way" in told else good

    server.text = judged  # type: ignore[method-assign]
    plan = planned(tmp_path, "verify Task { samples 2  keep best }", more="judge critic { rubric good }")
    _, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    assert [row.messages[-1].content for row in kept if row.kind == "final"] == ["10 it is, by another way"]
    assert [code for code, _ in reasons(rejected)] == ["R106"]


# ---- what is nobody's fault


def test_what_is_wrong_with_a_task_is_told_before_a_sample_is_paid_for(
    tmp_path: Path, server: Solver
) -> None:
    plan = planned(tmp_path, "verify Task { samples 4 }")
    bad = json.dumps({"prompt": "What is 1 + 1?", "facts": {"totl": 2}, "verifier": "sums"})
    _, _, rejected = ran(plan, tmp_path, server, [bad])
    assert [code for code, _ in reasons(rejected)] == ["R112"]
    assert server.calls == 0


def test_a_verifier_that_fails_counts_for_no_sample(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["crash", "It is 10", "It is 12"]
    plan = planned(tmp_path, "verify Task { samples 3  keep best  rate Note.rate }")
    _, kept, rejected = ran(plan, tmp_path, server, [task(10)])
    final = next(row for row in kept if row.kind == "final")
    assert json.loads(final.state)["Note"]["rate"] == 0.5
    assert Counter(code for code, _ in reasons(rejected)) == {"R111": 1, "R112": 1}


def test_facts_that_make_no_sense_reject_the_row_and_not_the_answer(tmp_path: Path, server: Solver) -> None:
    plan = planned(tmp_path, "verify Task { samples 2 }")
    bad = json.dumps({"prompt": "What is 1 + 1?", "facts": {"totl": 2}, "verifier": "sums"})
    other = json.dumps({"prompt": "What is 1 + 1?", "facts": {"total": 2}, "verifier": "nobody"})
    _, _, rejected = ran(plan, tmp_path, server, [bad, other])
    finals = reasons([row for row in rejected if row.kind == "final"])
    assert [code for code, _ in finals] == ["R112", "R112"]
    assert "total: Field required" in "".join(message for _, message in finals)
    assert "there is no verifier `nobody`" in "".join(message for _, message in finals)


def test_without_a_sandbox_the_run_stops(tmp_path: Path, server: Solver) -> None:
    server.scripts[10] = ["no sandbox"]
    plan = planned(tmp_path, "verify Task { samples 2 }")
    with pytest.raises(RunError, match="cannot run code safely") as caught:
        ran(plan, tmp_path, server, [task(10)])
    assert caught.value.code == "R114"


# ---- a judge in the place of a verifier


def test_a_judge_verifies_by_its_rubric(tmp_path: Path, server: Solver) -> None:
    verify = "verify critic { rubric good  samples 2  keep best  score Note.score }"
    server.verdict = json.dumps({"criteria": [{"criterion": "clear", "reason": "so", "score": 4}]})
    _, kept, _ = ran(planned(tmp_path, verify), tmp_path, server, [task(10)])
    assert json.loads(kept[0].state)["Note"]["score"] == 0.75  # 4 on a scale from 1 to 5
    server.verdict = json.dumps({"criteria": [{"criterion": "clear", "reason": "a muddle", "score": 2}]})
    (tmp_path / "again").mkdir()
    _, kept, rejected = ran(planned(tmp_path / "again", verify), tmp_path / "again", server, [task(10)])
    assert kept == []
    assert "a muddle" in reasons(rejected)[0][1]


# ---- whole runs


def test_the_share_kept_fits_the_theory(tmp_path: Path) -> None:
    """Of a model that is right in 30% of its answers, best of 4 keeps 1 − 0.7⁴ of the tasks."""
    with Solver(accuracy=0.3) as server:
        plan = compile_program(SHIPPED)
        summary, kept, rejected = ran(plan, tmp_path, server, rows=400, seeds=("verifier:sums",))
    expected = 1 - 0.7**4
    spread = math.sqrt(expected * (1 - expected) / 400)
    assert abs(summary.kept / 400 - expected) < 4 * spread
    assert summary.kept == len(server.right)  # every task that was once answered rightly
    finals = [row for row in kept if row.kind == "final"]
    for row in finals:
        state = json.loads(row.state)
        assert str(state["Task"]["facts"]["total"]) in row.messages[-1].content
    lost = [row for row in rejected if row.kind == "call"]
    assert Counter(code for code, _ in reasons(lost)) == {
        "R111": 1_600 - sum(server.right.values()),
        "R115": sum(server.right.values()) - summary.kept,
    }
    assert server.calls == 1_600


def test_killed_again_and_again_it_draws_no_sample_twice(tmp_path: Path, package: Path) -> None:
    with Solver(accuracy=0.3, delay_s=0.02) as server:
        (tmp_path / "models.toml").write_text(server.models_file())
        more = "--seeds verifier:sums --rows 60 --models models.toml --out out --json"
        command = [sys.executable, "-m", "dataforge", "run", str(SHIPPED), *more.split()]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}
        repeated = 0
        for least in (30, 80, 130):
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while server.calls < least + repeated and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            repeated += 64  # what was in flight may be asked again
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["kept"] + summary["rejected"] == 60
    rows = [*read_rows(tmp_path / "out"), *read_rows(tmp_path / "out", rejected=True)]
    assert len({row.id for row in rows}) == len(rows)
    samples = [row for row in rows if row.kind == "call"]
    passed = [row for row in samples if row.reason is None]
    assert all(any(v.criterion == "sums" and v.score == 1 for v in row.verdicts) for row in passed)
    # Four for each task are on record; more were only asked where a kill caught them in flight.
    assert 240 <= server.calls <= 240 + 3 * 64


# ---- task sources


def test_a_verifier_is_a_source_of_tasks(tmp_path: Path, server: Solver) -> None:
    plan = planned(tmp_path, "verify Task")
    summary, kept, _ = ran(plan, tmp_path, server, seeds=("verifier:sums:5",))
    finals = [row for row in kept if row.kind == "final"]
    assert summary.kept == 5
    assert [row.seed_source for row in sorted(finals, key=lambda r: r.seed_source)] == [
        f"verifier:sums:{n}" for n in range(1, 6)
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["seeds"] == ["verifier:sums"]
    again, _, _ = ran(plan, tmp_path, server, seeds=("verifier:sums:8",))
    assert (again.kept, server.calls) == (8, 8)  # the first five are the same
    found = dry_run(
        plan,
        RunOptions(out=tmp_path / "out", seeds=("verifier:sums:8",), models_file=tmp_path / "models.toml"),
    )
    assert found["rows"] == 8


def test_a_source_of_tasks_may_be_restricted_to_topics(tmp_path: Path, server: Solver) -> None:
    plan = planned(tmp_path, "verify Task")
    summary, kept, _ = ran(plan, tmp_path, server, seeds=("verifier:sums:4:big",))
    states = [
        json.loads(row.state) if isinstance(row.state, str) else row.state
        for row in kept
        if row.kind == "final"
    ]
    assert summary.kept == 4
    assert all(state["Task"]["topic"] == "big" for state in states)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("verifier:sums", "R047"),
        ("verifier:sums:0", "R047"),
        ("verifier:", "R047"),
        ("verifier:summs:3", "V001"),
        ("verifier:sums::big", "R047"),
        ("verifier:sums:3:huge", "V013"),
    ],
)
def test_a_source_that_is_none(tmp_path: Path, server: Solver, source: str, code: str) -> None:
    plan = planned(tmp_path, "verify Task")
    with pytest.raises((SeedError, Exception)) as caught:
        ran(plan, tmp_path, server, seeds=tuple(source.split()))
    assert caught.value.code == code  # type: ignore[attr-defined]


# ---- at compile time


@pytest.mark.parametrize(
    ("verify", "more", "code", "says"),
    [
        ("verify summs(1)", "", "F070", "did you mean `sums`?"),
        ("verify sums(Task.difficulty)", "", "F021", "`total` of `sums` is int"),
        ('verify sums("ten")', "", "F021", "does not fit"),
        ("verify exact(Task.difficulty)", "", "F021", "`answers` of `exact` is list[str], and"),
        ("verify exact(Task.tools)", "", "F021", "`answers` of `exact` is list[str], and"),
        ("verify fuzzy(Task.prompt, threshold = Task.prompt)", "", "F021", "`threshold` of `fuzzy`"),
        ("verify sums(1, 2, 3)", "", "F071", "takes 2 facts"),
        ("verify sums(totl = 1)", "", "F071", "did you mean `total`?"),
        ("verify sums(1, total = 2)", "", "F071", "given twice"),
        ("verify sums(tolerance = 1)", "", "F071", "wants `total`"),
        ("verify Task(1)", "", "F071", "brings its own facts"),
        ("verify critic(1) { rubric good }", "", "F071", "a judge takes no facts"),
        ("verify critic { samples 2 }", "", "F043", "by a rubric"),
        ("verify writer { rubric good }", "", "F047", "is a generator"),
        ("verify Task { samples 0 }", "", "F024", "from 1 to 1,000"),
        ("verify Task { keep worst }", "", "F024", "`best`, `first` or `all`"),
        ("verify Task { pass_rate 0.5 }", "", "F024", "a range"),
        ("verify Task { pass_rate 0..2 }", "", "F024", "a range"),
        ("verify Task { samples 3  keep first  rate Note.rate }", "", "F072", "stops at the first"),
        ("verify Task { samples 3  keep all }", "", "F072", "gives many"),
        ("verify Task { temperature 0.5 }", "", "F024", "the generator's"),
        ("verify Task { samples 2 }  verify Task { samples 3 }", "", "F072", "said twice"),
        ("verify Task", "retry 2", "F072", "draws samples"),
        ("verify Task", "judge critic { rubric good  rounds 2 }", "F072", "no rounds"),
        ("verify Task { rate Note.text  samples 2 }", "", "F021", "is a number"),
        ("verify Task { score Note.whole }", "", "F021", "a number from 0 to 1"),
        ("verify Task { rate Note.rate }", "", "F072", "write `samples N`"),
        ("verify Note", "", "F070", "is a struct"),
    ],
)
def test_what_is_wrong_is_a_compile_error(
    tmp_path: Path, verify: str, more: str, code: str, says: str
) -> None:
    with pytest.raises(CompileError) as caught:
        planned(tmp_path, verify, more=more)
    told = [f"{d.message} {d.help}" for d in caught.value.diagnostics if d.code == code]
    assert told, [f"{d.code} {d.message}" for d in caught.value.diagnostics]
    assert says in " ".join(told)


def test_one_text_may_stand_where_several_are_taken(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, 'verify exact(Task.prompt)  verify exact(answers = ["a", "b"])  verify exact("a")'
    )
    assert plan.graph.nodes()["solve"].rollouts is not None


def test_the_verifiers_version_is_part_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataforge.verifiers import find

    before = planned(tmp_path, "verify sums(1)").hash
    monkeypatch.setattr(type(find("sums")), "version", 2)
    after = planned(tmp_path, "verify sums(1)")
    assert before != after.hash
