"""The tools that run: what they give, and that no call of them takes more than a moment."""

from __future__ import annotations

import time
import warnings
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers.calling.signatures import misfit
from dataforge.verifiers.calling.tools import TOOLS, State, ToolError
from dataforge.verifiers.calling.tools.calculator import calculate
from dataforge.verifiers.calling.tools.units import KINDS, convert


def run(name: str, state: State, **arguments: Any) -> Any:
    schema = TOOLS[name].schema["function"]["parameters"]
    assert not misfit(arguments, schema, schema)
    return TOOLS[name].run(state, arguments)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1 + 0.2", "0.3"), ("1/3*3", "1"), ("1/8", "0.125"), ("2/3", "0.6666666666666667"), ("-7 // 2", "-4"), ("-7 % 3", "2"),
        ("2 ^ 10", "1024"), ("2 * 3 ^ 2", "18"), ("-2 ** 2", "-4"), ("2 ** -2", "0.25"), ("9 ** 0.5", "3"), ("sqrt(2)", "1.41421356237"),
        ("sqrt(9/4)", "1.5"), ("round(2.5)", "3"), ("round(-2.345, 2)", "-2.35"), ("gcd(12, 18) + lcm(4, 6)", "18"), ("factorial(20)", "2432902008176640000"),
        ("max(1, 2.5, -3) + min(4, 2)", "4.5"), ("log(e)", "1"), ("17 × 23 − 1", "390"), ("(-1) ** 1000001", "-1"), ("0 ** 99999999", "0"),
        ("10 ** 30 / 7", "142857142857142857142857142857"), ("-1/3000000", "-0.0000003333333333333333"), ("sum(1, 2, 3.5)", "6.5"),
    ],
)  # fmt: skip
def test_arithmetic_is_exact_where_it_can_be(expression: str, value: str) -> None:
    assert calculate(expression) == value


@settings(max_examples=200)
@given(st.fractions(max_denominator=999), st.fractions(max_denominator=999), st.sampled_from("+-*/"))
def test_the_calculator_agrees_with_fractions(one: Fraction, two: Fraction, sign: str) -> None:
    if sign == "/" and two == 0:
        return
    exact = {"+": one + two, "-": one - two, "*": one * two, "/": one / two if two else Fraction(0)}[sign]
    said = Fraction(calculate(f"({one}) {sign} ({two})"))
    assert abs(said - exact) <= abs(exact) * Fraction(1, 10**14)


@pytest.mark.parametrize(
    "expression",
    [
        "", "1 +", "9**9**9**9", "10**1000 * 10**1000", "2**(2**20)", "factorial(401)", "factorial(1e9)", "1/0", "0**-1", "5 % 0", "log(0)", "sqrt(-1)",
        "(-8)**0.5", "exp(1000)", "1e400", "True + 1", "'a' * 9", "__import__('os')", "().__class__", "x", "abs", "abs(x=1)", "lambda: 1", "[1]", "{1}",
        "1_000", "0x1F", "1j", "2if 3", "1 if 1", "a.b", "f'{1}'", "1;2", "1\n2", "-" * 299 + "1", "(" * 199 + "1", "1" * 301, "sqrt(1, 2)",
        "٣ + ٤", "round(1, 99)", "log(10**500)", "1 and 2", "1 < 2", "~1", "1 << 5", "5!", "print(1)", "max()", "\x00", "eval(1)", "@",
    ],
)  # fmt: skip
def test_what_is_no_bounded_arithmetic_is_refused_at_once(expression: str) -> None:
    start = time.process_time()
    with warnings.catch_warnings(), pytest.raises(ToolError):
        warnings.simplefilter("error")
        calculate(expression)
    assert time.process_time() - start < 0.2


