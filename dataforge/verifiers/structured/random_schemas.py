"""Schemas drawn at random over the whole subset, each with valid instances by construction.

They have no meaning, and are for cases and tests: what reads naturally is in `domains`.
"""

from __future__ import annotations

import random
from typing import Any

from dataforge.verifiers.structured.instances import WORDS

PATTERNS = (
    "^[A-Z]{3}-[0-9]{4}$", "^[a-z][a-z0-9_]{2,15}$", "^SKU[0-9]{6}$", r"^\d{2}:\d{2}$", "^[A-Z]{2}$", "^v[0-9]+[.][0-9]+$",
    "^#[0-9a-f]{6}$", r"^\+[1-9][0-9]{6,11}$", "^[0-9]{5}$", "[0-9]",
)  # fmt: skip


def random_schema(rng: random.Random, fields: int | None = None) -> dict[str, Any]:
    """A schema whose root is an object of 2 to 7 fields."""
    return _Schemas(rng).object(0, fields or rng.randint(2, 7))


class _Schemas:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.definitions: dict[str, Any] = {}

    def object(self, depth: int, size: int) -> dict[str, Any]:
        rng = self.rng
        names = rng.sample(WORDS, size)
        node: dict[str, Any] = {
            "type": "object",
            "properties": {name: self.node(depth + 1) for name in names},
            "required": [name for name in names if rng.random() < 0.7] or names[:1],
        }
        if rng.random() < 0.75:
            node["additionalProperties"] = False
        rules = self.rules(node)
        if rules:
            node["x-rules"] = rules
        if depth == 0 and self.definitions:
            node["$defs"] = self.definitions
        return node

    def node(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        scalar = (
            self.string,
            self.string,
            self.string,
            self.integer,
            self.number,
            self.boolean,
            self.values,
            self.union,
        )
        if depth < 3 and rng.random() < 0.35:
            return rng.choice((self.array, self.nested, self.array, self.mapping, self.reference))(depth)
        return rng.choice(scalar)(depth)

    def nested(self, depth: int) -> dict[str, Any]:
        return self.object(depth, self.rng.randint(1, 4))

    def mapping(self, depth: int) -> dict[str, Any]:
        return {
            "type": "object",
            "additionalProperties": self.rng.choice((self.integer, self.boolean))(depth),
        }

    def reference(self, depth: int) -> dict[str, Any]:
        name = f"Part{len(self.definitions)}"
        self.definitions[name] = {}
        self.definitions[name] = self.object(depth, self.rng.randint(1, 3))
        return {"$ref": f"#/$defs/{name}"}

    def string(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        pick = rng.random()
        if pick < 0.3:
            return {
                "type": "string",
                "format": rng.choice(("date", "date-time", "time", "email", "uri", "uuid", "ipv4")),
            }
        if pick < 0.5:
            return {"type": "string", "pattern": rng.choice(PATTERNS)}
        node: dict[str, Any] = {"type": "string"}
        if rng.random() < 0.5:
            node["minLength"] = rng.randint(1, 8)
        if rng.random() < 0.5:
            node["maxLength"] = rng.randint(10, 40)
        return node

    def integer(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        node: dict[str, Any] = {"type": "integer"}
        low = rng.randint(-20, 50)
        if rng.random() < 0.7:
            node[rng.choice(("minimum", "exclusiveMinimum"))] = low
        if rng.random() < 0.7:
            node[rng.choice(("maximum", "exclusiveMaximum"))] = low + rng.randint(12, 500)
        if rng.random() < 0.2:
            node["multipleOf"] = rng.choice((2, 3, 5))
        return node

    def number(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        node: dict[str, Any] = {"type": "number"}
        low = round(rng.uniform(-20, 50), 1)
        if rng.random() < 0.7:
            node[rng.choice(("minimum", "exclusiveMinimum"))] = low
        if rng.random() < 0.7:
            node[rng.choice(("maximum", "exclusiveMaximum"))] = round(low + rng.uniform(5, 500), 1)
        if rng.random() < 0.2:
            node["multipleOf"] = rng.choice((0.01, 0.1, 0.5))
        return node

    def boolean(self, depth: int) -> dict[str, Any]:
        return {"type": "boolean"}

    def values(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        if rng.random() < 0.2:
            return {"const": rng.choice(("fixed", 7, True))}
        if rng.random() < 0.2:
            return {"type": "integer", "enum": rng.sample(range(1, 30), rng.randint(2, 5))}
        return {"type": "string", "enum": rng.sample(WORDS, rng.randint(2, 5))}

    def union(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        pick = rng.random()
        if pick < 0.4:
            return {"anyOf": [rng.choice((self.string, self.integer, self.number))(depth), {"type": "null"}]}
        if pick < 0.6:
            return {"type": [rng.choice(("string", "integer", "boolean")), "null"]}
        if pick < 0.8 or depth >= 3:
            return {"anyOf": [self.integer(depth), {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}]}
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {
                        "kind": {"const": kind},
                        **{name: self.node(3) for name in rng.sample(WORDS, 2)},
                    },
                    "required": ["kind"],
                    "additionalProperties": False,
                }
                for kind in ("plain", "full")
            ]
        }

    def array(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        inner = self.nested(depth + 1) if depth < 2 and rng.random() < 0.4 else self.node(3)
        node: dict[str, Any] = {"type": "array", "items": inner}
        if rng.random() < 0.5:
            node["minItems"] = rng.randint(1, 2)
        if rng.random() < 0.5:
            node["maxItems"] = rng.randint(3, 6)
        if inner.get("type") == "string" and "enum" not in inner and rng.random() < 0.5:
            node["uniqueItems"] = True
        return node

    def rules(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        """Rules over the fields that there are, and sometimes over fields that are made for them."""
        rng = self.rng
        fields = node["properties"]
        pick = rng.random()
        if pick < 0.1:
            fields["start"] = fields["end"] = {"type": "string", "format": rng.choice(("date", "date-time"))}
            node["required"] += ["start", "end"]
            return [{rng.choice(("le", "lt")): ["start", "end"]}]
        if pick < 0.2:
            fields["low"] = {"type": "number", "minimum": 0}
            fields["high"] = {"type": "number", "minimum": 0}
            return [{"le": ["low", "high"]}]
        if pick < 0.3:
            fields["parts"] = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
            fields["total"] = {"type": "integer"}
            node["required"] += ["parts", "total"]
            return [{"sum": {"of": "parts/*", "is": "total"}}]
        if pick < 0.38:
            fields["entries"] = {"type": "array", "items": {"type": "string"}}
            fields["entry_count"] = {"type": "integer"}
            node["required"] += ["entries", "entry_count"]
            return [{"count": {"of": "entries", "is": "entry_count"}}]
        if pick < 0.46:
            fields["contact"] = {"type": "string", "enum": ["mail", "none"]}
            fields["address"] = {"type": "string", "format": "email"}
            node["required"] += ["contact"]
            return [{"required_if": {"field": "address", "when": "contact", "equals": "mail"}}]
        if pick < 0.54:
            fields["origin"] = fields["target"] = {"type": "string", "minLength": 2}
            node["required"] += ["origin", "target"]
            return [{"ne": ["origin", "target"]}]
        return []
