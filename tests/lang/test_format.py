"""The formatter's laws, on random programs in random layouts; and its rules, each by a small text."""

from __future__ import annotations

import random
import re
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lark import Lark

from dataforge.lang import syntax as s
from dataforge.lang.concrete import doc_value
from dataforge.lang.diagnostics import CompileError, Report, Source
from dataforge.lang.format import WIDTH, format_text
from dataforge.lang.parse import grammar_text, parse
from tests.lang.programs import WORD_KEYWORDS, Author, Words, laid_out, program_of, program_words, programs

ROOT = Path(__file__).parents[2]
SHIPPED = [*sorted((ROOT / "graphs").glob("*.forge")), *sorted((ROOT / "dataforge").glob("**/*.forge"))]
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip


def tree_of(text: str) -> s.File:
    report = Report()
    file = parse(Source("x.forge", text), report)
    report.raise_if_errors()
    return file


def formatted(text: str) -> str:
    return format_text(textwrap.dedent(text).lstrip("\n"))


_SCAN = re.compile(
    r'(?P<doc>"""(?s:.*?)""")|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<comment>\#[^\n]*)|(?P<end>\n)|[ \t\f]+'
    r"|(?P<word>[^\W\d]\w*|-?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)|(?P<mark>[=!<>]=|\.\.|.)"
)


def written(text: str) -> list[str]:
    """Tokens and comments in order, found without the grammar; a comment says whether it has a line of its own."""
    found: list[str] = []
    alone = True
    for match in _SCAN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "end":
            alone = True
        elif kind == "comment":
            found.append(("alone " if alone else "beside ") + token.rstrip(" \t\f"))
        elif kind is not None:
            found.append(doc_value(token) if kind == "doc" else token)
            alone = False
    return found


def check_laws(tree: s.File, text: str) -> None:
    after = format_text(text)
    assert tree_of(after) == tree
    assert written(after) == written(text)
    assert format_text(after) == after
    check_shape(after)


_SOLID = re.compile(r'"(?:\\.|[^"\\])*"|[\w.]+')


def check_shape(text: str) -> None:
    """One newline at the end, no white space at the ends of lines, no two empty lines, no line too long for nothing."""
    assert not text or (text.endswith("\n") and not text.endswith("\n\n"))
    tall = lambda m: m.lastgroup == "doc" and "\n" in m.group()  # noqa: E731
    code = "".join('"""\n"""' if tall(m) else m.group() for m in _SCAN.finditer(text))
    assert not re.search(r"[ \t]\n", code)
    assert "\n\n\n" not in code
    code = "".join("" if m.lastgroup == "comment" else m.group() for m in _SCAN.finditer(code))
    for line in code.split("\n"):
        line = line.rstrip(" )]}?,")  # these cling to what is before them
        if len(line) > WIDTH:
            indent = len(line) - len(line.lstrip())
            longest = max(map(len, _SOLID.findall(line)))
            assert indent + longest > WIDTH - 35, line


# ---- laws


@SLOW
@given(programs())
def test_a_program_parses_to_the_tree_that_was_meant(program: tuple[s.File, str]) -> None:
    tree, text = program
    assert tree_of(text) == tree


@SLOW
@given(programs())
def test_formatting_keeps_tree_tokens_and_comments_and_does_nothing_the_second_time(
    program: tuple[s.File, str],
) -> None:
    check_laws(*program)


def test_the_laws_hold_for_many_seeds() -> None:
    for seed in range(300):
        check_laws(*program_of(seed, comments=3 + seed % 20))


@SLOW
@given(program_words(), st.randoms(use_true_random=False))
def test_layout_is_forgotten_where_every_token_has_a_line(words: Words, random) -> None:
    gaps = ["\n", "\n  ", " \t\n ", "\n\t"]
    loose = "".join(word + random.choice(gaps) for word in words)
    assert format_text(loose) == format_text("\n".join(words))


