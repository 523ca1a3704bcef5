"""Packed rows as tensors, in the one form that the model, its attention and its loss understand.

Rows of a micro-batch are laid end to end in a batch of one: documents are told apart by their lengths, never by a batch
dimension, so nothing is padded unless a compiled kernel asks for a fixed length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dataforge.errors import InputError
from trainer.packed import Row
from trainer.samples import IGNORED


@dataclass(frozen=True, slots=True)
class Documents:
    """Where documents begin and end in a batch: what attention needs to keep them apart.

    Attributes:
        lengths: of the documents, in order. Padding, if any, is the last one.
        bounds: int32 `[documents + 1]` on the device of the batch: cumulative lengths from 0.
        longest: the largest length, or the fixed row length where one was asked for.
    """

    lengths: tuple[int, ...]
    bounds: Tensor
    longest: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch.

    Attributes:
        tokens: int64 `[1, total]`.
        positions: int64 `[1, total]`, from 0 in each document.
        targets: int64 `[total]`: the token to predict *at* a position, `IGNORED` where the loss does not look. Shifted:
            `targets[i]` is token `i + 1` of the same document.
        kinds: int64 `[total]`: kind of the sample at a position.
        documents: their bounds.
        trained: how many targets are not `IGNORED`.
        padding: tokens at the end that belong to nobody.
    """

    tokens: Tensor
    positions: Tensor
    targets: Tensor
    kinds: Tensor
    documents: Documents
    trained: int
    padding: int = 0

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        tokens, positions, targets, kinds, bounds = (
            tensor.to(device, non_blocking=True)
            for tensor in (self.tokens, self.positions, self.targets, self.kinds, self.documents.bounds)
        )
        documents = replace(self.documents, bounds=bounds)
        return Batch(tokens, positions, targets, kinds, documents, self.trained, self.padding)


def collate(rows: Sequence[Row], *, fixed: int = 0, pad_token: int = 0) -> Batch:
    """Lay rows end to end.

    Args:
        rows: of a packed set.
        fixed: pad the batch to this many tokens, for kernels that are compiled for one length; 0 leaves it as it is.
        pad_token: what to pad with.

    Raises:
        InputError: the rows are longer than `fixed`, do not add up, or train a document's first token, which nothing of
            it could predict (T007).
    """
    tokens = np.concatenate([row.tokens for row in rows]).astype(np.int64)
    trained = np.concatenate([row.trained for row in rows])
    lengths = np.concatenate([row.lengths for row in rows]).astype(np.int64)
    kinds = np.repeat(np.concatenate([row.kinds for row in rows]).astype(np.int64), lengths)
    firsts = np.cumsum(lengths) - lengths
    if len(kinds) != len(tokens) or trained[firsts].any():
        raise InputError(
            "a packed row is damaged: its documents do not add up to its tokens, or one trains its first token",
            code="T007",
            help="pack the data anew",
        )
    if fixed and len(tokens) > fixed:
        raise InputError(
            f"packed rows of {len(tokens)} tokens do not fit a batch of {fixed}",
            code="T007",
            help="the packed set is damaged: make it again",
        )
    # The first token of a document is never trained, so the shift never lets one document predict the next.
    targets = np.full(len(tokens), IGNORED, np.int64)
    targets[:-1] = np.where(trained[1:], tokens[1:], IGNORED)
    if (padding := max(0, fixed - len(tokens))) > 0:
        lengths = np.append(lengths, padding)
        tokens = np.pad(tokens, (0, padding), constant_values=pad_token)
        targets = np.pad(targets, (0, padding), constant_values=IGNORED)
        kinds = np.pad(kinds, (0, padding))
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.arange(len(tokens)) - np.repeat(bounds[:-1], lengths)
    return Batch(
        tokens=torch.from_numpy(tokens)[None],
        positions=torch.from_numpy(positions)[None],
        targets=torch.from_numpy(targets),
        kinds=torch.from_numpy(kinds),
        documents=Documents(
            tuple(int(n) for n in lengths),
            torch.from_numpy(bounds.astype(np.int32)),
            fixed or int(lengths.max()),
        ),
        trained=int((targets != IGNORED).sum()),
        padding=padding,
    )
