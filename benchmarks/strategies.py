"""How long an example of a strategy takes, and whether it is found at all, beside Hypothesis's own way to filter.

    python benchmarks/strategies.py --quick

Random conditions (`tests/testing/conditions.py`) that some state satisfies, over two structs of 22 fields. Ours constructs
states (`dataforge.testing`); the baseline, `filter`, is what one writes without it: `st.builds` of the same models, filtered
by the condition. A condition counts as failed where Hypothesis raises (a health check, or no example found). The last
line is one JSON object; times are CPU milliseconds an example, medians; `ratio` is ours over the baseline's, on the conditions
that the baseline can do at all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable

from dataforge.domain.conditions import Expr, holds
from dataforge.domain.measures import simple_tokens
from dataforge.domain.structs import StructType
from dataforge.testing.strategies import parse_condition, states_of
from tests.testing.conditions import MODELS, random_condition

STRUCTS = {name: StructType(name, model, "benchmark") for name, model in MODELS.items()}
EXAMPLES = 10


def ours(expr: Expr) -> st.SearchStrategy[Any]:
    return states_of(STRUCTS, expr)


def filtered(expr: Expr) -> st.SearchStrategy[Any]:
    built = st.fixed_dictionaries({name: st.builds(model) for name, model in MODELS.items()})
    return built.filter(lambda state: holds(expr, state, simple_tokens))


def measure(make: Callable[[Expr], st.SearchStrategy[Any]], expr: Expr) -> tuple[list[float], bool]:
    """CPU milliseconds of each example, and whether Hypothesis was content."""
    times: list[float] = []
    strategy = make(expr)

    @st.composite
    def timed(draw: st.DrawFn) -> Any:
        began = time.process_time()
        value = draw(strategy)
        times.append((time.process_time() - began) * 1e3)
        return value

    @seed(0)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate])
    @given(timed())
    def run(state: Any) -> None:
        assert holds(expr, state, simple_tokens)

    try:
        run()
    except (FailedHealthCheck, Unsatisfiable):
        return times, False
    return times, True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 conditions instead of 1,000")
    count = 100 if parser.parse_args().quick else 1_000
    warnings.simplefilter("ignore")
    mine: list[float] = []
    theirs: list[float] = []
    both: list[float] = []
    failed = {"ours": 0, "filter": 0}
    for number in range(count):
        expr = parse_condition(random_condition(number), STRUCTS)
        times, good = measure(ours, expr)
        mine.extend(times)
        failed["ours"] += not good
        base, base_good = measure(filtered, expr)
        failed["filter"] += not base_good
        if base_good:
            theirs.extend(base)
            both.extend(times)
    print(f"{count} conditions, {EXAMPLES} examples each")
    print(f"  ours    {statistics.median(mine):6.2f} ms an example   failed {failed['ours']:>4}")
    base_ms = statistics.median(theirs) if theirs else float("nan")
    print(
        f"  filter  {base_ms:6.2f} ms an example   failed {failed['filter']:>4}   (times where it did not fail)"
    )
    report = {
        "benchmark": "strategies",
        "baseline": "hypothesis st.builds(...).filter(condition)",
        "conditions": count,
        "ms_an_example": round(statistics.median(mine), 3),
        "baseline_ms_an_example": round(base_ms, 3),
        "ratio": round(statistics.median(both) / base_ms, 3) if theirs else None,
        "failed": failed["ours"] / count,
        "baseline_failed": failed["filter"] / count,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
