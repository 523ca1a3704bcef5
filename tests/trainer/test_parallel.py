"""However many processes share a model, they compute what one computes.

Two real processes talk by gloo (see `two_processes`); this one computes the same alone. There is no GPU in these tests.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from two_processes import CASES, CLIP, Case, Curve, new_state, outcome, train

from dataforge.errors import InputError
from trainer.config import MeshConfig
from trainer.parallel import World, clip_gradients, join, leave, sum_over_data

ALONE = World(0, 1, torch.device("cpu"), None, 0, 1)

FLOAT_ERROR = [name for name, case in CASES.items() if case.precision == "fp32"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(tmp_path_factory)[1]


def alone(case: Case, cache: dict[str, Curve] = {}) -> Curve:  # noqa: B006
    """What one process computes: the mesh doesn't matter to it."""
    key = f"{case.family} {case.precision} {case.changes}"
    if key not in cache:
        cache[key] = train(ALONE, case)
    return cache[key]


def apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest relative distance of two sets of tensors."""
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).norm() / a[name].norm()) for name in a)


@pytest.mark.parametrize("name", FLOAT_ERROR)
def test_two_processes_compute_what_one_does(both: dict[str, Any], name: str) -> None:
    """Losses, norms, all gradients and, after three steps of AdamW over unequal micro-batches, all weights."""
    one, two = alone(CASES[name]), both[name]
    assert two.losses == pytest.approx(one.losses, rel=1e-6)
    assert two.norms == pytest.approx(one.norms, rel=1e-5)
    assert max(map(apart, one.gradients, two.gradients)) < 1e-5
    assert apart(one.weights, two.weights) < 1e-5


def test_autocast_rounds_alike_on_two_processes(both: dict[str, Any]) -> None:
    """Layers are gathered in bf16, which is what autocast would round them to."""
    exact, one, two = alone(CASES["shards"]), alone(CASES["shards, autocast"]), both["shards, autocast"]
    noise = apart(exact.gradients[0], one.gradients[0])
    assert two.losses == pytest.approx(one.losses, rel=2e-4)
    assert 0 < apart(exact.gradients[0], two.gradients[0]) < 1.5 * noise
    assert apart(one.gradients[0], two.gradients[0]) < noise / 2


def test_all_processes_hear_the_same_numbers(both: dict[str, Any], other: dict[str, Any]) -> None:
    for name in CASES:
        assert (both[name].losses, both[name].norms) == (other[name].losses, other[name].norms)


def test_processes_with_different_numbers_of_documents_keep_pace(both: Any, other: Any) -> None:
    assert both["documents"] != other["documents"]


def test_clipping_was_at_work(both: dict[str, Any]) -> None:
    assert min(both["shards"].norms) > CLIP


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("three heads", "does not divide num_attention_heads of the model: 3 / 2 is not whole"),
        ("another kind", "models of the kind `mistral` cannot be split by tensor"),
        ("fp8", "train.fp8 = float8 cannot be had together"),
    ],
)
def test_what_cannot_be_split_is_refused(both: Any, other: Any, what: str, says: str) -> None:
    code, message = both[what]
    assert (code, says in message) == ("T015", True), message
    assert other[what] == both[what]


@given(
    size=st.integers(1, 64), replicas=st.integers(1, 8), shards=st.integers(0, 16), tensor=st.integers(1, 8)
)
@settings(max_examples=100)
def test_a_mesh_that_does_not_fit_is_refused_with_its_arithmetic(
    size: int, replicas: int, shards: int, tensor: int
) -> None:
    left = size / (replicas * tensor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", str(size))
        # Nobody is there to talk to: whoever is let in ends here.
        patch.setattr(torch.distributed, "init_process_group", _let_in)
        config = MeshConfig(replicas=replicas, shards=shards, tensor=tensor)
        fits = (shards or left) == left and left == int(left)
        if fits and size == 1:
            assert join(config) == ALONE
        elif fits:
            with pytest.raises(_LetIn):
                join(config)
        else:
            with pytest.raises(InputError) as refused:
                join(config)
            assert refused.value.code == "T015"
            factors = (replicas, tensor) if shards == 0 else (replicas, shards, tensor)
            product = " × ".join(map(str, factors))
            assert f"{product} = {math.prod(factors)}" in refused.value.message


class _LetIn(Exception):
    pass


def _let_in(*_: object) -> None:
    raise _LetIn


def test_one_process_needs_no_group() -> None:
    world = join(MeshConfig())
    assert world == ALONE
    assert world.main
    value = torch.tensor([2, 3])
    total = sum_over_data(value, world)
    assert torch.equal(total, value)
    assert total is not value
    leave(world)
    assert not torch.distributed.is_initialized()


@given(scale=st.floats(1e-3, 1e3), limit=st.sampled_from([0.0, 0.1, 1.0, 1e6]))
@settings(max_examples=25)
def test_clipping_leaves_a_norm_within_the_limit(scale: float, limit: float) -> None:
    model = _FROZEN.model
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator) * scale
    before = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    exact = torch.cat([g.flatten().double() for g in before]).norm()
    norm = clip_gradients(model, limit)
    assert norm.dtype is torch.float32
    assert float(norm) == pytest.approx(float(exact), rel=1e-5)
    after = [p.grad for p in model.parameters() if p.grad is not None]
    if limit == 0 or norm < limit:
        assert all(map(torch.equal, before, after))
    else:
        assert float(clip_gradients(model, 0)) == pytest.approx(limit, rel=1e-4)


_FROZEN = new_state(ALONE, Case(MeshConfig()))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_norm_that_is_no_number_is_said(wrong: float) -> None:
    for parameter in _FROZEN.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    _FROZEN.model.lm.get_output_embeddings().weight.grad[0, 0] = wrong
    assert not math.isfinite(clip_gradients(_FROZEN.model, 1.0))
