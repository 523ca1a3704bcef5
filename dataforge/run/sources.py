"""What a run's seeds come from: files, and verifiers that make tasks.

`verifier:NAME` stands for the tasks of a verifier, as many as the run has rows, or `verifier:NAME:COUNT`. They are made
anew at each start, the same for the same random seed, so nothing of them needs to be kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataforge.errors import SeedError
from dataforge.plan.artifact import Plan
from dataforge.run.options import RunOptions
from dataforge.seeds import Seed, expand, read_seeds
from dataforge.seeds.seed import identify
from dataforge.verifiers import Verifier, find

PREFIX = "verifier:"

MAX_COUNTED_BYTES = 64 * 1024 * 1024
"""Seed files up to this size are read once more beforehand, to know how many rows there are."""


@dataclass(frozen=True)
class TaskSource:
    """The tasks of a verifier: `count` of them, drawn by `seed`."""

    verifier: Verifier[Any]
    count: int
    seed: int

    @property
    def name(self) -> str:
        return PREFIX + self.verifier.name

    def __iter__(self) -> Iterator[Seed]:
        for number, task in enumerate(self.verifier.tasks(self.seed, self.count), 1):
            fields = task.model_dump(mode="json")
            yield Seed(identify(fields), f"{self.name}:{number}", fields)


@dataclass(frozen=True)
class Sources:
    """The seeds of a run, read anew by each iteration.

    Attributes:
        files: seed files; `base` is the folder that their names are relative to.
        tasks: verifiers that make tasks, which come after the files.
    """

    files: tuple[Path, ...]
    base: Path
    tasks: tuple[TaskSource, ...] = ()

    def __iter__(self) -> Iterator[Seed]:
        if self.files:
            yield from read_seeds(self.files, base=self.base)
        for source in self.tasks:
            yield from source

    @property
    def names(self) -> list[str]:
        """What they are called in a corpus."""
        return [
            *(
                str(file.relative_to(self.base)) if file.is_relative_to(self.base) else file.name
                for file in self.files
            ),
            *(source.name for source in self.tasks),
        ]

    @property
    def are_few(self) -> bool:
        """Whether they can be read twice in no time. Tasks cannot: to make one may take a second."""
        return not self.tasks and sum(file.stat().st_size for file in self.files) <= MAX_COUNTED_BYTES

    @property
    def tasks_alone(self) -> int:
        """How many there are where all of them are tasks; 0 where there are files, whose records are not counted."""
        return 0 if self.files else sum(source.count for source in self.tasks)

    def digest(self) -> str:
        """32 hex digits over all that decides which seeds there are, but for how many tasks are asked for."""
        seeds = hashlib.blake2b(digest_size=16)
        for file in self.files:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            seeds.update(f"{file.name}|{content}|".encode())
        for source in self.tasks:
            seeds.update(f"{source.name}|{source.verifier.version}|{source.seed}|".encode())
        for source in self.tasks[:-1]:  # more of the last one's tasks only come after all others
            seeds.update(f"{source.count}|".encode())
        return seeds.hexdigest()


def sources_of(plan: Plan, options: RunOptions) -> Sources:
    """The seeds of a run: those given, else those that its graph names.

    Raises:
        SeedError: where there are none, or R047 where tasks cannot be had as they are asked for.
        InputError: V001 where there is no such verifier, V002 where it needs a package that is not installed.
    """
    patterns: Sequence[str] = options.seeds or plan.graph.seeds
    if not patterns:
        raise SeedError(
            f"graph `{plan.graph.name}` names no seeds, and none are given",
            help="add --seeds PATH, or `seeds` to the graph",
        )
    named = [pattern for pattern in patterns if pattern.startswith(PREFIX)]
    if vague := [pattern for pattern in named[:-1] if pattern.count(":") == 1]:
        raise SeedError(
            f"{vague[0]} takes all rows, and {named[-1]} comes after it",
            code="R047",
            help=f"say how many of each: {vague[0]}:COUNT",
        )
    tasks = tuple(_tasks(pattern, options) for pattern in named)
    paths = [pattern for pattern in patterns if not pattern.startswith(PREFIX)]
    base = Path.cwd() if options.seeds else plan.program.folder
    within = None if options.seeds else plan.project.root
    return Sources(tuple(expand(paths, base, within=within)) if paths else (), base, tasks)


def _tasks(pattern: str, options: RunOptions) -> TaskSource:
    found = re.fullmatch(r"verifier:([^:]+)(?::([1-9][0-9]*))?", pattern)
    if found is None:
        raise SeedError(
            f"{pattern}: not the form of a task source",
            code="R047",
            help="write verifier:NAME or verifier:NAME:COUNT",
        )
    verifier = find(found[1])
    if not verifier.makes_tasks:
        raise SeedError(
            f"the verifier `{verifier.name}` makes no tasks",
            code="R047",
            help="`dataforge verifiers` shows which do; give it tasks of your own as a seed file",
        )
    if found[2] is None and options.rows is None:
        raise SeedError(
            f"{pattern} would go on for ever", code="R047", help=f"give --rows N, or write {pattern}:COUNT"
        )
    count = int(found[2]) if found[2] is not None else -(-(options.rows or 0) // options.walks)
    return TaskSource(verifier, count, options.seed)
