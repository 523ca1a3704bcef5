"""Tools that are really run: a calculator, Python in the sandbox, and small ones that keep their state in the facts.

    TOOLS["store_set"].run(state, {"key": "colour", "value": "green"})

A tool is a function of a state and arguments to a JSON value; what it can't do raises `ToolError`, whose message the model
reads. All but Python are pure, so running the calls of a transcript again gives what they gave.
"""

from dataforge.verifiers.calling.tools import calculator, calendar, python, store, tables, units
from dataforge.verifiers.calling.tools.tool import Overrun, State, Tool, ToolError

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        calculator.CALCULATOR,
        python.PYTHON,
        units.CONVERT_UNITS,
        *store.TOOLS,
        *calendar.TOOLS,
        *tables.TOOLS,
    )
}
"""Every tool that can be run, by name."""

__all__ = ["TOOLS", "Overrun", "State", "Tool", "ToolError"]
