"""The category `parallel_multiple` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import Bfcl, source


class BfclParallelMultiple(Bfcl):
    """Several calls of several functions in one reply."""

    name = "bfcl_parallel_multiple"
    sources = (source("parallel_multiple"),)
