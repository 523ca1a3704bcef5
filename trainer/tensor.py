"""Tensor parallelism: every matrix of Llama and Qwen3 split over a few processes, by DTensor.

    q, k, v, gate, up     by columns: each process computes some heads, some of the width
    o, down               by rows: what the processes computed is added up
    embedding, output     by rows of the vocabulary; the loss knows (see `loss`)
    norms                 whole on every process

Between blocks activations are whole on every process. A block takes them as DTensors, so that the gradients of its
matrices are added up once, and not once a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import (
    DTensor,
    Partial,
    Placement,
    Replicate,
    Shard,
    distribute_module,
    distribute_tensor,
)
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)

from dataforge.errors import InputError
from trainer.config import StepConfig
from trainer.model import PackedLM


def split(model: PackedLM, mesh: DeviceMesh, config: StepConfig) -> None:
    """Split the matrices of a model over a mesh of one axis, in place.

    Raises:
        InputError: the architecture is another one, or something cannot be divided so (T015).
    """
    lm: Any = model.lm
    _check(lm.config, mesh.size(), config)
    for layer in model.layers():
        for path, style in ARCHITECTURES[lm.config.model_type].items():
            parallelize_module(attrgetter(path)(layer), mesh, style())
    parallelize_module(lm.base_model.norm, mesh, _Whole())
    embedding, output = lm.get_input_embeddings(), lm.get_output_embeddings()
    tied = output.weight is embedding.weight
    parallelize_module(embedding, mesh, _ByVocabulary())
    if tied:
        output.weight = embedding.weight
    else:
        parallelize_module(output, mesh, _ByVocabulary())
    model.vocabulary_group = mesh.get_group()


def _check(lm: Any, tensor: int, config: StepConfig) -> None:
    if lm.model_type not in ARCHITECTURES:
        raise InputError(
            f"mesh.tensor = {tensor}: models of the kind `{lm.model_type}` cannot be split by tensor",
            code="T015",
            help=f"only {' and '.join(ARCHITECTURES)} can: set mesh.tensor = 1 and leave it to mesh.shards",
        )
    if config.fp8 != "none":
        raise InputError(
            f"mesh.tensor = {tensor} and train.fp8 = {config.fp8} cannot be had together",
            code="T015",
            help="set mesh.tensor = 1 or train.fp8 = none",
        )
    for what in ("num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size"):
        if (count := getattr(lm, what)) % tensor:
            raise InputError(
                f"mesh.tensor = {tensor} does not divide {what} of the model: {count} / {tensor} is not whole",
                code="T015",
                help="choose a mesh.tensor that divides heads, key-value heads, width and vocabulary",
            )


class _Whole(ParallelStyle):
    """A module whose parameters every process holds whole.

    Where its input is a part (`layout`), so is the gradient of its parameters, and DTensor adds the parts up.
    """

    def __init__(self, layout: Placement | None = None) -> None:
        super().__init__()
        self.layout = layout or Replicate()

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        # PyTorch takes what hooks return, whatever its types say.
        def enter(_: nn.Module, inputs: Any, mesh: DeviceMesh) -> Any:
            return DTensor.from_local(inputs[0], mesh, [self.layout], run_check=False)

        def leave(_: nn.Module, output: Any, mesh: DeviceMesh) -> Any:
            return output.to_local()

        return distribute_module(module, device_mesh, None, enter, leave)


class _ByVocabulary(ParallelStyle):
    """An embedding or an output matrix of which every process holds some rows.

    The gradient of DTensor's own embedding has all rows on every process; here each computes that of its own.
    """

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        weight = cast("Tensor", module.weight)
        module.weight = nn.Parameter(distribute_tensor(weight, device_mesh, [Shard(0)]))
        if isinstance(module, nn.Embedding):
            module.forward = partial(_embed, module, device_mesh)  # type: ignore[method-assign]
        return module


def _embed(module: nn.Embedding, mesh: DeviceMesh, tokens: Tensor) -> Tensor:
    """Look up the tokens whose rows are here, and add up what all processes found."""
    rows = cast("DTensor", module.weight).to_local()
    first = mesh.get_local_rank() * len(rows)
    here = (tokens >= first) & (tokens < first + len(rows))
    # The row of the padding token, if it is here, learns nothing, as in PyTorch.
    padding = -1 if module.padding_idx is None else module.padding_idx - first
    found = F.embedding(
        torch.where(here, tokens - first, 0), rows, padding if 0 <= padding < len(rows) else None
    )
    return DTensor.from_local(found * here[..., None], mesh, [Partial()], run_check=False).full_tensor()


def _block(name: str) -> Callable[[], ParallelStyle]:
    """A block takes whole activations: as its argument of that name, or as its only one."""
    whole = Replicate()
    if name:
        return partial(
            PrepareModuleInput,
            input_kwarg_layouts={name: whole},
            desired_input_kwarg_layouts={name: whole},
        )
    return partial(PrepareModuleInput, input_layouts=(whole,), desired_input_layouts=(whole,))


_LLAMA: dict[str, Callable[[], ParallelStyle]] = {
    "input_layernorm": _Whole,
    "self_attn": _block("hidden_states"),
    "self_attn.q_proj": ColwiseParallel,
    "self_attn.k_proj": ColwiseParallel,
    "self_attn.v_proj": ColwiseParallel,
    "self_attn.o_proj": RowwiseParallel,
    "post_attention_layernorm": _Whole,
    "mlp": _block(""),
    "mlp.gate_proj": ColwiseParallel,
    "mlp.up_proj": ColwiseParallel,
    "mlp.down_proj": RowwiseParallel,
}
# Qwen3 normalises heads, [batch, sequence, heads, width], of which a process has some.
_HEAD_NORM = partial(_Whole, Shard(2))

ARCHITECTURES: dict[str, dict[str, Callable[[], ParallelStyle]]] = {
    "llama": _LLAMA,
    "qwen3": _LLAMA | {"self_attn.q_norm": _HEAD_NORM, "self_attn.k_norm": _HEAD_NORM},
}
"""By transformers' `model_type`: what becomes of each part of a layer."""
