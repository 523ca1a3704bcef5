"""Cross-entropy from hidden states, without ever holding all logits.

16,384 positions of a vocabulary of 151,936 are 10 GB of logits in fp32. Here only trained positions are computed, a
chunk of them at a time, and the gradient of a chunk is taken while its logits are there (as in Liger Kernel, Hsu et al.
2024). Where the output matrix is split by vocabulary, sums and maxima go over its process group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from dataforge.errors import InputError
from trainer.samples import IGNORED


def choose(asked: Literal["auto", "chunked", "liger"]) -> Callable[..., tuple[Tensor, Tensor]]:
    """`linear_cross_entropy`, or its like from liger-kernel where that was asked for.

    Raises:
        InputError: liger-kernel is not installed, or there is no CUDA device for it (T013).
    """
    if asked != "liger":
        return linear_cross_entropy
    try:
        from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss  # noqa: F401
    except ImportError:
        missing = "the package liger-kernel"
    else:
        if torch.cuda.is_available():
            return liger_cross_entropy
        missing = "a CUDA device"
    raise InputError(
        f"train.loss = 'liger' needs {missing}",
        code="T013",
        help="write train.loss = 'chunked', which needs nothing",
    )


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    chunk: int = 1024,
    group: dist.ProcessGroup | None = None,
    scale: float = 1.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the targets under `softmax(hidden @ weight.T)`.

    Matrix products take the precision of `hidden`, or of autocast where it is on; all else, and the sum of the weight's
    gradient over chunks, is fp32. The forward pass finds the gradients, the backward pass scales them.

    Args:
        hidden: `[positions, width]`, in the precision of the model.
        weight: `[vocabulary, width]`, or this process's rows of it, in the order of ranks.
        targets: int64 `[positions]`; positions with `IGNORED` cost nothing and get a gradient of exactly zero.
        chunk: positions whose logits are in memory at once.
        group: processes over which the vocabulary is split, or None. All of them have the same `hidden` and `targets`;
            the gradient of `hidden` is summed over them, once a call.
        scale: factor of the logits (Granite, Cohere).
        softcap: the logits are then bent to `softcap · tanh(logits / softcap)` (Gemma).

    Returns:
        The sum (fp32, differentiable), and the loss at each position (fp32 `[positions]`, detached, 0 where ignored).
    """
    # Inside a custom function gradients are always off, so whether anyone wants them is asked here.
    grad = torch.is_grad_enabled()
    wanted = grad and hidden.requires_grad, grad and weight.requires_grad
    total, losses = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, chunk, group, scale, softcap, wanted
    )
    return total, losses


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        chunk: int,
        group: dist.ProcessGroup | None,
        scale: float,
        softcap: float | None,
        wanted: tuple[bool, bool],
    ) -> tuple[Tensor, Tensor]:
        device = hidden.device
        dtype = (
            torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else hidden.dtype
        )
        at = (targets != IGNORED).nonzero()[:, 0]
        goals = targets[at] - _first_row(weight, group)
        found = torch.empty(len(at), dtype=torch.float32, device=device)
        grad_rows = torch.empty(len(at), hidden.shape[1], device=device) if wanted[0] else None
        grad_weight = torch.zeros(weight.shape, device=device) if wanted[1] else None
        with torch.autocast(device.type, enabled=False):
            rows, matrix = hidden[at].to(dtype), weight.to(dtype)
            for begin in range(0, len(at), chunk):
                part = slice(begin, begin + chunk)
                logits = _product(rows[part], matrix.T).mul_(scale)
                found[part], slope = _chunk(logits, goals[part], group, softcap, any(wanted))
                slope = slope.mul_(scale).to(dtype)
                if grad_rows is not None:
                    grad_rows[part] = _product(slope, matrix)
                if grad_weight is not None:
                    grad_weight += _product(slope.T, rows[part])
        grad_hidden = None
        if grad_rows is not None:
            if group is not None:
                dist.all_reduce(grad_rows, group=group)
            grad_hidden = torch.zeros_like(hidden).index_copy_(0, at, grad_rows.to(hidden.dtype))
        losses = torch.zeros(len(targets), device=device).index_copy_(0, at, found)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.precision = weight.dtype
        ctx.mark_non_differentiable(losses)
        return found.sum(), losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # In place, since a weight's gradient may be gigabytes. A second backward pass through the same graph finds it
        # changed, and PyTorch refuses.
        hidden, weight = (None if saved is None else saved.mul_(grad) for saved in ctx.saved_tensors)
        return (hidden, None if weight is None else weight.to(ctx.precision), *[None] * 6)


def _chunk(
    logits: Tensor, goals: Tensor, group: dist.ProcessGroup | None, softcap: float | None, wanted: bool
) -> tuple[Tensor, Tensor]:
    """Losses of a chunk `[n]`, and the gradients of its logits, which take the memory of the logits.

    Args:
        logits: fp32 `[n, vocabulary]`, all of it or this process's part, before the cap.
        goals: the targets, as rows of this process's part; out of range where they are another's.
        wanted: whether gradients are; if not, what is returned in their place means nothing.
    """
    if softcap is not None:
        logits = logits.div_(softcap).tanh_().mul_(softcap)
    bend = 1 - (logits / softcap).square_() if softcap is not None and wanted else None
    top = logits.amax(-1)
    if group is not None:
        dist.all_reduce(top, dist.ReduceOp.MAX, group=group)
    ours = torch.ones_like(top) if group is None else ((goals >= 0) & (goals < logits.shape[1])).float()
    index = goals[:, None] if group is None else (goals * ours.long())[:, None]
    goal = (logits.gather(1, index)[:, 0] - top) * ours
    shares = logits.sub_(top[:, None]).exp_()
    sums = torch.stack([shares.sum(-1), goal])
    if group is not None:
        dist.all_reduce(sums, group=group)
    if wanted:
        shares.div_(sums[0][:, None]).scatter_add_(1, index, -ours[:, None])
        shares = shares if bend is None else shares.mul_(bend)
    return sums[0].log() - sums[1], shares


def _product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` in fp32; on CUDA without rounding to the precision of its factors in between."""
    if a.is_cuda and a.dtype is not torch.float32:
        return torch.mm(a, b, out_dtype=torch.float32)
    return (a @ b).float()


def _first_row(weight: Tensor, group: dist.ProcessGroup | None) -> Tensor | int:
    """The token of this process's first row of the output matrix. It stays on the device."""
    if group is None:
        return 0
    rows = torch.zeros(dist.get_world_size(group), dtype=torch.int64, device=weight.device)
    rows[dist.get_rank(group)] = len(weight)
    dist.all_reduce(rows, group=group)
    return rows[: dist.get_rank(group)].sum()


def liger_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    chunk: int = 0,
    group: dist.ProcessGroup | None = None,
    scale: float = 1.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`linear_cross_entropy` by the kernel of liger-kernel, which chooses its chunks itself and knows no groups."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    assert group is None, "the configuration refuses a mesh that would split the vocabulary"
    at = (targets != IGNORED).nonzero()[:, 0]
    kernel = LigerFusedLinearCrossEntropyLoss(reduction="none", softcap=softcap)
    found = kernel(weight, hidden[at] * scale, targets[at]).float()
    return found.sum(), torch.zeros(len(targets), device=hidden.device).index_copy(0, at, found.detach())
