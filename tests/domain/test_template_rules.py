"""Templates: what is allowed renders, what is not is refused where it stands, and nothing gets at Python's insides."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.domain.structs import StructType
from dataforge.domain.templates import (
    FILTERS,
    MAX_RENDERED_CHARS,
    TESTS,
    Template,
    Unrenderable,
    Use,
    Variable,
    check,
    render,
)
from dataforge.lang.diagnostics import Diagnostic, Report, Source, Span


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Author(BaseModel):
    name: str = "Ada"
    died: int | None = None


class Book(BaseModel):
    title: str = "On Loops"
    note: str | None = None
    pages: int = 7
    size: Size = Size.SMALL
    tags: list[str] = ["b", "a"]
    author: Author = Author()
    authors: list[Author] = [Author(), Author(name="Alan", died=1954)]
    shelves: list[list[str]] = [["x"], ["y", "z"]]
    extra: dict[str, Any] = {"items": 3, "deep": {"keys": "k"}}
    printed: datetime.date = datetime.date(1843, 9, 1)


STRUCTS = {"Book": StructType("Book", Book, "test")}
DRAWN = {"who": Variable(None), "tone": Variable(frozenset(["items", "name"]))}
VALUES: Mapping[str, Any] = {"who": "a teacher", "tone": {"items": "few", "name": "dry"}}


def checked(text: str) -> tuple[Template | None, list[Diagnostic]]:
    report = Report()
    found = check(text, STRUCTS, DRAWN, Source("x.forge", text), Span(0, len(text)), report)
    assert (found is None) == bool(report.diagnostics)
    return found, report.diagnostics


def shown(text: str, book: Book | None = None) -> str:
    template, problems = checked(text)
    assert template is not None, [d.render() for d in problems]
    return render(template, {"Book": book or Book()}, VALUES)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("{{ Book.title }}", "On Loops"),
        ("{{Book.title}} by {{ Book.author.name }}", "On Loops by Ada"),
        ("{{ Book.size }}", "small"),
        ("{{ who }}, {{ tone.name }}", "a teacher, dry"),
        ("{# unseen {{ nothing }} #}seen", "seen"),
        ("{% raw %}{{ Book }}{% endraw %}", "{{ Book }}"),
        ("{{ '{{' }} and {{ \"}}\" }}", "{{ and }}"),
        ("{% if Book.pages > 5 and not Book.note %}long{% else %}short{% endif %}", "long"),
        ("{% if Book.note %}a{% elif Book.pages is odd %}b{% else %}c{% endif %}", "b"),
        ("{{ 'many' if Book.pages >= 5 else 'few' }}", "many"),
        ("{% if Book.title in ['On Loops', 'x'] %}y{% endif %}", "y"),
        ("{% if 'Loops' in Book.title or Book.pages is eq 3 %}y{% endif %}", "y"),
        ("{% for t in Book.tags %}{{ loop.index }}{{ t }}{{ ',' if not loop.last }}{% endfor %}", "1b,2a"),
        ("{% for a in Book.authors %}{{ a.name }}{% if a.died %}†{% endif %} {% endfor %}", "Ada Alan† "),
        ("{% for s in Book.shelves %}{% for t in s %}{{ t }}{% endfor %};{% endfor %}", "x;yz;"),
        ("{% for t in Book.tags %}{% else %}none{% endfor %}", ""),
        ("{{ Book.tags | sort | join(', ') }}", "a, b"),
        ("{{ Book.tags | length }}{{ Book.tags | first }}{{ Book.tags | last }}", "2ba"),
        ("{{ Book.title | upper | lower | title | capitalize | trim }}", "On loops"),
        ("{{ Book.title | truncate(5, true, '…', 0) }}", "On L…"),
        ("{{ Book.title | wordcount }}", "2"),
        ("{{ Book.tags | reverse | join }}{{ Book.tags | unique | join }}", "abba"),
        ("{{ Book.author | tojson }}", '{"died": null, "name": "Ada"}'),
        ("{{ Book.printed | tojson }}", '"1843-09-01"'),
        ("{{ tone | tojson }}", '{"items": "few", "name": "dry"}'),
        ("{{ Book.printed.year }}", "1843"),
        ("<b>{{ Book.title }}</b> & co", "<b>On Loops</b> & co"),
    ],
)
def test_allowed(text: str, result: str) -> None:
    assert shown(text) == result


def test_an_entry_is_shown_and_not_the_method_of_its_name() -> None:
    assert shown("{{ Book.extra.items }} {{ Book.extra.deep.keys }} {{ tone.items }}") == "3 k few"


@pytest.mark.parametrize(
    "text",
    [
        "{{ Book.title() }}",
        "{{ range(10) }}",
        "{% for i in range(10) %}{% endfor %}",
        "{{ Book.title.upper() }}",
        "{{ lipsum() }}",
        "{{ ''.join(Book.tags) }}",
        "{{ Book.tags[0] }}",
        "{{ Book['title'] }}",
        "{{ Book.title[1:2] }}",
        "{{ Book.pages + 1 }}",
        "{{ Book.title * 1000000 }}",
        "{{ 'a' * 1000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ -Book.pages }}",
        "{{ Book.pages // 2 }}",
        "{{ 'a' ~ Book.title }}",
        "{{ '%s' % Book.title }}",
        "{{ {'a': 1} }}",
        "{% set x = 1 %}",
        "{% set x %}a{% endset %}",
        "{% macro m() %}{% endmacro %}",
        "{% call m() %}{% endcall %}",
        "{% block b %}{% endblock %}",
        "{% filter upper %}a{% endfilter %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% for t in Book.tags if t %}{% endfor %}",
        "{% for t in Book.authors recursive %}{% endfor %}",
        "{% for a, b in Book.shelves %}{% endfor %}",
        "{% for t in Book.title %}{% endfor %}",
        "{% for t in Book.extra %}{% endfor %}",
        "{% for t in ['a'] %}{% endfor %}",
        "{% for who in Book.tags %}{% endfor %}",
        "{% for Book in Book.tags %}{% endfor %}",
        "{% for a in Book.tags %}{% for b in Book.tags %}{% for c in Book.tags %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ Book.title | replace('a', 'b') }}",
        "{{ Book.title | center(99) }}",
        "{{ Book.title | format(1) }}",
        "{{ Book.tags | map('upper') }}",
        "{{ Book.tags | batch(2) }}",
        "{{ Book.title | attr('upper') }}",
        "{{ Book.title | safe }}",
        "{{ Book.tags | join(Book.title) }}",
        "{{ Book.title | join('x') }}",
        "{{ Book.title | tojson(indent=9999) }}",
        "{{ Book.tags | join(*Book.tags) }}",
        "{% if Book.title is defined %}{% endif %}",
        "{% if Book.title is callable %}{% endif %}",
        "{% if Book.title is filter %}{% endif %}",
    ],
)
def test_forbidden(text: str) -> None:
    _, problems = checked(text)
    assert "F052" in {d.code for d in problems}, [d.render() for d in problems]
    assert {d.code for d in problems} <= {"F052", "F053"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{{ Boot.title }}", "Boot.title"),
        ("{{ Book.titel }}", "Book.titel"),
        ("{{ Book.title.upper }}", "Book.title.upper"),
        ("{{ Book.author.nam }}", "Book.author.nam"),
        ("{{ Book }}", "Book"),
        ("{{ who.name }}", "who.name"),
        ("{{ tone.nam }}", "tone.nam"),
        ("{{ tone.name.upper }}", "tone.name.upper"),
        ("{{ loop }}", "loop"),
        ("{{ loop.index }}", "loop.index"),
        ("{% for t in Book.tags %}{{ loop.cycle }}{% endfor %}", "loop.cycle"),
        ("{% for t in Book.tags %}{{ loop }}{% endfor %}", "loop"),
        ("{% for t in Book.tags %}{% endfor %}{{ t }}", "t"),
        ("{{ self }}", "self"),
        ("{{ namespace }}", "namespace"),
        ("{{ none.x }}", "none.x"),
        ("{{ Book.title if Boot else 'x' }}", "Boot"),
    ],
)
def test_unknown_names_are_pointed_at(text: str, place: str) -> None:
    _, problems = checked(text)
    assert [d.code for d in problems] == ["F053"]
    span = problems[0].span
    assert text[span.start : span.end] == place


@pytest.mark.parametrize(
    "path",
    [
        "Book.__class__",
        "Book.title.__class__.__mro__",
        "Book.extra.__class__",
        "Book.extra.deep.__init__.__globals__",
        "Book.printed.__reduce__",
        "Book.model_config",
        "Book._abc_impl",
        "who.__class__",
        "tone.__class__",
        "loop.__class__",
    ],
)
@pytest.mark.parametrize("form", ["{{ %s }}", "{%% if %s %%}x{%% endif %%}", "{{ %s | tojson }}"])
def test_attributes_lead_nowhere(path: str, form: str) -> None:
    _, problems = checked(form % path)
    assert [d.code for d in problems] == ["F053"]


@pytest.mark.parametrize("path", ["Book.printed.isoformat", "Book.extra.nothing", "Book.extra.deep.values"])
def test_methods_and_missing_entries_of_unseen_types_are_not_there(path: str) -> None:
    with pytest.raises(Unrenderable):
        shown(f"{{{{ {path} }}}}")


@pytest.mark.parametrize(
    "text", ["{{ Book.title", "{% if Book.title %}", "{% endif %}", "{{ }}", "{{ 1 + }}", "{% x %}"]
)
def test_no_jinja(text: str) -> None:
    _, problems = checked(text)
    assert [d.code for d in problems] == ["F050"]


def test_a_fault_is_shown_on_its_line() -> None:
    text = "first\n  {{ Book.pages + 1 }}\nlast"
    _, (problem,) = checked(text)
    assert text[problem.span.start : problem.span.end] == "{{ Book.pages + 1 }}"


def uses(text: str) -> dict[str, bool]:
    template, _ = checked(text)
    assert template is not None
    assert all(isinstance(use, Use) for use in template.uses)
    return {str(use): use.guarded for use in template.uses if use.path[0] != "pages"}


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("{{ Book.note }}", False),
        ("{% if Book.note %}x{% endif %}", True),
        ("{% if Book.pages > 1 %}{{ Book.note }}{% endif %}", False),
        ("{{ Book.note or 'none' }}", True),
        ("{{ Book.note | upper }}", False),
    ],
)
def test_what_is_shown_is_told_from_what_is_tested(text: str, guarded: bool) -> None:
    assert uses(text) == {"Book.note": guarded}


@pytest.mark.parametrize(
    "text",
    [
        "{% if Book.note %}{{ Book.note }}{% endif %}",
        "{% if Book.note and Book.pages %}{{ Book.note }}{% endif %}",
        "{% if not Book.note %}-{% else %}{{ Book.note }}{% endif %}",
        "{% if Book.note is none %}-{% else %}{{ Book.note }}{% endif %}",
        "{% if Book.note is not none %}{{ Book.note }}{% endif %}",
        "{% if not Book.note or Book.pages %}-{% else %}{{ Book.note }}{% endif %}",
        "{{ Book.note if Book.note else '-' }}",
        "{{ '-' if not Book.note else Book.note }}",
        "{% if Book.note %}{% if Book.pages %}{{ Book.note }}{% endif %}{% endif %}",
    ],
)
def test_guards(text: str) -> None:
    assert shown(text, Book(note=None)) in ("-", "")
    template, _ = checked(text)
    assert template is not None
    assert all(use.guarded for use in template.uses if use.path == ("note",))


@pytest.mark.parametrize(
    "text",
    [
        "{% if Book.note or Book.pages %}{{ Book.note }}{% endif %}",
        "{% if Book.note %}x{% endif %}{{ Book.note }}",
        "{% if Book.note %}x{% else %}{{ Book.note }}{% endif %}",
        "{% if not Book.note %}{{ Book.note }}{% endif %}",
        "{% if Book.note is none %}{{ Book.note }}{% endif %}",
        "{% if not (Book.note and Book.pages) %}-{% else %}{% endif %}{{ Book.note }}",
        "{{ '-' if Book.note else Book.note }}",
    ],
)
def test_what_guards_nothing(text: str) -> None:
    template, _ = checked(text)
    assert template is not None
    assert any(not use.guarded for use in template.uses if use.path == ("note",))


def test_names_variables_and_digest() -> None:
    text = "{{ Book.title }} {{ who }} {% if Novel.title %}{% endif %}"
    report = Report()
    structs = {**STRUCTS, "Novel": STRUCTS["Book"]}
    found = check(text, structs, DRAWN, Source("x", text), Span(0, len(text)), report)
    assert found is not None
    assert dict(found.names) == {"Book": "Book", "Novel": "Book"}
    assert found.variables == {"who"}
    assert found.digest == Template(text, {}).digest != Template(text + " ", {}).digest


def test_broken_names_raise_no_further_complaint() -> None:
    report = Report()
    text = "{{ Lost.title }}"
    assert check(text, {}, {}, Source("x", text), Span(0, len(text)), report, {"Lost"}) is None
    assert not report.diagnostics


def test_a_plain_template_and_jinja_agree() -> None:
    """References alone take a short way, past Jinja's parser: it must lead to the same place."""
    plain, _ = checked("{{ Book.title }} {{ who }}")
    slow, _ = checked("{{ Book.title }} {{ who }}{# #}")
    assert plain is not None
    assert slow is not None
    assert (plain.names, plain.variables) == (slow.names, slow.variables)
    assert [(str(u), u.guarded, u.span) for u in plain.uses] == [
        (str(u), u.guarded, u.span) for u in slow.uses
    ]


