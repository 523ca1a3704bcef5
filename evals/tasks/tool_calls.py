"""Tasks that the verifier `tool_calls` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class ToolCalls(MadeTasks):
    """Calls of the right tools with the right arguments, or none where none helps."""

    name = "tool_calls"
    family = "tools"
    sources = (Made("tool_calls"),)
    verifier = "tool_calls"
