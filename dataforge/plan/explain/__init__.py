"""Why is there an edge, or none; why does a node never run; why is the target out of reach.

`explain_edge`, `explain_node` and `explain_target` answer from an explored graph with frozen dataclasses; `*_lines` write
these for people, and `to_json` for machines. `open_explainable` makes the explored graph from a file, also from one whose
target cannot be reached. How it is found: `suppose` says what more would be known, `core` searches the smallest set
that is missing, `places` knows the walks, `promises` who promises what, `missing` says all about one atom, `gap` finds the
state that lacks least, and `causes` follows what is missing to its root.
"""

from dataforge.plan.explain.causes import Cause
from dataforge.plan.explain.edge import EdgeExplanation, Fact, explain_edge
from dataforge.plan.explain.gap import Gap
from dataforge.plan.explain.load import Explainable, link_explainable, open_explainable, split
from dataforge.plan.explain.missing import Giver, Missing, Touch
from dataforge.plan.explain.node import NodeExplanation, explain_node
from dataforge.plan.explain.promises import Promise, Where
from dataforge.plan.explain.target import TargetExplanation, explain_target
from dataforge.plan.explain.text import edge_lines, node_lines, target_lines

__all__ = [
    "Cause",
    "EdgeExplanation",
    "Explainable",
    "Fact",
    "Gap",
    "Giver",
    "Missing",
    "NodeExplanation",
    "Promise",
    "TargetExplanation",
    "Touch",
    "Where",
    "edge_lines",
    "explain_edge",
    "explain_node",
    "explain_target",
    "link_explainable",
    "node_lines",
    "open_explainable",
    "split",
    "target_lines",
]
