"""The category `live_irrelevance` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclLiveIrrelevance(Bfcl):
    """Requests of users that none of the functions is for."""

    name = "bfcl_live_irrelevance"
    sources = (source("live_irrelevance", answers=False),)
