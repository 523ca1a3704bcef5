"""Mends: the edits that the `help:` lines of diagnostics speak of.

A help line is a sentence for people, and its forms are few. `_MENDS` is the table of those that say exactly what to
write, each with the function that finds where; a line of another form, or one that leaves something open (`…`, `NAME`),
gives no edit. Nothing here looks at a code: what a diagnostic offers is what it says.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dataforge.server.forms import CLAUSES, Role
from dataforge.server.outline import Item, Outline
from dataforge.server.words import tokens
from dataforge.server.workspace import Workspace


class Edit(NamedTuple):
    """Text to put in the place of a stretch of a file."""

    path: Path
    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Mend:
    """One way to mend what a diagnostic speaks of."""

    title: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Complaint:
    """A diagnostic where it stands now: its sentences, and the stretch of the current text."""

    path: Path
    start: int
    end: int
    message: str
    help: str


def mends(workspace: Workspace, complaint: Complaint) -> list[Mend]:
    """The ways to mend a complaint, the likeliest first."""
    text = workspace.text(complaint.path)
    if text is None:
        return []
    outline = workspace.outline(complaint.path) if complaint.path.suffix == ".forge" else None
    place = _Place(workspace, complaint, text.text, outline)
    found: list[Mend] = []
    for pattern, make in _MENDS:
        for match in pattern.finditer(complaint.help):
            found += [mend for mend in make(place, match) if mend not in found]
    return found


@dataclass(frozen=True)
class _Place:
    """A complaint with the text around it."""

    workspace: Workspace
    complaint: Complaint
    text: str
    outline: Outline | None

    @property
    def start(self) -> int:
        return self.complaint.start

    @property
    def end(self) -> int:
        return self.complaint.end

    @property
    def shown(self) -> str:
        return self.text[self.start : self.end]

    def edit(self, start: int, end: int, new: str) -> tuple[Edit, ...]:
        return (Edit(self.complaint.path, start, end, new),)

    def item(self) -> Item | None:
        """The item around the complaint."""
        for item in self.outline.items_at(self.start) if self.outline is not None else ():
            if item.span[0] <= self.start <= item.span[1]:
                return item
        return None

    def named_item(self) -> Item | None:
        """The node or graph that the complaint is of: the one around it, or that its message names."""
        if self.outline is not None:
            return self.item()
        for path, name in self.workspace.users_of(self.complaint.path):
            outline = self.workspace.outline(path)
            if outline is not None and name in outline.declared and f"`{name}`" in self.complaint.message:
                return outline.declared[name]
        return None


_OPEN = re.compile(r"…|\bNAME\b|\bStruct\b|module:function")
"""What a help line leaves to its reader."""


# ---- replacing


def _meant(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`did you mean `x`?`: put it in the place of the word that comes closest."""
    for meant in re.findall(r"`([^`]+)`", match.group()):
        if _OPEN.search(meant):
            continue
        words = [t for t in tokens(place.shown) if t.kind in ("name", "text", "mark")]
        inner = [t._replace(start=t.start + 1, end=t.end - 1) for t in words if t.kind == "text"]
        blamed = set(re.findall(r"`([^`]+)`", place.complaint.message))
        blamed |= {part for b in blamed for part in b.split(".")}
        scored = [
            (t.text.strip('"') in blamed, _likeness(t.text.strip('"'), meant), t)
            for t in (*(w for w in words if w.kind != "text"), *inner)
            if t.text.strip('"') != meant
        ]
        if not scored:
            continue
        *_, word = max(scored, key=lambda s: s[:2])
        new = meant.rpartition(".")[2] if "." in meant and "." in place.shown else meant
        yield Mend(f"Write `{meant}`", place.edit(place.start + word.start, place.start + word.end, new))


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.casefold(), other.casefold()).ratio()


