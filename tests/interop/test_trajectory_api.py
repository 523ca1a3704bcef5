"""The trajectory API over real HTTP, step by step as trainers and environments of Atropos call it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from dataforge.errors import OutputError
from dataforge.interop.serving import Serving, TrajectoryApi
from dataforge.interop.trajectories import Trajectories

TRAINER = {
    "wandb_group": "g",
    "wandb_project": "p",
    "batch_size": 4,
    "max_token_len": 64,
    "starting_step": 3,
    "checkpoint_dir": "ckpt",
    "save_checkpoint_interval": 10,
    "num_steps": 50,
}
ENVIRONMENT = {"max_token_length": 100, "desired_name": "sums", "weight": 1.0, "group_size": 2}


def group(size: int = 2, env_id: int | None = None, token: int = 7, **more: Any) -> dict[str, Any]:
    told = {
        "tokens": [[token, 1]] * size,
        "masks": [[-100, 1]] * size,
        "scores": [float(n) for n in range(size)],
        **more,
    }
    return told if env_id is None else {**told, "env_id": env_id}


class Client:
    """Calls as `requests` and aiohttp make them, and what came back."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def get(self, path: str, **more: Any) -> Any:
        async with self.session.get(self.url + path, **more) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, body: Any, status: int = 200, **more: Any) -> Any:
        async with self.session.post(self.url + path, json=body, **more) as answer:
            assert answer.status == status, await answer.text()
            self.headers = dict(answer.headers)
            return await answer.json()


def talk(
    story: Callable[[Client], Awaitable[None]], queue: Trajectories | None = None, **api: Any
) -> Trajectories:
    """Tell a story to a server on the loopback device."""
    state = queue or Trajectories()

    async def tell() -> None:
        async with (
            Serving(TrajectoryApi(state, **api), "127.0.0.1", 0) as serving,
            aiohttp.ClientSession() as session,
        ):
            await story(Client(session, serving.url))

    asyncio.run(tell())
    return state


def test_before_a_trainer_registers_every_question_has_its_answer():
    async def story(call: Client) -> None:
        assert await call.get("/info") == {"batch_size": -1, "max_token_len": -1}
        assert await call.get("/wandb_info") == {"group": None, "project": None}
        status = await call.get("/status")
        assert (status["current_step"], status["queue_size"]) == (0, 0)
        assert (await call.get("/latest_example"))["tokens"] == []
        early = await call.get("/batch")
        assert (early["status"], early["batch"]) == ("error", [])
        assert await call.post("/register-env", ENVIRONMENT) == {"status": "wait for trainer to start"}

    talk(story)


def test_a_trainer_and_an_environment_go_through_their_steps():
    async def story(call: Client) -> None:
        assert (await call.get("/info"))["batch_size"] == -1
        assert isinstance((await call.post("/register", TRAINER))["uuid"], int)
        assert await call.post("/register-env", ENVIRONMENT) == {"status": "wait for trainer to start"}
        assert await call.get("/batch") == {"batch": None}
        told = await call.post("/register-env", ENVIRONMENT)
        assert told == {
            "status": "success",
            "env_id": 0,
            "wandb_name": "sums_0",
            "checkpoint_dir": "ckpt",
            "starting_step": 3,
            "checkpoint_interval": 10,
            "num_steps": 50,
        }
        assert await call.get("/wandb_info") == {"group": "g", "project": "p"}
        assert await call.get("/info") == {"batch_size": 4, "max_token_len": 64}
        assert await call.post("/scored_data", group(env_id=0, token=1)) == {"status": "received"}
        assert await call.get("/batch") == {"batch": None}
        body = [group(env_id=0, token=2), group(env_id=0, token=3)]
        assert await call.post("/scored_data_list", body) == {"status": "received", "groups_processed": 2}
        assert (await call.get("/latest_example"))["tokens"] == [[3, 1], [3, 1]]
        # `requests.get(url, json=…)` sends a body with a GET, and so do the environments.
        paced = await call.get("/status-env", json={"env_id": 0})
        assert paced == {
            "current_step": 3,
            "queue_size": 3,
            "unallocated_fraction": 1.0,
            "self_queue_size": 3,
            "max_group_size": 2,
            "env_weight": 1.0,
        }
        batch = (await call.get("/batch"))["batch"]
        assert [g["tokens"][0][0] for g in batch] == [1, 2], "the oldest come first"
        assert [g["scores"] for g in batch] == [[0.0, 1.0]] * 2
        assert batch[0]["overrides"] is None
        status = await call.get("/status")
        assert (status["current_step"], status["queue_size"]) == (4, 1)
        assert await call.post("/disconnect-env", {"env_id": 0}) == {"status": "success"}
        assert (await call.post("/disconnect-env", {"env_id": 5}))["status"] == "failure"

    talk(story)


