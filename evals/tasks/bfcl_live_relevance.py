"""The category `live_relevance` of the Berkeley Function-Calling Leaderboard."""

from __future__ import annotations

from evals.bfcl import BfclRelevance, source


class BfclLiveRelevance(BfclRelevance):
    """Requests of users for which one of the functions helps: any well-formed call passes."""

    name = "bfcl_live_relevance"
    sources = (source("live_relevance", answers=False),)
