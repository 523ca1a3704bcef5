"""Everything that a training run may be told: one tree of frozen dataclasses.

A preset is the start, a TOML file whose tables are the fields below comes over it, and `--set optimizer.lr=1e-5` over
both. A run writes the tree that came out to `config.toml`, which is a configuration file like any other.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dataforge.errors import InputError
from dataforge.project import nearest

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


_SECTIONS: dict[str, type[Any]] = {f.name: get_type_hints(Config)[f.name] for f in fields(Config)}
_TYPES: dict[str, Any] = {
    f"{name}.{key}": annotation
    for name, section in _SECTIONS.items()
    for key, annotation in get_type_hints(section).items()
}
"""`optimizer.lr` → float: every key there is."""

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}

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
    values: dict[str, Any] = {}
    if preset is not None:
        if preset not in presets():
            raise _wrong(f"there is no preset `{preset}`", _meant(preset, presets()))
        values |= _flat(_parse(PRESETS / f"{preset}.toml"), f"preset {preset}")
    if file is not None:
        values |= _flat(_parse(file), str(file))
    for text in sets:
        values |= _assignment(text)
    config = Config(
        **{
            name: section(**{k: values[f"{name}.{k}"] for k in _keys(section) if f"{name}.{k}" in values})
            for name, section in _SECTIONS.items()
        }
    )
    _check_together(config)
    return config


def flat(config: Config) -> dict[str, Any]:
    """Every key with its value, as `optimizer.lr` → 1e-5."""
    return {key: getattr(getattr(config, key.split(".")[0]), key.split(".")[1]) for key in _TYPES}


def to_toml(config: Config) -> str:
    """The configuration as a file that `load` reads to the same tree."""
    values = flat(config)
    tables = (
        f"[{name}]\n" + "".join(f"{key} = {_toml(values[f'{name}.{key}'])}\n" for key in _keys(section))
        for name, section in _SECTIONS.items()
    )
    return "\n".join(tables)


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


def _keys(section: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(section))


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise _wrong(
            f"{file}: cannot be read: {error.strerror or error}",
            "check that the path is right and that you may read the file",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _wrong(f"{file}: is no TOML: {error}", "docs/training.md shows a whole file") from error


def _flat(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values of a document by dotted key, each known and of its type."""
    values = {}
    for name, table in document.items():
        if name not in _SECTIONS:
            raise _wrong(f"{source}: there is no table [{name}]", _meant(name, tuple(_SECTIONS)))
        if not isinstance(table, dict):
            raise _wrong(f"{source}: `{name}` must be a table", f"write it as [{name}], its keys below it")
        for key, value in table.items():
            values[f"{name}.{key}"] = _typed(f"{name}.{key}", value, source)
    return values


def _assignment(text: str) -> dict[str, Any]:
    """The key and value of one `--set`."""
    key, equals, raw = text.partition("=")
    key, raw = key.strip(), raw.strip()
    if not equals:
        raise _wrong(
            f"--set {text}: there is no `=` in it", "write table.key=value, such as --set optimizer.lr=1e-5"
        )
    _check_key(key, "--set")
    try:
        document = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        document = {}
    # A line break in it would begin another key.
    value = document["value"] if len(document) == 1 else raw
    wants_text = _TYPES[key] is str or get_origin(_TYPES[key]) is Literal
    if wants_text and not isinstance(value, str):
        value = raw
    if get_origin(_TYPES[key]) is tuple and not isinstance(value, list):
        value = [value if isinstance(value, str) else raw]
    return {key: _typed(key, value, "--set")}


def _check_key(key: str, source: str) -> None:
    if key in _TYPES:
        return
    leaf = key.rpartition(".")[2]
    elsewhere = [known for known in _TYPES if known.endswith(f".{leaf}")]
    name = key.partition(".")[0]
    near = tuple(known for known in _TYPES if known.startswith(f"{name}.")) or tuple(_TYPES)
    help = f"did you mean `{elsewhere[0]}`?" if elsewhere else _meant(key, near)
    raise _wrong(f"{source}: there is no key `{key}`", help)


def _typed(key: str, value: Any, source: str) -> Any:
    """The value as its field takes it: known key, right type, within bounds."""
    _check_key(key, source)
    wanted = _TYPES[key]
    if get_origin(wanted) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise _wrong(f"{source}: `{key}` must be a list of strings, not {value!r}", f'as {key} = ["…", "…"]')
    if get_origin(wanted) is Literal:
        choices = get_args(wanted)
        if value in choices:
            return value
        listed = ", ".join(choices)
        raise _wrong(f"{source}: `{key}` must be one of {listed}, not {value!r}", _meant(str(value), choices))
    expected = _WORDS[wanted]
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if fits and key in _BOUNDS:
        least, most = _BOUNDS[key]
        fits, expected = least <= value <= most, f"from {least:,} to {most:,}"
    if not fits:
        raise _wrong(
            f"{source}: `{key}` must be {expected}, not {value!r}", "docs/training.md lists every key"
        )
    return wanted(value)


def _check_together(config: Config) -> None:
    """Refuse values that are each right, and cannot be had together."""
    step = config.train
    if step.micro_rows > step.rows:
        raise _wrong(
            f"`train.micro_rows` ({step.micro_rows}) is more than the whole batch, `train.rows` ({step.rows})",
            "micro_rows is the part of the batch that one process computes at once",
        )
    if step.fp8 != "none" and step.precision == "fp32":
        raise _wrong(
            f'`train.fp8 = "{step.fp8}"` cannot be had with `train.precision = "fp32"`',
            "its matrix products start from bf16: set train.precision to autocast or bf16",
        )
    if step.loss == "liger" and config.mesh.tensor > 1:
        raise _wrong(
            f'`train.loss = "liger"` cannot be had with `mesh.tensor = {config.mesh.tensor}`',
            "liger-kernel cannot split a vocabulary over processes: set train.loss to chunked",
        )


def _toml(value: Any) -> str:
    """A value as TOML writes it. A JSON string is a TOML string, but for DEL, which TOML wants escaped."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _meant(word: str, known: Sequence[str]) -> str:
    near = nearest(word, list(known))
    return f"did you mean `{near}`?" if near else f"there are {', '.join(known)}"


def _wrong(message: str, help: str) -> InputError:
    return InputError(message, code="T001", help=help)
