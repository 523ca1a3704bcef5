"""Small random programs: as data, as `.forge` text, and how Hypothesis draws them.

Every field has a small set of values that conditions cannot tell apart from the real ones: integers from −1 to 3 where
constants lie between 0 and 2, and for a text only its number of words. `exact` programs are those on which the planner is
meant to find every walk. The others add what it follows soundly and not to the end: comparisons of two fields, copies of
a field, and promises about a field whose value was known before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Schema = tuple[tuple[str, tuple[str, ...]], ...]
Ref = tuple[str, str]
Instance = Mapping[str, Any]

VALUES: dict[str, tuple[Any, ...]] = {
    "k": ("x", "y", "z"),
    "b": (False, True),
    "n": (-1, 0, 1, 2, 3),
    "w": (0, 1, 2, 3),
    "o": (None, False, True),
    "e": (None, "x", "y"),
}
"""By name of the field. `w` is a text of so many words."""
DECLARED = {
    "k": 'k: "x" | "y" | "z" = "x"',
    "b": "b: bool = false",
    "n": "n: int = 0",
    "w": 'w: str = ""',
    "o": "o: bool? = null",
    "e": 'e: "x" | "y"? = null',
}
DEFAULTS: dict[str, Any] = {"k": "x", "b": False, "n": 0, "w": 0, "o": None, "e": None}
SCHEMAS: list[Schema] = [
    (("A", ("k", "b")), ("B", ("k", "o")), ("C", ("b",))),
    (("A", ("k", "n")), ("B", ("b",)), ("C", ("o",))),
    (("A", ("k", "w")), ("B", ("n",)), ("C", ("b",))),
    (("A", ("e", "k")), ("B", ("w",)), ("C", ("k",))),
    (("A", ("k", "b", "o")), ("B", ("n",))),
    (("A", ("k",)), ("B", ("k",)), ("C", ("b",)), ("D", ("b",))),
]


def instances(schema: Schema, struct: str) -> Iterator[dict[str, Any]]:
    fields = dict(schema)[struct]
    for combination in itertools.product(*(VALUES[f] for f in fields)):
        yield dict(zip(fields, combination, strict=True))


def real(instance: Instance) -> dict[str, Any]:
    """The fields as a struct has them."""
    return {f: " ".join(["word"] * v) if f == "w" else v for f, v in instance.items()}


def literal(value: Any, field: str = "") -> str:
    """A value as the language writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if field == "w":
        value = " ".join(["word"] * value)
    return f'"{value}"' if isinstance(value, str) else str(value)


# ---- conditions


@dataclass(frozen=True)
class Cond:
    op: str
    args: tuple[Any, ...]

    def text(self) -> str:
        match self.op:
            case "==" | "!=" | "<" | "<=" | ">" | ">=":
                return f"{term(self.args[0])} {self.op} {literal(self.args[1])}"
            case "in" | "not in":
                return f"{term(self.args[0])} {self.op} {{{', '.join(map(literal, self.args[1]))}}}"
            case "range" | "not range":
                low, high = ("" if end is None else str(end) for end in self.args[1])
                return f"{term(self.args[0])} {self.op.replace('range', 'in')} {low}..{high}"
            case "yes":
                return ".".join(self.args[0])
            case "has":
                return f"has {'.'.join(self.args[0])}"
            case "same":
                return f"{'.'.join(self.args[0])} == {'.'.join(self.args[1])}"
            case "not":
                return f"not ({self.args[0].text()})"
            case _:
                return "(" + f" {self.op} ".join(a.text() for a in self.args) + ")"

    def holds(self, state: Mapping[str, Instance]) -> bool:
        match self.op:
            case "not":
                return not self.args[0].holds(state)
            case "and":
                return all(a.holds(state) for a in self.args)
            case "or":
                return any(a.holds(state) for a in self.args)
            case "has" if len(self.args[0]) == 1:
                return self.args[0][0] in state
        struct, field = self.args[0]
        value = state[struct][field] if struct in state else None
        if value is None:
            return False  # a comparison with nothing is false, whatever it is
        wanted = self.args[1] if len(self.args) > 1 else None
        match self.op:
            case "has":
                return True
            case "yes":
                return value is True
            case "==":
                return bool(value == wanted)
            case "!=":
                return bool(value != wanted)
            case "<":
                return bool(value < wanted)
            case "<=":
                return bool(value <= wanted)
            case ">":
                return bool(value > wanted)
            case ">=":
                return bool(value >= wanted)
            case "in":
                return value in wanted
            case "not in":
                return value not in wanted
            case "same":
                other, name = wanted
                return other in state and state[other][name] == value
            case _:
                low, high = wanted
                inside = (low is None or value >= low) and (high is None or value <= high)
                return inside == (self.op == "range")

    def structs(self) -> set[str]:
        """Names of the structs that it speaks of."""
        if self.op in ("not", "and", "or"):
            return set().union(*(a.structs() for a in self.args))
        return {self.args[0][0]} | ({self.args[1][0]} if self.op == "same" else set())


