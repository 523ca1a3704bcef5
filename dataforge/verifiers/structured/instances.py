"""Valid values of a schema, by construction: every keyword of the subset steers what is made, nothing is drawn and discarded
but where keywords of one text meet (a pattern and a length). Rules between fields are satisfied last: two fields are
put into order, sums and counts are worked out, what a condition asks for is added. The result is validated before it is
given out; a schema for which none can be made is an error (V071) and not a value that is nearly right.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.structured.patterns import sample
from dataforge.verifiers.structured.rules import Rule, check_of, exact, paths_of, read_rule, total_of
from dataforge.verifiers.structured.validation import Compiled, Node, types_of
from dataforge.verifiers.structured.values import MISSING, at, key_of, put

WORDS = (
    "amber", "basil", "cedar", "delta", "ember", "fjord", "gravel", "harbour", "indigo", "juniper", "kelp", "lagoon",
    "maple", "nectar", "opal", "pepper", "quartz", "river", "saffron", "timber", "umber", "violet", "willow", "yarrow",
)  # fmt: skip
SPICES = (
    "café au lait", "Zoë & Söhne", "東京", "naïve", "“quoted”", 'say "yes"', "it's", "a: b", "# no comment", "no", "true",
    "42", "1e3", "null", "~", "2024-05-01", "50 % off", r"C:\temp", r"\frac{1}{2}", "$x_1^2$", "<b>bold</b>", "a < b && c",
    "{braces}", "[list]", "- dash", "emoji 🙂", "שלום", "مرحبا", "line\nbreak", "tab\there", "`code`", "x = 1; y = 2",
    "раураl", "I'm 5' 11\"", "one, two", "key = value", "]]>", "&amp;", "0123", "0x1F", "<<", "---", "@home", "%d", "!tag",
    "|", ">", "?", "yes", "NO", "off", "1_000", "12:30", ".5", "-", "=", "'", '"', "\\", " lead", "trail ", "</output>",
    "```", "<think>", "a\u2028b", "é", "🏳️‍🌈", "\u00a0", "x\r\ny",
)  # fmt: skip
"""Texts that some reader, escape or quoting trips over."""

ATTEMPTS = 60


def impossible(message: str) -> InputError:
    """The error for a schema of which no valid value can be made here."""
    return InputError(
        message,
        code="V071",
        help="give the document yourself (`broken`, `original`), or use a pattern of characters and classes alone",
    )


def instance(compiled: Compiled, rng: random.Random, spice: float = 0.2) -> Any:
    """A valid value.

    Args:
        spice: the share of free texts that are hard to quote.

    Raises:
        InputError: V071 where none can be made.
    """
    maker = _Maker(compiled, rng, spice)
    for _ in range(ATTEMPTS):
        value = maker.make(compiled.root, 0)
        if not compiled.problems(value):
            return value
    raise impossible(f"no valid value was found for the schema: {compiled.problems(value)[0]}")


def value_of(compiled: Compiled, node: Node, rng: random.Random, spice: float = 0.0) -> Any:
    """A valid value of one node."""
    maker = _Maker(compiled, rng, spice)
    for _ in range(ATTEMPTS):
        value = maker.make(node, 1)
        if not compiled.problems_at(node, value):
            return value
    raise impossible("no valid value was found for a place of the schema")


def obeying(compiled: Compiled, value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A document whose fields are valid one by one, with the rules of its root satisfied too.

    Raises:
        InputError: V071 where it cannot be done.
    """
    maker = _Maker(compiled, rng, 0.0)
    for raw in compiled.root.get("x-rules", ()):
        value = maker.obey(read_rule(raw), compiled.root, value)
    if problems := compiled.problems(value):
        raise impossible(f"no valid document was found: {problems[0]}")
    return value


