"""The category `multiple` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclMultiple(Bfcl):
    """One call of one of several functions."""

    name = "bfcl_multiple"
    sources = (source("multiple"),)
