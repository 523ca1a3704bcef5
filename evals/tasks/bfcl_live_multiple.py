"""The category `live_multiple` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclLiveMultiple(Bfcl):
    """One call of one of several functions, as users asked for it."""

    name = "bfcl_live_multiple"
    sources = (source("live_multiple"),)
