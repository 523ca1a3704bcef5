"""Several endpoints, their limits and their failures, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter

import pytest
from scripted_server import ScriptedServer, answer, error, says, slowly, storm

from dataforge.errors import PermanentError, ProjectError, QuotaError, RateLimitError, TransientError
from dataforge.models import connect, limits
from dataforge.models.client import ChatRequest, ModelSpec
from dataforge.models.pool import Ask, Pool, Settings
from schemas.chat import Message

SPENT = error(429, "You exceeded your current quota", "insufficient_quota")


def request(text="Hi", system=None):
    messages = [Message(role="system", content=system)] if system else []
    return ChatRequest((*messages, Message(role="user", content=text)))


def spec(*urls, backend="openai", concurrency=16, **options):
    options = {"base_url": urls, "retry_base_s": 0.01, "breaker_wait_s": 0.2, **options}
    return ModelSpec("writer", "generator", backend, "m-1", "m-1", concurrency=concurrency, options=options)


def drive(run, *urls, **options):
    """Run a coroutine of a backend."""

    async def main():
        backend = connect(spec(*urls, **options))
        try:
            return await run(backend)
        finally:
            await backend.close()

    return asyncio.run(main())


def ask(count, *urls, **options):
    return drive(
        lambda backend: asyncio.gather(*(backend.complete(request(str(i))) for i in range(count))),
        *urls,
        **options,
    )


@pytest.fixture
def down():
    """An address where nobody is."""
    with ScriptedServer([says()]) as server:
        pass
    return server.url


# Weather


@pytest.mark.parametrize("backend", ["openai", "openai_sdk"])
def test_a_storm_costs_no_call(backend):
    with ScriptedServer([storm(seed=3)]) as server:
        # Less than the storm's hung calls take, and enough for the others on a busy machine.
        replies = ask(200, server.url, backend=backend, concurrency=32, total_timeout_s=2)
    assert {reply.text for reply in replies} == {"Hello."}
    assert len(server.requests) <= 1.35 * 200
    assert sum(reply.attempts for reply in replies) == len(server.requests)


def test_a_reply_says_how_many_requests_it_took_and_how_long():
    with ScriptedServer([error(500, "oops"), error(429, "slow", Retry_After="0.2"), says()]) as server:
        (reply,) = ask(1, server.url)
    assert reply.attempts == 3
    assert 0.2 <= reply.latency_s < 2


def test_retries_beyond_the_budget_wait_for_their_turn(monkeypatch):
    monkeypatch.setattr(limits.RetryBudget, "SAVED", 2.0)
    monkeypatch.setattr(limits.RetryBudget, "FLOOR_PER_S", 20.0)
    with ScriptedServer([error(500, "oops")]) as server:

        async def run(backend):
            calls = [backend.complete(request(str(i))) for i in range(8)]
            return await asyncio.gather(*calls, return_exceptions=True)

        errors = drive(run, server.url, breaker_after=1000)
    assert {type(e) for e in errors} == {TransientError}
    assert len(server.requests) == 32
    # 24 retries: 2 were saved, 0.8 came with the calls, the rest came at 20 a second.
    assert server.arrivals[-1] - server.arrivals[0] >= 0.8


# An account that is spent


def test_a_spent_endpoint_is_parked_and_the_others_go_on(caplog):
    with ScriptedServer([SPENT]) as spent, ScriptedServer([says()]) as good:

        async def run(backend):
            replies = [await backend.complete(request(str(i))) for i in range(40)]
            return replies, backend.pool.status()

        with caplog.at_level(logging.WARNING, "dataforge.models"):
            replies, status = drive(run, spent.url, good.url)
    assert len(replies) == 40
    assert len(spent.requests) == 1
    assert {e["url"]: e["state"] for e in status} == {spent.url: "parked", good.url: "active"}
    (record,) = caplog.records
    assert (record.event, record.model, record.endpoint) == ("parked", "m-1", spent.url)


def test_with_every_endpoint_parked_nothing_more_is_sent():
    with ScriptedServer([slowly(SPENT, 0.1)]) as one, ScriptedServer([slowly(SPENT, 0.1)]) as other:

        async def run(backend):
            waiting = [backend.complete(request(str(i))) for i in range(20)]
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            sent = len(one.requests) + len(other.requests)
            with pytest.raises(QuotaError, match=r"every endpoint .* is parked: .*quota"):
                await backend.complete(request())
            assert len(one.requests) + len(other.requests) == sent
            return ended

        ended = drive(run, one.url, other.url, concurrency=4)
    assert {type(e) for e in ended} == {QuotaError}
    assert len(one.requests) + len(other.requests) <= 8  # those in flight, and where they went next


def test_an_endpoint_that_is_named_anew_is_asked_again():
    with ScriptedServer([SPENT, says()]) as server:

        async def run(backend):
            with pytest.raises(QuotaError):
                await backend.complete(request())
            backend.pool.add(server.url)
            return await backend.complete(request())

        assert drive(run, server.url).text == "Hello."


def test_a_spent_account_that_is_told_as_a_bad_request_is_parked():
    with ScriptedServer([error(400, "Your credit balance is too low")]) as server:

        async def run(backend):
            asked = ChatRequest((Message(role="user", content="Hi"),), schema={"type": "object"})
            with pytest.raises(QuotaError):
                await asyncio.wait_for(backend.complete(asked), 10)
            assert backend.pool.is_parked

        drive(run, server.url)
        assert len(server.requests) == 1


# An endpoint that is down


def test_a_call_that_fails_goes_elsewhere():
    with ScriptedServer([error(500, "oops")]) as bad, ScriptedServer([says()]) as good:
        replies = ask(40, bad.url, good.url, breaker_after=1000)
    assert max(reply.attempts for reply in replies) == 2
    assert len(bad.requests) == sum(reply.attempts == 2 for reply in replies) > 0


def test_an_endpoint_that_dies_costs_little(down, caplog):
    with ScriptedServer([slowly(says(), 0.01)]) as good:

        async def run(backend):
            replies = []
            for _ in range(10):
                replies += await asyncio.gather(*(backend.complete(request(str(i))) for i in range(20)))
            return replies, {e["url"]: e for e in backend.pool.status()}

        with caplog.at_level(logging.WARNING, "dataforge.models"):
            replies, status = drive(run, down, good.url, breaker_after=5, breaker_wait_s=60.0)
    assert len(replies) == 200
    assert status[down]["state"] == "open"
    assert status[down]["requests"] <= 20
    assert [record.event for record in caplog.records] == ["breaker_open"]


def test_an_open_breaker_is_tried_with_one_request_and_then_shut():
    failing = [error(500, "oops")] * 3
    with ScriptedServer([*failing, slowly(says(), 0.3), says()]) as server:

        async def run(backend):
            first = asyncio.create_task(backend.complete(request()))
            while backend.pool.status()[0]["state"] != "open":  # noqa: ASYNC110 - nobody tells when
                await asyncio.sleep(0.01)
            return await asyncio.gather(first, *(backend.complete(request(str(i))) for i in range(4)))

        replies = drive(run, server.url, breaker_after=3, breaker_wait_s=0.5)
    assert {reply.text for reply in replies} == {"Hello."}
    assert len(server.requests) == 8
    opened, trial, rest = server.arrivals[2], server.arrivals[3], server.arrivals[4]
    assert trial - opened >= 0.45
    assert rest - trial >= 0.25  # nobody else goes before the trial has ended


def test_calls_wait_for_an_endpoint_only_so_long(down):
    async def run(backend):
        started = time.monotonic()
        errors = await asyncio.gather(
            *(backend.complete(request(str(i))) for i in range(6)), return_exceptions=True
        )
        return errors, time.monotonic() - started

    told = {"breaker_after": 2, "breaker_wait_s": 30.0, "rate_limit_wait_s": 0.5}
    errors, seconds = drive(run, down, **told)
    assert {(type(e), e.code) for e in errors} == {(TransientError, "R005")}
    assert "cannot be reached" in errors[0].message
    assert 0.4 <= seconds < 10


def test_ping_finds_the_endpoint_that_is_up(down):
    with ScriptedServer([says()]) as good:
        for _ in range(4):
            assert drive(lambda backend: backend.ping(), down, good.url) == "served-name"


def test_an_outage_that_is_over_is_not_held_against_a_later_one(monkeypatch):
    failing, late = error(500, "oops"), says("late")
    with ScriptedServer([failing, failing, says(), failing, failing, late]) as server:

        async def run(backend):
            now = 0.0
            monkeypatch.setattr(backend.pool, "clock", lambda: time.monotonic() + now)
            assert (await backend.complete(request())).text == "Hello."
            now = 1000.0  # far longer than calls wait for an endpoint that is down
            return await backend.complete(request())

        told = {"breaker_after": 2, "breaker_wait_s": 0.1, "rate_limit_wait_s": 60.0}
        assert drive(run, server.url, **told).text == "late"


def test_two_endpoints_that_both_refuse_are_not_asked_in_a_circle():
    refusing = error(429, "slow down", Retry_After="0")
    with ScriptedServer([refusing]) as one, ScriptedServer([refusing]) as other:

        async def run(backend):
            with pytest.raises(RateLimitError):
                await asyncio.wait_for(backend.complete(request()), 20)

        drive(run, one.url, other.url, retry_base_s=0.2, rate_limit_wait_s=0.5)
        assert len(one.requests) + len(other.requests) < 40


# Endpoints come and go


def test_an_endpoint_is_drained_and_another_added_while_calls_are_under_way():
    with ScriptedServer([slowly(says("old"), 0.3)]) as old, ScriptedServer([says("new")]) as new:

        async def run(backend):
            pool = backend.pool
            first = [asyncio.create_task(backend.complete(request(str(i)))) for i in range(4)]
            await asyncio.to_thread(old.first_came.wait, 5)
            while len(old.requests) < 4:  # noqa: ASYNC110 - a server in another thread
                await asyncio.sleep(0.01)
            assert pool.drain(old.url)
            later = asyncio.create_task(backend.complete(request()))  # nowhere to go yet
            await asyncio.sleep(0.05)
            assert [(e["state"], e["in_flight"]) for e in pool.status()] == [("draining", 4)]
            assert pool.waiting == 1
            pool.add(new.url)
            texts = [reply.text for reply in await asyncio.gather(*first, later)]
            assert [e["url"] for e in pool.status()] == [new.url]
            assert not pool.drain("http://nobody/v1")
            return texts

        assert drive(run, old.url) == ["old"] * 4 + ["new"]


def test_an_address_that_is_none_is_not_added():
    async def run(backend):
        for url in ("127.0.0.1:8000/v1", "ftp://host/v1", "http://user:pass@host/v1", "http:///v1"):
            with pytest.raises(ProjectError, match="no address"):
                backend.pool.add(url)
        for rest in (
            "[::1/v1",
            "host:99999/v1",
            "host:x/v1",
            "host/v1?version=1",
            "host/v1#x",
            "a..b/v1",
            "host/\nv1",
        ):
            url = f"http://{rest}"
            with pytest.raises(ProjectError, match="no address"):
                backend.pool.add(url)
        with pytest.raises(ProjectError) as caught:
            backend.pool.add("http://user:pass-word@host/v1")
        assert "pass-word" not in str(caught.value) + str(caught.value.help)
        with pytest.raises(ProjectError) as caught:
            backend.pool.add("http://169.254.169.254/v1")
        assert caught.value.code == "R035"

    drive(run, "http://127.0.0.1:1/v1")


# Where a call goes


def test_prompts_that_begin_alike_go_to_the_same_endpoint():
    with ScriptedServer([says()]) as a, ScriptedServer([says()]) as b, ScriptedServer([says()]) as c:

        async def run(backend):
            for i in range(80):
                system = f"passage {i % 40}: " + "all of it " * 120
                await backend.complete(request(f"question {i}", system))

        drive(run, a.url, b.url, c.url)
    homes = Counter()
    for server in (a, b, c):
        homes.update({r["messages"][0]["content"][:12] for r in server.requests})
    assert set(homes.values()) == {1}
    assert all(server.requests for server in (a, b, c))


def test_each_endpoint_is_home_to_its_share_of_prompts():
    endpoints = [f"http://10.0.0.{i}:8000/v1" for i in range(8)]
    homes = Counter()

    async def work():
        pool = Pool(Settings(tuple(endpoints), "m"), "", "the test")
        for i in range(4000):
            asked = Ask(b"passage %d" % i, 1)
            endpoint = await pool.enter(asked)
            homes[endpoint.address.url] += 1
            pool.leave(endpoint, asked)

    asyncio.run(work())
    assert len(homes) == 8
    assert max(homes.values()) < 2 * min(homes.values())


def test_no_endpoint_is_buried_because_prompts_begin_alike():
    with ScriptedServer([slowly(says(), 0.1)]) as a, ScriptedServer([slowly(says(), 0.1)]) as b:

        async def run(backend):
            system = "the same for all " * 100
            await asyncio.gather(*(backend.complete(request(str(i), system)) for i in range(32)))

        drive(run, a.url, b.url, concurrency=32)
    assert min(len(a.requests), len(b.requests)) >= 10


# One limit for all


def flying(seconds=0.05):
    under_way, most = [], []

    def act(handler):
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(seconds)
        under_way.pop()
        says()(handler)

    return act, most


def test_bindings_that_say_the_same_share_one_limit():
    act, most = flying()
    with ScriptedServer([act]) as server:

        async def run():
            backends = [connect(spec(server.url, concurrency=3)) for _ in range(4)]
            assert len({id(b.pool) for b in backends}) == 1
            await asyncio.gather(*(b.complete(request(str(i))) for b in backends for i in range(5)))
            for backend in backends:
                await backend.close()

        asyncio.run(run())
    assert max(most) == 3


def test_a_limit_is_changed_while_calls_are_under_way():
    act, most = flying()
    with ScriptedServer([act]) as server:

        async def run(backend):
            backend.pool.resize(concurrency=0)
            calls = [asyncio.create_task(backend.complete(request(str(i)))) for i in range(12)]
            await asyncio.sleep(0.1)
            assert server.requests == []
            backend.pool.resize(concurrency=2)
            await asyncio.gather(*calls)

        drive(run, server.url, concurrency=8)
    assert max(most) == 2


def test_a_call_that_is_called_off_gives_its_place_back():
    with ScriptedServer([slowly(says(), 0.3), says()]) as server:

        async def run(backend):
            first = asyncio.create_task(backend.complete(request("first")))
            await asyncio.to_thread(server.first_came.wait, 5)
            waiting = asyncio.create_task(backend.complete(request("waiting")))
            await asyncio.sleep(0.05)
            for task in (first, waiting):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            assert (backend.pool.in_flight, backend.pool.status()[0]["in_flight"]) == (0, 0)
            return await asyncio.wait_for(backend.complete(request("next")), 5)

        assert drive(run, server.url, concurrency=1).text == "Hello."
    assert len(server.requests) == 2


def test_a_key_is_in_no_status_and_no_log(monkeypatch, caplog):
    key = "sk-planted-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    acts = [error(500, f"bad {key}"), error(429, f"slow {key}", Retry_After="0.05"), answer(401, key)]
    with ScriptedServer(acts) as server, caplog.at_level(logging.DEBUG, "dataforge.models"):

        async def run(backend):
            with pytest.raises(PermanentError) as caught:
                await backend.complete(request("the prompt"))
            return f"{backend.pool.status()} {backend.pool.settings}", caught

        told, caught = drive(run, server.url, api_key_env="MY_KEY")
    assert server.headers[0]["authorization"] == f"Bearer {key}"
    logged = " ".join(f"{r.getMessage()} {r.__dict__}" for r in caplog.records)
    assert caplog.records
    assert key not in told + logged + repr(caught.value) + str(caught.value)
    assert "the prompt" not in logged
