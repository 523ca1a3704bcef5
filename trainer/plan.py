"""Memory and time on paper: what a training run needs, before anybody pays for a GPU.

An architecture, a kind of GPU, a mesh and the lengths of the documents come in; bytes by part, FLOPs a token and GPU-hours
come out. Nothing here imports torch or asks a device. The formulas follow PaLM (Chowdhery et al. 2022, appendix B) for
FLOPs and Korthikanti et al. (2022, section 4) for activations, adapted where today's decoders differ: see the functions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataforge.errors import InputError
from trainer.config import MeshConfig, StepConfig

Lengths = Sequence[int] | NDArray[np.integer]
KINDS = ("llama", "mistral", "qwen2", "qwen3")

MOST_GPUS = 4_096
"""Where the search for a layout ends."""

HEADROOM = 0.9
"""The share of a GPU's memory that a plan may fill; the rest is for CUDA, NCCL, fragmentation and what we forgot."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a dense decoder with RMSNorm, SwiGLU, rotary positions and grouped key heads.

    Attributes:
        ffn: width inside the MLP.
        tied: the output matrix is the embedding.
        head_norms: queries and keys are normalised head by head (Qwen3).
    """

    name: str
    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool = False
    head_norms: bool = False

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def layer_matrices(self) -> int:
        """Elements of a layer's matrices: queries and output, keys and values, gate, up and down."""
        return self.width * (2 * self.queries + 2 * self.keys + 3 * self.ffn)

    @property
    def layer_parameters(self) -> int:
        """All parameters of a layer."""
        return self.layer_matrices + 2 * self.width + 2 * self.head_dim * self.head_norms

    @property
    def ends(self) -> int:
        """Parameters of the embedding and the output matrix."""
        return self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All of them, exactly as many as the transformers model has, save for bias vectors (Qwen2: one in 10,000)."""
        return self.layers * self.layer_parameters + self.ends + self.width

    @property
    def matmul_parameters(self) -> int:
        """Those that a token is multiplied with: the embedding is looked up, the output matrix is multiplied."""
        return self.layers * self.layer_matrices + self.vocabulary * self.width


ARCHITECTURES = {
    architecture.name.lower(): architecture
    for architecture in (
        Architecture("Qwen3-14B", 40, 5_120, 17_408, 40, 8, 128, 151_936, head_norms=True),
        Architecture("Llama-3.1-8B", 32, 4_096, 14_336, 32, 8, 128, 128_256),
        Architecture("Llama-3.1-70B", 80, 8_192, 28_672, 64, 8, 128, 128_256),
        Architecture("Llama-3.1-405B", 126, 16_384, 53_248, 128, 8, 128, 128_256),
        Architecture("SmolLM2-135M", 30, 576, 1_536, 9, 3, 64, 49_152, tied=True),
        Architecture("SmolLM2-1.7B", 24, 2_048, 8_192, 32, 32, 64, 49_152, tied=True),
    )
}


def architecture_of(config: Any, name: str = "") -> Architecture:
    """The sizes in a Hugging Face configuration: an object with its fields as attributes.

    Raises:
        InputError: it is of a kind with other formulas, such as mixtures of experts, or a size is none (T008).
    """
    kind = getattr(config, "model_type", None)
    if kind not in KINDS:
        raise InputError(
            f"no plan can be made for models of the kind `{kind}`",
            code="T008",
            help=f"plans know dense decoders: {', '.join(KINDS)}",
        )

    def size(field: str, usual: int | None = None) -> int:
        value = getattr(config, field, None)
        value = usual if value is None else value
        if type(value) is not int or not 0 < value < 2**31:
            raise InputError(
                f"no plan can be made for a model whose `{field}` is {value!r}",
                code="T008",
                help="its configuration must give this size as a whole number above 0",
            )
        return value

    width, heads = size("hidden_size"), size("num_attention_heads")
    return Architecture(
        name or kind,
        layers=size("num_hidden_layers"),
        width=width,
        ffn=size("intermediate_size"),
        heads=heads,
        kv_heads=size("num_key_value_heads", heads),
        head_dim=size("head_dim", width // heads),
        vocabulary=size("vocab_size"),
        tied=bool(getattr(config, "tie_word_embeddings", False)),
        head_norms=kind == "qwen3",
    )


def find_architecture(model: str) -> Architecture:
    """The architecture of a folder or file with a Hugging Face configuration, or of a name that is known here.

    Raises:
        InputError: neither (T008).
    """
    file = Path(model) / "config.json" if Path(model).is_dir() else Path(model)
    known = "smollm2-135m" if model == "embedded" else model.lower().rsplit("/", 1)[-1]
    known = known.removesuffix("-base").removesuffix("-instruct")
    if known in ARCHITECTURES and not file.is_file():
        return ARCHITECTURES[known]
    try:
        config = SimpleNamespace(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"no plan can be made for {model}: {getattr(error, 'strerror', None) or error}",
            code="T008",
            help=f"name a folder with a config.json, or one of {', '.join(a.name for a in ARCHITECTURES.values())}",
        ) from error
    return architecture_of(config, file.resolve().parent.name)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of GPU: memory as the vendor counts it, in decimal gigabytes, and dense bf16 FLOP/s without sparsity."""

    name: str
    memory: float
    peak: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        # From NVIDIA's data sheets, whose sparse figures are twice these; special kinds before those they are named after.
        Gpu("GB200", 186e9, 2.5e15),
        Gpu("B200", 180e9, 2.25e15),
        Gpu("H200 NVL", 141e9, 835e12),
        Gpu("H200", 141e9, 989e12),
        Gpu("H100 NVL", 94e9, 835e12),
        Gpu("H100 PCIe", 80e9, 756e12),
        Gpu("H100", 80e9, 989e12),
        Gpu("A100", 80e9, 312e12),
    )
}


