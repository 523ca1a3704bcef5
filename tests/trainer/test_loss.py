"""The chunked loss, held to PyTorch's own over all logits at once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from dataforge.errors import InputError
from trainer.loss import choose, linear_cross_entropy
from trainer.samples import IGNORED

ROOT = Path(__file__).resolve().parents[2]


def problem(
    positions: int, width: int, vocabulary: int, share: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, an output matrix, and targets of which about `share` are trained."""
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(positions, width, generator=rng)
    weight = torch.randn(vocabulary, width, generator=rng)
    targets = torch.randint(0, vocabulary, (positions,), generator=rng)
    targets[torch.rand(positions, generator=rng) >= share] = IGNORED
    return hidden, weight, targets


def plain(
    hidden: Tensor, weight: Tensor, targets: Tensor, scale: float = 1.0, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """The same by PyTorch, in fp32."""
    logits = hidden.float() @ weight.float().T * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    losses = cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
    return losses.sum(), losses.detach()


def solved(
    loss: Any, hidden: Tensor, weight: Tensor, targets: Tensor, factor: float = 1.0, **more: Any
) -> list[Tensor]:
    """Sum, losses, and the gradients of `factor · sum`."""
    leaves = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    total, losses = loss(*leaves, targets, **more)
    (total * factor).backward()
    return [total.detach(), losses, *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def assert_near(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        difference = (ours.float() - theirs.float()).abs().max()
        assert difference <= tolerance * max(1.0, float(theirs.float().abs().max()))


@settings(max_examples=60)
@given(
    positions=st.integers(1, 40),
    width=st.integers(1, 16),
    vocabulary=st.integers(2, 60),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    chunk=st.integers(1, 50),
    scale=st.sampled_from([1.0, 1.0, 0.125, 3.0]),
    softcap=st.sampled_from([None, None, 4.0]),
    factor=st.sampled_from([1.0, 0.01]),
    seed=st.integers(0, 9),
)
def test_values_and_gradients_are_those_of_pytorch(
    positions: int,
    width: int,
    vocabulary: int,
    share: float,
    chunk: int,
    scale: float,
    softcap: float | None,
    factor: float,
    seed: int,
) -> None:
    given = problem(positions, width, vocabulary, share, seed)
    found = solved(linear_cross_entropy, *given, factor, chunk=chunk, scale=scale, softcap=softcap)
    # Two ways to the same figure may round apart by some units of the last place: 1e-6 of the largest.
    assert_near(found, solved(plain, *given, factor, scale=scale, softcap=softcap), 1e-6 * max(1.0, scale**2))
    assert found[0].dtype is found[1].dtype is torch.float32


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_near_and_gradients_keep_the_precision_of_their_tensors(autocast: bool) -> None:
    hidden, weight, targets = problem(200, 64, 300, 0.6, 0)
    hidden, weight = hidden.bfloat16(), weight.bfloat16() * 0.2
    expected = solved(plain, hidden.float(), weight.float(), targets)
    if autocast:
        hidden, weight = hidden.float(), weight.float()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = solved(linear_cross_entropy, hidden, weight, targets, chunk=32)
    half = solved(linear_cross_entropy, hidden.bfloat16(), weight.bfloat16(), targets, chunk=32)
    assert torch.equal(found[1], half[1]), "autocast takes the products in half precision"
    assert found[0].dtype is torch.float32
    assert found[2].dtype is hidden.dtype and found[3].dtype is weight.dtype
    # bf16 has 8 bits: logits up to some 10 are rounded by up to 0.03.
    assert_near(found, expected, 2e-2)
    assert_near(found[:1] * 4, expected[:1] * 4, 1e-3)


def test_gradients_of_many_chunks_are_summed_in_fp32() -> None:
    hidden, weight, targets = problem(1200, 4, 8, 1.0, 0)
    hidden = hidden.abs()
    expected = solved(plain, hidden.bfloat16().float(), weight.bfloat16().float(), targets)[3]
    found = solved(linear_cross_entropy, hidden.bfloat16(), weight.bfloat16(), targets, chunk=1)[3]
    # Sums in bf16 would stop growing at 256 times the size of a chunk's gradient.
    assert float((found - expected).abs().max() / expected.abs().max()) < 5e-3


def test_what_is_ignored_has_no_part_in_anything() -> None:
    hidden, weight, targets = problem(50, 8, 30, 0.4, 0)
    ignored = targets == IGNORED
    total, losses, grad_hidden, grad_weight = solved(linear_cross_entropy, hidden, weight, targets, chunk=7)
    assert not grad_hidden[ignored].any() and not losses[ignored].any()
    assert grad_hidden[~ignored].any(-1).all() and losses[~ignored].all()
    hidden[ignored] = torch.nan
    again = solved(linear_cross_entropy, hidden, weight, targets, chunk=7)
    assert torch.equal(again[0], total) and torch.equal(again[2], grad_hidden)
    assert torch.equal(again[3], grad_weight)


def test_a_batch_without_trained_positions_costs_nothing_and_stays_connected() -> None:
    hidden, weight, targets = problem(9, 8, 30, 0.0, 0)
    total, losses, grad_hidden, grad_weight = solved(linear_cross_entropy, hidden, weight, targets)
    assert total == 0 and not losses.any() and not grad_hidden.any() and not grad_weight.any()


@pytest.mark.parametrize("frozen", [0, 1])
def test_gradients_are_found_only_for_what_wants_them(frozen: int) -> None:
    given = problem(9, 8, 30, 1.0, 0)
    leaves = [given[0].requires_grad_(frozen != 0), given[1].requires_grad_(frozen != 1)]
    linear_cross_entropy(*leaves, given[2])[0].backward()
    expected = solved(plain, given[0].detach(), given[1].detach(), given[2])
    assert leaves[frozen].grad is None
    assert torch.allclose(leaves[1 - frozen].grad, expected[3 - frozen], atol=1e-5)  # type: ignore[arg-type]
    with torch.no_grad():
        assert not linear_cross_entropy(*leaves, given[2])[0].requires_grad


def test_a_second_backward_pass_is_refused_not_wrong() -> None:
    hidden, weight, targets = problem(9, 8, 30, 1.0, 0)
    total, _ = linear_cross_entropy(hidden.requires_grad_(), weight, targets)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


class Largest(TorchDispatchMode):
    """The most elements that any tensor made meanwhile has."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **kwargs or {})
        for tensor in out if isinstance(out, tuple) else (out,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_no_more_than_a_chunk_of_logits_is_ever_there() -> None:
    hidden, weight, targets = problem(640, 4, 500, 0.9, 0)
    hidden.requires_grad_()
    with Largest() as seen:
        linear_cross_entropy(hidden, weight, targets, chunk=16)[0].backward()
    assert seen.elements == 16 * 500
    with Largest() as seen:
        plain(hidden, weight, targets)[0].backward()
    assert seen.elements == 640 * 500


def test_in_a_whole_model_a_masked_position_gives_no_gradient_to_any_logit() -> None:
    from trainer.tiny import tiny_model

    model = tiny_model("qwen3")
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 256, (1, 60), generator=rng)
    targets = torch.where(torch.rand(60, generator=rng) < 0.5, tokens[0].roll(-1), IGNORED)
    logits = model(input_ids=tokens, use_cache=False).logits[0]
    seen: list[Tensor] = []
    logits.register_hook(seen.append)
    # Logits as hidden states of an output matrix that changes nothing: their gradient is then that of the loss.
    total, _ = linear_cross_entropy(logits, torch.eye(logits.shape[1]), targets, chunk=8)
    total.backward()
    masked = targets == IGNORED
    assert torch.equal(seen[0][masked], torch.zeros(int(masked.sum()), logits.shape[1]))
    assert seen[0][~masked].any(-1).all()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


TWO = """
    import json, sys
    import torch
    import torch.distributed as dist
    from trainer.loss import linear_cross_entropy

    rank, store = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    data = torch.load(sys.argv[3])
    reductions, all_reduce = [], dist.all_reduce

    def counted(tensor, *args, **more):
        reductions.append(list(tensor.shape))
        return all_reduce(tensor, *args, **more)

    dist.all_reduce = counted
    rows = data["weight"].tensor_split([data["cut"]])[rank]
    out = []
    for softcap in (None, 4.0):
        hidden, weight = data["hidden"].clone().requires_grad_(), rows.clone().requires_grad_()
        total, losses = linear_cross_entropy(
            hidden, weight, data["targets"], chunk=8, group=dist.group.WORLD, scale=0.5, softcap=softcap
        )
        (total * 0.5).backward()
        out.append([total.detach(), losses, hidden.grad, weight.grad])
    torch.save({"out": out, "reductions": reductions}, f"{store}.{rank}")
    dist.destroy_process_group()
"""


def test_a_vocabulary_split_over_processes_gives_the_same(tmp_path: Path) -> None:
    hidden, weight, targets = problem(40, 16, 101, 0.7, 0)
    torch.save({"hidden": hidden, "weight": weight, "targets": targets, "cut": 51}, tmp_path / "data")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = [sys.executable, "-c", textwrap.dedent(TWO)]
    runs = [
        subprocess.Popen(
            [*script, str(rank), str(tmp_path / "store"), str(tmp_path / "data")], env=environment
        )
        for rank in range(2)
    ]
    assert [run.wait(300) for run in runs] == [0, 0]
    parts = [torch.load(tmp_path / f"store.{rank}") for rank in range(2)]
    for at, softcap in enumerate((None, 4.0)):
        expected = solved(plain, hidden, weight, targets, 0.5, scale=0.5, softcap=softcap)
        both = [part["out"][at] for part in parts]
        for one in both:
            assert_near([*one[:3], torch.cat([part[3] for part in both])], expected, 2e-6)
    trained = int((targets != IGNORED).sum())
    assert parts[0]["reductions"].count([trained, 16]) == 2, "the gradient of hidden goes round once a call"


def test_liger_is_refused_where_it_cannot_run() -> None:
    assert choose("auto") is choose("chunked") is linear_cross_entropy
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"liger-kernel|CUDA") as error:
            choose("liger")
        assert error.value.code == "T013"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["chunked", "liger"])
def test_on_a_gpu_half_precision_is_near(name: Any) -> None:
    if name == "liger":
        pytest.importorskip("liger_kernel")
    hidden, weight, targets = problem(2000, 256, 5000, 0.6, 0)
    hidden, weight = hidden.bfloat16(), (weight * 0.1).bfloat16()
    expected = solved(plain, hidden.float(), weight.float(), targets)
    found = solved(choose(name), hidden.cuda(), weight.cuda(), targets.cuda())
    assert_near([each.cpu() for each in found], expected, 2e-2)