def term(ref: Ref) -> str:
    text = ".".join(ref)
    return f"words({text})" if ref[1] == "w" else text


def equal(ref: Ref, value: Any) -> Cond:
    """That the field has this value."""
    if value is None:
        return Cond("not", (Cond("has", (ref,)),))
    if isinstance(value, bool):
        return Cond("yes", (ref,)) if value else Cond("not", (Cond("yes", (ref,)),))
    return Cond("==", (ref, value))


@st.composite
def atoms(draw: st.DrawFn, refs: tuple[Ref, ...], structs: tuple[str, ...]) -> Cond:
    """An atom over these fields, or `has` of one of these structs."""
    if structs and (not refs or draw(st.integers(0, 6)) == 0):
        return Cond("has", ((draw(st.sampled_from(structs)),),))
    ref = draw(st.sampled_from(refs))
    match ref[1]:
        case "n" | "w":
            numbers = st.integers(0, 2)
            op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "range", "not range", "in"]))
            if op == "in":
                return Cond(op, (ref, tuple(draw(st.lists(numbers, min_size=1, max_size=2, unique=True)))))
            if op.endswith("range"):
                low, high = sorted((draw(numbers), draw(numbers)))
                ends = draw(st.sampled_from([(low, high), (low, None), (None, high)]))
                return Cond(op, (ref, ends))
            return Cond(op, (ref, draw(numbers)))
        case "o":
            return Cond(draw(st.sampled_from(["has", "yes"])), (ref,))
        case "b":
            return Cond("yes", (ref,))
        case _:
            choices = [v for v in VALUES[ref[1]] if v is not None]
            op = draw(
                st.sampled_from(["==", "==", "!=", "in", "not in", *(["has"] if ref[1] == "e" else [])])
            )
            if op == "has":
                return Cond(op, (ref,))
            if op.endswith("in"):
                some = draw(st.lists(st.sampled_from(choices), min_size=1, max_size=2, unique=True))
                return Cond(op, (ref, tuple(some)))
            return Cond(op, (ref, draw(st.sampled_from(choices))))


@st.composite
def conditions(
    draw: st.DrawFn, refs: tuple[Ref, ...], structs: tuple[str, ...] = (), *, opaque: bool = False
) -> Cond:
    """One to three atoms, joined and negated in any way."""
    pairs = [(x, y) for x in refs for y in refs if opaque and x[0] < y[0] and x[1] == y[1]]
    found: Cond | None = None
    for _ in range(draw(st.sampled_from([1, 1, 2, 2, 3]))):
        single = draw(atoms(refs, structs))
        if pairs and draw(st.integers(0, 2)) == 0:
            single = Cond("same", draw(st.sampled_from(pairs)))
        if draw(st.integers(0, 3)) == 0:
            single = Cond("not", (single,))
        if found is None:
            found = single
        else:
            found = Cond(draw(st.sampled_from(["and", "or"])), (found, single))
            if draw(st.integers(0, 4)) == 0:
                found = Cond("not", (found,))
    assert found is not None
    return found


def sometimes(draw: st.DrawFn, some: st.SearchStrategy[Cond], percent: int) -> Cond | None:
    return draw(some) if draw(st.integers(0, 99)) < percent else None


# ---- programs


@dataclass(frozen=True)
class Act:
    """What planning needs of a node or of a graph that is used as one; each given field has one source."""

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    pre: Cond | None = None
    post: Cond | None = None
    constants: tuple[tuple[Ref, Any], ...] = ()
    kept: tuple[Ref, ...] = ()
    copies: tuple[tuple[Ref, Ref], ...] = ()
    free: tuple[Ref, ...] = ()
    branch: Ref | None = None
    reject: bool = True

    def outcome(self, value: Any) -> str:
        return self.name + (
            f"[{str(value).lower() if isinstance(value, bool) else value}]" if self.branch else ""
        )