@settings(max_examples=300)
@given(st.text(alphabet="0123456789+-*/%^().,e sqrtlogabx", max_size=60))
def test_the_calculator_never_raises_anything_else(expression: str) -> None:
    try:
        assert calculate(expression)
    except ToolError as error:
        assert str(error)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_conversions_go_there_and_back(kind: str, data: st.DataObject) -> None:
    units = st.sampled_from(sorted(KINDS[kind]))
    one, two, value = data.draw(units), data.draw(units), data.draw(st.fractions(max_denominator=99))
    assert convert(convert(value, one, two), two, one) == value


def test_units_are_what_they_are() -> None:
    for value, one, two, due in ((1, "mi", "km", "1.609344"), (100, "C", "F", "212"), (-40, "F", "C", "-40"), (36, "km/h", "m/s", "10"),
                                 (1, "kn", "km/h", "1.852"), (1, "GiB", "B", "1073741824"), (2.5, "h", "min", "150")):  # fmt: skip
        assert run("convert_units", {}, value=value, from_unit=one, to_unit=two) == due
    for value, one, two in ((1, "kg", "m"), (-1, "K", "C"), (1, "C", "m"), (1e300, "m", "km")):
        with pytest.raises(ToolError):
            run("convert_units", {}, value=value, from_unit=one, to_unit=two)


def test_the_store_keeps_what_it_is_given() -> None:
    state: State = {"store": {"a": "1"}}
    assert run("store_set", state, key="b/ü", value="2") == "stored"
    assert run("store_get", state, key="b/ü") == "2"
    assert run("store_list", state) == ["a", "b/ü"]
    assert run("store_list", state, prefix="b") == ["b/ü"]
    assert run("store_delete", state, key="a") == "deleted"
    with pytest.raises(ToolError, match="no key"):
        run("store_get", state, key="a")
    assert state == {"store": {"b/ü": "2"}}
    for at in range(300):
        try:
            run("store_set", state, key=str(at), value="")
        except ToolError:
            break
    assert len(state["store"]) == 200


def test_the_calendar_takes_no_overlaps() -> None:
    state: State = {"calendar": [{"title": "A", "date": "2027-03-01", "start": "09:00", "end": "10:00"}]}
    assert run("calendar_add", state, title="B", date="2027-03-01", start="10:00", end="11:00") == "added"
    for start, end in (
        ("09:30", "10:30"),
        ("08:00", "12:00"),
        ("09:00", "09:01"),
        ("12:00", "12:00"),
        ("25:00", "26:00"),
        ("9:00", "9:30"),
    ):
        with pytest.raises(ToolError):
            run("calendar_add", state, title="C", date="2027-03-01", start=start, end=end)
    with pytest.raises(ToolError, match="YYYY-MM-DD"):
        run("calendar_list", state, date="1 March")
    assert [event["title"] for event in run("calendar_list", state, date="2027-03-01")] == ["A", "B"]
    assert run("calendar_remove", state, title="A", date="2027-03-01") == "removed"
    with pytest.raises(ToolError, match="no such event"):
        run("calendar_remove", state, title="A", date="2027-03-01")


def test_tables_are_looked_up_with_types() -> None:
    rows = [{"id": 1, "ok": True}, {"id": 2, "ok": False}]
    state: State = {"tables": {"t": rows, "big": [{"x": 1}] * 60, "none": []}}
    assert run("table_find", state, table="t", where={"id": 1.0}) == rows[:1]
    assert run("table_find", state, table="t", where={"ok": 1}) == []
    assert run("table_find", state, table="t") == rows
    assert run("table_describe", state)[0] == {"table": "t", "columns": ["id", "ok"], "rows": 2}
    assert run("table_find", state, table="none") == []
    for arguments in ({"table": "x"}, {"table": "t", "where": {"y": 1}}, {"table": "big"}):
        with pytest.raises(ToolError):
            run("table_find", state, **arguments)
    run("table_find", state, table="t")[0]["id"] = 9
    assert rows[0]["id"] == 1, "what a tool gives is no window on the state"
