"""Nothing that can be typed raises: it gives a tree, and diagnostics whose places lie within the text."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse

SEED_TEXT = (Path(__file__).parents[2] / "graphs" / "quickstart.forge").read_text(encoding="utf-8")
PIECES = ['"', '"""', "{", "}", "(", ")", "[", "]", ",", ".", "..", "=", "==", "#", "\n", "\\", "\x00", "é", "\u2028",
          "node x {", "struct", " or ", " not ", "null", "1e400", "9" * 50, "from", "😀", "\ud800", "{{", "|", "?", "*"]  # fmt: skip


def check(text: str) -> None:
    report = Report()
    source = Source("x.forge", text)
    tree = parse(source, report)
    assert isinstance(tree, s.File)
    for found in report.diagnostics:
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert found.message
        rendered = found.render()
        assert found.code in rendered
        found.to_json()


@st.composite
def mutations(draw: st.DrawFn) -> str:
    start = draw(st.integers(0, len(SEED_TEXT) - 600))
    text = SEED_TEXT[start : start + 600] if draw(st.booleans()) else SEED_TEXT
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:at] + text[at + draw(st.integers(1, 30)) :]
            case 1:
                text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
            case 2:
                text = text[:at] + draw(st.text(max_size=8)) + text[at:]
            case _:
                text = text[:at] + text[max(0, at - 40) : at] + text[at:]
    return text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_mutated_file_gives_a_tree_and_diagnostics(text: str) -> None:
    check(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *SEED_TEXT.split()[:150]]), max_size=30).map(" ".join))
def test_word_salad_gives_a_tree_and_diagnostics(text: str) -> None:
    check(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_a_tree_and_diagnostics(text: str) -> None:
    check(text)
