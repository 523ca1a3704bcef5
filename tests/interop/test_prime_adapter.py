"""Our verifiers as environments of PrimeIntellect's package, against that package and a real HTTP server."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dataforge.errors import InputError
from dataforge.interop.prime import OUTCOMES, environment, metrics_of, response_of, taskset
from dataforge.verifiers.protocol import failed
from schemas.task import Task
from tests.interop.adding import Adder, Sums

there = importlib.util.find_spec("verifiers") is not None
legacy = there and importlib.util.find_spec("verifiers.legacy") is not None
needs_package = pytest.mark.skipif(not there, reason="PrimeIntellect's package `verifiers` is not installed")
needs_legacy = pytest.mark.skipif(not legacy, reason="`SingleTurnEnv` is in verifiers 0.3")
# The package warns about what it itself is about to lose.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PRIME_API_KEY", "none")
    yield


def play(adder: Adder, examples: int = 3, rollouts: int = 4, **more: Any) -> list[dict[str, Any]]:
    """Evaluate a model on sums, as `vf-eval` does."""
    from verifiers.types import ClientConfig

    async def go() -> Any:
        async with adder:
            env = environment(Sums(), n=5, eval_n=examples)
            client = ClientConfig(api_base_url=adder.url, max_retries=0)
            return await env.evaluate(
                client, "adder", {}, examples, rollouts, on_progress=lambda *a, **k: None, **more
            )

    told = asyncio.run(go())
    return list(told["outputs"])


@needs_legacy
def test_rewards_are_scores_and_metrics_are_outcomes():
    outputs = play(Adder(says=lambda number, a, b: ("no idea", f"{a + b}", f"{a - b - 1}")[number % 3]))
    assert len(outputs) == 12
    assert [sum(o["metrics"][name] for o in outputs) for name in OUTCOMES] == [4, 4, 4]
    assert [o["reward"] for o in outputs] == [o["metrics"]["passed"] for o in outputs]
    assert all(o["error"] is None for o in outputs)


@needs_legacy
def test_a_verdict_that_is_an_error_is_the_rollouts_error():
    outputs = play(Adder(says=lambda number, a, b: "unjudgeable" if number % 4 == 0 else f"{a + b}"), 2)
    broken = [o for o in outputs if o["error"] is not None]
    assert len(broken) == 2
    assert all("it broke" in str(o["error"]) for o in broken)
    assert all(o["reward"] == 1.0 for o in outputs if o["error"] is None)
    assert not any(o["metrics"].get("failed") for o in broken)


@needs_legacy
def test_an_error_is_tried_again_where_the_framework_may():
    adder = Adder(says=lambda number, a, b: "unjudgeable" if number == 1 else f"{a + b}")
    outputs = play(adder, 1, 1, max_retries=2, independent_scoring=True)
    assert (len(adder.requests), outputs[0]["reward"], outputs[0]["error"]) == (2, 1.0, None)


@needs_legacy
def test_what_failed_does_not_pull_the_advantages_of_the_others():
    import verifiers.legacy as vf

    rubric = environment(Sums(), n=1).rubric
    task = next(Sums().tasks(0, 1))
    states = []
    for said in (str(task.facts["total"]), "5", "unjudgeable"):
        state = vf.State(input={"prompt": [], "info": {"dataforge_task": task.model_dump_json()}})
        state["completion"] = [{"role": "assistant", "content": said}]
        state["trajectory"] = [{"advantage": None, "reward": None}]
        state["error"] = state["metrics"] = state["reward"] = None
        states.append(state)
    asyncio.run(rubric.score_group(states))
    assert [s["reward"] for s in states] == [1.0, 0.0, 0.0]
    assert [s["trajectory"][0]["advantage"] for s in states] == [0.5, -0.5, 0.0]
    assert isinstance(states[2]["error"], vf.InfraError)


@needs_legacy
def test_the_model_sees_the_prompt_and_never_the_facts():
    adder = Adder()
    play(adder, 1, 1)
    (request,) = adder.requests
    assert [m["role"] for m in request["messages"]] == ["user"]
    assert "total" not in str(request)


@needs_legacy
def test_training_and_evaluation_have_other_tasks_and_the_same_seed_the_same_ones():
    first, second = (environment(Sums(), n=20, eval_n=20, seed=4) for _ in range(2))
    prompts = [row["prompt"] for row in first.get_dataset()]
    assert prompts == [row["prompt"] for row in second.get_dataset()]
    assert [p[0]["content"] for p in prompts] == [t.prompt for t in Sums().tasks(4, 20)]
    assert [row["prompt"] for row in first.get_eval_dataset()] != prompts


@needs_package
def test_a_v1_task_scores_its_trace():
    import verifiers.v1 as vf

    made = list(taskset(Sums(), n=3, seed=1))
    drawn = list(Sums().tasks(1, 3))
    assert [t.data.prompt_text for t in made] == [t.prompt for t in drawn]
    assert [t.data.idx for t in made] == [0, 1, 2]
    assert taskset(Sums(), n=1).task_type().data_type().__name__ == "VerifierData"

    for said, reward in ((str(drawn[0].facts["total"]), 1.0), ("5", 0.0)):
        trace = _trace(vf, made[0], said)
        asyncio.run(made[0].score(trace))
        assert trace.rewards["verdict"].score == reward
        assert trace.metrics["passed"] == reward
    trace = _trace(vf, made[0], "unjudgeable")
    with pytest.raises(vf.TaskError):
        asyncio.run(made[0].score(trace))
    assert trace.rewards == {"verdict": None}, "no reward, rather than none earned"


def _trace(vf: Any, task: Any, said: str) -> Any:
    from verifiers.v1.trace import AgentInfo, Trace, TraceTask
    from verifiers.v1.types import AssistantMessage

    node = vf.MessageNode(message=AssistantMessage(content=said), sampled=True)
    return Trace.model_construct(
        task=TraceTask.model_construct(type="t", data=task.data),
        agent=AgentInfo.model_construct(),
        nodes=[node],
        calls=[],
        rewards={},
        metrics={},
        root_reply=None,
    )


def test_a_verifier_without_tasks_needs_some():
    class Bare(Sums):
        name = "bare"
        tasks = Sums.__mro__[1].tasks  # type: ignore[assignment, misc]

    if legacy:
        with pytest.raises(InputError) as caught:
            environment(Bare())
        assert caught.value.code == "V031"
        env = environment(Bare(), tasks=[Task(prompt="1 + 1?", facts={"total": 2}, system="Add.")])
        assert [m["role"] for m in env.get_dataset()[0]["prompt"]] == ["system", "user"]


@pytest.mark.skipif(legacy, reason="the package is there")
def test_without_the_package_the_error_says_what_to_install():
    with pytest.raises(InputError) as caught:
        environment(Sums())
    assert caught.value.code == "V033"
    assert "pip install" in str(caught.value.help)


@dataclass
class Called:
    id: str
    name: str
    arguments: str


@dataclass
class Turn:
    role: str
    content: Any
    reasoning_content: str | None = None
    tool_calls: Any = None
    tool_call_id: str | None = None


def test_messages_of_every_form_become_a_response():
    calls = [Called("1", "add", '{"a": 1}')]
    response = response_of([Turn("assistant", None, "hm", calls)], "tool_calls")
    assert (response.text, response.reasoning, response.finish_reason) == ("", "hm", "tool_calls")
    assert response.tool_calls[0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert response.turns == ()
    parts = [{"type": "text", "text": "fo"}, {"type": "text", "text": "ur"}]
    talk = [
        {"role": "assistant", "content": "", "tool_calls": ['{"id": "1", "name": "add", "arguments": "{}"}']},
        {"role": "tool", "content": "4", "tool_call_id": "1"},
        {"role": "assistant", "content": parts},
    ]
    response = response_of(talk)
    assert (response.text, len(response.turns)) == ("four", 3)
    assert response.turns[0].tool_calls is not None
    assert response.turns[0].tool_calls[0]["function"]["name"] == "add"
    assert response_of([]).text == ""


def test_parts_of_a_score_are_metrics_of_their_own():
    told = metrics_of(failed("half", score=0.5, parts={"validity": 1.0, "fidelity": 0.0}))
    assert told == {"passed": 0.0, "failed": 1.0, "unparsed": 0.0, "part_validity": 1.0, "part_fidelity": 0.0}
