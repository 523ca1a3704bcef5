"""Many processes: a device mesh, FSDP2 and tensor parallelism, applied to a model that knows nothing of them.

    mesh        replicas × shards × tensor     the processes that torchrun started, innermost last
    tensor      splits each matrix and the vocabulary (see `tensor`)
    shards      FSDP2 splits weights, gradients and optimizer, layer by layer
    replicas    copies of all that (HSDP)

Replicas and shards are data parallel: each of them computes its own part of the global batch. Gradients are summed over
the parts, never averaged, since the loss of a part is divided by the trained tokens of the whole batch. All processes
must compute the same number of micro-batches; how many documents and tokens are in them doesn't matter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from dataforge.errors import InputError
from trainer.config import MeshConfig, StepConfig
from trainer.model import PackedLM
from trainer.tensor import split


@dataclass(frozen=True, slots=True)
class World:
    """This process's place.

    Attributes:
        rank, size: of all processes.
        device: where this process computes.
        mesh: axes `replicas`, `shards`, `tensor`; None for a single process, which needs no collectives.
        data_rank, data_size: this process's part of every global batch: tensor-parallel processes share one.
    """

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh | None
    data_rank: int
    data_size: int

    @property
    def main(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0


def join(config: MeshConfig) -> World:
    """Join the processes that `torchrun` started, or stand alone without it.

    Raises:
        InputError: the mesh does not fit the number of processes (T015), or a process has no GPU to itself (T013).
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    replicas, shards, tensor = _shape(config, size)
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        return World(0, 1, device, None, 0, 1)
    if not dist.is_initialized():
        # Checkpoints are written by a thread with a process group of its own on the CPU, beside NCCL.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    mesh = init_device_mesh(
        device.type, (replicas, shards, tensor), mesh_dim_names=("replicas", "shards", "tensor")
    )
    data_rank = mesh.get_local_rank("replicas") * shards + mesh.get_local_rank("shards")
    return World(dist.get_rank(), size, device, mesh, data_rank, replicas * shards)


def leave(world: World) -> None:
    """Tear the process group down."""
    if world.mesh is not None:
        dist.destroy_process_group()


def parallelize(model: PackedLM, world: World, config: StepConfig) -> PackedLM:
    """Move the model to its device and split it over the mesh: by tensor first, then by FSDP2 layer by layer.

    With `autocast`, layers are gathered in bf16 from shards in fp32. Gradients are always summed in fp32.

    Raises:
        InputError: heads or widths cannot be split so (T015).
    """
    if world.mesh is None:
        return model.to(world.device)
    if world.mesh["tensor"].size() > 1:
        split(model, world.mesh["tensor"], config)
    data = world.mesh["replicas", "shards"] if world.mesh["replicas"].size() > 1 else world.mesh["shards"]
    half = torch.bfloat16 if config.precision == "autocast" else None
    for layer in model.layers():
        # Gathered in the precision that autocast computes in; what flows between layers is left as it is.
        policy = MixedPrecisionPolicy(half, reduce_dtype=torch.float32, cast_forward_inputs=False)
        fully_shard(layer, mesh=data, mp_policy=policy)
    # What is outside the layers (embedding, last norm, output matrix) stays gathered from forward to backward.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    fully_shard(model, mesh=data, mp_policy=policy, reshard_after_forward=False)
    for part in _sharded(model):
        part.set_gradient_divide_factor(1.0)
        # Gloo can only sum; and NCCL has nothing to scale where the factor is 1.
        part.set_force_sum_reduction_for_comms(True)
    return model


def announce(model: PackedLM, *, last: bool) -> None:
    """Say whether the micro-batch to come is the last of its step: only then are gradients summed over replicas.

    Over shards they are summed after every micro-batch, since keeping whole gradients until the last would undo the
    sharding: 4 bytes a parameter, 280 GB for 70B. What waits here for the last is the shard's part.
    """
    for part in _sharded(model):
        part.set_requires_all_reduce(last, recurse=False)


def sum_over_data(value: Tensor, world: World) -> Tensor:
    """The sum of a tensor over all parts of the global batch, on this process's device."""
    total = value.to(world.device, copy=True)
    if world.mesh is not None:
        for axis in ("shards", "replicas"):
            dist.all_reduce(total, group=world.mesh.get_group(axis))
    return total


def clip_gradients(model: PackedLM, limit: float) -> Tensor:
    """Scale gradients to a norm of at most `limit` (0: leave them), over all shards. Returns the norm before.

    Each process takes the squares of the gradients it holds, divided by the number of processes that hold the same, and
    the sum over all processes is the squared norm, on any mesh and by one collective of one number.
    """
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    held = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
    norms = torch.stack(torch._foreach_norm(held, dtype=torch.float32)).double()
    copies = torch.tensor([_copies(g) for g in gradients], dtype=torch.float64, device=norms.device)
    squared = (norms.square() / copies).sum()
    if any(isinstance(g, DTensor) for g in gradients):
        dist.all_reduce(squared)
    norm = squared.sqrt().float()
    if limit > 0:
        torch._foreach_mul_(held, (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm


def _shape(config: MeshConfig, size: int) -> tuple[int, int, int]:
    """The mesh for a number of processes."""
    replicas, shards, tensor = config.replicas, config.shards, config.tensor
    others = replicas * tensor
    if shards == 0 and size % others == 0:
        shards = size // others
    if replicas * shards * tensor == size:
        return replicas, shards, tensor
    if shards == 0:
        product = f"replicas × tensor = {replicas} × {tensor} = {others}, and {size} / {others} is not whole"
    else:
        product = f"replicas × shards × tensor = {replicas} × {shards} × {tensor} = {others * shards}"
    raise InputError(
        f"the mesh does not fit {size} process{'es' if size > 1 else ''}: {product}",
        code="T015",
        help="change [mesh] (shards = 0 takes what the others leave), or the number that torchrun starts",
    )


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise InputError(
            f"process {local_rank} of this machine has no GPU to itself: there are {torch.cuda.device_count()}",
            code="T013",
            help="start at most one process a GPU, or hide the GPUs with CUDA_VISIBLE_DEVICES= to train on CPUs",
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def _sharded(model: nn.Module) -> Iterable[FSDPModule]:
    return (module for module in model.modules() if isinstance(module, FSDPModule))


def _copies(gradient: Tensor) -> int:
    """How many processes hold the same values of a gradient."""
    if not isinstance(gradient, DTensor):
        return 1
    sizes = zip(gradient.device_mesh.shape, gradient.placements, strict=True)
    return math.prod(size for size, placement in sizes if placement.is_replicate())
