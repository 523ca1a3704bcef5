"""ARC-Challenge (Clark et al. 2018): grade-school science questions, the harder part."""

from __future__ import annotations

from evals.data import Hub
from evals.tasks.arc_easy import ARCEasy


class ARCChallenge(ARCEasy):
    """Grade-school science questions, the harder part."""

    name = "arc_challenge"
    sources = (Hub("allenai/ai2_arc", "ARC-Challenge"),)
