"""Weights in, and the module that makes a loss of them."""

from __future__ import annotations

import copy
import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GraniteConfig,
    PhiConfig,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from dataforge.errors import InputError
from trainer.batch import Batch, collate
from trainer.config import ModelConfig, OptimizerConfig, StepConfig
from trainer.model import PackedLM, build_optimizer, learning_rate, prepare_layers
from trainer.packed import Row
from trainer.pretrained import check_match, load_model, load_tokenizer
from trainer.samples import IGNORED
from trainer.tiny import tiny_model, tiny_tokenizer


def packed(*lengths: int, seed: int = 0) -> Batch:
    """A row of random tokens, about half of them trained."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(0, 256, sum(lengths)).astype(np.int32)
    trained = draw.random(sum(lengths)) < 0.5
    trained[np.cumsum([0, *lengths[:-1]])] = False
    documents = len(lengths)
    return collate(
        [
            Row(
                tokens,
                trained,
                np.array(lengths, np.int32),
                np.arange(documents),
                np.zeros(documents, np.int32),
            )
        ]
    )


BATCH = packed(5, 1, 30, 17)


def apart(lm: Any, batch: Batch = BATCH) -> torch.Tensor:
    """The summed loss of the documents one by one, from all of the model's logits."""
    bounds = batch.documents.bounds.tolist()
    return torch.stack(
        [
            F.cross_entropy(
                lm(batch.tokens[:, a:b], use_cache=False).logits[0].float(),
                batch.targets[a:b],
                reduction="sum",
                ignore_index=IGNORED,
            )
            for a, b in itertools.pairwise(bounds)
        ]
    ).sum()


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def trained(lm: Any, config: StepConfig) -> tuple[torch.Tensor, torch.Tensor]:
    model = PackedLM(lm, "documents", config)
    prepare_layers(model, config)
    model.train()
    total, losses = model(BATCH)
    total.backward()
    return total.detach(), losses


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 with its tokenizer, as Hugging Face keeps them."""
    place = tmp_path_factory.mktemp("qwen3")
    tiny_model("qwen3", seed=3).save_pretrained(place)
    tiny_tokenizer().save_pretrained(place)
    return place


def copied(folder: Path, to: Path) -> Path:
    to.mkdir(parents=True)
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


# Weights and tokenizers


def test_a_folder_gives_the_weights_that_are_in_it_and_says_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = load_model(ModelConfig(path=str(folder)))
    saved = load_file(folder / "model.safetensors")
    assert {name for name, _ in loaded.named_parameters()} == set(saved)
    assert all(torch.equal(p, saved[name]) for name, p in loaded.named_parameters())
    assert load_tokenizer(ModelConfig(path=str(folder))).get_vocab() == tiny_tokenizer().get_vocab()
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_training_wrote_holds_its_model_one_below(folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path / "tuned" / "model")
    assert load_model(ModelConfig(path=str(tmp_path / "tuned"))).config.model_type == "qwen3"
    assert load_tokenizer(ModelConfig(path="tiny", tokenizer=str(tmp_path / "tuned"))).eos_token_id == 258


def test_random_weights_are_the_same_whatever_was_drawn_before(folder: Path) -> None:
    asked = ModelConfig(path=str(folder), weights="random")
    torch.manual_seed(1)
    first = load_model(asked)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = load_model(asked, dtype=torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), before)
    saved = load_file(folder / "model.safetensors")
    for (name, one), two in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(one.bfloat16(), two)
        assert one.ndim == 1 or not torch.equal(one, saved[name])


def without_a_tensor(place: Path) -> None:
    saved = load_file(place / "model.safetensors")
    del saved["model.layers.1.mlp.up_proj.weight"]
    save_file(saved, place / "model.safetensors", metadata={"format": "pt"})


def with_another_shape(place: Path) -> None:
    saved = load_file(place / "model.safetensors")
    saved["model.norm.weight"] = torch.ones(3)
    save_file(saved, place / "model.safetensors", metadata={"format": "pt"})


def of_another_kind(place: Path) -> None:
    told = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(told | {"architectures": ["Qwen3ForTokenClassification"]}))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (without_a_tensor, "lack model.layers.1.mlp.up_proj.weight"),
        (with_another_shape, "have in another shape model.norm.weight"),
        (of_another_kind, "no causal language model"),
        (lambda place: (place / "config.json").write_text("{"), "cannot be loaded"),
        (lambda place: (place / "config.json").write_text('{"model_type": "nothing"}'), "nothing"),
        (
            lambda place: (place / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}"),
            "cannot be loaded",
        ),
        (lambda place: (place / "model.safetensors").unlink(), "cannot be loaded"),
    ],
)
def test_what_cannot_be_loaded_whole_is_told(harm: Any, says: str, folder: Path, tmp_path: Path) -> None:
    place = copied(folder, tmp_path / "model")
    harm(place)
    with pytest.raises(InputError, match=says) as caught:
        load_model(ModelConfig(path=str(place)))
    assert caught.value.code == "T014"
    assert caught.value.help


def test_a_place_where_nothing_is_is_told(tmp_path: Path) -> None:
    for name in (str(tmp_path), str(tmp_path / "nowhere")):
        for load in (load_model, load_tokenizer):
            with pytest.raises(InputError, match="cannot be loaded") as caught:
                load(ModelConfig(path=name))
            assert caught.value.code == "T014"


# Tokenizer and model belong together


def test_a_vocabulary_larger_than_the_tokenizer_is_fine() -> None:
    check_match(tiny_model(vocab_size=512), tiny_tokenizer())


def test_another_special_token_at_the_end_is_fine() -> None:
    """A base model ends texts with one special token, the template of a chat with another."""
    check_match(tiny_model(eos_token_id=256), tiny_tokenizer())
    check_match(tiny_model(eos_token_id=[256, 258], pad_token_id=None, bos_token_id=None), tiny_tokenizer())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vocab_size": 262}, "number 262, and the model embeds only 262"),
        ({"eos_token_id": 2}, "eos token has number 2, which is the ordinary token"),
        ({"eos_token_id": [258, 65]}, "eos token has number 65"),
        ({"bos_token_id": 270}, "bos token has number 270, which is no token"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        check_match(tiny_model(**changes), tiny_tokenizer())
    assert caught.value.code == "T006"


# The loss


@pytest.mark.parametrize("family", ["llama", "qwen3", "smollm2"])
def test_the_loss_is_that_of_the_documents_one_by_one(family: Any) -> None:
    lm = tiny_model(family)
    other = copy.deepcopy(lm)
    total, losses = trained(lm, StepConfig(loss_chunk=7))
    wanted = apart(other)
    wanted.backward()
    torch.testing.assert_close(total, wanted.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(losses.sum(), total)
    assert not losses.requires_grad
    assert ((losses != 0) == (BATCH.targets != IGNORED)).all()
    found, expected = gradients(lm), gradients(other)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


GRANITE = GraniteConfig(
    vocab_size=272, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, logits_scaling=0.25, initializer_range=0.2,
)  # fmt: skip
GEMMA = Gemma2Config(
    vocab_size=272, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, final_logit_softcapping=1.5, attn_logit_softcapping=None,
    initializer_range=0.3,
)  # fmt: skip


@pytest.mark.parametrize("config", [GRANITE, GEMMA], ids=["granite", "gemma2"])
def test_what_a_model_does_to_its_logits_is_done_here_too(config: Any) -> None:
    torch.manual_seed(0)
    lm = AutoModelForCausalLM.from_config(config)
    wanted = apart(lm).detach()
    model = PackedLM(lm, "documents", StepConfig())
    torch.testing.assert_close(model(BATCH)[0].detach(), wanted, rtol=1e-5, atol=0)
    model.scale, model.softcap = 1.0, None
    assert abs(model(BATCH)[0].item() - wanted.item()) > 1


def test_logits_that_are_no_plain_product_are_refused() -> None:
    config = PhiConfig(
        vocab_size=272, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(InputError, match="no plain matrix") as caught:
        PackedLM(AutoModelForCausalLM.from_config(config), "documents", StepConfig())
    assert caught.value.code == "T013"


def test_autocast_computes_in_bf16_and_keeps_gradients_in_fp32() -> None:
    whole, half = tiny_model(), tiny_model()
    exact, _ = trained(whole, StepConfig())
    seen: list[torch.dtype] = []
    half.model.layers[0].mlp.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    rounded, _ = trained(half, StepConfig(precision="autocast"))
    assert seen == [torch.bfloat16]
    assert 0 < abs(rounded - exact) < 0.01 * exact
    assert {gradient.dtype for gradient in gradients(half).values()} == {torch.float32}


# Layers


def test_layers_come_first_to_last() -> None:
    lm = tiny_model(num_hidden_layers=3)
    assert PackedLM(lm, "documents", StepConfig()).layers() == list(lm.model.layers)


def test_a_model_without_a_list_of_layers_says_so() -> None:
    model = PackedLM(tiny_model(), "documents", StepConfig())
    model.lm.config.num_hidden_layers = 7
    with pytest.raises(InputError, match="no list of 7 decoder layers"):
        model.layers()


def test_recomputation_runs_each_layer_twice_and_changes_no_bit() -> None:
    plain, again = tiny_model("qwen3"), tiny_model("qwen3")
    calls: list[int] = []
    again.model.layers[1].mlp.register_forward_pre_hook(lambda module, given: calls.append(1))
    first, _ = trained(plain, StepConfig())
    second, _ = trained(again, StepConfig(recompute=True))
    assert len(calls) == 2
    assert torch.equal(first, second)
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in plain.named_parameters()]
    found = gradients(again)
    assert all(torch.equal(found[name], gradient) for name, gradient in gradients(plain).items())


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The graphs that the compiler captures; run as they are, since compiling them for real takes minutes."""
    captured: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        captured.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    yield captured
    torch._dynamo.reset()