def gpu_of(device_name: str) -> Gpu | None:
    """The kind of a device as CUDA names it, such as `NVIDIA H100 80GB HBM3`; None for one that is not known here."""
    words = set(device_name.lower().replace("-", " ").split())
    return next((gpu for name, gpu in GPUS.items() if words.issuperset(name.lower().split())), None)


def peak_of(device_name: str) -> float | None:
    """Dense bf16 FLOP/s of a device, where its kind is known."""
    gpu = gpu_of(device_name)
    return gpu.peak if gpu else None


def hermes_lengths(context: int = 16_384, samples: int = 10_000) -> NDArray[np.int64]:
    """Lengths as in the Hermes 4 set: 70% reasoning (median 4,430 tokens) and 30% without (680), both lognormal.

    Quantiles of the law instead of draws, so that a plan is a pure function. Samples over the context are left out, as
    the paper's own script does (where all are, one fills the row); at 16,384 the mean is 3,830 and an eighth are over
    half of it.
    """
    share = round(0.7 * samples)
    parts = []
    for median, sigma, n in ((4_430, 0.85, share), (680, 0.9, samples - share)):
        z = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
        parts.append(median * np.exp(sigma * np.array(z)))
    lengths: NDArray[np.int64] = np.maximum(np.concatenate(parts), 1).astype(np.int64)
    fitting: NDArray[np.int64] = lengths[lengths <= context]
    return fitting if fitting.size else np.array([context])


def attended_context(lengths: Lengths) -> float:
    """How many tokens a token attends to on average, itself included: a document of n has n·(n + 1)/2 pairs."""
    n = np.asarray(lengths, dtype=np.float64)
    return float((n * (n + 1)).sum() / 2 / n.sum())


def flops_per_token(architecture: Architecture, lengths: Lengths) -> float:
    """FLOPs that training takes for a token, on average over documents of these lengths.

    PaLM, appendix B: 6 for each parameter of a matrix product (2 forward, 4 backward), and for attention 12 for each
    layer, query channel and token attended to (two products forward, four backward). Unlike there, a token attends only
    to those before it in its own document. Recomputation is not counted, as in PaLM, and neither is what a loss
    saves that skips untrained positions: MFU counts the model, whoever runs it.
    """
    attention = 12 * architecture.layers * architecture.queries * attended_context(lengths)
    return 6 * architecture.matmul_parameters + attention


