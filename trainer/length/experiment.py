"""The experiment, job by job: a policy from scratch that over-thinks, and what each way of training makes of it.

    rows/                  stage-1 rows, the tokenizer, and their packed set, which all seeds share
    seed-0/start           random weights
    seed-0/stage-1         a training run on those rows
    seed-0/by-itself       the test set as the policy of stage 1 answers it
    seed-0/forced-92       the same, closed from outside at a budget
    seed-0/sampled-92      traces of fresh problems, cut at a budget; ordinary rows that fit the budget
    seed-0/tag-92 …        an arm: masked rows, the mix, a training run, and the test set as its policy answers it

A job is a function of the folders of earlier ones, and ends by writing `done.json`. What an interrupted start left in its
folder is used again where training can go on, and else made anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dataforge.errors import InputError
from dataforge.files import arriving, write_json
from schemas.chat import Message
from trainer.config import CheckpointConfig, Config, DataConfig, ModelConfig, OptimizerConfig, StepConfig
from trainer.length import task
from trainer.length.mask import write_masked
from trainer.length.prompts import Prompt
from trainer.length.sample import SamplingPlan, sample
from trainer.length.trace import Trace, read_manifest, write_traces
from trainer.length.tune import Mix, control, tune
from trainer.masks import Renderer
from trainer.packed import stored

DONE, TOKENIZER, PACKED = "done.json", "tokenizer", "packed"
ROWS, TEST = "rows.jsonl", "test"
ANSWER_TOKENS = 3
DIRECT = 1
"""Tokens of thinking that are none to speak of: what a policy answers without it."""

BENCHMARKS = {"few doubts": range(3), "some doubts": range(3, 6), "many doubts": range(6, 9)}
"""By how many entries of a problem are doubtful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Every setting of the experiment. They were fixed on other problems than those of the test set: docs/length-demo.md.

    Attributes:
        seeds: each has weights, an order of rows, problems to sample for and draws of its own.
        context: tokens of prompt and output.
        row: tokens of a packed row; stage-1 prompts with chatter are longer than those of the test set.
        doubt: probability that a check is broken off at a doubtful key.
        rows: of stage 1.
        sizes, doubtful: least and most entries, and doubtful ones, of stage-1 prompts.
        chatter: most words of it.
        thinking: the most tokens of it in stage 1.
        hard: least and most entries of problems that are sampled for and measured; any number of them is doubtful.
        steps, batch, rate: of stage 1: optimizer steps, packed rows in each, learning rate.
        loose, tight: the budgets.
        sampled: problems that are sampled for, at either budget.
        tested: problems of the test set.
        exam: seed of the test set.
        share: of ordinary samples in the mix.
        arms: name and budget of each.
        tune_steps, tune_batch, tune_rate: of the arms.
        shape: of the model.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    context: int = 128
    row: int = 160
    doubt: float = 0.65
    rows: int = 20_000
    sizes: tuple[int, int] = (3, 10)
    doubtful: tuple[int, int] = (1, 2)
    chatter: int = 70
    thinking: int = 72
    hard: tuple[int, int] = (6, 10)
    steps: int = 1700
    batch: int = 9
    rate: float = 4e-3
    loose: int = 92
    tight: int = 27
    sampled: tuple[int, int] = (1200, 500)
    tested: int = 500
    exam: int = 20_000
    share: float = 0.75
    arms: tuple[tuple[str, int], ...] = ()
    tune_steps: int = 120
    tune_batch: int = 16
    tune_rate: float = 1e-3
    shape: tuple[tuple[str, int], ...] = (
        ("hidden_size", 64),
        ("intermediate_size", 160),
        ("num_hidden_layers", 2),
        ("num_attention_heads", 4),
        ("num_key_value_heads", 4),
        ("head_dim", 32),
    )

    @property
    def budgets(self) -> tuple[int, int]:
        return self.loose, self.tight

    def digest(self) -> str:
        """A hash of what any job depends on: not of which arms there are, so that one more needs no new run of the others."""
        told = {name: value for name, value in asdict(self).items() if name != "arms"}
        return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


STRATEGIES = ("tag", "window:16", "standard", "answer", "truncated", "control")


def folder_of(arm: str, budget: int) -> str:
    """The folder of an arm at a budget, in that of a seed."""
    return f"{arm.replace(':', '-')}-{budget}"


def full() -> Design:
    """Three seeds, every arm at both budgets."""
    design = Design()
    return replace(design, arms=tuple((name, budget) for budget in design.budgets for name in STRATEGIES))