def test_a_step_is_a_batch_that_was_fetched():
    async def story(call: Client) -> None:
        await call.post("/register", TRAINER)
        await call.post("/scored_data_list", [group(4) for _ in range(3)])
        for step in (4, 5, 6):
            assert (await call.get("/batch"))["batch"] is not None
            assert (await call.get("/status"))["current_step"] == step
        assert await call.get("/batch") == {"batch": None}
        assert (await call.get("/status"))["current_step"] == 6

    talk(story)


def test_parts_of_a_group_wait_for_each_other():
    async def story(call: Client) -> None:
        await call.post("/register", TRAINER)
        await call.get("/batch")
        await call.post("/register-env", {**ENVIRONMENT, "group_size": 4})
        assert await call.post("/scored_data", group(3, 0)) == {"status": "buffered", "buffer_size": 3}
        assert await call.get("/batch") == {"batch": None}
        told = await call.post("/scored_data_list", [group(2, 0), group(1, 0)])
        assert (told["buffered"], told["last_buffer_size"]) == (2, 2)
        assert [len(g["tokens"]) for g in (await call.get("/batch"))["batch"]] == [3, 1]
        assert "registered groups of 4" in (await call.post("/scored_data", group(5, 0), 413))["detail"]

    talk(story)


def test_groups_that_never_add_up_leave_room_for_others():
    async def story(call: Client) -> None:
        await call.post("/register", {**TRAINER, "batch_size": 2})
        await call.get("/batch")
        await call.post("/register-env", {**ENVIRONMENT, "group_size": 4})
        await call.post("/scored_data", group(3, 0))
        await call.post("/scored_data", group(3, 0))
        await call.post("/scored_data", group(3, 0), 503)
        await call.post("/scored_data", group(2))
        assert (await call.get("/batch"))["batch"] is not None

    talk(story, Trajectories(max_groups=4))


def test_a_full_queue_says_when_to_come_again_and_takes_nothing_by_half():
    async def story(call: Client) -> None:
        await call.post("/register", {**TRAINER, "batch_size": 2})
        await call.post("/scored_data_list", [group(), group()])
        assert "full" in (await call.post("/scored_data_list", [group(), group()], 503))["detail"]
        assert call.headers["Retry-After"] == "2"
        assert (await call.get("/status"))["queue_size"] == 2
        await call.post("/scored_data", group())
        await call.post("/scored_data", group(), 503)
        assert (await call.get("/batch"))["batch"] is not None
        await call.post("/scored_data", group())
        assert (await call.post("/scored_data_list", [group()] * 4, 413))["detail"]

    talk(story, Trajectories(max_groups=3))


def test_the_queue_is_bounded_by_bytes_too():
    async def story(call: Client) -> None:
        await call.post("/register", {**TRAINER, "batch_size": 2})
        for _ in range(3):
            await call.post("/scored_data", group())
            await call.post("/scored_data", group(), 503)
            await call.post("/scored_data", group(300), 413)
            assert (await call.get("/batch"))["batch"] is not None
            assert (await call.get("/status"))["held_bytes"] == 0

    state = talk(story, Trajectories(max_bytes=450))
    assert state.held_bytes <= 450


