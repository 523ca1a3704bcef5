"""What a whole run of length control is told: one TOML file, read to a frozen tree.

    preset = "smollm2-135m"       of the trainer, if wished

    [problems]                    what traces are sampled for, and what is measured
    [policy]                      the model that thinks, as a [models.NAME] table of dataforge.toml
    [tuned] [control]             where the tuned models answer; without them, in this process
    [length]                      budgets, context, mask, mix
    [model] [data] [optimizer] …  the training run, as `dataforge train --config` takes them

Relative paths start where the command is started, as those of `dataforge train` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dataforge.models.embedded_generator import CONTEXT_TOKENS
from dataforge.project import ModelTable
from trainer import config as configuration
from trainer.config import Config
from trainer.length.strategies import strategy
from trainer.length.tune import SHARE
from trainer.tables import Tables, meant


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSettings:
    """Which problems. Files and corpora, as `dataforge length sample` takes them.

    Attributes:
        train: those that traces are sampled for.
        benchmarks: those that are measured, before and after; none of them should be among the others.
    """

    train: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthSettings:
    """What is sampled, cut, mixed and measured.

    Attributes:
        budgets: tokens of thinking; several need `ask`.
        context: tokens of prompt and output together, when sampling and when measuring.
        output: tokens of output of the second definition of overlong; 0 for 80% of the context, as 32,768 of 40,960.
        strategy: of the mask: `tag`, `standard`, `answer`, `window:K`.
        samples: rollouts a problem that traces are sampled for.
        measured: rollouts a problem that is measured.
        answer_tokens: the most of an answer after a cut.
        ask: a line that asks for a budget in the system message, such as `reasoning budget: {budget}`; empty for none.
        mix: share of ordinary samples in training.
        ordinary: corpora and chat files that they are drawn from.
        finished: draw them from the traces that ended by themselves, too.
        forced: also measure the policy with its thinking closed from outside at the budget.
        control: also train the ordinary rows alone, and measure what they do by themselves.
    """

    budgets: tuple[int, ...] = ()
    context: int = 40960
    output: int = 0
    strategy: str = "tag"
    samples: int = 1
    measured: int = 1
    answer_tokens: int = 1024
    ask: str = ""
    mix: float = SHARE
    ordinary: tuple[str, ...] = ()
    finished: bool = False
    forced: bool = True
    control: bool = False


TABLES = Tables(
    sections={"problems": ProblemSettings, "length": LengthSettings},
    bounds={
        "length.budgets": (1, 2**24),
        "length.context": (2, 2**24),
        "length.output": (0, 2**24),
        "length.samples": (1, 2**20),
        "length.measured": (1, 2**20),
        "length.answer_tokens": (1, 2**24),
        "length.mix": (0, 0.999),
    },
    code="L001",
    page="docs/length.md",
)

_MODELS = ("policy", "tuned", "control")
SAMPLING = ("temperature", "top_p", "stop", "seed", "concurrency", "options")
"""What the tuned model takes over from the policy where it says nothing itself: both are asked alike."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole run.

    Attributes:
        tuned, control: where the tuned model and the control answer, or None for the exported weights in this process.
        training: of the tuning; `data.paths` is the mix's.
    """

    problems: ProblemSettings
    length: LengthSettings
    policy: ModelTable
    tuned: ModelTable | None
    control: ModelTable | None
    training: Config

    @property
    def output(self) -> int:
        """Tokens of output of the second definition of overlong."""
        return self.length.output or self.length.context * 4 // 5


def load(file: Path) -> Settings:
    """The settings in a file.

    Raises:
        InputError: L001: something unknown, of the wrong type, out of range, or at odds with something else; T001 for the
            tables of the trainer.
    """
    document = TABLES.parse(file)
    source = str(file)
    preset = document.pop("preset", None)
    if not isinstance(preset, str | None):
        raise TABLES.wrong(
            f"{source}: `preset` must be a string", f'as preset = "{configuration.presets()[0]}"'
        )
    mine = {name: document.pop(name) for name in TABLES.sections if name in document}
    tables = {name: _model(name, document.pop(name), source) for name in _MODELS if name in document}
    known = (*TABLES.sections, *_MODELS, *configuration.TABLES.sections)
    for name in document:
        if name not in known:
            raise TABLES.wrong(f"{source}: there is no table [{name}]", meant(name, known))
    if "policy" not in tables:
        raise TABLES.wrong(
            f"{source}: there is no table [policy]",
            "it says which model thinks, as a [models.NAME] table does",
        )
    told = TABLES.build(TABLES.values(mine, source))
    training = configuration.from_document(preset, document, source)
    settings = Settings(
        **told,
        policy=tables["policy"],
        tuned=_alike(tables.get("tuned"), tables["policy"]),
        control=_alike(tables.get("control"), tables["policy"]),
        training=_fitted(training, told["length"], document, "tuned" not in tables),
    )
    _check_together(settings, source)
    return settings


def _model(name: str, table: Any, source: str) -> ModelTable:
    if not isinstance(table, dict):
        raise TABLES.wrong(f"{source}: `{name}` must be a table", f"write it as [{name}], its keys below it")
    try:
        return ModelTable.model_validate(table)
    except ValidationError as error:
        # Not what was written: it may be a key in the wrong place.
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in (name, *first["loc"]))
        known = tuple(ModelTable.model_fields)
        help = (
            meant(str(first["loc"][-1]), known)
            if first["type"] == "extra_forbidden"
            else "docs/models.md has all"
        )
        raise TABLES.wrong(
            f"{source}: `{where}`: {first['msg'].removeprefix('Value error, ')}", help
        ) from error


def _alike(tuned: ModelTable | None, policy: ModelTable) -> ModelTable | None:
    if tuned is None:
        return None
    missing = {name: getattr(policy, name) for name in SAMPLING if getattr(tuned, name) is None}
    return tuned.model_copy(update=missing)


def _fitted(training: Config, length: LengthSettings, document: Mapping[str, Any], local: bool) -> Config:
    """The training run with rows that hold what is sampled, and with a file that can be asked here, where neither is told."""
    if "context" not in document.get("data", {}):
        training = replace(training, data=replace(training.data, context=length.context))
    if local and training.checkpoint.gguf == "none":
        training = replace(training, checkpoint=replace(training.checkpoint, gguf="f16"))
    return training


def _check_together(settings: Settings, source: str) -> None:
    """Refuse what cannot be had together, before anything is asked of a model."""
    length, problems, tuned = settings.length, settings.problems, settings.tuned
    strategy(length.strategy)
    models = {name: table for name in _MODELS if (table := getattr(settings, name)) is not None}
    faults = (
        (not problems.train, "`problems.train` is empty", "name the problems that traces are sampled for"),
        (not problems.benchmarks, "`problems.benchmarks` is empty", "name the problems that are measured"),
        (not length.budgets, "`length.budgets` is empty", "name one budget at least: budgets = [30000]"),
        (
            len(set(length.budgets)) != len(length.budgets),
            "a budget is named twice in `length.budgets`",
            "each budget makes traces of its own",
        ),
        (
            len(length.budgets) > 1 and not length.ask,
            "there are several budgets, and `length.ask` is empty: the model could not know which is meant",
            'ask = "reasoning budget: {budget}" says so in the prompt',
        ),
        (
            bool(length.ask) and "{budget}" not in length.ask,
            f"`length.ask` has no place for the budget: {length.ask!r}",
            'write {budget} where it belongs: ask = "reasoning budget: {budget}"',
        ),
        (
            bool(length.budgets) and max(length.budgets, default=0) + length.answer_tokens >= length.context,
            f"a budget of {max(length.budgets, default=0):,} and an answer of {length.answer_tokens:,} tokens leave no room for"
            f" a prompt in `length.context`, {length.context:,}",
            "raise the context if the server has it, or lower the budget",
        ),
        (
            length.mix > 0 and not length.ordinary and not length.finished,
            f"`length.mix` is {length.mix:g}, and there is nothing ordinary to mix in",
            "name corpora with `length.ordinary`, or set `length.finished = true`",
        ),
        (
            bool(settings.training.data.paths),
            "`data.paths` is the mix's, and cannot be named",
            "ordinary rows are named with `length.ordinary`",
        ),
        (
            any(table.thinking_budget for table in models.values()),
            "a model has a `thinking_budget`, and its traces would be closed by the client",
            "take it out: `length.budgets` cuts at a budget, and `length.forced` measures what closing from outside does",
        ),
        *(
            (
                name != "policy" and not table.names_endpoint,
                f"[{name}] does not say where the model answers",
                f"give it base_url and model, or leave [{name}] out: then the exported weights answer in this process",
            )
            for name, table in models.items()
        ),
        *(
            (
                (one.base_url, one.model, one.path) == (two.base_url, two.model, two.path),
                f"[{first}] and [{second}] are one model at one address",
                "serve each of the weights under a name of their own, so that no old answer is taken for a new one",
            )
            for (first, one), (second, two) in combinations(models.items(), 2)
        ),
        (
            length.context > CONTEXT_TOKENS and (tuned is None or any(t.backend == "local" for t in models.values())),
            f"`length.context` is {length.context:,}, and a model in this process has {CONTEXT_TOKENS:,} tokens",
            "lower it, or serve the model: [policy] and [tuned] say where, with base_url and model",
        ),
        (
            length.control and not length.mix,
            "`length.control` trains the ordinary samples alone, and `length.mix` is 0",
            "give it a share of ordinary samples, or leave the control out",
        ),
        (
            length.control and (tuned is None) != (settings.control is None),
            "of [tuned] and [control] only one is there",
            "both answer in this process, or both where their tables say",
        ),
        (
            settings.control is not None and not length.control,
            "there is a table [control], and `length.control` is not set",
            "control = true in [length] has it trained and measured",
        ),
    )  # fmt: skip
    for fault, message, help in faults:
        if fault:
            raise TABLES.wrong(f"{source}: {message}", help)
