"""All of it as one resumable run: measure, sample, mask, tune, measure again, report.

    out/
      before/     traces of the benchmarks: what the policy does by itself
      forced/     the same, closed from outside at each budget: what costs no training
      sampled/    traces of the problems to train on, cut at each budget
      masked/     rows of them, with a mask
      tuned/      the mix, and the training run
      control/    a training run on the ordinary rows of the mix alone
      after/      the benchmarks again, asked for each budget where prompts ask for one
      after-control/
      report/

Each stage has a folder, and writes `stage.json` there when it has ended: with what it depended on, which includes what
came out of the stages before it. A stage whose `stage.json` is there is skipped, if it would be made of the same again;
otherwise the run is refused, and says what differs. One that was interrupted goes on by its own means: sampling by its
journal, training by its checkpoints. So a process that is killed at any moment costs nothing but the moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dataforge.errors import InputError, Interrupted
from dataforge.files import write_json
from dataforge.project import ModelTable
from trainer import config as configuration
from trainer.conversations import Source, find
from trainer.disk import claimed, refused
from trainer.length.mask import write_masked
from trainer.length.prompts import Prompt, asking, read_prompts
from trainer.length.report import write_report
from trainer.length.sample import SamplingPlan
from trainer.length.settings import SAMPLING, Settings
from trainer.length.trace import MANIFEST, Trace, read_manifest, read_traces
from trainer.length.tune import Mix, control, tune
from trainer.masks import Renderer
from trainer.packed import file_hash, stored, text_hash
from trainer.pretrained import load_tokenizer

STAGE, REPORT = "stage.json", "report.json"
CONCURRENCY = 16
"""Problems under way at once, where the policy's table does not say."""

Rounds = Sequence[tuple[Sequence[Prompt], SamplingPlan]]
"""Prompts, and what is sampled for them: one for each budget."""


@dataclass(frozen=True, slots=True)
class Order:
    """Traces to be sampled.

    Attributes:
        name: of the model: `policy`, `tuned` or `control`.
        table: where it answers.
        rounds: what is asked.
        out: folder of the traces; what is kept there of an interrupted start is used again.
    """

    name: str
    table: ModelTable
    rounds: Rounds
    out: Path


class Sampler(Protocol):
    """Whoever reaches models: journals and connections are not the trainer's."""

    def sample(self, order: Order, renderer: Renderer) -> None:
        """Have the traces sampled, or go on with it.

        Raises:
            DataForgeError: it cannot be done, or was stopped.
        """
        ...

    def weights(self, name: str, table: ModelTable) -> str:
        """What tells the weights of a model from others.

        Raises:
            ProjectError: the table binds nothing that could be asked.
        """
        ...

    def silence(self, name: str, table: ModelTable) -> str | None:
        """Why a model does not answer, or None where it does."""
        ...


