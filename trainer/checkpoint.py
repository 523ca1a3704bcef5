"""What survives a crash.

    checkpoints/
      step-000100/             whole: it was renamed after everything in it had reached the disk
        checkpoint.json        step, configuration, digest of the data, mesh, versions, sizes of the other files, and
                               the hash of the index
        .metadata              torch's index of them: a pickle, so it is not read unless it is as it was written
        __0_0.distcp …         torch's distributed checkpoint: weights, optimizer and random numbers, sharded
      step-000200.partial/     being written, or what a crash left of it

A checkpoint is tensors by name, so it loads onto any mesh. Weights that leave the trainer are `export`'s.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from dataforge.errors import InputError, StorageError
from dataforge.files import sync
from trainer.config import Config, digest, mathematics
from trainer.disk import PARTIAL, cause, discard, reason, refused, replace
from trainer.model import PackedLM
from trainer.parallel import World

FORMAT = 1
MANIFEST = "checkpoint.json"
INDEX = ".metadata"

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class State:
    """Everything that a step changes.

    Attributes:
        step: steps done.
        trained_tokens: targets that the loss has seen.
    """

    model: PackedLM
    optimizer: torch.optim.Optimizer
    step: int = 0
    trained_tokens: int = 0


class Checkpoints:
    """The checkpoints of one run. All processes must call its methods alike; the main one alone touches names."""

    def __init__(self, folder: Path, world: World, config: Config, data_digest: str) -> None:
        self._folder = folder
        self._world = world
        self._config = config
        self._data_digest = data_digest
        # The thread that writes must not mix its messages with those of training.
        self._group = None if world.mesh is None else dist.new_group(backend="gloo")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._newest: int | None = None
        on_gpu = world.device.type == "cuda"
        self._stager = DefaultStager(StagingOptions(on_gpu, False, False, on_gpu))
        # A single process needs no process group, and is not to be told so at every checkpoint.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        self._by_main(self._clear)

    def save(self, state: State, *, background: bool) -> None:
        """Write a checkpoint, in the background if wished; at most one is being written at a time.

        In the background, only the copy to the memory of the CPU is waited for. An error there is raised by the next
        call of `save` or `finish`.

        Raises:
            StorageError: the disk refused (R021); the checkpoints before it are whole.
        """
        self.finish()
        if state.step == self._newest:
            return
        tensors = dict(_tensors(state, self._world))
        manifest = self._describe(state)
        if background:
            staged = cast("dict[str, Tensor]", self._stager.stage(tensors))
            self._writing = self._thread.submit(self._write, staged, manifest)
        else:
            self._write(tensors, manifest)

    def finish(self) -> None:
        """Wait for what is being written, and say so if it failed."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def resume(self, state: State) -> bool:
        """Load the newest whole checkpoint into `state`, on whatever mesh it is. False where there is none.

        One that is damaged is passed over, with a warning.

        Raises:
            InputError: it belongs to another configuration or other data (T011), or all are damaged (T012).
        """
        damaged: dict[str, str] = {}
        while found := self._by_main(lambda: self._candidate(damaged)):
            folder, manifest = found
            try:
                _load(state, folder, self._world, self._group)
            except CheckpointException as error:
                self._pass_over(damaged, folder, error)
                continue
            state.step, state.trained_tokens = manifest["step"], manifest["trained_tokens"]
            self._newest = state.step
            return True
        return False

    def _candidate(self, damaged: dict[str, str]) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint that looks whole and belongs to this run, or None where there never was one."""
        names = self._names()
        for name in reversed(names):
            if name in damaged:
                continue
            folder = self._folder / name
            try:
                manifest = _read_manifest(folder)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._pass_over(damaged, folder, error)
                continue
            self._check_same_run(folder, manifest)
            return folder, manifest
        if names:
            raise InputError(
                f"{self._folder}: no checkpoint in it is whole: "
                + "; ".join(f"{name}: {damaged[name]}" for name in names),
                code="T012",
                help="put one of them back from a copy, or start anew in another folder",
            )
        return None

    def _pass_over(self, damaged: dict[str, str], folder: Path, error: BaseException) -> None:
        damaged[folder.name] = reason(error)
        if self._world.main:
            _log.warning("%s is damaged, and is passed over: %s", folder, damaged[folder.name])

    def _check_same_run(self, folder: Path, manifest: dict[str, Any]) -> None:
        here = json.loads(json.dumps(mathematics(self._config)))
        there = manifest["config"]
        differ = [
            f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
            for key in sorted(here.keys() | there.keys())
            if there.get(key) != here.get(key)
        ]
        if differ:
            raise InputError(
                f"{folder} is a checkpoint of another configuration: {'; '.join(differ)}",
                code="T011",
                help="go on with the values that it was begun with, or train in another folder",
            )
        if manifest["data"] != self._data_digest:
            raise InputError(
                f"{folder} is a checkpoint of other data: of the packed set {manifest['data']}, and this is "
                f"{self._data_digest}",
                code="T011",
                help="go on with the data that it was begun with, or train in another folder",
            )

    def _describe(self, state: State) -> dict[str, Any]:
        mesh = self._world.mesh
        return {
            "format": FORMAT,
            "step": state.step,
            "trained_tokens": state.trained_tokens,
            "config": mathematics(self._config),
            "config_digest": digest(self._config),
            "data": self._data_digest,
            "mesh": [1, 1, 1] if mesh is None else list(mesh.shape),
            "versions": {name: version(name) for name in ("dataforge-compiler", "torch", "transformers")},
        }

    def _write(self, tensors: dict[str, Tensor], manifest: dict[str, Any]) -> None:
        """Write, seal, and let the oldest go."""
        folder = self._folder / f"step-{manifest['step']:06d}"
        part = folder.with_suffix(PARTIAL)
        try:
            writer = _Writer(part)
            save(tensors, storage_writer=writer, process_group=self._group, no_dist=self._group is None)
        except CheckpointException as error:
            self._by_main(lambda: discard(part))
            failure = cause(error)
            if isinstance(failure, OSError):
                raise refused(folder, failure) from error
            raise RuntimeError(f"{folder}: {reason(failure)}") from error
        self._by_main(lambda: self._seal(part, folder, manifest))
        self._newest = manifest["step"]

    def _seal(self, part: Path, folder: Path, manifest: dict[str, Any]) -> None:
        try:
            manifest["files"] = {file.name: file.stat().st_size for file in sorted(part.iterdir())}
            manifest["index"] = _hash(part / INDEX)
            (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            sync(part / MANIFEST)
            # There is one of this name only where it was damaged, and passed over when the run was resumed.
            replace(folder, part)
            names = self._names()
            # What has a later step was passed over: it must not count as one of those that are kept.
            whole = names[: names.index(folder.name) + 1]
            for name in whole[: -self._config.checkpoint.keep]:
                discard(self._folder / name)
        except OSError as error:
            discard(part)
            raise refused(folder, error) from error

    def _names(self) -> list[str]:
        """Of the checkpoints, the oldest first."""
        found = [file.name for file in self._folder.iterdir() if re.fullmatch(r"step-\d{6,}", file.name)]
        return sorted(found, key=lambda name: int(name.removeprefix("step-")))

    def _clear(self) -> None:
        """Make the folder, and remove what a crash left unfinished."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob(f"step-*{PARTIAL}"):
                discard(left)
        except OSError as error:
            raise refused(self._folder, error) from error

    def _by_main(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises on the main process, on every process."""
        outcome: list[Any] = [None, None]
        if self._world.main:
            try:
                outcome[0] = work()
            except (InputError, StorageError, OSError) as error:
                outcome[1] = error
        if self._group is not None:
            dist.broadcast_object_list(outcome, src=0, group=self._group)
        if outcome[1] is not None:
            raise outcome[1]
        return cast("T", outcome[0])


class _Writer(FileSystemWriter):
    """Says what the disk said. torch hides that behind its surprise at the length of the file."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Any:
        try:
            return super().write_data(plan, planner)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def _tensors(state: State, world: World) -> Iterator[tuple[str, Tensor]]:
    """Everything that a step changes, by name: `model.lm.…`, `optimizer.lm.….exp_avg`, `random.0.cpu`."""
    for name, parameter in state.model.named_parameters():
        yield f"model.{name}", parameter.detach()
        for key, value in state.optimizer.state.get(parameter, {}).items():
            yield f"optimizer.{name}.{key}", value
    yield f"random.{world.rank}.cpu", torch.get_rng_state()
    if world.device.type == "cuda":
        yield f"random.{world.rank}.cuda", torch.cuda.get_rng_state(world.device)


def _load(state: State, folder: Path, world: World, group: dist.ProcessGroup | None) -> None:
    """Read a checkpoint into the state. Weights are read in place, each process its own part."""
    saved: dict[str, Any] = dict(FileSystemReader(folder).read_metadata().state_dict_metadata)
    parameters = dict(state.model.named_parameters())
    tensors: dict[str, Tensor] = {f"model.{name}": p.detach() for name, p in parameters.items()}
    there = {name: list(entry.size) for name, entry in saved.items() if name.startswith("model.")}
    here = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if differ := sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name)):
        raise InputError(
            f"{folder} is a checkpoint of another model: {differ[0].removeprefix('model.')} is "
            f"{there.get(differ[0])} there and {here.get(differ[0])} here",
            code="T011",
            help="go on with the model that it was begun with, or train in another folder",
        )
    optimizer: dict[nn.Parameter, dict[str, Tensor]] = {}
    fused = any(bool(g.get("fused") or g.get("capturable")) for g in state.optimizer.param_groups)
    for name, entry in saved.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            of, _, key = rest.rpartition(".")
            parameter = parameters[of]
            if entry.size == parameter.shape:
                room = torch.zeros_like(parameter, dtype=entry.properties.dtype, requires_grad=False)
            else:
                device = parameter.device if fused else torch.device("cpu")
                room = torch.zeros(entry.size, dtype=entry.properties.dtype, device=device)
            optimizer.setdefault(parameter, {})[key] = tensors[name] = room
        elif kind == "random" and rest.startswith(f"{world.rank}."):
            tensors[name] = torch.zeros(entry.size, dtype=torch.uint8)
    load(
        tensors,
        storage_reader=FileSystemReader(folder),
        process_group=group,
        no_dist=group is None,
    )
    state.optimizer.state.clear()
    for parameter, kept in optimizer.items():
        state.optimizer.state[parameter] = kept
    if (random := tensors.get(f"random.{world.rank}.cpu")) is not None:
        torch.set_rng_state(random)
    if (random := tensors.get(f"random.{world.rank}.cuda")) is not None and world.device.type == "cuda":
        torch.cuda.set_rng_state(random, world.device)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose files are all there and of their size, the index with the same content.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: it is damaged, and how.
    """
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    if manifest["format"] != FORMAT:
        raise ValueError(f"its format is {manifest['format']}, and this version reads {FORMAT}")
    for name, size in manifest["files"].items():
        found = (folder / name).stat().st_size
        if found != size:
            raise ValueError(f"{name} has {found} bytes of {size}")
    if _hash(folder / INDEX) != manifest["index"]:
        raise ValueError(f"{INDEX} is not what was written")
    if not {"step", "trained_tokens", "config", "data"} <= manifest.keys():
        raise ValueError(f"{MANIFEST} is not what was written")
    return manifest


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