def test_promised_shares_and_weights_are_told_and_kept():
    async def story(call: Client) -> None:
        await call.post("/register", TRAINER)
        await call.get("/batch")
        await call.post("/register-env", {**ENVIRONMENT, "weight": 3.0, "min_batch_allocation": 0.5})
        await call.post("/register-env", {**ENVIRONMENT, "min_batch_allocation": None})
        await call.post("/scored_data_list", [group(2, 1)] * 3)
        assert await call.get("/batch") == {"batch": None}, "half of it is promised to the first"
        paced = await call.get("/status-env", json={"env_id": 0})
        assert (paced["env_weight"], paced["unallocated_fraction"]) == (0.75, 0.5)
        assert (paced["queue_size"], paced["self_queue_size"]) == (3, 0)
        await call.post("/scored_data", group(2, 0))
        batch = (await call.get("/batch"))["batch"]
        assert sorted(g["env_id"] for g in batch) == [0, 1]
        await call.post("/disconnect-env", {"env_id": 0})
        assert (await call.get("/batch"))["batch"] is not None, "whoever left is not waited for"

    talk(story)


def test_what_is_no_group_is_refused_and_says_why():
    async def story(call: Client) -> None:
        for body, says in (
            ({"tokens": [[1]], "masks": [[1, 2]], "scores": [1]}, "`masks` of response 0"),
            ({"masks": [[1]], "scores": [1]}, "tokens: Field required"),
            ({"tokens": [], "masks": [], "scores": [1], "messages": [[]]}, "without tokens"),
        ):
            assert says in (await call.post("/scored_data", body, 422))["detail"]
        assert "batch_size" in (await call.post("/register", {**TRAINER, "batch_size": 0}, 422))["detail"]
        async with call.session.post(call.url + "/scored_data", data=b"\xff{") as answer:
            assert answer.status == 422
        async with call.session.get(call.url + "/status-env", json={"env_id": 9}) as answer:
            assert answer.status == 404
        async with call.session.get(call.url + "/nothing") as answer:
            assert answer.status == 404

    talk(story)


def test_bodies_may_be_gzipped_and_bad_ones_are_no_crash():
    async def story(call: Client) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        packed = gzip.compress(json.dumps(group()).encode())
        async with call.session.post(call.url + "/scored_data", data=packed, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "received"})
        async with call.session.post(call.url + "/scored_data", data=b"not gzip", headers=headers) as answer:
            assert answer.status == 400
        assert (await call.get("/status"))["queue_size"] == 1

    talk(story)


def test_everything_is_forgotten_on_a_reset():
    async def story(call: Client) -> None:
        await call.post("/register", TRAINER)
        await call.post("/scored_data", group(4))
        async with call.session.get(call.url + "/reset_data") as answer:
            assert await answer.text() == "Reset successful"
        assert (await call.get("/info"))["batch_size"] == -1
        status = await call.get("/status")
        assert (status["current_step"], status["queue_size"], status["held_bytes"]) == (0, 0, 0)
        await call.post("/register", {**TRAINER, "batch_size": 8, "starting_step": 0})
        assert (await call.get("/info"))["batch_size"] == 8

    talk(story)


def test_a_second_trainer_is_counted_and_changes_nothing():
    async def story(call: Client) -> None:
        first = await call.post("/register", TRAINER)
        second = await call.post("/register", {**TRAINER, "batch_size": 99})
        assert first["uuid"] != second["uuid"]
        assert (await call.get("/info"))["batch_size"] == 4

    assert talk(story).trainers == 2


def test_a_token_is_asked_for_where_one_is_set():
    async def story(call: Client) -> None:
        async with call.session.get(call.url + "/batch") as answer:
            assert answer.status == 401
        async with call.session.get(call.url + "/info", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
        assert await call.get("/info", headers={"Authorization": "Bearer s3cret"})

    talk(story, token="s3cret")


def test_an_address_that_is_taken_is_an_error_of_the_user():
    async def story(call: Client) -> None:
        with pytest.raises(OutputError) as caught:
            async with Serving(TrajectoryApi(Trajectories()), "127.0.0.1", int(call.url.rsplit(":", 1)[1])):
                pass
        assert caught.value.code == "R032"

    talk(story)