def _write(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`write `x``: put it in the place of what is blamed, and of what of it stands around already."""
    new = match.group(1)
    if _OPEN.search(new) or new.startswith(("{%", "{{")) or len(new) < 2:
        return
    start, end = place.start, place.end
    head, _, _ = new.partition(" ")
    before = place.text[:start].rstrip()
    if head.isidentifier() and re.search(rf"\b{re.escape(head)}$", before):
        start = len(before) - len(head)
    after = re.match(r"\s*(\S+)", place.text[end:])
    if after is not None and new == f"{after.group(1)} {place.shown}":  # swapped
        end += after.end()
    yield Mend(f"Write `{new}`", place.edit(start, end, new))


def _guard(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`write `{% if X %}` around it`."""
    path = match.group(1)
    line_start = place.text.rfind("\n", 0, place.start) + 1
    line_end = place.text.find("\n", place.end)
    line_end = len(place.text) if line_end < 0 else line_end
    for shown in re.finditer(r"\{\{[^{}]*\}\}", place.text[line_start:line_end]):
        start, end = line_start + shown.start(), line_start + shown.end()
        if start <= place.end and place.start <= end:
            new = f"{{% if {path} %}}{shown.group()}{{% endif %}}"
            yield Mend(f"Show it only where there is a `{path}`", place.edit(start, end, new))
            return


# ---- adding


def _clause(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`add `takes X``: into the clause of that name, or as a clause of its own."""
    new = match.group(1)
    word, _, rest = new.partition(" ")
    item = place.named_item()
    if item is None or _OPEN.search(new) or word not in CLAUSES.get(item.keyword, ()) or not rest:
        return
    path = place.complaint.path
    text: str | None = place.text
    if place.outline is None:  # the complaint is about a prompt file, and the clause goes where it is named
        users = place.workspace.users_of(path)
        path = next(p for p, name in users if name == item.name)
        found = place.workspace.text(path)
        text = found.text if found is not None else None
    if text is not None:
        start, added = _into(item, text, word, rest)
        yield Mend(f"Add `{new}`", (Edit(path, start, start, added),))


def _into(item: Item, text: str, word: str, rest: str) -> tuple[int, str]:
    """Where a clause goes in an item, and how it is written there."""
    words = [w for w in item if w.role is not Role.DOC]
    number = next((n for n, w in enumerate(words) if w.role is Role.KEYWORD and w.text == word), None)
    joined = word in ("takes", "gives", "keeps", "pre", "post", "expect")
    if number is not None and joined:
        start, end = words[number].end, item.span[1]
        later = (w for w in words[number + 1 :] if w.role is Role.KEYWORD and w.text in CLAUSES[item.keyword])
        end = next((w.start for w in later), end)
        written = text[start:end]
        code = [t for t in tokens(written) if t.kind != "comment"]
        while code and code[-1].text == "}" and written[: code[-1].end].count("{") < written.count("}"):
            code.pop()
        if code:
            return start + code[-1].end, f", {rest}"
    before = next((w for w in words if w.role is Role.KEYWORD and w.text in CLAUSES[item.keyword]), None)
    after = [w for w in words if w.role is Role.KEYWORD and w.text in ("takes", "gives") and word != "takes"]
    if word in ("keeps", "pre", "post") and after:  # behind the structs that it speaks of
        later = (w for w in words if w.start > after[-1].start and w.role is Role.KEYWORD)
        before = next((w for w in later if w.text in CLAUSES[item.keyword]), before)
    if before is None:
        brace = text.find("{", item.name_span[1])
        return brace + 1, f"\n  {word} {rest}\n" if brace >= 0 else f" {word} {rest}"
    line = text.rfind("\n", 0, before.start) + 1
    margin = text[line : before.start]
    return before.start, f"{word} {rest}\n{margin}" if not margin.strip() else f"{word} {rest}  "


def _nodes(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    item = place.item()
    if item is not None and item.keyword == "graph":
        start, added = _into(item, place.text, "nodes", "*")
        yield Mend("Add `nodes *`", place.edit(start, start, added))


def _insert(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`insert `x` before `y``, at what is blamed or, for a bracket, at the line that it names."""
    new, where, other = match.group(1), match.group(2), match.group(3)
    shown = place.shown
    if shown == other or (other.endswith("…") and shown.startswith(other[:-1])):
        at = place.start if where == "before" else place.end
    elif where == "before":
        found = re.compile(rf"^[ \t]*(?={re.escape(other)})", re.MULTILINE).search(place.text, place.end)
        if found is None:
            return
        at = found.start()
        new += "\n"
    else:
        item = place.item()
        at = item.span[1] if item is not None else len(place.text.rstrip())
        new = "\n" + new if "\n" in place.text[place.start : at] else " " + new
    if new.isalnum():
        new = f"{new} " if where == "before" else f" {new}"
    elif where == "before" and new == ",":
        at = len(place.text[:at].rstrip())
    yield Mend(f"Insert `{new.strip()}`", place.edit(at, at, new))


def _close_text(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    at = place.start + len(place.shown.rstrip())
    yield Mend('Close the text with `"`', place.edit(at, at, '"'))


# ---- removing


def _remove(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`remove this `x``."""
    start = len(place.text[: place.start].rstrip(" \t"))
    yield Mend(f"Remove `{place.shown.strip()}`", place.edit(start, place.end, ""))


def _remove_item(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`remove it`, of something that is not used: the whole item, or the name of an import."""
    item = place.item()
    if item is None or place.outline is None:
        return
    if item.keyword == "from":
        names = [w for w in item if w.role is Role.IMPORTED]
        here = next((n for n, w in enumerate(names) if w.start <= place.start <= w.end), None)
        aliased = next((w for w in item if w.role is Role.DECLARED and w.start == place.start), None)
        if here is None and aliased is not None:
            here = max(n for n, w in enumerate(names) if w.start < aliased.start)
        if here is None:
            return
        if len(names) > 1:
            start = names[here].start if here == 0 else _end_of_import(item, names[here - 1].start)
            end = names[here + 1].start if here == 0 else _end_of_import(item, names[here].start)
            yield Mend(f"Remove the import of `{names[here].text}`", place.edit(start, end, ""))
            return
    start, end = item.span
    start = (
        place.text.rfind("\n", 0, start) + 1 if not place.text[:start].rpartition("\n")[2].strip() else start
    )
    rest = re.match(r"[ \t]*(#[^\n]*)?\n?\n?", place.text[end:])
    end += rest.end() if rest is not None else 0
    yield Mend(f"Remove `{item.name or place.shown}`", place.edit(start, end, ""))


def _end_of_import(item: Item, start: int) -> int:
    """Where an imported name ends, its alias included."""
    words = [w for w in item if w.start >= start]
    end = words[0].end
    for word in words[1:]:
        if word.role is Role.IMPORTED:
            break
        end = word.end
    return end


def _leave_out(place: _Place, match: re.Match[str]) -> Iterator[Mend]:
    """`leave it out with `except``: in the graph that the message names."""
    named = re.search(r"no walk of `([^`]+)` uses `([^`]+)`", place.complaint.message)
    graph = place.outline.declared.get(named.group(1)) if named and place.outline is not None else None
    if named is None or graph is None:
        return
    name = named.group(2)
    words = list(graph)
    start = next((n for n, w in enumerate(words) if w.role is Role.KEYWORD and w.text == "nodes"), None)
    if start is None:
        return
    members = [w for w in words if w.role is Role.MEMBER]
    excepted = next((w for w in words if w.role is Role.KEYWORD and w.text == "except"), None)
    if excepted is not None:
        at = members[-1].end if members else excepted.end
        yield Mend(f"Leave out `{name}`", place.edit(at, at, f", {name}" if members else f" {name}"))
    elif not members:
        at = place.text.find("*", words[start].end) + 1
        yield Mend(f"Leave out `{name}`", place.edit(at, at, f" except {name}"))
    else:
        at = members[-1].end
        yield Mend(f"Leave out `{name}`", place.edit(at, at, f" except {name}"))


_Make = Callable[[_Place, "re.Match[str]"], Iterator[Mend]]

_MENDS: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (re.compile(r"did you mean (?:`[^`]+`(?: or |, )?)+\?"), _meant),
    (re.compile(r"write (?:the whole field )?`([^`]+)`(?! around)"), _write),
    (re.compile(r"write `\{% if ([\w.]+) %\}` around it"), _guard),
    (re.compile(r"(?:add|such as) `([^`]+)`"), _clause),
    (re.compile(r"add `nodes \*`"), _nodes),
    (re.compile(r"insert `([^`]+)` (before|after) `([^`]+)`"), _insert),
    (re.compile(r'close it with `"`'), _close_text),
    (re.compile(r"remove (?:this|one) `"), _remove),
    (re.compile(r"remove it, or use it"), _remove_item),
    (re.compile(r"leave it out with `except`"), _leave_out),
)
"""Form of a help line → what makes the edits."""