class _Maker:
    def __init__(self, compiled: Compiled, rng: random.Random, spice: float) -> None:
        self.compiled = compiled
        self.rng = rng
        self.spice = spice

    def make(self, node: Node, depth: int) -> Any:
        rng, node = self.rng, self.compiled.resolve(node)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            fitting = [value for value in node["enum"] if not self.compiled.problems_at(node, value)]
            if not fitting:
                raise impossible("an `enum` has no value that fits its own schema")
            return rng.choice(fitting)
        choices = self.compiled.alternatives(node)
        if len(choices) > 1:
            # Deep down, what ends a recursion is chosen.
            flat = [choice for choice in choices if set(types_of(choice)).isdisjoint(("object", "array"))]
            return self.make(rng.choice(flat if depth > 4 and flat else choices), depth)
        kinds = types_of(choices[0])
        kind = rng.choice(kinds) if "type" in choices[0] else rng.choice(("string", "integer", "boolean"))
        return _MAKERS[kind](self, choices[0], depth)

    def null(self, node: Node, depth: int) -> None:
        return None

    def boolean(self, node: Node, depth: int) -> bool:
        return self.rng.random() < 0.5

    def integer(self, node: Node, depth: int) -> int:
        number = self.number_in(node, Decimal(1))
        return int(number)

    def number(self, node: Node, depth: int) -> int | float:
        grain = Decimal(1).scaleb(-self.rng.choice((0, 1, 2, 2, 3)))
        number = self.number_in(node, grain)
        return int(number) if number == int(number) and self.rng.random() < 0.5 else float(number)

    def number_in(self, node: Node, grain: Decimal) -> Decimal:
        """A multiple of `multipleOf`, or else of the grain, between the bounds."""
        step = exact(node["multipleOf"]) if "multipleOf" in node else grain
        if grain == 1 and step != int(step):
            step = Decimal(step.as_integer_ratio()[0])  # the whole multiples of p/q are those of p
        low, high = (
            self.edge(node, "minimum", "exclusiveMinimum"),
            self.edge(node, "maximum", "exclusiveMaximum"),
        )
        if low is None and high is None:
            low = exact(self.rng.choice((0, 1, -50)))
        if low is None:
            assert high is not None
            low = high - 100 * step
        if high is None:
            high = low + max(Decimal(100), 100 * step)
        first, last = (
            (low / step).to_integral_value(ROUND_CEILING),
            (high / step).to_integral_value(ROUND_FLOOR),
        )
        if (
            first * step == low
            and node.get("exclusiveMinimum") is not None
            and low == exact(node["exclusiveMinimum"])
        ):
            first += 1
        if (
            last * step == high
            and node.get("exclusiveMaximum") is not None
            and high == exact(node["exclusiveMaximum"])
        ):
            last -= 1
        if first > last:
            if grain > Decimal("1e-9") and "multipleOf" not in node and grain != 1:
                return self.number_in(node, grain / 1000)
            if grain == 1 and "integer" not in types_of(node):
                return self.number_in(node, Decimal("0.001"))
            raise impossible("the bounds of a number leave nothing between them")
        # Edges are where comparisons go wrong, so they come more often than chance would have it.
        pick = self.rng.random()
        chosen = (
            first if pick < 0.1 else last if pick < 0.2 else Decimal(self.rng.randint(int(first), int(last)))
        )
        return chosen * step

    def edge(self, node: Node, at_least: str, above: str) -> Decimal | None:
        found = [exact(node[keyword]) for keyword in (at_least, above) if keyword in node]
        return (max(found) if at_least == "minimum" else min(found)) if found else None

    def string(self, node: Node, depth: int) -> str:
        low, high = node.get("minLength", 0), node.get("maxLength")
        if "pattern" in node:
            for _ in range(ATTEMPTS):
                text = sample(node["pattern"], self.rng, 6 if high is None else max(0, min(high, 40)))
                if text is None:
                    raise impossible(f"the pattern `{node['pattern']}` is not one that texts can be made for")
                if not self.compiled.problems_at(node, text):
                    return text
            raise impossible(f"no text was found that fits `{node['pattern']}` and the rest of its schema")
        if "format" in node:
            return FORMAT_MAKERS[node["format"]](self.rng)
        return self.text(low, high)

    def text(self, low: int, high: int | None) -> str:
        rng = self.rng
        if rng.random() < self.spice:
            text = rng.choice(SPICES)
            if rng.random() < 0.5:
                text = f"{rng.choice(WORDS)} {text}"
        else:
            text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 3)))
        while len(text) < low:
            text += f" {rng.choice(WORDS)}"
        if high is not None and len(text) > high:
            text = text[:high]
        return text

    def array(self, node: Node, depth: int) -> list[Any]:
        low = node.get("minItems", 0)
        high = node.get("maxItems", max(low, 1 if depth > 4 else 4))
        size = low if depth > 4 else self.rng.randint(low, max(low, min(high, low + 4)))
        items: list[Any] = []
        for _ in range(size * 10):
            if len(items) == size:
                break
            item = self.make(node.get("items", {"type": "string"}), depth + 1)
            if not node.get("uniqueItems") or all(key_of(item) != key_of(other) for other in items):
                items.append(item)
        return items

    def object(self, node: Node, depth: int) -> dict[str, Any]:
        required, found = set(node.get("required", ())), {}
        keep = 0.0 if depth > 4 else self.rng.choice((0.3, 0.7, 1.0))
        for name, inner in node.get("properties", {}).items():
            if name in required or self.rng.random() < keep:
                found[name] = self.make(inner, depth + 1)
        extra = node.get("additionalProperties", True)
        for name in node.get("required", ()):
            if name not in found:
                found[name] = self.make(extra if isinstance(extra, dict) else {"type": "string"}, depth + 1)
        if isinstance(extra, dict) and depth <= 4:
            for word in self.rng.sample(WORDS, self.rng.randint(0, 3)):
                if word not in found and word not in node.get("properties", {}):
                    found[word] = self.make(extra, depth + 1)
        for raw in node.get("x-rules", ()):
            found = self.obey(read_rule(raw), node, found)
        return found

    # ---- rules

    def obey(self, rule: Rule, node: Node, value: dict[str, Any]) -> dict[str, Any]:
        """The value with a rule satisfied, where that takes one change."""
        if check_of(rule)(value) is None:
            return value
        one, other = rule.fields
        if rule.kind in ("le", "lt", "ne"):
            if rule.kind != "ne":
                swapped = put(put(value, one, at(value, other)), other, at(value, one))
                if check_of(rule)(swapped) is None:
                    return dict(swapped)
            for _ in range(ATTEMPTS):
                value = put(value, other, self.make(self.compiled.node_at(node, value, other), 5))
                if check_of(rule)(value) is None:
                    break
            return value
        if rule.kind == "sum":
            total = total_of([at(value, path) for path in paths_of(one, value)])
            return dict(put(value, other, int(total) if total == int(total) else float(total)))
        if rule.kind == "count":
            return dict(put(value, other, len(at(value, one))))
        if at(value, one) is MISSING:
            return dict(put(value, one, self.make(self.compiled.node_at(node, value, one), 5)))
        return value


