"""The three laws: uniform over paths, weighted in proportion, cover as even as can be."""

from __future__ import annotations

import itertools
import math
import os
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.walk import Chance, Law, Position, Uniform, Walks, Weighted, all_paths

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


def plan(project: Path, law: str, nodes: str = LOPSIDED) -> Plan:
    (project / "main.forge").write_text(nodes + GRAPH.format(law))
    return compile_program(project / "main.forge")


def between(edges: list[tuple[str, str]], weights: dict[str, float] | None = None) -> str:
    """A program with a node a pair of stages."""
    stages = " | ".join(f'"{s}"' for s in sorted({"s", "e", *itertools.chain(*edges)}))
    nodes = [
        f'node n{i} {{ takes Doc  gives Doc  pre Doc.stage == "{a}"  keeps Doc.text  set Doc.stage = "{b}"  weight {(weights or {}).get(f"n{i}", 1)} }}'
        for i, (a, b) in enumerate(edges)
    ]
    return "\n".join([f'struct Doc {{ text: str  stage: {stages} = "s" }}', *nodes])


def tangled(chance: random.Random) -> list[tuple[str, str]]:
    """A random DAG of twelve stages in which every stage leads on."""
    stages = ["s", *"abcdfghijk", "e"]
    pairs = [(a, b) for i, a in enumerate(stages) for b in stages[i + 1 :] if chance.random() < 0.4]
    return pairs + list(itertools.pairwise(stages))


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


def shares(law: Law, compiled: Plan, path: tuple[str, ...]) -> Fraction:
    """The probability with which a law draws a path, read off its tables."""
    assert isinstance(law, Uniform | Weighted)
    linked = compiled.linked
    state, probability = linked.source, Fraction(1)
    number = {action.name: i for i, action in enumerate(linked.actions)}
    for name in (*path, None):
        law.choose(Position(state), Chance(0, "g", 0))
        options, cumulative = law.tables[state]
        at = options.index(None if name is None else number[name])
        before = Fraction(cumulative[at - 1]) if at else Fraction(0)
        probability *= (Fraction(cumulative[at]) - before) / Fraction(cumulative[-1])
        if name is not None:
            (state,) = (
                x for step in linked.steps[state] if step.action == number[name] for x in step.after if x
            )
    return probability


@pytest.mark.parametrize("seed", range(4))
def test_every_path_of_a_tangled_graph_has_its_share_exactly(project: Path, seed: int) -> None:
    chance = random.Random(seed)
    pairs = tangled(chance)
    weights = {f"n{i}": chance.choice([0.5, 1, 2, 3, 10]) for i in range(len(pairs))}
    compiled = plan(project, "uniform", between(pairs, weights))
    paths = list(all_paths(compiled.linked, 100_000))
    assert len(paths) == compiled.linked.paths > 20
    uniform, weighted = Uniform(compiled.linked), Weighted(compiled.linked)
    assert {shares(uniform, compiled, path) for path in paths} == {Fraction(1, len(paths))}
    products = {path: math.prod(weights[name] for name in path) for path in paths}
    total = math.fsum(products.values())
    for path in paths[:200]:
        assert float(shares(weighted, compiled, path)) == pytest.approx(products[path] / total, rel=1e-9)


NESTED = """
struct Doc { text: str  stage: "s" | "m" | "e" = "s" }
node one { takes Doc  gives Doc  pre Doc.stage == "s"  keeps Doc.text  set Doc.stage = "m"  weight 2 }
node two { takes Doc  gives Doc  pre Doc.stage == "s"  keeps Doc.text  set Doc.stage = "m" }
node three { takes Doc  gives Doc  pre Doc.stage == "m"  keeps Doc.text  set Doc.stage = "e"  weight 4 }
node over { takes Doc  gives Doc  pre Doc.stage == "s"  keeps Doc.text  set Doc.stage = "e"  weight 6 }
graph inside { from Doc where Doc.stage == "s"  to Doc where Doc.stage == "e"  nodes one, two, three }
"""


@pytest.mark.parametrize(("law", "share"), [("uniform", Fraction(2, 3)), ("weighted", Fraction(12, 18))])
def test_a_graph_used_as_a_node_counts_with_all_its_walks(project: Path, law: str, share: Fraction) -> None:
    graph = GRAPH.format(law).replace("nodes *", "nodes inside, over")
    (project / "main.forge").write_text(NESTED + graph)
    compiled = compile_program(project / "main.forge")
    assert compiled.linked.paths == 3
    assert shares(Walks(compiled.linked, 0, compiled.hash).law, compiled, ("inside",)) == pytest.approx(share)


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
    counts = draw(plan(project, "cover", between([("s", "e")] * 7)), 70)
    assert len(counts) == 7
    assert max(counts.values()) - min(counts.values()) <= 2, "the golden ratio spreads even few rows evenly"


def test_cover_is_even_in_each_layer_of_a_lattice(project: Path) -> None:
    """Four layers of three stages, each joined to each: all 27 inner nodes can be used equally often."""
    layers = [["s"], *([f"{layer}{k}" for k in range(3)] for layer in "abcd"), ["e"]]
    pairs = [(a, b) for x, y in itertools.pairwise(layers) for a in x for b in y]
    counts = draw(plan(project, "cover", between(pairs)), 1_000)
    used: Counter[str] = Counter()
    for path, count in counts.items():
        used.update(dict.fromkeys(path, count))
    inner = [used[f"n{i}"] for i, (a, b) in enumerate(pairs) if a != "s" and b != "e"]
    assert len(inner) == 27
    assert min(inner) > 0.8 * 1_000 / 9
    assert max(inner) < 1.2 * 1_000 / 9


def test_cover_uses_the_leaves_of_a_lopsided_tree_more_evenly_than_a_coin_at_each_fork(project: Path) -> None:
    pairs = [("s", "a"), ("s", "b"), ("a", "e"), *[("b", "e")] * 9]
    counts = draw(plan(project, "cover", between(pairs)), 1_000)
    used = edges(counts)
    leaves = [used[f"n{i}", "target"] for i in range(2, len(pairs))]
    assert len(used) == 2 + 10 + 10
    assert min(leaves) > 0.05 * 1_000, "a coin at each fork would give the nine 56 each and the one 500"
    assert max(leaves) / min(leaves) < 3


@pytest.mark.parametrize("law", ["uniform", "weighted", "cover"])
def test_a_row_s_walk_depends_on_nothing_but_seed_plan_and_row(project: Path, law: str) -> None:
    compiled = plan(project, law)
    walks = Walks(compiled.linked, 7, compiled.hash)
    forwards = [walks.names(row) for row in range(50)]
    assert [walks.names(row) for row in reversed(range(50))] == forwards[::-1]
    code = (
        "import sys; from pathlib import Path; from dataforge.plan.artifact import compile_program; "
        "from dataforge.plan.walk import Chance, Walks; p = compile_program(Path(sys.argv[1])); "
        "print([Walks(p.linked, 7, p.hash).names(r) for r in range(50)])"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(project / "main.forge")],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        assert done.stdout.strip() == str(forwards)
