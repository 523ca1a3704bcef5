"""Schema ⇄ pydantic: a model class from a schema by `create_model`, and a schema of the subset from a model class.

No source is executed, and nothing of the schema becomes code: names are dictionary keys, constraints are `Field`
arguments, patterns and formats are the same functions that the compiled validator calls, and `x-rules` are the same
checks. So `model_of(schema)` accepts what the validator accepts, which the tests hold it to, and `schema_of(model)` gives
a schema that accepts the same again.

Field names that Python has not (`unit price`) are aliases of generated ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ForwardRef, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
    model_validator,
)

from dataforge.verifiers.structured.rules import check_of, read_rule
from dataforge.verifiers.structured.subset import refused
from dataforge.verifiers.structured.validation import Compiled, Node, compile_schema, types_of

_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
}
_CHECKED = ("pattern", "format", "multipleOf", "uniqueItems")
"""Keywords whose check is ours: pydantic's patterns are Rust's, its `multiple_of` is binary, and it has no unique lists."""

_ABSENT: Any = object()


def model_of(schema: Node, name: str = "") -> type[BaseModel]:
    """The pydantic model of a schema.

    Args:
        name: of the class; the schema's title where it is empty.

    Raises:
        InputError: V070 where the schema is not of the subset.
    """
    compiled = compile_schema(schema)
    models = _Models(compiled)
    models.open.append("#")
    made = models.classes["#"] = models.model(
        compiled.root, name or str(compiled.root.get("title") or "Document")
    )
    words = {models.word(label): found for label, found in models.classes.items()}
    for found in models.made:
        found.model_rebuild(_types_namespace=words)
    return made


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a pydantic model, in the subset.

    Raises:
        InputError: V070 where the model uses what the subset has not.
    """
    schema = model.model_json_schema(by_alias=True)
    compile_schema(schema)
    return schema


