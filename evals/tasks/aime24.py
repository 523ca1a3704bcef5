"""AIME 2024: thirty problems of the American Invitational Mathematics Examination; answers are whole numbers below 1,000."""

from __future__ import annotations

from evals.aime import Aime
from evals.data import Hub


class Aime24(Aime):
    """Thirty problems of the American Invitational Mathematics Examination of 2024."""

    name = "aime24"
    sources = (Hub("Maxwell-Jia/AIME_2024", split="train"),)
