"""Everything that a training run may be told: one tree of frozen dataclasses.

A preset is the start, a TOML file whose tables are the fields below comes over it, and `--set optimizer.lr=1e-5` over
both. A run writes the tree that came out to `config.toml`, which is a configuration file like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from trainer.tables import Tables, meant

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which weights, tokenizer and chat template.

    Attributes:
        path: a folder in Hugging Face's form, a name at the hub, `embedded` (SmolLM2-135M-Instruct from the package of
            embedded weights) or `tiny` (random weights, made on the spot).
        revision: of a name at the hub; empty for its default branch.
        tokenizer: as `path`, where it isn't the model's own.
        template: `auto` (the tokenizer's own where it marks what the assistant says, else the shipped twin that renders
            the same text), the name of a shipped one, or a `.jinja` file with generation markers.
        weights: `random` starts from scratch with the architecture of `path`.
    """

    path: str = "embedded"
    revision: str = ""
    tokenizer: str = ""
    template: str = "auto"
    weights: Literal["pretrained", "random"] = "pretrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which conversations, and how they become rows.

    Attributes:
        paths: corpora that `dataforge run` wrote, `.jsonl` or `.parquet` files with `messages`, or one packed set.
        kinds: rows of these kinds only.
        context: tokens of a row, and the most of a sample.
        overlong: what becomes of a longer sample: left out, cut at its end, or split into pieces that follow each other.
        history: thinking of earlier turns: `template` does as the chat template does for inference, and trains no turn
            whose thinking was removed; `keep` leaves it in; `split` makes a sample of each assistant turn.
        packing: first-fit or best-fit decreasing; `none` puts one sample in a row.
        window: samples packed together; 0 for all of them at once.
        untrained: a sample without a trained token is an error, or is left out and counted.
        seed: of the order of rows.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("final",)
    context: int = 4096
    overlong: Literal["drop", "cut", "split"] = "drop"
    history: Literal["template", "keep", "split"] = "template"
    packing: Literal["ffd", "bfd", "none"] = "ffd"
    window: int = 0
    untrained: Literal["error", "drop"] = "error"
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """AdamW and its schedule.

    Attributes:
        lr: peak learning rate.
        min_lr: at the end of the schedule, as a share of `lr`.
        warmup_steps: of linear warm-up from 0.
        clip: largest norm of the gradient; 0 for no clipping.
    """

    lr: float = 2e-5
    min_lr: float = 0.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = 10
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepConfig:
    """What one step is, and how many there are.

    Attributes:
        steps: optimizer steps; 0 for `epochs` over the set.
        epochs: used where `steps` is 0.
        rows: packed rows of a global batch, over all processes.
        micro_rows: rows that one process computes at once.
        precision: `fp32`; `autocast` computes in bf16 from fp32 weights; `bf16` keeps the weights themselves in bf16.
        attention: `documents` (a loop over documents, any device), `flex` or `varlen` (CUDA); `auto` chooses.
        loss: `chunked` is ours, `liger` takes the kernel of liger-kernel; `auto` chooses.
        loss_chunk: positions whose logits are in memory at once.
        recompute: activation checkpointing of every layer.
        compile: `torch.compile` of every layer.
        fp8: `none`, or torchao's float8 (Hopper) or mxfp8 (Blackwell) matrix products.
        threads: of the CPU; 0 leaves PyTorch's choice.
    """

    steps: int = 0
    epochs: int = 1
    rows: int = 8
    micro_rows: int = 1
    precision: Literal["fp32", "autocast", "bf16"] = "fp32"
    attention: Literal["auto", "documents", "flex", "varlen"] = "auto"
    loss: Literal["auto", "chunked", "liger"] = "auto"
    loss_chunk: int = 1024
    recompute: bool = False
    compile: bool = False
    fp8: Literal["none", "float8", "mxfp8"] = "none"
    threads: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig:
    """How processes share the model: `replicas` × `shards` × `tensor` must be the number of processes.

    Attributes:
        replicas: copies of the sharded model (HSDP).
        shards: processes over which FSDP2 splits weights, gradients and optimizer; 0 takes what the others leave.
        tensor: processes over which each matrix is split.
    """

    replicas: int = 1
    shards: int = 0
    tensor: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """What survives a crash.

    Attributes:
        every: steps between checkpoints; 0 writes one at the end and when stopped.
        keep: the newest that stay.
        background: write while the next steps are computed.
        gguf: also export a GGUF file for llama.cpp, where the architecture allows it: `f16`, `q8_0` or `none`.
    """

    every: int = 100
    keep: int = 2
    background: bool = True
    gguf: Literal["none", "f16", "q8_0"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Where figures go besides `metrics.jsonl` and the terminal.

    Attributes:
        gpu: kind of device for MFU, as `H200`; empty to recognise it. On CPUs no MFU is given.
    """

    tensorboard: bool = False
    wandb: bool = False
    project: str = "dataforge"
    gpu: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: StepConfig = field(default_factory=StepConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)


MANY = 2**31 - 1
"""More of anything would overflow somewhere."""

_BOUNDS: dict[str, tuple[float, float]] = {
    "data.context": (2, 2**24),
    "data.window": (0, MANY),
    "data.seed": (0, 2**63 - 1),
    "optimizer.lr": (0, 10),
    "optimizer.min_lr": (0, 1),
    "optimizer.warmup_steps": (0, MANY),
    "optimizer.beta1": (0, 0.999999),
    "optimizer.beta2": (0, 0.999999),
    "optimizer.eps": (1e-20, 1),
    "optimizer.weight_decay": (0, 10),
    "optimizer.clip": (0, MANY),
    "train.steps": (0, MANY),
    "train.epochs": (1, MANY),
    "train.rows": (1, 2**20),
    "train.micro_rows": (1, 2**20),
    "train.loss_chunk": (1, MANY),
    "train.threads": (0, 4096),
    "train.seed": (0, 2**63 - 1),
    "mesh.replicas": (1, MANY),
    "mesh.shards": (0, MANY),
    "mesh.tensor": (1, MANY),
    "checkpoint.every": (0, MANY),
    "checkpoint.keep": (1, MANY),
}
"""Least and largest value of every number, both allowed."""

TABLES = Tables(
    sections={f.name: get_type_hints(Config)[f.name] for f in fields(Config)},
    bounds=_BOUNDS,
    code="T001",
    page="docs/training.md",
)
_TYPES = TABLES.types

_MATHEMATICS = (
    *("model.path", "model.revision", "model.weights", "data.seed"),
    *(key for key in _TYPES if key.startswith("optimizer.")),
    *("train.steps", "train.epochs", "train.rows", "train.precision", "train.fp8", "train.seed"),
)


def presets() -> tuple[str, ...]:
    """Names of the configurations that ship: the files in `presets/`."""
    return tuple(sorted(file.stem for file in PRESETS.glob("*.toml")))


def load(preset: str | None = None, file: Path | None = None, sets: Sequence[str] = ()) -> Config:
    """A configuration: a preset (or the defaults), a file over it, single values over both.

    Args:
        preset: one of `presets()`.
        file: a TOML file with any of the tables and keys of `Config`.
        sets: `table.key=value` each, the value as TOML writes it. Quotes around a string may be left out.

    Raises:
        InputError: T001: something unknown, of the wrong type, out of range, or at odds with something else.
    """
    document = TABLES.parse(file) if file is not None else {}
    return from_document(preset, document, str(file), sets)


def from_document(
    preset: str | None, document: Mapping[str, Any], source: str, sets: Sequence[str] = ()
) -> Config:
    """As `load`, of a file that was read already.

    Args:
        source: what errors call it.
    """
    values: dict[str, Any] = {}
    if preset is not None:
        if preset not in presets():
            raise TABLES.wrong(f"there is no preset `{preset}`", meant(preset, presets()))
        values |= TABLES.values(TABLES.parse(PRESETS / f"{preset}.toml"), f"preset {preset}")
    values |= TABLES.values(document, source)
    for text in sets:
        values |= TABLES.assignment(text)
    config = Config(**TABLES.build(values))
    _check_together(config)
    return config


def flat(config: Config) -> dict[str, Any]:
    """Every key with its value, as `optimizer.lr` → 1e-5."""
    return TABLES.flat(config)


def to_toml(config: Config) -> str:
    """The configuration as a file that `load` reads to the same tree."""
    return TABLES.to_toml(config)


def mathematics(config: Config) -> dict[str, Any]:
    """The keys that decide, with the packed set, which weights come out, up to float error.

    A checkpoint goes on under a configuration that agrees in these. The others move files, figures and processes, cut
    the same batch otherwise, or enter the digest of the packed set (tokenizer, template and everything of `data`).
    """
    values = flat(config)
    return {key: values[key] for key in _MATHEMATICS}


def digest(config: Config) -> str:
    """A hash of `mathematics`, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(mathematics(config), sort_keys=True).encode()).hexdigest()[:16]


def _check_together(config: Config) -> None:
    """Refuse values that are each right, and cannot be had together."""
    step = config.train
    if step.micro_rows > step.rows:
        raise TABLES.wrong(
            f"`train.micro_rows` ({step.micro_rows}) is more than the whole batch, `train.rows` ({step.rows})",
            "micro_rows is the part of the batch that one process computes at once",
        )
    if step.fp8 != "none" and step.precision == "fp32":
        raise TABLES.wrong(
            f'`train.fp8 = "{step.fp8}"` cannot be had with `train.precision = "fp32"`',
            "its matrix products start from bf16: set train.precision to autocast or bf16",
        )
    if step.loss == "liger" and config.mesh.tensor > 1:
        raise TABLES.wrong(
            f'`train.loss = "liger"` cannot be had with `mesh.tensor = {config.mesh.tensor}`',
            "liger-kernel cannot split a vocabulary over processes: set train.loss to chunked",
        )
