"""The module that turns a batch into a loss, made ready to be trained: recomputation, low precision, an optimizer.

The transformers model stays as it is. Only its decoder is called; the loss is taken from the hidden states and the output
matrix, so that logits never stand in memory whole.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from dataforge.errors import InputError
from trainer import loss
from trainer.attention import Backend, arguments, install
from trainer.batch import Batch
from trainer.config import OptimizerConfig, StepConfig


class PackedLM(nn.Module):
    """A causal language model that takes packed batches and returns their loss.

    The loss is computed inside `forward`, so that whoever shards the parameters gathers them around it too.

    Attributes:
        lm: the transformers model, with attention by documents installed.

    Raises:
        InputError: documents cannot be kept apart in this model, its logits are no plain product, or the loss that was
            asked for is not there (T013).
    """

    def __init__(self, lm: PreTrainedModel, backend: Backend, config: StepConfig) -> None:
        super().__init__()
        install(lm, backend)
        self.lm = lm
        self.backend: Backend = backend
        self.chunk = config.loss_chunk
        self.cross_entropy = loss.choose(config.loss)
        self.autocast = config.precision == "autocast"
        self.scale, self.softcap = _logits(lm)

    vocabulary_group: dist.ProcessGroup | None = None
    """Set by `parallel` where the output matrix is split by vocabulary."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Summed loss over the trained targets of a batch, and the loss at each position (detached)."""
        decoder = self.lm.base_model
        with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=self.autocast):
            hidden = decoder(input_ids=batch.tokens, **arguments(batch, self.backend)).last_hidden_state[0]
            weight = self.lm.get_output_embeddings().weight  # type: ignore[no-untyped-call]
            return self.cross_entropy(
                hidden,
                weight.to_local() if isinstance(weight, DTensor) else weight,
                batch.targets,
                chunk=self.chunk,
                group=self.vocabulary_group,
                scale=self.scale,
                softcap=self.softcap,
            )

    def layers(self) -> list[nn.Module]:
        """The decoder layers, first to last: the unit of sharding, recomputation and compilation."""
        count = self.lm.config.num_hidden_layers
        for module in self.lm.base_model.modules():
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return list(module)
        raise InputError(
            f"{type(self.lm).__name__} has no list of {count} decoder layers",
            code="T013",
            help="train without recompute, compile and fp8, in one process, or take another architecture",
        )


def _logits(lm: PreTrainedModel) -> tuple[float, float | None]:
    """The factor and the cap by which a model's logits differ from a product of hidden states and output matrix."""
    config = lm.config
    head = lm.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is None or getattr(head, "bias", None) is not None:
        raise InputError(
            f"the output layer of {type(lm).__name__} is no plain matrix, and the loss is taken from it",
            code="T013",
            help="take a model whose logits are a product of hidden states and a matrix, as Llama and Qwen3 have it",
        )
    # Granite divides, Cohere multiplies, Gemma caps.
    scale = getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
    return scale, getattr(config, "final_logit_softcapping", None)


def prepare_layers(model: PackedLM, config: StepConfig) -> None:
    """Recomputation, low precision products and compilation of every layer, as configured, before sharding.

    Raises:
        InputError: a package or a device that this needs is not there (T013).
    """
    if config.fp8 == "none" and not config.recompute and not config.compile:
        return
    layers = model.layers()
    if config.fp8 != "none":
        _quantize(layers, config.fp8)
    for layer in layers:
        # On the instance: names of parameters stay, and the hooks of FSDP lie outside of what is compiled.
        if config.compile:
            layer.forward = torch.compile(layer.forward)
        if config.recompute:
            layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)


def _quantize(layers: list[nn.Module], kind: Literal["float8", "mxfp8"]) -> None:
    """Let torchao compute the matrix products of the layers in eight bits; the output matrix is left as it is."""
    least = (8, 9) if kind == "float8" else (10, 0)
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < least:
        raise InputError(
            f"train.fp8 = '{kind}' needs a CUDA device of compute capability {least[0]}.{least[1]} or later",
            code="T013",
            help="write train.fp8 = 'none'",
        )

    def divisible(module: nn.Module, name: str) -> bool:
        return (
            isinstance(module, nn.Linear) and module.in_features % 32 == 0 and module.out_features % 32 == 0
        )

    try:
        for layer in layers:
            if kind == "float8":
                from torchao.float8 import Float8LinearConfig, convert_to_float8_training

                recipe = Float8LinearConfig.from_recipe_name("rowwise")
                convert_to_float8_training(layer, config=recipe, module_filter_fn=divisible)
            else:
                from torchao.prototype.moe_training.config import MXFP8TrainingOpConfig
                from torchao.quantization import quantize_

                quantize_(layer, MXFP8TrainingOpConfig(), filter_fn=divisible)
    except (ImportError, AssertionError) as error:
        raise InputError(
            f"train.fp8 = '{kind}' needs torchao and a PyTorch that it knows: {error}",
            code="T013",
            help="pip install torchao, or write train.fp8 = 'none'",
        ) from error


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW, fused, without weight decay on vectors (norms, biases) and embeddings.

    An output matrix that is tied to the embedding is the embedding. The fused step is elementwise, and as deterministic
    on a CPU as any other.
    """
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            matrix = parameter.ndim >= 2 and id(parameter) not in embeddings
            (decayed if matrix else spared).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": spared, "weight_decay": 0.0},
        ],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of `steps`: linear warm-up, then the schedule down to `min_lr · lr`.

    As transformers' schedules have it, so that curves can be laid side by side: step 0 of a warm-up has rate 0, step
    `warmup_steps` the peak.
    """
    warmup = config.warmup_steps
    if step < warmup:
        return config.lr * step / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    left = {
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "linear": 1 - progress,
        "constant": 1.0,
    }[config.schedule]
    return config.lr * (config.min_lr + (1 - config.min_lr) * left)