@SLOW
@given(program_words(), st.randoms(use_true_random=False))
def test_layout_is_forgotten_where_everything_is_on_one_line(words: Words, random) -> None:
    loose = "".join(word + random.choice([" ", "   ", "\t", " \f "]) for word in words)
    assert format_text(loose) == format_text(" ".join(words))


@SLOW
@given(programs(), st.sampled_from(["\r\n", "\r"]))
def test_line_ends_and_byte_order_mark_are_no_part_of_a_program(
    program: tuple[s.File, str], end: str
) -> None:
    assert format_text("\ufeff" + program[1].replace("\n", end)) == format_text(program[1])


@SLOW
@given(st.text(max_size=80) | programs().map(lambda p: p[1][: len(p[1]) // 2]))
def test_a_text_is_formatted_or_refused_with_diagnostics(text: str) -> None:
    try:
        format_text(text)
    except CompileError as error:
        assert error.diagnostics


def test_the_programs_reach_every_rule_and_keyword_of_the_grammar() -> None:
    lark = Lark(grammar_text(), parser="lalr", keep_all_tokens=True, maybe_placeholders=False)
    seen: set[str] = set()
    words: set[str] = set()
    for seed in range(1000):
        for tree in lark.parse(program_of(seed)[1]).iter_subtrees():
            seen.add(str(tree.data))
            words |= {token.type for token in tree.children if not hasattr(token, "children")}
            if tree.data == "word":
                words.add(f"word {tree.children[0]}")
    rules = {
        str(rule.alias or rule.origin.name)
        for rule in lark.rules
        if rule.alias or not (rule.options.expand1 and len(rule.expansion) == 1)
    }
    assert {rule for rule in rules if not rule.startswith("__")} - seen == set()
    terminals = {terminal.name for terminal in lark.terminals} - set(lark.ignore_tokens)
    assert terminals - words == set()
    assert {f"word {keyword}" for keyword in WORD_KEYWORDS} - words == set()


# ---- the shipped files


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_files_are_in_canonical_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text) == text


def test_examples_of_the_language_page_keep_their_meaning() -> None:
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```forge\n(.*?)\n```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 20
    for text in blocks:
        report = Report()
        tree = parse(Source("page.forge", text), report)
        if not report.has_errors:
            check_laws(tree, text)


PAGE = (ROOT / "docs" / "formatting.md").read_text(encoding="utf-8")
PAIRS = re.findall(
    r"^```forge\n(.*?)\n```\n+becomes\n+```forge\n(.*?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda t: t.split("\n")[0][:30])
def test_page_about_formatting_shows_what_happens(before: str, after: str) -> None:
    assert format_text(before) == after + "\n"


def test_page_about_formatting_shows_only_canonical_forms_otherwise() -> None:
    assert len(PAIRS) >= 6
    befores = {before for before, _ in PAIRS}
    for text in re.findall(r"^```forge\n(.*?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        assert text in befores or format_text(text) == text + "\n"


# ---- rules


@pytest.mark.parametrize("text", ["", "\n\n", " \t\n"])
def test_an_empty_file_stays_empty(text: str) -> None:
    assert format_text(text) == ""


def test_comments_alone_are_a_file() -> None:
    assert format_text("\n\n#one  \n\n\n  # two") == "#one\n\n# two\n"


def test_braces_stay_on_their_line_if_written_so_and_if_they_fit() -> None:
    short = "node a { takes A  gives B }\n"
    assert format_text(short) == short
    assert format_text("node a {takes A\n gives B}") == "node a {\n  takes A\n  gives B\n}\n"
    too_long = 'node a { call "' + "y" * 90 + '" weight 2 }'
    assert format_text(too_long).count("\n") == 4


def test_an_empty_block_has_no_lines() -> None:
    assert format_text("node a {\n\n}") == "node a {}\n"
    assert format_text("node a { # why\n}") == "node a {  # why\n}\n"


def test_conditions_go_on_below_the_first_one_and_break_at_commas_first() -> None:
    long = "words(Passage.text) >= 1 or words(Passage.title) >= 2"
    out = format_text(f"node a {{\n pre A.ok, {long}, {long} and A.ok, A.b }}")
    assert out == (
        f"node a {{\n  pre   A.ok, {long},\n        {long} and A.ok, A.b\n}}\n"
    )  # fmt: skip


def test_a_condition_too_long_for_a_line_breaks_before_or() -> None:
    parts = [f'Passage.kind == "{c * 40}"' for c in "abc"]
    out = format_text(f"node a {{\n post {' or '.join(parts)}, A.ok }}")
    assert out.split("\n")[1:5] == [
        f"  post  {parts[0]}",
        f"          or {parts[1]}",
        f"          or {parts[2]},",
        "        A.ok",
    ]


def test_spellings_and_brackets_are_kept() -> None:
    text = 'node a {\n  pre   (A.n >= 1_000 or (A.x)), matches(A.t, "\\d\\u00e9"), A.n in -2..1e-3\n}\n'
    assert format_text(text) == text


def test_triple_quoted_text_is_indented_with_its_clause_and_says_the_same() -> None:
    out = formatted('''
        node a {
            """
              Two
                lines.
            """
          ask w { prompt """
        Hello,

            {{ A.x }}   """  into A.y }
        }
    ''')
    assert out == textwrap.dedent('''\
        node a {
          """
          Two
            lines.
          """
          ask w {
            prompt """
              Hello,

                  {{ A.x }}   \n            """
            into A.y
          }
        }
    ''').replace("   \n            \"\"\"", "   \n    \"\"\"")  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        f"node a {{ pre {'not ' * 60}A }}",
        f"node a {{ pre {'(' * 60}A.x{')' * 60} or B }}",
        f"node a {{ pre {'(A.first_field and (B.x or ' * 30}C.x{'))' * 30} }}",
        f"node a {{ set A.x = {'[1, ' * 60}2{']' * 60} }}",
        f"struct a {{ x: {'list[' * 60}str{']?' * 60} }}",
        f"example a {{ given A {{ {'a = { ' * 50}b = 1{' }' * 50} }} }}",
    ],
)
def test_deep_nesting_is_formatted(text: str) -> None:
    """The language allows 64 levels."""
    check_laws(tree_of(text), text)
    text = text.replace(" ", "\n")
    check_laws(tree_of(text), text)


def test_deep_programs_keep_the_laws() -> None:
    for seed in range(40):
        below = random.Random(seed).randrange
        tree, words = Author(below, depth=9).program()
        check_laws(tree, laid_out(words, below, comments=12))


def test_a_nested_object_that_is_too_deep_is_refused_and_not_overrun() -> None:
    deep = "given A { " + "a = { " * 2000 + "}" * 2001
    with pytest.raises(CompileError):
        format_text(f"example e {{ {deep} }}")


def test_long_chains_do_not_exhaust_the_stack() -> None:
    chain = " or ".join(f"A.x == {i}" for i in range(1000))
    out = format_text(f"node a {{\n  pre {chain}\n}}")
    check_laws(tree_of(out), out)
    values = ", ".join(map(str, range(5000)))
    out = format_text(f"node a {{\n  pre A.x in {{{values}}}\n}}\nlist l = [{values}]")
    check_laws(tree_of(out), out)


def test_a_large_file_takes_seconds() -> None:
    node = (
        'node n{} {{\n takes A\n gives A\n pre A.kind == "a", words(A.text)>=60\n post A.kind == "b"\n'
        '  ask w {{ prompt "{{{{ A.text }}}}"  into A.text }}\n  set A.kind = "b"\n}}\n'
    )
    text = "".join(node.format(i) for i in range(2_000))
    start = time.process_time()
    out = format_text(text)
    assert time.process_time() - start < 10  # about 1.2 s; the bound is for slow machines
    assert out.count("\nnode ") == 1_999
