"""What the word at a place means: one symbol, wherever in the project it is written.

A symbol is a name of a file (a struct, model, list, rubric, predicate, node or graph), a field of a struct, a criterion
of a rubric, or a variable that a node draws. Names are followed through imports by the outlines of the files, so this
works while they are broken; the types of fields are those that the last analysis knew.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from dataforge.domain.structs import FieldType, StructType
from dataforge.project import find_root
from dataforge.server import jinja
from dataforge.server.forms import Role
from dataforge.server.outline import Item, Outline
from dataforge.server.roles import Word
from dataforge.server.workspace import Workspace

SymbolKind = Literal["name", "python", "field", "criterion", "variable"]


@dataclass(frozen=True)
class Symbol:
    """Something that has a name.

    Attributes:
        kind: `name` for what a `.forge` file declares, `python` for an imported pydantic model.
        name: the name where it is declared.
        home: the file that declares it, the dotted module, the struct's name for a field, the rubric's for a criterion.
        owner: for a variable, the node that draws it; for a criterion, its file.
    """

    kind: SymbolKind
    name: str
    home: str
    owner: str = ""


class Use(NamedTuple):
    """One place where a symbol is written. `text` is what stands there: an alias, perhaps."""

    path: Path
    start: int
    end: int
    text: str
    declares: bool = False


_NAMES = frozenset(
    [
        Role.DECLARED,
        Role.IMPORTED,
        Role.STRUCT,
        Role.MODEL,
        Role.LIST,
        Role.RUBRIC,
        Role.MEMBER,
        Role.SUBJECT,
        Role.HEAD,
        Role.TYPE,
        Role.FUNCTION,
    ]
)


class Names:
    """Looks words up, in one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    # ---- one word

    def named(self, path: Path, name: str, chain: tuple[Path, ...] = ()) -> Symbol | None:
        """What a name of a file is, followed through imports."""
        outline = self.workspace.outline(path)
        if outline is None or path in chain:
            return None
        if name in outline.declared:
            return Symbol("name", name, str(path))
        imported = outline.imported.get(name)
        if imported is None:
            return None
        if not imported.is_file:
            return Symbol("python", imported.name, imported.origin)
        origin = (path.parent / imported.origin).resolve()
        return self.named(origin, imported.name, (*chain, path)) or Symbol("name", imported.name, str(origin))

    def field(self, path: Path, parts: tuple[str, ...]) -> Symbol | None:
        """The field that a dotted name of a file leads to."""
        return self._field_of(self.workspace.structs(path).get(parts[0]), path, parts)

    def _field_of(self, struct: StructType | None, path: Path, parts: tuple[str, ...]) -> Symbol | None:
        if struct is None:
            found = self.named(path, parts[0])
            named = found is not None and len(parts) == 2
            return Symbol("field", parts[1], found.name) if named and found is not None else None
        for part in parts[1:-1]:
            inner = struct.fields.get(part)
            if inner is None or inner.type.struct is None:
                return None
            struct = inner.type.struct
        return Symbol("field", parts[-1], struct.name) if len(parts) > 1 else None

    def of_word(self, path: Path, item: Item, word: Word) -> Symbol | None:
        """What a word of an item is; None for keywords and constants."""
        if word.role is Role.VARIABLE:
            return Symbol("variable", word.text, str(path), item.name)
        if word.role is Role.CRITERION:
            return Symbol("criterion", word.text, item.name, str(path))
        if word.role is Role.FIELD:
            if item.keyword == "rubric":
                return None
            return self.field(path, word.path) if word.path else None
        if word.role is Role.DECLARED and word.path:  # an alias: `import x as word`
            return self.named(path, word.text)
        if word.role is Role.IMPORTED:
            return self._imported(path, word)
        if word.role in _NAMES:
            return self.named(path, word.text)
        return None

    def _imported(self, path: Path, word: Word) -> Symbol | None:
        outline = self.workspace.outline(path)
        for imported in outline.imported.values() if outline is not None else ():
            if imported.span == (word.start, word.end):
                if not imported.is_file:
                    return Symbol("python", imported.name, imported.origin)
                origin = (path.parent / imported.origin).resolve()
                return self.named(origin, imported.name) or Symbol("name", imported.name, str(origin))
        return None

    # ---- words in prompts

    def of_jinja(self, path: Path, item: Item | None, template: str, word: jinja.JinjaWord) -> Symbol | None:
        """What a word of a template is, seen from the item that shows it."""
        if word.kind not in ("name", "part"):
            return None
        parts = word.path
        bound = jinja.loops(template, word.start)
        if parts[0] in bound:
            if len(parts) == 1:
                return None
            inner = self._type_at(path, bound[parts[0]])
            struct = inner.item.struct if inner is not None and inner.item is not None else None
            return self._field_of(struct, path, parts) if struct is not None else None
        if item is not None and parts[0] in drawn(item):
            return Symbol("variable", parts[0], str(path), item.name) if len(parts) == 1 else None
        return self.named(path, parts[0]) if len(parts) == 1 else self.field(path, parts)

    def _type_at(self, path: Path, parts: tuple[str, ...]) -> FieldType | None:
        struct = self.workspace.structs(path).get(parts[0])
        type: FieldType | None = None
        for part in parts[1:]:
            spec = struct.fields.get(part) if struct is not None else None
            if spec is None:
                return None
            type, struct = spec.type, spec.type.struct
        return type

    # ---- a place

    def at(self, path: Path, offset: int) -> tuple[Symbol, Use] | None:
        """The symbol at an offset of a `.forge` file or a prompt file, and the word that names it."""
        if path.suffix != ".forge":
            return self._at_in_prompt(path, offset)
        outline = self.workspace.outline(path)
        found = outline.word_at(offset) if outline is not None else None
        if found is None:
            return None
        item, word = found
        if word.role is Role.TEMPLATE:
            inner = _jinja_at(word.text, offset - word.start)
            symbol = self.of_jinja(path, item, word.text, inner) if inner is not None else None
            if symbol is None or inner is None:
                return None
            return symbol, Use(path, word.start + inner.start, word.start + inner.end, inner.path[-1])
        symbol = self.of_word(path, item, word)
        return None if symbol is None else (symbol, Use(path, word.start, word.end, word.text, word.declares))

    def _at_in_prompt(self, path: Path, offset: int) -> tuple[Symbol, Use] | None:
        text = self.workspace.text(path)
        inner = _jinja_at(text.text, offset) if text is not None else None
        if text is None or inner is None:
            return None
        for forge, name in self.workspace.users_of(path):
            outline = self.workspace.outline(forge)
            item = outline.declared.get(name) if outline is not None else None
            symbol = self.of_jinja(forge, item, text.text, inner)
            if symbol is not None:
                return symbol, Use(path, inner.start, inner.end, inner.path[-1])
        return None

    # ---- everywhere

    def uses(self, symbol: Symbol, near: Path) -> Iterator[Use]:
        """Every place of the project where a symbol is written, its declaration too."""
        seen: set[tuple[Path, int]] = set()
        for path in self.workspace.forge_files(near):
            outline = self.workspace.outline(path)
            if outline is None:
                continue
            for use in self._uses_in(symbol, path, outline):
                if (use.path, use.start) not in seen:
                    seen.add((use.path, use.start))
                    yield use

    def _uses_in(self, symbol: Symbol, path: Path, outline: Outline) -> Iterator[Use]:
        locals_ = {symbol.name, *(i.local for i in outline.imported.values() if i.name == symbol.name)}
        for item in outline.items:
            for word in item:
                if word.role is Role.TEMPLATE:
                    yield from self._uses_in_template(symbol, locals_, path, item, path, word)
                elif word.role is Role.PATH and _is_prompt(item, word):
                    file = (path.parent / word.text.strip('"')).resolve()
                    text = self.workspace.text(file)
                    if text is not None:
                        whole = Word(Role.TEMPLATE, 0, len(text.text), text.text)
                        yield from self._uses_in_template(symbol, locals_, path, item, file, whole)
                elif word.text in locals_ and self.of_word(path, item, word) == symbol:
                    yield Use(path, word.start, word.end, word.text, word.declares)

    def _uses_in_template(
        self, symbol: Symbol, locals_: set[str], path: Path, item: Item, file: Path, template: Word
    ) -> Iterator[Use]:
        for word in jinja.words(template.text):
            if word.path[-1] in locals_ and self.of_jinja(path, item, template.text, word) == symbol:
                start = template.start + word.start
                yield Use(file, start, start + len(word.path[-1]), word.path[-1])

    # ---- where it is declared

    def declaration(self, symbol: Symbol, near: Path) -> Use | None:
        """Where a symbol is declared: in a `.forge` file, or in a Python module."""
        if symbol.kind == "python":
            return _python_use(module_file(symbol.home, near), self.workspace, symbol.name)
        if symbol.kind == "field":
            return self._field_declaration(symbol, near)
        if symbol.kind == "name":
            path = Path(symbol.home)
            outline = self.workspace.outline(path)
            item = outline.declared.get(symbol.name) if outline is not None else None
            return Use(path, *item.name_span, symbol.name, True) if item is not None else None
        path = Path(symbol.home if symbol.kind == "variable" else symbol.owner)
        outline = self.workspace.outline(path)
        for item in outline.items if outline is not None else ():
            for word in item:
                if word.declares and word.text == symbol.name and self.of_word(path, item, word) == symbol:
                    return Use(path, word.start, word.end, word.text, True)
        return None

    def _field_declaration(self, symbol: Symbol, near: Path) -> Use | None:
        for path in self.workspace.forge_files(near):
            outline = self.workspace.outline(path)
            item = outline.declared.get(symbol.home) if outline is not None else None
            if item is not None and item.keyword == "struct":
                for word in item:
                    if word.declares and word.path == (symbol.home, symbol.name):
                        return Use(path, word.start, word.end, word.text, True)
        origin = self.origin_of(symbol.home, near)
        return None if origin is None else _python_use(origin, self.workspace, symbol.home, symbol.name)

    def origin_of(self, struct: str, near: Path) -> Path | None:
        """The Python file that declares a struct, where one does."""
        for path in self.workspace.forge_files(near):
            outline = self.workspace.outline(path)
            for imported in outline.imported.values() if outline is not None else ():
                if not imported.is_file and imported.name == struct:
                    return module_file(imported.origin, path)
        for analysis in self.workspace.analyses.values():
            known = analysis.structs.get(struct)
            if known is not None:
                return module_file(known.origin, near)
        return None