def test_output_is_capped() -> None:
    tags = ["x" * 1_000] * 40
    text = "{% for a in Book.tags %}{% for b in Book.tags %}{{ a }}{% endfor %}{% endfor %}"
    with pytest.raises(Unrenderable, match="1,000,000"):
        shown(text, Book(tags=tags))
    assert len(shown(text, Book(tags=tags[:30]))) == 900_000 < MAX_RENDERED_CHARS


@pytest.mark.parametrize(
    ("text", "book"),
    [
        ("{{ Book.pages | length }}", Book()),
        ("{% if Book.pages > Book.title %}x{% endif %}", Book()),
        ("{{ Book.tags | first }}", Book(tags=[])),
        ("{{ Book.title | tojson }}{% if Book.pages in Book.title %}{% endif %}", Book()),
    ],
)
def test_values_that_a_template_cannot_work_on(text: str, book: Book) -> None:
    with pytest.raises(Unrenderable):
        shown(text, book)


def test_nesting_is_bounded() -> None:
    for text in ("{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}", "{% if Book.pages %}" * 3_000):
        _, problems = checked(text)
        assert {d.code for d in problems} <= {"F050", "F052"}
        assert problems


PIECES = ["{{", "}}", "{%", "%}", "if", "for", "in", "endif", "endfor", "else", "Book.title", "Book.tags", "Book.note",
          "Book.extra.x", "who", "tone.name", "t", "loop.index", "|", "join", "tojson", "upper", "first", "is", "none", "not",
          "and", "(", ")", "[", "]", "'a'", "1", "+", ".", "__class__", "{#", "#}", "\n", "é", "\x00", *sorted(FILTERS | TESTS)]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join))
def test_whatever_is_written_is_refused_or_rendered(text: str) -> None:
    template, problems = checked(text)
    for found in problems:
        assert 0 <= found.span.start <= found.span.end <= len(text)
    if template is not None:
        try:
            render(template, {"Book": Book(note="n")}, VALUES)
        except Unrenderable:
            pass
