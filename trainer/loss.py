"""Cross-entropy from hidden states, without ever holding all logits.

16,384 positions of a vocabulary of 151,936 are 10 GB of logits in fp32. Here only trained positions are computed, a
chunk of them at a time, and the gradient of a chunk is taken while its logits are there (as in Liger Kernel, Hsu et al.
2024). Where the output matrix is split by vocabulary, sums and maxima go over its process group.
"""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    chunk: int = 1024,
    group: dist.ProcessGroup | None = None,
) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the targets under `softmax(hidden @ weight.T)`.

    Args:
        hidden: `[positions, width]`, in the precision of the model.
        weight: `[vocabulary, width]`, or this process's rows of it.
        targets: int64 `[positions]`; positions with `IGNORED` cost nothing and get a gradient of exactly zero.
        chunk: positions whose logits are in memory at once.
        group: processes over which the vocabulary is split, or None.

    Returns:
        The sum (fp32, differentiable), and the loss at each position (fp32 `[positions]`, detached, 0 where ignored).
    """
    raise NotImplementedError
