"""The `openai_batch` backend against a real server with the Batch API: every ending, every moment to be killed at."""

# ruff: noqa: SIM117 - a server, and inside it the error that is expected of it, read best as two lines
from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from batch_server import BatchServer, Outcome, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import (
    Interrupted,
    ModelError,
    PermanentError,
    ProjectError,
    QuotaError,
    RateLimitError,
    StorageError,
    TransientError,
)
from dataforge.models import connect, openai_batch
from dataforge.models.binding import bind
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.project import load_project
from schemas.chat import Message

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
TOO_MANY_TOKENS = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]


def request(text: str = "Hi", **fields: Any) -> ChatRequest:
    return ChatRequest((Message(role="user", content=text, train=True),), **fields)


def requests(count: int) -> list[ChatRequest]:
    return [request(f"n{i}") for i in range(count)]


def spec(url: str, folder: Path | None = None, **fields: Any) -> ModelSpec:
    options = {"base_url": (url,), "retry_base_s": 0.01, "poll_s": 0.02, **fields.pop("options", {})}
    if folder is not None:
        options["state_folder"] = folder
    fields = {"concurrency": 1000, **fields}
    return ModelSpec("writer", "generator", "openai_batch", "m-1", "m-1", options=options, **fields)


async def asked(backend: Any, orders: list[ChatRequest]) -> list[ChatReply | BaseException]:
    return await asyncio.gather(*map(backend.complete, orders), return_exceptions=True)


def ask(server: BatchServer, *orders: ChatRequest, folder: Path | None = None, **fields: Any) -> list[Any]:
    """What one start gets for its calls."""

    async def run() -> list[Any]:
        backend = connect(spec(server.url, folder, **fields))
        try:
            return await asyncio.wait_for(asked(backend, list(orders)), 30)
        finally:
            await backend.close()

    return asyncio.run(run())


def killed(server: BatchServer, orders: list[ChatRequest], folder: Path) -> None:
    """A start that ends once the server holds it. Closing writes nothing, so what stays is what a kill would leave."""

    async def run() -> None:
        backend = connect(spec(server.url, folder))
        waiting = asyncio.create_task(asked(backend, orders))
        await asyncio.to_thread(server.held.wait, 20)
        await backend.close()
        assert all(isinstance(found, Interrupted) for found in await waiting)
        with pytest.raises(Interrupted):
            await backend.complete(orders[0])

    asyncio.run(run())


def texts(found: list[Any]) -> list[str]:
    return [one.text if isinstance(one, ChatReply) else repr(one) for one in found]


def answers(count: int) -> list[str]:
    return [f"Answer to n{i}" for i in range(count)]


# ---- one batch


def test_calls_that_come_together_go_as_one_batch():
    with BatchServer() as server:
        found = ask(server, *requests(40))
    assert texts(found) == answers(40)
    assert {(r.prompt_tokens, r.completion_tokens, r.model, r.attempts) for r in found} == {
        (7, 3, "served-m-1", 1)
    }
    assert [len(keys) for keys in server.uploads] == [40]
    assert server.asked["POST /batches"] == 1
    assert server.uploads[0][0] == request("n0").key("m-1"), "a line's name is the call's content key"


def test_a_line_says_all_that_the_request_says():
    order = request(
        "Hi\u2028\ud800", sampling=Sampling(0.5, None, 9, ("X",), 4), thinking="off", schema=SCHEMA
    )
    with BatchServer() as server:
        (reply,) = ask(server, order, sampling=Sampling(temperature=0.1, top_p=0.3))
    assert server.orders[0]["body"] == {
        "model": "m-1",
        "messages": [{"role": "user", "content": "Hi\u2028\ud800"}],
        "temperature": 0.5,
        "top_p": 0.3,
        "max_tokens": 9,
        "stop": ["X"],
        "seed": 4,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
        "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
    }
    assert reply.constrained


def test_the_same_call_made_twice_is_one_line():
    with BatchServer() as server:
        found = ask(server, request(), request())
    assert texts(found) == ["Answer to Hi"] * 2
    assert len(server.orders) == 1


