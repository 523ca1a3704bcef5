"""A log on disk: a folder with a manifest and one line a sample, appended as each is judged.

    OUT/TASK/
      manifest.json    all that it takes to run it again; counts and scores once it is whole
      items.jsonl      the items that were drawn, hidden facts included: answers can be judged again without the data
      samples.jsonl    one `schemas.evallog.Sample` a line, in the order of items once it is whole
      lock             held by the process that writes

A line is in the kernel's hands before the next step builds on it, so `kill -9` loses none; it is synced to the disk every
second, so a power cut loses a second's. A line that was torn is dropped and asked again. Samples that a server lost are
asked again too: of several lines for one sample the last counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from dataforge.errors import InputError, OutputError, StorageError
from dataforge.files import arriving, write_json
from evals.task import Item
from schemas.chat import Message
from schemas.evallog import LOST, Sample
from schemas.task import Task

FORMAT = 1
"""Of the log, in its manifest as `forge_eval`."""
MANIFEST, ITEMS, SAMPLES, LOCK = "manifest.json", "items.jsonl", "samples.jsonl", "lock"
_SYNC_EVERY_S = 1.0
_NEVER_THE_SAME = ("command", "name", "started", "ended", "summary", "timing", "server", "whole", "versions")
"""Of a manifest, what another start of the same evaluation may say otherwise."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log, read.

    Attributes:
        path: its folder, or the file that it was read from.
        manifest: what was run; of a log from elsewhere, what could be told.
        samples: one for each sample, in the order of the file.
    """

    path: Path
    manifest: Mapping[str, Any]
    samples: tuple[Sample, ...]

    @property
    def task(self) -> str:
        """The evaluation's name."""
        return str(self.manifest.get("task", self.samples[0].task if self.samples else ""))

    @property
    def label(self) -> str:
        """What it is called in tables: the name that was given with --name, else its model's."""
        model = self.manifest.get("model") or {}
        return str(self.manifest.get("name") or model.get("model") or self.path.parent.name or self.path.name)


class LogWriter:
    """A log being written. Use it as a context manager.

    Attributes:
        done: the samples that need not be asked again, by item and number.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], items: Iterable[Item] = ()) -> None:
        """Open a log, or begin one.

        Args:
            items: what is asked, for `items.jsonl`.
            manifest: what is to be run; but for times and figures, that of a log which is there must be the same.

        Raises:
            InputError: E020, the folder holds the log of another evaluation, or something else.
            OutputError: R022, another process is writing it.
            StorageError: the disk refuses.
        """
        self.done: dict[tuple[str, int], Sample] = {}
        self._folder = folder
        # As it will be read: lists where tuples were.
        self._manifest = json.loads(json.dumps({"forge_eval": FORMAT, **manifest}))
        self._synced = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _refused(folder, error) from error
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputError(
                    f"another process is writing to {folder}",
                    code="R022",
                    help="wait for it, or choose another --out",
                ) from error
            self._check()
            self._resume()
            self._write_manifest()
            self._write_items(items)
            self._file = os.open(folder / SAMPLES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        os.close(self._lock)

    def write(self, sample: Sample) -> None:
        """Append a sample.

        Raises:
            StorageError: the disk refuses.
        """
        line = sample.model_dump_json(exclude_defaults=True).encode() + b"\n"
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("the disk took only a part of a line")
            if time.monotonic() - self._synced >= _SYNC_EVERY_S:
                os.fdatasync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            raise _refused(self._folder, error) from error
        self.done[sample.key] = sample

    def finish(self, order: Iterable[tuple[str, int]], told: Mapping[str, Any]) -> None:
        """Write the log whole, in the given order, and the manifest with what came of it.

        Args:
            order: item and number of every sample that was asked for.
            told: `summary`, `timing` and the like, for the manifest.
        """
        lines = b"".join(
            self.done[key].model_dump_json(exclude_defaults=True).encode() + b"\n" for key in order
        )
        _put(self._folder / SAMPLES, lines)
        self._manifest |= {**told, "whole": True}
        self._write_manifest()

    def _check(self) -> None:
        path = self._folder / MANIFEST
        if not path.exists():
            strangers = [p.name for p in self._folder.iterdir() if p.name != LOCK]
            if strangers:
                raise InputError(
                    f"{self._folder} holds {strangers[0]} and no log",
                    code="E020",
                    help="choose another --out",
                )
            return
        there = read_manifest(self._folder)
        for name in sorted({*there, *self._manifest} - {*_NEVER_THE_SAME}):
            if there.get(name) != self._manifest.get(name):
                raise InputError(
                    f"{self._folder} holds the log of another evaluation: its `{name}` is another",
                    code="E020",
                    help="choose another --out, or go back to what that log was started with",
                )
        self._manifest["started"] = there.get("started", self._manifest.get("started"))

    def _resume(self) -> None:
        path = self._folder / SAMPLES
        if not path.exists():
            return
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        for sample in _samples(path, raw[:whole]):
            if sample.status in LOST:
                self.done.pop(sample.key, None)
            else:
                self.done[sample.key] = sample
        if whole < len(raw):
            os.truncate(path, whole)

    def _write_items(self, items: Iterable[Item]) -> None:
        if (self._folder / ITEMS).exists():
            return
        try:
            _put(self._folder / ITEMS, _item_lines(items))
        except OSError as error:
            raise _refused(self._folder, error) from error

    def _write_manifest(self) -> None:
        try:
            write_json(self._folder / MANIFEST, self._manifest)
        except OSError as error:
            raise _refused(self._folder, error) from error


def read_log(path: Path) -> Log:
    """A log of ours: its folder, or its `samples.jsonl`.

    Raises:
        InputError: E021, there is none, or it is damaged.
    """
    folder = path.parent if path.name == SAMPLES else path
    if not (folder / SAMPLES).exists():
        raise InputError(
            f"{path} holds no log", code="E021", help="a log is a folder with manifest.json and samples.jsonl"
        )
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else {}
    latest = {sample.key: sample for sample in _samples(folder / SAMPLES, (folder / SAMPLES).read_bytes())}
    return Log(folder, manifest, tuple(latest.values()))


def find_logs(path: Path) -> list[Path]:
    """The folders of all logs in a folder, itself included, sorted by name."""
    if (path / SAMPLES).exists():
        return [path]
    return sorted(found.parent for found in path.glob(f"*/{SAMPLES}"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a log.

    Raises:
        InputError: E021, it is damaged, or of a later version.
    """
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / MANIFEST} cannot be read: {error}", code="E021", help="is it a log?"
        ) from error
    if not isinstance(found, dict) or found.get("forge_eval") != FORMAT:
        raise InputError(
            f"{folder / MANIFEST} is no manifest of a log of version {FORMAT}",
            code="E021",
            help="update DataForge",
        )
    return found


