"""A Pygments lexer for `.forge` files, so that documentation sites and viewers can colour them.

Keywords of the language are contextual: `from` is a keyword before a clause's structs and a name in `Passage.from`. A
highlighter has no parser, but it can know what comes next: after a clause's word, a comma or an operator stands a value
(the state `value`, left after one), and only elsewhere is a word a keyword. On a file that parses, this agrees with the
parser; on one that does not, the next item that starts a line is coloured rightly again.

Found by Pygments through the entry point `pygments.lexers`; nothing else imports this module.
"""

from __future__ import annotations

import re
from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, default, include, words
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

_NAME = r"[^\W\d]\w*"
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})+"
_NUMBER = r"-?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?"
_GAP = r"(?:\s|\#[^\n]*+)*+"  # possessive: no comment is tried twice
_ESCAPE = r'\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[ntr"\\])'


def _word(*keywords: str) -> words:
    return words(keywords, prefix=r"\b", suffix=r"\b")


_JINJA_WORDS = _word(
    "if", "elif", "else", "endif", "for", "endfor", "in", "is", "not", "and", "or", "set", "loop", "recursive"
)  # fmt: skip


class ForgeLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """Colours DataForge programs, with the Jinja inside their prompts."""

    name = "DataForge"
    aliases: ClassVar = ["forge", "dataforge"]
    filenames: ClassVar = ["*.forge"]
    mimetypes: ClassVar = ["text/x-forge"]

    tokens: ClassVar = {
        "root": [
            include("blank"),
            (_word("from", "import", "as"), Keyword.Namespace, "origin"),
            (_word("struct"), Keyword.Declaration, ("struct-open", "class-name")),
            (_word("generator", "judge"), Keyword.Declaration, ("model-open", "variable-name")),
            (_word("rubric"), Keyword.Declaration, ("rubric-open", "class-name")),
            (_word("node"), Keyword.Declaration, ("node-open", "function-name")),
            (_word("graph"), Keyword.Declaration, ("graph-open", "function-name")),
            (_word("example"), Keyword.Declaration, ("example-open", "function-name")),
            (_word("predicate"), Keyword.Declaration, "function-name"),
            (_word("list"), Keyword.Declaration, "variable-name"),
            (_word("forge"), Keyword.Declaration, "value"),
            (r"[,(]", Punctuation, "origin"),
            (r"\)", Punctuation),
            (r"=", Operator, "value"),
            (_DOTTED + "|" + _NAME, Name),
        ],
        # ---- names after the words that declare or import them
        "origin": [
            include("blank"),
            (r'"', String, ("#pop", "string")),
            (_DOTTED, Name.Namespace, "#pop"),
            (_NAME, Name.Class, "#pop"),
            default("#pop"),
        ],
        "class-name": [include("blank"), (_NAME, Name.Class, "#pop"), default("#pop")],
        "function-name": [include("blank"), (_NAME, Name.Function, "#pop"), default("#pop")],
        "variable-name": [include("blank"), (_NAME, Name.Variable, "#pop"), default("#pop")],
        # ---- the braces of items
        "struct-open": [include("blank"), (r"\{", Punctuation, ("#pop", "struct")), default("#pop")],
        "model-open": [include("blank"), (r"\{", Punctuation, ("#pop", "settings")), default("#pop")],
        "rubric-open": [include("blank"), (r"\{", Punctuation, ("#pop", "rubric")), default("#pop")],
        "node-open": [include("blank"), (r"\{", Punctuation, ("#pop", "node")), default("#pop")],
        "graph-open": [include("blank"), (r"\{", Punctuation, ("#pop", "graph")), default("#pop")],
        "example-open": [include("blank"), (r"\{", Punctuation, ("#pop", "example")), default("#pop")],
        "struct": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (rf"{_NAME}(?={_GAP}:)", Name.Attribute),
            (_word("str", "int", "float", "bool", "list"), Keyword.Type),
            (r"=", Operator, "value"),
            (r"[\[\]:?,]", Punctuation),
            (r"\|", Operator),
            include("text"),
            (_NAME, Name.Class),
        ],
        "rubric": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (_word("accept"), Keyword, "value"),
            include("condition"),
            include("text"),
            (_NAME, Name.Attribute),
        ],
        "node": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (r"\{", Punctuation, "settings"),
            (_word("gives"), Keyword, "gives"),
            (_word("takes", "pre", "post", "keeps", "set", "call", "branch"), Keyword, "value"),
            (_word("ask", "judge", "verify", "draw", "from"), Keyword, "variable-name"),
            (_word("retry", "weight"), Keyword),
            (_word("train", "else", "reject", "all", "final", "none"), Keyword),
            (r"=", Operator, "value"),
            include("condition"),
            include("text"),
            (_DOTTED + "|" + _NAME, Name),
        ],
        "gives": [
            include("blank"),
            (r"many\b", Keyword),
            (r"\.\.", Operator),
            (_NUMBER, Number),
            default(("#pop", "value")),
        ],
        "graph": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (r"\{", Punctuation, "turns"),
            (_word("nodes"), Keyword, "nodes"),
            (_word("from", "to", "where", "except", "seeds"), Keyword, "value"),
            (_word("emit"), Keyword, "emit"),
            (_word("walk", "steps", "uniform", "weighted", "cover"), Keyword),
            include("condition"),
            include("text"),
            (_DOTTED + "|" + _NAME, Name),
        ],
        "nodes": [include("blank"), (r"\*", Operator, "#pop"), default(("#pop", "value"))],
        "emit": [
            include("blank"),
            (r"\{", Punctuation, ("#pop", "turns")),
            default(("#pop", "value")),
        ],
        "turns": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (_word("system", "user", "assistant", "tool"), Keyword, "template"),
            (_word("reasoning"), Keyword, "value"),
            (_DOTTED + "|" + _NAME, Name),
        ],
        "example": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (r"\{", Punctuation, "fields"),
            (_word("given"), Keyword, "class-name"),
            (_word("model"), Keyword, "variable-name"),
            (_word("says", "reasoning"), Keyword, "answer"),
            (_word("walk"), Keyword, "value"),
            (_word("expect"), Keyword, "expect"),
            include("condition"),
            include("text"),
            (_DOTTED + "|" + _NAME, Name),
        ],
        "answer": [include("blank"), (r"file\b", Keyword), include("text"), default("#pop")],
        "expect": [
            include("blank"),
            (r"reject\b(?!\s*\.)", Keyword, "#pop"),
            default(("#pop", "value")),
        ],
        "fields": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (_NAME, Name.Attribute),
            (r"=", Operator, "field-value"),
        ],
        "field-value": [
            include("blank"),
            (r"\{", Punctuation, ("#pop", "fields")),
            default(("#pop", "value")),
        ],
        "settings": [
            include("blank"),
            (r"\}", Punctuation, "#pop"),
            (_word("prompt", "system"), Keyword, "template"),
            (_word("into", "json", "rubric", "score"), Keyword, "value"),
            (r"\.\.", Operator),
            (_NUMBER, Number),
            (_NAME, Name.Attribute, "value"),
        ],
        # ---- conditions: what may stand where a value has ended, and one value
        "condition": [
            (_word("and", "or", "in"), Operator.Word, "value"),
            (_word("not"), Operator.Word),  # of `not in`
            (r"[=!<>]=|[<>]", Operator, "value"),
            (r"\.\.", Operator),
            (_NUMBER, Number),
            (r"[,(\[]", Punctuation, "value"),
            (r"[)\]]", Punctuation),
        ],
        "value": [
            include("blank"),
            (r"(?:not|has)\b(?!\s*\.)", Operator.Word),
            (r"\(", Punctuation),
            (r"[{\[]", Punctuation, ("#pop", "constants")),
            (_DOTTED, Name, "#pop"),
            (_word("true", "false", "null"), Keyword.Constant, "#pop"),
            (r"(?:words|chars|lines|tokens|len|matches)\b(?={_GAP}\()", Name.Builtin, "#pop"),
            (rf"{_NAME}(?={_GAP}\()", Name.Function, "#pop"),
            (_NAME, Name, "#pop"),
            (_NUMBER, Number, "#pop"),
            (r'"""', String.Doc, ("#pop", "doc")),
            (r'"', String, ("#pop", "string")),
            default("#pop"),
        ],
        "constants": [
            include("blank"),
            (r"[}\]]", Punctuation, "#pop"),
            (r"\[", Punctuation, "#push"),
            (r",", Punctuation),
            (_word("true", "false", "null"), Keyword.Constant),
            (_NUMBER, Number),
            include("text"),
        ],
        # ---- texts
        "text": [
            (r'"""', String.Doc, "doc"),
            (r'"', String, "string"),
        ],
        "string": [
            (_ESCAPE, String.Escape),
            (r'"', String, "#pop"),
            (r'[^"\\\n]+|\\', String),
        ],
        "doc": [
            (r'"""', String.Doc, "#pop"),
            (r'[^"]+|"', String.Doc),
        ],
        "template": [
            include("blank"),
            (r"file\b", Keyword, ("#pop", "answer")),
            (r'"""', String, ("#pop", "template-doc")),
            (r'"', String, ("#pop", "template-string")),
            default("#pop"),
        ],
        "template-string": [
            (_ESCAPE, String.Escape),
            (r'"', String, "#pop"),
            (r"\{#[^\"\n]*?#\}", Comment.Multiline),
            (r"\{[{%][-+]?", String.Interpol, "jinja-in-string"),
            (r'[^"\\\n{]+|\\|\{', String),
        ],
        "template-doc": [
            (r'"""', String, "#pop"),
            (r"\{#(?:(?!\"\"\")[\s\S])*?#\}", Comment.Multiline),
            (r"\{[{%][-+]?", String.Interpol, "jinja-in-doc"),
            (r'[^"{]+|"|\{', String),
        ],
        "jinja-in-string": [
            (r'(?=["\n])', String, "#pop"),
            (r'\\"(?:[^"\\\n]|\\[^"\n])*\\"', String.Double),
            include("jinja"),
        ],
        "jinja-in-doc": [
            (r'(?=""")', String, "#pop"),
            (r'"[^"\n]*"', String.Double),
            (r"\n", Whitespace),
            include("jinja"),
        ],
        "jinja": [
            (r"[-+]?[%}]\}", String.Interpol, "#pop"),
            (r"[^\S\n]+", Whitespace),
            (r"'[^'\"\n]*'", String.Single),
            (_JINJA_WORDS, Keyword),
            (rf"(\|)(\s*)({_NAME})", bygroups(Operator, Whitespace, Name.Function)),
            (rf"\.\s*{_NAME}", Name.Attribute),
            (_NAME, Name.Variable),
            (_NUMBER, Number),
            (r"[=!<>]=|[-+*/%~<>=|]", Operator),
            (r"[\[\](){},:.]", Punctuation),
        ],
        "blank": [
            (r"\s+", Whitespace),
            (r"#[^\n]*", Comment.Single),
        ],
    }  # fmt: skip

    @staticmethod
    def analyse_text(text: str) -> float:
        """How much a text looks like a program: 0 to 1."""
        found = re.findall(rf"^(?:node|graph|struct|rubric|example) {_NAME} \{{", text, flags=re.MULTILINE)
        return min(1.0, 0.3 * len(found))
