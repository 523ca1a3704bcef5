"""The tool `python`: a program, run in the sandbox; what it prints is the result.

A transcript is checked by running its programs again, so one that prints something else each time (the time, a random
number) can't be told from a forged result, and the response fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataforge.verifiers.calling.tools.tool import Overrun, State, Tool, ToolError

CPU_S, OUTPUT = 5.0, 4000
WALL_S = 2 * CPU_S + 5
"""CPU seconds that a program may take, characters of its output that are given, and seconds in all."""

_OVER = {
    "cpu": "the program took too much CPU time",
    "memory": "the program took too much memory",
    "output": "the program printed too much",
    "wall": "the program did not end in time",
    "signal": "the program was ended by a signal",
}


def _run(state: State, arguments: Mapping[str, Any]) -> Any:
    # The sandbox is only loaded where something is to be run in it.
    from dataforge.verifiers.sandbox import Limits, run_program

    run = run_program(arguments["code"], limits=Limits(cpu_s=CPU_S, wall_s=WALL_S))
    result: dict[str, Any] = {"stdout": run.stdout[:OUTPUT]}
    if len(run.stdout) > OUTPUT:
        result["left_off"] = len(run.stdout) - OUTPUT
    if run.status == "error":
        # The last line of a traceback says what was wrong; the lines above it hold paths.
        lines = run.stderr.strip().splitlines()
        raise ToolError(lines[-1][:OUTPUT] if lines else "the program ended with an error", **result)
    if run.status != "ok":
        raise Overrun(_OVER[run.status])  # what it printed until then is chance
    return result


PYTHON = Tool(
    "python",
    "Runs a Python program (standard library only, no files, no network) and gives what it prints.",
    {"code": {"type": "string", "description": "the program; print what you want to see"}},
    ("code",),
    _run,
)
