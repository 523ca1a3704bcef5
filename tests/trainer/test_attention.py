"""Documents of a packed row keep to themselves, and whoever would mix them is stopped."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

import trainer.attention
from dataforge.errors import InputError
from trainer.attention import Backend, arguments, block_mask, choose, install, uninstall
from trainer.batch import Batch, collate
from trainer.packed import Row
from trainer.tiny import Family, tiny_model

FAMILIES: tuple[Family, ...] = get_args(Family)
LENGTHS = (37, 1, 1, 150, 64, 5, 130)

eager_flex = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
"""On CPUs, FlexAttention runs forward, slowly, and says so."""


def row(lengths: Sequence[int], seed: int = 0) -> Row:
    """Random tokens, of which about half are trained, never a document's first."""
    rng = np.random.default_rng(seed)
    sizes = np.array(lengths, np.int32)
    trained = rng.random(sizes.sum()) < 0.5
    trained[np.cumsum(sizes) - sizes] = False
    tokens = rng.integers(0, 256, sizes.sum()).astype(np.int32)
    numbers = np.arange(len(sizes))
    return Row(tokens, trained, sizes, numbers, (numbers % 3).astype(np.int32))


def batch_of(lengths: Sequence[int], padding: int = 0, seed: int = 0) -> Batch:
    return collate([row(lengths, seed)], fixed=sum(lengths) + padding)


def logits_of(model: PreTrainedModel, batch: Batch, backend: Backend = "documents") -> Tensor:
    """`[total, vocabulary]`, without what padding has."""
    logits: Tensor = model(input_ids=batch.tokens, **arguments(batch, backend)).logits[0]
    return logits[: len(logits) - batch.padding]


def logits_apart(model: PreTrainedModel, batch: Batch) -> Tensor:
    """The same from stock transformers, one document a call."""
    lengths = list(batch.documents.lengths)
    parts = batch.tokens[0].split(lengths)[: len(lengths) - bool(batch.padding)]
    return torch.cat([model(input_ids=part[None], use_cache=False).logits[0] for part in parts])


