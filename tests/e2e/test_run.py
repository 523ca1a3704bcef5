"""Whole runs of every kind of clause, against a real server over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.make import make_corpus
from dataforge.corpus.read import read_manifest, read_rows
from dataforge.domain.conditions import broken
from dataforge.domain.measures import simple_tokens
from dataforge.errors import InputError, OutputError, ProjectError, SeedError
from dataforge.plan.artifact import Plan, compile_program
from dataforge.run.dry import dry_run
from dataforge.run.options import RunOptions, RunSummary
from dataforge.run.progress import Progress
from schemas.corpus import Row
from tests.e2e.server import ModelServer

STRUCTS = """
struct Doc {
  text: str
  kind: "raw" | "fact" | "fiction" | "other" = "raw"
  lang: str = "en"
}
struct Note { text: str  score: float? = null  mood: str = ""  reasoning: str? = null }
generator writer { temperature 0.5 }
judge critic
list moods = ["calm", "cheerful", "stern"]
rubric good { clear "Is it clear?" in 1..5  accept clear >= 3 }
"""

NODES = """
node sort {
  takes Doc
  gives Doc
  pre   Doc.kind == "raw"
  post  Doc.kind in {"fact", "fiction", "other"}
  keeps Doc.text, Doc.lang
  ask writer { prompt "Sort: {{ Doc.text }}"  into Doc.kind }
  branch Doc.kind else reject
}
node jot_fact {
  takes Doc
  gives Note
  pre   Doc.kind == "fact"
  post  Note.score >= 4, words(Note.text) in 2..40
  draw  mood from moods
  ask writer { system "You are {{ mood }}."  prompt "Fact: {{ Doc.text }}"  into Note.text }
  judge critic { rubric good  score Note.score  rounds 1 }
  set Note.mood = Doc.lang
}
node jot_fiction {
  takes Doc
  gives Note
  pre   Doc.kind == "fiction"
  post  words(Note.text) >= 2
  call  "functions:fiction"
  train none
}
"""

GRAPH = """
graph main {
  from Doc where Doc.kind == "raw", words(Doc.text) >= 2
  to Note
  nodes *
  seeds "seeds.jsonl"
  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}"  reasoning Note.reasoning }
}
"""

FUNCTIONS = """
from dataforge import Reject


def fiction(doc):
    if "dragon" in doc.text:
        raise Reject("no dragons")
    return {"text": "a tale of " + doc.text, "mood": "grim"}
"""


def write_project(folder: Path, text: str, seeds: list[dict[str, Any]], functions: str = FUNCTIONS) -> Path:
    (folder / "dataforge.toml").write_text('[project]\nname = "test"\n')
    (folder / "functions.py").write_text(functions)
    (folder / "seeds.jsonl").write_text("".join(json.dumps(s) + "\n" for s in seeds))
    (folder / "main.forge").write_text(text)
    return folder / "main.forge"


def go(plan: Plan, out: Path, server: ModelServer, **options: Any) -> RunSummary:
    models = out.parent / "models.toml"
    models.write_text(server.models_file())
    run = make_corpus(
        plan,
        RunOptions(out=out, models_file=models, **options),
        Progress(),
        command="test",
        environ={},
    )
    return asyncio.run(run)


def recheck(plan: Plan, row: Row) -> list[str]:
    """Postconditions of the last giver of each struct of the row's final state, checked from the stored state alone."""
    state = {
        name: plan.program.structs[name].model.model_validate(fields)
        for name, fields in json.loads(row.state).items()
    }
    nodes = plan.graph.nodes()
    last = {struct: name for name in row.path for struct in nodes[name].gives}
    failing = broken(plan.graph.goal, state, simple_tokens)
    for name in dict.fromkeys(last.values()):
        if all(last[struct] == name for struct in nodes[name].gives):
            failing += broken(nodes[name].post, state, simple_tokens)
    return failing


SEEDS = [
    {"text": "water is wet", "lang": "de"},
    {"text": "a dragon sleeps"},
    {"text": "a fox sleeps"},
    {"text": "nothing at all here"},
    {"text": "short"},
]


@pytest.fixture
def server() -> Any:
    with ModelServer() as running:
        running.answers = {
            "^Sort: water": "Fact.",
            "^Sort: a ": "fiction",
            "^Sort: nothing": "other",
            "^Fact: ": "Water is wet indeed.",
        }
        yield running


