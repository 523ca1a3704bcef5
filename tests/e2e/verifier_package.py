"""An installed package that brings a verifier: a folder with a module and the metadata that names it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataforge.verifiers import registry

MODULE = '''
import random
import re

from dataforge.verifiers import Facts, Response, Verifier
from dataforge.verifiers.protocol import error, failed, passed, unparsed
from schemas.task import Task


class SumFacts(Facts):
    total: int
    tolerance: int = 0


class Sums(Verifier[SumFacts]):
    """The answer is a whole number, the last one in the text."""

    name = "sums"
    family = "tests"
    facts = SumFacts

    def check(self, facts, response):
        if "no sandbox" in response.text:
            return error("isolation", "there is none")
        if "crash" in response.text:
            raise RuntimeError("it crashed")
        found = re.findall(r"-?[0-9]+", response.text)
        if not found:
            return unparsed("there is no number")
        off = abs(int(found[-1]) - facts.total)
        if off > facts.tolerance:
            return failed("the number is wrong", found[-1], score=0.25 if off == 1 else 0.0)
        return passed(found[-1], score=1.0 if off == 0 else 0.5)

    def tasks(self, seed, n):
        for number in range(n):
            rng = random.Random(f"{seed}/{number}")
            a, b = rng.randrange(1000), rng.randrange(1000)
            topic = "big" if a + b >= 1000 else "small"
            yield Task(prompt=f"What is {a} + {b}?", facts={"total": a + b}, verifier="sums", topic=topic)
'''


def write(folder: Path) -> Path:
    """Write the package; the folder is what goes on the path."""
    (folder / "sums_verifier.py").write_text(MODULE)
    info = folder / "sums_verifier-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sums-verifier\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dataforge.verifiers]\nsums = sums_verifier:Sums\n")
    return folder


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Have the package installed in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(write(folder)))
    registry.VERIFIERS.forget()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("sums_verifier", None)
        registry.VERIFIERS.forget()
