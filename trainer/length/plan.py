"""What length control of a model takes, on paper: tokens to sample, hours, disk, and hours to train.

    measure before → sample up to the budget → train on what was cut, mixed with ordinary samples → measure after

A model, a kind of GPU and a few rates that nobody knows before come in; each figure that is assumed is named as such by the
command line. Decoding is bound by memory: every step reads all weights once and the keys and values of every sequence, so
a roofline of bandwidth gives the tokens a second that cannot be passed (Pope et al. 2023, section 2; Williams et al. 2009).
Nothing here asks a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataforge.errors import InputError
from trainer.config import StepConfig
from trainer.pack import pack
from trainer.plan import (
    HEADROOM,
    PAPER_HOURS,
    Architecture,
    Gpu,
    Layout,
    Time,
    advise,
    flops_per_token,
    hermes_lengths,
    time_of,
)

BANDWIDTH = {
    "GB200": 8.0e12,
    "B200": 8.0e12,
    "H200 NVL": 4.8e12,
    "H200": 4.8e12,
    "H100 NVL": 3.9e12,
    "H100 PCIe": 2.0e12,
    "H100": 3.35e12,
    "A100": 2.039e12,
}
"""Bytes a second between a GPU and its memory, from NVIDIA's data sheets."""

EFFICIENCY = 0.5
"""The share of the roofline that decoding is taken to reach, where no rate was measured. Ours: engines lose time between
steps, to sequences that come and go, and to memory that is never read at its full rate."""

KEPT = (4_430, 0.85)
"""Median and sigma of the lognormal law of the reasoning samples of Hermes 4, as `hermes_lengths` has it."""

BYTES_A_TOKEN = 4.0
"""UTF-8 of a token of English text under a vocabulary of 150,000, roughly."""

COMPRESSED = 0.4
"""What zstd leaves of such text in a Parquet file, roughly; loops compress better."""

_ROW_BYTES = 2_000
"""Of a trace besides its text."""

_PACKED_SAMPLES = 20_000
"""Of which the rows of a larger set are told: packing takes a minute for millions."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that is measured before and after.

    Attributes:
        samples: runs a problem.
        overlong: share of the runs that the model does not finish within its context, before.
    """

    name: str
    problems: int
    samples: int
    overlong: float

    @property
    def runs(self) -> int:
        return self.problems * self.samples


PAPER_BENCHMARKS = (
    Benchmark("AIME'24", 30, 64, 0.282),
    Benchmark("AIME'25", 30, 64, 0.259),
    Benchmark("GPQA Diamond", 198, 8, 0.182),
    Benchmark("LiveCodeBench v6", 454, 16, 0.600),
)
"""Of the Hermes 4 report: problems and runs of section 4, overlong rates of stage 1 in Table 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be done, and what is taken to be so.

    Attributes:
        budget, context: tokens at which thinking is cut; of prompt and output together.
        prompts: to sample on; None for as many as `wanted` needs.
        wanted: traces that are cut at the budget.
        samples: runs a prompt.
        cut_share: of the runs, how many reach the budget.
        finished_tokens: thinking of a run that does not, on average; None for the law of what it was trained on.
        prompt_tokens, answer_tokens: on average.
        share: of the samples that are trained on, how many are ordinary ones.
        ordinary_tokens: of an ordinary sample, on average; None for the law of the Hermes 4 set.
        train_context: tokens of a packed row.
        decode: tokens a second of one GPU, where they were measured; None for `EFFICIENCY` of the roofline.
        mfu: of training, and of reading prompts.
    """

    budget: int = 30_000
    context: int = 40_960
    prompts: int | None = None
    wanted: int | None = None
    samples: int = 1
    cut_share: float = 0.6
    finished_tokens: float | None = None
    prompt_tokens: int = 200
    answer_tokens: int = 384
    share: float = 0.5
    ordinary_tokens: float | None = None
    train_context: int = 32_768
    epochs: int = 1
    decode: float | None = None
    mfu: float = 0.4