def run(
    settings: Settings, out: Path, sampler: Sampler, *, tell: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Do all stages that are not done yet.

    Args:
        tell: told of each stage, in a line.

    Returns:
        The report, as `report.json` has it.

    Raises:
        InputError: something in the folder was made with other settings (L007); and whatever a stage refuses.
        Interrupted: stopped, or the tuned model is to be served now; the same call goes on.
    """
    length, model = settings.length, settings.training.model
    renderer = Renderer(load_tokenizer(model), model.template, settings.training.data)
    benchmarks = read_prompts([Path(path) for path in settings.problems.benchmarks])
    problems = read_prompts([Path(path) for path in settings.problems.train])
    _check_apart(problems, benchmarks)
    measured = _plan(settings, None, length.measured)

    def wished(prompts: Sequence[Prompt], budget: int) -> Sequence[Prompt]:
        return [asking(prompt, budget, length.ask) for prompt in prompts] if length.ask else prompts

    with claimed(out):
        stages = _Stages(out, tell)
        sampled = _Sampling(stages, sampler, renderer, settings)
        sampled("before", "policy", settings.policy, [(benchmarks, measured)])
        if length.forced:
            forced = [(benchmarks, _plan(settings, n, length.measured)) for n in length.budgets]
            sampled("forced", "policy", settings.policy, forced)
        cut = [(wished(problems, n), _plan(settings, n, length.samples)) for n in length.budgets]
        sampled("sampled", "policy", settings.policy, cut)
        _masked(stages, length.strategy, renderer)
        _tuned(stages, settings)
        if length.control:
            _control(stages, settings)
        dials = length.budgets if length.ask else length.budgets[:1]
        rounds = [(wished(benchmarks, n), measured) for n in dials]
        trained = {"after": "tuned", **({"after-control": "control"} if length.control else {})}
        for stage, name in trained.items():
            if (table := getattr(settings, name)) is not None and not stages.done(stage):
                _see_served(sampler, name, table, out)
        for stage, name in trained.items():
            table = getattr(settings, name) or _local(settings.policy, out / name)
            sampled(stage, name, table, rounds, needs=(name,))
        _reported(stages, settings)
        if (report := stored(out / "report" / REPORT)) is None:
            raise InputError(
                f"{out / 'report'} has lost its {REPORT}",
                code="L007",
                help="remove that folder, and start the same command again",
            )
        return report


def _check_apart(problems: Sequence[Prompt], benchmarks: Sequence[Prompt]) -> None:
    """Refuse to train on what is measured: by its text, since a copy may have another name.

    Raises:
        InputError: a problem is among both (L001).
    """
    measured = {_words(prompt): prompt for prompt in benchmarks}
    both = [(p, measured[words]) for p in problems if (words := _words(p)) in measured]
    if both:
        first, twin = both[0]
        raise InputError(
            f"{len(both):,} of {len(problems):,} problems to train on are measured, too: the first is `{first.problem}`,"
            f" which is `{twin.problem}` of `{twin.benchmark}`",
            code="L001",
            help="take them out of `problems.train`: what a model was trained on says nothing of how it does elsewhere",
        )


def _words(prompt: Prompt) -> str:
    return " ".join(word for message in prompt.messages for word in message.content.casefold().split())


def _plan(settings: Settings, budget: int | None, samples: int) -> SamplingPlan:
    return SamplingPlan(
        budget=budget,
        context=settings.length.context,
        answer_tokens=settings.length.answer_tokens,
        samples=samples,
        concurrency=settings.policy.concurrency or CONCURRENCY,
    )


def _local(policy: ModelTable, tuned: Path) -> ModelTable:
    """The exported weights, asked in this process as the policy was asked."""
    told = {name: getattr(policy, name) for name in SAMPLING}
    return ModelTable(backend="local", model=str(tuned.resolve())).model_copy(update=told)


def _asked(table: ModelTable) -> dict[str, Any]:
    """What of a model's table decides about its answers, beside its weights."""
    told = table.model_dump(mode="json", include={"temperature", "top_p", "stop", "seed", "options"})
    return {name: value for name, value in told.items() if value is not None}


def _see_served(sampler: Sampler, name: str, table: ModelTable, out: Path) -> None:
    """See that a tuned model answers where it is to be served."""
    if (why := sampler.silence(name, table)) is None:
        return
    where = ", ".join(table.base_url or ()) or f"the endpoint of [{name}]"
    raise Interrupted(
        f"the {name} model `{table.model}` is to be served now: {where} does not answer ({why})",
        help=f"serve the weights in {out / name / 'model'} there under that name; then the same command goes on",
    )


def _masked(stages: _Stages, strategy: str, renderer: Renderer) -> None:
    def work(out: Path) -> dict[str, Any]:
        summary = write_masked(stages.out / "sampled", strategy, out, renderer)
        return {"manifest": file_hash(out / MANIFEST), **summary}

    stages.stage("masked", {"length.strategy": strategy, **stages.came_out("sampled")}, work)


def _tuned(stages: _Stages, settings: Settings) -> None:
    """Mix and train. What trains the same is the same stage, whatever else is set."""
    length, training = settings.length, settings.training
    ordinary = [Path(path) for path in length.ordinary]
    if length.finished:
        ordinary.append(stages.out / "sampled" / "finished")
    mix = Mix((stages.out / "masked",), tuple(ordinary), length.mix, training.data.kinds, training.data.seed)

    def work(out: Path) -> dict[str, Any]:
        summary = tune(training, mix, out, tell=stages.tell)
        told = ("steps", "first_loss", "last_loss", "trained_tokens", "config_digest", "data_digest", "mix")
        return {name: summary[name] for name in told}

    inputs = {
        **configuration.mathematics(training),
        **{name: value for name, value in configuration.flat(training).items() if name.startswith("data.")},
        "length.mix": length.mix,
        "length.ordinary": list(length.ordinary),
        "the text of ordinary rows": [
            _digest(source) for path in length.ordinary for source in find(Path(path))
        ],
        "length.finished": length.finished,
        **stages.came_out("masked"),
    }
    stages.stage("tuned", inputs, work)


def _control(stages: _Stages, settings: Settings) -> None:
    def work(out: Path) -> dict[str, Any]:
        summary = control(settings.training, stages.out / "tuned", stages.found["tuned"]["steps"], out)
        told = ("steps", "batch", "samples", "first_loss", "last_loss", "trained_tokens", "config_digest")
        return {name: summary[name] for name in told}

    stages.stage("control", stages.came_out("tuned"), work)


def _digest(source: Source) -> str:
    return source.digest or source.fingerprint()[0]


def _reported(stages: _Stages, settings: Settings) -> None:
    length = settings.length
    names = {"before": "before", "forced": "forced", "after-control": "control", "after": "after"}
    arms = [stage for stage in names if stage in stages.found]

    def work(out: Path) -> dict[str, Any]:
        found: dict[str, Sequence[Trace]] = {}
        for name in arms:
            found |= _by_budget(names[name], read_traces(stages.out / name))
        only = length.budgets[0] if len(length.budgets) == 1 else None
        write_report(found, out, context=length.context, output=settings.output, budget=only)
        return {REPORT: file_hash(out / REPORT)}

    stages.stage("report", {"length.output": settings.output, **stages.came_out(*arms)}, work)


def _by_budget(name: str, traces: Sequence[Trace]) -> dict[str, Sequence[Trace]]:
    """The arms in a folder: one for each budget that was forced or asked for."""
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        budget = trace.budget or trace.asked
        found.setdefault(name if budget is None else f"{name} {budget:,}", []).append(trace)
    return dict(found)


class _Sampling:
    """Stages that ask a model."""

    def __init__(self, stages: _Stages, sampler: Sampler, renderer: Renderer, settings: Settings) -> None:
        self._stages = stages
        self._sampler = sampler
        self._renderer = renderer
        self._settings = settings

    def __call__(
        self, stage: str, name: str, table: ModelTable, rounds: Rounds, needs: Sequence[str] = ()
    ) -> None:
        def work(out: Path) -> dict[str, Any]:
            self._sampler.sample(Order(name, table, rounds, out), self._renderer)
            return {"manifest": file_hash(out / MANIFEST), "arms": read_manifest(out)["arms"]}

        model = self._settings.training.model
        inputs = {
            f"{name}.weights": self._sampler.weights(name, table),
            **{f"{name}.{key}": value for key, value in _asked(table).items()},
            **self._of(rounds, "samples" if stage == "sampled" else "measured"),
            "model.tokenizer": model.tokenizer or model.path,
            "model.template": model.template,
            **self._stages.came_out(*needs),
        }
        self._stages.stage(stage, inputs, work)

    def _of(self, rounds: Rounds, samples: str) -> dict[str, Any]:
        """What decides about the traces of some rounds; `samples` is the setting that says how many there are."""
        plans = [plan for _, plan in rounds]
        texts = [
            [p.benchmark, p.problem, [m.model_dump() for m in p.messages], p.expected]
            for r, _ in rounds
            for p in r
        ]
        return {
            "length.budgets": [plan.budget or prompts[0].asked for prompts, plan in rounds],
            "length.context": plans[0].context,
            f"length.{samples}": plans[0].samples,
            "length.answer_tokens": plans[0].answer_tokens,
            "the text of problems": text_hash(json.dumps(texts)),
        }


class _Stages:
    """The stages of a run, done or to be done.

    Attributes:
        found: what came out of those that are done, by name.
    """

    def __init__(self, out: Path, tell: Callable[[str], None]) -> None:
        self.out = out
        self.found: dict[str, Any] = {}
        self.tell = tell

    def came_out(self, *names: str) -> dict[str, Any]:
        """What later stages depend on of earlier ones."""
        return {f"what came out of {name}": self.found[name] for name in names}

    def done(self, name: str) -> bool:
        return stored(self.out / name / STAGE) is not None

    def stage(
        self, name: str, inputs: Mapping[str, Any], work: Callable[[Path], dict[str, Any]]
    ) -> dict[str, Any]:
        """What came out of a stage: done now, or before with the same inputs.

        Args:
            inputs: everything that it depends on, by the name of a setting or of a stage.
            work: does it in a folder, whatever an interrupted start left there.

        Raises:
            InputError: it was done with other inputs (L007).
        """
        folder = self.out / name
        # As JSON has it: tuples are lists there.
        inputs = json.loads(json.dumps(inputs))
        there = stored(folder / STAGE)
        if there is None:
            self.tell(f"{name} …")
            result = work(folder)
            try:
                write_json(folder / STAGE, {"stage": name, "inputs": inputs, "result": result})
            except OSError as error:
                raise refused(folder, error) from error
        else:
            _check_same(folder, there.get("inputs", {}), inputs)
            result = there["result"]
            self.tell(f"{name}: done already")
        self.found[name] = result
        return result


def _check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    names = [name for name in (*now, *(before.keys() - now.keys())) if before.get(name) != now.get(name)]
    if names:
        told = ", ".join(
            f"{name} is something else now"
            if " " in name
            else f"`{name}` was {before.get(name)!r} and is {now.get(name)!r}"
            for name in names
        )
        raise InputError(
            f"{folder} was made with other settings: {told}",
            code="L007",
            help="go on with the earlier ones, choose another --out, or remove that folder to make it anew, and what was made of it",
        )
