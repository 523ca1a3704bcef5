"""What the language knows of pydantic models."""

from __future__ import annotations

import enum
import warnings
from datetime import date
from typing import Annotated, Any, Literal, Optional

import annotated_types as at
import pytest
from pydantic import BaseModel, Field, StringConstraints, conint, constr

from dataforge.domain.structs import FieldType, StructType, declare
from dataforge.domain.values import PRESENT, interval, symbols


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Inner(BaseModel):
    name: str
    age: int | None = None


class Tree(BaseModel):
    children: list[Tree] = []


class Many(BaseModel):
    plain: str
    short: Annotated[str, Field(min_length=2, max_length=5)]
    constrained: constr(min_length=1)  # type: ignore[valid-type]
    stripped: Annotated[str, StringConstraints(max_length=9, strip_whitespace=True)]
    whole: int
    bounded: Annotated[int, Field(ge=1, lt=10)]
    con: conint(gt=2, le=4)  # type: ignore[valid-type]
    real: float = Field(gt=0, le=1)
    both: Annotated[float, at.Interval(ge=0, lt=2)]
    maybe: int | None
    older: Optional[int] = Field(default=None, ge=0)  # noqa: UP045
    word: Literal["a", "b"]
    maybe_word: Literal["a", "b", None]
    two_literals: Literal["a"] | Literal["b"] | None
    numbers: Literal[1, 2]
    yes: Literal[True]
    flag: bool
    colour: Colour
    level: Level
    tags: list[str]
    few: Annotated[list[int], at.Len(1, 3)]
    bare: list  # type: ignore[type-arg]
    inner: Inner
    inners: list[Inner] | None
    either: int | str
    anything: Any
    when: date
    table: dict[str, int]
    default: str = "x"
    factory: list[str] = Field(default_factory=list)


FIELDS = StructType("Many", Many, "test").fields


@pytest.mark.parametrize(
    ("name", "base", "optional", "shown"),
    [
        ("plain", "str", False, "str"),
        ("whole", "int", False, "int"),
        ("maybe", "int", True, "int?"),
        ("older", "int", True, "int?"),
        ("word", "enum", False, '"a" | "b"'),
        ("maybe_word", "enum", True, '"a" | "b"?'),
        ("two_literals", "enum", True, '"a" | "b"?'),
        ("numbers", "any", False, "any"),
        ("yes", "bool", False, "bool"),
        ("flag", "bool", False, "bool"),
        ("colour", "enum", False, '"blue" | "red"'),
        ("level", "any", False, "any"),
        ("tags", "list", False, "list[str]"),
        ("bare", "list", False, "list[any?]"),
        ("inner", "struct", False, "Inner"),
        ("inners", "list", True, "list[Inner]?"),
        ("either", "any", False, "any"),
        ("anything", "any", True, "any?"),
        ("when", "any", False, "any"),
        ("table", "any", False, "any"),
    ],
)
def test_type(name: str, base: str, optional: bool, shown: str) -> None:
    found = FIELDS[name].type
    assert (found.base, found.optional) == (base, optional)
    assert name == "bare" or str(found) == shown


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("plain", PRESENT),
        ("bounded", interval(1, 9, integer=True)),
        ("con", interval(3, 4, integer=True)),
        ("real", interval(0, 1, open_low=True)),
        ("both", interval(0, 2, open_high=True)),
        ("older", interval(0, integer=True)),
        ("word", symbols(["a", "b"])),
        ("maybe_word", symbols(["a", "b"])),
        ("yes", symbols([True])),
        ("flag", symbols([True, False])),
        ("colour", symbols(["red", "blue"])),
    ],
)
def test_values_and_bounds(name: str, values: Any) -> None:
    assert FIELDS[name].type.values == values


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("plain", 0, None), ("short", 2, 5), ("constrained", 1, None), ("stripped", 0, 9), ("few", 1, 3)],
)
def test_lengths(name: str, low: int, high: int | None) -> None:
    wanted = interval(low, integer=True) if high is None else interval(low, high, integer=True)
    assert FIELDS[name].type.lengths == wanted


def test_defaults() -> None:
    assert FIELDS["plain"].required
    assert FIELDS["maybe"].required, "what may be null must still be said"
    assert (FIELDS["default"].default, FIELDS["default"].constant_default) == ("x", True)
    assert (FIELDS["older"].default, FIELDS["older"].constant_default) == (None, True)
    assert not FIELDS["factory"].required
    assert not FIELDS["factory"].constant_default, "a factory's value is not known"


def test_nested_and_recursive_models() -> None:
    inner = FIELDS["inner"].type.struct
    assert inner is not None
    assert inner.fields["age"].type.optional
    tree = StructType("Tree", Tree, "test")
    item = tree.fields["children"].type.item
    assert item is not None
    assert item.struct is not None
    assert item.struct.fields["children"].type.base == "list"


def test_declared_struct_is_a_strict_pydantic_model() -> None:
    struct = declare("Doc", "What it is.", {"text": (str, ..., "the text"), "n": (int, 0, None)}, "x.forge")
    assert struct.model(text="a").model_dump() == {"text": "a", "n": 0}
    with pytest.raises(ValueError, match="extra"):
        struct.model(text="a", other=1)
    assert struct.json_schema["properties"]["text"]["description"] == "the text"
    assert struct.model.__doc__ == "What it is."


def test_declaring_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        declare("Doc", None, {"x": (FieldType | None, None, None)} | {"y": (str, "", None)}, "x")