def drawn(item: Item) -> Mapping[str, str]:
    """The variables that a node draws, with the list of each."""
    found: dict[str, str] = {}
    variable = ""
    for word in item:
        if word.role is Role.VARIABLE:
            variable = word.text
            found.setdefault(variable, "")
        elif word.role is Role.LIST and variable:
            found[variable] = word.text
    return found


def module_file(module: str, near: Path) -> Path | None:
    """The file of a dotted Python module of the project, or of those that are shipped; found without running it."""
    root = find_root(near)
    stem = root.joinpath(*module.split("."))
    for path in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    if module.partition(".")[0] != "schemas":
        return None
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def classes_of(file: Path | None, workspace: Workspace) -> dict[str, ast.ClassDef]:
    """The classes of a Python file, read off its text; none where it does not parse."""
    text = workspace.text(file) if file is not None else None
    try:
        body = ast.parse(text.text).body if text is not None else []
    except (SyntaxError, ValueError, RecursionError):
        body = []
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def _python_use(file: Path | None, workspace: Workspace, name: str, field: str = "") -> Use | None:
    """Where a class, or an attribute of it, begins in a Python file."""
    text = workspace.text(file) if file is not None else None
    if file is None or text is None:
        return None
    classes = classes_of(file, workspace)
    if not classes:
        return Use(file, 0, 0, name)
    seen: set[str] = set()
    while name in classes and name not in seen:
        seen.add(name)
        found = classes[name]
        if not field:
            at = text.text.find(name, text.offset((found.lineno - 1, 0)))
            return Use(file, at, at + len(name), name, True)
        for statement in found.body:
            target = statement.target if isinstance(statement, ast.AnnAssign) else None
            if isinstance(target, ast.Name) and target.id == field:
                at = text.text.find(field, text.offset((statement.lineno - 1, 0)))
                return Use(file, at, at + len(field), field, True)
        bases = [base.id for base in found.bases if isinstance(base, ast.Name)]
        name = bases[0] if bases else ""  # an inherited field
    return None


def _jinja_at(template: str, offset: int) -> jinja.JinjaWord | None:
    found = None
    for word in jinja.words(template):
        if word.start <= offset <= word.end and (found is None or word.start == offset):
            found = word
    return found


def _is_prompt(item: Item, word: Word) -> bool:
    """Whether a path in quotes is a prompt's: it comes after `file`, in a node or a graph."""
    return item.keyword in ("node", "graph") and not word.text.endswith(('.jsonl"', '.csv"', '.parquet"'))
