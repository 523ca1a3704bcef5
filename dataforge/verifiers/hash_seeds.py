"""Do verdicts depend on the hash seed? The same cases are judged in processes that differ in it alone, and compared.

What a process finds is a fingerprint for each gold case, generated case and made task; a generated case's own text is
part of its fingerprint, so a generator that depends on the hash seed is found too. The reason of a verdict from a sandbox
is not: it may quote a program that was really run, and two runs of a fork bomb do not die of the same message.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataforge.errors import RunError
from dataforge.verifiers.audit import gold
from dataforge.verifiers.checking import verify
from dataforge.verifiers.protocol import Case, Verifier
from dataforge.verifiers.registry import find

Fingerprints = dict[str, dict[str, str]]
"""Verifier → what was judged (`gold 3`, `generated 17`, `task 5`) → its fingerprint."""


def differences(
    names: Sequence[str],
    *,
    hash_seeds: Iterable[int],
    written: int | None = None,
    generated: int = 200,
    tasks: int = 20,
    seed: int = 0,
) -> dict[str, list[str]]:
    """What differs between hash seeds, by verifier; a verifier of which nothing does has an empty list.

    Args:
        names: which verifiers.
        hash_seeds: values of `PYTHONHASHSEED`; each is a process.
        written: at most so many of the gold cases; all of them where it is None.
        generated: how many cases to draw.
        tasks: how many tasks to make.
        seed: what cases and tasks are drawn by.

    Raises:
        RunError: V012, where a process ends without a result.
    """
    found: dict[str, list[str]] = {name: [] for name in names}
    wanted = {"names": list(names), "written": written, "generated": generated, "tasks": tasks, "seed": seed}
    first: Fingerprints | None = None
    for hash_seed in hash_seeds:
        other = _under(hash_seed, wanted)
        if first is None:
            first = other
        for name in names:
            for label in sorted({*first[name], *other[name]}):
                if first[name].get(label) != other[name].get(label) and label not in found[name]:
                    found[name].append(label)
    return found


def _under(hash_seed: int, wanted: Mapping[str, Any]) -> Fingerprints:
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, *sys.path, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(  # noqa: S603 - our own program
        [
            sys.executable,
            "-c",
            "from dataforge.verifiers import hash_seeds; hash_seeds.print_fingerprints()",
            json.dumps(wanted),
        ],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RunError(
            f"the process with hash seed {hash_seed} ended with status {done.returncode}: "
            + (done.stderr.strip().splitlines() or ["it said nothing"])[-1],
            code="V012",
            help="run the audit without --hash-seeds: it shows what a verifier raises",
        )
    # A library may print on being imported; what was asked for is the last line.
    found: Fingerprints = json.loads(done.stdout.splitlines()[-1])
    return found


# ---- in the process with the other hash seed


def print_fingerprints() -> None:
    """Print the fingerprints that `sys.argv` asks for."""
    wanted = json.loads(sys.argv[1])
    found = {name: dict(_fingerprints(find(name), wanted)) for name in wanted["names"]}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _fingerprints(verifier: Verifier[Any], wanted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    drawn: Iterable[Case] = ()
    if type(verifier).cases is not Verifier.cases:
        drawn = itertools.islice(verifier.cases(random.Random(wanted["seed"])), wanted["generated"])
    for source, cases in (("gold", gold(verifier)[: wanted["written"]]), ("generated", drawn)):
        for number, case in enumerate(cases, 1):
            told = verify(verifier, case.task, case.response).to_json()
            if verifier.isolation == "sandbox":
                del told["reason"]
            yield f"{source} {number}", _digest([case.to_json(), told])
    if verifier.makes_tasks:
        for number, task in enumerate(verifier.tasks(wanted["seed"], wanted["tasks"]), 1):
            yield f"task {number}", _digest(task.model_dump())


def _digest(value: Any) -> str:
    # Not sorted: the order of keys is part of what a reader sees.
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
