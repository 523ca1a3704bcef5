"""Templates: no way into Python, no bomb that goes off, and no value that is taken for a template."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.domain import templates
from dataforge.domain.structs import StructType
from dataforge.domain.templates import MAX_RENDERED_CHARS, Template, Unrenderable, Variable, check, render
from dataforge.lang.diagnostics import Report, Source, Span


class Part(BaseModel):
    name: str = ""


class Page(BaseModel):
    text: str = ""
    other: str = ""
    score: float
    tags: list[str] = []
    parts: list[Part] = []
    extra: dict[str, Any] = {}


STRUCTS = {"Page": StructType("Page", Page, "test")}


def checked(text: str) -> tuple[Template | None, set[str]]:
    report = Report()
    variables = {"who": Variable(None)}
    found = check(text, STRUCTS, variables, Source("x.forge", text), Span(0, len(text)), report)
    return found, {d.code for d in report.diagnostics}


def shown(text: str, /, **fields: Any) -> str:
    template, codes = checked(text)
    assert template is not None, codes
    return render(template, {"Page": Page(score=1, **fields)}, {"who": "me"})


# ---- the wall behind the check: were it passed, the environment would still hold

ESCAPES = [
    "{{ Page.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ Page.text|attr('__class__') }}",
    "{{ Page.text|map(attribute='__class__')|list }}",
    "{{ '{0.__class__}'.format(Page) }}",
    "{{ '{0.__class__.__init__.__globals__}'|format(Page) }}",
    "{{ '%s'|format(Page) }}",
    "{{ '{x.__class__}'.format_map({'x': Page}) }}",
    "{{ Page.text.format_map(Page) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(Page) }}",
    "{{ Page.tags.append('x') }}",
    "{{ Page.extra.update({'a': 1}) }}",
    "{{ Page.pop('text') }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum() }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ cycler('a').next() }}",
    "{{ joiner()() }}",
    "{{ namespace(a=1).a }}",
    "{{ dict(a=1) }}",
    "{{ range(3)|list }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ request }}",
    "{{ _meter.left.__class__ }}",
    "{{ _meter.spend(-9000000) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{{ Page.text|xmlattr }}",
    "{{ Page.tags|random }}",
    "{{ Page.text|pprint }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_escapes_are_refused_and_would_lead_nowhere(text: str) -> None:
    template, codes = checked(text)
    assert template is None
    assert codes <= {"F050", "F052", "F053"}
    context = {"Page": {"text": "{0.__class__}", "tags": ["a"], "extra": {}}, "_meter": templates._Meter()}
    with pytest.raises((jinja2.TemplateError, TypeError, ValueError)):
        templates._environment().from_string(text).render(context)


def test_the_environment_has_nothing_that_prompts_do_not_need() -> None:
    environment = templates._environment()
    assert environment.globals == {}
    assert set(environment.filters) == templates.FILTERS
    assert set(environment.tests) == templates.TESTS
    assert isinstance(environment, jinja2.sandbox.ImmutableSandboxedEnvironment)
    assert environment.loader is None


def test_what_is_shown_is_data_only() -> None:
    """A struct reaches a template as its written fields: no methods, no private state, no properties."""

    class Secret(BaseModel):
        text: str = "open"
        _hidden: str = "closed"

        @property
        def leak(self) -> str:
            return "closed"

        def method(self) -> str:
            return "closed"

    seen = templates._plain(Secret())
    assert seen == {"text": "open"}
    assert templates._plain(Page.model_construct(None, text="a draft")).keys() >= {"text"}


def test_a_draft_is_shown_before_all_of_it_is_written() -> None:
    template, _ = checked("{{ Page.text }}")
    assert template is not None
    assert render(template, {"Page": Page.model_construct(None, text="so far")}, {}) == "so far"


# ---- bombs

BOMBS: dict[str, tuple[str, str]] = {
    # name: (template, what the values are)
    "range": ("{% for i in range(10**9) %}{% endfor %}", "small"),
    "nested ranges": ("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", "small"),
    "multiplied": ("{{ Page.text * 10**9 }}", "small"),
    "multiplied constants": ("{{ 'x' * 10**9 }}", "small"),
    "power": ("{{ 9 ** 9 ** 9 }}", "small"),
    "width by %": ("{{ '%999999999d' % 1 }}", "small"),
    "width by filter": ("{{ '%999999999d' | format(1) }}", "small"),
    "width by method": ("{{ '{:999999999}'.format(1) }}", "small"),
    "center": ("{{ Page.text | center(999999999) }}", "small"),
    "indent": ("{{ Page.text | indent(999999999) }}", "small"),
    "wordwrap": ("{{ Page.text | wordwrap(1, true, Page.text) }}", "small"),
    "urlize": ("{{ Page.text | urlize }}", "small"),
    "replace": ("{{ Page.text | replace('', Page.text) }}", "small"),
    "join of a text": ("{{ Page.text | join(Page.text) }}", "small"),
    "join with a long word": ("{{ Page.tags | join('" + "x" * 500 + "') }}", "small"),
    "slice": ("{{ Page.tags | slice(999999999) | list }}", "small"),
    "doubling": ("{% set x = 'aa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}", "small"),
    "recursive macro": ("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "small"),
    "recursive loop": ("{% for t in Page.tags recursive %}{{ loop(Page.tags) }}{% endfor %}", "small"),
    "lipsum": ("{{ lipsum(n=999999) }}", "small"),
    "a long number": ("{{ Page.text == " + "9" * 100_000 + " }}", "small"),
    "deep brackets": ("{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}", "small"),
    "deep ifs": ("{% if Page.text %}" * 5_000 + "{% endif %}" * 5_000, "small"),
    "tojson again and again": ("{{ Page.text" + " | tojson" * 40 + " | length }}", "quotes"),
    "constants too": ("{{ '\\\"'" + " | tojson" * 40 + " | length }}", "small"),
    "silent loops": ("{% for a in Page.tags %}{% for b in Page.tags %}{% endfor %}{% endfor %}", "many"),
    "silent loops in a test": (
        "{% for a in Page.tags %}{% for b in Page.tags %}{% if a == Page.text %}x{% endif %}{% endfor %}{% endfor %}",
        "many",
    ),
    "filters in loops": (
        "{% for a in Page.tags %}{% if Page.text | upper | wordcount == 1 %}x{% endif %}{% endfor %}",
        "many long",
    ),
    "sort in loops": ("{% for a in Page.tags %}{{ Page.tags | sort | first | first }}{% endfor %}", "many"),
    "comparisons in loops": (
        "{% for a in Page.tags %}{% for b in Page.tags %}{% if Page.text in Page.other %}x{% endif %}{% endfor %}{% endfor %}",
        "search",
    ),
    "output in loops": ("{% for a in Page.tags %}{{ Page.text }}{% endfor %}", "many long"),
    "a list of long texts": ("{{ [" + "Page.text, " * 5_000 + "] }}", "long"),
    "joined long texts": ("{{ [" + "Page.text, " * 5_000 + "] | join | length }}", "long"),
    "JSON of long texts": ("{{ [" + "Page.text, " * 5_000 + "] | tojson | length }}", "long"),
    "JSON of a list in lists": ("{{ [[" + "Page.text, " * 5_000 + "]] | tojson | length }}", "long"),
    "the same text again": ("{{ Page.text }}" * 5_000, "long"),
    "very many references": ("{{ Page.text }}" * 50_000, "small"),
    "very many names": ("{{ [" + "Page.text, " * 50_000 + "] }}", "small"),
    "a deep value": ("{{ Page.extra.a | tojson }}", "deep"),
    "a cyclic value": ("{{ Page.extra.a | tojson }}", "cyclic"),
    "a long template": ("x" * (MAX_RENDERED_CHARS + 1), "small"),
}  # fmt: skip

SCRIPT = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
from tests.security.test_sandbox import BOMBS, Page, checked
from dataforge.domain import templates
from dataforge.domain.templates import Unrenderable, render

templates.MAX_RENDER_S = 1.0
deep = inner = {}
for _ in range(100_000):
    inner["a"] = inner = {}
cyclic = {}
cyclic["a"] = cyclic
VALUES = {
    "small": Page(text="x", score=1, tags=["a", "b"]),
    "quotes": Page(text='"' * 10, score=1),
    "many": Page(text="x", score=1, tags=["a"] * 200_000),
    "many long": Page(text="x y" * 300_000, score=1, tags=["a"] * 200_000),
    "search": Page(text="ab" * 200_000 + "c", other="ab" * 400_000, score=1, tags=["a"] * 2_000),
    "long": Page(text="x" * 900_000, score=1),
    "deep": Page.model_construct(None, extra=deep),
    "cyclic": Page.model_construct(None, extra=cyclic),
}
for name, (text, values) in BOMBS.items():
    resource.setrlimit(resource.RLIMIT_CPU, (int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 60, -1))
    template, codes = checked(text)
    if template is None:
        outcome = sorted(codes)
    else:
        try:
            outcome = len(render(template, {"Page": VALUES[values]}, {}))
        except Unrenderable as error:
            outcome = str(error)
    print(json.dumps([name, outcome]), flush=True)
sys.stdout.flush()
import os
os._exit(0)  # the deep value would take the interpreter's own recursion to free
"""