def test_every_row_ends_as_its_contracts_say(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS))
    summary = go(plan, tmp_path / "out", server)
    assert (summary.attempted, summary.kept, summary.rejected, summary.failed, summary.filtered) == (
        4,
        2,
        2,
        0,
        1,
    )
    assert summary.rejected_by == {"R104": 1, "R109": 1}
    rows = list(read_rows(tmp_path / "out"))
    finals = {tuple(r.path): r for r in rows if r.kind == "final"}
    assert set(finals) == {("sort", "jot_fact"), ("sort", "jot_fiction")}
    fact = finals["sort", "jot_fact"]
    assert [(m.role, m.content, m.train) for m in fact.messages] == [
        ("user", "water is wet", False),
        ("assistant", "Water is wet indeed.", True),
    ]
    assert json.loads(fact.state)["Note"]["mood"] == "de"
    assert [(v.criterion, v.score) for v in fact.verdicts] == [("clear", 5.0)]
    assert {m.role for m in fact.models} == {"writer", "critic"}
    calls = [r for r in rows if r.kind == "call"]
    assert sorted(r.node for r in calls) == ["jot_fact", "jot_fact", "sort", "sort"]
    assert any(m.role == "system" and m.content.startswith("You are ") for r in calls for m in r.messages)
    assert not [r.id for r in rows for f in [recheck(plan, r)] if r.kind == "final" and f]
    reasons = {json.loads(r.reason or "{}")["message"] for r in read_rows(tmp_path / "out", rejected=True)}
    assert "no dragons" in reasons
    manifest = read_manifest(tmp_path / "out")
    assert manifest["plan"] == plan.hash
    counts = manifest["counts"]
    assert counts["attempted"] == counts["kept"] + counts["rejected"] + counts["failed"]


def test_a_second_start_makes_no_call(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS))
    go(plan, tmp_path / "out", server)
    before = server.calls
    first = {p.name: p.read_bytes() for p in (tmp_path / "out" / "data").iterdir()}
    again = go(plan, tmp_path / "out", server)
    assert server.calls == before
    assert (again.resumed, again.calls) == (4, 0)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "data").iterdir()} == first


def test_more_rows_go_on_from_fewer(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS))
    assert go(plan, tmp_path / "out", server, rows=1).attempted == 1
    calls = server.calls
    assert go(plan, tmp_path / "out", server).attempted == 4
    assert max(server.prompts.values()) == 1
    assert server.calls > calls


def test_a_judge_that_refuses_sends_the_verdict_back(tmp_path: Path, server: ModelServer) -> None:
    server.score = 2.0
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS[:1]))
    summary = go(plan, tmp_path / "out", server)
    assert summary.rejected_by == {"R107": 1}
    asked = [json.loads(p) for p in server.prompts]
    again = [m for m in asked if m[-1]["content"].startswith("That is not good enough")]
    assert len(again) == 1
    assert "clear (2): as told" in again[0][-1]["content"]
    (row,) = read_rows(tmp_path / "out", rejected=True)
    assert [v.round for v in row.verdicts] == [0, 1]


def test_a_broken_post_is_retried_with_the_reason_then_rejected(tmp_path: Path, server: ModelServer) -> None:
    server.answers |= {"^Fact: ": "one", "^That is not": "two"}
    plan = compile_program(
        write_project(
            tmp_path, STRUCTS + NODES.replace("set Note.mood", "retry 1\n  set Note.mood") + GRAPH, SEEDS[:1]
        )
    )
    summary = go(plan, tmp_path / "out", server)
    assert summary.rejected_by == {"R101": 1}
    asked = [json.loads(p)[-1]["content"] for p in server.prompts]
    assert any("words(Note.text) in 2..40 does not hold: words(Note.text) is 1" in p for p in asked)


def test_many_fans_a_row_out(tmp_path: Path, server: ModelServer) -> None:
    text = """
    struct Doc { text: str }
    struct Item { text: str  size: int = 0 }
    struct Note { text: str }
    generator writer
    node split { takes Doc  gives many 2..4 Item  post words(Item.text) >= 2  ask writer { prompt "Split: {{ Doc.text }}"  json Item } }
    node jot { takes Item  gives Note  set Note.text = Item.text }
    graph main { from Doc  to Note  nodes *  seeds "seeds.jsonl"  emit { user "{{ Item.text }}"  assistant "{{ Note.text }}" } }
    """
    server.answers = {"^Split": '{"items": [{"text": "part one"}, {"text": "part two", "size": 3}]}'}
    plan = compile_program(write_project(tmp_path, text, [{"text": "x y"}]))
    assert go(plan, tmp_path / "out", server).kept == 1
    finals = [r for r in read_rows(tmp_path / "out") if r.kind == "final"]
    assert sorted(r.messages[0].content for r in finals) == ["part one", "part two"]
    assert len({r.id for r in finals}) == 2