@dataclass(frozen=True)
class NodeSpec:
    act: Act
    json: tuple[str, ...]
    """Structs that the model answers as a whole, less what is kept or set."""
    defaults: frozenset[Ref] = frozenset()

    def text(self) -> str:
        act = self.act
        lines = [f"node {act.name} {{"]
        if act.takes:
            lines.append("  takes " + ", ".join(act.takes))
        lines.append("  gives " + ", ".join(act.gives))
        if act.pre is not None:
            lines.append("  pre " + act.pre.text())
        if act.post is not None:
            lines.append("  post " + act.post.text())
        if act.kept:
            lines.append("  keeps " + ", ".join(map(".".join, act.kept)))
        lines += [f'  ask writer {{ prompt "?"  json {struct} }}' for struct in self.json]
        lines += [
            f'  ask writer {{ prompt "?"  into {".".join(ref)} }}'
            for ref in act.free
            if ref[0] not in self.json
        ]
        lines += [
            f"  set {'.'.join(ref)} = {literal(v, ref[1])}"
            for ref, v in act.constants
            if ref not in self.defaults
        ]
        lines += [f"  set {'.'.join(ref)} = {'.'.join(other)}" for ref, other in act.copies]
        if act.branch is not None:
            lines.append(f"  branch {'.'.join(act.branch)}{' else reject' if act.reject else ''}")
        return "\n".join([*lines, "}"])


@dataclass(frozen=True)
class GraphSpec:
    name: str
    source: tuple[str, ...]
    where: Cond | None
    target: tuple[str, ...]
    goal: Cond | None
    members: tuple[str, ...]
    steps: tuple[int, int | None] | None = None

    def act(self, schema: Schema) -> Act:
        fields = dict(schema)
        free = tuple((s, f) for s in self.target for f in fields[s])
        return Act(self.name, self.source, self.target, self.where, self.goal, free=free)

    def text(self) -> str:
        where = f" where {self.where.text()}" if self.where is not None else ""
        goal = f" where {self.goal.text()}" if self.goal is not None else ""
        lines = [
            f"graph {self.name} {{",
            f"  from {', '.join(self.source)}{where}",
            f"  to {', '.join(self.target)}{goal}",
            f"  nodes {', '.join(self.members)}",
        ]
        if self.steps is not None:
            low, high = self.steps
            lines.append(f"  steps {low}..{'' if high is None else high}")
        return "\n".join([*lines, "}"])


@dataclass(frozen=True)
class ProgramSpec:
    schema: Schema
    nodes: tuple[NodeSpec, ...]
    graphs: tuple[GraphSpec, ...]
    """Inner graphs first; the last is the main one."""

    def text(self) -> str:
        structs = [
            f"struct {name} {{ {'  '.join(DECLARED[f] for f in fields)} }}" for name, fields in self.schema
        ]
        return "\n".join(
            [
                *structs,
                "generator writer",
                *(n.text() for n in self.nodes),
                *(g.text() for g in self.graphs),
                "",
            ]
        )

    def acts(self) -> dict[str, Act]:
        """Every node, and every graph as a node."""
        return {n.act.name: n.act for n in self.nodes} | {g.name: g.act(self.schema) for g in self.graphs}


