"""An incremental parse is a parse: whatever the text was before, and whatever was done to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataforge.lang.diagnostics import Report, Source, in_order
from dataforge.lang.incremental import ItemCache, parse_items
from dataforge.lang.parse import cuts, parse
from dataforge.lang.store import _encode

GRAPHS = Path(__file__).parents[2] / "graphs"
SHIPPED = sorted(path.read_text(encoding="utf-8") for path in GRAPHS.glob("*.forge"))
ODDITIES = (
    "from schemas.text import\nlist\nfrom x import y\n",
    'node a { gives\nlist from b }\nlist from from "a"\n',
    "node x { takes Passage.\nnode y }\nnode z {}\n",
    "graph g { nodes a,\nnode }\n",
    "forge 1\nstruct A { a: str }\nforge 1\n",
    "struct A { a: str }\nforge 2\n",
    "forge 2\nnode {\n",
    "forge 7",
    'node a { """open\nnode b { gives X }\nlist c = [1]\n',
    "node a { pre A.x in ..\n post A.y in .. }\nnode b { pre A.x in .. }\n",
    'predicate p(A) = "m:f"\nstruct\nnode { a: str }\n',
    '# """\nnode a { gives B }\nnode b { gives B }\n',
    "judge critic { rounds 3 }\njudge critic { rubric r }\n",
    "list a = [[[[1]]]]\nlist b = [" + "[" * 70 + "]" * 70 + "]\n",
    "",
    " \n# only a comment",
)
PIECES = [
    "node",
    "list",
    " from ",
    "{",
    "}",
    '"""',
    '"',
    "#",
    "\n",
    "\nnode a {",
    "\nforge 1\n",
    ".",
    "..",
    ",",
    "Passage",
]
PIECES += [
    "struct S { a: str }\n",
    "import",
    '"x"',
    "\nlist x from ",
    "é🦊",
    "(",
    ")",
    "[",
    "]",
    "=",
    "not ",
    "in",
    "\r\n",
]


def told(text: str, cache: ItemCache | None) -> tuple[object, object]:
    """The tree with its spans, and the diagnostics, of a parse."""
    report = Report()
    source = Source("a.forge", text)
    file = parse(source, report) if cache is None else parse_items(source, cache, report)
    return _encode(file), [(d.sort_key, d.help, d.severity) for d in in_order(report.diagnostics)]


@st.composite
def edits(draw: st.DrawFn) -> list[str]:
    """A text and what became of it, edit by edit."""
    text = draw(st.sampled_from([*SHIPPED, *ODDITIES]))
    texts = [text]
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 3, 40])))
        text = text[:start] + draw(st.sampled_from(["", *PIECES])) + text[end:]
        texts.append(text)
    return texts


@settings(max_examples=150)
@given(edits())
def test_an_incremental_parse_is_a_parse(texts: list[str]) -> None:
    cache = ItemCache()
    for text in texts:
        assert told(text, cache) == told(text, None)


@pytest.mark.parametrize("text", ODDITIES)
def test_cuts_that_guess_wrong_change_nothing(text: str) -> None:
    cache = ItemCache()
    assert told(text, cache) == told(text, None)
    assert told(text, cache) == told(text, None)
    moved = "generator first\n" + text
    assert told(moved, cache) == told(moved, None)


@given(st.sampled_from([*SHIPPED, *ODDITIES]))
@example("")
def test_cuts_cover_the_text(text: str) -> None:
    found = cuts(text)
    assert found[0] == 0
    assert found[-1] == len(text)
    assert found == sorted(set(found))


@settings(max_examples=150)
@given(edits())
def test_cuts_are_those_of_the_parser(texts: list[str]) -> None:
    from dataforge.lang.parse import _ON_LINE, _TEXT, CUT, ITEM

    # The plain statement of the same: no text goes on over the beginning of an item.
    short = _TEXT.replace("(?s:.*?)", rf"(?:(?!^(?:{ITEM}))(?s:.))*?")
    odd = re.compile(rf"{short}|\#[^\n]*|^(?={ITEM})|{_ON_LINE}", re.MULTILINE)
    for text in texts:
        cut = CUT if text.count('"""') % 2 == 0 else odd
        assert cuts(text) == sorted(
            {0, len(text), *(m.start() for m in cut.finditer(text) if m.end() == m.start())}
        )


def test_only_what_changed_is_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataforge.lang import incremental

    parsed: list[str] = []
    real = incremental._parse_piece
    monkeypatch.setattr(
        incremental, "_parse_piece", lambda chunk, budget: (parsed.append(chunk), real(chunk, budget))[1]
    )
    text = "".join(f"node n{i} {{ gives A }}\n" for i in range(20))
    cache = ItemCache()
    parse_items(Source("", text), cache, Report())
    assert len(parsed) == 20
    parsed.clear()
    parse_items(Source("", text.replace("n5 ", "five ")), cache, Report())
    assert parsed == ["node five { gives A }\n"]
