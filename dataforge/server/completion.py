"""What may come next at a place: names of the right kind, fields, values, and the keywords that the grammar takes there.

Which kind of name a place wants is read off the tokens before it (`roles.place_at`); which keywords it takes is asked of
the grammar itself, by parsing the beginning of the item up to there. So a clause that is added to the grammar is offered
without a change here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lark import Lark
from lark.exceptions import UnexpectedInput

from dataforge.domain import actions as a
from dataforge.domain.expressions import Predicate
from dataforge.domain.structs import FieldType, StructType
from dataforge.domain.templates import FILTERS as ALLOWED_FILTERS
from dataforge.domain.templates import LOOP_FIELDS, TESTS
from dataforge.lang.parse import grammar_text
from dataforge.server import glossary, jinja
from dataforge.server.forms import ITEMS, TURNS, WORDS, Role
from dataforge.server.names import classes_of, drawn, module_file
from dataforge.server.outline import Item
from dataforge.server.roles import Place
from dataforge.server.workspace import Workspace

CompletionKind = Literal[
    "keyword",
    "struct",
    "field",
    "value",
    "model",
    "list",
    "rubric",
    "node",
    "graph",
    "predicate",
    "measure",
    "setting",
    "variable",
    "filter",
    "file",
    "type",
]


@dataclass(frozen=True)
class Completion:
    """One thing that may come next.

    Attributes:
        label: what is shown and, unless `insert` says otherwise, inserted.
        kind: what it is.
        detail: its type, on the same line.
        doc: more about it.
        insert: what is inserted; a snippet with `$1` where `is_snippet`.
        rank: what is likelier comes first.
    """

    label: str
    kind: CompletionKind
    detail: str = ""
    doc: str = ""
    insert: str = ""
    is_snippet: bool = False
    rank: int = 1


_KINDS: Mapping[str, CompletionKind] = {
    "struct": "struct",
    "list": "list",
    "rubric": "rubric",
    "predicate": "predicate",
    "node": "node",
    "graph": "graph",
}
"""Keyword of an item → what its name is; the others declare models."""


def complete(workspace: Workspace, path: Path, offset: int) -> list[Completion]:
    """What may come next at an offset of a `.forge` file or of a prompt file that one names."""
    text = workspace.text(path)
    if text is None:
        return []
    if path.suffix != ".forge":
        for forge, name in workspace.users_of(path):
            outline = workspace.outline(forge)
            item = outline.declared.get(name) if outline is not None else None
            return list(_in_template(workspace, forge, item, text.text, offset))
        return []
    outline = workspace.outline(path)
    if outline is None:
        return []
    place, base = outline.place_at(offset)
    if place.inside == "comment":
        return []
    if place.text is not None and place.wants is Role.TEMPLATE:
        item = next((i for i in outline.items_at(base) if i.name == place.name), None)
        start = base + place.text.start
        return list(_in_template(workspace, path, item, place.text.text, offset - start))
    if place.text is not None and place.wants not in (Role.VALUE, Role.PATH, Role.ORIGIN):
        return []
    found = list(_Finder(workspace, path, place).find())
    if place.text is None and place.wants is not Role.FIELD:
        found += _keywords(outline.text[base:offset], place)
    return list({c.label: c for c in reversed(found)}.values())[::-1]


# ---- names


@dataclass(frozen=True)
class _Finder:
    """Completions by the role of the word that a place wants."""

    workspace: Workspace
    path: Path
    place: Place

    def find(self) -> Iterator[Completion]:
        place = self.place
        match place.wants:
            case Role.STRUCT:
                yield from self._structs()
            case Role.MODEL:
                yield from self._models()
            case Role.LIST:
                yield from self._of(a.EntryList, "list")
            case Role.RUBRIC:
                yield from self._of(a.Rubric, "rubric")
            case Role.MEMBER:
                yield from self._members(inside_graph=place.item == "example")
            case Role.SUBJECT:
                yield from self._members()
            case Role.HEAD:
                yield from self._heads()
            case Role.FIELD:
                yield from self._fields()
            case Role.VALUE:
                yield from self._values()
            case Role.TYPE:
                yield from self._types()
            case Role.WORD:
                for word in WORDS.get(place.clause, ()):
                    yield Completion(word, "value", doc=glossary.KEYWORDS.get((place.item, word), ""), rank=0)
            case Role.CRITERION:
                yield from self._criteria()
            case Role.IMPORTED:
                yield from self._importable()
            case Role.ORIGIN | Role.PATH:
                yield from self._files()
            case None:
                yield from self._settings()
            case _:
                pass

    def _entities(self) -> Mapping[str, object]:
        return self.workspace.entities(self.path)

    def _of(self, kind: type, name: CompletionKind) -> Iterator[Completion]:
        for local, entity in self._entities().items():
            if isinstance(entity, kind):
                yield Completion(local, name, rank=0)

    def _structs(self) -> Iterator[Completion]:
        for local, struct in self.workspace.structs(self.path).items():
            fields = ", ".join(list(struct.fields)[:6])
            yield Completion(local, "struct", f"{{ {fields} }}", rank=0)

    def _models(self) -> Iterator[Completion]:
        wanted = {"ask": "generator", "judge": "judge"}.get(self.place.clause)
        for local, entity in self._entities().items():
            if isinstance(entity, a.Model) and wanted in (None, entity.kind):
                yield Completion(local, "model", entity.kind, rank=0)

    def _members(self, *, inside_graph: bool = False) -> Iterator[Completion]:
        found: Mapping[str, object] = self._entities()
        graph = found.get(self.place.name)
        if inside_graph and isinstance(graph, a.Graph):
            found = graph.members
        for local, entity in found.items():
            if isinstance(entity, a.Node):
                gives = ", ".join(entity.gives)
                yield Completion(local, "node", f"{', '.join(entity.takes)} → {gives}", entity.doc, rank=0)
            elif isinstance(entity, a.Graph) and local != self.place.name:
                yield Completion(local, "graph", "graph", entity.doc, rank=0)
        outline = self.workspace.outline(self.path)
        for name, item in outline.declared.items() if outline is not None else ():
            if item.keyword == "node" and name not in found and not inside_graph:
                yield Completion(name, "node", "node", rank=0)  # one that does not compile now

    def _heads(self) -> Iterator[Completion]:
        yield from self._structs()
        if self.place.inside == "call":
            return
        if self.place.clause in ("pre", "post", "expect", "from", "to") and self.place.inside != "settings":
            for name, doc in glossary.MEASURES.items():
                insert = f'{name}($1, "$2")' if name == "matches" else f"{name}($1)"
                yield Completion(name, "measure", "", doc, insert, is_snippet=True)
            for local, entity in self._entities().items():
                if isinstance(entity, Predicate):
                    params = ", ".join(p.name if p is not None else "" for p in entity.params)
                    yield Completion(local, "predicate", f"({params})", "", f"{local}({params})")

    def _fields(self) -> Iterator[Completion]:
        path = self.place.path
        if not path:
            return
        struct = self.workspace.structs(self.path).get(path[0])
        yield from _fields_of(struct, path[1:])

    def _values(self) -> Iterator[Completion]:
        quoted = self.place.text is not None
        type = _type_of(self.workspace.structs(self.path), self.place.path)
        if type is None and self.place.clause in WORDS:
            for word in WORDS[self.place.clause]:
                yield Completion(word, "value", rank=0)
        if type is not None and type.base == "enum":
            for value in type.values.listed(200) or ():
                shown = str(value).replace("\\", "\\\\").replace('"', '\\"')
                yield Completion(f'"{value}"', "value", "", "", shown if quoted else f'"{shown}"', rank=0)
        elif type is not None and type.base == "bool" and not quoted:
            for word in ("true", "false"):
                yield Completion(word, "value", rank=0)
        if not quoted and self.place.inside == "body" and self.place.item in ("node", "graph", "example"):
            yield from self._structs()

    def _types(self) -> Iterator[Completion]:
        for name in ("str", "int", "float", "bool"):
            yield Completion(name, "type", rank=0)
        yield Completion("list", "type", "list[…]", "", "list[$1]", is_snippet=True, rank=0)
        yield from self._structs()

    def _criteria(self) -> Iterator[Completion]:
        outline = self.workspace.outline(self.path)
        item = outline.declared.get(self.place.name) if outline is not None else None
        for word in item or ():
            if word.role is Role.CRITERION and word.declares:
                yield Completion(word.text, "field", "criterion", rank=0)
        yield Completion("score", "field", "the mean of the criteria", rank=0)

    def _settings(self) -> Iterator[Completion]:
        place = self.place
        if place.inside == "settings":
            names = (*glossary.SETTINGS_OF.get(place.subject, ()), *glossary.SAMPLING)
        elif place.item in ("generator", "judge") and place.inside == "body":
            names = (*glossary.SETTINGS_OF["model"], *glossary.SAMPLING)
        elif place.inside == "turns":
            for role in TURNS:
                yield Completion(role, "keyword", "", glossary.KEYWORDS["graph", role], rank=0)
            return
        else:
            return
        for name in names:
            yield Completion(name, "setting", "", glossary.SETTINGS[name], rank=0)

    def _importable(self) -> Iterator[Completion]:
        """What the file or module of an import declares."""
        origin = self.place.path
        if origin and origin[0].startswith('"'):
            outline = self.workspace.outline((self.path.parent / origin[0].strip('"')).resolve())
            for name, item in outline.declared.items() if outline is not None else ():
                yield Completion(name, _KINDS.get(item.keyword, "model"), item.keyword, rank=0)
        elif origin:
            for name in classes_of(module_file(".".join(origin), self.path), self.workspace):
                yield Completion(name, "struct", "Python model", rank=0)

    def _files(self) -> Iterator[Completion]:
        place, folder = self.place, self.path.parent
        if place.text is None:
            if place.item == "from" and not place.path:
                yield Completion("schemas.text", "file", "the shipped structs", rank=0)
            return
        endings = {"from": (".forge",)}.get(
            place.item, (".jsonl",) if place.item == "list" else (".j2", ".txt")
        )
        try:
            for depth in ("*", "*/*"):
                for found in sorted(folder.glob(depth))[:500]:
                    if found.suffix in endings and found != self.path:
                        yield Completion(found.relative_to(folder).as_posix(), "file", rank=0)
        except OSError:
            return


def _fields_of(struct: StructType | None, path: tuple[str, ...]) -> Iterator[Completion]:
    for part in path:
        spec = struct.fields.get(part) if struct is not None else None
        struct = spec.type.struct if spec is not None else None
    for name, field in struct.fields.items() if struct is not None else ():
        about = struct.model.model_fields[name].description if struct is not None else ""
        yield Completion(name, "field", str(field.type), about or "", rank=0)


def _type_of(structs: Mapping[str, StructType], path: tuple[str, ...]) -> FieldType | None:
    struct = structs.get(path[0]) if path else None
    type: FieldType | None = None
    for part in path[1:]:
        spec = struct.fields.get(part) if struct is not None else None
        if spec is None:
            return None
        type, struct = spec.type, spec.type.struct
    return type


# ---- keywords


@functools.cache
def _grammar() -> Lark:
    return Lark(grammar_text(), parser="lalr", lexer="contextual")


def warm() -> None:
    """Build the parser, which takes a quarter of a second, before somebody waits for it."""
    _accepted("node a {")


def _accepted(before: str) -> set[str]:
    """The terminals that the grammar takes after a beginning of an item; none where something in it is wrong."""
    try:
        parser = _grammar().parse_interactive(before)
        parser.exhaust_lexer()
        return set(parser.accepts())  # type: ignore[no-untyped-call]
    except UnexpectedInput:
        return set()


def _keywords(before: str, place: Place) -> list[Completion]:
    """The keywords that the grammar takes after a beginning of an item; the word at its end is left out."""
    word = len(before)
    while word > 0 and (before[word - 1].isalnum() or before[word - 1] == "_"):
        word -= 1
    if before[max(0, word - 1) : word] in (".", '"'):
        return []
    accepted = _accepted(before[:word])
    if not place.item:
        return [_item(keyword) for keyword in ("from", *ITEMS)]
    if place.wants is Role.VALUE and place.path:
        accepted -= {"TRUE", "FALSE", "NULL"}  # the values of its type are offered already
    if place.inside == "settings" or place.wants in (Role.FIELD, Role.TEMPLATE):
        accepted &= {"FILE"}
    if place.item == "struct" or (place.item == "rubric" and place.inside == "body" and not place.clause):
        accepted &= {"ACCEPT"}  # any word may be a field's name, so none is likelier
    found = []
    for terminal in sorted(accepted):
        keyword = terminal.lower()
        doc = glossary.KEYWORDS.get((place.item, keyword)) or glossary.KEYWORDS.get(("", keyword))
        if doc is not None and (terminal.isalpha()):
            is_item = keyword in ITEMS and place.inside == ""
            found.append(_item(keyword) if is_item else Completion(keyword, "keyword", "", doc))
    return found


_BODIES = {
    "from": "from ${1:schemas.text} import ${2:Passage}",
    "struct": "struct ${1:Name} {\n  ${2:text}: ${3:str}\n}",
    "generator": "generator ${1:writer}",
    "judge": "judge ${1:critic}",
    "list": 'list ${1:names} from "${2:lists/names.jsonl}"',
    "rubric": 'rubric ${1:name} {\n  ${2:clarity} "${3:The answer is easy to follow.}" in 1..5\n  accept ${2:clarity} >= 4\n}',
    "predicate": 'predicate ${1:name}(${2:Struct}) = "${3:module:function}"',
    "node": (
        "node ${1:name} {\n  takes ${2:Struct}\n  gives ${3:Struct}\n"
        '  ask ${4:writer} { prompt "$5"  into ${3:Struct}.${6:text} }\n}'
    ),
    "graph": 'graph ${1:name} {\n  from  ${2:Struct}\n  to    ${3:Struct}\n  nodes *\n  emit { user "$4"  assistant "$5" }\n}',
    "example": 'example ${1:node} {\n  given ${2:Struct} { ${3:text} = "$4" }\n  model ${5:writer} says "$6"\n  expect $7\n}',
}


def _item(keyword: str) -> Completion:
    doc = glossary.KEYWORDS["", keyword]
    return Completion(keyword, "keyword", "", doc, _BODIES[keyword], is_snippet=True)


# ---- prompts


def _in_template(
    workspace: Workspace, path: Path, item: Item | None, template: str, offset: int
) -> Iterator[Completion]:
    place = jinja.place(template, offset)
    if place is None:
        return
    loops = jinja.loops(template, offset)
    structs = workspace.structs(path)
    match place.wants:
        case "filter":
            for name in sorted(ALLOWED_FILTERS):
                yield Completion(name, "filter", "filter", glossary.FILTERS.get(name, ""), rank=0)
        case "test":
            for name in sorted(TESTS):
                yield Completion(name, "filter", "test", rank=0)
        case "statement":
            for name in jinja.STATEMENTS:
                yield Completion(name, "keyword", rank=0)
        case "field":
            yield from _template_fields(workspace, path, item, place.path, loops)
        case "name":
            here = _mentioned(item)
            for local in structs:
                yield Completion(local, "struct", rank=0 if local in here else 2)
            for name, source in (drawn(item) if item is not None else {}).items():
                yield Completion(name, "variable", f"drawn from {source}", rank=0)
            for name, over in loops.items():
                yield Completion(name, "variable", f"of {'.'.join(over)}", rank=0)
            if loops:
                yield Completion("loop", "variable", "where the loop is", rank=1)
        case _:
            return


def _template_fields(
    workspace: Workspace,
    path: Path,
    item: Item | None,
    parts: tuple[str, ...],
    loops: Mapping[str, tuple[str, ...]],
) -> Iterator[Completion]:
    structs = workspace.structs(path)
    if parts[0] == "loop" and loops:
        for name in sorted(LOOP_FIELDS):
            yield Completion(name, "field", rank=0)
        return
    if parts[0] in loops:
        type = _type_of(structs, loops[parts[0]])
        inner = type.item.struct if type is not None and type.item is not None else None
        yield from _fields_of(inner, parts[1:])
        return
    source = drawn(item).get(parts[0]) if item is not None else None
    if source is not None:
        entries = workspace.entities(path).get(source)
        for key in sorted(entries.keys or ()) if isinstance(entries, a.EntryList) else ():
            yield Completion(key, "field", f"of {source}", rank=0)
        return
    yield from _fields_of(structs.get(parts[0]), parts[1:])


def _mentioned(item: Item | None) -> set[str]:
    """The structs that an item names: what its prompts are likely to show."""
    return {w.text for w in item or () if w.role in (Role.STRUCT, Role.HEAD)}