def differ(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


@pytest.fixture(scope="module")
def installed() -> Callable[[Family, Backend], PreTrainedModel]:
    made: dict[tuple[Family, Backend], PreTrainedModel] = {}

    def get(family: Family, backend: Backend = "documents") -> PreTrainedModel:
        if (family, backend) not in made:
            model = made[family, backend] = tiny_model(family)
            install(model, backend)
        return made[family, backend]

    return get


@pytest.fixture(scope="module")
def stock() -> dict[Family, PreTrainedModel]:
    return {family: tiny_model(family) for family in FAMILIES}


# Packed rows against separate sequences


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_row_has_the_logits_and_gradients_of_its_documents_alone(family: Family) -> None:
    batch = batch_of(LENGTHS, padding=11)
    packed, apart = tiny_model(family), tiny_model(family)
    install(packed, "documents")
    one, other = logits_of(packed, batch), logits_apart(apart, batch)
    assert differ(one, other) <= 1e-5
    direction = torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    for logits in (one, other):
        (logits * direction).sum().backward()
    for (name, mine), theirs in zip(packed.named_parameters(), apart.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert differ(mine.grad, theirs.grad) <= 1e-5 * float(theirs.grad.abs().max()), name


@settings(max_examples=25)
@given(
    lengths=st.lists(st.one_of(st.just(1), st.integers(1, 40)), min_size=1, max_size=12),
    padding=st.integers(0, 20),
    family=st.sampled_from(FAMILIES),
)
def test_any_documents_are_kept_apart(
    installed: Any, stock: Any, lengths: list[int], padding: int, family: Family
) -> None:
    batch = batch_of(lengths, padding, seed=len(lengths))
    with torch.no_grad():
        assert differ(logits_of(installed(family), batch), logits_apart(stock[family], batch)) <= 1e-5


@eager_flex
@pytest.mark.parametrize(
    ("backend", "family"), [*(("documents", each) for each in FAMILIES), ("flex", "qwen3")]
)
def test_a_changed_document_changes_no_bit_of_the_others(
    installed: Any, family: Family, backend: Backend
) -> None:
    batch = batch_of(LENGTHS, padding=11)
    model = installed(family, backend)
    with torch.no_grad():
        before = logits_of(model, batch, backend).split(LENGTHS)
        for changed in (0, 2, 3, len(LENGTHS) - 1):
            begin = sum(LENGTHS[:changed])
            batch.tokens[0, begin : begin + LENGTHS[changed]] += 1
            after = logits_of(model, batch, backend).split(LENGTHS)
            batch.tokens[0, begin : begin + LENGTHS[changed]] -= 1
            same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            assert same == [at != changed for at in range(len(LENGTHS))]


def test_no_document_receives_gradient_from_anothers_loss(installed: Any) -> None:
    model = installed("llama")
    batch = batch_of(LENGTHS, padding=11)
    embedded = model.get_input_embeddings()(batch.tokens).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, **arguments(batch, "documents")).logits[0]
    third = slice(sum(LENGTHS[:3]), sum(LENGTHS[:4]))
    logits[third].square().sum().backward()
    reached = embedded.grad[0].abs().sum(-1) > 0
    assert reached[third].all() and int(reached.sum()) == LENGTHS[3]


def test_padding_is_not_computed() -> None:
    batch = batch_of((5, 3), padding=4)
    packed = arguments(batch, "documents")["packed"]
    q, k, v = torch.randn(3, 1, 2, 12, 8)
    q[:, :, 8:], k[:, :, 8:], v[:, :, 8:] = torch.nan, torch.nan, torch.nan
    out = trainer.attention.BACKENDS["documents"](q, k, v, packed, 1.0, 0.0, None)
    assert out.isfinite().all() and not out[:, 8:].any() and out[:, :8].any()


# These show that the tests above can see contamination: stock transformers, in the ways in which it mixes documents


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("implementation", "call"),
    [
        ("sdpa", {}),
        ("sdpa", {"use_cache": False, "attention_mask": "ones"}),
        ("eager", {"use_cache": False, "attention_mask": "4-D"}),
    ],
    ids=["default cache", "2-D mask of ones", "4-D mask under eager"],
)
def test_stock_transformers_mixes_documents(
    stock: Any, family: Family, implementation: str, call: dict[str, Any]
) -> None:
    batch = batch_of(LENGTHS)
    model = copy.deepcopy(stock[family])
    model.set_attn_implementation(implementation)
    document = torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS))
    at = torch.arange(len(document))
    masks = {
        "ones": torch.ones_like(batch.tokens),
        "4-D": ((document[:, None] == document) & (at[:, None] >= at))[None, None],
    }
    given = {key: masks.get(value, value) for key, value in call.items()}
    with torch.no_grad():
        logits = model(input_ids=batch.tokens, position_ids=batch.positions, **given).logits[0]
        assert differ(logits, logits_apart(stock[family], batch)) > 0.1


# Guards


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"packed": None}, "without its documents"),
        ({"packed": "bounds"}, "without its documents"),
        ({"use_cache": True}, "with a cache"),
        ({"use_cache": None}, "with a cache"),
        ({"past_key_values": "cache"}, "with a cache"),
        ({"attention_mask": torch.ones(1, 9)}, "attention mask"),
        ({"attention_mask": torch.ones(1, 1, 9, 9, dtype=torch.bool)}, "attention mask"),
        ({"position_ids": None}, "without positions"),
        ({"input_ids": torch.zeros(1, 8, dtype=torch.int64)}, r"\[1, 8\] and documents that lie in \[1, 9\]"),
        ({"input_ids": torch.zeros(2, 9, dtype=torch.int64)}, r"\[2, 9\]"),
        ({"input_ids": None}, r"\[\]"),
    ],
)
@pytest.mark.parametrize("entry", ["lm", "decoder"])
def test_a_call_that_would_mix_documents_is_refused(
    installed: Any, entry: str, change: dict[str, Any], says: str
) -> None:
    model = installed("llama")
    batch = batch_of((5, 4))
    call = {"input_ids": batch.tokens} | arguments(batch, "documents") | change
    with pytest.raises(InputError, match=says) as error:
        (model if entry == "lm" else model.base_model)(**call)
    assert error.value.code == "T009"


def test_arguments_by_position_are_looked_at_too(installed: Any) -> None:
    batch = batch_of((5, 4))
    call = arguments(batch, "documents")
    with pytest.raises(InputError, match="attention mask"):
        installed("llama").base_model(batch.tokens, torch.ones(1, 9), **call)


