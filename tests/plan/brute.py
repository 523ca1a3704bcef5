"""Small random programs, and a naive planner for them: sets of all concrete states, nothing shared with ours.

A concrete state says for each struct whether it is there and what its fields are. A belief is the set of concrete states
that are possible. A node may run where its precondition holds in *every* one of them; what it gives is then anything that
its type, its constants, its kept fields and its postcondition allow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "A": {"k": ("x", "y", "z"), "b": (True, False)},
    "B": {"k": ("x", "y", "z"), "o": (True, False, None)},
    "C": {"b": (True, False)},
}
DEFAULTS: dict[tuple[str, str], Any] = {
    ("A", "k"): "x",
    ("A", "b"): False,
    ("B", "k"): "x",
    ("B", "o"): None,
    ("C", "b"): False,
}
DECLARED = """
struct A { k: "x" | "y" | "z" = "x"  b: bool = false }
struct B { k: "x" | "y" | "z" = "x"  o: bool? = null }
struct C { b: bool = false }
generator writer
"""
Concrete = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]


# ---- conditions, as data


@dataclass(frozen=True)
class Cond:
    op: str
    args: tuple[Any, ...]

    def text(self) -> str:
        match self.op:
            case "eq" | "ne":
                return f"{self.args[0]} {'==' if self.op == 'eq' else '!='} {literal(self.args[1])}"
            case "in":
                return f"{self.args[0]} in {{{', '.join(map(literal, self.args[1]))}}}"
            case "yes":
                return str(self.args[0])
            case "has":
                return f"has {self.args[0]}"
            case "not":
                return f"not ({self.args[0].text()})"
            case _:
                return "(" + f" {self.op} ".join(a.text() for a in self.args) + ")"

    def holds(self, state: dict[str, dict[str, Any]]) -> bool:
        match self.op:
            case "eq":
                return value(state, self.args[0]) == self.args[1] and value(state, self.args[0]) is not None
            case "ne":
                return value(state, self.args[0]) not in (self.args[1], None)
            case "in":
                return value(state, self.args[0]) in self.args[1]
            case "yes":
                return value(state, self.args[0]) is True
            case "has":
                return (
                    value(state, self.args[0]) is not None if "." in self.args[0] else self.args[0] in state
                )
            case "not":
                return not self.args[0].holds(state)
            case "and":
                return all(a.holds(state) for a in self.args)
            case _:
                return any(a.holds(state) for a in self.args)


def literal(v: Any) -> str:
    return (
        {True: "true", False: "false", None: "null"}.get(v, f'"{v}"') if not isinstance(v, str) else f'"{v}"'
    )


def value(state: dict[str, dict[str, Any]], ref: str) -> Any:
    struct, field = ref.split(".")
    return state[struct][field] if struct in state else None


@st.composite
def atoms(
    draw: st.DrawFn, structs: tuple[str, ...], fields: tuple[tuple[str, str], ...] | None = None
) -> Cond:
    pairs = fields if fields is not None else tuple((s, f) for s in structs for f in FIELDS[s])
    if fields is None and draw(st.integers(0, 5)) == 0:
        return Cond("has", (draw(st.sampled_from(structs)),))
    struct, field = draw(st.sampled_from(pairs))
    ref = f"{struct}.{field}"
    if field == "k":
        op = draw(st.sampled_from(["eq", "ne", "in"]))
        if op == "in":
            return Cond(
                "in",
                (ref, tuple(draw(st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True)))),
            )
        return Cond(op, (ref, draw(st.sampled_from("xyz"))))
    if field == "o" and draw(st.booleans()):
        return Cond("has", (ref,))
    return Cond("yes", (ref,))


def conditions(
    structs: tuple[str, ...], fields: tuple[tuple[str, str], ...] | None = None
) -> st.SearchStrategy[Cond]:
    return st.recursive(
        atoms(structs, fields),
        lambda inner: st.one_of(
            inner.map(lambda c: Cond("not", (c,))),
            st.tuples(inner, inner).map(lambda p: Cond("and", p)),
            st.tuples(inner, inner).map(lambda p: Cond("or", p)),
        ),
        max_leaves=3,
    )


# ---- programs


@dataclass(frozen=True)
class NodeSpec:
    name: str
    takes: tuple[str, ...]
    gives: str
    pre: Cond | None
    post: Cond | None
    constants: tuple[tuple[str, Any], ...]
    kept: tuple[str, ...]
    asked: tuple[str, ...]
    branch: str | None

    def text(self) -> str:
        lines = [f"node {self.name} {{"]
        if self.takes:
            lines.append("  takes " + ", ".join(self.takes))
        lines.append(f"  gives {self.gives}")
        if self.pre is not None:
            lines.append("  pre " + self.pre.text())
        if self.post is not None:
            lines.append("  post " + self.post.text())
        if self.kept:
            lines.append("  keeps " + ", ".join(f"{self.gives}.{f}" for f in self.kept))
        lines += [f'  ask writer {{ prompt "?"  into {self.gives}.{f} }}' for f in self.asked]
        lines += [f"  set {self.gives}.{f} = {literal(v)}" for f, v in self.constants]
        if self.branch is not None:
            lines.append(f"  branch {self.gives}.{self.branch} else reject")
        return "\n".join([*lines, "}"])


@dataclass(frozen=True)
class ProgramSpec:
    nodes: tuple[NodeSpec, ...]
    source: tuple[str, ...]
    where: Cond | None
    target: tuple[str, ...]
    goal: Cond | None
    steps: tuple[int, int] | None

    def text(self) -> str:
        where = f" where {self.where.text()}" if self.where is not None else ""
        goal = f" where {self.goal.text()}" if self.goal is not None else ""
        steps = f"  steps {self.steps[0]}..{self.steps[1]}\n" if self.steps is not None else ""
        return (
            DECLARED
            + "\n".join(n.text() for n in self.nodes)
            + f"\ngraph main {{\n  from {', '.join(self.source)}{where}\n  to {', '.join(self.target)}{goal}\n  nodes *\n{steps}}}\n"
        )


@st.composite
def nodes(draw: st.DrawFn, name: str) -> NodeSpec:
    gives = draw(st.sampled_from(list(FIELDS)))
    takes = set(draw(st.lists(st.sampled_from(list(FIELDS)), max_size=2)))
    updates = gives in takes
    constants: list[tuple[str, Any]] = []
    kept: list[str] = []
    asked: list[str] = []
    for field, values in FIELDS[gives].items():
        how = draw(
            st.sampled_from(["set", "ask", "default", "keep"] if updates else ["set", "ask", "default"])
        )
        if how == "set":
            constants.append((field, draw(st.sampled_from(values))))
        elif how == "keep":
            kept.append(field)
        elif how == "ask":
            asked.append(field)
    pre = draw(st.none() | conditions(tuple(FIELDS)))
    # About asked fields only: a promise about a kept field may say more than atoms can remember, and one about a constant
    # is either nothing or a contradiction.
    post = draw(st.none() | conditions((gives,), tuple((gives, f) for f in asked))) if asked else None
    branch = None
    choices = [f for f in asked if f in ("k", "b")]
    if choices and draw(st.integers(0, 3)) == 0:
        branch = draw(st.sampled_from(choices))
    return NodeSpec(
        name, tuple(sorted(takes)), gives, pre, post, tuple(constants), tuple(kept), tuple(asked), branch
    )


@st.composite
def programs(draw: st.DrawFn) -> ProgramSpec:
    count = draw(st.integers(1, 5))
    made = tuple(draw(nodes(f"n{i}")) for i in range(count))
    source = tuple(sorted(set(draw(st.lists(st.sampled_from(list(FIELDS)), min_size=1, max_size=2)))))
    target = tuple(sorted(set(draw(st.lists(st.sampled_from(list(FIELDS)), min_size=1, max_size=2)))))
    where = draw(st.none() | conditions(source, tuple((s, f) for s in source for f in FIELDS[s])))
    goal = draw(st.none() | conditions(target, tuple((s, f) for s in target for f in FIELDS[s])))
    steps = draw(st.none() | st.tuples(st.integers(0, 2), st.integers(2, 4)))
    return ProgramSpec(made, source, where, target, goal, steps)


# ---- the naive planner


def instances(struct: str) -> Iterator[dict[str, Any]]:
    names = list(FIELDS[struct])
    for combination in itertools.product(*(FIELDS[struct][n] for n in names)):
        yield dict(zip(names, combination, strict=True))


def freeze(state: dict[str, dict[str, Any]]) -> Concrete:
    return tuple((s, tuple(sorted(state[s].items()))) for s in sorted(state))


def thaw(state: Concrete) -> dict[str, dict[str, Any]]:
    return {s: dict(fields) for s, fields in state}


@dataclass(frozen=True)
class Belief:
    states: frozenset[Concrete]
    derived: frozenset[str]
    depth: int = 0

    def present(self) -> frozenset[str]:
        return frozenset(s for s, _ in next(iter(self.states)))


class Naive:
    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec
        self.next: dict[Belief, list[tuple[str, Belief]]] = {}

    def source(self) -> Belief | None:
        states = frozenset(
            freeze(dict(zip(self.spec.source, combination, strict=True)))
            for combination in itertools.product(*(list(instances(s)) for s in self.spec.source))
            if self.spec.where is None
            or self.spec.where.holds(dict(zip(self.spec.source, combination, strict=True)))
        )
        return Belief(states, frozenset()) if states else None

    def is_goal(self, belief: Belief) -> bool:
        low = self.spec.steps[0] if self.spec.steps is not None else 0
        return belief.depth >= low and all(
            set(self.spec.target) <= {s for s, _ in state}
            and (self.spec.goal is None or self.spec.goal.holds(thaw(state)))
            for state in belief.states
        )

    def after(self, belief: Belief) -> list[tuple[str, Belief]]:
        if belief in self.next:
            return self.next[belief]
        found: list[tuple[str, Belief]] = []
        high = self.spec.steps[1] if self.spec.steps is not None else None
        present = belief.present()
        for node in self.spec.nodes if high is None or belief.depth < high else ():
            if not set(node.takes) <= present:
                continue
            if node.gives in node.takes:
                if node.gives in belief.derived:
                    continue
            elif node.gives in present:
                continue
            if node.pre is not None and not all(node.pre.holds(thaw(s)) for s in belief.states):
                continue
            derived = belief.derived | {s for s in node.takes if s != node.gives}
            reached: dict[Any, set[Concrete]] = {}
            for state in belief.states:
                old = thaw(state)
                for new in instances(node.gives):
                    if any(new[f] != v for f, v in node.constants):
                        continue
                    if any(new[f] != old[node.gives][f] for f in node.kept):
                        continue
                    free = {f for f, _ in node.constants} | set(node.kept) | set(node.asked)
                    if any(new[f] != DEFAULTS[node.gives, f] for f in FIELDS[node.gives] if f not in free):
                        continue
                    then = {**old, node.gives: new}
                    if node.post is None or node.post.holds(then):
                        reached.setdefault(new[node.branch] if node.branch else None, set()).add(freeze(then))
            depth = 0 if self.spec.steps is None else belief.depth + 1
            for label, states in sorted(reached.items(), key=lambda item: str(item[0])):
                name = node.name
                if node.branch:
                    name += f"[{str(label).lower() if isinstance(label, bool) else label}]"
                found.append((name, Belief(frozenset(states), derived, depth)))
        self.next[belief] = found
        return found

    def explore(self) -> tuple[set[Belief], bool]:
        """Beliefs on a way from source to target, and whether they have a cycle."""
        first = self.source()
        assert first is not None
        seen = {first}
        queue = [first]
        before: dict[Belief, set[Belief]] = {}
        while queue:
            belief = queue.pop()
            for _, then in self.after(belief):
                before.setdefault(then, set()).add(belief)
                if then not in seen:
                    seen.add(then)
                    queue.append(then)
        alive = {b for b in seen if self.is_goal(b)}
        queue = list(alive)
        while queue:
            for belief in before.get(queue.pop(), ()):
                if belief not in alive:
                    alive.add(belief)
                    queue.append(belief)
        colour: dict[Belief, int] = {}

        def cyclic(belief: Belief) -> bool:
            colour[belief] = 1
            for _, then in self.after(belief):
                if then in alive and (colour.get(then) == 1 or (then not in colour and cyclic(then))):
                    return True
            colour[belief] = 2
            return False

        return alive, first in alive and cyclic(first)

    def walks(self, alive: set[Belief], most: int) -> set[tuple[str, ...]]:
        first = self.source()
        assert first is not None
        found: set[tuple[str, ...]] = set()
        stack: list[tuple[Belief, tuple[str, ...]]] = [(first, ())]
        while stack and len(found) <= most:
            belief, path = stack.pop()
            if self.is_goal(belief):
                found.add(path)
            stack.extend((then, (*path, name)) for name, then in self.after(belief) if then in alive)
        return found
