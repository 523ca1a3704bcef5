"""What a broken document needs, and what an edit did to the rest of it.

The rule, which prompts state too: mend what is wrong, as little as that takes, and leave everything else as it is.

    wrong type, constraint, format, enum      another value there; the one that follows from the form where one does
                                              ("42" → 42, 42 → "42", "Shipped" or "shiped" → "shipped",
                                              2024/05/01 → 2024-05-01)
    a required field is missing               any valid value there
    a field too much                          it goes
    a list too short, too long, repeating     as many items more or fewer as that takes; the others stay, in their order
    fields that contradict each other         one of them changes, whichever

Fidelity is the share of the leaves outside those places that are still what they were; whatever was added without need
counts against it like a leaf that was lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dataforge.verifiers.structured.validation import Compiled, Node, Problem
from dataforge.verifiers.structured.values import Path, at, key_of, leaf_count, place, put, same, same_instant

MAX_ALIGNED = 200
"""Lists longer than this are compared item by item, without looking for what was put in or left out."""


@dataclass(frozen=True, slots=True)
class Resize:
    """What a list of `size` items needs: how many of them may go, how many must come."""

    goes: int
    comes: int


@dataclass(slots=True)
class Needs:
    """What may change in a broken document, by path.

    Attributes:
        replaced: places whose value must be another, with the values that follow from the form; none: any valid one.
        added: places of fields that are missing.
        removed: places of fields that are too much.
        resized: lists.
        clashes: groups of places of which one may change.
    """

    replaced: dict[Path, tuple[Any, ...]] = field(default_factory=dict)
    added: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)
    resized: dict[Path, Resize] = field(default_factory=dict)
    clashes: list[tuple[Path, ...]] = field(default_factory=list)


def needs_of(broken: Any, compiled: Compiled) -> Needs:
    """What a document needs; nothing where it is valid."""
    needs = Needs()
    problems = compiled.problems(broken)
    lists: dict[Path, Node] = {}
    for problem in problems:
        if problem.keyword == "required":
            needs.added.add(problem.path)
        elif problem.keyword == "additionalProperties":
            needs.removed.add(problem.path)
        elif problem.keyword in ("minItems", "maxItems", "uniqueItems"):
            lists[problem.path] = problem.node
        elif len(problem.paths) > 1:
            needs.clashes.append(problem.paths)
        else:
            path = problem.paths[0] if problem.paths else problem.path
            if path not in needs.replaced:
                needs.replaced[path] = tuple(_derived(problem, path, broken, problems, compiled))
    needs.clashes = [group for group in needs.clashes if not _settled(group, broken, needs, compiled)]
    for path, node in lists.items():
        needs.resized[path] = _resize(at(broken, path), node)
    return needs


def _settled(group: tuple[Path, ...], broken: Any, needs: Needs, compiled: Compiled) -> bool:
    """Whether a contradiction goes away with a change that is due anyway, so that nothing else need change for it."""
    for path in group:
        forms = needs.replaced.get(path)
        if forms is not None:
            after = [] if not forms else compiled.problems(put(broken, path, forms[0]))
            if all(problem.paths != group for problem in after):
                return True
    return False


def _resize(items: list[Any], node: Node) -> Resize:
    distinct = len({key_of(item) for item in items}) if node.get("uniqueItems") else len(items)
    kept = min(distinct, node.get("maxItems", distinct))
    return Resize(goes=len(items) - kept, comes=max(len(items), node.get("minItems", 0)) - kept)


def _derived(
    problem: Problem, path: Path, broken: Any, problems: list[Problem], compiled: Compiled
) -> Iterator[Any]:
    """The values that follow from the form of a wrong one, as far as they mend it and break nothing else."""
    known = {(other.path, other.keyword) for other in problems}
    found: list[Any] = []
    for value in _forms(at(broken, path), problem, compiled):
        if any(same(value, other) for other in found) or compiled.problems_at(problem.node, value):
            continue
        after = compiled.problems(put(broken, path, value))
        if all((other.path, other.keyword) in known and other.path != path for other in after):
            found.append(value)
            yield value


_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,2})?")


def _forms(value: Any, problem: Problem, compiled: Compiled) -> Iterator[Any]:
    node = problem.node
    if problem.keyword in ("enum", "const"):
        stated = [node["const"]] if "const" in node else node["enum"]
        close = [other for other in stated if isinstance(other, str) and _loose(other) == _loose(value)]
        if not close and isinstance(value, str):
            close = [other for other in stated if isinstance(other, str) and _one_off(value, other)]
        if len(close) == 1:
            yield close[0]
    if isinstance(value, list) and len(value) == 1:
        yield value[0]
    if isinstance(value, dict) and len(value) == 1:
        yield from value.values()
    if problem.keyword in ("type", "anyOf", "oneOf") and not isinstance(value, list):
        yield [value]
        if isinstance(value, str) and "," in value:
            pieces = [piece.strip() for piece in value.split(",")]
            yield pieces
            if all(map(_JSON_NUMBER.fullmatch, pieces)):
                yield list(map(json.loads, pieces))
    if isinstance(value, bool):
        yield from ("true", "True") if value else ("false", "False")
    elif isinstance(value, int | float):
        yield json.dumps(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            yield int(value)
            yield str(int(value))
    elif isinstance(value, str):
        yield from _of_text(value, node)


def _of_text(text: str, node: Node) -> Iterator[Any]:
    bare = text.strip()
    if _JSON_NUMBER.fullmatch(bare):
        number = json.loads(bare)
        yield number
        if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
            yield int(number)
    if bare.lower() in ("true", "false"):
        yield bare.lower() == "true"
    yield bare
    if "pattern" in node:
        yield bare.upper()
        yield bare.lower()
    form = node.get("format")
    if form == "date" and (found := re.fullmatch(r"([0-9]{4})[/.]([0-9]{2})[/.]([0-9]{2})", bare)):
        yield "-".join(found.groups())
    if form == "date-time" and re.fullmatch(r"[0-9-]{10} [0-9:.]+(?:[Zz]|[+-][0-9:]+)", bare):
        yield bare.replace(" ", "T")
    if form == "uuid" and re.fullmatch(r"\{?[0-9A-Fa-f-]{32,36}\}?", bare):
        digits = bare.strip("{}").replace("-", "")
        yield "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _loose(value: Any) -> str:
    return re.sub(r"[\s_-]+", "", value).casefold() if isinstance(value, str) else f"\0{value!r}"


def _one_off(one: str, other: str) -> bool:
    """Whether two words of some length differ in one letter: put in, left out or mistyped."""
    if min(len(one), len(other)) < 3 or abs(len(one) - len(other)) > 1:
        return False
    head = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return one[head + (len(one) >= len(other)) :] == other[head + (len(other) >= len(one)) :]


# ---- comparing


@dataclass(slots=True)
class Edit:
    """What an edit did.

    Attributes:
        total, kept: the leaves outside the places that needed mending, and how many are what they were.
        unasked: leaves that were put in without need.
        faults: what was done without need, for people.
    """

    total: int = 0
    kept: int = 0
    unasked: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def faithful(self) -> bool:
        return self.kept == self.total and not self.unasked

    @property
    def fidelity(self) -> float:
        whole = self.total + self.unasked
        return self.kept / whole if whole else 1.0


def compare(broken: Any, answer: Any, needs: Needs) -> Edit:
    """Hold an edited document against the broken one."""
    comparison = _Comparison(needs)
    comparison.walk(broken, answer, ())
    return comparison.settled()


class _Comparison:
    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.edit = Edit()
        self.members = {path for group in needs.clashes for path in group}
        self.changed: set[Path] = set()

    def settled(self) -> Edit:
        """The edit, with one change in each group of fields that contradict each other forgiven."""
        edit, forgiven = self.edit, set()
        for group in self.needs.clashes:
            changed = [path for path in group if path in self.changed]
            if changed and not any(path in forgiven for path in changed):
                forgiven.add(changed[0])
        edit.kept += len(forgiven)
        edit.faults += [
            f"{place(path)} was changed, though a change elsewhere was enough"
            for path in sorted(self.changed - forgiven, key=str)
        ]
        return edit

    def walk(self, broken: Any, answer: Any, path: Path) -> None:
        if path in self.needs.replaced:
            derived = self.needs.replaced[path]
            if derived and not any(same(answer, value) for value in derived):
                self.lost(1, f"{place(path)} was replaced, though its value could be put right by its form")
        elif isinstance(broken, dict) and isinstance(answer, dict):
            self.fields(broken, answer, path)
        elif isinstance(broken, list) and isinstance(answer, list):
            self.items(broken, answer, path)
        elif same(broken, answer) or _same_instant(broken, answer):
            self.edit.total += 1
            self.edit.kept += 1
        elif path in self.members and not isinstance(broken, dict | list):
            self.edit.total += 1
            self.changed.add(path)
        else:
            self.lost(leaf_count(broken), f"{place(path)} was changed")

    def lost(self, leaves: int, fault: str) -> None:
        self.edit.total += leaves
        self.edit.faults.append(fault)

    def put_in(self, leaves: int, fault: str) -> None:
        self.edit.unasked += leaves
        self.edit.faults.append(fault)

    def fields(self, broken: dict[str, Any], answer: dict[str, Any], path: Path) -> None:
        for key, value in broken.items():
            inner = (*path, key)
            if inner in self.needs.removed:
                continue
            if key in answer:
                self.walk(value, answer[key], inner)
            else:
                self.lost(leaf_count(value), f"{place(inner)} was taken away")
        for key, value in answer.items():
            if key not in broken and (*path, key) not in self.needs.added:
                self.put_in(leaf_count(value), f"{place((*path, key))} was put in")

    def items(self, broken: list[Any], answer: list[Any], path: Path) -> None:
        resize = self.needs.resized.get(path)
        if resize is None or max(len(broken), len(answer)) > MAX_ALIGNED:
            for index, (one, other) in enumerate(zip(broken, answer, strict=False)):
                self.walk(one, other, (*path, index))
            for index in range(len(answer), len(broken)):
                self.lost(leaf_count(broken[index]), f"{place((*path, index))} was taken away")
            for value in answer[len(broken) :]:
                self.put_in(leaf_count(value), f"an item was put into {place(path)}")
            return
        pairs = self.aligned(broken, answer, path)
        stays, came = {i for i, _ in pairs}, {j for _, j in pairs}
        for i, j in pairs:
            self.walk(broken[i], answer[j], (*path, i))
        gone = sorted(leaf_count(broken[i]) for i in range(len(broken)) if i not in stays)
        for leaves in gone[: max(0, len(gone) - resize.goes)]:
            self.lost(leaves, f"more items of {place(path)} were changed or taken away than needed")
        new = sorted(leaf_count(answer[j]) for j in range(len(answer)) if j not in came)
        for leaves in new[: max(0, len(new) - resize.comes)]:
            self.put_in(leaves, f"more items were put into {place(path)} than needed")

    def aligned(self, broken: list[Any], answer: list[Any], path: Path) -> list[tuple[int, int]]:
        """The longest common subsequence of items that are what they were, but for their own needs."""
        equal = [[self.unharmed(one, other, (*path, i)) for other in answer] for i, one in enumerate(broken)]
        best = [[0] * (len(answer) + 1) for _ in range(len(broken) + 1)]
        for i in reversed(range(len(broken))):
            for j in reversed(range(len(answer))):
                best[i][j] = best[i + 1][j + 1] + 1 if equal[i][j] else max(best[i + 1][j], best[i][j + 1])
        pairs, i, j = [], 0, 0
        while i < len(broken) and j < len(answer):
            if equal[i][j]:
                pairs.append((i, j))
                i, j = i + 1, j + 1
            elif best[i + 1][j] >= best[i][j + 1]:
                i += 1
            else:
                j += 1
        return pairs

    def unharmed(self, broken: Any, answer: Any, path: Path) -> bool:
        if not isinstance(broken, dict | list) and path not in self.needs.replaced:
            return same(broken, answer)
        inner = _Comparison(self.needs)
        inner.walk(broken, answer, path)
        return inner.settled().faithful


def _same_instant(one: Any, other: Any) -> bool:
    """`Z` and `+00:00` are one offset: TOML's own dates come without telling which was written."""
    return isinstance(one, str) and isinstance(other, str) and same_instant(one, other)
