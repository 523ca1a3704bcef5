"""What linking has to say: where no walk leads to the target, where one would never end, where an outcome is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataforge.lang.diagnostics import CompileError, Diagnostic
from dataforge.plan import link
from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.walk import all_paths

DECLARED = """
struct Doc  { text: str  kind: "raw" | "fact" | "fiction" = "raw"  stars: int = 0 }
struct Note { text: str = "" }
generator writer
"""
EMIT = 'emit { user "?"  assistant "{{ Doc.text }}" }'
SORT = 'node sort { takes Doc  gives Doc  pre Doc.kind == "raw"  post Doc.kind in {"fact", "fiction"}  keeps Doc.text, Doc.stars  ask writer { prompt "?"  into Doc.kind }  branch Doc.kind %s }'
FACT = 'node fact { takes Doc  gives Note  pre Doc.kind == "fact"  set Note.text = "a" }'
FICTION = 'node fiction { takes Doc  gives Note  pre Doc.kind == "fiction"  set Note.text = "b" }'
RAW_TO_NOTE = f'graph main {{ from Doc where Doc.kind == "raw"  to Note  nodes *  {EMIT} }}'


def program(project: Path, *parts: str) -> Plan:
    (project / "main.forge").write_text("\n".join([DECLARED, *parts]))
    return compile_program(project / "main.forge")


def errors(project: Path, *parts: str) -> list[Diagnostic]:
    with pytest.raises(CompileError) as caught:
        program(project, *parts)
    return [d for d in caught.value.diagnostics if d.severity == "error"]


def warnings(plan: Plan, code: str) -> list[Diagnostic]:
    return [d for d in plan.warnings if d.code == code]


def test_a_target_out_of_reach_names_what_nothing_guarantees(project: Path) -> None:
    (error,) = errors(project, FACT, RAW_TO_NOTE)
    assert error.code == "F061"
    assert "has Note" in error.message
    assert '`fact` never runs, for want of Doc.kind == "fact"' in error.help


def test_lengths_that_no_walk_has(project: Path) -> None:
    (error,) = errors(project, SORT % "", FACT, FICTION, RAW_TO_NOTE.replace("nodes *", "nodes *  steps 3.."))
    assert error.code == "F061"
    assert "steps" in error.message


def test_a_cycle_is_named_node_by_node(project: Path) -> None:
    there = (
        'node there { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.kind = "fact" }'
    )
    back = 'node back { takes Doc  gives Doc  pre Doc.kind == "fact"  keeps Doc.text  set Doc.kind = "raw" }'
    (error,) = errors(project, there, back, FACT, RAW_TO_NOTE)
    assert error.code == "F062"
    assert "there → back → there" in error.message
    assert "`kind`" in error.help


def test_a_cycle_that_no_walk_enters_is_no_error(project: Path) -> None:
    """A walk that never comes back to the target is cut before cycles are looked for."""
    away = 'node away { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.kind = "fiction"  set Doc.stars = 1 }'
    round_ = (
        'node round { takes Doc  gives Doc  pre Doc.kind == "fiction"  keeps Doc.text, Doc.kind, Doc.stars }'
    )
    jot = 'node jot { takes Doc  gives Note  pre Doc.kind == "raw"  set Note.text = "a" }'
    plan = program(project, away, round_, jot, RAW_TO_NOTE)
    assert list(all_paths(plan.linked, 5)) == [("jot",)]
    assert dict(plan.linked.cut) == dict.fromkeys(["away", "round"], "the target cannot be reached after it")


def test_bounded_steps_unroll_a_cycle(project: Path) -> None:
    again = "node again { takes Doc  gives Doc  keeps Doc.text, Doc.kind, Doc.stars }"
    jot = 'node jot { takes Doc  gives Note  set Note.text = "a" }'
    plan = program(project, again, jot, RAW_TO_NOTE.replace("nodes *", "nodes *  steps 2..4"))
    assert sorted(all_paths(plan.linked, 9), key=len) == [("again",) * n + ("jot",) for n in (1, 2, 3)]


def test_an_outcome_that_leads_nowhere(project: Path) -> None:
    (error,) = errors(project, SORT % "", FACT, RAW_TO_NOTE)
    assert error.code == "F063"
    assert '"fiction"' in error.message
    plan = program(project, SORT % "else reject", FACT, RAW_TO_NOTE)
    assert list(all_paths(plan.linked, 5)) == [("sort[fact]", "fact")]
    plan = program(project, SORT % "", FACT, FICTION, RAW_TO_NOTE)
    assert set(all_paths(plan.linked, 5)) == {("sort[fact]", "fact"), ("sort[fiction]", "fiction")}
    assert plan.linked.name_edges == (
        ("fact", "target"), ("fiction", "target"), ("sort", "fact"), ("sort", "fiction"), ("source", "sort")
    )  # fmt: skip


def test_a_branch_on_whole_numbers(project: Path) -> None:
    rate = 'node rate { takes Doc  gives Doc  pre Doc.kind == "raw"  post Doc.stars in 1..3  keeps Doc.text  set Doc.kind = "fact"  ask writer { prompt "?"  into Doc.stars }  branch Doc.stars else reject }'
    jot = 'node jot { takes Doc  gives Note  pre Doc.stars >= 2  set Note.text = "a" }'
    plan = program(project, rate, jot, RAW_TO_NOTE)
    assert set(all_paths(plan.linked, 5)) == {("rate[2]", "jot"), ("rate[3]", "jot")}


def test_a_branch_on_what_was_kept_has_only_the_outcomes_that_can_be(project: Path) -> None:
    look = "node look { takes Doc  gives Doc  pre Doc.stars == 0  keeps Doc.text, Doc.kind  set Doc.stars = 1  branch Doc.kind }"
    plan = program(
        project,
        look,
        FACT.replace("pre ", "pre Doc.stars == 1, "),
        RAW_TO_NOTE.replace('"raw"', '"fact", Doc.stars == 0'),
    )
    assert list(all_paths(plan.linked, 5)) == [("look[fact]", "fact")]


def test_a_promise_that_contradicts_what_is_kept_links_nothing(project: Path) -> None:
    jot = 'node jot { takes Doc  gives Note  set Note.text = "a" }'
    claim = 'node claim { takes Doc  gives Doc  pre Doc.stars == 0, Doc.kind == "raw"  post Doc.kind == "fact"  keeps Doc.text, Doc.kind  set Doc.stars = 1 }'
    plan = program(project, jot, claim, RAW_TO_NOTE.replace("  to", ", Doc.stars == 0  to"))
    assert dict(plan.linked.cut) == {"claim": "what it keeps contradicts what it guarantees"}


def test_many_inside_a_graph_that_is_used_as_a_node(project: Path) -> None:
    many = 'node many_notes { takes Doc  gives many 2..3 Note  ask writer { prompt "?"  json Note } }'
    inner = "graph inner { from Doc  to Note  nodes many_notes }"
    middle = "graph middle { from Doc  to Note  nodes inner }"
    main = RAW_TO_NOTE.replace("nodes *", "nodes middle")
    (error,) = errors(project, many, inner, middle, main)
    assert error.code == "F064"
    assert "`many_notes`" in error.message
    assert program(project, many, RAW_TO_NOTE).linked.paths == 1, "in the outermost graph it may"


def test_inner_graphs_that_do_not_link_are_each_reported_once(project: Path) -> None:
    first = "graph first { from Doc  to Note  nodes fact }"
    second = "graph second { from Doc  to Note  nodes fiction }"
    third = "graph third { from Doc  to Note  nodes first }"
    found = errors(
        project,
        FACT,
        FICTION,
        first,
        second,
        third,
        RAW_TO_NOTE.replace("nodes *", "nodes first, second, third"),
    )
    assert [(d.code, d.message.split("`")[1]) for d in found] == [("F061", "first"), ("F061", "second")]


def test_too_many_states(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    structs = "\n".join(
        f'struct S{i} {{ text: str = "" }}\nnode n{i} {{ gives S{i}  set S{i}.text = "a" }}' for i in range(8)
    )
    main = f"graph main {{ from Doc  to {', '.join(f'S{i}' for i in range(8))}  nodes *  {EMIT} }}"
    assert len(program(project, structs, main).linked.steps) == 2**8
    monkeypatch.setattr(link, "MAX_STATES", 100)
    (error,) = errors(project, structs, main)
    assert error.code == "F066"
    assert "100" in error.message


def test_a_sample_that_shows_what_may_be_missing(project: Path) -> None:
    jot = 'node jot { takes Doc  gives Note  set Note.text = "a" }'
    skip = 'node skip { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.kind = "fact" }'
    main = 'graph main { from Doc where Doc.kind == "raw"  to Doc where Doc.kind == "fact"  nodes *  emit { user "?"  assistant "{{ Note.text }}" } }'
    (error,) = errors(project, jot, skip, main)
    assert error.code == "F067"
    assert "source → skip → target" in error.message
    assert "`to Doc, Note`" in error.help


def test_a_walk_that_may_be_empty(project: Path) -> None:
    skip = 'node skip { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.kind = "fact" }'
    main = f"graph main {{ from Doc  to Doc  nodes *  {EMIT} }}"
    (warning,) = warnings(
        program(project, skip, main.replace("from Doc", 'from Doc where Doc.kind == "raw"')), "F068"
    )
    assert warning.severity == "warning"
    main = main.replace("nodes *", "nodes *  steps 1..").replace(
        "from Doc", 'from Doc where Doc.kind == "raw"'
    )
    assert not warnings(program(project, skip, main), "F068")


def test_reasons_why_no_walk_uses_a_node(project: Path) -> None:
    plan = program(
        project,
        'node jot { takes Doc  gives Note  pre Doc.kind == "raw"  set Note.text = "a" }',
        'node never { takes Doc  gives Note  pre Doc.stars > 3  set Note.text = "b" }',
        'node apart { takes Doc  gives Note  pre Doc.kind == "raw", Doc.stars == 1  set Note.text = "c" }',
        'node dead { takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.text  set Doc.stars = 1  set Doc.kind = "fiction" }',
        RAW_TO_NOTE,
    )
    assert dict(plan.linked.cut) == {
        "never": "nothing guarantees Doc.stars >= 4",
        "apart": "what it needs never holds at once; nearest, this is missing: Doc.stars == 1",
        "dead": "the target cannot be reached after it",
    }
    assert {d.message.split("`")[3] for d in warnings(plan, "F081")} == set(plan.linked.cut)
