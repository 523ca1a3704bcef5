"""One start of two processes that talk by gloo, for all tests that need two: most of its cost is importing torch.

`started` runs this file, which forks into both once all is imported, with the environment that torchrun sets. They meet
once, lay themselves out in one mesh after the other, and write what came of each for the tests to look at. A third one
goes through `crash_points`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import MistralConfig, MistralForCausalLM

from dataforge.errors import DataForgeError
from trainer.batch import collate
from trainer.checkpoint import Checkpoints, State
from trainer.config import Config, MeshConfig, OptimizerConfig, StepConfig
from trainer.export import export
from trainer.model import PackedLM, build_optimizer
from trainer.packed import Row
from trainer.parallel import World, announce, clip_gradients, join, leave, parallelize, sum_over_data
from trainer.tiny import tiny_model, tiny_tokenizer

LENGTHS = (71, 40, 71, 40)
"""Of the rows of a batch. DTensor plans every operation anew for each length, so they are few."""
CLIP = 0.5
DATA = "0123456789abcdef"
OPTIMIZER = OptimizerConfig(lr=1e-3, eps=1e-5)
"""Small gradients should not be blown up to steps of full size, since the order of a sum is in them."""


@dataclass(frozen=True)
class Case:
    """A mesh, and what is trained on it."""

    mesh: MeshConfig
    family: Any = "llama"
    precision: Any = "fp32"
    changes: dict[str, Any] = field(default_factory=dict)


CASES = {
    "shards": Case(MeshConfig(shards=2)),
    "replicas": Case(MeshConfig(replicas=2)),
    "tensor": Case(MeshConfig(tensor=2)),
    "tensor, Qwen3, tied": Case(MeshConfig(tensor=2), "qwen3", changes={"tie_word_embeddings": True}),
    "shards, tied": Case(MeshConfig(), changes={"tie_word_embeddings": True}),
    "shards, autocast": Case(MeshConfig(shards=2), precision="autocast"),
}


@dataclass
class Curve:
    """What is compared: losses, norms and gradients of each step, and the weights at the end."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)


def batch(step: int) -> list[Row]:
    """The rows of a global batch, of one to five documents each."""
    random = np.random.default_rng(step)
    rows = []
    for length in LENGTHS:
        starts = np.sort(random.choice(np.arange(1, length), random.integers(0, 5), replace=False))
        lengths = np.diff([0, *starts, length]).astype(np.int32)
        trained = random.random(length) < 0.6
        trained[[0, *starts]] = False
        tokens = random.integers(0, 263, length).astype(np.int32)
        rows.append(Row(tokens, trained, lengths, np.arange(len(lengths)), np.zeros(len(lengths), np.int32)))
    return rows


def new_state(world: World, case: Case) -> State:
    config = StepConfig(precision=case.precision)
    model = PackedLM(tiny_model(case.family, **case.changes), "documents", config)
    model.train()
    model = parallelize(model, world, config)
    return State(model, build_optimizer(model, OPTIMIZER))


def take_step(state: State, world: World, curve: Curve | None = None) -> None:
    """A step of the optimizer over this process's rows, a micro-batch each."""
    batches = [collate([row]) for row in batch(state.step)]
    trained = sum(b.trained for b in batches)
    share = batches[world.data_rank :: world.data_size]
    total = torch.zeros(())
    for at, part in enumerate(share):
        announce(state.model, last=at == len(share) - 1)
        loss, _ = state.model(part)
        (loss / trained).backward()
        total += loss.detach()
    total = sum_over_data(total, world)
    gradients = {name: whole(p.grad) for name, p in state.model.named_parameters() if p.grad is not None}
    norm = clip_gradients(state.model, CLIP)
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.step += 1
    state.trained_tokens += trained
    if curve is not None:
        curve.losses.append(float(total) / trained)
        curve.norms.append(float(norm))
        curve.gradients.append(gradients)


def whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().clone()


def weights(state: State) -> dict[str, Tensor]:
    return {name: whole(p) for name, p in state.model.named_parameters()}


def train(world: World, case: Case, steps: int = 3) -> Curve:
    state, curve = new_state(world, case), Curve()
    for _ in range(steps):
        take_step(state, world, curve)
    curve.weights = weights(state)
    return curve


def resumed(world: World, case: Case, folder: Path) -> State:
    state = new_state(world, case)
    assert Checkpoints(folder, world, Config(), DATA).resume(state)
    return state