def test_documents_in_the_form_of_another_backend_are_refused(installed: Any) -> None:
    batch = batch_of((5, 4))
    with pytest.raises(InputError, match="in the form of backend `flex`"):
        installed("llama", "flex")(input_ids=batch.tokens, **arguments(batch, "documents"))


def test_layers_and_masks_refuse_even_without_the_guard(installed: Any) -> None:
    model = copy.deepcopy(installed("llama"))
    model.base_model._forward_pre_hooks.clear()
    batch = batch_of((5, 4))
    call = {"input_ids": batch.tokens} | arguments(batch, "documents")
    for change in (
        {"packed": None},
        {"attention_mask": torch.ones(1, 9)},
        {"attention_mask": torch.ones(1, 1, 9, 9)},
    ):
        with pytest.raises(InputError) as error:
            model(**call | change)
        assert error.value.code == "T009"


def test_an_installed_model_does_not_generate_and_an_uninstalled_one_does(stock: Any) -> None:
    model = tiny_model("llama")
    install(model, "documents")
    prompt = torch.arange(5)[None]
    with pytest.raises(InputError, match="without its documents") as error:
        model.generate(prompt, max_new_tokens=2)
    assert "uninstall" in str(error.value.help)
    uninstall(model)
    kept = {"max_new_tokens": 4, "do_sample": False}
    assert torch.equal(model.generate(prompt, **kept), stock["llama"].generate(prompt, **kept))


def test_another_model_of_the_same_configuration_stays_as_it_is() -> None:
    one = tiny_model("llama")
    other = type(one)(one.config)
    install(one, "documents")
    assert one.base_model.config is one.config is one.base_model.layers[0].self_attn.config
    assert other.config._attn_implementation == "sdpa"
    assert "attn_implementation" not in one.config.to_dict()


def test_a_copy_is_guarded_and_installing_twice_guards_once(installed: Any) -> None:
    model = copy.deepcopy(installed("llama"))
    install(model, "flex")
    install(model, "documents")
    assert len(model.base_model._forward_pre_hooks) == 1
    with pytest.raises(InputError):
        model(input_ids=torch.zeros(1, 3, dtype=torch.int64))


# Models that cannot be kept apart, or only in part

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def model_of(name: str, **changes: Any) -> PreTrainedModel:
    """A tiny model of any architecture."""
    import transformers

    config = getattr(transformers, f"{name}Config")(**SHAPE | changes)
    model: PreTrainedModel = getattr(transformers, f"{name}ForCausalLM")(config)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("Rwkv", {"attention_hidden_size": 32}, "carries a state"),
        ("Lfm2", {"layer_types": ["conv", "full_attention"]}, "convolution"),
        ("Bloom", {"n_head": 2, "n_layer": 1}, "does not let its attention be exchanged"),
        ("Llama", {"layer_types": ["linear_attention", "full_attention"]}, "of kind linear_attention"),
        ("Llama", {"is_causal": False}, "not causal"),
    ],
)
def test_models_that_mix_otherwise_are_refused(name: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        install(model_of(name, **changes), "documents")
    assert error.value.code == "T013"


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("Gemma2", {"query_pre_attn_scalar": 16}, "`softcap` of Gemma2Attention"),
        ("GptOss", {"num_local_experts": 2, "num_experts_per_tok": 1}, "`s_aux` of GptOssAttention"),
    ],
)
def test_terms_that_no_backend_computes_are_refused(name: str, changes: dict[str, Any], says: str) -> None:
    model = model_of(name, **changes)
    install(model, "documents")
    batch = batch_of((5, 4))
    with pytest.raises(InputError, match=says) as error:
        model(input_ids=batch.tokens % 64, **arguments(batch, "documents"))
    assert error.value.code == "T013"


@eager_flex
def test_sliding_windows_are_honoured_or_refused() -> None:
    model, apart = (model_of("Mistral", sliding_window=8) for _ in range(2))
    apart.load_state_dict(model.state_dict())
    apart.set_attn_implementation("eager")
    batch = batch_of((30, 3, 8, 9))
    batch.tokens.remainder_(64)
    install(model, "documents")
    with torch.no_grad():
        far = logits_apart(apart, batch)
        assert differ(logits_of(model, batch), far) <= 1e-5
        apart.config.sliding_window = 30
        assert differ(logits_apart(apart, batch), far) > 1e-3
        install(model, "flex")
        with pytest.raises(InputError, match="window of 8 tokens"):
            logits_of(model, batch, "flex")
        short = batch_of((8, 3))
        short.tokens.remainder_(64)
        assert differ(logits_of(model, short, "flex"), logits_apart(apart, short)) <= 1e-5