def quick() -> Design:
    """One seed, without the arms that are there for completeness."""
    design = Design(seeds=(0,), tested=300)
    arms = [("tag", 0), ("standard", 0), ("control", 0), ("tag", 1), ("control", 1)]
    return replace(design, arms=tuple((name, design.budgets[at]) for name, at in arms))


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    Attributes:
        name: of its folder.
        needs: names of jobs that must be done before.
        work: does it in a folder, and gives what `done.json` says.
    """

    name: str
    needs: tuple[str, ...]
    work: Callable[[Design, Path, Path], dict[str, Any]]


def jobs(design: Design) -> list[Job]:
    """All jobs, in an order in which they can be done."""
    found = [Job("rows", (), _rows)]
    for seed in design.seeds:
        at = f"seed-{seed}"
        base = f"{at}/stage-1"
        found.append(Job(base, ("rows",), _Stage1(seed)))
    for seed in design.seeds:
        at, base = f"seed-{seed}", f"seed-{seed}/stage-1"
        for number, budget in enumerate(design.budgets):
            found.append(Job(f"{at}/sampled-{budget}", (base,), _Sampled(seed, budget, number)))
        for name, budget in design.arms:
            sampled = f"{at}/sampled-{budget}"
            if name == "control":
                tag = f"{at}/{folder_of('tag', budget)}"
                found.append(Job(f"{at}/{folder_of(name, budget)}", (tag,), _Control(seed, tag, budget)))
            else:
                found.append(Job(f"{at}/{folder_of(name, budget)}", (sampled,), _Tuned(seed, name, budget)))
        found.append(Job(f"{at}/by-itself", (base,), _Measured(seed, None)))
        found += [Job(f"{at}/forced-{n}", (base,), _Measured(seed, n)) for n in (DIRECT, *design.budgets)]
    return found


def do(job: Job, design: Design, out: Path) -> dict[str, Any]:
    """Do a job, unless it is done.

    Raises:
        InputError: its folder was made with other settings (L007).
    """
    folder = out / job.name
    if (there := finished(job.name, design, out)) is not None:
        return there
    folder.mkdir(parents=True, exist_ok=True)
    result = job.work(design, out, folder)
    write_json(folder / DONE, {"design": design.digest(), "result": result})
    return result


def finished(name: str, design: Design, out: Path) -> dict[str, Any] | None:
    """What came out of a job, or None where it is not done.

    Raises:
        InputError: it was done with other settings (L007).
    """
    there = stored(out / name / DONE)
    if there is None:
        return None
    if there.get("design") != design.digest():
        raise InputError(
            f"{out / name} was made with other settings of the experiment",
            code="L007",
            help="choose another --out; --quick and the whole experiment each have one of their own",
        )
    result: dict[str, Any] = there["result"]
    return result


def problems(seed: int, count: int, design: Design) -> list[Prompt]:
    """Problems as they are sampled for and measured: of any size and any number of doubts."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        size = rng.randint(*design.hard)
        made = task.problem(rng, size, rng.randint(0, size))
        kind = next(name for name, doubts in BENCHMARKS.items() if made.doubtful in doubts)
        asked = Message(role="user", content=made.prompt)
        found.append(Prompt(f"{number:04}", kind, (asked,), made.answer))
    return found


def _stage_1(design: Design) -> Iterator[dict[str, Any]]:
    """Rows of stage 1: closed traces of modest length, of problems with few doubts."""
    rng = random.Random(design.rows)
    number = 0
    while number < design.rows:
        made = task.problem(rng, rng.randint(*design.sizes), rng.randint(*design.doubtful))
        words = task.thinking(rng, made, design.doubt, design.thinking)
        said = task.chatter(rng, design.chatter) if rng.random() < 0.5 else ""
        if words is not None:
            row = task.row(f"stage-1-{number:05}", made.prompt + said, words, made.answer)
            yield row | {"thinking_tokens": len(words)}
            number += 1


def _rows(design: Design, out: Path, folder: Path) -> dict[str, Any]:
    from trainer.data import prepare

    task.tokenizer().save_pretrained(folder / TOKENIZER)
    _write(folder / ROWS, _stage_1(design))
    config = _config(design, out, folder / TOKENIZER, 0, folder / ROWS)
    data = prepare(config, folder / PACKED)
    return {"rows": design.rows, "packed": len(data)}


def _config(design: Design, out: Path, model: Path, seed: int, *paths: Path) -> Config:
    """A training run as the arms have it."""
    return Config(
        model=_model(out, model),
        data=DataConfig(paths=tuple(map(str, paths)), context=design.row, seed=seed),
        train=StepConfig(
            steps=design.tune_steps,
            rows=design.tune_batch,
            micro_rows=design.tune_batch,
            attention="documents",
            threads=1,
            seed=seed,
        ),
        optimizer=OptimizerConfig(lr=design.tune_rate, schedule="linear", warmup_steps=10),
        checkpoint=CheckpointConfig(every=0, keep=1, background=False),
    )


def _model(out: Path, model: Path) -> ModelConfig:
    # Exported templates have no markers any more.
    return ModelConfig(path=str(model), tokenizer=str(out / "rows" / TOKENIZER))


