"""The environment's loop against a real HTTP server that answers some sums rightly."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dataforge.errors import InputError, PermanentError
from dataforge.interop.groups import IGNORED
from dataforge.interop.logprobs import NOT_SAMPLED, aligned, plain, with_logprobs
from dataforge.interop.rollouts import GroupOptions, Rollouts
from dataforge.interop.tasks import tasks_of
from dataforge.interop.trajectories import AT_FIRST, EnvRegistration, Registration, Trajectories
from dataforge.models import Sampling, connect
from dataforge.verifiers import find
from schemas.task import Task
from tests.interop.adding import Adder, Sums, byte_pieces, byte_tokens

OWN = EnvRegistration(max_token_length=100, desired_name="sums", weight=1.0, group_size=4)
FOUR = GroupOptions(size=4, in_flight=2)


def trainer(**changes: Any) -> Registration:
    told = {
        "wandb_group": "", "wandb_project": "", "batch_size": 8, "max_token_len": 64, "checkpoint_dir": "",
        "save_checkpoint_interval": 1, "starting_step": 0, "num_steps": 9,
    }  # fmt: skip
    return Registration.model_validate(told | changes)


def roll(
    adder: Adder,
    tasks: int | None = 4,
    *,
    queue: Trajectories | None = None,
    options: GroupOptions = FOUR,
    story: Callable[[Rollouts, Trajectories], Awaitable[None]] | None = None,
    notes: list[str] | None = None,
    logprobs: bool = False,
) -> tuple[Rollouts, Trajectories]:
    """Run a loop to its end, or beside a story and no longer than that."""
    state = queue or Trajectories(own=OWN)

    async def go() -> Rollouts:
        async with adder:
            backend, sample = with_logprobs(adder.spec()) if logprobs else (connect(adder.spec()), None)
            note = notes.append if notes is not None else print
            made = tasks_of(Sums(), limit=tasks)
            rollouts = Rollouts(
                Sums(), made, sample or plain(backend), byte_tokens, state, options, note, byte_pieces
            )
            try:
                if story is None:
                    await rollouts.run()
                else:
                    running = asyncio.create_task(rollouts.run())
                    await story(rollouts, state)
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
            finally:
                await backend.close()
            return rollouts

    return asyncio.run(asyncio.wait_for(go(), 60)), state


async def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 50
    while not holds():
        assert time.monotonic() < ends, "it never came true"
        await asyncio.sleep(0.005)


def test_a_trainer_gets_batches_of_scored_groups():
    async def story(rollouts: Rollouts, state: Trajectories) -> None:
        state.register(trainer())
        seen = []
        while len(seen) < 6:
            await until(lambda: state.queue_size >= 2)
            groups = state.batch()
            assert groups is not None
            seen += [json.loads(g.line) for g in groups]
        assert state.step == 3
        for group in seen:
            assert len(group["tokens"]) == 4
            assert group["env_id"] == 0
            assert group["generation_params"] == {"temperature": 0.7}
            for tokens, masks, score, messages in zip(
                group["tokens"], group["masks"], group["scores"], group["messages"], strict=True
            ):
                asked, said = (m["content"] for m in messages)
                a, b = (int(part) for part in asked.removeprefix("What is ").removesuffix("?").split(" + "))
                assert score == float(said == f"It is {a + b}.")
                assert (
                    bytes(t for t, m in zip(tokens, masks, strict=True) if m != IGNORED)
                    == said.encode() + b"\0"
                )
        assert {s for g in seen for s in g["scores"]} == {0.0, 1.0}

    options = GroupOptions(size=4, in_flight=2, sampling=Sampling(temperature=0.7))
    rollouts, _ = roll(Adder(), None, options=options, story=story)
    assert rollouts.counts.outcomes["passed"] > 0


def test_several_groups_are_in_flight_and_no_more():
    adder = Adder()
    roll(adder, 12, options=GroupOptions(size=4, in_flight=3))
    assert len(adder.requests) == 48
    assert 8 <= adder.most_in_flight <= 12


def test_nothing_is_sampled_beyond_what_the_queue_holds():
    async def story(rollouts: Rollouts, state: Trajectories) -> None:
        await until(lambda: state.is_full and rollouts.counts.in_flight == 0)
        asked = len(adder.requests)
        await asyncio.sleep(0.2)
        assert len(adder.requests) == asked == 3 * 4
        state.register(trainer(batch_size=4))
        assert state.batch() is not None
        # Room for a batch is room for four groups of one response.
        await until(lambda: state.queue_size == state.max_groups == 4)

    adder = Adder()
    queue = Trajectories(own=OWN, max_groups=3, ahead=9)
    roll(adder, None, queue=queue, options=GroupOptions(size=4, in_flight=1), story=story)


def test_little_is_made_before_a_trainer_says_how_much_it_wants():
    async def story(rollouts: Rollouts, state: Trajectories) -> None:
        await until(lambda: not state.wants_more and rollouts.counts.in_flight == 0)
        await asyncio.sleep(0.1)
        assert state.queue_size == AT_FIRST
        state.register(trainer(batch_size=80))
        await until(lambda: state.queue_size > AT_FIRST)

    roll(Adder(), None, options=GroupOptions(size=4, in_flight=1), story=story)


def test_no_more_batches_are_made_ahead_than_asked_for():
    async def story(rollouts: Rollouts, state: Trajectories) -> None:
        await until(lambda: not state.wants_more and rollouts.counts.in_flight == 0)
        await asyncio.sleep(0.1)
        assert state.queue_size == 4

    queue = Trajectories(own=OWN, ahead=2)
    queue.register(trainer())
    roll(Adder(), None, queue=queue, options=GroupOptions(size=4, in_flight=1), story=story)


@pytest.mark.parametrize(("policy", "kept"), [("keep", 4), ("drop", 0)])
def test_groups_whose_scores_are_all_equal_are_kept_or_dropped(policy: Any, kept: int):
    rollouts, state = roll(Adder(right_of=1), options=GroupOptions(size=4, in_flight=2, all_equal=policy))
    assert state.queue_size == rollouts.counts.groups == kept
    assert rollouts.counts.dropped["all equal"] == 4 - kept
    assert rollouts.counts.to_json()["mean_score"] == 1.0
    assert rollouts.counts.done


def test_a_broken_verifier_earns_no_zero():
    """Its response is sampled again, and where that does not help the group is left out."""

    def says(number: int, a: int, b: int) -> str:
        return "unjudgeable" if number in (1, 2) or number > 16 else f"{a + b}"

    rollouts, state = roll(Adder(says=says), 5, options=GroupOptions(size=4, in_flight=1))
    counts = rollouts.counts
    assert counts.again >= 2
    assert counts.dropped["verifier"] == 5 - counts.groups > 0
    assert all(score == 1.0 for q in state._waiting.values() for score in json.loads(q.line)["scores"])


def test_a_cut_off_response_does_not_end():
    _, state = roll(Adder(says=lambda number, a, b: f"It is {a + b}…"), 1)
    (queued,) = state._waiting.values()
    assert all(tokens[-1] != 0 for tokens in json.loads(queued.line)["tokens"])


def test_a_group_that_the_trainer_could_not_take_is_left_out():
    queue = Trajectories(own=OWN)
    queue.register(trainer(max_token_len=10))
    rollouts, state = roll(Adder(), 2, queue=queue)
    assert (state.queue_size, rollouts.counts.dropped["too long"]) == (0, 2)
    early = Trajectories(own=OWN)
    roll(Adder(), 2, queue=early)
    assert early.queue_size == 2
    early.register(trainer(max_token_len=10))
    assert (early.queue_size, early.dropped["too long"]) == (0, 2), "those made before it registered, too"


def test_responses_of_a_group_have_seeds_of_their_own():
    adder = Adder()
    roll(adder, 1, options=GroupOptions(size=4, sampling=Sampling(seed=5)))
    assert sorted(request["seed"] for request in adder.requests) == [5, 6, 7, 8]


def test_an_endpoint_that_refuses_everything_ends_the_loop():
    adder = Adder(says=lambda *_: web.json_response({"error": {"message": "no such model"}}, status=404))
    notes: list[str] = []
    with pytest.raises(PermanentError), pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataforge.interop.rollouts.WAIT_S", 0.001)
        roll(adder, None, notes=notes)
    assert "no such model" in notes[0]


def test_an_endpoint_that_fails_for_a_while_costs_the_groups_it_failed_and_no_more():
    def says(number: int, a: int, b: int) -> Any:
        return web.json_response({"error": {"message": "?"}}, status=400) if number <= 8 else f"{a + b}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataforge.interop.rollouts.WAIT_S", 0.001)
        rollouts, state = roll(Adder(says=says), 6, options=GroupOptions(size=4, in_flight=1))
    assert rollouts.counts.dropped["model"] == 2
    assert state.queue_size == 4


def test_a_conversation_with_tools_is_one_response_and_only_the_model_is_trained_on():
    task = Task(
        system='Tools: {"name": "calculator"}',
        prompt="What is 12 * 3?",
        facts={"tools": ["calculator"], "answer": 36, "required": [{"name": "calculator"}]},
        tools=[{"type": "function", "function": {"name": "calculator"}}],
    )
    call = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "12*3"}}\n</tool_call>'
    guesses = itertools.count()

    def says(number: int, a: int, b: int) -> str:
        messages = adder.requests[-1]["messages"]
        if messages[-1]["role"] == "tool":
            return f"Answer: {json.loads(messages[-1]['content'])['result']}"
        return "Answer: 36" if next(guesses) % 2 else call

    adder, state = Adder(says=says), Trajectories(own=OWN)

    async def go() -> Rollouts:
        async with adder:
            backend = connect(adder.spec())
            rollouts = Rollouts(
                find("tool_use"),
                iter([task]),
                plain(backend),
                byte_tokens,
                state,
                GroupOptions(size=2, in_flight=1),
            )
            try:
                await rollouts.run()
            finally:
                await backend.close()
            return rollouts

    rollouts = asyncio.run(asyncio.wait_for(go(), 60))
    assert rollouts.counts.outcomes == {"passed": 1, "failed": 1}, "one guessed, and called nothing"
    state.register(trainer(batch_size=2, max_token_len=1_000))
    groups = state.batch()
    assert groups is not None
    group = json.loads(groups[0].line)
    right = group["scores"].index(1.0)
    assert [m["role"] for m in group["messages"][right]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    learnt = bytes(m for m in group["masks"][right] if m != IGNORED)
    assert learnt == call.encode() + b"\0Answer: 36\0"


def test_tasks_with_tools_are_refused_since_requests_carry_none(tmp_path: Path):
    path = tmp_path / "tasks.jsonl"
    path.write_text(Task(prompt="Call it.", tools=[{"type": "function"}]).model_dump_json())

    async def go() -> None:
        async def sample(request: Any) -> Any:
            raise AssertionError

        tasks = tasks_of(Sums(), path)
        await Rollouts(Sums(), tasks, sample, byte_tokens, Trajectories(), GroupOptions()).run()

    with pytest.raises(InputError) as caught:
        asyncio.run(go())
    assert caught.value.code == "V031"


def test_tasks_of_a_verifier_have_no_end_and_do_not_repeat():
    drawn = [t.prompt for t in itertools.islice(tasks_of(Sums()), 2_500)]
    assert drawn[:1_000] == [t.prompt for t in Sums().tasks(0, 1_000)]
    assert drawn[1_000:2_000] == [t.prompt for t in Sums().tasks(1, 1_000)]
    assert [t.prompt for t in tasks_of(Sums(), limit=3, epochs=2)] == drawn[:3] * 2


def test_tasks_of_a_file_are_checked_line_by_line(tmp_path: Path):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"prompt": "1+1?", "facts": {"total": 2}}\n\n{"prompt": 3}\n')
    tasks = tasks_of(Sums(), path)
    assert next(tasks).facts == {"total": 2}
    with pytest.raises(InputError) as caught:
        next(tasks)
    assert (caught.value.code, "line 3" in caught.value.message) == ("V031", True)
    path.write_text("")
    with pytest.raises(InputError):
        tasks_of(Sums(), path)
    with pytest.raises(InputError):
        tasks_of(Sums(), tmp_path / "none")


def test_logprobs_stand_beside_the_tokens_that_were_sampled():
    adder = Adder()
    rollouts, state = roll(adder, 2, logprobs=True)
    assert all(request["logprobs"] is True for request in adder.requests)
    assert rollouts.counts.groups == 2
    for queued in state._waiting.values():
        group = json.loads(queued.line)
        for tokens, masks, known in zip(
            group["tokens"], group["masks"], group["inference_logprobs"], strict=True
        ):
            assert len(known) == len(tokens)
            # The server says nothing of the token that ended the turn: it is not trained then.
            assert masks[-1] == IGNORED
            for token, mask, value in zip(tokens, masks, known, strict=True):
                assert value == (NOT_SAMPLED if mask == IGNORED else -token / 256)


def test_a_response_that_was_sampled_as_other_tokens_is_left_out_and_not_shifted():
    notes: list[str] = []
    rollouts, state = roll(Adder(cut=3), 4, logprobs=True, notes=notes)
    assert (state.queue_size, rollouts.counts.dropped) == (0, {"other tokens": 4})
    assert "cut a response into other tokens" in notes[0]


def test_an_endpoint_without_logprobs_says_so():
    with pytest.raises(PermanentError), pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataforge.interop.rollouts.WAIT_S", 0.001)
        roll(Adder(cut=0), None, logprobs=True)


def test_a_binding_that_gives_no_logprobs_is_refused():
    async def go() -> None:
        async with Adder() as adder:
            with pytest.raises(InputError) as caught:
                with_logprobs(adder.spec(stream=True))
            assert caught.value.code == "V036"

    asyncio.run(go())


@pytest.mark.parametrize(
    ("sampled", "masks", "known"),
    [
        ((("a", -1.0), ("b", -2.0)), [-100, 5, 6], [1.0, -1.0, -2.0]),
        ((("a", -1.0), ("", -2.0)), [-100, 5, 6], [1.0, -1.0, -2.0]),
        ((("a", -1.0), ("b", -2.0), ("", -3.0)), [-100, 5, 6], [1.0, -1.0, -2.0]),
        ((("a", -1.0),), [-100, 5, -100], [1.0, -1.0, 1.0]),
        ((("\ufffd", -1.0), ("b", -2.0)), [-100, 5, 6], [1.0, -1.0, -2.0]),
    ],
)
def test_servers_name_the_end_of_a_turn_in_three_ways(sampled: Any, masks: list[int], known: list[float]):
    assert aligned([4, 5, 6], [-100, 5, 6], ["a", "b"], sampled) == (masks, known)


@pytest.mark.parametrize("sampled", [(("ab", -1.0),) * 4, (("x", -1.0), ("b", -1.0)), ()])
def test_other_tokens_are_refused(sampled: Any):
    with pytest.raises(InputError) as caught:
        aligned([4, 5, 6], [-100, 5, 6], ["a", "b"], sampled)
    assert caught.value.code == "V036"
