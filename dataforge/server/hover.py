"""What an editor shows of the word under the cursor: its type, its contract, its text, and where it leads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataforge.domain import actions as a
from dataforge.domain.conditions import Expr
from dataforge.domain.expressions import Predicate
from dataforge.domain.scope import Entity
from dataforge.domain.structs import FieldType, StructField, StructType
from dataforge.plan.artifact import conjuncts
from dataforge.server import jinja
from dataforge.server.forms import Role
from dataforge.server.glossary import KEYWORDS, MEASURES, SETTINGS
from dataforge.server.names import Names, Use, drawn
from dataforge.server.outline import Item
from dataforge.server.roles import Word
from dataforge.server.workspace import Workspace

MOST_NAMES = 12
MOST_ENTRIES = 5
MOST_VALUES = 60


@dataclass(frozen=True)
class Hover:
    """Markdown about a stretch of text."""

    markdown: str
    start: int
    end: int


def hover(workspace: Workspace, path: Path, offset: int) -> Hover | None:
    """What is known of the word at an offset of a file."""
    names = Names(workspace)
    found = names.at(path, offset)
    if found is not None:
        symbol, use = found
        text = _of_symbol(workspace, names, path, offset, use)
        if text is None and symbol.kind == "python":
            text = f"```forge\nstruct {symbol.name}\n```\nof the Python module `{symbol.home}`"
        return Hover(text, use.start, use.end) if text is not None else None
    outline = workspace.outline(path) if path.suffix == ".forge" else None
    at = outline.word_at(offset) if outline is not None else None
    if at is None:
        return None
    item, word = at
    text = _of_word(item, word)
    return Hover(text, word.start, word.end) if text else None


def _of_word(item: Item, word: Word) -> str:
    if word.role is Role.KEYWORD:
        return KEYWORDS.get((item.keyword, word.text)) or KEYWORDS.get(("", word.text), "")
    if word.role is Role.SETTING:
        return SETTINGS.get(word.text, "")
    if word.role is Role.FUNCTION:
        return MEASURES.get(word.text, "")
    return ""


def _of_symbol(workspace: Workspace, names: Names, path: Path, offset: int, use: Use) -> str | None:
    """Markdown about the symbol at an offset; None where no analysis knows it."""
    seen_from, item, parts = _context(workspace, path, offset, use)
    if item is not None and len(parts) == 1 and parts[0] in drawn(item) and use.text == parts[0]:
        return _variable(workspace, seen_from, item, parts[0])
    if len(parts) > 1:
        return _field(workspace.structs(seen_from).get(parts[0]), parts)
    entity = workspace.entities(seen_from).get(parts[0])
    if entity is None:
        symbol = names.named(seen_from, parts[0])
        if symbol is not None and symbol.kind == "name":
            entity = workspace.entities(Path(symbol.home)).get(symbol.name)
    if entity is None:
        return None
    text = _DESCRIBED[type(entity)](entity)
    if isinstance(entity, a.Node | a.Graph):
        text += _neighbours(workspace, seen_from, parts[0])
    return text


def _context(
    workspace: Workspace, path: Path, offset: int, use: Use
) -> tuple[Path, Item | None, tuple[str, ...]]:
    """From which `.forge` file and item a word is seen, and the dotted name up to it."""
    if path.suffix == ".forge":
        outline = workspace.outline(path)
        found = outline.word_at(offset) if outline is not None else None
        if found is not None:
            item, word = found
            if word.role is not Role.TEMPLATE:
                parts = word.path if word.role in (Role.FIELD, Role.CRITERION) else (word.text,)
                return path, item, parts
            return path, item, _jinja_path(word.text, use.start - word.start)
        return path, None, (use.text,)
    text = workspace.text(path)
    parts = _jinja_path(text.text, use.start) if text is not None else (use.text,)
    for forge, name in workspace.users_of(path):
        outline = workspace.outline(forge)
        return forge, outline.declared.get(name) if outline is not None else None, parts
    return path, None, parts


def _jinja_path(template: str, start: int) -> tuple[str, ...]:
    return next((w.path for w in jinja.words(template) if w.start == start), ())


# ---- one kind of thing each


def _field(struct: StructType | None, parts: Sequence[str]) -> str | None:
    spec: StructField | None = None
    for part in parts[1:]:
        spec = struct.fields.get(part) if struct is not None else None
        if struct is None or spec is None:
            return None
        owner, struct = struct, spec.type.struct
    if spec is None:
        return None
    default = f" = {_literal(spec.default)}" if spec.constant_default else ""
    text = f"```forge\n{owner.name}.{spec.name}: {_type(spec.type)}{default}\n```"
    bounds = spec.type.values.describe(spec.name) if spec.type.base in ("int", "float") else ""
    about = owner.model.model_fields[spec.name].description
    notes = [about or "", f"`{bounds}`" if bounds and bounds != spec.name else ""]
    return "\n\n".join([text, *(n for n in notes if n)])


def _type(type: FieldType) -> str:
    """A type as the language writes it, with every value of an enumeration."""
    values = type.values.listed(MOST_VALUES) if type.base == "enum" else None
    if values is None:
        return str(type)
    return " | ".join(_literal(v) for v in values) + ("?" if type.optional else "")


def _struct(struct: StructType) -> str:
    lines = [
        f"  {f.name}: {_type(f.type)}{f' = {_literal(f.default)}' if f.constant_default else ''}"
        for f in struct.fields.values()
    ]
    own = vars(struct.model).get("__doc__")  # its own, not that of the class that declared structs share
    doc = inspect.cleandoc(own) if own else None
    return _block([f"struct {struct.name} {{", *lines, "}"], doc, f"of `{struct.origin}`")


def _node(node: a.Node) -> str:
    many = "many " if node.many is not None else ""
    lines = [f"node {node.name} {{"]
    lines += [f"  takes {', '.join(node.takes)}"] if node.takes else []
    lines += [f"  gives {many}{', '.join(node.gives)}"]
    lines += _conditions("pre ", node.pre) + _conditions("post", node.post)
    lines += [f"  keeps {', '.join('.'.join(f) for f in node.keeps)}"] if node.keeps else []
    return _block([*lines, "}"], node.doc, "")


def _graph(graph: a.Graph) -> str:
    lines = [f"graph {graph.name} {{", f"  from {', '.join(graph.sources)}"]
    lines += _conditions("where", graph.where)
    lines += [f"  to   {', '.join(graph.targets)}", *_conditions("where", graph.goal)]
    lines += [f"  walk {graph.law}", "}"]
    return _block(lines, graph.doc, f"{len(graph.members)} members")


def _model(model: a.Model) -> str:
    settings = "  ".join(f"{k} {_literal(v)}" for k, v in model.settings.items())
    return _block([f"{model.kind} {model.name}" + (f" {{ {settings} }}" if settings else "")], None, "")


def _list(entries: a.EntryList) -> str:
    said = [f"- `{str(entry)[:80]}`" for entry in entries.entries[:MOST_ENTRIES]]
    where = f" from `{entries.path}`" if entries.path else ""
    head = f"list `{entries.name}`{where}: {len(entries.entries):,} entries"
    keys = f", each with {', '.join(f'`{k}`' for k in sorted(entries.keys))}" if entries.keys else ""
    return "\n".join([head + keys, "", *said])


def _rubric(rubric: a.Rubric) -> str:
    lines = [f'  {c.name} "{c.text}" in {c.low:g}..{c.high:g}' for c in rubric.criteria]
    lines += [f"  accept {rubric.accept}"] if rubric.accept is not None else []
    return _block([f"rubric {rubric.name} {{", *lines, "}"], rubric.doc, "")


def _predicate(predicate: Predicate) -> str:
    params = ", ".join(p.name if p is not None else "?" for p in predicate.params)
    return _block([f"predicate {predicate.name}({params})"], inspect.getdoc(predicate.function), "")


_DESCRIBED: Mapping[type, Callable[..., str]] = {
    StructType: _struct,
    a.Node: _node,
    a.Graph: _graph,
    a.Model: _model,
    a.EntryList: _list,
    a.Rubric: _rubric,
    Predicate: _predicate,
}


def describe(entity: Entity) -> str:
    """Markdown about something that has a name."""
    return _DESCRIBED[type(entity)](entity)


def _variable(workspace: Workspace, path: Path, item: Item, name: str) -> str:
    source = drawn(item)[name]
    entries = workspace.entities(path).get(source)
    text = f"```forge\ndraw {name} from {source}\n```"
    return text + "\n\n" + _list(entries) if isinstance(entries, a.EntryList) else text


def _neighbours(workspace: Workspace, path: Path, name: str) -> str:
    """Who leads to a member, where it leads, and what is known after it, in each graph that it is in."""
    lines: list[str] = []
    for graph, found in workspace.graphs_with(path, name):
        before, after = found.before(name), found.after(name)
        lines.append(f"\n\nIn graph `{graph}`:")
        if not before:
            reason = found.linked.cut.get(name, "it leads nowhere")
            lines.append(f"\n- no walk uses it: {reason}")
            continue
        lines.append(f"\n- comes after {_few(before)}")
        lines.append(f"\n- leads to {_few(after)}")
        known = found.known(name)
        if known:
            lines.append(f"\n- known after it: {_few(known)}")
    return "".join(lines)


# ---- text


def _block(lines: Sequence[str], doc: str | None, note: str) -> str:
    parts = ["```forge\n" + "\n".join(lines) + "\n```", doc or "", note]
    return "\n\n".join(part for part in parts if part)


def _conditions(word: str, expr: Expr) -> list[str]:
    said = [part for part in conjuncts(expr) if part != "true"]
    return [f"  {word} {', '.join(said)}"] if said else []


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(f"`{n}`" for n in names[:MOST_NAMES]) + more


def _literal(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return str(value)
