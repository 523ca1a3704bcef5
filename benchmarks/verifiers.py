"""How many text verdicts a CPU second gives, verifier by verifier, beside a regular expression and beside math-verify.

    python benchmarks/verifiers.py --quick

The verifiers are those of the families that only look at text: answer format, instruction following, schema adherence, tool
use, multiple choice and matching; those that run programs or work in other processes are left out. Each judges its own
generated cases, half of them right, which are drawn before the clock starts. A verdict is a whole call of
`dataforge.verifiers.verify`: facts validated, time kept, every candidate on record. CPU seconds are of this process, the
median of the repeats; one round before them fills the caches.

`regex` is the floor: on the same cases, what a reward function of five lines does, that is to search for `answer is …` or
`\\boxed{…}`, and to compare with the answer as a string. `wrong` is how many of the cases it misjudges, and how many the
verifier does; on schemas, instructions and calls such a function can hardly be right, and is there for its speed. `math-verify` is that library's `parse` and `verify` on the gold set of `maths`, for scale. The last line
is one JSON object: `verifiers` by name, `least_per_cpu_s` of them, `ratio` of the least to the 2,000 that are asked for.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataforge.errors import InputError
from dataforge.verifiers import Case, Verifier, find, names, verify
from dataforge.verifiers.audit import fault, gold

FAMILIES = frozenset(
    {
        "answer format",
        "instruction following",
        "schema adherence",
        "tool use",
        "multiple choice and matching",
    }
)
ASKED_PER_CPU_S = 2_000
SIMPLE = re.compile(r"(?:answer\s*(?:is|:)\s*|\\boxed\{)(.+)", re.IGNORECASE)


def by_regex(case: Case) -> bool:
    """A reward function of the usual kind."""
    match = SIMPLE.search(case.response.text)
    said = (match[1] if match else case.response.text).strip(" .}*")
    right = case.task.facts.get("answer", case.task.facts.get("answers", case.task.facts.get("expected")))
    accepted = right if isinstance(right, list) else [right]
    return said in map(str, accepted)


def text_verifiers() -> list[Verifier[Any]]:
    found = []
    for name in names():
        try:
            verifier = find(name)
        except InputError as lacking:
            print(f"{name}: {lacking.message}", file=sys.stderr)
            continue
        has_cases = type(verifier).cases is not Verifier.cases
        if verifier.family in FAMILIES and verifier.isolation == "inline" and has_cases:
            found.append(verifier)
    return found


def per_cpu_s(work: Callable[[Case], object], cases: Sequence[Case], repeats: int) -> list[float]:
    """Calls a CPU second, in each repeat."""
    for case in cases:
        work(case)
    rates = []
    for _ in range(repeats):
        gc.collect()
        began = time.process_time()
        for case in cases:
            work(case)
        rates.append(len(cases) / (time.process_time() - began))
    return rates


def measure(verifier: Verifier[Any], count: int, repeats: int) -> dict[str, Any]:
    cases = list(itertools.islice(verifier.cases(random.Random(0)), count))
    ours = per_cpu_s(lambda case: verify(verifier, case.task, case.response), cases, repeats)
    regex = per_cpu_s(by_regex, cases, repeats)
    return {
        "verifier": verifier.name,
        "family": verifier.family,
        "cases": len(cases),
        "characters": round(statistics.mean(len(case.response.text) for case in cases)),
        "per_cpu_s": round(statistics.median(ours)),
        "least": round(min(ours)),
        "most": round(max(ours)),
        "wrong": sum(fault(case, verify(verifier, case.task, case.response)) is not None for case in cases),
        "regex_per_cpu_s": round(statistics.median(regex)),
        "regex_wrong": sum(by_regex(case) != case.passes for case in cases if case.error is None),
    }


def math_verify(repeats: int) -> dict[str, Any] | None:
    """What the library alone takes on the gold answers of `maths`; None where either is not there."""
    try:
        from math_verify import parse
        from math_verify import verify as equal

        maths = find("maths")
    except (ImportError, InputError):
        return None
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of every call without a limit of time
    cases = [
        case for case in gold(maths) if case.error is None and isinstance(case.task.facts.get("answer"), str)
    ]
    if not cases:
        return None

    def work(case: Case) -> object:
        return equal(
            parse(f"${case.task.facts['answer']}$", parsing_timeout=None),
            parse(case.response.text, parsing_timeout=None),
            timeout_seconds=None,
        )

    return {"cases": len(cases), "per_cpu_s": round(statistics.median(per_cpu_s(work, cases, repeats)), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a minute at most: fewer cases and repeats")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these verifiers alone")
    arguments = parser.parse_args()
    count, repeats = (300, 3) if arguments.quick else (2_000, 7)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {count} cases, median of {repeats}\n")
    print(
        f"{'verifier':18} {'characters':>10} {'per CPU s':>10} {'from – to':>17} {'wrong':>6} {'regex':>10} {'wrong':>6}"
    )
    rows = []
    for verifier in text_verifiers():
        if arguments.only and verifier.name not in arguments.only:
            continue
        row = measure(verifier, count, repeats)
        rows.append(row)
        span = f"{row['least']:,} – {row['most']:,}"
        print(
            f"{row['verifier']:18} {row['characters']:>10,} {row['per_cpu_s']:>10,} {span:>17} {row['wrong']:>6} "
            f"{row['regex_per_cpu_s']:>10,} {row['regex_wrong']:>6}",
            flush=True,
        )
    if not rows:
        raise SystemExit("there is no such verifier")
    library = math_verify(1 if arguments.quick else 3)
    if library is not None:
        print(
            f"\nmath-verify alone: {library['per_cpu_s']:,} a CPU second on the {library['cases']} gold cases of maths"
        )
    least = min(row["per_cpu_s"] for row in rows)
    print()
    print(
        json.dumps(
            {
                "verifiers": {row["verifier"]: row for row in rows},
                "math_verify": library,
                "least_per_cpu_s": least,
                "ratio": round(least / ASKED_PER_CPU_S, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
