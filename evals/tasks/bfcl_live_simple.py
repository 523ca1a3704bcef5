"""The category `live_simple` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclLiveSimple(Bfcl):
    """One call of one function, as users asked for it."""

    name = "bfcl_live_simple"
    sources = (source("live_simple"),)
