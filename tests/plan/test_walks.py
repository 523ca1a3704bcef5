"""The three laws: uniform over paths, weighted in proportion, cover as even as can be."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.walk import Walks, all_paths

# Three ways at the first fork, of 1, 2 and 6 paths: drawing forks by a coin would favour the first.
LOPSIDED = """
struct Doc { text: str  stage: "s" | "a" | "b" | "b2" | "c" | "c1" | "c2" | "e" = "s"  keep: str = "" }
""" + "\n".join(
    f'node {name} {{ takes Doc  gives Doc  pre Doc.stage == "{before}"  keeps Doc.text  set Doc.stage = "{after}"  weight {weight} }}'
    for name, before, after, weight in [
        ("a", "s", "e", 1),
        ("b", "s", "b", 2), ("b_one", "b", "e", 1), ("b_two", "b", "e", 3),
        ("c", "s", "c", 1),
        ("c_one", "c", "c1", 1), ("c_two", "c", "c1", 2), ("c_three", "c", "c1", 1),
        ("d_one", "c1", "e", 5), ("d_two", "c1", "e", 1),
    ]
)  # fmt: skip
GRAPH = """
graph main {{
  from Doc where Doc.stage == "s"
  to Doc where Doc.stage == "e"
  nodes *
  walk {}
  emit {{ user "?"  assistant "{{{{ Doc.text }}}}" }}
}}
"""


def plan(project: Path, law: str) -> Plan:
    (project / "main.forge").write_text(LOPSIDED + GRAPH.format(law))
    return compile_program(project / "main.forge")


def draw(compiled: Plan, count: int, seed: int = 7) -> Counter[tuple[str, ...]]:
    walks = Walks(compiled.linked, seed, compiled.hash)
    return Counter(tuple(walks.names(row)) for row in range(count))


def chi_square(counts: Counter[tuple[str, ...]], shares: dict[tuple[str, ...], float]) -> float:
    total = counts.total()
    return sum((counts[path] - total * share) ** 2 / (total * share) for path, share in shares.items())


def critical(freedom: int) -> float:
    """The 99.9% quantile of chi-square, by Wilson and Hilferty's approximation (1931)."""
    return freedom * (1 - 2 / (9 * freedom) + 3.0902 * math.sqrt(2 / (9 * freedom))) ** 3


def test_uniform_walks_are_uniform_over_paths(project: Path) -> None:
    compiled = plan(project, "uniform")
    paths = set(all_paths(compiled.linked, 100))
    assert compiled.linked.paths == len(paths) == 9
    counts = draw(compiled, 10_000)
    assert set(counts) == paths
    assert chi_square(counts, dict.fromkeys(paths, 1 / 9)) < critical(8)


def test_weighted_walks_are_in_proportion_to_the_product_of_weights(project: Path) -> None:
    compiled = plan(project, "weighted")
    weights = {name: node.weight for name, node in compiled.graph.nodes().items()}
    products = {path: math.prod(weights[name] for name in path) for path in all_paths(compiled.linked, 100)}
    total = sum(products.values())
    counts = draw(compiled, 10_000)
    assert chi_square(counts, {path: product / total for path, product in products.items()}) < critical(8)


def edges(counts: Counter[tuple[str, ...]]) -> Counter[tuple[str, str]]:
    used: Counter[tuple[str, str]] = Counter()
    for path, count in counts.items():
        for pair in zip(("source", *path), (*path, "target"), strict=True):
            used[pair] += count
    return used


def test_cover_uses_every_edge_as_evenly_as_can_be(project: Path) -> None:
    compiled = plan(project, "cover")
    used = edges(draw(compiled, 600))
    assert set(used) == set(compiled.linked.name_edges)
    # Proportional fairness: the sum of logarithms of the uses is at its greatest. No small shift of flow from one walk to
    # another may raise it by much: for every walk the sum of 1/use over its edges is at most the number of edges.
    total = 600
    for path in all_paths(compiled.linked, 100):
        pairs = list(zip(("source", *path), (*path, "target"), strict=True))
        assert sum(total / used[pair] for pair in pairs) <= 1.1 * len(used)
    uniform = edges(draw(plan(project, "uniform"), 600))
    assert min(used.values()) / max(used.values()) > min(uniform.values()) / max(uniform.values())


def test_cover_is_even_where_that_is_possible(project: Path) -> None:
    names = [f"n{i}" for i in range(7)]
    nodes = "\n".join(
        f'node {n} {{ takes Doc  gives Doc  pre Doc.stage == "s"  keeps Doc.text  set Doc.stage = "e" }}'
        for n in names
    )
    (project / "main.forge").write_text(
        'struct Doc { text: str  stage: "s" | "e" = "s" }\n' + nodes + GRAPH.format("cover")
    )
    counts = draw(compile_program(project / "main.forge"), 70)
    assert len(counts) == 7
    assert max(counts.values()) - min(counts.values()) <= 2, "the golden ratio spreads even few rows evenly"


def test_a_row_s_walk_depends_on_nothing_but_seed_plan_and_row(project: Path) -> None:
    compiled = plan(project, "uniform")
    walks = Walks(compiled.linked, 7, compiled.hash)
    forwards = [walks.names(row) for row in range(50)]
    assert [walks.names(row) for row in reversed(range(50))] == forwards[::-1]
    code = (
        "import sys; from pathlib import Path; from dataforge.plan.artifact import compile_program; "
        "from dataforge.plan.walk import Walks; p = compile_program(Path(sys.argv[1])); "
        "print([Walks(p.linked, 7, p.hash).names(r) for r in range(50)])"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(project / "main.forge")],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        assert done.stdout.strip() == str(forwards)
