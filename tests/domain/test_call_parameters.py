"""Which parameter of a `call` function gets which struct."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from dataforge.domain.python import PythonRefused, parameters_of

STRUCTS = ["Passage", "QAPair"]


def by_name(passage: Any, qa_pair: Any) -> None: ...
def exact(Passage: Any, QAPair: Any) -> None: ...  # noqa: N803
def keyword_only(*, qa_pair: Any, passage: Any) -> None: ...
def spare(passage: Any, qa_pair: Any, limit: int = 3, *rest: Any) -> None: ...
def spread(passage: Any, **others: Any) -> None: ...
def positional_default(limit: int = 3, /, *, passage: Any, qa_pair: Any) -> None: ...
def too_few(passage: Any) -> None: ...
def too_many(passage: Any, qa_pair: Any, limit: int) -> None: ...
def by_position(passage: Any, qa_pair: Any, /) -> None: ...
def gathered(*passage: Any, qa_pair: Any) -> None: ...


@pytest.mark.parametrize("function", [by_name, exact, keyword_only, spare, spread, positional_default])
def test_parameters_are_filled_by_name(function: Callable[..., None]) -> None:
    found = parameters_of(function, STRUCTS)
    assert sorted(found.values()) == STRUCTS
    function(**dict.fromkeys(found))  # so a run can call it


@pytest.mark.parametrize("function", [too_few, too_many, by_position, gathered, math.hypot])
def test_functions_that_cannot_be_called_by_name_are_refused(function: Callable[..., None]) -> None:
    with pytest.raises(PythonRefused) as refused:
        parameters_of(function, STRUCTS)
    assert refused.value.code == "F023"
    assert refused.value.help
