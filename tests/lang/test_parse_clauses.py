"""Every item and clause of the grammar parses to the tree that it says."""

from __future__ import annotations

from typing import Any

import pytest

from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse


def read(text: str) -> s.File:
    report = Report()
    file = parse(Source("x.forge", text), report)
    assert not report.diagnostics, [d.render() for d in report.diagnostics]
    return file


def item(text: str) -> Any:
    (found,) = read(text).items
    return found


def clause(text: str) -> Any:
    (found,) = item(f"node n {{ {text} }}").clauses
    return found


def graph_clause(text: str) -> Any:
    (found,) = item(f"graph g {{ {text} }}").clauses
    return found


def cond(text: str) -> Any:
    (found,) = clause(f"pre {text}").items
    return found


def name(text: str) -> s.Name:
    return s.Name(text)


def lit(value: Any) -> s.Literal:
    return s.Literal(tuple(map(lit, value)) if isinstance(value, list) else value)


def ref(text: str) -> s.Ref:
    return s.Ref(tuple(text.split(".")))


A = s.Truth(ref("A.b"))


def test_empty_file_and_version() -> None:
    assert read("") == s.File(())
    assert read("# only a comment") == s.File(())
    assert read("forge 1") == s.File((), lit(1))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("from a.b import C", s.Import("a.b", False, (s.Imported(name("C"), name("C")),))),
        ("from a . b import C", s.Import("a.b", False, (s.Imported(name("C"), name("C")),))),
        (
            'from "x/y.forge" import C as D, E',
            s.Import("x/y.forge", True, (s.Imported(name("C"), name("D")), s.Imported(name("E"), name("E")))),
        ),
        ("generator w", s.ModelDecl("generator", name("w"))),
        ("judge w {}", s.ModelDecl("judge", name("w"))),
        (
            'generator w { temperature 0.5 stop ["a", "b"] thinking off }',
            s.ModelDecl(
                "generator",
                name("w"),
                (
                    s.Setting(name("temperature"), lit(0.5)),
                    s.Setting(name("stop"), lit(["a", "b"])),
                    s.Setting(name("thinking"), ref("off")),
                ),
            ),
        ),
        ('list l from "x.jsonl"', s.ListDecl(name("l"), lit("x.jsonl"))),
        ('list l = ["a", 1, null]', s.ListDecl(name("l"), None, (lit("a"), lit(1), lit(None)))),
        (
            'rubric r { """D""" a "A?" in 1..5 b "B?" in 0..1 accept a }',
            s.RubricDecl(
                name("r"),
                "D",
                (
                    s.Criterion(name("a"), "A?", s.Range(1, 5)),
                    s.Criterion(name("b"), "B?", s.Range(0, 1)),
                ),
                s.Truth(ref("a")),
            ),
        ),
        ('predicate p(A, B) = "m:f"', s.PredicateDecl(name("p"), (name("A"), name("B")), lit("m:f"))),
        ("struct S { }", s.StructDecl(name("S"), None, ())),
        (
            'struct S { """D""" a: str? = null "what" b: list[list[int?]] c: "x" | "y" = "x" d: T }',
            s.StructDecl(
                name("S"),
                "D",
                (
                    s.FieldDecl(name("a"), s.TypeExpr("name", "str", optional=True), lit(None), "what"),
                    s.FieldDecl(
                        name("b"),
                        s.TypeExpr(
                            "list",
                            "list",
                            item=s.TypeExpr("list", "list", item=s.TypeExpr("name", "int", optional=True)),
                        ),
                    ),
                    s.FieldDecl(name("c"), s.TypeExpr("enum", values=("x", "y")), lit("x")),
                    s.FieldDecl(name("d"), s.TypeExpr("name", "T")),
                ),
            ),
        ),
        ('node n { """D""" }', s.NodeDecl(name("n"), "D", ())),
        ('graph g { """D""" }', s.GraphDecl(name("g"), "D", ())),
    ],
)
def test_item(text: str, tree: Any) -> None:
    assert item(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("takes A, B", s.Takes((name("A"), name("B")))),
        ("gives A", s.Gives((name("A"),))),
        ("gives many A", s.Gives((name("A"),), True)),
        ("gives many 2..3 A, B", s.Gives((name("A"), name("B")), True, s.Range(2, 3))),
        ("gives many ..3 A", s.Gives((name("A"),), True, s.Range(None, 3))),
        ("pre A.b, A.b", s.Pre((A, A))),
        ("post A.b", s.Post((A,))),
        ("keeps A.b, A.c", s.Keeps((ref("A.b"), ref("A.c")))),
        ("draw x from xs", s.Draw(name("x"), name("xs"))),
        ("set A.b = 1", s.Set(ref("A.b"), lit(1))),
        ("set A.b = C.d", s.Set(ref("A.b"), ref("C.d"))),
        ("set A.b = words(C.d)", s.Set(ref("A.b"), s.Func("words", (ref("C.d"),)))),
        ("set A.b = []", s.Set(ref("A.b"), lit([]))),
        ('call "m:f"', s.Call(lit("m:f"))),
        (
            'ask w { system "S" prompt file "p.j2" into A.b json A reasoning A.r thinking auto max_tokens 5 }',
            s.Ask(
                name("w"),
                (
                    s.Setting(name("system"), s.Text("S")),
                    s.Setting(name("prompt"), s.Text("p.j2", True)),
                    s.Setting(name("into"), ref("A.b")),
                    s.Setting(name("json"), ref("A")),
                    s.Setting(name("reasoning"), ref("A.r")),
                    s.Setting(name("thinking"), ref("auto")),
                    s.Setting(name("max_tokens"), lit(5)),
                ),
            ),
        ),
        (
            "judge c { rubric r score A.b rounds 3 }",
            s.Judge(
                name("c"),
                (
                    s.Setting(name("rubric"), ref("r")),
                    s.Setting(name("score"), ref("A.b")),
                    s.Setting(name("rounds"), lit(3)),
                ),
            ),
        ),
        ("verify v", s.Verify(name("v"), (), ())),
        (
            'verify v(A.b, "x", tolerance = 0.1, unit = A.c) { samples 3 keep best pass_rate 0.1.. }',
            s.Verify(
                name("v"),
                (ref("A.b"), lit("x"), (name("tolerance"), lit(0.1)), (name("unit"), ref("A.c"))),
                (
                    s.Setting(name("samples"), lit(3)),
                    s.Setting(name("keep"), ref("best")),
                    s.Setting(name("pass_rate"), s.Range(0.1, None)),
                ),
            ),
        ),
        ("branch A.b", s.Branch(ref("A.b"), False)),
        ("branch A.b else reject", s.Branch(ref("A.b"), True)),
        ("retry 3", s.Retry(lit(3))),
        ("weight 0.5", s.Weight(lit(0.5))),
        ("train all", s.Train("all")),
        ("train final", s.Train("final")),
        ("train none", s.Train("none")),
    ],
)
def test_node_clause(text: str, tree: Any) -> None:
    assert clause(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("from A, B", s.From((name("A"), name("B")))),
        ("from A where A.b, A.b", s.From((name("A"),), (A, A))),
        ("to A", s.To((name("A"),))),
        ("to A where A.b", s.To((name("A"),), (A,))),
        ("nodes *", s.Nodes(None)),
        ("nodes * except a, b", s.Nodes(None, (name("a"), name("b")))),
        ("nodes a, b", s.Nodes((name("a"), name("b")))),
        ("nodes a except b", s.Nodes((name("a"),), (name("b"),))),
        ("walk uniform", s.Walk("uniform")),
        ("walk weighted", s.Walk("weighted")),
        ("walk cover", s.Walk("cover")),
        ("steps 1..", s.Steps(s.Range(1, None))),
        ("steps ..", s.Steps(s.Range(None, None))),
        ('seeds "a", "b/*.jsonl"', s.Seeds((lit("a"), lit("b/*.jsonl")))),
        ("emit A.b", s.Emit(ref=ref("A.b"))),
        (
            'emit { system "s" user file "u.j2" assistant """a""" reasoning A.r tool "t" }',
            s.Emit(
                (
                    s.Turn("system", s.Text("s")),
                    s.Turn("user", s.Text("u.j2", True)),
                    s.Turn("assistant", s.Text("a"), ref("A.r")),
                    s.Turn("tool", s.Text("t")),
                )
            ),
        ),
    ],
)
def test_graph_clause(text: str, tree: Any) -> None:
    assert graph_clause(text) == tree