class _Models:
    """The models of one schema; definitions become classes once, so that a schema may refer to itself."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.classes: dict[str, type[BaseModel]] = {}
        self.made: list[type[BaseModel]] = []
        self.open: list[str] = []

    def model(self, node: Node, name: str) -> type[BaseModel]:
        """The class of an object node with fields."""
        fields: dict[str, Any] = {}
        required = set(node.get("required", ()))
        for index, (key, inner) in enumerate(node.get("properties", {}).items()):
            kind = self.kind(inner, f"{name}{index}")
            note: dict[str, Any] = {"alias": key}
            for keyword in ("title", "description"):
                if keyword in inner:
                    note[keyword] = inner[keyword]
            fields[f"field_{index}"] = (
                (kind, Field(**note))
                if key in required
                else (kind, Field(default_factory=lambda: _ABSENT, validate_default=False, **note))
            )
        extra = node.get("additionalProperties", True)
        more: dict[str, Any] = {}
        if isinstance(extra, Mapping):
            more["__pydantic_extra__"] = (dict[str, self.kind(extra, f"{name}X")], ...)  # type: ignore[misc]
        loose = [key for key in node.get("required", ()) if key not in node.get("properties", {})]
        validators: dict[str, Any] = {}
        if loose or node.get("x-rules"):
            validators["rules"] = model_validator(mode="wrap")(_rules_of(node, loose))
        extra_schema: dict[str, Any] = {"x-rules": node["x-rules"]} if node.get("x-rules") else {}

        def tidy(found: dict[str, Any]) -> None:
            found.update(extra_schema)
            if loose:
                found["required"] = [*found.get("required", ()), *loose]

        made: type[BaseModel] = create_model(
            name,
            __config__=ConfigDict(
                strict=True,
                extra="forbid" if extra is False else "allow",
                json_schema_extra=tidy,
                protected_namespaces=(),
                allow_inf_nan=False,
                regex_engine="python-re",
            ),
            __validators__=validators,
            **fields,
        )
        self.made.append(made)
        return made

    def kind(self, node: Node, name: str) -> Any:
        """The annotation of a node."""
        if "$ref" in node:
            return self.reference(node)
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                choices = [self.kind(choice, f"{name}{index}") for index, choice in enumerate(node[keyword])]
                union: Any = Union[tuple(choices)]  # noqa: UP007 - of a list that is only known now
                if set(node) & {"type", "enum", "const", "properties", "items"} or keyword == "oneOf":
                    return Annotated[Any, self.ours(node), WithJsonSchema(dict(node))]
                return union
        if "enum" in node or "const" in node:
            return self.values(node)
        kinds = types_of(node)
        if "type" not in node:
            return Annotated[Any, self.ours(node), WithJsonSchema(dict(node))]
        alternatives = [self.of_type(node, kind, f"{name}{kind}") for kind in kinds]
        return alternatives[0] if len(alternatives) == 1 else Union[tuple(alternatives)]  # noqa: UP007

    def reference(self, node: Node) -> Any:
        label, found = str(node["$ref"]), self.compiled.resolve(node)
        if "object" not in types_of(found) or "properties" not in found:
            if label in self.open:
                raise refused(
                    f"`{label}` refers to itself without an object between, which no pydantic type does"
                )
            self.open.append(label)
            kind = self.kind(found, label.rpartition("/")[2])
            self.open.remove(label)
            return kind
        if label in self.classes:
            return self.classes[label]
        if label in self.open:
            return ForwardRef(self.word(label))
        self.open.append(label)
        self.classes[label] = self.model(found, str(found.get("title") or self.word(label)))
        self.open.remove(label)
        return self.classes[label]

    def word(self, label: str) -> str:
        """The name that a forward reference to a definition has."""
        return f"Ref{[*self.compiled.schema.get('$defs', {})].index(label[8:])}" if label != "#" else "Root"

    def values(self, node: Node) -> Any:
        stated = [node["const"]] if "const" in node else list(node["enum"])
        if all(isinstance(value, str) for value in stated) and set(node) <= {
            "type",
            "enum",
            "const",
            "title",
            "description",
        }:
            return Literal[tuple(dict.fromkeys(stated))]
        return Annotated[Any, self.ours(node), WithJsonSchema(dict(node))]

    def of_type(self, node: Node, kind: str, name: str) -> Any:
        if kind == "object":
            if "properties" in node or "required" in node or "x-rules" in node:
                return self.model(node, str(node.get("title") or name))
            return self.mapping(node, name)
        bounds = {_BOUNDS[key]: node[key] for key in _BOUNDS if key in node and _applies(key, kind)}
        if kind == "array":
            base: Any = list[self.kind(node["items"], f"{name}I")] if node.get("items") else list[Any]  # type: ignore[misc]
        else:
            base = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}[kind]
        checked = {key: node[key] for key in _CHECKED if key in node and _applies(key, kind)}
        notes: list[Any] = []
        if bounds or checked:
            notes.append(Field(**bounds, json_schema_extra=checked or None))
        if checked:
            notes.append(AfterValidator(self.checker({"type": kind, **checked})))
        return Annotated[(base, *notes)] if notes else base

    def mapping(self, node: Node, name: str) -> Any:
        extra = node.get("additionalProperties", True)
        if extra is False:
            return self.model(node, name)
        inner = self.kind(extra, f"{name}X") if isinstance(extra, Mapping) else Any
        return dict[str, inner]  # type: ignore[valid-type]

    def ours(self, node: Node) -> AfterValidator:
        """The compiled validator as the check of a place that pydantic has no type for."""
        return AfterValidator(self.checker(node))

    def checker(self, node: Node) -> Callable[[Any], Any]:
        def check(value: Any) -> Any:
            if problems := self.compiled.problems_at(node, value):
                raise ValueError(str(problems[0]))
            return value

        return check


def _applies(keyword: str, kind: str) -> bool:
    of = {"minLength": "string", "maxLength": "string", "pattern": "string", "format": "string"}
    of |= {"minItems": "array", "maxItems": "array", "uniqueItems": "array"}
    return kind == of[keyword] if keyword in of else kind in ("integer", "number")


def _rules_of(node: Node, loose: list[str]) -> Any:
    checks = [check_of(read_rule(raw)) for raw in node.get("x-rules", ())]

    def rules(cls: Any, value: Any, handler: Any) -> Any:
        made = handler(value)
        if isinstance(value, dict):
            for name in loose:
                if name not in value:
                    raise ValueError(f"`{name}` is missing")
            for check in checks:
                if (breach := check(value)) is not None:
                    raise ValueError(breach.message)
        return made

    return rules
