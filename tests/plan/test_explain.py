"""Explanations as an author asks for them: what is missing, who touched it, who could give it, and what to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dataforge.errors import InputError
from dataforge.lang.diagnostics import CompileError
from dataforge.plan.explain import (
    EdgeExplanation,
    Explainable,
    Missing,
    NodeExplanation,
    TargetExplanation,
    edge_lines,
    explain_edge,
    explain_node,
    explain_target,
    node_lines,
    open_explainable,
    target_lines,
)

Opened = Callable[..., Explainable]

DECLARED = """
struct Passage { text: str  kind: "article" | "dialogue" = "article"  lang: str = "en" }
struct Instruction { text: str  contextual: bool = false }
struct Answer { text: str  score: int = 0 }
generator writer
"""
DIALOGUE = """
node dialogue {
  takes Passage
  gives Passage
  pre   Passage.kind == "article", words(Passage.text) >= 60
  post  words(Passage.text) >= 40
  ask writer { prompt "{{ Passage.text }}"  into Passage.text }
  set Passage.kind = "dialogue"
}
"""
QUESTION = """
node question {
  takes Passage
  gives Instruction
  pre   Passage.lang == "de", words(Passage.text) >= 60
  post  words(Instruction.text) in 4..60
  ask writer { prompt "{{ Passage.text }}"  into Instruction.text }
  set Instruction.contextual = false
}
"""
ANSWER = """
node answer {
  takes Passage, Instruction
  gives Answer
  post  Answer.score >= 4
  ask writer { prompt "{{ Instruction.text }}"  json Answer }
}
"""
MAIN = """
graph main {
  from  Passage where Passage.kind == "article", words(Passage.text) >= 60, Passage.lang == "de"
  to    Answer where Answer.score >= 4
  nodes *
  emit { user "{{ Instruction.text }}"  assistant "{{ Answer.text }}" }
}
"""


@pytest.fixture
def opened(project: Path) -> Opened:
    """Writes a program, and opens it."""

    def opened(*parts: str) -> Explainable:
        (project / "main.forge").write_text("\n".join([DECLARED, *parts]))
        return open_explainable(project / "main.forge")

    return opened


def edge(found: Explainable, one: str, other: str) -> EdgeExplanation:
    return explain_edge(found.explored(found.program.graph), one, other)


def node(found: Explainable, name: str) -> NodeExplanation:
    graph = found.program.graph
    return explain_node(found.explored(graph), name, found.linked.get(graph))


def target(found: Explainable) -> TargetExplanation:
    graph = found.program.graph
    return explain_target(found.explored(graph), found.linked.get(graph))


def missing(answer: EdgeExplanation | NodeExplanation | TargetExplanation) -> dict[str, Missing]:
    assert answer.gap is not None
    return {x.atom: x for x in answer.gap.missing}


# ---- an edge that is missing


def test_a_missing_edge_names_the_facts_who_touched_them_and_the_nearest_promise(opened: Opened) -> None:
    found = missing(edge(opened(DIALOGUE, QUESTION, ANSWER, MAIN), "dialogue", "question"))
    assert list(found) == ['Passage.lang == "de"', "words(Passage.text) >= 60"]
    words = found["words(Passage.text) >= 60"]
    assert words.known == "words(Passage.text) >= 40"
    assert words.touched_by is not None
    assert (words.touched_by.by, words.touched_by.held_before) == ("dialogue", True)
    assert words.at_source == "promised"
    assert words.nearest is not None
    assert (words.nearest.by, words.nearest.text) == ("dialogue", "words(Passage.text) >= 40")
    post = next(i for i, line in enumerate((DECLARED + DIALOGUE).split("\n"), 2) if "post" in line)
    assert str(words.nearest.where) == f"main.forge:{post}"
    assert words.mend == "let `dialogue` promise it in its `post`"


def test_a_field_that_only_a_default_overwrote_could_be_kept(opened: Opened) -> None:
    found = opened(DIALOGUE, QUESTION, ANSWER, MAIN)
    lang = missing(edge(found, "dialogue", "question"))['Passage.lang == "de"']
    assert lang.known == 'Passage.lang == "en"'
    assert lang.mend == "let `dialogue` keep it: `keeps Passage.lang`"
    kept = DIALOGUE.replace("  post", "  keeps Passage.lang\n  post")
    assert list(missing(edge(opened(kept, QUESTION, ANSWER, MAIN), "dialogue", "question"))) == [
        "words(Passage.text) >= 60"
    ], "and then it is not missing any more"


def test_a_fact_that_implies_another_is_named_alone(opened: Opened) -> None:
    picky = QUESTION.replace("pre ", "pre words(Passage.text) >= 20, words(Passage.text) != 30, ")
    found = missing(edge(opened(DIALOGUE, picky, ANSWER, MAIN), "dialogue", "question"))
    assert list(found) == ['Passage.lang == "de"', "words(Passage.text) >= 60"]


def test_the_source_is_told_what_to_ask_of_seeds(opened: Opened) -> None:
    found = edge(opened(DIALOGUE, QUESTION, ANSWER, MAIN.replace(">= 60", ">= 30")), "source", "question")
    (words,) = missing(found).values()
    assert words.known == "words(Passage.text) >= 30"
    assert words.at_source == "possible"
    assert words.mend == "ask it of the seeds: `where words(Passage.text) >= 60`"
    assert words.nearest is not None
    assert words.nearest.by == "dialogue", "40 is nearer to 60 than 30"
    found = edge(opened(DIALOGUE, QUESTION, ANSWER, MAIN.replace('"de"', '"en"')), "source", "question")
    (lang,) = missing(found).values()
    assert lang.at_source == "excluded"


def test_freshness_is_said_in_words(opened: Opened) -> None:
    found = edge(opened(DIALOGUE, QUESTION, ANSWER, MAIN), "question", "dialogue")
    (used,) = missing(found).values()
    assert used.atom == "`Passage` not yet used to make something else"
    assert used.known == "Instruction was made from Passage"
    assert used.touched_by is not None
    assert used.touched_by.by == "question"
    found = edge(opened(DIALOGUE, QUESTION, ANSWER, MAIN), "question", "question")
    (there,) = missing(found).values()
    assert (there.atom, there.known) == ("`Instruction` not yet there", "Instruction is there")


def test_a_choice_names_the_literal_that_can_still_be_had_and_the_other(opened: Opened) -> None:
    picky = ANSWER.replace("  post", "  pre Instruction.contextual or words(Instruction.text) <= 50\n  post")
    (short,) = missing(edge(opened(DIALOGUE, QUESTION, picky, MAIN), "question", "answer")).values()
    assert short.atom == "words(Instruction.text) in 0..50", "`contextual` is known to be false"
    assert short.instead == ("Instruction.contextual",)


def test_what_dataforge_cannot_decide_is_said(opened: Opened) -> None:
    picky = ANSWER.replace("  post", '  pre matches(Instruction.text, "^W")\n  post')
    found = edge(opened(DIALOGUE, QUESTION, picky, MAIN), "question", "answer")
    (starts,) = missing(found).values()
    assert not starts.decidable
    assert starts.nearest is None
    assert any("cannot decide" in line for line in edge_lines(found))
    promised = QUESTION.replace("4..60", '4..60, matches(Instruction.text, "^W")')
    assert edge(opened(DIALOGUE, promised, picky, MAIN), "question", "answer").on_walks


def test_after_a_node_that_never_runs_the_state_is_supposed(opened: Opened) -> None:
    never = QUESTION.replace('"de"', '"fr"')
    found = edge(opened(DIALOGUE, never, ANSWER, MAIN), "question", "answer")
    assert not found.exists
    assert not found.first_runs
    assert found.supposed == ('Passage.lang == "fr"',)
    assert found.gap is not None
    assert (found.gap.obstacle, found.gap.missing) == ("supposed", ())
    assert '`question` never runs, for want of Passage.lang == "fr"; supposing it did:' in edge_lines(found)


def test_alternatives_that_the_missing_atom_rules_out_count_no_more(opened: Opened) -> None:
    """After `sort` it is a German article or an English dialogue: that it is German settles both."""
    sort = """
    node sort {
      takes Passage
      gives Passage
      pre Passage.kind == "article"
      post (Passage.lang == "de" and Passage.kind == "article") or (Passage.lang == "en" and Passage.kind == "dialogue")
      ask writer { prompt "?"  json Passage }
    }"""
    picky = QUESTION.replace(", words(Passage.text) >= 60", ', Passage.kind == "article"')
    found = edge(opened(sort, picky, ANSWER, MAIN), "sort", "question")
    (only,) = missing(found).values()
    assert only.atom == 'Passage.kind == "article"'
    assert only.known == ""
    assert only.instead == ('Passage.lang == "de"',)


def test_no_steps_left_is_no_missing_fact(opened: Opened) -> None:
    bounded = MAIN.replace("nodes *", "nodes *  steps 2..2")
    again = "node again { takes Passage  gives Passage  keeps Passage.text, Passage.kind, Passage.lang }"
    found = edge(opened(again, QUESTION, ANSWER, bounded), "answer", "target")
    assert found.exists
    assert found.on_walks
    found = edge(
        opened(again, QUESTION, ANSWER, MAIN.replace("nodes *", "nodes *  steps 3..3")), "source", "question"
    )
    assert (found.exists, found.on_walks) == (True, False), "source → question → answer is too short"
    assert "the edge is cut" in edge_lines(found)[0]


# ---- an edge that is there


def test_an_edge_is_proved_clause_by_clause(opened: Opened) -> None:
    found = edge(opened(DIALOGUE, QUESTION, ANSWER, MAIN), "source", "question")
    assert found.on_walks
    proved = {fact.required: (fact.known, fact.by) for fact in found.proof}
    assert proved["words(Passage.text) >= 60"] == ("words(Passage.text) >= 60", "source")
    assert set(proved) == {
        "has Passage", 'Passage.lang == "de"', "words(Passage.text) >= 60", "`Instruction` not yet there",
    }  # fmt: skip
    weaker = QUESTION.replace(">= 60", ">= 10")
    found = edge(opened(DIALOGUE, weaker, ANSWER, MAIN), "source", "question")
    (line,) = [line for line in edge_lines(found) if ">= 10" in line]
    assert line.startswith(
        "    words(Passage.text) >= 10    the source leaves words(Passage.text) >= 60 (main.forge:"
    )


def test_an_edge_only_in_some_states_says_so(opened: Opened) -> None:
    ask = QUESTION.replace('pre   Passage.lang == "de", words(Passage.text) >= 60\n', "")
    picky = ANSWER.replace("  post", '  pre Passage.kind == "article"\n  post')
    found = edge(opened(DIALOGUE, ask, picky, MAIN), "question", "answer")
    assert (found.allowing, found.states) == (1, 2)
    assert found.walk == ("source", "question")


# ---- a node


def test_a_node_that_runs_has_neighbours_walks_and_facts(opened: Opened) -> None:
    found = node(opened(DIALOGUE, QUESTION.replace('Passage.lang == "de", ', ""), ANSWER, MAIN), "question")
    assert (found.status, found.before, found.after) == ("on walks", ("source",), ("answer",))
    assert (found.walks, found.of) == (1, 1)
    assert {"has Instruction", 'Passage.lang == "de"', "words(Passage.text) >= 60"} <= set(found.known)
    assert "words(Instruction.text) in 4..60" in found.known, "though nothing requires it"


def test_walks_through_a_node_are_counted(opened: Opened) -> None:
    loose = QUESTION.replace(">= 60", ">= 40")
    kept = DIALOGUE.replace("  post", "  keeps Passage.lang\n  post")
    found = node(opened(kept, loose, ANSWER, MAIN), "dialogue")
    assert (found.walks, found.of) == (1, 2)
    assert node_lines(found)[0] == "`dialogue` runs in main: 1 of 2 walks, 50%"


def test_a_node_that_leads_nowhere_says_what_is_missing_from_there_on(opened: Opened) -> None:
    found = node(opened(DIALOGUE, QUESTION, ANSWER, MAIN), "dialogue")
    assert found.status == "off walks"
    assert list(missing(found)) == ["Answer.score >= 4"]
    (answer,) = [c for c in found.causes if c.by == "answer"]
    assert answer.why == "not here"
    assert answer.missing == ("has Instruction",)


def test_a_node_that_never_runs_says_why_and_why_again(opened: Opened) -> None:
    never = QUESTION.replace('"de"', '"fr"')
    found = node(opened(DIALOGUE, never, ANSWER, MAIN), "answer")
    assert found.status == "never"
    assert list(missing(found)) == ["has Instruction"]
    (cause,) = found.causes
    assert (cause.by, cause.why, cause.missing) == ("question", "never", ('Passage.lang == "fr"',))
    (root,) = cause.causes
    assert (root.atom, root.by, root.why) == ('Passage.lang == "fr"', None, "nobody")


def test_a_promise_that_contradicts_what_is_kept_is_no_missing_fact(opened: Opened) -> None:
    claim = 'node claim { takes Passage  gives Passage  pre Passage.kind == "article"  post Passage.kind == "dialogue"  keeps Passage.text, Passage.kind, Passage.lang }'
    found = node(opened(claim, QUESTION, ANSWER, MAIN), "claim")
    assert found.gap is not None
    assert (found.gap.obstacle, found.gap.missing) == ("contradiction", ())


# ---- the target


def test_a_target_that_is_reached(opened: Opened) -> None:
    found = target(opened(DIALOGUE, QUESTION, ANSWER, MAIN))
    assert found.reached
    assert (found.walks, found.shortest, found.longest) == (1, 2, 2)
    assert found.example == ("source", "question", "answer", "target")


def test_a_target_out_of_reach_is_followed_to_the_root_once(opened: Opened) -> None:
    steps = """
    struct Doc { text: str  kind: "raw" | "clean" | "fine" = "raw"  stars: int = 0 }
    struct Note { text: str = "" }
    struct Card { text: str = "" }
    node rate { takes Doc  gives Doc  pre Doc.kind == "raw"  post Doc.stars >= 2  keeps Doc.text  ask writer { prompt "?"  into Doc.stars }  set Doc.kind = "clean" }
    node polish { takes Doc  gives Doc  pre Doc.stars >= 3, Doc.kind == "clean"  keeps Doc.text, Doc.stars  set Doc.kind = "fine" }
    node note { takes Doc  gives Note  pre Doc.kind == "fine"  set Note.text = "a" }
    node card { takes Note  gives Card  set Card.text = "b" }
    graph main { from Doc where Doc.kind == "raw"  to Card, Doc where Doc.kind == "fine"  nodes *  emit { user "?"  assistant "{{ Card.text }}" } }
    """
    found = opened(steps)
    assert [d.code for d in found.errors] == ["F061"], "it does not compile, and is explained"
    answer = target(found)
    assert not answer.reached
    assert target_lines(answer) == [
        "the target of main cannot be reached",
        "",
        "as far as it goes:",
        "",
        "  after source → rate",
        "  these 2 are missing for the target:",
        "",
        "  ✗ has Card",
        "      known there    no Card is there",
        "      could give it  `card` (never runs) (main.forge:14)",
        "",
        '  ✗ Doc.kind == "fine"',
        '      known there    Doc.kind == "clean"',
        "      last touched   `rate` (main.forge:11)",
        "      could give it  `polish` (never runs) (main.forge:12)",
        "",
        "as far, by other walks:",
        "  source",
        "",
        "why nothing gives them:",
        "  has Card",
        "  └ `card` (main.forge:14) would, but never runs, for want of",
        "      has Note",
        "      └ `note` (main.forge:13) would, but never runs, for want of",
        '          Doc.kind == "fine"',
        "          └ `polish` (main.forge:12) would, but never runs, for want of",
        "              Doc.stars >= 3",
        "              └ nothing gives it; nearest: `rate` guarantees Doc.stars >= 2 (main.forge:11)",
        '  Doc.kind == "fine"',
        "  └ `polish` (main.forge:12) would, but never runs: see above",
    ]


def test_nodes_that_wait_for_each_other_end_the_chain(opened: Opened) -> None:
    text = """
    struct Doc { text: str }
    struct One { text: str = "" }
    struct Two { text: str = "" }
    node one { takes Two  gives One  set One.text = "a" }
    node two { takes One  gives Two  set Two.text = "a" }
    graph main { from Doc  to One  nodes *  emit { user "?"  assistant "{{ One.text }}" } }
    """
    (one,) = target(opened(text)).causes
    (two,) = one.causes
    (again,) = two.causes
    assert [(c.by, c.why) for c in (one, two, again)] == [
        ("one", "never"),
        ("two", "never"),
        ("one", "above"),
    ]


def test_what_one_node_gives_and_another_takes_away(opened: Opened) -> None:
    text = """
    struct Doc { text: str  a: bool = false  b: bool = false }
    node first { takes Doc  gives Doc  pre not Doc.a, not Doc.b  keeps Doc.text  set Doc.a = true }
    node second { takes Doc  gives Doc  pre Doc.a  keeps Doc.text  set Doc.b = true }
    graph main { from Doc where not Doc.a, not Doc.b  to Doc where Doc.a, Doc.b  nodes *  emit { user "?"  assistant "{{ Doc.text }}" } }
    """
    answer = target(opened(text))
    (b,) = missing(answer)
    assert b == "Doc.b"
    (cause,) = answer.causes
    assert (cause.by, cause.why, cause.missing) == ("second", "loses", ("Doc.a",))


# ---- files, names, JSON


def test_a_graph_inside_is_asked_by_its_qualified_name(opened: Opened) -> None:
    inner = 'graph inner { from Passage where Passage.lang == "de", words(Passage.text) >= 60  to Instruction  nodes question }'
    found = opened(QUESTION, ANSWER, inner, MAIN.replace("nodes *", "nodes inner, answer"))
    found.check("inner/question")
    graph = found.graph("inner")
    assert explain_edge(found.explored(graph), "source", "question").on_walks
    with pytest.raises(InputError) as wrong:
        found.check("question")
    assert wrong.value.help == "it is in a graph inside: write `inner/question`"
    with pytest.raises(InputError) as wrong:
        found.check("iner/question")
    assert wrong.value.help == "did you mean `inner`?"


def test_an_inner_graph_that_does_not_link_leaves_the_outer_one_explainable(opened: Opened) -> None:
    inner = 'graph inner { from Passage where Passage.lang == "fr"  to Instruction  nodes question }'
    found = opened(QUESTION, ANSWER, inner, MAIN.replace("nodes *", "nodes inner, answer"))
    assert [d.code for d in found.errors] == ["F061"]
    assert not explain_target(found.explored(found.graph("inner"))).reached
    assert list(missing(edge(found, "source", "inner"))) == ['Passage.lang == "fr"']


def test_wrong_names_and_questions_without_sense(opened: Opened) -> None:
    found = opened(DIALOGUE, QUESTION, ANSWER, MAIN)
    with pytest.raises(InputError) as wrong:
        edge(found, "dialog", "question")
    assert wrong.value.help == "did you mean `dialogue`?"
    for one, other in (("question", "source"), ("target", "question")):
        with pytest.raises(InputError, match="nothing leads"):
            edge(found, one, other)


def test_errors_before_linking_are_raised(opened: Opened) -> None:
    with pytest.raises(CompileError) as wrong:
        opened(DIALOGUE.replace("takes Passage", "takes Pasage"), QUESTION, ANSWER, MAIN)
    assert "F010" in {d.code for d in wrong.value.diagnostics}


def test_explanations_are_json(opened: Opened) -> None:
    found = opened(DIALOGUE, QUESTION, ANSWER, MAIN)
    for answer in (edge(found, "dialogue", "question"), node(found, "answer"), target(found)):
        assert json.loads(json.dumps(answer.to_json()))["graph"] == "main"
    document = edge(found, "dialogue", "question").to_json()
    assert document["gap"]["missing"][1]["nearest"]["text"] == "words(Passage.text) >= 40"