def test_no_bomb_goes_off() -> None:
    """In a process of 1.5 GB and a minute a template: what goes off takes it down."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=570)
    outcomes = dict(json.loads(line) for line in ran.stdout.splitlines())
    assert ran.returncode == 0, (list(outcomes.items())[-1:], ran.stderr[-2_000:])
    assert outcomes.keys() == BOMBS.keys()
    for name, outcome in outcomes.items():
        match outcome:
            case int():
                assert outcome <= MAX_RENDERED_CHARS, name
            case str():
                assert outcome.startswith("a prompt "), (name, outcome)
            case _:
                assert set(outcome) <= {"F050", "F052", "F053"}, (name, outcome)


def test_the_cut_is_the_same_everywhere() -> None:
    """Work is counted, not timed: one turn more than allowed is cut off, on any machine."""
    template, _ = checked("{% for a in Page.tags %}{% endfor %}")
    assert template is not None
    most = templates.MAX_WORK // 64 * 64 + 63
    assert render(template, {"Page": Page(score=1, tags=["a"] * most)}, {}) == ""
    with pytest.raises(Unrenderable, match="takes too long"):
        render(template, {"Page": Page(score=1, tags=["a"] * (most + 1))}, {})


def test_long_values_are_fine_where_little_is_made_of_them() -> None:
    long = "word " * 400_000
    assert shown("{{ Page.text | truncate(20) }}", text=long) == "word word word..."
    assert shown("{{ Page.tags | length }}", tags=["x"] * 300_000) == "300000"
    many = [f"{n}" for n in range(1_000)]
    assert shown("{% for t in Page.tags %}{{ t | upper }},{% endfor %}", tags=many) == ",".join([*many, ""])


# ---- values are never templates


@settings(max_examples=200)
@given(
    st.text()
    | st.sampled_from(["{{ 7*7 }}", "{% for x in y %}", "{{ Page.other }}", "{# x #}", "{0.__class__}", "%s"])
)
def test_a_value_comes_out_as_it_went_in(value: str) -> None:
    assert shown("<{{ Page.text }}>", text=value, other="no") == f"<{value}>"
    looped = shown("{% for t in Page.tags %}<{{ t }}>{% endfor %}", tags=[value, value])
    assert looped == f"<{value}><{value}>"
    assert json.loads(shown("{{ Page.text | tojson }}", text=value)) == value


@given(st.text())
def test_no_value_makes_it_into_the_prompt_of_another(value: str) -> None:
    first = shown("{{ Page.text }}", text=value)
    assert shown("{{ Page.text }}", text=first) == first