def activation_bytes(architecture: Architecture, precision: str, tensor: int = 1) -> tuple[int, int]:
    """Bytes that a layer keeps for its backward pass and bytes of its input alone, for each token.

    Korthikanti et al. count 34 bytes a channel for GPT-3's layer, and five times heads × length for the scores. Here
    there is no dropout; fused attention keeps queries, keys, values, its output and a logarithm a head, but no scores;
    SwiGLU keeps four vectors of the inner width instead of two; and transformers' RMSNorm keeps its input in fp32, its
    result, and a number for each. Autocast leaves the vectors between layers in fp32 and copies them for every product.
    Counted operation by operation: compiled layers keep less. Vectors of the full width are not split by `tensor`.
    """
    a = architecture
    c = 4 if precision == "fp32" else 2
    # By channel: two norms and what the products after them take.
    full, layer_input = {"fp32": (24, 4), "autocast": (26, 4), "bf16": (16, 2)}[precision]
    split = c * (2 * a.queries + 2 * a.keys + 4 * a.ffn) + 4 * a.heads
    if a.head_norms:
        split += (c + 4) * (a.queries + a.keys) + 4 * (a.heads + a.kv_heads)
    return full * a.width + 8 + split // tensor, layer_input * a.width


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one GPU, by part.

    Attributes:
        activations: kept for the backward pass, with recomputation as planned.
        activations_kept: the same without recomputation.
        logits: of the chunk that the loss works on, in fp32, and their gradient.
        logits_whole: the same for all positions at once, as a loss without chunks has them.
        buffers: weights and gradients of the layers at work, gathered from their shards.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    buffers: float
    activations_kept: float
    logits_whole: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.buffers


