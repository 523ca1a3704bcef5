"""Attention that stays inside documents, behind one interface.

    documents   a loop over documents of causal scaled dot products: any device; on CPUs the cheapest there is
    flex        FlexAttention with a block mask that is built once a batch (CUDA)
    varlen      torch.nn.attention.varlen (CUDA)

transformers tells packed rows apart by their position ids only where no cache and no mask is in its way, and mixes
documents without a word elsewhere. So ours is registered under a name of its own, takes the documents' bounds
explicitly, and refuses whatever would not be honoured.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from trainer.batch import Batch

Backend = Literal["documents", "flex", "varlen"]


def choose(asked: Literal["auto", "documents", "flex", "varlen"], device: torch.device) -> Backend:
    """The backend to use.

    Raises:
        InputError: the one that was asked for cannot train on this device (T013).
    """
    raise NotImplementedError


def install(model: PreTrainedModel, backend: Backend) -> None:
    """Make the model attend by documents, and make every call that would mix them raise (T009)."""
    raise NotImplementedError


def arguments(batch: Batch, backend: Backend) -> dict[str, Any]:
    """The keyword arguments with which an installed model must be called for a batch, besides `input_ids`.

    Positions, `use_cache=False`, and the documents in the form that the backend takes.
    """
    raise NotImplementedError
