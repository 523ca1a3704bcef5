"""One-token mistakes in a `.forge` text, of the kinds that authors make, and what a good diagnostic says of each.

In comes the text of a file; out come `Mutation`s: the text with one token wrong, where it is wrong, and what was there.
The tokens are those of the language's own grammar, so that a keyword is told from a name as the compiler tells it.
`names_the_mend` is the rule by which a help line counts as right. It is mechanical and strict: a help line that lists
every keyword there is names no mend.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lark import Lark, Token

from dataforge.lang.parse import grammar_text

BRACKETS = {"{": "}", "}": "{", "(": ")", ")": "(", "[": "]", "]": "["}
WRONG_KIND = {"{": "(", "}": ")", "(": "[", ")": "]", "[": "{", "]": "}"}
MOST_CHOICES = 3
"""A help line that offers more than this many things to write names none of them."""


@dataclass(frozen=True)
class Mutation:
    """A text with one token wrong.

    Attributes:
        kind: the mistake, as the table of shares shows it.
        text: the corrupted text.
        start, end: where it is corrupted, in that text; `end` includes the token after a gap.
        original: what should stand there; empty where something was added.
        written: what stands there; empty where something was dropped.
        before, after: the tokens on either side.
        is_declaration: whether it is the name in a declaration: then its uses are as wrong as it is.
        terminal: the original's terminal in the grammar.
        pair: two neighbours that were swapped, in their right order.
    """

    kind: str
    text: str
    start: int
    end: int
    original: str
    written: str
    before: str
    after: str
    is_declaration: bool
    terminal: str
    pair: tuple[str, str] = ("", "")


@functools.cache
def _lexer() -> Lark:
    return Lark(grammar_text(), parser="lalr", lexer="contextual")


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text that parses."""
    return list(_lexer().parse_interactive(text).iter_parse())


