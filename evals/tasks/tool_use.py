"""Tasks that the verifier `tool_use` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class ToolUse(MadeTasks):
    """Conversations with tools that really run."""

    name = "tool_use"
    family = "tools"
    sources = (Made("tool_use"),)
    verifier = "tool_use"
