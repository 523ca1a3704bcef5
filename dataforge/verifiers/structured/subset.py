"""The subset of JSON Schema (draft 2020-12) that is read here, and the refusal of what lies outside it.

    any value     type (a name or a list of names), enum, const, anyOf, oneOf, $ref to `#/$defs/NAME` or `#`
    numbers       minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf
    strings       minLength, maxLength, pattern, format (date, date-time, time, email, uri, uuid, ipv4)
    arrays        items, minItems, maxItems, uniqueItems
    objects       properties, required, additionalProperties (true, false or a schema), x-rules (see `rules`)
    notes         title, description, default, examples, deprecated, discriminator, $comment, $schema, $id: not checked

The root is an object, as TOML and XML need. A keyword that is not listed is an error (V070) and not passed over: a
schema that is half obeyed passes wrong answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.structured.formats import FORMATS
from dataforge.verifiers.structured.rules import NoRule, read_rule
from dataforge.verifiers.structured.values import Path, place

TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")
NOTES = {
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "discriminator",
    "$comment",
    "$schema",
    "$id",
}
NUMERIC = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
SIZES = ("minLength", "maxLength", "minItems", "maxItems")
_REF = re.compile(r"#(?:/\$defs/([^/~]+))?")


def refused(message: str) -> InputError:
    """The error for a schema that is not of the subset."""
    return InputError(
        message,
        code="V070",
        help="docs/verifiers.md lists the keywords of JSON Schema that `schema` and `schema_edit` read",
    )


def check_subset(schema: Any) -> None:
    """Look a schema over.

    Raises:
        InputError: V070, with the place in the schema and what is wrong there.
    """
    if not isinstance(schema, Mapping):
        raise refused("a schema is an object")
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, Mapping):
        raise refused("`$defs` is an object of schemas")
    for name, node in definitions.items():
        _node(node, ("$defs", name), definitions)
    _node({key: value for key, value in schema.items() if key != "$defs"}, (), definitions)
    root, seen = schema, 0
    while "$ref" in root:
        root = target(root["$ref"], schema)
        seen += 1
        if seen > len(definitions) + 1:
            raise refused("the root of the schema refers to itself")
    if root.get("type") != "object":
        raise refused("the root of the schema is not of the type `object`")


def target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a `$ref` names."""
    found = _REF.fullmatch(reference)
    assert found is not None
    if found[1] is None:
        return root
    inner: Mapping[str, Any] = root["$defs"][found[1]]
    return inner


def _node(node: Any, where: Path, definitions: Mapping[str, Any]) -> None:
    if not isinstance(node, Mapping):
        raise refused(f"schema at {place(where)}: a schema is an object")
    for keyword, value in node.items():
        if keyword in NOTES:
            continue
        check = _KEYWORDS.get(keyword)
        if check is None:
            raise refused(f"schema at {place(where)}: the keyword `{keyword}` is not of the subset")
        if (wrong := check(value)) is not None:
            raise refused(f"schema at {place(where)}: `{keyword}` {wrong}")
    if "$ref" in node:
        if others := sorted(set(node) - NOTES - {"$ref"}):
            raise refused(f"schema at {place(where)}: `{others[0]}` stands beside `$ref`")
        found = _REF.fullmatch(node["$ref"])
        if found is not None and found[1] is not None and found[1] not in definitions:
            raise refused(f"schema at {place(where)}: there is no definition `{found[1]}`")
    _consistent(node, where)
    for keyword in ("anyOf", "oneOf"):
        for index, inner in enumerate(node.get(keyword, ())):
            _node(inner, (*where, keyword, index), definitions)
    for name, inner in node.get("properties", {}).items():
        _node(inner, (*where, "properties", name), definitions)
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), Mapping):
            _node(node[keyword], (*where, keyword), definitions)


def _consistent(node: Mapping[str, Any], where: Path) -> None:
    for low, high in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        if low in node and high in node and node[low] > node[high]:
            raise refused(f"schema at {place(where)}: `{low}` is above `{high}`")
    if node.get("additionalProperties") is False and (
        lost := [name for name in node.get("required", ()) if name not in node.get("properties", {})]
    ):
        raise refused(f"schema at {place(where)}: `{lost[0]}` is required and not allowed")


def _a_type(value: Any) -> str | None:
    names = value if isinstance(value, list) else [value]
    ok = (
        names
        and all(isinstance(name, str) and name in TYPES for name in names)
        and len(set(names)) == len(names)
    )
    return None if ok else f"is a name, or a list of names, of {', '.join(TYPES)}"


def _a_number(value: Any) -> str | None:
    return None if isinstance(value, int | float) and not isinstance(value, bool) else "is a number"


def _a_step(value: Any) -> str | None:
    return None if _a_number(value) is None and value > 0 else "is a number above 0"


def _a_size(value: Any) -> str | None:
    return (
        None if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "is a whole number"
    )


def _a_list(value: Any) -> str | None:
    return None if isinstance(value, list) and value else "is a list that is not empty"


def _names(value: Any) -> str | None:
    ok = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return None if ok else "is a list of names"


def _a_flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "is true or false"


def _an_object(value: Any) -> str | None:
    ok = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    return None if ok else "is an object"


def _a_schema(value: Any) -> str | None:
    return None if isinstance(value, Mapping) else "is a schema"


def _a_pattern(value: Any) -> str | None:
    if not isinstance(value, str):
        return "is a text"
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as problem:
        return f"is not a regular expression: {problem}"
    return None


def _rules(value: Any) -> str | None:
    if not isinstance(value, list):
        return "is a list of rules"
    try:
        for rule in value:
            read_rule(rule)
    except NoRule as problem:
        return f"has something that is no rule: {problem}"
    return None


_KEYWORDS: Any = {
    "type": _a_type,
    "enum": _a_list,
    "const": lambda value: None,
    "anyOf": _a_list,
    "oneOf": _a_list,
    "$ref": lambda value: (
        None if isinstance(value, str) and _REF.fullmatch(value) else "is `#` or `#/$defs/NAME`"
    ),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _a_number),
    "multipleOf": _a_step,
    **dict.fromkeys(SIZES, _a_size),
    "pattern": _a_pattern,
    "format": lambda value: (
        None if isinstance(value, str) and value in FORMATS else f"is one of {', '.join(FORMATS)}"
    ),
    "items": _a_schema,
    "uniqueItems": _a_flag,
    "properties": _an_object,
    "required": _names,
    "additionalProperties": lambda value: (
        None if isinstance(value, bool | Mapping) else "is true, false or a schema"
    ),
    "x-rules": _rules,
}
