"""Weights and tokenizers from where they are, and the module that turns a batch into a loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import PreTrainedModel

from trainer.attention import Backend
from trainer.batch import Batch
from trainer.config import ModelConfig, StepConfig


def load_tokenizer(config: ModelConfig) -> Any:
    """The tokenizer of a model.

    Raises:
        InputError: it cannot be found or read (T014).
    """
    raise NotImplementedError


def load_model(config: ModelConfig, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model with its weights, on the CPU.

    Raises:
        InputError: it cannot be found, read, or is no causal language model (T014).
    """
    raise NotImplementedError


def check_match(model: PreTrainedModel, tokenizer: Any) -> None:
    """Refuse a tokenizer whose ids the model has no embedding for, or whose special tokens it calls otherwise.

    Raises:
        InputError: they do not belong together (T006).
    """
    raise NotImplementedError


class PackedLM(nn.Module):
    """A causal language model that takes packed batches and returns their loss.

    The loss is computed inside `forward`, so that whoever shards the parameters gathers them around it too.

    Attributes:
        lm: the transformers model, with attention by documents installed.
    """

    def __init__(self, lm: PreTrainedModel, backend: Backend, config: StepConfig) -> None:
        super().__init__()
        raise NotImplementedError

    vocabulary_group: dist.ProcessGroup | None = None
    """Set by `parallel` where the output matrix is split by vocabulary."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Summed loss over the trained targets of a batch, and the loss at each position (detached)."""
        raise NotImplementedError

    def layers(self) -> list[nn.Module]:
        """The decoder layers, first to last: the unit of sharding, recomputation and compilation."""
        raise NotImplementedError


def prepare_layers(model: PackedLM, config: StepConfig) -> None:
    """Recomputation, low precision products and compilation of every layer, as configured, before sharding.

    Raises:
        InputError: a package or a device that this needs is not there (T013).
    """
    raise NotImplementedError


def build_optimizer(model: nn.Module, config: Any) -> torch.optim.Optimizer:
    """AdamW, fused where the device allows it, without weight decay on vectors (norms, biases) and embeddings."""
    raise NotImplementedError


def learning_rate(config: Any, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of `steps`: linear warm-up, then the schedule down to `min_lr · lr`."""
    raise NotImplementedError
