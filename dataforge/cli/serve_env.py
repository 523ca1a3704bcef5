"""`dataforge serve-env`: a verifier's tasks, sampled and scored, behind the trajectory API that trainers of Atropos speak."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say, sigterm_as_ctrl_c

if TYPE_CHECKING:
    from dataforge.cli._tokenising import Tokeniser
    from dataforge.interop.logprobs import Sampler
    from dataforge.interop.rollouts import GroupOptions, Rollouts
    from dataforge.interop.trajectories import Registration, Trajectories
    from dataforge.models import Backend
    from dataforge.models.client import ModelSpec
    from dataforge.verifiers import Verifier
    from schemas.task import Task

_LOOPBACK = ("127.", "::1", "localhost")


def register(app: typer.Typer) -> None:
    app.command("serve-env")(serve_env)


def serve_env(
    verifier: str | None = typer.Argument(
        None,
        help="The verifier that makes and judges tasks; without one, only other environments' groups are served.",
    ),
    model: str = typer.Option(
        "generator", help="Name of the model that answers, as a [models.NAME] table has it."
    ),
    models: Path | None = typer.Option(None, "--models", help="A file of [models.NAME] tables."),
    tokenizer: str | None = typer.Option(
        None,
        help="Whose tokens: a folder, a name at Hugging Face, or `embedded`. It should be the model's own.",
    ),
    template: str = typer.Option(
        "auto", help="Chat template: `auto`, the name of a shipped one, or a .jinja file."
    ),
    tasks: Path | None = typer.Option(
        None, "--tasks", help="A file of tasks, one JSON object a line, in place of the verifier's own."
    ),
    seed: int = typer.Option(0, help="Of the verifier's tasks."),
    limit: int | None = typer.Option(None, min=1, help="Only so many tasks; without it they have no end."),
    epochs: int = typer.Option(1, min=1, help="How often --limit or --tasks are gone through."),
    group_size: int = typer.Option(8, min=1, help="Responses to each task."),
    in_flight: int = typer.Option(4, min=1, help="Groups under way at once."),
    all_equal: str = typer.Option(
        "keep",
        help="Groups whose responses all earned the same: keep them, or drop them as they teach GRPO nothing.",
    ),
    temperature: float | None = typer.Option(
        None, min=0, max=5, help="Of the responses; as the binding says without it."
    ),
    max_tokens: int | None = typer.Option(None, min=1, help="The most tokens of a response."),
    thinking: str = typer.Option("auto", help="Whether the model should think: auto, on or off."),
    logprobs: bool = typer.Option(
        False, "--logprobs", help="Ask the endpoint for log-probabilities, which importance ratios need."
    ),
    queue: int = typer.Option(
        256, min=1, help="The most groups that wait; what comes beyond is answered with 503."
    ),
    queue_mib: int = typer.Option(512, min=1, help="The most mebibytes that wait."),
    ahead: float = typer.Option(2.0, min=0.1, help="Make so many batches ahead of the trainer, no more."),
    weight: float = typer.Option(1.0, min=0, help="Of this environment beside others that register."),
    min_share: float | None = typer.Option(
        None, min=0, max=1, help="The least part of each batch that is its own."
    ),
    max_token_length: int = typer.Option(
        32_768, min=1, help="Tokens that a response may have, as others are told."
    ),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; the loopback device by default."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port; 0 takes a free one."),
    token_env: str | None = typer.Option(
        None, help="Name of the variable that holds the token which callers must send as a bearer token."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the address as a line of JSON."),
) -> None:
    """Serve scored groups of a verifier's tasks to a trainer that speaks the trajectory API of Atropos.

    Example: `dataforge serve-env maths --models models.toml --tokenizer Qwen/Qwen3-8B --group-size 8`

    A trainer registers, fetches batches, and sets the pace: where it is slow, nothing more is sampled. Ctrl-C or SIGTERM
    ends it with exit code 3; what waits in the queue is lost, and the same --seed makes the same tasks again.
    """  # fmt: skip
    from dataforge.cli.serve import caller_key
    from dataforge.errors import Interrupted
    from dataforge.interop.trajectories import EnvRegistration, Trajectories

    _check("--all-equal", all_equal, "keep", "drop")
    _check("--thinking", thinking, "auto", "on", "off")
    own = None
    if verifier is not None:
        own = EnvRegistration(
            max_token_length=max_token_length,
            desired_name=verifier,
            weight=weight,
            group_size=group_size,
            min_batch_allocation=min_share,
        )
    with suppress(KeyboardInterrupt), sigterm_as_ctrl_c():
        state = Trajectories(max_groups=queue, max_bytes=queue_mib * 1024 * 1024, own=own, ahead=ahead)
        made = None
        if verifier is not None:
            made = _environment(
                verifier,
                _Asked(model, models, tokenizer, template, temperature, max_tokens),
                _Wanted(tasks, seed, limit, epochs),
                group_size=group_size, in_flight=in_flight, all_equal=all_equal, thinking=thinking, logprobs=logprobs,
            )  # fmt: skip
        token = caller_key(token_env, "--token-env", "token") if token_env is not None else None
        if token is None and not host.startswith(_LOOPBACK):
            say(
                f"warning: whoever can reach {host} can read and write here; --token-env asks for a token",
                err=True,
            )
        asyncio.run(_serve(state, made, host, port, token, as_json))
    raise Interrupted(
        "stopped; what waited in the queue is gone",
        help="start it again: the same --seed makes the same tasks",
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which model, and how it is asked."""

    name: str
    file: Path | None
    tokenizer: str | None
    template: str
    temperature: float | None
    max_tokens: int | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which tasks."""

    file: Path | None
    seed: int
    limit: int | None
    epochs: int


@dataclass(frozen=True, slots=True)
class _Environment:
    """What the loop needs, checked before anything listens."""

    verifier: Verifier[Any]
    tasks: Iterator[Task]
    spec: ModelSpec
    tokeniser: Tokeniser
    logprobs: bool
    options: GroupOptions


def _environment(verifier: str, asked: _Asked, wanted: _Wanted, **options: Any) -> _Environment:
    from dataforge.cli._tokenising import Tokeniser
    from dataforge.errors import InputError
    from dataforge.interop.rollouts import GroupOptions, prompt_of
    from dataforge.interop.tasks import tasks_of
    from dataforge.models.binding import DEFAULT, bind
    from dataforge.project import load_project
    from dataforge.verifiers import find

    found = find(verifier)
    tasks = tasks_of(found, wanted.file, seed=wanted.seed, limit=wanted.limit, epochs=wanted.epochs)
    first = next(tasks)
    prompt_of(first)  # tasks that cannot be asked are refused before anything listens
    if options["logprobs"] and found.converses:
        raise InputError(
            f"`{found.name}` is answered in several turns, whose log-probabilities are not put together",
            code="V036",
            help="leave out --logprobs, or take a verifier whose tasks have one answer",
        )
    spec = bind([(asked.name, "generator", {})], load_project(Path.cwd()), asked.file, os.environ)[asked.name]
    if spec.origin == DEFAULT and (asked.file is not None or asked.name != "generator"):
        raise InputError(
            f"{asked.file or 'the project file'} binds no model `{asked.name}`",
            code="R001",
            help=f"write a table [models.{asked.name}], or name one that is there with --model",
        )
    if asked.tokenizer is None:
        raise InputError(
            "trainers need tokens, and no tokenizer is named",
            code="V032",
            help=f"--tokenizer names that of `{spec.model}`: a folder, a name at Hugging Face, or `embedded`",
        )
    sampling = spec.sampling
    if asked.temperature is not None:
        sampling = replace(sampling, temperature=asked.temperature)
    if asked.max_tokens is not None:
        sampling = replace(sampling, max_tokens=asked.max_tokens)
    if sampling.temperature == 0 and options["group_size"] > 1:
        say("warning: at temperature 0 the responses of a group are all the same", err=True)
    return _Environment(
        found,
        itertools.chain([first], tasks),
        spec,
        Tokeniser(asked.tokenizer, asked.template),
        options["logprobs"],
        GroupOptions(
            options["group_size"], options["in_flight"], options["all_equal"], sampling, options["thinking"]
        ),
    )


async def _serve(
    state: Trajectories, made: _Environment | None, host: str, port: int, token: str | None, as_json: bool
) -> None:
    """Serve until a signal says to stop."""
    from dataforge.interop.rollouts import Rollouts
    from dataforge.interop.serving import Serving, TrajectoryApi

    backend, rollouts = None, None
    if made is not None:
        backend, sample = _connected(made)
        rollouts = Rollouts(
            made.verifier,
            made.tasks,
            sample,
            made.tokeniser,
            state,
            made.options,
            _note,
            made.tokeniser.pieces,
        )
    api = TrajectoryApi(
        state,
        token=token,
        counts=lambda: {"environment": rollouts.counts.to_json()} if rollouts is not None else {},
        registered=lambda told: _registered(told, made),
    )
    stopped = _on_signal()
    try:
        async with Serving(api, host, port) as serving:
            _tell(serving.url, made, as_json)
            await _until(stopped, rollouts)
    finally:
        await _close(backend)


def _connected(made: _Environment) -> tuple[Backend, Sampler]:
    from dataforge.interop.logprobs import plain, with_logprobs
    from dataforge.models import connect

    if made.logprobs:
        return with_logprobs(made.spec)
    backend = connect(made.spec)
    return backend, plain(backend)


async def _until(stopped: asyncio.Event, rollouts: Rollouts | None) -> None:
    """Until a signal comes, with the loop running meanwhile; its failure ends everything."""
    waiting = asyncio.create_task(stopped.wait())
    looping = asyncio.create_task(rollouts.run()) if rollouts is not None else None
    try:
        first = {waiting} if looping is None else {waiting, looping}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if looping is not None and looping.done():
            looping.result()
            _note("all tasks are done; what was made can still be fetched (Ctrl-C stops)")
            await waiting
    finally:
        for each in (waiting, looping):
            if each is not None and not each.done():
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each


def _on_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def _close(backend: Backend | None) -> None:
    if backend is not None:
        await backend.close()


def _registered(told: Registration, made: _Environment | None) -> None:
    _note(
        f"a trainer registered: batches of {told.batch_size:,}, up to {told.max_token_len:,} tokens a response"
    )
    if made is not None and told.batch_size % made.options.size:
        _note(
            f"warning: groups of {made.options.size} do not add up to batches of {told.batch_size}: without groups of "
            "other environments there will be none; choose another --group-size"
        )


def _tell(url: str, made: _Environment | None, as_json: bool) -> None:
    if as_json:
        told = {"url": url, "verifier": made and made.verifier.name, "model": made and made.spec.model}
        print_json(told, indent=None)
    elif made is None:
        say(f"serving the trajectory API at {url} (Ctrl-C stops)")
    else:
        say(
            f"serving groups of `{made.verifier.name}`, answered by {made.spec.model}, at {url} (Ctrl-C stops)"
        )


def _note(line: str) -> None:
    with suppress(OSError):  # nobody may be listening any more
        say(line, err=True)


def _check(option: str, value: str, *known: str) -> None:
    if value not in known:
        raise typer.BadParameter(f"`{value}` is none of {', '.join(known)}", param_hint=option)