B = s.Truth(ref("B"))
C = s.Truth(ref("C"))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("A.b", A),
        ("A . b . c", s.Truth(ref("A.b.c"))),
        ("has A.b", s.Has(ref("A.b"))),
        ("p(A, B)", s.Truth(s.Func("p", (ref("A"), ref("B"))))),
        ('matches(A.b, "x")', s.Truth(s.Func("matches", (ref("A.b"), lit("x"))))),
        *[(f"A.b {op} 1", s.Compare(ref("A.b"), op, lit(1))) for op in ("==", "!=", "<", "<=", ">", ">=")],
        (
            "words(A.b) >= len(B.c)",
            s.Compare(s.Func("words", (ref("A.b"),)), ">=", s.Func("len", (ref("B.c"),))),
        ),
        ("A.b == null", s.Compare(ref("A.b"), "==", lit(None))),
        ("A.b in 1..2", s.In(ref("A.b"), False, s.Range(1, 2))),
        ("A.b in -1.5..-1", s.In(ref("A.b"), False, s.Range(-1.5, -1))),
        ("A.b not in ..2", s.In(ref("A.b"), True, s.Range(None, 2))),
        ('A.b in {"x", "y"}', s.In(ref("A.b"), False, (lit("x"), lit("y")))),
        ("A.b not in {1}", s.In(ref("A.b"), True, (lit(1),))),
        ("not A.b", s.Not(A)),
        ("not not A.b", s.Not(s.Not(A))),
        ("A.b and B or C", s.Or((s.And((A, B)), C))),
        ("A.b or B and C", s.Or((A, s.And((B, C))))),
        ("(A.b or B) and C", s.And((s.Or((A, B)), C))),
        ("not A.b and B", s.And((s.Not(A), B))),
        ("not (A.b and B)", s.Not(s.And((A, B)))),
        ("A.b and B and C", s.And((A, B, C))),
        ("A.b or (B or C)", s.Or((A, B, C))),
    ],
)
def test_condition(text: str, tree: Any) -> None:
    assert cond(text) == tree


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"a\nb\t\"q\" \\ \r"', 'a\nb\t"q" \\ \r'),
        (r'"\u00e9\U0001f600"', "é😀"),
        (r'"\d+\w \b \U99999999 \x41 \u12"', r"\d+\w \b \U99999999 \x41 \u12"),
        ('"""\n    one\n      two\n\n    three\n  """', "one\n  two\n\nthree"),
        ('"""  one line  """', "one line"),
        (r'"""a\nb"""', r"a\nb"),
        ('"""say "it" """', 'say "it"'),
        ('""', ""),
        ("1_000", 1000),
        ("-2", -2),
        ("1e-3", 0.001),
        ("2E+2", 200.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ('["a", [1, true], []]', ["a", [1, True], []]),
        (str(10**39), 10**39),
    ],
)
def test_literal(written: str, meant: Any) -> None:
    found = clause(f"set A.b = {written}")
    assert found.value == lit(meant)
    assert type(found.value.value) is type(lit(meant).value)