_MAKERS: dict[str, Callable[..., Any]] = {
    kind: getattr(_Maker, kind)
    for kind in ("null", "boolean", "integer", "number", "string", "array", "object")
}


def _moment(rng: random.Random) -> datetime:
    return datetime(2019, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(10 * 365 * 86_400))


def date_time(rng: random.Random) -> str:
    text = _moment(rng).replace(tzinfo=None).isoformat()
    return text + rng.choice(("Z", "Z", "+02:00", "-05:30"))


def email(rng: random.Random) -> str:
    name = f"{rng.choice(WORDS)}{rng.choice(('.', '_', '+', ''))}{rng.choice(WORDS)}"
    return f"{name}@{rng.choice(WORDS)}.{rng.choice(('org', 'com', 'net', 'co.uk', 'example'))}"


def uri(rng: random.Random) -> str:
    path = "/".join(rng.choice(WORDS) for _ in range(rng.randint(0, 3)))
    tail = rng.choice(("", "", f"?q={rng.choice(WORDS)}&n={rng.randint(1, 99)}", f"#{rng.choice(WORDS)}"))
    return f"{rng.choice(('https', 'https', 'http'))}://{rng.choice(WORDS)}.example/{path}{tail}"


FORMAT_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "date": lambda rng: _moment(rng).date().isoformat(),
    "date-time": date_time,
    "time": lambda rng: date_time(rng)[11:],
    "email": email,
    "uri": uri,
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128))),
    "ipv4": lambda rng: ".".join(str(rng.randint(0, 255)) for _ in range(4)),
}
