"""Positions: what an editor counts and what we count are one place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dataforge.server.text import Text, normalised

TEXTS = st.text(st.sampled_from("ab \n\r\té🦊\u2028\x0b\ud83e"), max_size=40)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])


@given(TEXTS, ENCODINGS, st.data())
def test_a_position_leads_back_to_its_offset(text: str, encoding: str, data: st.DataObject) -> None:
    known = Text(normalised(text), encoding)  # type: ignore[arg-type]
    at = data.draw(st.integers(0, len(known.text)))
    assert known.offset(known.position(at)) == at


@given(TEXTS, ENCODINGS, st.integers(-1, 9), st.integers(-1, 90))
def test_any_position_is_some_place(text: str, encoding: str, line: int, character: int) -> None:
    known = Text(normalised(text), encoding)  # type: ignore[arg-type]
    assert 0 <= known.offset((line, character)) <= len(known.text)


@given(TEXTS, TEXTS, st.data())
def test_an_edit_replaces_what_lies_between_two_positions(text: str, new: str, data: st.DataObject) -> None:
    known = Text(normalised(text))
    start = data.draw(st.integers(0, len(known.text)))
    end = data.draw(st.integers(start, len(known.text)))
    edited = known.replaced(known.position(start), known.position(end), new)
    assert edited.text == known.text[:start] + normalised(new) + known.text[end:]


def test_utf16_counts_an_emoji_as_two() -> None:
    text = Text("a🦊b\r\nc".replace("\r\n", "\n"))
    assert text.position(2) == (0, 3)
    assert text.offset((0, 3)) == 2
    assert text.offset((0, 99)) == 3
    assert text.offset((1, 0)) == 4
    assert Text("a🦊b", "utf-8").position(2) == (0, 5)


def test_only_the_protocols_line_ends_end_a_line() -> None:
    text = Text(normalised("a\u2028b\x0bc\x85d\re\r\nf"))
    assert [text.line(n) for n in range(4)] == ["a\u2028b\x0bc\x85d", "e", "f", ""]
