"""A schema compiled to a validator: nested functions, one a node, made once a schema and kept.

Types are strict, as JSON has them: `true` is no number, `"1"` is no integer, and neither is `1.0` (draft 2020-12 would
let it through; an integer is written without a fraction here, as pydantic's strict mode and typed languages have it).
Every problem is found, with its path. Where a union fits nowhere, the problems are those of the alternative that was
plainly meant, so that an error deep inside a nullable object is told where it is.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from dataforge.verifiers.structured.formats import FORMATS
from dataforge.verifiers.structured.rules import check_of, exact, read_rule
from dataforge.verifiers.structured.subset import check_subset, refused, target
from dataforge.verifiers.structured.values import Path, at, key_of, kind_of, place

Node = Mapping[str, Any]

XML_NAME = re.compile(r"(?![xX][mM][lL])[^\W\d][\w.-]*")
"""Names that an element may have."""


class Problem(NamedTuple):
    """Something wrong with a value.

    Attributes:
        path: where; for a field that is missing or too much, where it is or would be.
        keyword: of the schema: `type`, `required`, …; `additionalProperties` for a field too much; a rule's own kind.
        message: for people, without the value.
        node: the schema of the place.
        paths: the fields between which a rule is broken.
    """

    path: Path
    keyword: str
    message: str
    node: Node
    paths: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{place(self.path)} {self.message}"


Check = Callable[[Any, Path, list[Problem]], None]


class Compiled:
    """A schema and its validator."""

    def __init__(self, schema: Node) -> None:
        self.schema = schema
        self._made: dict[str, Check] = {}
        self.root = self.resolve(schema)
        self._check = self._compile(self.root)

    def problems(self, value: Any) -> list[Problem]:
        """Everything that is wrong with a value; nothing where it is valid."""
        found: list[Problem] = []
        self._check(value, (), found)
        return found

    def problems_at(self, node: Node, value: Any) -> list[Problem]:
        """The same for one node of the schema."""
        found: list[Problem] = []
        self._compile(self.resolve(node))(value, (), found)
        return found

    def resolve(self, node: Node) -> Node:
        """The node itself, or what it refers to."""
        seen = 0
        while "$ref" in node:
            node = target(node["$ref"], self.schema)
            if (seen := seen + 1) > 100:
                raise refused("a `$ref` refers to itself")
        return node

    def alternatives(self, node: Node) -> list[Node]:
        """The alternatives of a union, unions within it taken apart; the node itself where it is none."""
        node = self.resolve(node)
        inner = node.get("anyOf") or node.get("oneOf")
        if inner is None:
            return [node]
        return [found for choice in inner for found in self.alternatives(choice)]

    def allows(self, node: Node, kind: str) -> bool:
        """Whether a value of a JSON type may stand there at all."""
        return any(kind in types_of(choice) for choice in self.alternatives(node))

    @functools.cached_property
    def unnameable(self) -> str | None:
        """A field whose name no XML element can have, or None."""
        todo: list[Any] = [self.schema]
        while todo:
            item = todo.pop()
            if isinstance(item, Mapping):
                for name, inner in item.items():
                    if name == "properties" and isinstance(inner, Mapping):
                        for field in inner:
                            if not XML_NAME.fullmatch(field):
                                return str(field)
                    if name not in ("enum", "const", "default", "examples"):
                        todo.append(inner)
            elif isinstance(item, list):
                todo.extend(item)
        return None

    # ---- nodes to functions

    def _compile(self, node: Node) -> Check:
        if "$ref" in node:
            return self._reference(node["$ref"])
        checks: list[Check] = []
        accepted = types_of(node)
        if "type" in node:
            checks.append(_type(node, accepted))
        if "enum" in node or "const" in node:
            checks.append(_values(node))
        if any(keyword in node for keyword in _OF_NUMBERS):
            checks.append(_numbers(node))
        if any(keyword in node for keyword in ("minLength", "maxLength", "pattern", "format")):
            checks.append(_strings(node))
        if any(keyword in node for keyword in ("items", "minItems", "maxItems", "uniqueItems")):
            checks.append(self._arrays(node))
        if any(keyword in node for keyword in ("properties", "required", "additionalProperties", "x-rules")):
            checks.append(self._objects(node))
        checks += [self._union(node, keyword) for keyword in ("anyOf", "oneOf") if keyword in node]
        if len(checks) == 1:
            return checks[0]

        def every(value: Any, path: Path, out: list[Problem]) -> None:
            before = len(out)
            for check in checks:
                check(value, path, out)
                if len(out) > before and out[before].keyword == "type" and out[before].path == path:
                    return  # what is of the wrong type has no size to be wrong

        return every

    def _reference(self, reference: str) -> Check:
        def follow(value: Any, path: Path, out: list[Problem]) -> None:
            check = self._made.get(reference)
            if check is None:
                check = self._made[reference] = self._compile(self.resolve(target(reference, self.schema)))
            check(value, path, out)

        return follow

    def _arrays(self, node: Node) -> Check:
        item = self._compile(node["items"]) if node.get("items") else None
        low, high, unique = node.get("minItems", 0), node.get("maxItems", math.inf), node.get("uniqueItems")

        def check(value: Any, path: Path, out: list[Problem]) -> None:
            if type(value) is not list:
                return
            if len(value) < low:
                out.append(Problem(path, "minItems", f"has fewer than {low} items", node))
            if len(value) > high:
                out.append(Problem(path, "maxItems", f"has more than {high} items", node))
            if unique and len({key_of(inner) for inner in value}) < len(value):
                out.append(Problem(path, "uniqueItems", "has an item twice", node))
            if item is not None:
                for index, inner in enumerate(value):
                    item(inner, (*path, index), out)

        return check

    def _objects(self, node: Node) -> Check:
        checks = {name: self._compile(inner) for name, inner in node.get("properties", {}).items()}
        required = tuple(dict.fromkeys(node.get("required", ())))
        extra = node.get("additionalProperties", True)
        rest = self._compile(extra) if isinstance(extra, Mapping) else None
        rules = [check_of(read_rule(raw)) for raw in node.get("x-rules", ())]

        def check(value: Any, path: Path, out: list[Problem]) -> None:
            if type(value) is not dict:
                return
            if lacking := [name for name in required if name not in value]:
                out.extend(Problem((*path, name), "required", "is missing", node) for name in lacking)
            for name, inner in value.items():
                found = checks.get(name, rest)
                if found is not None:
                    found(inner, (*path, name), out)
                elif name not in checks and extra is False:
                    out.append(
                        Problem((*path, name), "additionalProperties", "is not a field of the schema", node)
                    )
            for rule in rules:
                if (breach := rule(value)) is not None:
                    paths = tuple(path + way for way in breach.paths)
                    if breach.rule.kind == "required_if":
                        owner = self.node_at(node, value, breach.paths[0][:-1])
                        out.append(Problem(paths[0], "required", breach.message.split(" ", 1)[1], owner))
                    else:
                        out.append(
                            Problem(
                                path, breach.rule.kind, f"contradicts itself: {breach.message}", node, paths
                            )
                        )

        return check

    def _union(self, node: Node, keyword: str) -> Check:
        choices = [self._compile(choice) for choice in node[keyword]]
        marks = [
            {
                name
                for name, inner in self.resolve(choice).get("properties", {}).items()
                if "const" in (found := self.resolve(inner)) or len(found.get("enum", ())) == 1
            }
            for choice in node[keyword]
        ]
        single = keyword == "oneOf"

        def check(value: Any, path: Path, out: list[Problem]) -> None:
            fitting = 0
            ranked: list[tuple[int, int, list[Problem]]] = []
            for choice, mark in zip(choices, marks, strict=True):
                found: list[Problem] = []
                choice(value, path, found)
                if not found:
                    if not single:
                        return
                    fitting += 1
                elif not (
                    found[0].path == path and found[0].keyword in ("type", "const", "enum", "anyOf", "oneOf")
                ):
                    depth = len(path)
                    other = any(
                        problem.keyword in ("const", "enum", "type") and problem.path[depth] in mark
                        for problem in found
                        if len(problem.path) == depth + 1
                    )
                    ranked.append((other, len(found), found))
            if fitting == 1:
                return
            if fitting > 1:
                out.append(Problem(path, "oneOf", "fits more than one of the alternatives", node))
                return
            ranked.sort(key=lambda entry: entry[:2])
            if ranked and (len(ranked) == 1 or ranked[0][:2] < ranked[1][:2]):
                out.extend(ranked[0][2])
            else:
                out.append(Problem(path, keyword, "fits none of the alternatives", node))

        return check

    # ---- the schema along a path

    def chosen(self, node: Node, value: Any) -> Node:
        """The alternative of a union that a value is of: the first it is valid for, or of the type of."""
        choices = self.alternatives(node)
        if len(choices) == 1:
            return choices[0]
        for choice in choices:
            if not self.problems_at(choice, value):
                return choice
        kind = kind_of(value)
        return next((choice for choice in choices if kind in types_of(choice)), choices[0])

    def child(self, node: Node, step: str | int) -> Node:
        """The schema of a field or an item of what a node describes; `{}` where it says nothing."""
        inner: Any
        if isinstance(step, int):
            inner = node.get("items", {})
        else:
            inner = node.get("properties", {}).get(step)
            if inner is None:
                inner = node.get("additionalProperties", {})
        return self.resolve(inner) if isinstance(inner, Mapping) else {}

    def node_at(self, node: Node, value: Any, path: Path) -> Node:
        """The schema of a place in a value; unions are followed along the value."""
        node = self.resolve(node)
        for index, step in enumerate(path):
            node = self.child(self.chosen(node, at(value, path[:index])), step)
        return node


def types_of(node: Node) -> tuple[str, ...]:
    """The JSON types that a node that is no union lets through."""
    stated = node.get("type")
    if stated is None:
        values: Iterable[Any] = [node["const"]] if "const" in node else node.get("enum", ())
        kinds = tuple(dict.fromkeys(kind_of(value) for value in values))
        return kinds or ("string", "integer", "number", "boolean", "null", "array", "object")
    return tuple(stated) if isinstance(stated, list) else (stated,)


def compile_schema(schema: Node) -> Compiled:
    """The validator of a schema; made once.

    Raises:
        InputError: V070 where the schema is not of the subset.
    """
    try:
        return _compiled(orjson.dumps(schema))
    except (orjson.JSONEncodeError, UnicodeEncodeError) as failure:
        raise refused(f"the schema is not JSON: {failure}") from failure


@functools.lru_cache(maxsize=1024)
def _compiled(text: bytes) -> Compiled:
    schema = orjson.loads(text)
    try:
        check_subset(schema)
        return Compiled(schema)
    except RecursionError as failure:
        raise refused("the schema is nested too deeply") from failure


def ecma(pattern: str) -> re.Pattern[str]:
    """A pattern as JSON Schema means it: `$` is the end and not also the place before a last newline, `\\d` is ASCII."""
    out, inside, index = [], False, 0
    while index < len(pattern):
        sign = pattern[index]
        if sign == "\\":
            out.append(pattern[index : index + 2])
            index += 2
            continue
        inside = (inside or sign == "[") and not (inside and sign == "]")
        out.append(r"\Z" if sign == "$" and not inside else sign)
        index += 1
    return re.compile("".join(out), re.ASCII)


_OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def _type(node: Node, accepted: tuple[str, ...]) -> Check:
    kinds = frozenset(kind for name in accepted for kind in _TYPES[name])
    message = f"is not of the type {' or '.join(accepted)}"

    def check(value: Any, path: Path, out: list[Problem]) -> None:
        if type(value) not in kinds or (type(value) is float and not math.isfinite(value)):
            out.append(Problem(path, "type", message, node))

    return check


def _values(node: Node) -> Check:
    keyword = "const" if "const" in node else "enum"
    stated = [node["const"]] if keyword == "const" else node["enum"]
    strict = "number" not in types_of(node) if "type" in node else True
    allowed = frozenset(map(key_of, stated))
    integers = frozenset(key_of(value) for value in stated if type(value) is int)
    message = (
        "is not the value that the schema states" if keyword == "const" else "is none of the allowed values"
    )

    def check(value: Any, path: Path, out: list[Problem]) -> None:
        key = key_of(value)
        if key not in allowed or (strict and type(value) is float and key in integers):
            out.append(Problem(path, keyword, message, node))

    return check


def _numbers(node: Node) -> Check:
    low, high = node.get("minimum", -math.inf), node.get("maximum", math.inf)
    above, below = node.get("exclusiveMinimum", -math.inf), node.get("exclusiveMaximum", math.inf)
    step = exact(node["multipleOf"]) if "multipleOf" in node else None

    def check(value: Any, path: Path, out: list[Problem]) -> None:
        if type(value) is not int and type(value) is not float:
            return
        if value < low:
            out.append(Problem(path, "minimum", f"is below {low}", node))
        if value > high:
            out.append(Problem(path, "maximum", f"is above {high}", node))
        if value <= above and "exclusiveMinimum" in node:
            out.append(Problem(path, "exclusiveMinimum", f"is not above {above}", node))
        if value >= below and "exclusiveMaximum" in node:
            out.append(Problem(path, "exclusiveMaximum", f"is not below {below}", node))
        if step is not None and not _divides(step, value):
            out.append(Problem(path, "multipleOf", f"is not a multiple of {step}", node))

    return check


def _divides(step: Any, value: int | float) -> bool:
    number = exact(value)
    if not number.is_finite():
        return False
    whole = number / step
    if abs(whole) >= 10**27:  # beyond decimal's precision: ask whole numbers, which have none
        (top, bottom), (over, under) = number.as_integer_ratio(), step.as_integer_ratio()
        return bool((top * under) % (bottom * over) == 0)
    return bool(number % step == 0)


def _strings(node: Node) -> Check:
    low, high = node.get("minLength", 0), node.get("maxLength", math.inf)
    pattern = ecma(node["pattern"]).search if "pattern" in node else None
    has_format = FORMATS[node["format"]] if "format" in node else None

    def check(value: Any, path: Path, out: list[Problem]) -> None:
        if type(value) is not str:
            return
        if len(value) < low:
            out.append(Problem(path, "minLength", f"has fewer than {low} characters", node))
        if len(value) > high:
            out.append(Problem(path, "maxLength", f"has more than {high} characters", node))
        if pattern is not None and pattern(value) is None:
            out.append(Problem(path, "pattern", "does not match its pattern", node))
        if has_format is not None and not has_format(value):
            out.append(Problem(path, "format", f"is no {node['format']}", node))

    return check
