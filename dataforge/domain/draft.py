"""A node in the making: what its clauses have said so far, and what is written by which of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.expressions import Resolver
from dataforge.domain.settings import Surroundings
from dataforge.domain.structs import FieldType, StructType
from dataforge.domain.templates import Variable
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span, listing


class Needs:
    """What a precondition guarantees: which terms are surely there."""

    def __init__(self, options: list[dict[Any, Any]]) -> None:
        self.options = options

    def present(self, text: str) -> bool:
        """Whether the struct or field of that text is surely there."""
        if not self.options:
            return True  # a precondition that never holds is reported by itself
        return all(
            any(
                not values.absent and (".".join((*t.structs[:1], *t.path)) + ".").startswith(text + ".")
                for t, values in box.items()
                if t.opaque is None
            )
            for box in self.options
        )


@dataclass
class Draft:
    """A node in the making.

    Attributes:
        around, resolver: the file that it stands in.
        keeps, writes: fields of given structs that are kept, and all that are written, with where.
        whole: structs that are written as a whole.
        nullable: fields written so far whose new value may be null.
        unclear: whether a clause that writes is so wrong that it does not say what: then it may be the source of any field.
    """

    around: Surroundings
    resolver: Resolver
    takes: dict[str, StructType] = field(default_factory=dict)
    gives: dict[str, StructType] = field(default_factory=dict)
    many: tuple[int, int] | None = None
    pre: list[s.Condition] = field(default_factory=list)
    post: list[s.Condition] = field(default_factory=list)
    keeps: dict[a.FieldRef, Span] = field(default_factory=dict)
    writes: dict[a.FieldRef, Span] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    nullable: set[a.FieldRef] = field(default_factory=set)
    variables: dict[str, Variable] = field(default_factory=dict)
    steps: list[a.Step] = field(default_factory=list)
    rollouts: a.Rollouts | None = None
    constants: dict[a.FieldRef, Any] = field(default_factory=dict)
    unclear: bool = False
    needs: Needs = field(default_factory=lambda: Needs([{}]))

    def target(self, ref: s.Ref, clause: str) -> a.FieldRef | None:
        """A field of a given struct, directly below it."""
        term = self.resolver.ref(ref)
        if term is None:
            self.unclear = True
            return None
        if len(term.path) != 1:
            self.around.error(
                "F041",
                f"`{clause}` names a field of a struct, and `{ref}` is {'a whole struct' if not term.path else 'deeper'}",
                ref.span,
                f"write `{clause} Struct.field`"
                if not term.path
                else f"write the whole field `{'.'.join(ref.parts[:2])}`",
            )
            return None
        struct = term.structs[0]
        if struct not in self.gives:
            alike = [f"{g}.{term.path[0]}" for g, s_ in self.gives.items() if term.path[0] in s_.fields]
            instead = f"write {listing(alike, most=2, joiner='or')}" if alike else "name what it gives"
            self.around.error(
                "F041",
                f"the node does not give `{struct}`",
                ref.span,
                f"add `gives {struct}`, or {instead}",
            )
            return None
        return struct, term.path[0]

    def write(self, target: a.FieldRef, span: Span) -> None:
        if target in self.writes:
            self.around.error(
                "F042",
                f"`{'.'.join(target)}` is written twice in this node",
                span,
                "a field has one source; remove one",
            )
        self.writes[target] = span

    def write_whole(self, struct: str, span: Span) -> None:
        taken = [f for f in self.writes if f[0] == struct and f not in self.keeps]
        if struct in self.whole or taken:
            self.around.error(
                "F042",
                f"`{struct}` is written twice in this node",
                span,
                "a struct has one source; remove one",
            )
        self.whole.add(struct)

    def written_null(self, struct: str, name: str) -> bool:
        """Whether a field of a given struct may be null by what has written it so far, or by its default."""
        spec = self.gives[struct].fields[name]
        if (struct, name) in self.keeps:
            return not self.never_null(struct, (name,))
        if (struct, name) in self.writes:
            return (struct, name) in self.nullable
        return spec.type.optional and (struct in self.whole or spec.default is None)

    def has_default(self, struct: str, name: str) -> bool:
        return not self.gives[struct].fields[name].required

    def never_null(self, struct: str, path: tuple[str, ...]) -> bool:
        if self.needs.present(".".join((struct, *path))):
            return True
        type: FieldType | None = None
        holder: StructType | None = self.takes.get(struct) or self.gives.get(struct)
        holder = holder or self.around.scope.structs.get(struct)
        for depth, part in enumerate(path, 1):
            if holder is None or part not in holder.fields:
                return True  # inside a field of a type that the language does not see into
            type = holder.fields[part].type
            if type.optional and not self.needs.present(".".join((struct, *path[:depth]))):
                return False
            holder = type.struct
        return True