def test_concurrency_and_size_bound_a_batch(monkeypatch):
    with BatchServer() as server:
        assert texts(ask(server, *requests(25), concurrency=10)) == answers(25)
        assert sorted(len(keys) for keys in server.uploads) == [5, 10, 10]
        server.uploads.clear()
        size = len(json.dumps(server.orders[0], separators=(",", ":"))) + 1
        monkeypatch.setattr(openai_batch, "MAX_BYTES", 4 * size)
        ask(server, *(request(f"m{i}") for i in range(10)))
    assert sorted(len(keys) for keys in server.uploads) == [2, 4, 4]


def test_a_trickle_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(openai_batch, "LONGEST_GATHERING_S", 0.2)

    async def run(server: BatchServer) -> None:
        backend = connect(spec(server.url, options={"poll_s": 0.1}))
        tasks = []
        while not server.uploads and len(tasks) < 500:
            tasks.append(asyncio.create_task(backend.complete(request(f"n{len(tasks)}"))))
            await asyncio.sleep(0.02)
        assert server.uploads
        await asyncio.gather(*tasks)
        await backend.close()

    with BatchServer() as server:
        asyncio.run(run(server))


def test_a_ping_lists_and_makes_no_call():
    async def run(server: BatchServer) -> str:
        backend = connect(spec(server.url))
        try:
            return await backend.ping()
        finally:
            await backend.close()

    with BatchServer() as server:
        assert asyncio.run(run(server)) == "m-1"
        assert dict(server.asked) == {"GET /batches": 1}
        server.faults["GET /batches"] = [401]
        with pytest.raises(PermanentError, match="answered 401"):
            asyncio.run(run(server))


# ---- lines that fail


LINES = {
    "ok": "fine",
    "broken": (500, {"error": {"message": "oops"}}),
    "limited": (429, {"error": {"message": "slow down"}}),
    "expired": None,
    "empty": (200, {"choices": []}),
    "refused": (400, {"error": {"message": "too many tokens in the context window"}}),
}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.sampled_from(sorted(LINES)), min_size=1, max_size=5), min_size=1, max_size=8))
def test_each_call_ends_by_its_own_lines(fates):
    """A call is sent until it is answered or refused, four times at most, whatever the others of its batch come to."""

    def outcome(order: dict[str, Any], ran: int) -> Outcome:
        fate = fates[int(order["body"]["messages"][0]["content"].removeprefix("n"))]
        return LINES[fate[min(ran, len(fate) - 1)]]

    with BatchServer(outcome) as server:
        orders = requests(len(fates))
        found = ask(server, *orders, options={"poll_s": 0.004})
        for order, fate, one in zip(orders, fates, found, strict=True):
            fate = (fate + [fate[-1]] * 4)[:4]
            end = next((n for n, word in enumerate(fate) if word in {"ok", "refused"}), 3)
            assert server.keys[order.key("m-1")] == end + 1
            if fate[end] == "ok":
                assert (one.text, one.attempts) == ("fine", end + 1)
            elif fate[end] == "refused":
                assert isinstance(one, PermanentError)
            else:
                assert isinstance(one, RateLimitError if fate[end] == "limited" else TransientError)


def test_an_expired_batch_keeps_what_it_did_and_sends_the_rest_again():
    with BatchServer(
        lambda order, ran: text_of(order) if ran or "n1" in str(order["body"]) else None
    ) as server:
        server.endings = ["expired"]
        assert texts(ask(server, *requests(12))) == answers(12)
    assert [len(keys) for keys in server.uploads] == [12, 9]


def test_a_server_that_takes_no_schema_is_asked_without():
    def outcome(order: dict[str, Any], ran: int) -> Outcome:
        if "response_format" in order["body"]:
            return 400, {"error": {"message": "response_format is not supported"}}
        return "{}"

    with BatchServer(outcome) as server:
        orders = [request(f"n{i}", schema=SCHEMA) for i in range(3)]
        found = ask(server, *orders)
        assert [r.constrained for r in found] == [False] * 3
        assert max(server.keys.values()) == 2


def test_the_newer_name_of_max_tokens_is_found_out_once():
    def outcome(order: dict[str, Any], ran: int) -> Outcome:
        if "max_tokens" in order["body"]:
            return 400, {"error": {"message": "Use 'max_completion_tokens' instead."}}
        return str(order["body"]["max_completion_tokens"])

    async def run(server: BatchServer) -> None:
        backend = connect(spec(server.url))
        orders = [request(f"n{i}", sampling=Sampling(max_tokens=9)) for i in range(6)]
        assert texts(await asked(backend, orders[:5])) == ["9"] * 5
        assert texts(await asked(backend, orders[5:])) == ["9"]
        await backend.close()

    with BatchServer(outcome) as server:
        asyncio.run(run(server))
        assert [len(keys) for keys in server.uploads] == [5, 5, 1]


