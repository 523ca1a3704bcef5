"""What a sandboxed run costs: CPU time of both sides, for a program that prints a line.

    python benchmarks/sandbox.py [RUNS]

The baseline is what most graders do: a fresh `python -c` for each program, without any isolation. CPU time is this process's, its
children's and, of the sandbox's warm processes, what /proc says of them: nothing of a run is left out. The
last line is JSON; `ratio` is the baseline's cost by the sandbox's.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dataforge.verifiers.sandbox import run_program, session

PROGRAM = "print(6 * 7)"


def spent(root: int) -> float:
    """CPU seconds of this process, of what it waited for, and of the warm processes and what these waited for."""
    own, waited = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + waited.ru_utime + waited.ru_stime
    waiting = [root]
    while waiting:
        process = waiting.pop()
        try:
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            if process != root:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        except FileNotFoundError:
            continue
    return total


def measure(one: Callable[[], str], runs: int) -> tuple[float, float]:
    """CPU and wall milliseconds a run."""
    for _ in range(5):
        assert one() == "42\n"
    before, began = spent(os.getpid()), time.monotonic()
    for _ in range(runs):
        one()
    return (spent(os.getpid()) - before) / runs * 1e3, (time.monotonic() - began) / runs * 1e3


def fresh() -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout


def bare() -> str:
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with session() as box:
        rows = {
            "sandbox": measure(lambda: run_program(PROGRAM).stdout, runs),
            "sandbox, in one session": measure(lambda: box.run(PROGRAM).stdout, runs),
            "fresh python": measure(fresh, runs // 3),
            "fresh python -I -S": measure(bare, runs),
        }
    print(f"{'a run of `' + PROGRAM + '`':<32}{'CPU ms':>10}{'wall ms':>10}")
    for name, (cpu, wall) in rows.items():
        print(f"{name:<32}{cpu:>10.2f}{wall:>10.2f}")
    result = {
        "benchmark": "sandbox",
        "runs": runs,
        "cpu_ms": round(rows["sandbox"][0], 2),
        "wall_ms": round(rows["sandbox"][1], 2),
        "baseline": "fresh python process without isolation",
        "baseline_cpu_ms": round(rows["fresh python"][0], 2),
        "limit_cpu_ms": 15.0,
        "ratio": round(rows["fresh python"][0] / rows["sandbox"][0], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
