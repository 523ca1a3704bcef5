"""The category `irrelevance` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclIrrelevance(Bfcl):
    """Requests that none of the functions is for: the right reply calls none."""

    name = "bfcl_irrelevance"
    sources = (source("irrelevance", answers=False),)