@st.composite
def nodes(
    draw: st.DrawFn, name: str, schema: Schema, seen: tuple[tuple[Ref, Any], ...], exact: bool
) -> NodeSpec:
    """A node. Half of the preconditions ask for something that an earlier one sets: else hardly anything links."""
    structs = tuple(s for s, _ in schema)
    every = tuple((s, f) for s, fields in schema for f in fields)
    gives = tuple(
        sorted(
            set(
                draw(
                    st.lists(
                        st.sampled_from(structs), min_size=1, max_size=draw(st.sampled_from([1, 1, 1, 2]))
                    )
                )
            )
        )
    )
    takes = tuple(sorted(set(draw(st.lists(st.sampled_from(structs), max_size=2)))))
    json: list[str] = []
    constants: list[tuple[Ref, Any]] = []
    defaults: set[Ref] = set()
    kept: list[Ref] = []
    copies: list[tuple[Ref, Ref]] = []
    free: list[Ref] = []
    for struct in gives:
        whole = draw(st.integers(0, 3)) == 0
        if whole:
            json.append(struct)
        ways = ["ask"] if whole else ["set", "set", "ask", "default"]
        if struct in takes:
            ways.append("keep")
        for field in dict(schema)[struct]:
            ref = (struct, field)
            sources = [(s, field) for s in takes if s not in gives and field in dict(schema)[s]]
            way = draw(st.sampled_from([*ways, "copy"] if not exact and sources and not whole else ways))
            if way == "set":
                constants.append((ref, draw(st.sampled_from(VALUES[field]))))
            elif way == "default":
                constants.append((ref, DEFAULTS[field]))
                defaults.add(ref)
            elif way == "keep":
                kept.append(ref)
            elif way == "copy":
                copies.append((ref, draw(st.sampled_from(sources))))
            else:
                free.append(ref)
    pre = sometimes(draw, conditions(every, structs, opaque=not exact), 40)
    if seen and draw(st.booleans()):
        ref, value = draw(st.sampled_from(seen))
        pre = equal(ref, value)
    # In exact programs about fields asked for only: a promise about a kept field may say more than atoms can remember,
    # and one about a constant is either nothing or a contradiction.
    about = tuple(free) if exact else (*free, *kept, *(r for r, _ in copies))
    post = sometimes(draw, conditions(about, opaque=not exact), 60) if about else None
    branches = [r for r in (about if exact else (*about, *(r for r, _ in constants))) if r[1] in ("k", "b")]
    branch = draw(st.sampled_from(branches)) if branches and draw(st.integers(0, 2)) == 0 else None
    act = Act(
        name, takes, gives, pre, post, tuple(constants), tuple(kept), tuple(copies), tuple(free),
        branch, draw(st.integers(0, 2)) > 0,
    )  # fmt: skip
    return NodeSpec(act, tuple(json), frozenset(defaults))


@st.composite
def graphs(
    draw: st.DrawFn, name: str, schema: Schema, members: tuple[str, ...], acts: tuple[Act, ...], exact: bool
) -> GraphSpec:
    """A graph from what one member takes to what another gives: else the target is hardly ever reached."""
    structs = tuple(s for s, _ in schema)
    fields = dict(schema)
    some = st.lists(st.sampled_from(structs), min_size=1, max_size=2)
    first, last = draw(st.sampled_from(acts)), draw(st.sampled_from(acts))
    source = tuple(sorted(set(first.takes or draw(some))))
    target = last.gives if draw(st.integers(0, 3)) else tuple(sorted(set(draw(some))))
    where = sometimes(
        draw, conditions(tuple((s, f) for s in source for f in fields[s]), opaque=not exact), 40
    )
    if first.pre is not None and first.pre.structs() <= set(source) and draw(st.integers(0, 3)):
        where = first.pre
    goal = sometimes(draw, conditions(tuple((s, f) for s in target for f in fields[s]), opaque=not exact), 20)
    known = [equal(ref, v) for ref, v in last.constants if ref[0] in target]
    if known and draw(st.booleans()):
        goal = draw(st.sampled_from(known))
    steps = draw(st.sampled_from([None, None, (1, None), (0, 3), (1, 4), (2, None), (2, 3)]))
    return GraphSpec(name, source, where, target, goal, members, steps)


@st.composite
def programs(draw: st.DrawFn, *, exact: bool = True) -> ProgramSpec:
    schema = draw(st.sampled_from(SCHEMAS))
    made: list[NodeSpec] = []
    for i in range(draw(st.integers(2, 6))):
        seen = tuple(c for n in made for c in n.act.constants)
        made.append(draw(nodes(f"n{i}", schema, seen, exact)))
    acts = {n.act.name: n.act for n in made}
    inner: list[GraphSpec] = []
    for i in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        members = draw(st.lists(st.sampled_from(list(acts)), min_size=1, max_size=4, unique=True))
        if inner and inner[-1].name not in members and draw(st.booleans()):
            members.append(inner[-1].name)
        inner.append(draw(graphs(f"g{i}", schema, tuple(members), tuple(acts[m] for m in members), exact)))
        acts[inner[-1].name] = inner[-1].act(schema)
    main = draw(graphs("main", schema, tuple(acts), tuple(acts.values()), exact))
    return ProgramSpec(schema, tuple(made), (*inner, main))
