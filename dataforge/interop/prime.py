"""Any of our verifiers as an environment of PrimeIntellect's `verifiers` package.

    from dataforge.interop.prime import environment, taskset

    env = environment("maths", n=1000, seed=0)      # a SingleTurnEnv: verifiers 0.3 and what trains with it
    tasks = taskset("maths", n=1000, seed=0)        # a v1 Taskset: verifiers 0.3 and 0.4

The reward is the verdict's score. Metrics are its outcome, `passed`, `failed` and `unparsed`, and the scores of its parts.
A verdict that is an error sets the rollout's error, as a failing model or sandbox would: such a rollout is retried
or masked by the framework, and no zero is learnt from. The hidden facts travel in `info`, which the model does not see.

That package is called `verifiers` and has nothing to do with `dataforge.verifiers`; it is imported when it is needed.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers import CHECKS, Response, Verdict, Verifier, find
from schemas.chat import Message
from schemas.task import Task

OUTCOMES = ("passed", "failed", "unparsed")


def environment(
    verifier: str | Verifier[Any],
    *,
    n: int = 1_000,
    seed: int = 0,
    eval_n: int = 100,
    eval_seed: int | None = None,
    tasks: Iterable[Task] | None = None,
    **options: Any,
) -> Any:
    """A `SingleTurnEnv` of a verifier.

    Args:
        verifier: its name, or itself.
        n, seed: of the tasks to train on.
        eval_n, eval_seed: of those to evaluate on; their seed is another one.
        tasks: to train on in place of the verifier's own; there is nothing to evaluate on apart from them then.
        options: for `SingleTurnEnv`, such as `system_prompt`.

    Raises:
        InputError: there is no such verifier (V001); it makes no tasks and none are given (V031); the package is not
            installed, or is one that has no `SingleTurnEnv` any more (V033).
    """
    vf = _package("verifiers.legacy", "0.3", "`taskset(…)` makes a taskset for newer ones")
    judge = find(verifier) if isinstance(verifier, str) else verifier
    own = list(tasks) if tasks is not None else None
    _check_tasks(judge, own)
    made: dict[str, Callable[[], Any]] = {"dataset": lambda: _dataset(judge, own, n, seed)}
    if own is None and eval_n:
        other = seed + 1_000_003 if eval_seed is None else eval_seed
        made["eval_dataset"] = lambda: _dataset(judge, None, eval_n, other)
    return vf.SingleTurnEnv(**made, rubric=_rubric(vf, judge), **options)


def taskset(
    verifier: str | Verifier[Any], *, n: int = 1_000, seed: int = 0, tasks: Iterable[Task] | None = None
) -> Any:
    """A v1 `Taskset` of a verifier: its tasks carry their facts beside the prompt, and score themselves.

    Raises:
        InputError: as `environment`.
    """
    vf = _package("verifiers.v1", "0.3", "")
    judge = find(verifier) if isinstance(verifier, str) else verifier
    own = list(tasks) if tasks is not None else None
    _check_tasks(judge, own)
    kinds = _task_kinds(vf, judge)

    class VerifierTaskset(vf.Taskset[kinds.task]):  # type: ignore[misc, name-defined]
        """The tasks of one verifier."""

        def load(self) -> Iterable[Any]:
            for number, task in enumerate(own if own is not None else judge.tasks(seed, n)):
                if task.tools:
                    raise _has_tools(judge)
                told = {"facts": json.dumps(task.facts), "topic": task.topic, "difficulty": task.difficulty}
                yield kinds.task(
                    kinds.data(idx=number, prompt=task.prompt, system_prompt=task.system, **told)
                )

    return VerifierTaskset(vf.TasksetConfig())


def response_of(turns: Sequence[Any], finish_reason: str | None = None) -> Response:
    """What a model answered, from the messages that came after the prompt: objects or mappings, in either's form."""
    messages = [_message(turn) for turn in turns]
    last = next((m for m in reversed(messages) if m.role == "assistant"), None)
    if last is None:
        return Response("", finish_reason=finish_reason)
    return Response(
        last.content,
        last.reasoning_content,
        tuple(last.tool_calls or ()),
        finish_reason,
        tuple(messages) if len(messages) > 1 else (),
    )


def metrics_of(verdict: Verdict) -> dict[str, float]:
    """The outcome as numbers, which add up to rates, and the scores of the parts."""
    told = {name: float(verdict.outcome == name) for name in OUTCOMES}
    return told | {f"part_{name}": score for name, score in verdict.parts.items()}


def _rubric(vf: Any, judge: Verifier[Any]) -> Any:
    class VerdictRubric(vf.Rubric):  # type: ignore[misc]
        """Rewards by the verdict."""

        async def score_rollout(self, state: Any) -> None:
            state["reward"], state["metrics"] = 0.0, {}
            if state.get("error") is not None:
                return
            info = state["info"]
            task = Task.model_validate_json(info["dataforge_task"])
            steps = state.get("trajectory") or ()
            answer = steps[-1].get("response") if steps else None
            finish = getattr(getattr(answer, "message", None), "finish_reason", None)
            verdict = await CHECKS.verdict(judge, task, response_of(state["completion"] or (), finish))
            if verdict.score is None:
                # What another attempt may mend is the framework's `InfraError`, which it retries.
                kind = vf.Error if verdict.error == "task" else vf.InfraError
                state["error"] = kind(f"{judge.name}: {verdict.error}: {verdict.reason}")
                return
            state["reward"], state["metrics"] = verdict.score, metrics_of(verdict)

        async def score_group(self, states: list[Any]) -> None:
            await asyncio.gather(*(self.score_rollout(state) for state in states))
            scored = [state for state in states if state.get("error") is None]
            mean = sum(state["reward"] for state in scored) / len(scored) if scored else 0.0
            for state in states:
                # What failed says nothing about the others, and learns nothing itself.
                told = 0.0 if state.get("error") is not None else state["reward"] - mean
                state["advantage"] = told
                for step in state["trajectory"]:
                    step["advantage"] = told if step["advantage"] is None else step["advantage"]
                    step["reward"] = state["reward"] if step["reward"] is None else step["reward"]

        def _get_reward_func_names(self) -> list[str]:
            return list(OUTCOMES)

    return VerdictRubric()


