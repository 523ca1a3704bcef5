"""The tools `table_…`: look rows of small tables up, which the state keeps under `tables`, by name, as lists of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataforge.verifiers.calling.tools.tool import State, Tool, ToolError

MOST = 50
"""The most rows that one call gives."""

_TABLE = {"type": "string", "description": "the table's name"}


def _describe(state: State, arguments: Mapping[str, Any]) -> Any:
    tables = state.get("tables", {})
    return [
        {"table": name, "columns": list(rows[0]) if rows else [], "rows": len(rows)}
        for name, rows in tables.items()
    ]


def _find(state: State, arguments: Mapping[str, Any]) -> Any:
    rows = state.get("tables", {}).get(arguments["table"])
    if rows is None:
        raise ToolError(f"there is no table `{arguments['table']}`")
    where: Mapping[str, Any] = arguments.get("where", {})
    columns = list(rows[0]) if rows else []
    for column in where:
        if column not in columns:
            raise ToolError(f"the table has no column `{column}`")
    found = [
        dict(row)
        for row in rows
        if all(column in row and _same(row[column], value) for column, value in where.items())
    ]
    if len(found) > MOST:
        raise ToolError(f"{len(found)} rows are too many; at most {MOST} are given")
    return found


def _same(one: Any, two: Any) -> bool:
    """Equal as JSON: `true` is not 1, and a number is a number."""
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)


TOOLS = (
    Tool("table_describe", "Names the tables, their columns and how many rows each has.", {}, (), _describe),
    Tool(
        "table_find",
        "Gives the rows of a table whose columns have the values asked for; all of them where none are asked for.",
        {
            "table": _TABLE,
            "where": {
                "type": "object",
                "description": "by column, the value that a row must have",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
                "default": {},
            },
        },
        ("table",),
        _find,
    ),
)
"""All of them."""
