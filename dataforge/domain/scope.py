"""What the names of one `.forge` file mean, and whether they are used."""

from __future__ import annotations

from dataclasses import dataclass, field

from dataforge.domain.actions import EntryList, Example, Graph, Model, Node, Rubric
from dataforge.domain.expressions import Predicate
from dataforge.domain.structs import StructType
from dataforge.lang.diagnostics import Report, Source, Span, did_you_mean

Entity = StructType | Model | EntryList | Rubric | Predicate | Node | Graph

KINDS: dict[type, str] = {
    StructType: "struct",
    Model: "model",
    EntryList: "list",
    Rubric: "rubric",
    Predicate: "predicate",
    Node: "node",
    Graph: "graph",
}


@dataclass
class FileScope:
    """The names of one file. A `broken` name was declared but is wrong: uses of it raise no further complaint."""

    source: Source
    report: Report
    entities: dict[str, Entity] = field(default_factory=dict)
    declared_at: dict[str, Span] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    structs: dict[str, StructType] = field(default_factory=dict)
    """Those of `entities` that are structs: what templates may name."""
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        self.structs.update({name: e for name, e in self.entities.items() if isinstance(e, StructType)})

    def add(self, name: str, entity: Entity, span: Span) -> None:
        """Declare a name; a second declaration is reported."""
        if name in self.declared_at:
            line, _ = self.source.line_column(self.declared_at[name].start)
            self.report.error(
                "F011",
                f"`{name}` is declared twice; it is first declared on line {line}",
                self.source,
                span,
                "rename one of them",
            )
            return
        self.entities[name] = entity
        if isinstance(entity, StructType):
            self.structs[name] = entity
        self.declared_at[name] = span
        self.broken.discard(name)

    def lost(self, name: str, span: Span) -> None:
        """Note a name whose declaration was wrong."""
        if name not in self.entities:
            self.broken.add(name)
            self.declared_at.setdefault(name, span)

    def struct(self, name: str) -> StructType | None:
        entity = self.entities.get(name)
        if isinstance(entity, StructType):
            self.used.add(name)
            return entity
        return None

    def predicate(self, name: str) -> Predicate | None:
        entity = self.entities.get(name)
        if isinstance(entity, Predicate):
            self.used.add(name)
            return entity
        return None

    def is_broken(self, name: str) -> bool:
        return name in self.broken

    def names_of(self, kind: str) -> list[str]:
        return sorted(n for n, e in self.entities.items() if KINDS[type(e)] == kind)

    def find(self, name: str, span: Span, *kinds: type) -> Entity | None:
        """The thing of that name, if it is of one of the kinds; reports where it is not."""
        entity = self.entities.get(name)
        if entity is not None and isinstance(entity, kinds):
            self.used.add(name)
            return entity
        if name in self.broken:
            self.used.add(name)
            return None
        wanted = " or ".join(KINDS[k] for k in kinds)
        if entity is not None:
            self.used.add(name)
            self.report.error(
                "F010",
                f"`{name}` is a {KINDS[type(entity)]}, and a {wanted} is wanted here",
                self.source,
                span,
                did_you_mean(name, self._known(kinds), otherwise=f"name a {wanted}"),
            )
            return None
        known = self._known(kinds)
        self.report.error(
            "F010",
            f"there is no {wanted} named `{name}` here",
            self.source,
            span,
            did_you_mean(
                name, known, otherwise=f"declare a {wanted} of that name, or import it" if not known else ""
            ),
        )
        return None

    def _known(self, kinds: tuple[type, ...]) -> list[str]:
        return [n for k in kinds for n in self.names_of(KINDS[k])]
