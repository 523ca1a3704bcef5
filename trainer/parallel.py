"""Many processes: a device mesh, FSDP2 and tensor parallelism, applied to a model that knows nothing of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from trainer.config import MeshConfig, StepConfig
from trainer.model import PackedLM


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
        InputError: the mesh does not fit the number of processes (T015).
    """
    raise NotImplementedError


def leave(world: World) -> None:
    """Tear the process group down."""
    raise NotImplementedError


def parallelize(model: PackedLM, world: World, config: StepConfig) -> PackedLM:
    """Split the model over the mesh: tensor parallel first, then FSDP2 layer by layer. Gradients are *summed*.

    Raises:
        InputError: heads or widths cannot be split so (T015).
    """
    raise NotImplementedError


def sum_over_data(value: Tensor, world: World) -> Tensor:
    """The sum of a tensor over all parts of the global batch."""
    raise NotImplementedError


def clip_gradients(model: PackedLM, limit: float) -> Tensor:
    """Scale gradients to a norm of at most `limit` (0: leave them), over all shards. Returns the norm before."""
    raise NotImplementedError