# ---- batches that fail


def test_a_batch_that_fails_as_a_whole_says_why():
    with BatchServer() as server:
        server.endings = [[{"code": "invalid_model", "message": "no model \x1b[31mm-1", "line": 3}] * 2]
        found = ask(server, *requests(5))
        assert {one.code for one in found} == {"R039"}
        assert r"batch-0: “no model \x1b[31mm-1” (line 3, 2 such)" in str(found[0])
        assert len(server.uploads) == 1
        assert found[0] is not found[1]


def test_a_spent_quota_is_no_fault_of_the_batch():
    with BatchServer() as server:
        server.endings = [[{"code": "billing_hard_limit_reached", "message": "Billing hard limit reached"}]]
        (one,) = ask(server, request())
    assert isinstance(one, QuotaError)
    assert "Billing hard limit" in str(one)


def test_too_many_tokens_at_once_go_in_smaller_parts():
    with BatchServer() as server:
        server.endings = [TOO_MANY_TOKENS, TOO_MANY_TOKENS]
        found = ask(server, *requests(16))
        assert texts(found) == answers(16)
        assert {one.attempts for one in found} == {1}, "what was never run is no attempt"
        assert max(len(keys) for keys in server.uploads[-2:]) <= 8
        server.endings = [TOO_MANY_TOKENS] * 2
        (one,) = ask(server, request("alone"))
    assert (one.code, "Enqueued token limit" in str(one)) == ("R039", True)


def test_a_batch_cancelled_by_hand_is_not_sent_again_until_the_next_start(tmp_path):
    with BatchServer(
        lambda order, ran: text_of(order) if ran or "n1" in str(order["body"]) else None
    ) as server:
        server.endings = ["cancelled"]
        found = ask(server, *requests(12), folder=tmp_path)
        assert Counter(type(one) for one in found) == {ChatReply: 3, PermanentError: 9}
        assert {one.code for one in found if isinstance(one, ModelError)} == {"R039"}
        assert len(server.uploads) == 1
        assert texts(ask(server, *requests(12), folder=tmp_path)) == answers(12)
        assert [len(keys) for keys in server.uploads] == [12, 9]


# ---- requests that fail


@pytest.mark.parametrize(
    "route", ["POST /files", "POST /batches", "GET /batches/ID", "GET /files/ID/content"]
)
@pytest.mark.parametrize("fault", [500, 429, "cut"])
def test_what_may_pass_is_tried_again_and_no_batch_is_made_twice(route, fault):
    with BatchServer() as server:
        server.faults[route] = [fault] * 3
        assert texts(ask(server, *requests(3))) == answers(3)
        assert len(server.batches) == 1
        assert len(server.uploads) == (4 if (route, fault) == ("POST /files", "cut") else 1)


def test_a_batch_that_is_missed_once_is_not_given_up():
    with BatchServer() as server:
        server.faults["GET /batches/ID"] = [404, None, 404]
        assert texts(ask(server, request())) == ["Answer to Hi"]
        assert len(server.batches) == 1


def test_polls_may_fail_for_long(caplog):
    with BatchServer() as server, caplog.at_level(logging.INFO, "dataforge.models"):
        server.faults["GET /batches/ID"] = [503] * 9
        assert texts(ask(server, request())) == ["Answer to Hi"]
    assert [r.event for r in caplog.records if r.levelno >= logging.WARNING] == ["batch_poll_failed"] * 2
    assert {(r.model, r.endpoint) for r in caplog.records} == {("writer", server.url)}
    assert "Answer to" not in caplog.text


@pytest.mark.parametrize("route", ["POST /files", "POST /batches", "GET /files/ID/content"])
def test_four_attempts_are_all(route):
    with BatchServer() as server:
        server.faults[route] = [500] * 9
        found = ask(server, *requests(2))
        assert [type(one) for one in found] == [TransientError] * 2
        assert server.asked[route] == 4


