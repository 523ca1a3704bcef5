"""The Pygments lexer: it loses no character, and agrees with the parser about what is a keyword."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String

from dataforge.lang.concrete import read_concrete
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.highlight import ForgeLexer
from dataforge.lang.parse import parse
from tests.lang.programs import program_of, programs
from tests.lang.test_parse_every_clause_fuzz import TEXT as EVERY_CLAUSE

ROOT = Path(__file__).parents[2]
SHIPPED = [*sorted((ROOT / "graphs").glob("*.forge")), *sorted((ROOT / "dataforge").glob("**/*.forge"))]
PAGES = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "docs").glob("*.md")))
SNIPPETS = re.findall(r"^```forge\n(.*?)^```$", PAGES, flags=re.MULTILINE | re.DOTALL)


def lexed(text: str) -> list[tuple[int, object, str]]:
    return list(ForgeLexer().get_tokens_unprocessed(text))


def colours(text: str) -> dict[str, object]:
    """The last colour of each token text."""
    return {value: kind for _, kind, value in lexed(text)}


def disagreements(text: str) -> list[tuple[str, str, object]]:
    """Where the parser's token and the colour at its first character are of different kinds."""
    colour = {start: kind for start, kind, _ in lexed(text)}
    wrong = []
    for token in read_concrete(text).tokens():
        kind = colour.get(token.start)
        if token.kind in ("NAME", "DOTTED"):
            fits = kind is not None and (kind in Name or kind in Keyword.Type)
        elif token.kind in ("STRING", "DOC"):
            fits = kind is not None and kind in String
        elif token.kind == "NUMBER":
            fits = kind is not None and kind in Number
        elif re.fullmatch(r"\w+", token.text):  # a keyword, or a field with a keyword's name
            fits = kind is not None and (kind in Keyword or kind in Operator.Word or kind is Name.Attribute)
        else:
            continue
        if not fits:
            wrong.append((token.kind, text[max(0, token.start - 30) : token.end], kind))
    return wrong


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_files_have_no_errors_and_the_parsers_keywords(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [t for t in lexed(text) if t[1] is Error]
    assert "".join(t[2] for t in lexed(text)) == text
    assert disagreements(text) == []


def parses(text: str) -> bool:
    report = Report()
    parse(Source("x.forge", text), report)
    return not report.has_errors


def test_every_clause_and_every_snippet_of_the_docs_has_no_error() -> None:
    texts = [EVERY_CLAUSE, *(text for text in SNIPPETS if parses(text))]
    assert len(texts) > 60
    for text in texts:
        assert not [t for t in lexed(text) if t[1] is Error], text
        assert disagreements(text) == []


@settings(max_examples=60, deadline=None)
@given(programs())
def test_programs_have_no_errors_and_the_parsers_keywords(program: tuple[object, str]) -> None:
    text = program[1]
    assert not [t for t in lexed(text) if t[1] is Error]
    assert disagreements(text) == []


def test_many_programs_have_no_errors_and_the_parsers_keywords() -> None:
    for seed in range(200):
        text = program_of(seed, comments=3 + seed % 20)[1]
        assert not [t for t in lexed(text) if t[1] is Error]
        assert disagreements(text) == []


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from([*EVERY_CLAUSE.split(), "{", "}", '"', '"""', "{{", "%}", "\n", "\\"])).map(" ".join)
)  # fmt: skip
def test_no_character_is_lost_whatever_the_text(text: str) -> None:
    assert "".join(t[2] for t in lexed(text)) == text


def test_a_broken_item_does_not_spoil_the_next() -> None:
    kinds = [(kind, value) for _, kind, value in lexed('node a { ask w { prompt "open\nnode b { takes A }\n')]
    assert (Keyword.Declaration, "node") == kinds[kinds.index((Name.Function, "b")) - 2]
    assert (Keyword, "takes") in kinds


def test_words_are_coloured_by_where_they_stand() -> None:
    kinds = [
        kind
        for _, kind, value in lexed("struct from { from: str }\nnode takes { takes from  set from.from = true }")
        if value == "from"
    ]  # fmt: skip
    assert kinds == [Name.Class, Name.Attribute, Name]


@pytest.mark.parametrize("quote", ['"', '"""'])
def test_jinja_in_prompts_is_seen(quote: str) -> None:
    text = f"node a {{ ask w {{ prompt {quote}Hi {{{{ A.text | upper }}}} {{% if A.b == 'x' %}}y{{% endif %}}{{# no #}}{quote} }} }}"
    found = colours(text)
    assert found["{{"] is found["}}"] is found["{%"] is String.Interpol
    assert found["A"] is Name.Variable
    assert found[".text"] is Name.Attribute
    assert found["if"] is found["endif"] is Keyword
    assert found["upper"] is Name.Function
    assert found["'x'"] is String.Single
    assert found["{# no #}"] is Comment.Multiline
    assert Error not in found.values()


def test_comments_by_the_thousand_take_no_time() -> None:
    start = time.process_time()
    lexed(
        "struct a { b"
        + " # # # #" * 2000
        + "\n" * 2000
        + "x }"
        + "{" * 2000
        + 'node a { ask b { prompt "'
        + "{{" * 2000
    )
    assert time.process_time() - start < 5


def test_braces_in_texts_that_are_no_prompts_are_text() -> None:
    assert String.Interpol not in colours('node a { """{{ A }}"""  post matches(A.t, "{{ x }}") }').values()


def test_pygments_can_use_it() -> None:
    html = highlight(EVERY_CLAUSE, ForgeLexer(), HtmlFormatter())
    assert '<span class="kd">node</span>' in html
    assert ForgeLexer.analyse_text(EVERY_CLAUSE) > 0.5
    assert ForgeLexer.analyse_text("print('hello')") == 0