@dataclass(frozen=True, slots=True)
class Decoding:
    """How fast one GPU decodes.

    Attributes:
        tensor: GPUs that share the weights: the fewest on which one whole context fits besides them.
        attended: tokens that lie behind a token when it is written, on average over tokens.
        sequences: under way at once on those GPUs, as many as memory holds.
        roofline: tokens a second of one GPU if its memory is read without a pause.
        rate: that is planned with.
        measured: whether that was given, and not taken from the roofline.
    """

    tensor: int
    attended: float
    sequences: int
    roofline: float
    rate: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Phase:
    """Runs of the policy: tokens that it writes and reads, and how long that takes on all GPUs."""

    runs: int
    decoded: float
    read: float
    gpu_hours: float
    hours: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it.

    Attributes:
        cut, kept: traces that were cut, and that ended by themselves.
        before, sampling, after: the two measurements, and what lies between.
        tagged, ordinary: samples that are trained on.
        trained_tokens: of the epochs, tokens that go through the model.
        positions: of the tagged samples, tokens that the loss sees: two each.
        rows: of the packed set.
        efficiency: tokens by the room in them.
        layout: of the training; None where none fits.
        trace_bytes, packed_bytes, checkpoint_bytes: on disk: traces compressed, packed set, one checkpoint to go on from.
        text_bytes: of the traces before compression.
    """

    prompts: int
    finished_tokens: float
    ordinary_tokens: float
    cut: int
    kept: int
    decoding: Decoding
    before: Phase
    sampling: Phase
    after: Phase
    tagged: int
    ordinary: int
    trained_tokens: float
    positions: int
    rows: int
    efficiency: float
    training: Time
    layout: Layout | None
    trace_bytes: float
    text_bytes: float
    packed_bytes: float
    checkpoint_bytes: float

    @property
    def gpu_hours(self) -> float:
        phases = (self.before, self.sampling, self.after)
        return sum(phase.gpu_hours for phase in phases) + self.training.gpu_hours


def plan_of(architecture: Architecture, gpu: Gpu, gpus: int, wish: Wish) -> Plan:
    """What a wish takes on so many GPUs.

    Raises:
        InputError: the wish is at odds with itself, or the model is too large for the GPUs (L001).
    """
    _check(wish)
    finished = wish.finished_tokens or kept_tokens(wish.budget)
    prompts = wish.prompts or math.ceil((wish.wanted or 0) / (wish.cut_share * wish.samples))
    runs = prompts * wish.samples
    cut = round(wish.cut_share * runs)
    decoding = decode(architecture, gpu, gpus, wish, finished)

    def phase(runs: float, thinking: float, read: float) -> Phase:
        decoded = runs * (thinking + wish.answer_tokens)
        # What is read passes the model once, without a backward pass: a third of a training step.
        forward = flops_per_token(architecture, [wish.prompt_tokens + wish.budget]) / 3
        seconds = decoded / decoding.rate + read * forward / (wish.mfu * gpu.peak)
        return Phase(round(runs), decoded, read, seconds / 3_600, seconds / 3_600 / gpus)

    room = wish.context - wish.prompt_tokens - wish.answer_tokens
    measured = sum(b.runs for b in PAPER_BENCHMARKS)
    overlong = sum(b.runs * b.overlong for b in PAPER_BENCHMARKS) / measured
    # Those that would run to the context now close at the budget.
    before, after = (overlong * n + (1 - overlong) * finished for n in (room, wish.budget))
    thinking = wish.cut_share * wish.budget + (1 - wish.cut_share) * finished
    # A run that is cut is sent again, as tokens to go on from; its keys and values may be gone by then.
    again = cut * (wish.prompt_tokens + wish.budget)

    whole = wish.prompt_tokens + wish.budget + wish.answer_tokens
    ordinary = round(cut * wish.share / (1 - wish.share))
    lengths = _lengths(wish, whole, cut, ordinary)
    packing = pack(lengths, wish.train_context)
    scale = (cut + ordinary) / len(lengths)
    tokens = float(lengths.sum()) * scale
    layout = advise(architecture, gpu, gpus, _step(), wish.train_context)
    training = time_of(architecture, gpu, gpus, lengths, wish.train_context, tokens * wish.epochs, wish.mfu)
    written = runs * (wish.prompt_tokens + thinking + wish.answer_tokens)
    text = written * BYTES_A_TOKEN + runs * _ROW_BYTES
    return Plan(
        prompts=prompts,
        finished_tokens=finished,
        ordinary_tokens=_ordinary_mean(wish),
        cut=cut,
        kept=runs - cut,
        decoding=decoding,
        before=phase(measured, before, measured * wish.prompt_tokens),
        sampling=phase(runs, thinking, runs * wish.prompt_tokens + again),
        after=phase(measured, after, measured * wish.prompt_tokens),
        tagged=cut,
        ordinary=ordinary,
        trained_tokens=tokens * wish.epochs,
        positions=2 * cut,
        rows=round(len(packing) * scale),
        efficiency=float(lengths.sum() / (len(packing) * wish.train_context)),
        training=training,
        layout=layout,
        trace_bytes=text * COMPRESSED,
        text_bytes=text,
        # A token in 4 bytes, and a bit that says whether it is trained.
        packed_bytes=(4 + 1 / 8) * tokens,
        # Weights and AdamW's two moments, in fp32.
        checkpoint_bytes=12 * architecture.parameters,
    )


def _check(wish: Wish) -> None:
    whole = wish.prompt_tokens + wish.budget + wish.answer_tokens
    wrong = help_ = ""
    if (wish.prompts is None) == (wish.wanted is None):
        wrong, help_ = (
            "a plan is for so many prompts, or for so many cut traces that are wanted",
            "give one of the two",
        )
    elif whole > wish.context:
        wrong = (
            f"prompt, budget and answer are {wish.prompt_tokens:,} + {wish.budget:,} + {wish.answer_tokens:,} = {whole:,} tokens, "
            f"and the context is {wish.context:,}"
        )
        help_ = "lower the budget, or give the context more room"
    elif whole > wish.train_context:
        wrong = f"a cut sample has {whole:,} tokens, and a row of the packed set {wish.train_context:,}"
        help_ = "no sample may be cut for training: give rows more room, or lower the budget"
    elif wish.finished_tokens is not None and wish.finished_tokens >= wish.budget:
        wrong = f"runs that end before the budget think for {wish.finished_tokens:,.0f} tokens, and the budget is {wish.budget:,}"
        help_ = "give the mean of those that end before it"
    elif not 0 < wish.cut_share <= 1 or not 0 <= wish.share < 1:
        wrong = (
            f"of the runs, {wish.cut_share:g} are cut, and of the samples, {wish.share:g} are ordinary ones"
        )
        help_ = "the first is above 0 and at most 1, the second at least 0 and below 1"
    if wrong:
        raise InputError(wrong, code="L001", help=help_)


def kept_tokens(budget: int) -> float:
    """Thinking of a run that ends within the budget, on average, if such runs are like those that the model was trained on.

    The mean of a lognormal law cut off at the budget: exp(μ + σ²/2) · Φ((ln b - μ)/σ - σ) / Φ((ln b - μ)/σ).
    """
    return _moment(budget, 1)


def _moment(budget: int, power: int) -> float:
    """The mean of a power of the length of such a run."""
    median, sigma = KEPT
    at = (math.log(budget) - math.log(median)) / sigma

    def law(z: float) -> float:
        # The normal law, precise far below its mean too, where a small budget lies.
        return math.erfc(-z / math.sqrt(2)) / 2

    return float(median**power * math.exp((power * sigma) ** 2 / 2) * law(at - power * sigma) / law(at))


def cache_bytes(architecture: Architecture) -> int:
    """Keys and values of one token, in 16 bits."""
    return 2 * 2 * architecture.layers * architecture.keys


def decode(architecture: Architecture, gpu: Gpu, gpus: int, wish: Wish, finished: float) -> Decoding:
    """How fast a GPU decodes while runs of all lengths are under way.

    A step reads the matrices once (2 bytes a parameter) and the keys and values of each sequence: with B sequences that have
    a tokens behind them, B / ((weights + B · a · cache) / bandwidth) tokens a second; B is what memory holds. A token is
    the likelier seen the longer its run: a is the mean over tokens, so n/2 of a run of n, each counted n times.
    """
    n = np.array([wish.budget, finished + wish.answer_tokens])
    # Runs that end by themselves vary: their mean square is that of the law, scaled to the mean that was asked for.
    squares = np.array([n[0] ** 2, n[1] ** 2 * _moment(wish.budget, 2) / _moment(wish.budget, 1) ** 2])
    shares = np.array([wish.cut_share, 1 - wish.cut_share])
    attended = wish.prompt_tokens + float(shares @ squares / (2 * shares @ n))
    weights, cache = 2 * architecture.matmul_parameters, cache_bytes(architecture)
    held = 2 * architecture.parameters
    tensor = 1
    while HEADROOM * tensor * gpu.memory < held + wish.context * cache:
        tensor *= 2
        if tensor > gpus or architecture.kv_heads % tensor:
            raise InputError(
                f"{architecture.name} with a context of {wish.context:,} tokens fits on no {gpus:,} × {gpu.name}",
                code="L001",
                help="plan with more GPUs, or larger ones",
            )
    sequences = max(1, int((HEADROOM * tensor * gpu.memory - held) / (attended * cache)))
    seconds = (weights + sequences * attended * cache) / (tensor * BANDWIDTH[gpu.name])
    roofline = sequences / seconds / tensor
    rate = wish.decode or EFFICIENCY * roofline
    return Decoding(tensor, attended, sequences, roofline, rate, wish.decode is not None)


def _lengths(wish: Wish, whole: int, cut: int, ordinary: int) -> NDArray[np.int64]:
    """Lengths of the samples that are trained on; of many, of a smaller set with the same shares."""
    total = cut + ordinary
    few = min(total, _PACKED_SAMPLES)
    ordinary = round(few * ordinary / total)
    law = hermes_lengths(min(16_384, wish.train_context), max(ordinary, 1))
    # Long ones are left out of the law, and others take their place, evenly over it.
    law = law[np.linspace(0, len(law) - 1, ordinary).astype(np.int64)]
    if wish.ordinary_tokens is not None and ordinary:
        law = np.clip(law * (wish.ordinary_tokens / law.mean()), 1, wish.train_context).astype(np.int64)
    return np.concatenate([np.full(few - ordinary, whole, dtype=np.int64), law])


def _ordinary_mean(wish: Wish) -> float:
    return wish.ordinary_tokens or float(hermes_lengths(min(16_384, wish.train_context)).mean())


def _step() -> StepConfig:
    """As the presets for many GPUs have it; the rows of a batch are left open."""
    return StepConfig(precision="autocast", rows=0)


PAPER_PROMPTS = 300_000
PAPER_UNIQUE = 12_000
"""Prompts gathered, and the unique ones that remain of rSTAR-Coder (Hermes 4, section 3.1)."""

PAPER_CUT = 10_709
"""Truncated samples of the experiment with a budget of 20,000 tokens (appendix B)."""


def paper_case(architecture: Architecture, gpu: Gpu, gpus: int) -> dict[str, Any]:
    """The report's own case, as far as its facts go: 10,709 samples at 20,000 tokens, and 300,000 prompts at 30,000.

    Its throughput, learning rate and mixing ratio are not published.
    """
    fewer = plan_of(architecture, gpu, gpus, Wish(budget=20_000, wanted=PAPER_CUT))
    all_prompts = plan_of(architecture, gpu, gpus, Wish(prompts=PAPER_PROMPTS))
    return {
        "at_20k": fewer,
        "all_prompts": all_prompts,
        "share_of_prompts": PAPER_CUT / PAPER_PROMPTS,
        "share_of_unique": PAPER_CUT / PAPER_UNIQUE,
        "stage_1_gpu_hours": PAPER_HOURS.get(architecture.name),
    }
