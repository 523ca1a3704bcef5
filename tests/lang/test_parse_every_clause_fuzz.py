"""A file with every item and most clauses of the language, mutated: a tree and diagnostics within the text, never a raise."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse

TEXT = '''forge 1
# grounded_qa.forge: passages become questions with judged answers
from schemas.text import Passage, Instruction, Answer
from "rubrics.forge" import helpfulness as helpful

struct Note { """Jotted."""  text: str "the words"  kind: "a" | "b" = "a"  tags: list[str?]? = null }
generator writer { temperature 0.8  max_tokens 1_024 }
judge     critic
list personas from "personas.jsonl"
list tones = ["dry", "warm"]
rubric strict { """Be strict."""  grounded "Is it?" in 1..5  accept grounded >= 4 and (score > 3 or not grounded == 1) }
predicate longer(A, B) = "checks:longer"

node dialogue {
  takes Passage
  gives Passage
  pre   Passage.kind == "article", words(Passage.text) >= 60
  post  Passage.kind == "dialogue", words(Passage.text) >= 40 or matches(Passage.text, "\\d+")
  keeps Passage.lang, Passage . source
  ask writer { prompt file "prompts/dialogue.j2"  into Passage.text }
  set Passage.kind = "dialogue"
}
node question {
  """Ask one question."""
  takes Passage
  gives many 2..4 Instruction
  post  not Instruction.contextual, words(Instruction.text) in 4..60, Instruction.text not in {"a", "b"}
  draw  persona from personas
  ask writer {
    system "You are {{ persona }}."
    prompt """
      Write one question.

      {{ Passage.text }}
    """
    into Instruction.text
  }
  verify exact(Passage.text, tolerance = 0.1) { samples 3  keep best }
  branch Instruction.kind else reject
  retry 2
}
node answer {
  takes Passage, Instruction
  gives Answer
  call "checks:answer"
  judge critic { rubric helpful  score Answer.score  rounds 3 }
  weight 2  train none
}
graph grounded_qa {
  from  Passage where Passage.kind == "article", has Passage.title
  to    Answer where Answer.score >= 4
  nodes * except dialogue
  walk  weighted
  steps 1..
  seeds "seeds/*.jsonl", "more.txt"
  emit {
    user      "{{ Instruction.text }}"
    assistant "{{ Answer.text }}"  reasoning Answer.reasoning
  }
}
'''
WORDS = sorted({word for word in TEXT.split() if len(word) < 20})


def check(text: str) -> None:
    report = Report()
    assert isinstance(parse(Source("x.forge", text), report), s.File)
    for found in report.diagnostics:
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert found.render()


def test_it_parses_as_it_stands() -> None:
    report = Report()
    tree = parse(Source("x.forge", TEXT), report)
    assert not report.diagnostics, [d.render() for d in report.diagnostics]
    assert len(tree.items) == 13


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_characters_deleted_inserted_or_swapped(data: st.DataObject) -> None:
    text = TEXT
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 2))
        change = data.draw(st.sampled_from(["delete", "insert", "swap"]))
        if change == "delete":
            text = text[:at] + text[at + data.draw(st.integers(1, 60)) :]
        elif change == "insert":
            text = (
                text[:at]
                + data.draw(st.sampled_from([*'"{}()[].,=#\\|?*\n', '"""', "..", *WORDS]))
                + text[at:]
            )
        else:
            text = text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
        text += " "  # never empty
    check(text)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_lines_deleted_doubled_or_moved(data: st.DataObject) -> None:
    lines = TEXT.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        take, put = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        line = lines[take] if data.draw(st.booleans()) else lines.pop(take)
        lines.insert(put, data.draw(st.sampled_from([line, ""])))
    check("\n".join(lines))


def test_cut_off_anywhere() -> None:
    for end in range(0, len(TEXT), 37):
        check(TEXT[:end])
