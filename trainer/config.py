"""Everything that a training run may be told: one tree of frozen dataclasses.

A preset is the start, a TOML file whose tables are the fields below comes over it, and `--set optimizer.lr=1e-5` over
both. A run writes the tree that came out to `config.toml`, which is a configuration file like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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
