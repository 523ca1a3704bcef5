"""Struct types: what a `.forge` file knows of a pydantic model, whether imported or declared in the file.

Only what conditions and prompts can see is read off: each field's type, bounds, default and whether it may be null.
Types that the language has no word for (dicts, datetimes, unions of models) are `any`: they can be carried, tested
with `has` and rendered, and not compared.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import annotated_types as at
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dataforge.domain.values import PRESENT, Symbols, Values, interval, symbols

Base = Literal["str", "int", "float", "bool", "enum", "list", "struct", "any"]


class DeclaredStruct(BaseModel):
    """Base of the models that `struct` declarations become: no field that was not declared."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class FieldType:
    """The type of a field.

    Attributes:
        base: what sort of value it is.
        optional: whether it may be null.
        values: for `enum`, the values it may take; for numbers, its bounds; else everything present.
        item: for `list`, the type of an entry.
        struct: for `struct`, the nested model.
        lengths: how long a text or list may be, as the type says it.
    """

    base: Base
    optional: bool = False
    values: Values = PRESENT
    item: FieldType | None = None
    struct: StructType | None = None
    lengths: Values = interval(0, integer=True)

    def __str__(self) -> str:
        if self.base == "enum":
            text = " | ".join(f'"{v}"' for v in self.values.listed(8) or ("…",))
        elif self.base == "list":
            text = f"list[{self.item}]"
        elif self.base == "struct" and self.struct is not None:
            text = self.struct.name
        else:
            text = self.base
        return f"{text}?" if self.optional else text


@dataclass(frozen=True)
class StructField:
    """One field: its type, whether it must be given, and its default where that is a plain constant."""

    name: str
    type: FieldType
    required: bool
    default: Any = None
    constant_default: bool = False


@dataclass(frozen=True, eq=False)
class StructType:
    """A struct: its canonical name (one instance a row, under this name), model and fields."""

    name: str
    model: type[BaseModel]
    origin: str

    @functools.cached_property
    def fields(self) -> Mapping[str, StructField]:
        return {name: _field(name, info) for name, info in self.model.model_fields.items()}

    @functools.cached_property
    def json_schema(self) -> dict[str, Any]:
        return self.model.model_json_schema()


def _field(name: str, info: FieldInfo) -> StructField:
    required = info.is_required()
    constant = (
        not required
        and info.default_factory is None
        and isinstance(info.default, str | int | float | bool | None)
    )
    default = info.default if constant and info.default is not PydanticUndefined else None
    return StructField(name, field_type(info.annotation, tuple(info.metadata)), required, default, constant)


def field_type(annotation: Any, metadata: tuple[Any, ...] = ()) -> FieldType:
    """Read a type annotation and its pydantic or annotated-types metadata."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *inner = typing.get_args(annotation)
        return field_type(annotation, (*inner, *metadata))
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        rest = [a for a in args if a is not type(None)]
        optional = len(rest) < len(args)
        if len(rest) == 1:
            inner_type = field_type(rest[0], metadata)
        elif all(typing.get_origin(a) is Literal for a in rest):
            inner_type = _enum([v for a in rest for v in typing.get_args(a)])
        else:
            inner_type = FieldType("any")
        return _with_optional(inner_type, optional or inner_type.optional)
    if origin is Literal:
        return _with_optional(_enum([v for v in args if v is not None]), None in args)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum([m.value for m in annotation])
    if annotation is bool:
        return FieldType("bool", values=symbols([True, False]))
    if annotation is int or annotation is float:
        return FieldType("int" if annotation is int else "float", values=_bounds(metadata, annotation is int))
    if annotation is str:
        return FieldType("str", lengths=_lengths(metadata))
    if origin is list or (origin is tuple and args[1:] == (...,)):
        return FieldType(
            "list", item=field_type(args[0]) if args else FieldType("any"), lengths=_lengths(metadata)
        )
    if annotation is list:
        return FieldType("list", item=FieldType("any"), lengths=_lengths(metadata))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return FieldType("struct", struct=StructType(annotation.__name__, annotation, annotation.__module__))
    if annotation is type(None):
        return FieldType("any", optional=True)
    return FieldType("any", optional=annotation is Any)


def _with_optional(inner: FieldType, optional: bool) -> FieldType:
    if inner.optional == optional:
        return inner
    return FieldType(inner.base, optional, inner.values, inner.item, inner.struct, inner.lengths)


def _enum(values: list[Any]) -> FieldType:
    if all(isinstance(v, bool) for v in values):
        return FieldType("bool", values=symbols(values))
    if all(isinstance(v, str) for v in values):
        return FieldType("enum", values=Symbols(frozenset(values)))
    return FieldType("any")


def _each(metadata: tuple[Any, ...]) -> typing.Iterator[Any]:
    for item in metadata:
        if isinstance(item, at.GroupedMetadata):
            yield from item
        elif isinstance(item, FieldInfo):
            yield from item.metadata
        else:
            yield item


def _bounds(metadata: tuple[Any, ...], integer: bool) -> Values:
    result = interval(integer=integer)
    for item in _each(metadata):
        match item:
            case at.Ge(ge=bound) if isinstance(bound, int | float):
                result = result & interval(bound, integer=integer)
            case at.Gt(gt=bound) if isinstance(bound, int | float):
                result = result & interval(bound, open_low=True, integer=integer)
            case at.Le(le=bound) if isinstance(bound, int | float):
                result = result & interval(high=bound, integer=integer)
            case at.Lt(lt=bound) if isinstance(bound, int | float):
                result = result & interval(high=bound, open_high=True, integer=integer)
            case _:
                pass
    return result


def _lengths(metadata: tuple[Any, ...]) -> Values:
    result = interval(0, integer=True)
    for item in _each(metadata):
        match item:
            case at.MinLen(min_length=bound):
                result = result & interval(bound, integer=True)
            case at.MaxLen(max_length=bound):
                result = result & interval(high=bound, integer=True)
            case _:
                pass
    return result


def declare(
    name: str, doc: str | None, fields: Mapping[str, tuple[Any, Any, str | None]], origin: str
) -> StructType:
    """Make the pydantic model of a `struct` declaration.

    Args:
        name: name of the struct.
        doc: its docstring.
        fields: name → (annotation, default or Ellipsis where the field must be given, description).
        origin: the file that declares it.
    """
    definitions: dict[str, Any] = {
        field: (annotation, Field(default=default, description=description))
        for field, (annotation, default, description) in fields.items()
    }
    model = create_model(name, __base__=DeclaredStruct, __doc__=doc, __module__=origin, **definitions)
    return StructType(name, model, origin)


def first_problem(error: ValidationError, *within: str) -> str:
    """The first thing that pydantic found, with its place: `Note.score: Input should be …`."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join((*within, *map(str, first['loc'])))}: {first['msg']}"


def fields_of(instance: BaseModel) -> dict[str, Any]:
    """The fields of an instance by name, values as they are."""
    return {name: getattr(instance, name) for name in type(instance).model_fields}


def assignable(source: FieldType, target: FieldType) -> bool:
    """Whether a value of one type may stand where the other is wanted."""
    if source.optional and not target.optional:
        return False
    if target.base == "float" and source.base == "int":
        return True
    if target.base == "str" and source.base == "enum":
        return True
    if source.base == target.base == "enum":
        return bool(source.values <= target.values)  # type: ignore[operator]
    return source.base == target.base and source.base != "any"