def test_inner_graphs_keep_their_structs_to_themselves(tmp_path: Path, server: ModelServer) -> None:
    text = """
    struct Doc { text: str  kind: "raw" | "clean" = "raw" }
    struct Draft { text: str }
    struct Note { text: str }
    generator writer
    node tidy { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.kind = "clean" }
    node draft { takes Doc  gives Draft  ask writer { prompt "Draft: {{ Doc.text }}"  into Draft.text } }
    node finish { takes Draft  gives Note  set Note.text = Draft.text }
    graph inner { from Doc where Doc.kind == "raw"  to Note  nodes tidy, draft, finish  steps 3..3 }
    graph outer { from Doc where Doc.kind == "raw"  to Note  nodes inner  seeds "seeds.jsonl"  emit { user "{{ Doc.kind }}"  assistant "{{ Note.text }}" } }
    """
    server.answers = {"^Draft": "a draft"}
    plan = compile_program(write_project(tmp_path, text, [{"text": "x y"}]))
    go(plan, tmp_path / "out", server)
    (final,) = [r for r in read_rows(tmp_path / "out") if r.kind == "final"]
    assert final.path == ["inner/tidy", "inner/draft", "inner/finish"]
    assert set(json.loads(final.state)) == {"Doc", "Note"}
    assert final.messages[0].content == "raw", "what inner nodes did to Doc is not exposed"


def test_predicates_and_emitted_message_lists(tmp_path: Path, server: ModelServer) -> None:
    text = """
    struct Doc { text: str }
    struct Chat { messages: list[Turn] }
    struct Turn { role: "user" | "assistant"  content: str }
    predicate longer(Chat, Doc) = "functions:longer"
    node talk { takes Doc  gives Chat  post longer(Chat, Doc)  call "functions:talk" }
    graph main { from Doc  to Chat where longer(Chat)  nodes *  seeds "seeds.jsonl"  emit Chat.messages }
    """.replace(" where longer(Chat)", "")
    functions = """
def longer(chat, doc):
    return len(chat.messages) >= 2


def talk(doc):
    return {"messages": [{"role": "user", "content": doc.text}, {"role": "assistant", "content": "yes"}][: len(doc.text)]}
"""
    plan = compile_program(write_project(tmp_path, text, [{"text": "hello"}, {"text": "h"}], functions))
    summary = go(plan, tmp_path / "out", server)
    assert (summary.kept, summary.rejected_by) == (1, {"R101": 1})
    (final,) = [r for r in read_rows(tmp_path / "out") if r.kind == "final"]
    assert [(m.role, m.train) for m in final.messages] == [("user", False), ("assistant", True)]
    assert server.calls == 0


def test_a_failing_function_loses_the_row_and_only_that(tmp_path: Path, server: ModelServer) -> None:
    needed = tmp_path / "needed.txt"
    functions = FUNCTIONS.replace(
        'return {"text"', f'if "fox" in doc.text:\n        open({str(needed)!r}).close()\n    return {{"text"'
    )
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS[:3], functions))
    summary = go(plan, tmp_path / "out", server)
    assert (summary.kept, summary.rejected, summary.failed_by) == (1, 1, {"R108": 1})
    needed.write_text("now it is there")
    again = go(plan, tmp_path / "out", server)
    assert (again.kept, again.failed) == (2, 0), "a lost row is tried again"
    assert again.calls == 0, "and its model calls are not made twice"


def test_a_failing_predicate_loses_the_row_and_only_that(tmp_path: Path, server: ModelServer) -> None:
    nodes = 'predicate calm(Note) = "functions:calm"\n' + NODES.replace(
        "words(Note.text) >= 2\n", "calm(Note)\n"
    )
    functions = FUNCTIONS + "\ndef calm(note):\n    return 1 / (len(note.text) - len(note.text))\n"
    plan = compile_program(write_project(tmp_path, STRUCTS + nodes + GRAPH, SEEDS[:3], functions))
    summary = go(plan, tmp_path / "out", server)
    assert (summary.kept, summary.rejected, summary.failed_by) == (1, 1, {"R108": 1})