def one_more(world: World, case: Case, folder: Path) -> dict[str, Tensor]:
    """The weights after one step more than a checkpoint has."""
    state = resumed(world, case, folder)
    take_step(state, world)
    return weights(state)


def outcome(factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """What the main process found, what the other one found, and the folder with their checkpoints.

    `one` and `export-one` in it are this process's: the state after two steps.
    """
    return _outcome(factory.getbasetemp() / "two-processes")


@functools.cache
def _outcome(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    folder.mkdir()
    alone = join(MeshConfig())
    state = new_state(alone, CASES["shards"])
    for _ in range(2):
        take_step(state, alone)
    Checkpoints(folder / "one", alone, Config(), DATA).save(state, background=False)
    export(state, tiny_tokenizer(), folder / "export-one", alone)
    started(folder)
    found: list[dict[str, Any]] = [torch.load(folder / f"results-{rank}.pt") for rank in range(2)]
    for results in found:
        results |= {name: Curve(**results[name]) for name in CASES}
    return found[0], found[1], folder


def started(folder: Path) -> None:
    """Run all cases below in two processes, and the crashes in a third."""
    root = Path(__file__).parents[2]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
    }
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        errors = process.communicate(timeout=900)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors


def main(folder: Path) -> None:
    from crash_points import main as crash

    torch.set_num_threads(1)
    forked(
        functools.partial(as_rank, 0, folder),
        functools.partial(as_rank, 1, folder),
        functools.partial(crash, folder / "crashes"),
    )


def forked(*works: Callable[[], None]) -> None:
    """Do everything at once, each in a process of its own."""
    for work in works:
        if os.fork() == 0:
            work()
            os._exit(0)
    sys.exit(max(os.wait()[1] for _ in works) != 0)


def as_rank(rank: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        results[name] = vars(train(join(case.mesh), case))
    one, shards, tensor = folder / "one", CASES["shards"], CASES["tensor"]

    world = join(shards.mesh)
    results["documents"] = sum(len(row.lengths) for row in batch(0)[world.data_rank :: 2])
    results["resumed"] = goes_on(world, shards, folder / "shards")
    results["one to shards"] = one_more(world, shards, one)
    export(resumed(world, shards, one), tiny_tokenizer(), folder / "export-shards", world)
    results["full disk"] = full_disk(world, shards, folder / "full")
    results["other data"] = refused(
        lambda: Checkpoints(one, world, Config(), "other").resume(new_state(world, shards))
    )

    split = join(tensor.mesh)
    results["shards to tensor"] = one_more(split, tensor, folder / "shards")
    export(resumed(split, tensor, one), tiny_tokenizer(), folder / "export-tensor", split)
    results["three heads"] = refused(lambda: new_state(split, Case(tensor.mesh, "smollm2")))
    results["another kind"] = refused(lambda: parallelize(mistral(), split, StepConfig()))
    plain = PackedLM(tiny_model(), "documents", StepConfig())
    results["fp8"] = refused(lambda: parallelize(plain, split, StepConfig(fp8="float8")))
    leave(world)
    torch.save(results, folder / f"results-{world.rank}.pt")


def goes_on(world: World, case: Case, folder: Path) -> bool:
    """Whether going on from a checkpoint, which was written meanwhile, gives the bits of going on without one."""
    checkpoints = Checkpoints(folder, world, Config(), DATA)
    state = new_state(world, case)
    for _ in range(2):
        take_step(state, world)
    checkpoints.save(state, background=True)
    take_step(state, world)
    checkpoints.finish()
    again = one_more(world, case, folder)
    return all(torch.equal(a, again[name]) for name, a in weights(state).items())


def full_disk(world: World, case: Case, folder: Path) -> list[Any]:
    """A disk that is full for the other process alone: both hear of it, and the next checkpoint is whole."""
    checkpoints = Checkpoints(folder, world, Config(), DATA)
    state = new_state(world, case)
    take_step(state, world)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if world.rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    checkpoints.save(state, background=True)
    heard = refused(checkpoints.finish)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = sorted(file.name for file in folder.iterdir())
    dist.barrier()
    checkpoints.save(state, background=False)
    return [heard, left, resumed(world, case, folder).step]


def refused(work: Any) -> tuple[str, str] | None:
    try:
        work()
    except DataForgeError as error:
        return error.code, error.message
    return None


def mistral() -> PackedLM:
    shape = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    config = MistralConfig(**shape, num_attention_heads=2, num_key_value_heads=2, sliding_window=None)
    return PackedLM(MistralForCausalLM(config), "documents", StepConfig())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
