"""Constraints on a reply: those of IFEval and RLVR-IFEval under their ids, and ours.

    from dataforge.verifiers.instructing import conflicts, constraints

    for each in constraints():
        print(each.id, each.arguments, each.summary)
    conflicts([{"id": "punctuation:no_comma", "kwargs": {}},
               {"id": "keywords:existence", "kwargs": {"keywords": ["Paris, France"]}}])

`constraint` says what one is, `registry` lists them all, one file a group holds them, `composing` puts several together.
"""

from dataforge.verifiers.instructing.composing import Clash, conflicts
from dataforge.verifiers.instructing.constraint import Constraint, Finding
from dataforge.verifiers.instructing.registry import BadConstraint, Listing, constraints

__all__ = ["BadConstraint", "Clash", "Constraint", "Finding", "Listing", "conflicts", "constraints"]