@pytest.mark.parametrize("mask_says", [4, 8])
def test_views_that_only_the_mask_knows_are_refused_where_they_matter(mask_says: int) -> None:
    """As chunked attention, whose layers are called like any other."""
    packed = arguments(batch_of((8, 4)), "documents")["packed"]
    q, k, v = torch.randn(3, 1, 2, 12, 8)
    attend = trainer.attention.AttentionInterface()["dataforge_documents"]
    if mask_says == 8:
        assert attend(torch.nn.Identity(), q, k, v, mask_says, packed=packed)[0].shape == (1, 12, 2, 8)
        return
    with pytest.raises(InputError, match="parts of 4 tokens") as error:
        attend(torch.nn.Identity(), q, k, v, mask_says, packed=packed)
    assert error.value.code == "T013"


# FlexAttention's mask, and kernels


@settings(max_examples=25)
@given(
    lengths=st.lists(st.one_of(st.integers(1, 9), st.integers(1, 300)), min_size=1, max_size=6),
    padding=st.integers(0, 300),
)
@example(lengths=[127, 200], padding=0)
@example(lengths=[128, 1, 256], padding=129)
def test_the_blocks_are_those_that_pytorch_finds_by_looking_at_every_pair(
    lengths: list[int], padding: int
) -> None:
    batch = batch_of(lengths, padding)
    ours = block_mask(batch.positions[0], padding)
    theirs = create_block_mask(
        ours.mask_mod, None, None, sum(lengths) + padding, sum(lengths) + padding, "cpu"
    )
    assert ours.shape == theirs.shape
    for kind in ("", "full_"):
        for side in ("kv", "q"):
            counts, expected = (getattr(m, f"{kind}{side}_num_blocks")[0, 0] for m in (ours, theirs))
            assert torch.equal(counts, expected)
            numbers, wanted = (getattr(m, f"{kind}{side}_indices")[0, 0] for m in (ours, theirs))
            for n, a, b in zip(counts, numbers, wanted, strict=True):
                assert torch.equal(a[:n], b[:n])


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=8), padding=st.sampled_from([0, 0, 7, 140]))
def test_the_mask_lets_a_token_see_its_document_up_to_itself(lengths: list[int], padding: int) -> None:
    total = sum(lengths) + padding
    sees = block_mask(batch_of(lengths, padding).positions[0], padding).mask_mod
    at = torch.arange(total)
    got = sees(torch.tensor(0), torch.tensor(0), at[:, None], at[None])
    document = np.repeat(np.arange(len(lengths)), lengths)
    expected = np.zeros((total, total), bool)
    expected[: len(document), : len(document)] = np.tril(document[:, None] == document)
    assert np.array_equal(got.numpy(), expected)


@eager_flex
@pytest.mark.parametrize("family", ["qwen3", "smollm2"])
def test_flex_computes_what_documents_computes(installed: Any, family: Family) -> None:
    for lengths, padding in ((LENGTHS, 11), ((140,), 0)):
        batch = batch_of(lengths, padding)
        with torch.no_grad():
            flex = logits_of(installed(family, "flex"), batch, "flex")
            assert differ(flex, logits_of(installed(family), batch)) <= 1e-5


