"""From a domain to one situation: a schema, a valid document, and the sentences from which the document follows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from dataforge.verifiers.structured.domains import DOMAINS, Domain
from dataforge.verifiers.structured.instances import obeying
from dataforge.verifiers.structured.rules import read_rule
from dataforge.verifiers.structured.slots import Slot, object_of, said
from dataforge.verifiers.structured.validation import Compiled, compile_schema


@dataclass(frozen=True, slots=True)
class Situation:
    """A situation.

    Attributes:
        domain: what it is about.
        schema: of the document.
        document: what the sentences say, and what follows from them by the rules.
        prose: the sentences.
    """

    domain: Domain
    schema: dict[str, Any]
    document: dict[str, Any]
    prose: str

    @property
    def compiled(self) -> Compiled:
        return compile_schema(self.schema)

    @property
    def root(self) -> str:
        return self.domain.name.replace(" ", "_")


def situation(rng: random.Random, domain: Domain | None = None) -> Situation:
    """Draw a situation."""
    domain = domain or rng.choice(DOMAINS)
    declared = _declared(domain, rng)
    document = {slot.name: slot.make(rng) for slot in declared if not slot.optional or rng.random() < 0.7}
    schema: dict[str, Any] = {"title": domain.name.capitalize(), **object_of(declared, document, rng)}
    names = {slot.name for slot in declared}
    rules = [rule for rule in domain.rules if {way[0] for way in read_rule(rule).fields} <= names]
    if rules:
        schema["x-rules"] = rules
    compiled = compile_schema(schema)
    document = obeying(compiled, document, rng)
    sentences = [said((slot,), document, rng) for slot in declared]
    if rng.random() < 0.5:
        rng.shuffle(sentences)
    prose = " ".join([rng.choice(domain.openings), *(sentence for inner in sentences for sentence in inner)])
    return Situation(domain, schema, document, prose)


def _declared(domain: Domain, rng: random.Random) -> tuple[Slot, ...]:
    """The fields of this schema: those that rules speak of, and most of the others."""
    ruled = {way[0] for rule in domain.rules for way in read_rule(rule).fields}
    kept = [slot for slot in domain.slots if slot.name in ruled or rng.random() < 0.75]
    if len(kept) < 3:
        kept = list(domain.slots[:4])
    return tuple(kept)