class _Kinds:
    """The classes of a task and its data, made for one verifier."""

    def __init__(self, data: Any, task: Any) -> None:
        self.data, self.task = data, task


def _task_kinds(vf: Any, judge: Verifier[Any]) -> _Kinds:
    class VerifierData(vf.TaskData):  # type: ignore[misc]
        """A task's prompt, with what its verifier knows beyond it as JSON."""

        facts: str = "{}"
        topic: str = ""
        difficulty: float | None = None

    class VerifierTask(vf.Task[VerifierData]):  # type: ignore[misc]
        """A task that its verifier scores."""

        @vf.reward  # type: ignore[untyped-decorator]
        async def verdict(self, trace: Any) -> float:
            """The verdict's score. An error is raised: the framework records it, and no reward."""
            calls = trace.calls
            finish = calls[-1].finish_reason if calls else None
            task = Task(prompt=self.data.prompt_text, facts=json.loads(self.data.facts))
            said = await CHECKS.verdict(judge, task, response_of(trace.assistant_messages[-1:], finish))
            if said.score is None:
                raise RuntimeError(f"{judge.name}: {said.error}: {said.reason}")
            trace.record_metrics(metrics_of(said))
            return said.score

    return _Kinds(VerifierData, VerifierTask)


def _check_tasks(judge: Verifier[Any], own: Sequence[Task] | None) -> None:
    if own is None and not judge.makes_tasks:
        raise InputError(
            f"the verifier `{judge.name}` makes no tasks of its own",
            code="V031",
            help="give it some: tasks=[Task(prompt=…, facts={…}), …]",
        )
    if own is not None and not own:
        raise InputError("there are no tasks", code="V031", help="give at least one")


def _dataset(judge: Verifier[Any], own: Sequence[Task] | None, n: int, seed: int) -> Any:
    """The tasks as a dataset of Hugging Face: the prompt, and all the rest as JSON, which has no trouble with types."""
    datasets: Any = importlib.import_module("datasets")
    rows = [_row(task) for task in (own if own is not None else judge.tasks(seed, n))]
    return datasets.Dataset.from_list(rows)


def _row(task: Task) -> dict[str, Any]:
    prompt = [{"role": "system", "content": task.system}] if task.system is not None else []
    info: dict[str, Any] = {"dataforge_task": task.model_dump_json()}
    if task.tools:
        info["tool_defs"] = [_tool(tool) for tool in task.tools]
    return {
        "prompt": [*prompt, {"role": "user", "content": task.prompt}],
        "answer": "",
        "info": json.dumps(info, ensure_ascii=False),
    }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in the framework's form, which is not OpenAI's."""
    told = tool.get("function", tool)
    return {
        "name": str(told["name"]),
        "description": str(told.get("description", "")),
        "parameters": dict(told.get("parameters") or {"type": "object", "properties": {}}),
    }


def _message(turn: Any) -> Message:
    def get(name: str) -> Any:
        return turn.get(name) if isinstance(turn, Mapping) else getattr(turn, name, None)

    content = get("content")
    if isinstance(content, list):
        parts = (p if isinstance(p, Mapping) else getattr(p, "__dict__", {}) for p in content)
        content = "".join(str(part.get("text") or "") for part in parts)
    return Message(
        role=get("role") or "assistant",
        content=content or "",
        reasoning_content=get("reasoning_content") or None,
        tool_calls=[_call(call) for call in get("tool_calls") or ()] or None,
        tool_call_id=get("tool_call_id"),
    )


def _call(call: Any) -> dict[str, Any]:
    if isinstance(call, str):
        call = json.loads(call)
    if isinstance(call, Mapping) and "function" in call:
        return dict(call)

    def get(name: str) -> Any:
        return call.get(name) if isinstance(call, Mapping) else getattr(call, name, None)

    return {
        "id": get("id"),
        "type": "function",
        "function": {"name": get("name"), "arguments": get("arguments")},
    }


def _has_tools(judge: Verifier[Any]) -> InputError:
    return InputError(
        f"the tasks of `{judge.name}` offer tools, which a v1 task has as servers and not as schemas",
        code="V031",
        help="`environment(…)` hands them to the model",
    )


def _package(module: str, least: str, otherwise: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("verifiers"):
            raise
        there = "is not installed" if error.name == "verifiers" else f"has no `{module}`"
        raise InputError(
            f"PrimeIntellect's package `verifiers` {there}",
            code="V033",
            help=f"pip install 'verifiers>={least},<0.4'" + (f"; {otherwise}" if otherwise else ""),
        ) from error
