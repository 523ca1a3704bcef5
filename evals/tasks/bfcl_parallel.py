"""The category `parallel` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclParallel(Bfcl):
    """Several calls of one function in one reply."""

    name = "bfcl_parallel"
    sources = (source("parallel"),)