def test_a_mended_function_does_not_go_on_with_the_old_ones_rows(tmp_path: Path, server: ModelServer) -> None:
    broken_one = FUNCTIONS.replace('return {"text"', '1 / 0\n    return {"text"')
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS[:3], broken_one))
    assert go(plan, tmp_path / "out", server).failed == 1
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    sys.modules.pop("functions")
    mended = compile_program(tmp_path / "main.forge")
    with pytest.raises(OutputError) as error:
        go(mended, tmp_path / "out", server)
    assert error.value.code == "R020"
    assert go(mended, tmp_path / "other", server).failed == 0


def test_bad_starts_are_refused_before_anything_is_written(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, [{"text": "one"}]))
    with pytest.raises(SeedError, match="no seed satisfies") as nothing_fits:
        go(plan, tmp_path / "out", server)
    assert nothing_fits.value.code == "R017"
    assert not (tmp_path / "out").exists()
    with pytest.raises(SeedError):
        go(plan, tmp_path / "out", server, seeds=(str(tmp_path / "missing.jsonl"),))
    same = write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS)
    models = tmp_path / "same.toml"
    models.write_text(server.models_file().replace("judge-model", "writer-model"))
    with pytest.raises(ProjectError) as selfish:
        dry_run(compile_program(same), RunOptions(out=tmp_path / "out", models_file=models), environ={})
    assert selfish.value.code == "R003"
    assert "critic" in selfish.value.message
    assert "writer" in selfish.value.message


def test_another_plan_may_not_use_the_directory(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS))
    go(plan, tmp_path / "out", server)
    other = compile_program(write_project(tmp_path, STRUCTS + NODES.replace("2..40", "2..41") + GRAPH, SEEDS))
    with pytest.raises(OutputError) as error:
        go(other, tmp_path / "out", server)
    assert error.value.code == "R020"


def test_seeds_that_changed_may_not_go_on_with_the_old_ones_rows(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS))
    go(plan, tmp_path / "out", server)
    seeds = tmp_path / "seeds.jsonl"
    changed = seeds.read_text().replace("water is wet", "water is hot")
    assert len(changed) == seeds.stat().st_size, "as long as before: only the content tells"
    seeds.write_text(changed)
    with pytest.raises(OutputError, match="seed files") as error:
        go(plan, tmp_path / "out", server)
    assert error.value.code == "R020"


def test_an_endpoint_that_is_down_is_said_at_once(tmp_path: Path) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS))
    with ModelServer() as gone:
        pass
    with pytest.raises(InputError) as error:
        go(plan, tmp_path / "out", gone)
    assert "does not answer" in error.value.message
    assert error.value.help


def test_walks_of_one_seed_get_samples_of_their_own(tmp_path: Path, server: ModelServer) -> None:
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, SEEDS[:1]))
    summary = go(plan, tmp_path / "out", server, walks=3)
    assert (summary.attempted, summary.kept) == (3, 3)
    assert summary.reused_calls == 0
    assert len({r.id for r in read_rows(tmp_path / "out")}) == summary.samples


def long_run(folder: Path, server: ModelServer, rows: int) -> list[str]:
    """The command of a run of so many rows, four at once, that all end well: for processes to be killed or stopped."""
    server.answers = {"^Sort": "fact", "^Fact": "It is so indeed."}
    file = write_project(folder, STRUCTS + NODES + GRAPH, [{"text": f"seed number {i}"} for i in range(rows)])
    (folder / "models.toml").write_text(server.models_file())
    return [
        sys.executable, "-m", "dataforge", "run", str(file), "--models", str(folder / "models.toml"),
        "--out", str(folder / "out"), "--concurrency", "4",
    ]  # fmt: skip


def test_killed_run_resumes_without_repeating_a_finished_call(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.05) as server:
        command = long_run(tmp_path, server, 30)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.calls < 25 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out" / "manifest.json").exists()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        repeated = sum(n - 1 for n in server.prompts.values())
        assert repeated <= 4, "only calls in flight at the kill may be made twice"
        finals = [r for r in read_rows(tmp_path / "out") if r.kind == "final"]
        assert len(finals) == len({r.id for r in finals}) == 30


def test_interrupt_drains_and_says_how_to_go_on(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.05) as server:
        command = long_run(tmp_path, server, 40)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        while server.calls < 20 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        assert "go on" in out + err
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert max(server.prompts.values()) == 1, "a drained run repeats nothing"
