"""What a run's seeds come from: files, and verifiers that make tasks.

`verifier:NAME` stands for the tasks of a verifier, as many as the run has rows; `verifier:NAME:COUNT` says how many, and
`verifier:NAME:COUNT:TOPIC,TOPIC` of which topics. They are made anew at each start, the same for the same random seed, so
nothing of them needs to be kept.
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
from schemas.task import Task

PREFIX = "verifier:"

MAX_COUNTED_BYTES = 64 * 1024 * 1024
"""Seed files up to this size are read once more beforehand, to know how many rows there are."""


@dataclass(frozen=True)
class TaskSource:
    """The tasks of a verifier: `count` of them, drawn by `seed`, of all topics or of those named."""

    verifier: Verifier[Any]
    count: int
    seed: int
    topics: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.verifier.name}" + (f"::{','.join(self.topics)}" if self.topics else "")

    def tasks(self) -> Iterator[Task]:
        """Make them.

        Raises:
            InputError: V013, where the verifier makes none of a topic.
        """
        if self.topics:
            return self.verifier.tasks_of(self.topics, self.seed, self.count)
        return self.verifier.tasks(self.seed, self.count)

    def __iter__(self) -> Iterator[Seed]:
        for number, task in enumerate(self.tasks(), 1):
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
    if vague := [pattern for pattern in named[:-1] if not re.match(r"verifier:[^:]+:[1-9]", pattern)]:
        raise SeedError(
            f"{vague[0]} takes all rows, and {named[-1]} comes after it",
            code="R047",
            help="say how many of each: verifier:NAME:COUNT",
        )
    tasks = tuple(_tasks(pattern, options) for pattern in named)
    paths = [pattern for pattern in patterns if not pattern.startswith(PREFIX)]
    base = Path.cwd() if options.seeds else plan.program.folder
    within = None if options.seeds else plan.project.root
    return Sources(tuple(expand(paths, base, within=within)) if paths else (), base, tasks)


def _tasks(pattern: str, options: RunOptions) -> TaskSource:
    found = re.fullmatch(r"verifier:([^:]+)(?::([1-9][0-9]*)?(?::(.+))?)?", pattern)
    if found is None:
        raise SeedError(
            f"{pattern}: not the form of a task source",
            code="R047",
            help="write verifier:NAME, verifier:NAME:COUNT or verifier:NAME:COUNT:TOPIC,TOPIC",
        )
    name, count, topics = found.groups()
    verifier = find(name)
    if not verifier.makes_tasks:
        raise SeedError(
            f"the verifier `{verifier.name}` makes no tasks",
            code="R047",
            help="`dataforge verifiers` shows which do; give it tasks of your own as a seed file",
        )
    if count is None and options.rows is None:
        raise SeedError(
            f"{pattern} would go on for ever",
            code="R047",
            help=f"give --rows N, or write verifier:{name}:COUNT" + (f":{topics}" if topics else ""),
        )
    source = TaskSource(
        verifier,
        int(count) if count is not None else -(-(options.rows or 0) // options.walks),
        options.seed,
        tuple(dict.fromkeys(topic.strip() for topic in topics.split(","))) if topics else (),
    )
    source.tasks()  # topics that there are none of are told before anything runs
    return source