@pytest.mark.parametrize("fault", [401, 404, 307])
def test_what_will_not_pass_is_tried_once(fault):
    with BatchServer() as server:
        server.faults["POST /files"] = [fault] * 9
        (one,) = ask(server, request())
        assert isinstance(one, PermanentError)
        assert server.asked["POST /files"] == 1
        assert ("redirects to" in str(one)) == (fault == 307)


@pytest.mark.parametrize("route", ["POST /files", "POST /batches"])
def test_an_answer_that_is_not_the_apis_is_no_address_to_go_to(route):
    with BatchServer() as server:
        server.faults[route] = [b"<html><title>Sign in\x1b[31m</title>", b'{"id": "../../admin\\u001b[31m"}']
        (one,) = ask(server, request())
        assert isinstance(one, PermanentError)
        assert "without an id" in str(one)
        assert server.asked[route] == 2
        assert not any("admin" in path or "batches/ID" in path for path in server.asked)


def test_a_batch_whose_answers_could_not_be_fetched_is_fetched_at_the_next_asking(tmp_path):
    async def run(server: BatchServer) -> None:
        backend = connect(spec(server.url, tmp_path))
        server.faults["GET /files/ID/content"] = [500] * 4
        assert [type(one) for one in await asked(backend, requests(3))] == [TransientError] * 3
        assert texts(await asked(backend, requests(3))) == answers(3)
        await backend.close()

    with BatchServer() as server:
        asyncio.run(run(server))
        assert (len(server.uploads), len(server.batches)) == (1, 1)


# ---- starts and restarts


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("POST /batches", "hang"),
        ("POST /batches", "lost"),
        ("GET /batches/ID", "hang"),
        ("GET /files/ID/content", "hang"),
    ],
)
def test_a_start_goes_on_wherever_the_last_one_ended(tmp_path, route, fault):
    """After the upload, after the batch was made but not named to us, while it runs, while it is read."""
    with BatchServer() as server:
        server.faults[route] = [fault]
        killed(server, requests(5), tmp_path)
        others = 8  # made by others of the account meanwhile: more than a page of the list
        ask(server, *(request(f"other {i}") for i in range(others)), concurrency=1)
        assert texts(ask(server, *requests(5), folder=tmp_path)) == answers(5)
        assert (len(server.uploads), len(server.batches)) == (others + 1, others + 1)


def test_an_upload_that_came_to_nothing_is_made_again(tmp_path):
    with BatchServer() as server:
        server.faults["POST /files"] = ["lost"]
        killed(server, requests(5), tmp_path)
        assert texts(ask(server, *requests(5), folder=tmp_path)) == answers(5)
        assert len(server.batches) == 1


def test_answers_that_never_reached_the_journal_are_fetched_again(tmp_path):
    with BatchServer() as server:
        for _ in range(3):
            assert texts(ask(server, *requests(5), folder=tmp_path)) == answers(5)
        assert (len(server.uploads), len(server.batches)) == (1, 1)


def test_a_later_start_asks_for_some_of_them_one_by_one(tmp_path):
    async def run(server: BatchServer) -> None:
        backend = connect(spec(server.url, tmp_path))
        for order in requests(5)[2:]:
            assert isinstance(await backend.complete(order), ChatReply)
        assert texts([await backend.complete(request("new"))]) == ["Answer to new"]
        await backend.close()

    with BatchServer() as server:
        ask(server, *requests(5), folder=tmp_path)
        asyncio.run(run(server))
        assert [len(keys) for keys in server.uploads] == [5, 1]
        assert server.asked["GET /files/ID/content"] == 3, "an output is read once a start"


def test_a_call_made_while_its_batch_is_read_is_not_sent_again(tmp_path):
    async def run(server: BatchServer) -> None:
        backend = connect(spec(server.url, tmp_path))
        server.faults["GET /files/ID/content"] = ["stall"]
        first = asyncio.create_task(backend.complete(request("n0")))  # the output's last line
        await asyncio.to_thread(server.held.wait, 20)
        await asyncio.sleep(0.1)
        later = asyncio.create_task(asked(backend, requests(6)[1:]))
        await asyncio.sleep(0.1)
        server.go_on.set()
        assert texts([await first, *await later]) == answers(6)
        await backend.close()

    with BatchServer() as server:
        ask(server, *requests(6), folder=tmp_path)
        asyncio.run(run(server))
        assert len(server.uploads) == 1