@dataclass(frozen=True, slots=True)
class _Stage1:
    seed: int

    def __call__(self, design: Design, out: Path, folder: Path) -> dict[str, Any]:
        from trainer.tiny import tiny_model
        from trainer.train import train

        tokenizer = task.tokenizer()
        start = folder.parent / "start"
        shape: dict[str, Any] = dict(design.shape)
        model = tiny_model(
            seed=self.seed,
            vocab_size=len(tokenizer),
            tie_word_embeddings=True,
            max_position_embeddings=4 * design.context,
            # Slow turns of most dimensions: what is looked up by content is found at any distance.
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **shape,
        )
        model.save_pretrained(start)
        tokenizer.save_pretrained(start)
        config = _config(design, out, start, self.seed, out / "rows" / PACKED)
        config = replace(
            config,
            train=replace(config.train, steps=design.steps, rows=design.batch, micro_rows=design.batch),
            optimizer=OptimizerConfig(lr=design.rate, schedule="cosine", warmup_steps=50),
            checkpoint=replace(config.checkpoint, every=max(1, design.steps // 4)),
        )
        return _told(train(config, folder)) | {"parameters": model.num_parameters()}


def _told(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: summary[name] for name in ("steps", "first_loss", "last_loss", "trained_tokens", "seconds")}


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Traces of one budget, and the ordinary rows to mix in: those of stage 1 that end within it."""

    seed: int
    budget: int
    number: int

    def __call__(self, design: Design, out: Path, folder: Path) -> dict[str, Any]:
        seed = 1000 * (1 + self.seed) + self.number
        traces = _ask(
            out,
            folder.parent / "stage-1",
            problems(seed, design.sampled[self.number], design),
            SamplingPlan(self.budget, design.context, ANSWER_TOKENS),
            seed,
        )
        write_traces(folder, traces, {"policy": "stage-1"})
        (arm,) = read_manifest(folder)["arms"]
        needed = Mix((), (), design.share).needed(arm["trainable"])
        some = max(needed - arm["finished"], needed // 2)
        with (out / "rows" / ROWS).open() as stream:
            fitting = [row for row in map(json.loads, stream) if row["thinking_tokens"] < self.budget]
        _write(folder / ROWS, random.Random(seed).sample(fitting, some))
        near = sum(
            trace.closed and 0.6 * self.budget <= trace.thinking_tokens < self.budget for trace in traces
        )
        return {"cut": arm["trainable"], "finished": arm["finished"], "near_misses": near, "stage_1": some}


def _ask(out: Path, run: Path, prompts: Sequence[Prompt], plan: SamplingPlan, seed: int) -> list[Trace]:
    """What the policy in the folder of a training run makes of problems."""
    from trainer.length.sampler import LocalPolicy
    from trainer.pretrained import load_model, load_tokenizer

    config = _model(out, run / "model")
    renderer = Renderer(load_tokenizer(config), data=DataConfig(context=plan.context))
    policy = LocalPolicy(run / "model", load_model(config), renderer, seed=seed)
    return asyncio.run(sample(prompts, policy, renderer, replace(plan, concurrency=len(prompts))))


def _examined(
    out: Path, run: Path, design: Design, seed: int, folder: Path, budget: int | None = None
) -> dict[str, Any]:
    """Measure the policy of a training run on the test set; the traces go to a folder."""
    prompts = problems(design.exam, design.tested, design)
    plan = SamplingPlan(budget, design.context, ANSWER_TOKENS)
    write_traces(folder, _ask(out, run, prompts, plan, seed), {"policy": run.name})
    (arm,) = read_manifest(folder)["arms"]
    return {name: arm[name] for name in ("score", "unclosed", "mean_thinking_tokens")}


@dataclass(frozen=True, slots=True)
class _Measured:
    """The policy of stage 1 on the test set: as it is, or closed from outside."""

    seed: int
    budget: int | None

    def __call__(self, design: Design, out: Path, folder: Path) -> dict[str, Any]:
        return _examined(out, folder.parent / "stage-1", design, self.seed, folder / TEST, self.budget)


@dataclass(frozen=True, slots=True)
class _Tuned:
    """An arm that trains on cut traces."""

    seed: int
    strategy: str
    budget: int

    def __call__(self, design: Design, out: Path, folder: Path) -> dict[str, Any]:
        at = folder.parent
        config = _config(design, out, at / "stage-1" / "model", self.seed)
        sampled = at / f"sampled-{self.budget}"
        renderer = Renderer(task.tokenizer(), data=config.data)
        write_masked(sampled, self.strategy, folder / "masked", renderer)
        plan = Mix((folder / "masked",), (sampled / "finished", sampled / ROWS), design.share, seed=self.seed)
        summary = tune(config, plan, folder / "tuned")
        found = _examined(out, folder / "tuned", design, self.seed, folder / TEST)
        return found | _told(summary) | {"mix": summary["mix"]}


@dataclass(frozen=True, slots=True)
class _Control:
    """The ordinary rows of another arm, without its cut traces, as many of them a step, for as many steps."""

    seed: int
    of: str
    budget: int

    def __call__(self, design: Design, out: Path, folder: Path) -> dict[str, Any]:
        config = _config(design, out, folder.parent / "stage-1" / "model", self.seed)
        summary = control(config, out / self.of / "tuned", design.tune_steps, folder / "tuned")
        found = _examined(out, folder / "tuned", design, self.seed, folder / TEST)
        return found | _told(summary) | {name: summary[name] for name in ("batch", "samples")}


def _write(path: Path, rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> None:
    with arriving(path) as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
