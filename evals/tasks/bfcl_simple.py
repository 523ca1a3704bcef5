"""The category `simple_python` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclSimple(Bfcl):
    """One call of the one function on offer."""

    name = "bfcl_simple"
    sources = (source("simple_python"),)