def test_a_later_start_sees_for_itself_whether_a_call_is_still_refused(tmp_path):
    with BatchServer(lambda order, ran: "fine" if ran else LINES["refused"]) as server:
        (one,) = ask(server, request(), folder=tmp_path)
        assert isinstance(one, PermanentError)
        assert texts(ask(server, request(), folder=tmp_path)) == ["fine"]


def test_a_batch_that_is_gone_is_sent_anew(tmp_path):
    with BatchServer() as server:
        ask(server, *requests(3), folder=tmp_path)
        server.batches.clear()
        assert texts(ask(server, *requests(3), folder=tmp_path)) == answers(3)
        server.files = {
            name: b for name, b in server.files.items() if b"custom_id" not in b or b'"body":{"model"' in b
        }
        assert texts(ask(server, *requests(3), folder=tmp_path)) == answers(3)


def test_two_models_may_share_a_folder(tmp_path):
    with BatchServer() as server:
        ask(server, *requests(3), folder=tmp_path)
        other = ModelSpec(
            "critic", "judge", "openai_batch", "m-1", "m-1", options=spec(server.url, tmp_path).options
        )
        assert len(list(tmp_path.iterdir())) == 1
        assert openai_batch.OpenAIBatch(other)._home == {}


def test_without_a_folder_nothing_is_remembered():
    with BatchServer() as server:
        ask(server, request())
        ask(server, request())
        assert len(server.uploads) == 2