def test_varlen_hands_its_kernel_what_the_kernel_asks_for(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel is CUDA's; here one stands in that computes what PyTorch's manual says of it."""

    def kernel(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        at_q: Tensor,
        at_k: Tensor,
        longest_q: int,
        longest_k: int,
        **more: Any,
    ) -> Tensor:
        assert more["window_size"] == (-1, 0) and more["enable_gqa"] and at_q.dtype is torch.int32
        assert longest_q == longest_k >= int(at_q.diff().max())
        out = torch.full_like(q, torch.nan)
        for begin, end in itertools.pairwise(at_q.tolist()):
            parts = (each[None, begin:end].transpose(1, 2) for each in (q, k, v))
            out[begin:end] = scaled_dot_product_attention(
                *parts, is_causal=True, scale=more["scale"], enable_gqa=True
            )[0].transpose(0, 1)
        return out

    monkeypatch.setattr(trainer.attention, "varlen_attn", kernel)
    batch = batch_of(LENGTHS, padding=11)
    with torch.no_grad():
        half, same = (copy.deepcopy(installed("llama")).bfloat16() for _ in range(2))
        install(half, "varlen")
        assert torch.equal(logits_of(half, batch, "varlen"), logits_of(same, batch))
    single = copy.deepcopy(installed("llama"))
    install(single, "varlen")
    with pytest.raises(InputError, match=r"torch\.float32"):
        logits_of(single, batch, "varlen")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("backend", ["documents", "flex"])
def test_compiled_layers_are_compiled_once_for_all_batches_of_a_length(backend: Backend) -> None:
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    model, counter, compiled = tiny_model("llama"), CompileCounter(), []
    install(model, backend)
    for layer in model.base_model.layers:
        layer.compile(backend=counter)
    for lengths in ((100, 28), (3, 4, 121), (128,), (10,) * 12 + (8,), (1,) * 128):
        with torch.set_grad_enabled(backend == "documents"):
            logits_of(model, batch_of(lengths), backend)
        compiled.append(counter.frame_count)
    torch._dynamo.reset()
    assert compiled[0] > 0 and set(compiled) == {compiled[0]}


def test_the_backend_follows_the_device() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert (choose("auto", cpu), choose("auto", cuda), choose("documents", cuda)) == (
        "documents",
        "flex",
        "documents",
    )
    assert (choose("flex", cuda), choose("varlen", cuda)) == ("flex", "varlen")
    for asked in ("flex", "varlen"):
        with pytest.raises(InputError, match="cannot train on cpu") as error:
            choose(asked, cpu)  # type: ignore[arg-type]
        assert error.value.code == "T013"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("backend", "near"), [("documents", 2e-2), ("flex", 2e-2), ("varlen", 2e-2)])
def test_kernels_on_a_gpu_agree_with_the_loop(family: Family, backend: Backend, near: float) -> None:
    device, batch = torch.device("cuda"), batch_of(LENGTHS, padding=124)
    found = []
    for attention, place in ((backend, device), ("documents", torch.device("cpu"))):
        model = tiny_model(family).to(place, torch.bfloat16)
        install(model, attention)  # type: ignore[arg-type]
        logits = logits_of(model, batch.to(place), attention)  # type: ignore[arg-type]
        logits.float().square().sum().backward()
        gradients = {name: p.grad.float().cpu() for name, p in model.named_parameters() if p.grad is not None}
        found.append({"logits": logits.detach().float().cpu()} | gradients)
    for name, theirs in found[1].items():
        assert differ(found[0][name], theirs) <= near * float(theirs.abs().max()), name


# Batches


@settings(max_examples=40)
@given(
    rows=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=5), min_size=1, max_size=3),
    spare=st.integers(0, 9),
    pad=st.booleans(),
)
def test_a_batch_predicts_only_the_next_trained_token_of_the_same_document(
    rows: list[list[int]], spare: int, pad: bool
) -> None:
    packed = [row(lengths, seed) for seed, lengths in enumerate(rows)]
    total = sum(map(sum, rows))
    batch = collate(packed, fixed=total + spare if pad else 0)
    expected, positions = [], []
    for each in packed:
        for begin, end in itertools.pairwise([0, *np.cumsum(each.lengths).tolist()]):
            words, seen = each.tokens[begin:end].tolist(), each.trained[begin:end].tolist()
            expected += [w if s else -100 for w, s in zip(words[1:], seen[1:], strict=True)] + [-100]
            positions += range(end - begin)
    rest = spare if pad else 0
    assert batch.targets.tolist() == expected + [-100] * rest
    assert batch.positions[0].tolist() == positions + list(range(rest))
    assert (
        batch.trained == sum(t != -100 for t in expected) == sum(int(each.trained.sum()) for each in packed)
    )
    assert batch.padding == rest and batch.documents.bounds.tolist()[-1] == total + rest
    moved = batch.to(torch.device("meta"))
    assert moved.documents.bounds.is_meta and moved.documents.lengths == batch.documents.lengths


def test_rows_that_would_let_a_document_predict_the_next_are_refused() -> None:
    whole = row((4, 5))
    whole.trained[4] = True
    with pytest.raises(InputError, match="damaged") as error:
        collate([whole])
    assert error.value.code == "T007"
    with pytest.raises(InputError, match="9 tokens do not fit a batch of 8"):
        collate([row((4, 5))], fixed=8)