def read_items(folder: Path) -> dict[str, Item]:
    """The items of a log by id.

    Raises:
        InputError: E021, they are not there or damaged.
    """
    try:
        lines = [orjson.loads(line) for line in (folder / ITEMS).read_bytes().splitlines() if line.strip()]
        return {
            line["id"]: Item(
                line["id"],
                Task.model_validate(line["task"]),
                tuple(Message.model_validate(message) for message in line.get("messages", ())),
                line.get("raw", ""),
                line.get("cluster", ""),
                line.get("notes", {}),
            )
            for line in lines
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / ITEMS} cannot be read: {error}",
            code="E021",
            help="without its items a log cannot be judged again",
        ) from error


def write_log(
    folder: Path, manifest: Mapping[str, Any], samples: Iterable[Sample], items: Iterable[Item] = ()
) -> None:
    """Write a whole log at once, such as one that was judged anew.

    Raises:
        OutputError: R021, the folder holds something.
        StorageError: the disk refuses.
    """
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty", code="R021", help="choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / ITEMS, _item_lines(items))
        _put(
            folder / SAMPLES,
            b"".join(s.model_dump_json(exclude_defaults=True).encode() + b"\n" for s in samples),
        )
        write_json(folder / MANIFEST, {"forge_eval": FORMAT, **manifest})
    except OSError as error:
        raise _refused(folder, error) from error


def _item_lines(items: Iterable[Item]) -> bytes:
    lines = []
    for item in items:
        line: dict[str, Any] = {"id": item.id, "task": item.task.model_dump(exclude_defaults=True)}
        if item.messages:
            line["messages"] = [message.model_dump(exclude_defaults=True) for message in item.messages]
        for name in ("raw", "cluster", "notes"):
            if value := getattr(item, name):
                line[name] = dict(value) if isinstance(value, Mapping) else value
        lines.append(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    return b"".join(lines)


def _samples(path: Path, raw: bytes) -> Iterator[Sample]:
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield Sample.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{path}:{number}: no sample: {place}: {first['msg']}", code="E021", help="the log is damaged"
            ) from error


def _put(path: Path, lines: bytes) -> None:
    with arriving(path) as stream:
        stream.write(lines)


def _refused(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder} cannot be written: {error.strerror or error}",
        help="make room; what was written before is kept",
    )
