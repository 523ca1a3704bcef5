"""What a tool takes: the parts of its JSON Schema that reading and comparing calls need.

A schema here is the `parameters` of a tool in the form of OpenAI's API. Read are `type`, `properties`, `required`,
`default`, `enum`, `const`, `items`, `prefixItems`, `additionalProperties`, `anyOf`, `oneOf`, `allOf` and `$ref` to the
same schema's `$defs`. Limits such as `minimum` are for the tool itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataforge.verifiers.calling.strict_json import NotJson, value_of

Schema = Mapping[str, Any]

NOTHING_SAID: Schema = {}
"""The schema of a place that no schema speaks of."""

_REFERENCES = 16
"""How many references in a row are followed: enough for any schema, and an end for those that go in circles."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tool's name and the schema of its arguments; `root` is what `$ref` looks into."""

    name: str
    root: Schema


def signatures(tools: Sequence[Mapping[str, Any]]) -> dict[str, Signature]:
    """The tools by name.

    Raises:
        ValueError: something is no tool in the form of OpenAI's API, or two have one name.
    """
    found: dict[str, Signature] = {}
    for tool in tools:
        function = tool.get("function", tool)
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            raise ValueError("a tool has no name")
        parameters = function.get("parameters") or {}
        if not isinstance(parameters, Mapping):
            raise ValueError(f"the parameters of `{name}` are no JSON Schema")
        if name in found:
            raise ValueError(f"two tools are called `{name}`")
        found[name] = Signature(name, parameters)
    return found


def branches(schema: Schema, root: Schema, depth: int = 0) -> Iterator[Schema]:
    """A schema with its references followed, and the schemas that it is put together of."""
    if depth > _REFERENCES or not isinstance(schema, Mapping):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: Any = root
        for step in reference.removeprefix("#/").split("/"):
            target = target.get(step) if isinstance(target, Mapping) else None
        if isinstance(target, Mapping):
            yield from branches(target, root, depth + 1)
    yield schema
    for joined in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(joined) or ():
            yield from branches(branch, root, depth + 1)


def kinds(schema: Schema, root: Schema) -> tuple[str, ...]:
    """The JSON types that a schema names, each once, in its order; empty where it names none."""
    found: dict[str, None] = {}
    for branch in branches(schema, root):
        named = branch.get("type")
        if isinstance(named, str):
            found[named] = None
        elif isinstance(named, list):
            found.update(dict.fromkeys(kind for kind in named if isinstance(kind, str)))
        elif named is None:
            values = branch.get("enum") or ([branch["const"]] if "const" in branch else [])
            found.update(dict.fromkeys(kind_of(value) for value in values))
    return tuple(found)


def property_of(schema: Schema, key: str, root: Schema) -> Schema | None:
    """The schema of an object's property; None where the schema does not name it."""
    for branch in branches(schema, root):
        properties = branch.get("properties")
        if isinstance(properties, Mapping) and isinstance(properties.get(key), Mapping):
            found: Schema = properties[key]
            return found
    return None


def open_ended(schema: Schema, root: Schema) -> Schema | None:
    """The schema of properties that are not named; None where there may be none.

    Without `additionalProperties` an object that names properties takes no others: a tool does not know what to do with
    them, whatever JSON Schema's own default is.
    """
    named = False
    for branch in branches(schema, root):
        more = branch.get("additionalProperties")
        if isinstance(more, Mapping):
            return more
        if more is True:
            return NOTHING_SAID
        named = named or bool(branch.get("properties"))
    return None if named else NOTHING_SAID


def item_of(schema: Schema, index: int, root: Schema) -> Schema:
    """The schema of a list's item."""
    for branch in branches(schema, root):
        first = branch.get("prefixItems")
        if isinstance(first, list) and index < len(first) and isinstance(first[index], Mapping):
            found: Schema = first[index]
            return found
        rest = branch.get("items")
        if isinstance(rest, Mapping):
            return rest
    return NOTHING_SAID


def required(schema: Schema, root: Schema) -> tuple[str, ...]:
    """The properties that an object must have. Those of `anyOf` and `oneOf` hang on the branch and are not counted."""
    found: dict[str, None] = {}
    for branch in branches({k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}, root):
        found.update(dict.fromkeys(branch.get("required") or ()))
    return tuple(found)


def kind_of(value: Any) -> str:
    """The JSON type of a value; whole numbers are `integer`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


def typed(text: str, schema: Schema, root: Schema) -> Any:
    """The value of a parameter that is written without quotes: what the tool's schema makes of it.

    A string where the schema takes nothing else, or where the text is no value of another type that it takes. Booleans
    and null may be written as Python does, since templates of these models do so.
    """
    named = kinds(schema, root)
    bare = text.strip(" \t\r\n")
    if "null" in named and bare in ("null", "None"):
        return None
    if "boolean" in named and bare in ("true", "True", "false", "False"):
        return bare in ("true", "True")
    if not named or set(named) - {"string", "null", "boolean"}:
        try:
            value = value_of(text)
        except NotJson:
            return text
        whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, str | bool) or value is None:
            return value if not named else text
        if not named:
            return value
        if (
            (whole and ("integer" in named or "number" in named))
            or (isinstance(value, float) and ("number" in named or "integer" in named))
            or (isinstance(value, list) and "array" in named)
            or (isinstance(value, dict) and "object" in named)
        ):
            return value
    return text


def misfit(value: Any, schema: Schema, root: Schema, path: str = "") -> str:
    """Why a value is none that a schema takes; empty where it is one."""
    place = f"`{path}`" if path else "the call"
    named = kinds(schema, root)
    kind = kind_of(value)
    if named and kind not in named and not (kind == "integer" and "number" in named):
        return f"{place} is of the type {kind}, not {' or '.join(named)}"
    if "enum" in schema and not any(type(one) is type(value) and one == value for one in schema["enum"]):
        return f"{place} is none of the values that are allowed"
    if isinstance(value, Mapping):
        for key in required(schema, root):
            if key not in value:
                return f"{place} lacks `{key}`"
        for key, part in value.items():
            inner = property_of(schema, key, root)
            inner = inner if inner is not None else open_ended(schema, root)
            if inner is None:
                return f"{place} has no argument `{key}`"
            if why := misfit(part, inner, root, f"{path}.{key}" if path else key):
                return why
    elif isinstance(value, list):
        for index, part in enumerate(value):
            if why := misfit(part, item_of(schema, index, root), root, f"{path}[{index}]"):
                return why
    return ""
