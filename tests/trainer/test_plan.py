"""Memory and time on paper, held against real models: parameters, FLOPs and activations are counted, not believed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from dataforge.cli import main
from dataforge.errors import InputError
from trainer.config import MeshConfig, StepConfig, load
from trainer.data import prepare
from trainer.plan import (
    ARCHITECTURES,
    GPUS,
    HEADROOM,
    PAPER_TOKENS,
    RECIPE_TOKENS,
    Architecture,
    activation_bytes,
    advise,
    architecture_of,
    attended_context,
    find_architecture,
    flops_per_token,
    hermes_lengths,
    lay_out,
    memory,
    paper,
    peak_of,
)
from trainer.tiny import Family, tiny_model

PAGE = Path(__file__).parents[2] / "docs" / "train-plan.md"


def on_meta(a: Architecture) -> Any:
    """The transformers model of an architecture, without weights."""
    sizes = {
        "vocab_size": a.vocabulary,
        "hidden_size": a.width,
        "intermediate_size": a.ffn,
        "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads,
        "head_dim": a.head_dim,
        "tie_word_embeddings": a.tied,
    }
    with torch.device("meta"):
        return (
            Qwen3ForCausalLM(Qwen3Config(**sizes)) if a.head_norms else LlamaForCausalLM(LlamaConfig(**sizes))
        )


def test_parameters_are_those_that_are_published() -> None:
    assert {name: architecture.parameters for name, architecture in ARCHITECTURES.items()} == {
        "qwen3-14b": 14_768_307_200,
        "llama-3.1-8b": 8_030_261_248,
        "llama-3.1-70b": 70_553_706_496,
        "llama-3.1-405b": 405_853_388_800,
        "smollm2-135m": 134_515_008,
        "smollm2-1.7b": 1_711_376_384,
    }


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_parameters_are_those_of_a_model_of_this_shape(name: str) -> None:
    architecture = replace(ARCHITECTURES[name], layers=2)
    model = on_meta(architecture)
    assert architecture.parameters == sum(p.numel() for p in model.parameters())
    multiplied = {id(m.weight): m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear)}
    assert architecture.matmul_parameters == sum(multiplied.values())
    assert architecture_of(model.config, architecture.name) == architecture


architectures = st.builds(
    lambda layers, kv, group, head_dim, width, ffn, vocabulary, tied, norms: Architecture(
        "drawn", layers, width * kv * group, ffn, kv * group, kv, head_dim, vocabulary, tied, norms
    ),
    *(st.integers(1, n) for n in (3, 4, 4)),
    st.sampled_from([2, 8, 16]),
    st.integers(1, 5),
    st.integers(1, 90),
    st.integers(8, 99),
    st.booleans(),
    st.booleans(),
)


@given(architectures)
@settings(max_examples=15)
def test_parameters_of_any_shape(architecture: Architecture) -> None:
    model = on_meta(architecture)
    assert architecture.parameters == sum(p.numel() for p in model.parameters())
    assert architecture_of(model.config, "drawn") == architecture


@pytest.mark.parametrize("family", ["llama", "qwen3", "smollm2"])
def test_flops_are_those_that_torch_counts(family: Family) -> None:
    """Exactly: torch counts the whole square of scores, so the average token attends to all of the document."""
    tokens = 64
    model = tiny_model(family)
    model.set_attn_implementation("eager")
    ids = torch.arange(tokens)[None]
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    architecture = architecture_of(model.config)
    square = [2 * tokens - 1]  # a document whose tokens attend to `tokens` others on average
    assert attended_context(square) == tokens
    assert counter.get_total_flops() == tokens * flops_per_token(architecture, square)


@pytest.mark.parametrize("precision", ["fp32", "autocast", "bf16"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_activations_are_those_that_autograd_keeps(family: Family, precision: str) -> None:
    """Exactly, to the byte, as the difference between models of three layers and of one."""
    tokens = 96

    def kept(layers: int) -> tuple[int, Architecture]:
        model = tiny_model(family, num_hidden_layers=layers, num_attention_heads=8, intermediate_size=224)
        model = model.to(torch.bfloat16) if precision == "bf16" else model
        parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        alive: list[torch.Tensor] = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            alive.append(tensor)
            return tensor

        autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast")
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
            model.base_model(input_ids=torch.arange(tokens)[None], use_cache=False)
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in alive}
        return sum(size for at, size in storages.items() if at not in parameters), architecture_of(
            model.config
        )

    three, architecture = kept(3)
    one, _ = kept(1)
    # Autocast keeps copies of the matrices too; a plan has them among the buffers.
    copies = 2 * 2 * architecture.layer_matrices if precision == "autocast" else 0
    assert three - one - copies == 2 * tokens * activation_bytes(architecture, precision)[0]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
@settings(max_examples=30)
def test_attended_context_is_the_mean_over_tokens(lengths: list[int]) -> None:
    each = [position + 1 for n in lengths for position in range(n)]
    assert attended_context(lengths) == pytest.approx(sum(each) / len(each))


@given(st.lists(st.integers(1, 4_096), min_size=1, max_size=12), st.sampled_from(list(ARCHITECTURES)))
@settings(max_examples=30)
def test_the_document_mask_never_costs(lengths: list[int], name: str) -> None:
    architecture = ARCHITECTURES[name]
    whole = flops_per_token(architecture, [sum(lengths)])
    assert 6 * architecture.matmul_parameters < flops_per_token(architecture, lengths) <= whole


def test_where_every_sample_is_over_the_context_one_fills_it() -> None:
    assert hermes_lengths(2).tolist() == [2]


def test_the_length_law_is_the_one_that_was_fitted() -> None:
    lengths = hermes_lengths()
    assert lengths.max() <= 16_384
    assert lengths.mean() == pytest.approx(3_830, rel=0.002)
    assert (lengths > 8_192).mean() == pytest.approx(0.125, abs=0.005)
    assert attended_context(lengths) == pytest.approx(3_559, rel=0.002)


@pytest.mark.parametrize(
    ("model", "hours", "rate", "recipe_rate", "mfu", "tuned"),
    [
        ("Qwen3-14B", 4_454, 3_492, 3_531, 0.144, 1_602),
        ("Llama-3.1-70B", 12_864, 1_209, 1_223, 0.239, 7_692),
        ("Llama-3.1-405B", 71_616, 217, 220, 0.242, 43_395),
    ],
)
def test_the_paper_is_reproduced(
    model: str, hours: float, rate: float, recipe_rate: float, mfu: float, tuned: float
) -> None:
    implied, at_40 = paper(model)
    assert implied.gpu_hours == pytest.approx(hours)
    assert round(implied.tokens_per_s) == rate
    assert round(implied.tokens_per_s * RECIPE_TOKENS / PAPER_TOKENS) == recipe_rate
    assert round(implied.mfu, 3) == mfu
    assert round(at_40.gpu_hours) == tuned


def test_the_14b_of_the_paper_ran_at_324_teraflops() -> None:
    implied, _ = paper("Qwen3-14B")
    assert round(implied.mfu * GPUS["B200"].peak / 1e12) == 324
    assert round(implied.flops_per_token / 1e9, 1) == 92.7
    assert round(1 - implied.flops_per_token / implied.flops_per_token_full, 2) == 0.11


steps = st.builds(
    StepConfig,
    precision=st.sampled_from(["fp32", "autocast", "bf16"]),
    recompute=st.booleans(),
    micro_rows=st.integers(1, 4),
    rows=st.just(0),
)


@given(st.sampled_from(list(ARCHITECTURES)), steps, st.integers(1, 64), st.sampled_from([1, 2]))
@settings(max_examples=40)
def test_memory_splits_and_adds_up(name: str, step: StepConfig, shards: int, tensor: int) -> None:
    a = ARCHITECTURES[name]
    found = memory(a, step, MeshConfig(shards=shards, tensor=tensor), 2_048)
    states = 8 if step.precision == "bf16" else 16
    assert found.weights + found.gradients + found.optimizer == pytest.approx(
        states * a.parameters / shards / tensor
    )
    assert found.logits <= found.logits_whole == 8 * 2_048 * step.micro_rows * a.vocabulary / tensor
    assert (found.activations == found.activations_kept) == (not step.recompute or a.layers == 1)
    assert found.total > found.weights + found.activations


@given(
    st.sampled_from(list(ARCHITECTURES)),
    st.sampled_from(list(GPUS)),
    st.sampled_from([1, 2, 8, 48]),
    steps,
    st.sampled_from([2_048, 16_384]),
)
@settings(max_examples=40)
def test_advice_fits_and_nothing_simpler_does(
    name: str, gpu_name: str, gpus: int, step: StepConfig, context: int
) -> None:
    a, gpu = ARCHITECTURES[name], GPUS[gpu_name]
    advice = advise(a, gpu, gpus, step, context)
    if advice is None:
        return
    assert advice.fits and advice.memory.total <= HEADROOM * gpu.memory
    assert advice.gpus % gpus == 0 and advice.mesh.shards * advice.mesh.tensor == advice.gpus
    if advice.mesh.tensor > 1:
        mesh = MeshConfig(tensor=advice.mesh.tensor // 2)
        for recompute in (step.recompute, True):
            tried = replace(step, recompute=recompute)
            assert not lay_out(a, gpu, advice.gpus, tried, mesh, context).fits
    if advice.recompute and not step.recompute:
        assert advice.memory.total + advice.memory.activations_kept - advice.memory.activations > (
            HEADROOM * gpu.memory
        )


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA B200", 2.25e15),
        ("NVIDIA GB200", 2.5e15),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H200 NVL", 835e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("H200", 989e12),
        ("NVIDIA GeForce RTX 4090", None),
        ("NVIDIA RTX A1000", None),
        ("", None),
    ],
)
def test_peaks_of_devices_as_cuda_names_them(device: str, peak: float | None) -> None:
    assert peak_of(device) == peak


def test_a_mixture_of_experts_is_refused() -> None:
    with pytest.raises(InputError, match="qwen3_moe") as caught:
        architecture_of(SimpleNamespace(model_type="qwen3_moe"))
    assert caught.value.code == "T008"


@pytest.mark.parametrize(
    "written", [b"", b"{", b"[]", b'{"model_type": "llama"}', b'{"model_type": []}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_configuration_is_refused(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "config.json").write_bytes(written)
    with pytest.raises(InputError) as caught:
        find_architecture(str(tmp_path))
    assert caught.value.code == "T008"


@pytest.mark.parametrize(
    "field", ["num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size"]
)
@pytest.mark.parametrize("size", [0, -5, 6.5, "64", True, 10**400])
def test_a_size_that_is_none_is_refused(field: str, size: Any) -> None:
    with pytest.raises(InputError, match=field) as caught:
        architecture_of(SimpleNamespace(**(tiny_model("llama").config.to_dict() | {field: size})))
    assert caught.value.code == "T008"


def test_a_folder_with_a_configuration_is_read_whatever_its_name(tmp_path: Path) -> None:
    model, folder = tiny_model("qwen3"), tmp_path / "Llama-3.1-8B"
    model.config.save_pretrained(folder)
    found = find_architecture(str(folder))
    assert found.name == "Llama-3.1-8B"
    assert found.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("gpus", "mesh", "rows", "said"),
    [
        (8, MeshConfig(shards=3), 0, "is not 8 GPUs"),
        (4, MeshConfig(tensor=8), 0, "is not 4 GPUs"),
        (32, MeshConfig(tensor=16), 0, "key heads"),
        (8, MeshConfig(), 12, "12 rows"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(gpus: int, mesh: MeshConfig, rows: int, said: str) -> None:
    architecture, step = ARCHITECTURES["llama-3.1-8b"], StepConfig(rows=rows)
    with pytest.raises(InputError, match=said) as caught:
        lay_out(architecture, GPUS["B200"], gpus, step, mesh, 4_096)
    assert caught.value.code == "T015"


def test_planning_loads_no_framework() -> None:
    code = "import sys, trainer.plan; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["train", "plan", *arguments])
    captured = capsys.readouterr()
    return int(done.value.code or 0), captured.out, captured.err


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(
        r"```text\n\$ dataforge train plan (.*?)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert len(blocks) >= 3
    for arguments, printed in blocks:
        code, out, _ = run(capsys, *arguments.split())
        assert code == 0
        assert out == printed


def test_json_has_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "--model", "Qwen3-14B", "--gpu", "B200", "--gpus", "8", "--tokens", "56e9", "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert found["layout"] is None
    assert found["advice"]["fits"]
    assert found["advice"]["memory"]["total"] < HEADROOM * found["gpu"]["memory"]
    assert round(found["time"]["gpu_hours"]) == 1_602


def test_lengths_come_from_a_packed_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = tmp_path / "chat.jsonl"
    texts = ["A short one.", "A longer answer, " * 9, "Another " * 5]
    rows = [
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]}
        for text in texts
    ]
    chat.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = load(sets=["model.path=tiny", f'data.paths=["{chat}"]', "data.context=256"])
    packed = prepare(config, tmp_path / "packed")
    code, out, err = run(capsys, "--model", "SmolLM2-135M", "--packed", str(tmp_path / "packed"), "--json")
    assert code == 0, err
    found = json.loads(out)["time"]
    architecture = ARCHITECTURES["smollm2-135m"]
    assert len(packed.document_lengths) == 3
    assert found["attended"] == attended_context(packed.document_lengths)
    assert found["flops_per_token_full"] == flops_per_token(architecture, [256])
    assert json.loads(out)["tokens"] == packed.document_lengths.sum()


def test_what_is_set_for_a_bare_model_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows and its mesh are open, and recomputation comes where it must; a value that is given is heeded all the same."""
    sets = ["train.rows=4", "train.steps=1000", "train.recompute=true"]
    code, out, _ = run(
        capsys, "--model", "Llama-3.1-8B", *(word for text in sets for word in ("--set", text)), "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert found["tokens"] == 1_000 * 4 * 16_384
    assert found["advice"]["recompute"]
    assert found["advice"]["mesh"]["shards"] == 4, "four rows cannot be shared by eight"
    _, out, _ = run(capsys, "--model", "Llama-3.1-8B", "--set", "mesh.tensor=2", "--json")
    assert json.loads(out)["layout"]["mesh"] == {"replicas": 1, "shards": 4, "tensor": 2}


def test_more_gpus_than_the_search_goes_to_are_tried_as_asked() -> None:
    advice = advise(ARCHITECTURES["llama-3.1-8b"], GPUS["B200"], 5_000, StepConfig(rows=0), 4_096)
    assert advice is not None and advice.gpus == 5_000


def test_a_layout_that_does_not_fit_gets_advice(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "--model", "Llama-3.1-70B", "--gpu", "H100", "--gpus", "8", "--set", "mesh.shards=8"
    )
    assert code == 0
    assert "DOES NOT FIT" in out
    assert "this fits:" in out and "fits into" in out.split("this fits:")[1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "T001"),
        (["--model", "nothing-there"], "T008"),
        (["--model", "Llama-3.1-8B", "--gpu", "TPU"], "T008"),
        (["--model", ""], "T008"),
        (["--model", "Llama-3.1-8B", "--set", "mesh.tensor=0"], "T001"),
        (["--model", "Llama-3.1-8B", "--set", "mesh.shards=3"], "T015"),
        (["--model", "Llama-3.1-8B", "--set", "mesh.shards=8", "--set", "train.rows=12"], "T015"),
        (["--preset", "hermes4-14b", "--gpus", "7"], "T015"),
        (["--model", "Llama-3.1-8B", "--packed", "/nonexistent"], "T007"),
    ],
)
def test_wrong_input_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], error: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert f"error[{error}]" in err
    assert not out
