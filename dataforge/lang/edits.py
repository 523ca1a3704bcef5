"""The one-token edits that could mend an item, and which of them does.

In comes the text of an item that does not parse; out come the edits after which it does, the likeliest first. What is
likely is a cost: that of the edit (a misspelt keyword costs less than a removed text), of its distance from the place
where the parse stops, and of what the page says against it. Line breaks mean nothing to the grammar and much to an
author: a word that begins a line begins a clause, and a brace closes where the indentation goes back.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lark import Lark
from lark.parsers.lalr_interactive_parser import InteractiveParser

from dataforge.lang.automaton import (
    CLOSERS,
    LINKS,
    MARK_OF,
    MARKS,
    Automaton,
    Budget,
    Piece,
    choices_of,
    copied,
    open_brackets,
    pieces_of,
)

LOOK_BACK = 5
"""How many tokens before the place where the parse stops may be the mistaken one."""
LOOK_AHEAD = 400
"""An edit after which so many tokens parse is taken to be right."""
GOOD_PROGRESS, SURE = 8, 2.1
"""Where no repair mends the whole item, one that lets so many more tokens parse may still be said, if it costs little."""
LIKELY = 4.2
"""A repair that costs more is not said: the list of what was expected says more."""
MOST_TOKENS = 4_000
"""In a longer item only the place where the parse stops is looked at, not every bracket."""


PLACEHOLDERS = {
    "NAME": ("a name", "a name"),
    "DOTTED": ("a field", "a field, such as `Struct.field`,"),
    "STRING": ("a text", "a text in quotes"),
    "NUMBER": ("a number", "a number"),
}
"""Terminals that stand for what nobody can guess: what to call them, and what to write."""
_ALIKE = {
    "=": ("==", ":"), "==": ("=",), "===": ("==", "="), "=>": (">=",), "=<": ("<=",), "=!": ("!=",), "<>": ("!=",), "≥": (">=",),
    "≤": ("<=",), "≠": ("!=",), "&&": ("and",), "||": ("or",), "&": ("and",), "!": ("not",), ":": ("=",), ";": (",",), "{": ("(", "["), "}": (")", "]"),
    "(": ("[", "{"), ")": ("]", "}"), "[": ("(", "{"), "]": (")", "}"), "…": ("..",), "...": ("..",),
}  # fmt: skip
"""Marks that are written for others, by mistake or by the habit of another language."""
_SYNONYMS = {
    "generator": ("ask", "judge"), "model": ("ask", "judge", "generator"), "input": ("takes",), "inputs": ("takes",),
    "needs": ("takes",), "output": ("gives",), "outputs": ("gives",), "returns": ("gives",), "requires": ("pre",),
    "require": ("pre",), "precondition": ("pre",), "ensures": ("post",), "ensure": ("post",), "postcondition": ("post",),
    "class": ("struct",), "function": ("node",), "task": ("node",), "def": ("node",), "pipeline": ("graph",),
    "evaluator": ("judge",), "llm": ("generator",), "keep": ("keeps",), "let": ("set",), "source": ("from",),
    "target": ("to",), "is": ("==",), "equals": ("==",), "and": (",",), "or": ("|",), "from": ("import",),
}  # fmt: skip
"""Words of other languages for our keywords."""


@dataclass(frozen=True)
class Edit:
    """Replace `drop` tokens from `at` by `put`."""

    what: str
    at: int
    drop: int
    put: tuple[Piece, ...]
    cost: float


class Search:
    """The search for the edit that mends one item."""

    def __init__(self, text: str, lark: Lark, budget: Budget) -> None:
        self.text = text
        self.pieces = pieces_of(text)
        self.automaton = Automaton(lark, budget)
        self.budget = budget
        self.before: dict[int, InteractiveParser] = {}
        """Token number → the automaton before it, near the place where the parse stops."""
        self.terminals: dict[int, str] = {}
        """Token number → the terminal for which the automaton took it."""
        self.misread: dict[int, int] = {}
        """Token number → how many keywords before it were taken for names."""
        self.stop = self._find_stop()

    def _find_stop(self) -> int:
        """The first token that the automaton does not take; the number of tokens where the end comes too soon, -1 where
        all is well.
        """
        at = self.automaton.fresh()
        misread = 0
        keep_all = len(self.pieces) <= MOST_TOKENS
        self.budget.tokens -= len(self.pieces)
        for number, piece in enumerate(self.pieces):
            self.before[number], self.misread[number] = copied(at), misread
            if not keep_all:
                self.before.pop(number - LOOK_BACK - 1, None)
            terminal = self.terminals[number] = self.automaton.step(at, piece)
            if not terminal:
                return number
            misread += self.automaton.is_misread(terminal, piece)
        self.before[len(self.pieces)], self.misread[len(self.pieces)] = (
            copied(at),
            misread,
        )
        return -1 if self.automaton.ends(at) else len(self.pieces)

    # -- candidates

    def edits(self) -> Iterator[Edit]:
        """The edits worth a try near the place where the parse stops, and of brackets that do not pair anywhere."""
        for at in range(self.stop, max(-1, self.stop - LOOK_BACK - 1), -1):
            for edit in self._edits_at(at):
                yield Edit(edit.what, edit.at, edit.drop, edit.put, edit.cost + 0.2 * (self.stop - at))
        yield from self._closers()

    def _edits_at(self, at: int) -> Iterator[Edit]:
        yield from self._insertions(at)
        if at >= len(self.pieces):
            return
        piece = self.pieces[at]
        yield Edit("remove", at, 1, (), self._removal_cost(at))
        yield from self._replacements(at, piece)
        if at + 1 < len(self.pieces):
            follower = self.pieces[at + 1]
            swapped = (_moved(follower, piece), _moved(piece, follower))
            cost = 3.4 if follower.apart else 2.4
            if "NUMBER" in (piece.kind, follower.kind):
                cost = 2.0 if {"..", "in"} & {piece.text, follower.text} else cost + 0.9
            yield Edit("swap", at, 2, swapped, cost)

    def _removal_cost(self, at: int) -> float:
        piece = self.pieces[at]
        if at and self.pieces[at - 1].text == piece.text:
            return 1.0
        if at + 1 < len(self.pieces) and self.pieces[at + 1].text == piece.text:
            return 1.0
        if piece.kind in ("STRING", "DOC", "DOTTED"):
            return 6.0
        if piece.kind in ("OP", "EQUAL"):
            return 4.0
        follower = self.pieces[at + 1].text if at + 1 < len(self.pieces) else ""
        if piece.text == "," and (self.trails(at) or follower in ("(", "{")):
            return 2.0
        if piece.kind == "NUMBER" and piece.apart:
            return 2.4
        if piece.kind == "word":
            return 4.5 if piece.apart else 3.0
        return 3.0 if piece.kind == "NUMBER" else 2.8

    def trails(self, at: int) -> bool:
        """Whether a comma stands where its list seems to end: before a closing bracket, or a clause on another line."""
        if at + 1 >= len(self.pieces):
            return True
        after = self.pieces[at + 1]
        return after.text in ("}", ")", "]") or (
            after.indent >= 0 and after.text.upper() in self.automaton.keywords and after.text.islower()
        )

    def _continues(self, at: int) -> bool:
        """Whether a token begins a line that is indented more than the clauses around it."""
        if at >= len(self.pieces) or self.pieces[at].indent < 0:
            return False
        opener = next(iter(reversed(open_brackets(self.pieces[:at]))), -1)
        first = next((p.indent for p in self.pieces[opener + 1 : at] if p.indent >= 0), -1)
        return 0 <= first < self.pieces[at].indent - 1  # one column is a slip

    def _replacements(self, at: int, piece: Piece) -> Iterator[Edit]:
        for meant in _ALIKE.get(piece.text, _SYNONYMS.get(piece.text.lower(), ())):
            cost = 1.0 if piece.text not in CLOSERS and piece.text not in "})]" else 1.6
            yield Edit("replace", at, 1, (_put(meant, piece),), cost)
        choices = choices_of(self.before[at])
        glued = at > 0 and self.pieces[at - 1].end == piece.start
        if glued and piece.kind == self.pieces[at - 1].kind == "NUMBER" and piece.text.startswith("-"):
            to = Piece("NUMBER", piece.text[1:], piece.start, piece.end)
            yield Edit("range", at, 1, (_put("..", piece), to), 1.0)
        if "STRING" in choices and piece.kind in ("word", "DOTTED", "NUMBER") and "NAME" not in choices:
            end = at + 1
            while end < len(self.pieces) and self.pieces[end].start == self.pieces[end - 1].end:
                end += 1
            yield Edit("quote", at, end - at, (_placeholder("STRING", piece),), 1.8)
        if piece.kind == "word":
            for keyword in sorted(self.automaton.keywords & choices.keys()):
                near = _likeness(piece.text, keyword.lower())
                if near >= 0.6 and piece.text != keyword.lower():
                    yield Edit("replace", at, 1, (_put(keyword.lower(), piece),), 1.0 + 4 * (1 - near))
        for terminal in ("NUMBER", "NAME", "STRING"):
            if terminal in choices and piece.kind in ("word", "NUMBER", "STRING", "DOTTED"):
                written = piece.kind if piece.kind != "word" else "NAME"
                around = [self.pieces[n].text for n in (at - 1, at + 1) if 0 <= n < len(self.pieces)]
                if written != terminal:
                    cost = 1.4 if ".." in around and terminal == "NUMBER" else 3.6
                    yield Edit("replace", at, 1, (_placeholder(terminal, piece),), cost)

    def _insertions(self, at: int) -> Iterator[Edit]:
        if at not in self.before:
            return
        end = len(self.text)
        near = self.pieces[at] if at < len(self.pieces) else Piece("", "", end, end, 0, True)
        order = self._usual_words(at)
        continues = self._continues(at)
        choices = choices_of(self.before[at])
        before = self.pieces[at - 1].text if at else ""
        for terminal in sorted(choices):
            if terminal in MARK_OF:
                cost = 2.0
                if terminal == "COMMA" and near.indent >= 0 and not continues:
                    cost += 2.0
                if terminal == "EQUAL" and near.indent >= 0:
                    cost += 1.5
                if terminal == "OP" and (near.kind not in ("NUMBER", "STRING") or near.indent >= 0):
                    cost += 1.5
                if terminal in ("OPEN", "VBAR", "STAR", "OPTIONAL"):
                    cost += 2.0
                yield Edit("insert", at, 0, (_put(MARK_OF[terminal], near),), cost)
            elif terminal in self.automaton.keywords and terminal not in ("TRUE", "FALSE", "NULL"):
                word = terminal.lower()
                if word in order:
                    cost = 2.2 + order[word] + (0.0 if near.apart else 1.0)
                else:
                    cost = 2.3 if word in LINKS or len(choices) <= 3 else 4.0
                if word in LINKS and ("NAME" in choices or word in (near.text, before)):
                    continue
                if not open_brackets(self.pieces[:at]):
                    body = self.pieces[at + 1].text if at + 1 < len(self.pieces) else ""
                    cost -= 1.5 if word in _ITEM_WORDS and near.apart else 0.0
                    fits = near.kind == "NUMBER" if word == "forge" else body in ("{", "=", "(", "from")
                    cost += 0.0 if fits or word in LINKS - {"forge"} else 2.0
                if continues:
                    cost += 1.5
                follower = self.pieces[at + 1] if at + 1 < len(self.pieces) else None
                if near.kind == "NUMBER" and follower and not follower.apart and follower.text != "}":
                    cost += 1.5
                yield Edit("insert", at, 0, (_put(word, near),), cost)
            elif terminal in PLACEHOLDERS:
                taken = self.terminals.get(at - 1, "")
                wanted = taken in ("OP", "EQUAL") or taken in self.automaton.keywords
                wanted = wanted or (before == "(" and near.text in (",", ")"))
                wanted = wanted or (terminal == "NAME" and near.text == "(")
                cost = 2.4 if wanted else 2.6 if near.apart else 3.8
                yield Edit("insert", at, 0, (_placeholder(terminal, near),), cost)

    def _usual_words(self, at: int) -> dict[str, float]:
        """Keywords that may begin a clause here, likeliest first, and what speaks against each: those that come next in
        the usual order of clauses and are not there yet are likely.
        """
        opener = next(
            (o for o in reversed(open_brackets(self.pieces[:at])) if self.pieces[o].text == "{"), None
        )
        heads = (
            [self.pieces[i].text for i in (opener - 1, opener - 2) if i >= 0] if opener is not None else []
        )
        usual: Sequence[str] = next((_ORDER[h] for h in heads if h in _ORDER), ())
        inside = self.pieces[(opener or 0) + 1 :]
        there = {p.text for p in inside[:MOST_TOKENS] if p.kind == "word" and p.apart}
        number = at - (opener or 0) - 1
        previous = next(
            (p.text for p in reversed(inside[: max(0, number)]) if p.text in usual and p.apart), ""
        )
        first = usual.index(previous) + 1 if previous else 0
        following = next((p.text for p in inside[max(0, number) :] if p.text in usual and p.apart), "")
        last = max(first, usual.index(following)) if following else len(usual)
        between = usual[first:last]
        ahead = [*between, *usual[last:], *usual[:first]]
        ranked = [w for w in ahead if w not in there] + [w for w in ahead if w in there]
        alone = len(between) == 1 and ranked[0] == between[0]
        return {word: n * 0.05 + (0.5 if alone and n else 0.0) for n, word in enumerate(ranked)}

    def _closers(self) -> Iterator[Edit]:
        """Closing brackets that are missing, wherever the indentation says that they belong; and closing ones that
        nothing opened.
        """
        if len(self.pieces) > MOST_TOKENS:
            return
        for opener in reversed(open_brackets(self.pieces)):
            piece = self.pieces[opener]
            margin = self._margin(opener)
            places = (n for n in range(opener + 1, len(self.pieces)) if 0 <= self.pieces[n].indent <= margin)
            at = next(places, len(self.pieces))
            if at in self.before:
                near = self.pieces[at] if at < len(self.pieces) else self.pieces[-1]
                yield Edit("insert", at, 0, (_put(CLOSERS[piece.text], near),), 1.4)
        stack: list[int] = []
        for number, piece in enumerate(self.pieces):
            if piece.text in CLOSERS:
                stack.append(number)
            elif piece.text in ("}", ")", "]") and stack:
                opener = stack.pop()
                inline = "\n" in self.text[self.pieces[opener].start : piece.start] and piece.indent < 0
                if inline and piece.text == "}" and number in self.before:
                    yield Edit("remove", number, 1, (), 0.9)

    def _margin(self, number: int) -> int:
        """The indentation of the line on which a token stands."""
        while number > 0 and self.pieces[number].indent < 0:
            number -= 1
        return self.pieces[number].indent

    # -- choice

    def best(self) -> list[Edit]:
        """The edits after which most parses, the likeliest first; none where none is good."""
        tried: list[tuple[bool, float, int, Edit]] = []
        for number, edit in enumerate(self.edits()):
            if self.budget.tokens <= 0:
                break
            rest = self._after(edit)
            most = self.stop - edit.at + LOOK_AHEAD
            taken, misread = self.automaton.run(copied(self.before[edit.at]), rest, most)
            whole = taken < 0
            # What was taken beyond the place where the parse stopped, in tokens of the text as it is.
            progress = edit.at + taken - len(edit.put) + edit.drop - self.stop
            cost = edit.cost + 2.0 * (self.misread[edit.at] + misread)
            if cost <= LIKELY if whole else (progress >= GOOD_PROGRESS and cost <= SURE):
                tried.append((not whole, cost, number, edit))
        tried.sort(key=lambda t: t[:3])
        good = [t for t in tried if t[0] == tried[0][0]] if tried else []
        return [edit for _, cost, _, edit in good if cost <= good[0][1] + 0.45]

    def _after(self, edit: Edit) -> Iterator[Piece]:
        yield from edit.put
        rest = iter(range(edit.at + edit.drop, len(self.pieces)))
        if edit.what == "insert" and edit.put[0].text.isalpha() and (first := next(rest, None)) is not None:
            # What comes after a keyword does not begin a clause, wherever it stands.
            piece = self.pieces[first]
            yield Piece(piece.kind, piece.text, piece.start, piece.end)
        for number in rest:
            yield self.pieces[number]


_ORDER: dict[str, tuple[str, ...]] = {
    "node": (
        "takes", "gives", "pre", "post", "keeps", "draw", "ask", "call", "judge", "verify", "set", "branch", "retry",
        "weight", "train",
    ),
    "graph": ("from", "to", "nodes", "walk", "steps", "seeds", "emit"),
    "ask": ("system", "prompt", "into", "json"),
    "judge": ("rubric", "score", "prompt"),
    "emit": ("system", "user", "assistant", "tool"),
    "rubric": ("accept",),
    "example": ("given", "model", "walk", "expect"),
}  # fmt: skip
"""The clauses of a block in the order in which people write them."""
_ITEM_WORDS = {"struct", "generator", "judge", "list", "rubric", "predicate", "node", "graph", "example"}


def _put(text: str, near: Piece) -> Piece:
    kind = MARKS.get(text, "word")
    return Piece(kind, text, near.start, near.start, near.indent)


def _placeholder(terminal: str, near: Piece) -> Piece:
    return Piece("word" if terminal == "NAME" else terminal, "_", near.start, near.start)


def _moved(piece: Piece, to: Piece) -> Piece:
    return Piece(piece.kind, piece.text, to.start, to.end, to.indent, to.apart)


def _likeness(word: str, keyword: str) -> float:
    if word.casefold() == keyword:
        return 1.0
    if sorted(word.casefold()) == sorted(keyword):
        return 0.95
    return difflib.SequenceMatcher(None, word.casefold(), keyword).ratio()
