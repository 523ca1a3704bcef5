"""The rules of prompts, one line each: what is refused, with which code, and which uses count as guarded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.domain.structs import StructType
from dataforge.domain.templates import FILTERS, Template, Unrenderable, Variable, check, render
from dataforge.lang.diagnostics import Report, Source, Span


class Person(BaseModel):
    name: str
    nick: str | None = None


class Doc(BaseModel):
    text: str
    title: str | None = None
    kind: str = "a"
    stars: int = 3
    tags: list[str] = []
    people: list[Person] = []
    author: Person
    extra: dict[str, Any] = {}


STRUCTS = {"Doc": StructType("Doc", Doc, "test")}
VARIABLES = {"who": Variable(None), "tone": Variable(frozenset({"word"}))}
DOC = Doc(text="Some text.", tags=["b", "a"], author=Person(name="Eve"))
VALUES = {"who": "a teacher", "tone": {"word": "dry"}}


def look(text: str) -> tuple[Template | None, Report]:
    report = Report()
    quoted = f'"""{text}"""'
    source = Source("x.forge", "node n { ask w { prompt " + quoted)
    span = Span(len(source.text) - len(quoted), len(source.text))
    template = check(text, STRUCTS, VARIABLES, source, span, report)
    assert (template is None) == report.has_errors
    for found in report.diagnostics:
        assert span.start <= found.span.start < found.span.end <= span.end
    return template, report


FORBIDDEN = """
{{ Doc.text.upper() }}
{{ range(10**9) }}
{% for i in range(9) %}{% endfor %}
{{ lipsum() }}
{% call Doc.text() %}{% endcall %}
{% macro m() %}{% endmacro %}
{{ Doc.text[0] }}
{{ Doc['text'] }}
{{ Doc.tags[:2] }}
{{ Doc.text ~ Doc.text }}
{{ Doc.text * 9 }}
{{ 'x' * 10**9 }}
{{ 9 ** 9 ** 9 }}
{{ -Doc.stars }}
{{ '%999999999d' % 1 }}
{{ {'a': 1} }}
{% set x = 1 %}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% block b %}{% endblock %}
{% filter upper %}x{% endfilter %}
{% with a = 1 %}{% endwith %}
{% autoescape true %}{% endautoescape %}
{% for t in Doc.text %}{% endfor %}
{% for t in ['a'] %}{% endfor %}
{% for t in Doc.tags if t %}{% endfor %}
{% for a, b in Doc.tags %}{% endfor %}
{% for p in Doc.people recursive %}{% endfor %}
{% for Doc in Doc.tags %}{% endfor %}
{% for who in Doc.tags %}{% endfor %}
{% for a in Doc.tags %}{% for b in Doc.tags %}{% for c in Doc.tags %}{% endfor %}{% endfor %}{% endfor %}
{{ Doc.text | attr('x') }}
{{ Doc.text | format }}
{{ Doc.text | center(100000) }}
{{ Doc.text | replace('a', 'b') }}
{{ Doc.tags | map('upper') }}
{{ Doc.text | default('x') }}
{{ Doc.extra | tojson(100000) }}
{{ Doc.tags | join('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}
{{ Doc.tags | join(Doc.text) }}
{{ Doc.tags | join(d=',') }}
{{ Doc.tags | join(',', 'name') }}
{{ Doc.text | join('x') }}
{{ Doc.tags | join('x') | join('y') }}
{{ Doc.tags | join(*Doc.tags) }}
{{ Doc.text | truncate(1) }}
{{ Doc.text | truncate('x') }}
{{ Doc.people | sort(false, false, 'name') }}
{% if Doc.text is defined %}{% endif %}
{% if Doc.text is callable %}{% endif %}
{{ ''.__class__ }}
"""
UNKNOWN = """
{{ Dok.text }}
{{ Doc.txt }}
{{ Doc }}
{{ Doc.text.upper }}
{{ Doc.author.age }}
{{ loop }}
{{ loop.index }}
{% for t in Doc.tags %}{{ loop.previtem }}{% endfor %}
{% for t in Doc.tags %}{{ t.x }}{% endfor %}
{{ who.name }}
{{ tone.colour }}
{% for t in Doc.tags %}{% endfor %}{{ t }}
{{ Doc.__class__ }}
{{ Doc.text.__class__.__mro__ }}
{{ self.__init__ }}
{{ Doc.model_fields }}
{{ config }}
"""
NO_JINJA = """
{{ Doc.text
{% if Doc.text %}
{% endif %}
{% frobnicate %}
{% for loop in Doc.tags %}x{% endfor %}
"""


def lines(text: str) -> list[str]:
    return text.strip().split("\n")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *((t, "F052") for t in lines(FORBIDDEN)),
        *((t, "F053") for t in lines(UNKNOWN)),
        *((t, "F050") for t in lines(NO_JINJA)),
    ],
)
def test_refused(text: str, code: str) -> None:
    _, report = look(text)
    assert {d.code for d in report.diagnostics} == {code}, [d.render() for d in report.diagnostics]


@pytest.mark.parametrize(
    "text",
    [
        "{% if Doc.text %}" * 400 + "{% endif %}" * 400,
        "{% if Doc.text %}" * 5_000 + "{% endif %}" * 5_000,
        "{{ " + "not " * 5_000 + "Doc.text }}",
        "{{ " + "(" * 5_000 + "Doc.text" + ")" * 5_000 + " }}",
        "{{ " + "[" * 300 + "]" * 300 + " }}",
        "{{ Doc.text " + "| trim " * 3_000 + "}}",
    ],
    ids=["ifs", "many ifs", "nots", "brackets", "lists", "filters"],
)
def test_deep_template_is_an_error_or_works(text: str) -> None:
    template, report = look(text)
    if template is None:
        assert {d.code for d in report.diagnostics} == {"F052"}
    else:
        render(template, {"Doc": DOC}, VALUES)


def test_each_mistake_is_said_at_its_line() -> None:
    _, report = look("line\n{{ Doc.txt }}\n{{ Doc.text() }}\n{{ nobody }}\n")
    found = [(d.code, d.source.line_column(d.span.start)[0]) for d in report.diagnostics]
    assert found == [("F053", 2), ("F052", 3), ("F053", 4)]


@pytest.mark.parametrize(
    ("text", "guarded", "bare"),
    [
        ("{{ Doc.title }}", "", "title"),
        ("{% if Doc.title %}{{ Doc.title }}{% endif %}", "title", ""),
        ("{% if Doc.title %}{% else %}{{ Doc.title }}{% endif %}", "title", "title"),
        ("{% if not Doc.title %}{% else %}{{ Doc.title }}{% endif %}", "title", ""),
        ("{% if not Doc.title %}x{% elif Doc.stars %}{{ Doc.title }}{% endif %}", "title stars", ""),
        ("{% if Doc.title is not none %}{{ Doc.title }}{% endif %}", "title", ""),
        ("{% if Doc.title is none %}{{ Doc.title }}{% endif %}", "title", "title"),
        ("{% if Doc.title and Doc.stars %}{{ Doc.title }}{% endif %}", "title stars", ""),
        ("{% if Doc.title or Doc.stars %}{{ Doc.title }}{% endif %}", "title stars", "title"),
        ("{{ Doc.title if Doc.title else 'x' }}", "title", ""),
        ("{% if Doc.title %}a{% endif %}{{ Doc.title }}", "title", "title"),
        ("{% if Doc.author.nick %}{{ Doc.author.nick }}{% endif %}", "author.nick", ""),
    ],
)
def test_guards(text: str, guarded: str, bare: str) -> None:
    template, _ = look(text)
    assert template is not None
    assert {".".join(u.path) for u in template.uses if u.guarded} == set(guarded.split())
    assert {".".join(u.path) for u in template.uses if not u.guarded} == set(bare.split())


PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", "Doc.text", "Doc", "Doc.tags", " if ", " for x in ", "endif", "endfor", "x",
          "|", "join", "first", "(", ")", "[", "]", "'", "~", "*", "9", "not ", "is ", "none", "loop.index", ".", "-", "\n"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *sorted(FILTERS)]), max_size=14).map(" ".join))
def test_any_template_is_refused_or_renders_or_says_why_not(text: str) -> None:
    template, _ = look(text)
    if template is not None:
        try:
            render(template, {"Doc": DOC}, VALUES)
        except Unrenderable:
            pass