def test_what_is_settled_is_forgotten(tmp_path, monkeypatch):
    with BatchServer() as server:
        ask(server, *requests(3), folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == 1, "its answers may not be in the journal yet"
        monkeypatch.setattr(openai_batch, "SETTLED_S", 0.0)
        ask(server, *requests(2), folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == 1, "one answer is still to be asked for"
        ask(server, *requests(3), folder=tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_batch_older_than_its_outputs_is_forgotten(tmp_path):
    with BatchServer() as server:
        ask(server, request(), folder=tmp_path)
        (path,) = tmp_path.iterdir()
        path.write_text(json.dumps(json.loads(path.read_text()) | {"began_at": 1.0}))
        assert texts(ask(server, request(), folder=tmp_path)) == ["Answer to Hi"]
        assert len(server.uploads) == 2
        assert not path.exists()


def test_a_damaged_record_is_not_passed_over(tmp_path):
    (tmp_path / "x.json").write_text('{"version": 1')
    with pytest.raises(StorageError, match=r"x\.json should tell of a batch under way"):
        connect(spec("http://127.0.0.1:1/v1", tmp_path))


def test_closing_leaves_batches_to_go_on_and_says_so(tmp_path, caplog):
    with BatchServer() as server:
        server.hold.set()
        killed(server, requests(3), tmp_path)
        assert server.batches["batch-0"]["status"] == "in_progress"
        assert not server.asked["POST /batches/ID/cancel"]
    assert "batches go on, and the same command fetches them: batch-0" in caplog.text


# ---- keys and addresses


def test_the_key_goes_out_and_nowhere_else(tmp_path, monkeypatch, caplog):
    key = "sk-planted-1234567890"
    monkeypatch.setenv("MY_KEY", key)
    with BatchServer(lambda order, ran: (400, {"error": {"message": f"bad key {key}"}})) as server:
        with caplog.at_level(logging.DEBUG):
            (one,) = ask(server, request(), folder=tmp_path, options={"api_key_env": "MY_KEY"})
            server.endings = [[{"message": f"bad key {key}"}]]
            (two,) = ask(server, request("b"), folder=tmp_path, options={"api_key_env": "MY_KEY"})
    assert {h["Authorization"] for h in server.headers} == {f"Bearer {key}"}
    told = repr(one) + str(one) + repr(two) + str(two) + caplog.text
    told += "".join(path.read_text() for path in tmp_path.iterdir())
    assert "bad key" in told
    assert key not in told


def test_a_key_that_is_not_set_and_an_address_of_credentials_are_refused(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ProjectError, match="MY_KEY") as caught:
        connect(spec("http://127.0.0.1:1/v1", options={"api_key_env": "MY_KEY"}))
    assert caught.value.code == "R004"
    with pytest.raises(ProjectError) as caught:
        connect(spec("http://169.254.169.254/v1"))
    assert caught.value.code == "R035"


def test_a_name_that_leads_to_credentials_is_not_dialled(monkeypatch):
    monkeypatch.setattr("dataforge.models.transport.is_refused", lambda ip: True)
    with BatchServer() as server:
        (one,) = ask(server, request())
        assert (one.code, server.asked.total()) == ("R035", 0)
        assert texts(ask(server, request(), options={"allow_link_local": True})) == ["Answer to Hi"]
        leads = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: leads(*args, **kwargs) * 2)
        (one,) = ask(server, request())
        assert one.code == "R035"


# ---- the guide


def test_the_guides_bindings_ask_in_batches(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "batches.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "models.toml").write_text(block, encoding="utf-8")
    bound = bind(
        [("writer", "generator", {}), ("critic", "judge", {})],
        load_project(tmp_path),
        tmp_path / "models.toml",
        {"OPENAI_API_KEY": "k"},
    )
    assert {name: one.backend for name, one in bound.items()} == {
        "writer": "openai_batch",
        "critic": "openai",
    }
    assert bound["writer"].options["poll_s"] == 60


# ---- whole runs


FORGE = """
struct Doc { text: str }
struct Note { text: str  title: str = "" }
generator writer
node note { takes Doc  gives Note  ask writer { prompt "Note: {{ Doc.text }}"  into Note.text } }
node title { takes Note  gives Note  pre Note.title == ""  keeps Note.text  post Note.title != ""
  ask writer { prompt "Title: {{ Note.text }}"  into Note.title } }
graph main { from Doc  to Note where Note.title != ""  nodes *  seeds "seeds.jsonl"
  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}" } }
"""


def project(folder: Path, server: BatchServer, rows: int) -> list[str]:
    """A project on disk, and the command that runs it."""
    (folder / "dataforge.toml").write_text(
        f'[models.writer]\nmodel = "m-1"\nbase_url = "{server.url}"\nmode = "batch"\npoll_s = 0.05\n'
        "concurrency = 1000\n"
    )
    (folder / "main.forge").write_text(FORGE)
    (folder / "seeds.jsonl").write_text(
        "".join(json.dumps({"text": f"seed {i}"}) + "\n" for i in range(rows))
    )
    out = ["--out", str(folder / "out"), "--concurrency", "1000"]
    return [sys.executable, "-m", "dataforge", "run", str(folder / "main.forge"), *out]


def run_to_end(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def finals(folder: Path) -> list[str]:
    from dataforge.corpus.read import read_rows

    return sorted(r.messages[-1].content for r in read_rows(folder / "out") if r.kind == "final")


def test_a_run_goes_round_by_round(tmp_path):
    with BatchServer() as server:
        run_to_end(project(tmp_path, server, 30))
        assert [len(keys) for keys in server.uploads] == [30, 30], (
            "a batch for each call that waits for another"
        )
    assert finals(tmp_path) == sorted(f"Answer to Note: seed {i}" for i in range(30))


@pytest.mark.parametrize(
    ("route", "fault"),
    [("POST /batches", "lost"), ("GET /batches/ID", "hold"), ("GET /files/ID/content", "hang")],
)
def test_a_killed_run_pays_for_no_batch_twice(tmp_path, route, fault):
    with BatchServer() as server:
        command = project(tmp_path, server, 20)
        if fault == "hold":
            server.hold.set()
        else:
            server.faults[route] = [fault]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert server.held.wait(30)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        server.hold.clear()
        run_to_end(command)
        assert set(server.keys.values()) == {1}
        assert (len(server.uploads), len(server.batches)) == (2, 2)
    assert finals(tmp_path) == sorted(f"Answer to Note: seed {i}" for i in range(20))


def test_an_interrupted_run_leaves_its_batch_to_the_next_start(tmp_path):
    with BatchServer() as server:
        command = project(tmp_path, server, 20)
        server.hold.set()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert server.held.wait(120)
            process.send_signal(signal.SIGINT)  # asks to stop
            told = next(line for line in process.stderr if "once more to leave them" in line)
            process.send_signal(signal.SIGINT)  # leaves what is in flight
            told += process.stderr.read()
        assert process.returncode == 3, told
        server.hold.clear()
        run_to_end(command)
        assert set(server.keys.values()) == {1}
        assert not server.asked["POST /batches/ID/cancel"]
