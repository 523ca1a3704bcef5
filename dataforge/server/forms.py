"""The grammar as a reader of tokens needs it: what a word can be, and what comes after each keyword.

Tables and nothing else. Tests hold them to the grammar: every keyword of it is in one of them or in the glossary, and what
the reader makes of a text that parses is what the parser makes of it.
"""

from __future__ import annotations

import enum


class Role(enum.Enum):
    """What a word or a text is."""

    KEYWORD = "keyword"
    DECLARED = "declared"
    IMPORTED = "imported"
    ORIGIN = "origin"
    STRUCT = "struct"
    MODEL = "model"
    LIST = "list"
    RUBRIC = "rubric"
    MEMBER = "member"
    """A node or graph."""
    SUBJECT = "subject"
    """The node or graph that an example is of."""
    HEAD = "head"
    """The first word of a reference in a condition or setting."""
    FIELD = "field"
    """A field of a struct; its path begins with the struct."""
    FUNCTION = "function"
    TYPE = "type"
    SETTING = "setting"
    VARIABLE = "variable"
    CRITERION = "criterion"
    VERIFIER = "verifier"
    TEMPLATE = "template"
    PATH = "path"
    PYTHON = "python"
    DOC = "doc"
    VALUE = "value"
    WORD = "word"


ITEMS = ("struct", "generator", "judge", "list", "rubric", "predicate", "node", "graph", "example")
HEADS = frozenset([*ITEMS, "from", "forge"])

CLAUSES: dict[str, tuple[str, ...]] = {
    "node": (
        *("takes", "gives", "pre", "post", "keeps", "draw", "set", "ask", "call", "judge", "verify"),
        *("branch", "retry", "weight", "train"),
    ),
    "graph": ("from", "to", "nodes", "walk", "steps", "seeds", "emit"),
    "example": ("given", "model", "walk", "expect"),
    "rubric": ("accept",),
}
"""Item → the words that begin its clauses."""

FORMS: dict[tuple[str, str], Role] = {
    ("node", "takes"): Role.STRUCT,
    ("node", "gives"): Role.STRUCT,
    ("node", "pre"): Role.HEAD,
    ("node", "post"): Role.HEAD,
    ("node", "keeps"): Role.HEAD,
    ("node", "draw"): Role.VARIABLE,
    ("node", "set"): Role.HEAD,
    ("node", "ask"): Role.MODEL,
    ("node", "judge"): Role.MODEL,
    ("node", "call"): Role.PYTHON,
    ("node", "verify"): Role.VERIFIER,
    ("node", "branch"): Role.HEAD,
    ("node", "retry"): Role.VALUE,
    ("node", "weight"): Role.VALUE,
    ("node", "train"): Role.WORD,
    ("graph", "from"): Role.STRUCT,
    ("graph", "to"): Role.STRUCT,
    ("graph", "nodes"): Role.MEMBER,
    ("graph", "walk"): Role.WORD,
    ("graph", "steps"): Role.VALUE,
    ("graph", "seeds"): Role.PATH,
    ("graph", "emit"): Role.HEAD,
    ("example", "given"): Role.STRUCT,
    ("example", "model"): Role.MODEL,
    ("example", "walk"): Role.MEMBER,
    ("example", "expect"): Role.HEAD,
    ("rubric", "accept"): Role.CRITERION,
}
"""Item and clause → what the clause names first."""

WORDS: dict[str, tuple[str, ...]] = {
    "train": ("all", "final", "none"),
    "walk": ("uniform", "weighted", "cover"),
    "thinking": ("on", "off", "auto"),
    "keep": ("best", "first", "all"),
}
"""Clause or setting → the words that it may take."""

SETTINGS: dict[str, Role] = {
    "prompt": Role.TEMPLATE,
    "system": Role.TEMPLATE,
    "into": Role.HEAD,
    "json": Role.STRUCT,
    "rubric": Role.RUBRIC,
    "score": Role.HEAD,
    "reasoning": Role.HEAD,
    "thinking": Role.WORD,
}
TURNS = ("system", "user", "assistant", "tool")

LINKS: dict[tuple[str, str], dict[str, Role]] = {
    ("node", "gives"): {"many": Role.STRUCT},
    ("node", "draw"): {"from": Role.LIST},
    ("node", "branch"): {"else": Role.WORD},
    ("graph", "from"): {"where": Role.HEAD},
    ("graph", "to"): {"where": Role.HEAD},
    ("graph", "nodes"): {"except": Role.MEMBER},
    ("example", "model"): {"says": Role.DOC, "reasoning": Role.DOC},
}
"""Clause → words that may stand inside it, and what each makes come next."""

JOINERS = frozenset(["and", "or", "not", "in", "has"])
CONDITIONAL = frozenset([("node", "pre"), ("node", "post"), ("example", "expect"), ("rubric", "accept")])
OPERATORS = frozenset(["==", "!=", "<", "<=", ">", ">="])
CLOSERS = {"{": "}", "(": ")", "[": "]"}
BASE_TYPES = frozenset(["str", "int", "float", "bool", "list"])