# PyTorch's compiler looks at `.grad` of everything that it is given.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_layers_are_compiled_once_for_all_and_the_loss_is_the_same(graphs: list[Any]) -> None:
    exact, _ = trained(tiny_model(num_hidden_layers=1), StepConfig())
    assert not graphs
    total, _ = trained(tiny_model(num_hidden_layers=1), StepConfig(compile=True, recompute=True))
    first = len(graphs)
    assert first > 0
    trained(tiny_model(num_hidden_layers=9), StepConfig(compile=True))
    assert len(graphs) == first
    torch.testing.assert_close(total, exact, rtol=1e-6, atol=0)


def test_a_layer_with_flex_attention_is_one_graph(graphs: list[Any]) -> None:
    """Forward only: on a CPU there is no backward."""
    exact, _ = trained(tiny_model(), StepConfig())
    config = StepConfig(compile=True)
    model = PackedLM(tiny_model(), "flex", config)
    prepare_layers(model, config)
    with torch.no_grad():
        total, _ = model(BATCH)
    assert len(graphs) == 1
    torch.testing.assert_close(total, exact, rtol=1e-6, atol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("kind", ["float8", "mxfp8"])
def test_eight_bits_without_a_device_for_them_are_refused(kind: Any) -> None:
    config = StepConfig(fp8=kind)
    with pytest.raises(InputError, match=f"{kind}' needs a CUDA device") as caught:
        prepare_layers(PackedLM(tiny_model(), "documents", config), config)
    assert caught.value.code == "T013"


# The optimizer and its schedule


@pytest.mark.parametrize("family", ["llama", "smollm2"])
def test_only_matrices_that_embed_nothing_decay(family: Any) -> None:
    """Without a gradient to follow, a step does nothing but decay."""
    model = PackedLM(tiny_model(family), "documents", StepConfig())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, OptimizerConfig(lr=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        decays = "proj" in name or (name == "lm.lm_head.weight")
        assert torch.equal(parameter, before[name]) != decays, name
        if decays:
            torch.testing.assert_close(parameter.detach(), before[name] * 0.95)


def test_a_step_is_adamws() -> None:
    """Against the formulas of Loshchilov and Hutter (2019), in fp64."""
    config = OptimizerConfig(lr=0.01, weight_decay=0.1, beta1=0.8, beta2=0.9, eps=1e-6)
    layer = torch.nn.Linear(3, 2, bias=False)
    weight = layer.weight.detach().double()
    optimizer = build_optimizer(layer, config)
    mean = square = torch.zeros_like(weight)
    for step in (1, 2, 3):
        layer.weight.grad = torch.full((2, 3), float(step))
        optimizer.step()
        mean = config.beta1 * mean + (1 - config.beta1) * step
        square = config.beta2 * square + (1 - config.beta2) * step**2
        corrected = (mean / (1 - config.beta1**step)) / (
            (square / (1 - config.beta2**step)).sqrt() + config.eps
        )
        weight = weight - config.lr * config.weight_decay * weight - config.lr * corrected
    torch.testing.assert_close(layer.weight.detach().double(), weight, rtol=1e-5, atol=1e-7)


@settings(max_examples=25)
@given(
    steps=st.integers(1, 40),
    warmup=st.integers(0, 50),
    least=st.sampled_from([0.0, 0.1, 1.0]),
    schedule=st.sampled_from(["cosine", "linear"]),
)
def test_schedules_are_those_of_transformers(steps: int, warmup: int, least: float, schedule: Any) -> None:
    least = least if schedule == "cosine" else 0.0
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    theirs = (
        get_cosine_with_min_lr_schedule_with_warmup(optimizer, warmup, steps, min_lr_rate=least)
        if schedule == "cosine"
        else get_linear_schedule_with_warmup(optimizer, warmup, steps)
    )
    config = OptimizerConfig(lr=3e-4, warmup_steps=warmup, min_lr=least, schedule=schedule)
    for step in range(steps):
        assert learning_rate(config, step, steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        theirs.step()


@settings(max_examples=30)
@given(steps=st.integers(1, 50), warmup=st.integers(0, 60), least=st.floats(0, 1))
def test_rates_climb_to_the_peak_and_never_fall_below_the_least(
    steps: int, warmup: int, least: float
) -> None:
    for schedule in ("cosine", "linear", "constant"):
        config = OptimizerConfig(lr=2.0, warmup_steps=warmup, min_lr=least, schedule=schedule)  # type: ignore[arg-type]
        rates = [learning_rate(config, step, steps) for step in range(steps + 1)]
        if warmup < steps:
            assert rates[warmup] == 2.0
            assert rates[:warmup] == sorted(rates[:warmup])
            after = rates[warmup:]
            assert after == sorted(after, reverse=True)
            assert rates[steps] == pytest.approx(2.0 if schedule == "constant" else 2.0 * least)
            assert min(after) >= 2.0 * least - 1e-12
        assert rates[0] == (2.0 if warmup == 0 else 0.0)