KEYWORDS = [
    "all",
    "and",
    "as",
    "ask",
    "assistant",
    "branch",
    "call",
    "cover",
    "draw",
    "else",
    "emit",
    "except",
    "file",
    "final",
    "forge",
    "from",
    "generator",
    "gives",
    "graph",
    "has",
    "import",
    "in",
    "into",
    "json",
    "judge",
    "keeps",
    "list",
    "many",
    "node",
    "nodes",
    "none",
    "not",
    "or",
    "post",
    "pre",
    "predicate",
    "prompt",
    "reasoning",
    "reject",
    "retry",
    "rubric",
    "score",
    "seeds",
    "set",
    "steps",
    "struct",
    "system",
    "takes",
    "to",
    "tool",
    "train",
    "uniform",
    "user",
    "verify",
    "walk",
    "weight",
    "weighted",
    "where",
    "true",
    "false",
    "null",
]


@pytest.mark.parametrize("word", [w for w in KEYWORDS if w not in ("true", "false", "null")])
def test_keywords_are_contextual(word: str) -> None:
    """A word is a keyword only where the grammar could take it as one."""
    tree = read(
        f"struct S {{ a: str {word}: int = 1 b: T }}\n"
        f"node {word} {{ takes S gives {word.upper()} pre S.{word} == 1, has S.{word} or not S.{word} post S.{word} in 1..2 }}\n"
        f"graph {word}_g {{ from S where S.{word} to S nodes {word} }}"
    )
    struct, node, _ = tree.items
    assert isinstance(struct, s.StructDecl)
    assert [f.name.text for f in struct.fields] == ["a", word, "b"]
    assert isinstance(node, s.NodeDecl)
    assert node.name.text == word


@pytest.mark.parametrize("word", KEYWORDS)
def test_keyword_names_a_rubric_criterion_or_a_subfield(word: str) -> None:
    tree = item(
        f"node n {{ pre A.{word}, A.{word}.{word} == 1, words(A.{word}) > 2 set A.{word} = B.{word} }}"
    )
    assert tree.clauses[1] == s.Set(ref(f"A.{word}"), ref(f"B.{word}"))


def test_layout_means_nothing() -> None:
    text = 'node n { takes A gives B pre A.b in 1..2, not A.c ask w { prompt "p" into B.d } retry 2 }'
    broken = "".join(c if c != " " else "  # said\n\t" for c in text.replace('"p"', '"p"'))
    assert read(broken) == read(text)


def test_newlines_of_all_kinds_and_a_byte_order_mark(project: Any) -> None:
    from dataforge.domain.files import Files

    text = 'struct A { b: str }\nnode n { """\n    one\n    two\n  """ takes A }\n'
    for variant in (text, text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        (project / "x.forge").write_bytes(b"\xef\xbb\xbf" + variant.encode())
        source = Files(project).text(project / "x.forge")
        assert source.text == text
        assert read(source.text).items[1].doc == "one\ntwo"  # type: ignore[union-attr]