def memory(architecture: Architecture, step: StepConfig, mesh: MeshConfig, context: int) -> Memory:
    """Memory of one of `mesh.shards × mesh.tensor` GPUs (`shards` at least 1) that takes `micro_rows` rows at once.

    Weights, gradients and AdamW's two moments are 4 bytes each in fp32 and under autocast, 2 in bf16.
    """
    a, tensor, tokens = architecture, mesh.tensor, step.micro_rows * context
    alone = mesh.replicas * mesh.shards * tensor == 1
    held = (2 if step.precision == "bf16" else 4) * a.parameters / tensor / mesh.shards
    compute = 4 if step.precision == "fp32" else 2
    # FSDP computes in bf16 itself, without the copies that autocast makes.
    precision = step.precision if alone or step.precision == "fp32" else "bf16"
    layer, layer_input = activation_bytes(a, precision, tensor)
    kept = tokens * a.layers * layer
    again = tokens * (a.layers * layer_input + layer)
    if alone:
        # The loss sums the output matrix's gradient apart, in fp32; autocast keeps its copies of the matrices until the
        # backward pass is done with them.
        copies = 2 * a.matmul_parameters if step.precision == "autocast" else 0
        buffers = 4 * a.vocabulary * a.width + copies
    else:
        # Two layers are gathered, one at work and the next; both ends of the model stay so. The gradients of one layer
        # and of the ends stand whole, in the precision of the products and in fp32 for the sum.
        gathered = compute * (2 * a.layer_parameters + a.ends)
        buffers = (gathered + (compute + 4) * (a.layer_parameters + a.ends)) // tensor
    return Memory(
        weights=held,
        gradients=held,
        optimizer=2 * held,
        activations=again if step.recompute else kept,
        logits=8 * min(step.loss_chunk, tokens) * a.vocabulary / tensor,
        buffers=buffers,
        activations_kept=kept,
        logits_whole=8 * tokens * a.vocabulary / tensor,
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to lay a run out, and what it needs on each GPU."""

    gpus: int
    mesh: MeshConfig
    recompute: bool
    memory: Memory
    fits: bool


def lay_out(
    architecture: Architecture, gpu: Gpu, gpus: int, step: StepConfig, mesh: MeshConfig, context: int
) -> Layout:
    """A layout as asked for; `mesh.shards` of 0 takes the GPUs that the others leave.

    Raises:
        InputError: GPUs, heads or rows cannot be shared evenly so (T015).
    """
    filled = replace(mesh, shards=mesh.shards or max(1, gpus // (mesh.replicas * mesh.tensor)))
    parts = filled.replicas * filled.shards
    shape = f"{filled.replicas} × {filled.shards} × {filled.tensor}"
    wrong = ""
    if parts * mesh.tensor != gpus:
        wrong = f"a mesh of {shape} (replicas × shards × tensor) is not {gpus} GPUs"
    elif architecture.kv_heads % mesh.tensor:
        wrong = f"{mesh.tensor} GPUs cannot share the {architecture.kv_heads} key heads of {architecture.name} evenly"
    elif step.rows % parts:
        wrong = f"{parts} parts of a mesh of {shape} cannot share a batch of {step.rows} rows evenly"
    if wrong:
        raise InputError(
            wrong,
            code="T015",
            help="the mesh must be all GPUs, replicas × shards divide the rows of a batch, and tensor the key heads",
        )
    needed = memory(architecture, step, filled, context)
    return Layout(gpus, filled, step.recompute, needed, needed.total <= HEADROOM * gpu.memory)


def advise(architecture: Architecture, gpu: Gpu, gpus: int, step: StepConfig, context: int) -> Layout | None:
    """The first layout that fits, on these GPUs or else twice as many, and so on up to `MOST_GPUS`; None where none does.

    The smallest tensor degree comes first, since its traffic is the dearest, and recomputation only where it must be.
    """
    recomputations = (True,) if step.recompute else (False, True)
    while True:
        for tensor, recompute in product((1, 2, 4, 8), recomputations):
            parts = gpus // tensor
            if gpus % tensor == 0 and architecture.kv_heads % tensor == 0 and step.rows % parts == 0:
                mesh, tried = MeshConfig(shards=parts, tensor=tensor), replace(step, recompute=recompute)
                if (found := lay_out(architecture, gpu, gpus, tried, mesh, context)).fits:
                    return found
        gpus *= 2
        if gpus > MOST_GPUS:
            return None


@dataclass(frozen=True, slots=True)
class Time:
    """How long it takes.

    Attributes:
        flops_per_token: with attention inside documents.
        flops_per_token_full: the same with attention over the whole row.
        attended: tokens that a token attends to, on average.
        mfu: share of the GPU's dense peak that these FLOPs come to.
        tokens_per_s: of one GPU.
        gpu_hours: of all together.
        hours: on the clock.
    """

    flops_per_token: float
    flops_per_token_full: float
    attended: float
    mfu: float
    tokens_per_s: float
    gpu_hours: float
    hours: float


def time_of(
    architecture: Architecture, gpu: Gpu, gpus: int, lengths: Lengths, context: int, tokens: float, mfu: float
) -> Time:
    """Time for so many tokens, where matrix products run at `mfu` of the peak."""
    flops = flops_per_token(architecture, lengths)
    rate = mfu * gpu.peak / flops
    gpu_hours = tokens / rate / 3_600
    return Time(
        flops_per_token=flops,
        flops_per_token_full=flops_per_token(architecture, [context]),
        attended=attended_context(lengths),
        mfu=mfu,
        tokens_per_s=rate,
        gpu_hours=gpu_hours,
        hours=gpu_hours / gpus,
    )


PAPER_HOURS = {"Qwen3-14B": 4_454, "Llama-3.1-70B": 12_864, "Llama-3.1-405B": 71_616}
"""B200-hours that the Hermes 4 report gives for 56B tokens (section 3), on 192 of them."""

PAPER_TOKENS = 56e9
RECIPE_TOKENS = 9_000 * 384 * 16_384
"""Steps, rows and context of the report come to 56.6B."""


def paper(name: str) -> tuple[Time, Time]:
    """The report's hours for a model as a plan has them, with the MFU that they imply; and the same at 40%."""
    architecture, gpu, lengths = ARCHITECTURES[name.lower()], GPUS["B200"], hermes_lengths()
    flops = PAPER_TOKENS * flops_per_token(architecture, lengths)
    implied, tuned = (
        time_of(architecture, gpu, 192, lengths, 16_384, PAPER_TOKENS, mfu)
        for mfu in (flops / (PAPER_HOURS[name] * 3_600 * gpu.peak), 0.4)
    )
    return implied, tuned