def misspellings(word: str) -> Iterator[tuple[str, str]]:
    """A word with a letter dropped, doubled or swapped, and in another case."""
    letters = [i for i, c in enumerate(word) if c.isalpha()]
    if len(letters) >= 3:
        at = letters[len(letters) // 2]
        yield "letter dropped", word[:at] + word[at + 1 :]
        yield "letter doubled", word[: at + 1] + word[at:]
        swapped = word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
        if swapped != word:
            yield "letters swapped", swapped
    if word:
        yield "wrong case", word[0].swapcase() + word[1:]


def mutations(text: str) -> Iterator[Mutation]:
    """Every one-token mistake in a text, in the order of its tokens."""
    tokens = tokens_of(text)
    structs = sorted({t.value.split(".")[0] for t in tokens if t.type == "DOTTED" and t.value[0].isupper()})
    models = {
        tokens[i + 1].value: t.value
        for i, t in enumerate(tokens)
        if t.type in ("GENERATOR", "JUDGE") and tokens[i - 1].type != "ASK" and _is_item(tokens, i)
    }
    for i, token in enumerate(tokens):
        yield from _of_token(text, tokens, i, token, structs, models)


def _is_item(tokens: list[Token], i: int) -> bool:
    """Whether a token stands outside all brackets."""
    depth = 0
    for token in tokens[:i]:
        depth += (token.value in "{([") - (token.value in "})]") if len(token.value) == 1 else 0
    return depth == 0


def _of_token(
    text: str, tokens: list[Token], i: int, token: Token, structs: list[str], models: dict[str, str]
) -> Iterator[Mutation]:
    value = str(token.value)
    start, end = int(token.start_pos or 0), int(token.end_pos or 0)
    before = str(tokens[i - 1].value) if i else ""
    after = str(tokens[i + 1].value) if i + 1 < len(tokens) else ""
    declares = before in (
        "struct", "generator", "list", "rubric", "predicate", "node", "graph", "as"
    ) or (before == "judge" and _is_item(tokens, i)) or after == ":" or (after[:1] == '"' and tokens[i + 2].type == "IN")  # fmt: skip
    make = functools.partial(
        Mutation, before=before, after=after, is_declaration=declares, terminal=str(token.type)
    )

    def put(kind: str, written: str, *, original: str = value, at: int = start, to: int = end) -> Mutation:
        new = text[:at] + written + text[to:]
        return make(kind, new, at, max(at + 1, at + len(written)), original, written)

    is_word = value[0].isalpha() and token.type != "DOTTED"
    is_name = token.type == "NAME"
    if is_word:
        for _, wrong in misspellings(value):
            yield put("name misspelt" if is_name else "keyword misspelt", wrong)
    if token.type == "DOTTED":
        at = start
        for part in value.split("."):
            for _, wrong in misspellings(part):
                yield put("name misspelt", wrong, original=part, at=at, to=at + len(part))
            at += len(part) + 1
    if value in BRACKETS:
        yield put("bracket dropped", "")
        yield put("bracket doubled", value + value)
        yield put("bracket of the wrong kind", WRONG_KIND[value])
    elif value == ",":
        yield put("comma dropped", "")
        yield put("comma doubled", ",,")
    else:
        yield put("token dropped", "")
        yield put("token doubled", f"{value} {value}")
    if is_name and after != ",":
        yield put("comma added", value + ",", original="")
    if i + 1 < len(tokens):
        follower = tokens[i + 1]
        if follower.value != value:
            between = text[end : follower.start_pos]
            between = between or " "
            swapped = put(
                "neighbours swapped",
                f"{follower.value}{between}{value}",
                original=f"{value} {follower.value}",
                to=int(follower.end_pos or 0),
            )
            glues = text[start - 1 : start].isalnum() or text[int(follower.end_pos or 0) :][:1].isalnum()
            if not glues:  # else two tokens become one, which is another mistake
                yield dataclasses.replace(swapped, pair=(value, str(follower.value)))
    if token.type in ("STRING", "DOC"):
        quote = '"""' if token.type == "DOC" else '"'
        yield put("quote dropped", value[len(quote) :])
        yield put("quote dropped", value[: -len(quote)])
        if token.type == "STRING":
            yield put("quote of the wrong kind", f"'{value[1:-1]}'")
        yield from _inside_text(text, tokens, i, put)
    if token.type in ("OP", "EQUAL"):
        mistypes = {
            "==": ("=", "==="),
            "=": ("==", ":"),
            ">=": ("=>", "≥"),
            "<=": ("=<",),
            "!=": ("=!", "<>"),
        }
        for mistyped in mistypes.get(value, ()):
            yield put("operator mistyped", mistyped)
    if token.type == "NUMBER":
        yield put("number as a word", "three")
    if i and token.type != "DOC":
        space = "" if text[start - 1].isspace() else " "
        yield put("number out of place", f"{space}7 {value}", original="")
    if (is_name or token.type == "DOTTED") and value.split(".")[0] in structs and not declares:
        own = value.split(".")[0]
        others = [s for s in structs if s != own]
        for other in others:
            yield put("wrong struct", other, original=own, to=start + len(own))
    if is_name and value in models and before in ("ask", "judge") and not declares:
        for other, kind in models.items():
            if kind != models[value]:
                yield put("model and judge swapped", other)
    if token.type in ("ASK", "GENERATOR", "JUDGE") and i + 1 < len(tokens):
        yield put("model and judge swapped", {"ask": "judge", "generator": "judge"}.get(value, "generator"))


def _inside_text(text: str, tokens: list[Token], i: int, put: Callable[..., Mutation]) -> Iterator[Mutation]:
    """Mistakes inside a text: the name of a file, a value of an enumeration, a name in a prompt."""
    token = tokens[i]
    value = str(token.value)
    start = int(token.start_pos or 0)
    before = str(tokens[i - 1].value)
    if before in ("file", "from"):
        for _, wrong in misspellings(value[1:-1]):
            yield put("file misspelt", f'"{wrong}"', original=value[1:-1])
    elif re.fullmatch(r'"[a-z]+"', value) and before in ("==", "!=", "=") and tokens[i - 2].type == "DOTTED":
        for _, wrong in misspellings(value[1:-1]):
            yield put("enum value misspelt", f'"{wrong}"', original=value[1:-1])
    for match in re.finditer(r"\{[{%][^}]*?([^\W\d]\w*)\.([^\W\d]\w*)", value):
        for group in (1, 2):
            for _, wrong in misspellings(match.group(group)):
                at = start + match.start(group)
                to = start + match.end(group)
                yield put("name in a prompt misspelt", wrong, original=match.group(group), at=at, to=to)
    for match in re.finditer(r"\{\{ (\w+) \}\}", value):
        for _, wrong in misspellings(match.group(1)):
            at = start + match.start(1)
            yield put(
                "name in a prompt misspelt", wrong, original=match.group(1), at=at, to=start + match.end(1)
            )


def sample(text: str, seed: int, most: int) -> list[Mutation]:
    """At most so many mutations of each kind, the same ones for the same seed."""
    kinds: dict[str, list[Mutation]] = {}
    for mutation in mutations(text):
        kinds.setdefault(mutation.kind, []).append(mutation)
    chosen: list[Mutation] = []
    for kind, found in kinds.items():
        rng = random.Random(f"{seed} {kind}")
        chosen += rng.sample(found, min(most, len(found)))
    return chosen


# ---- the rules


def may_point_at(mutation: Mutation, path_is_corrupted: bool, line: int, line_text: str) -> str | None:
    """Why a caret may be on a line: "corrupted", "refers", "encloses", or None where it may not.

    A line is the corrupted one where the mistake touches it. It refers to the mistake where it mentions the word that
    was there or the one that is. It encloses it where it opens the innermost braces around it: a clause that lacks a
    part of it is pointed at by its head. A missing bracket is also looked for at its partner, and at its item's end.
    """
    if path_is_corrupted:
        if line in lines_of(mutation):
            return "corrupted"
        if line in partner_lines(mutation):
            return "partner"
    words = [mutation.original, mutation.written]
    if mutation.terminal in ("GENERATOR", "JUDGE", "NODE", "GRAPH", "STRUCT", "LIST", "RUBRIC"):
        words.append(mutation.after)  # a declaration of the wrong kind: where its name is used
    for word in words:
        for part in re.findall(r"[^\W\d]\w*", word):
            if re.search(rf"\b{part}\b", line_text) and not word.startswith('"'):
                return "refers"
    if path_is_corrupted and line in enclosing_lines(mutation):
        return "encloses"
    return None


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def lines_of(mutation: Mutation) -> range:
    first = _line(mutation.text, mutation.start)
    last = _line(mutation.text, max(mutation.start, mutation.end - 1))
    if not mutation.written:
        # A gap lies between two tokens: it may be shown after the one or before the other.
        gap = len(mutation.text[: mutation.start].rstrip())
        first = min(first, _line(mutation.text, gap - 1))
    return range(first, last + 1)


_PIECES = re.compile(r'"""(?s:.*?)"""|"(?:\\.|[^"\\\n])*"|#[^\n]*|[{}()\[\]]')


def _open_at(text: str, offset: int) -> list[int]:
    stack: list[int] = []
    for match in _PIECES.finditer(text, 0, offset):
        if match.group() in "{([":
            stack.append(match.start())
        elif match.group() in "})]" and stack:
            stack.pop()
    return stack


def partner_lines(mutation: Mutation) -> set[int]:
    """The line of the bracket that a corrupted closing bracket belongs to."""
    if mutation.original not in BRACKETS:
        return set()
    text, at = mutation.text, mutation.start
    if mutation.original in "})]":
        open_ = _open_at(text, at)
        return {_line(text, open_[-1])} if open_ else set()
    # The partner of an opening bracket: restore it, and look for the one that closes it.
    width = len(mutation.written)
    restored = text[:at] + mutation.original + text[at + width :]
    depth = 0
    for match in _PIECES.finditer(restored, at):
        if match.group() in "{([":
            depth += 1
        elif match.group() in "})]":
            depth -= 1
            if depth == 0:
                return {_line(text, match.start() - 1 + width)}
    return set()


def enclosing_lines(mutation: Mutation) -> set[int]:
    return {_line(mutation.text, at) for at in _open_at(mutation.text, mutation.start)[-1:]}


_QUOTED = re.compile(r"``(.+?)``|`([^`]+)`")
_SAYS_REMOVE = re.compile(r"\b(remove|keep one|rename one|one source|one instance)\b")
_KIND_WORDS = {
    "NAME": ("name", "struct", "model", "node", "list", "rubric", "field"),
    "DOTTED": ("Struct.field", "name"),
    "STRING": ("text in quotes", "a text", "file", "a value"),
    "DOC": ("text in quotes", "triple quotes", "a text", "a value"),
    "NUMBER": ("number", "range", "a value"),
    "TRUE": ("a value",),
    "FALSE": ("a value",),
    "NULL": ("a value",),
}
"""What a help line may call a dropped token that nobody can guess."""


def names_the_mend(mutation: Mutation, message: str, help: str) -> bool:
    """Whether the help line of an error names the right mend."""
    quoted = [a or b for a, b in _QUOTED.findall(help)]
    original = mutation.original.strip('"') if mutation.original[:1] == '"' else mutation.original
    if (
        mutation.kind == "file misspelt"
        and original.rpartition("/")[0] == mutation.written.strip('"').rpartition("/")[0]
    ):
        original = original.rpartition("/")[2]  # the folder is right
    few = len(quoted) <= MOST_CHOICES

    def names(wanted: str) -> bool:
        if len(wanted) > 40:  # which help lines cut
            return few and any(wanted[:30] in q for q in quoted)
        return few and any(_within(wanted, q) for q in quoted)

    if mutation.kind in ("comma added", "number out of place"):
        extra = "," if mutation.kind == "comma added" else "7"
        return bool(_SAYS_REMOVE.search(help)) and names(extra)
    if mutation.kind.endswith("doubled"):
        return bool(_SAYS_REMOVE.search(help)) and (
            names(original) or (not quoted and _within(original, message))
        )
    if mutation.kind == "neighbours swapped":
        first, second = (_squeezed(part[:30]) for part in mutation.pair)
        said = [_squeezed(q) for q in quoted]
        together = any(first + second in q for q in said)
        return together or (
            help.startswith("swap") and all(any(p in q for q in said) for p in (first, second))
        )
    if mutation.kind.startswith("quote"):
        return '"' in help and re.search(r"\b(close|open|write|insert)\b", help) is not None
    if mutation.kind == "number as a word":
        return "number" in help or "number" in message or re.search(r"`[^`]*\d\.\.\d[^`]*`", help) is not None
    if names(original):
        return True
    if mutation.is_declaration and (mutation.written and names(mutation.written)):
        return True  # every use says how the declaration has it: as good a mend
    if not mutation.written and mutation.terminal in _KIND_WORDS:
        says = any(word in help for word in _KIND_WORDS[mutation.terminal])
        return says and few and (names(mutation.before) or names(mutation.after))
    return False


def _within(wanted: str, quoted: str) -> bool:
    left = r"(?<!\w)" if wanted[:1].isalnum() else ""
    right = r"(?!\w)" if wanted[-1:].isalnum() else ""
    return re.search(left + re.escape(wanted) + right, quoted) is not None


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
