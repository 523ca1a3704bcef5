"""The backends `openai` and `openai_sdk` against a real server that misbehaves in every way we have met.

Every test runs over each transport, the one for endpoints behind a proxy too, and counts the requests that arrive.
"""

# ruff: noqa: SIM117 - a server, and inside it the error that is expected of it, read best as two lines
from __future__ import annotations

import asyncio
import time

import pytest
from scripted_server import (
    ScriptedServer,
    answer,
    cut_short,
    dribble,
    error,
    flood,
    hang,
    html,
    reset,
    says,
)

from dataforge.errors import PermanentError, ProjectError, QuotaError, RateLimitError, TransientError
from dataforge.models import connect
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.models.direct import DirectTransport
from schemas.chat import Message

BACKEND = "openai"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def request(text="Hi", **kwargs):
    return ChatRequest((Message(role="user", content=text, train=True),), **kwargs)


@pytest.fixture(params=["openai", "openai as by proxy", "openai_sdk"], autouse=True)
def transport(request, monkeypatch):
    backend, _, by_proxy = request.param.partition(" ")
    monkeypatch.setitem(globals(), "BACKEND", backend)
    if by_proxy:
        monkeypatch.setattr(DirectTransport, "_target", lambda self, url: None)


def spec(*urls, **kwargs):
    options = {"base_url": urls, "retry_base_s": 0.01, **kwargs.pop("options", {})}
    return ModelSpec("writer", "generator", BACKEND, "m-1", "m-1", options=options, **kwargs)


def ask(server, *requests, **kwargs) -> list[ChatReply]:
    async def run():
        backend = connect(spec(server.url, **kwargs))
        try:
            return await asyncio.gather(*(backend.complete(r) for r in requests or (request(),)))
        finally:
            await backend.close()

    return asyncio.run(run())


def test_a_reply_carries_text_tokens_and_the_served_name():
    with ScriptedServer([says("Hello.", reasoning_content="Greet.")]) as server:
        (reply,) = ask(server, request(sampling=Sampling(temperature=0.5, max_tokens=9, stop=("X",), seed=4)))
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Hello.", "Greet.", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.model) == (7, 3, "served-name")
    assert reply.latency_s > 0
    assert server.paths == ["/v1/chat/completions"]
    assert server.requests == [
        {
            "model": "m-1",
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "stop": ["X"],
            "seed": 4,
        }
    ]


def test_the_bindings_sampling_fills_the_gaps():
    with ScriptedServer([says()]) as server:
        ask(
            server,
            request(sampling=Sampling(max_tokens=5)),
            sampling=Sampling(temperature=0.1, max_tokens=99),
        )
    assert (server.requests[0]["temperature"], server.requests[0]["max_tokens"]) == (0.1, 5)


@pytest.mark.parametrize(
    "failure",
    [
        error(500, "oops"),
        error(502, "oops"),
        error(503, "busy"),
        error(408, "slow"),
        error(409, "conflict"),
        answer(425, ""),
        html(200),
        html(502),
        reset,
        cut_short,
        answer(200, "{}"),
        answer(200, "[]"),
        answer(200, '{"choices": []}'),
        answer(200, '{"choices": [{'),
        answer(200, '{"choices": [{"message": null}]}'),
        answer(200, '{"error": {"message": "overloaded", "code": 529}}'),
        answer(200, b"\xff\xfe"),
    ],
)
def test_what_may_pass_is_tried_again(failure):
    with ScriptedServer([failure, failure, says("At last.")]) as server:
        (reply,) = ask(server)
    assert reply.text == "At last."
    assert len(server.requests) == 3


def test_four_attempts_are_all():
    with ScriptedServer([error(500, "oops\x1b[31m\nred")]) as server:
        with pytest.raises(TransientError, match=r"answered 500: “oops\\x1b\[31m\\nred”"):
            ask(server)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422])
def test_what_will_not_pass_is_tried_once(status):
    with ScriptedServer([error(status, "no such thing")]) as server:
        with pytest.raises(PermanentError, match=f"m-1.*answered {status}: “no such thing”") as caught:
            ask(server)
    assert len(server.requests) == 1
    assert caught.value.help


def test_a_spent_quota_is_final_although_it_comes_as_429():
    with ScriptedServer([error(429, "You exceeded your current quota", "insufficient_quota")]) as server:
        with pytest.raises(QuotaError, match="quota"):
            ask(server)
    assert len(server.requests) == 1


def test_a_rate_limit_is_waited_out_and_costs_no_attempt():
    limited = error(429, "slow down", Retry_After="0.1")
    with ScriptedServer([limited] * 6 + [says()]) as server:
        (reply,) = ask(server)
    assert reply.text == "Hello."
    assert len(server.requests) == 7
    assert server.arrivals[-1] - server.arrivals[0] >= 0.55


def test_one_rate_limit_holds_back_everyone():
    with ScriptedServer([error(429, "slow down", Retry_After="0.4"), says()]) as server:

        async def run():
            backend, other = connect(spec(server.url)), connect(spec(server.url))
            first = asyncio.create_task(backend.complete(request()))
            await asyncio.to_thread(server.first_came.wait, 5)
            await asyncio.sleep(0.1)
            await asyncio.gather(first, *(b.complete(request()) for b in (backend, other) * 3))
            await asyncio.gather(backend.close(), other.close())

        asyncio.run(run())
    assert len(server.requests) == 8
    assert min(server.arrivals[1:]) - server.arrivals[0] >= 0.35


def test_503_with_retry_after_is_a_rate_limit():
    with ScriptedServer([error(503, "busy", Retry_After="0.05")] * 5 + [says()]) as server:
        ask(server)
    assert len(server.requests) == 6


def test_waiting_for_a_rate_limit_is_bounded():
    with ScriptedServer([error(429, "come back tomorrow", Retry_After="86400")]) as server:
        started = time.monotonic()
        with pytest.raises(RateLimitError, match="answered 429") as caught:
            ask(server, options={"rate_limit_wait_s": 0.5})
    assert caught.value.retry_after_s == 86400
    assert len(server.requests) == 1
    assert time.monotonic() - started < 5


def test_hanging_and_dribbling_end_at_the_total_timeout():
    for act in (hang, dribble):
        with ScriptedServer([act, says()]) as server:
            (reply,) = ask(server, options={"total_timeout_s": 0.3})
        assert reply.text == "Hello."
        assert server.arrivals[1] - server.arrivals[0] < 1.0


def test_an_endpoint_that_is_down_is_named():
    with ScriptedServer([says()]) as server:
        pass
    with pytest.raises(TransientError, match=r"127\.0\.0\.1.*m-1.*cannot be reached") as caught:
        ask(server)
    assert "base_url" in caught.value.help


def test_html_is_called_html():
    with ScriptedServer([html()]) as server:
        with pytest.raises(TransientError, match="answered 200 with an HTML page titled 'Sign in', not JSON"):
            ask(server)


def test_a_redirect_is_not_followed():
    with ScriptedServer([says()]) as elsewhere:
        target = elsewhere.url + "/chat/completions"
        with ScriptedServer([answer(307, "", Location=target)]) as server:
            with pytest.raises(PermanentError, match="redirects to http://127"):
                ask(server)
        assert elsewhere.requests == []


def test_an_endless_body_is_cut_off():
    with ScriptedServer([flood]) as server, pytest.raises(PermanentError, match="more than 16 MiB"):
        ask(server)
    assert len(server.requests) == 1


def test_a_schema_that_is_refused_is_left_out_from_then_on():
    refuses = error(400, "response_format is not supported")
    with ScriptedServer([refuses, says('{"a": "b"}')]) as server:

        async def run():
            backend = connect(spec(server.url))
            replies = [await backend.complete(request(schema=SCHEMA)) for _ in range(2)]
            await backend.close()
            return replies

        replies = asyncio.run(run())
    assert [r.constrained for r in replies] == [False, False]
    assert ["response_format" in r for r in server.requests] == [True, False, False]
    sent = server.requests[0]["response_format"]["json_schema"]
    assert sent == {"name": "answer", "schema": SCHEMA, "strict": True}


def test_a_schema_that_is_taken_is_told():
    with ScriptedServer([says('{"a": "b"}')]) as server:
        (reply,) = ask(server, request(schema=SCHEMA))
    assert reply.constrained


def test_a_prompt_that_is_too_long_is_not_sent_twice():
    with ScriptedServer([error(400, "maximum context length is 4096 tokens")]) as server:
        with pytest.raises(PermanentError) as caught:
            ask(server, request(schema=SCHEMA))
    assert len(server.requests) == 1
    assert "shorten" in caught.value.help


def test_a_server_that_wants_the_newer_token_field_gets_it():
    refuses = error(400, "Unsupported parameter: use 'max_completion_tokens' instead.")
    with ScriptedServer([refuses, says()]) as server:
        ask(server, request(sampling=Sampling(max_tokens=8)))
    assert server.requests[1]["max_completion_tokens"] == 8
    assert "max_tokens" not in server.requests[1]


@pytest.mark.parametrize(("thinking", "sent"), [("on", True), ("off", False)])
def test_thinking_is_asked_for(thinking, sent):
    with ScriptedServer([says()]) as server:
        ask(server, request(thinking=thinking))
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": sent, "thinking": sent}


@pytest.mark.parametrize(
    ("act", "text", "reasoning"),
    [
        (says("<think>Hm.</think>\nYes."), "Yes.", "Hm."),
        (says("Hm.</think>Yes."), "Yes.", "Hm."),
        (says("<think>Hm, and", finish_reason="length"), "", "Hm, and"),
        (says("Yes.", reasoning="Hm."), "Yes.", "Hm."),
        (says("Use <think> tags."), "Use <think> tags.", None),
        (says(None, reasoning_content="Hm."), "", "Hm."),
        (says(None, refusal="I will not."), "I will not.", None),
        (says([{"type": "text", "text": "In "}, {"type": "text", "text": "parts."}]), "In parts.", None),
    ],
)
def test_reasoning_is_kept_apart(act, text, reasoning):
    with ScriptedServer([act]) as server:
        (reply,) = ask(server)
    assert (reply.text, reply.reasoning) == (text, reasoning)


def test_no_more_requests_are_in_flight_than_allowed():
    flying, most = [], []

    def slow(handler):
        flying.append(1)
        most.append(len(flying))
        time.sleep(0.05)
        flying.pop()
        says()(handler)

    with ScriptedServer([slow]) as server:
        ask(server, *[request(str(i)) for i in range(12)], concurrency=3)
    assert max(most) <= 3
    assert len(server.requests) == 12


def test_a_key_goes_to_the_server_and_nowhere_else(monkeypatch):
    key = "sk-secret-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    monkeypatch.setenv("OPENAI_ORG_ID", "an-org")
    with ScriptedServer([error(401, f"Incorrect API key provided: {key}")]) as server:
        with pytest.raises(PermanentError) as caught:
            ask(server, options={"api_key_env": "MY_KEY"})
        with pytest.raises(PermanentError):
            ask(server)
    assert server.headers[0]["authorization"] == f"Bearer {key}"
    assert "authorization" not in server.headers[1]
    assert all("openai-organization" not in sent for sent in server.headers)
    assert "MY_KEY" in caught.value.help
    assert key not in str(caught.value) + repr(caught.value) + caught.value.help


def test_a_key_that_is_missing_is_named(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ProjectError, match="MY_KEY") as caught:
        connect(spec("http://127.0.0.1:1/v1", options={"api_key_env": "MY_KEY"}))
    assert caught.value.code == "R004"
    monkeypatch.setenv("MY_KEY", "“quoted”")
    with pytest.raises(ProjectError, match="holds characters") as caught:
        connect(spec("http://127.0.0.1:1/v1", options={"api_key_env": "MY_KEY"}))


def test_ping_answers_for_the_model_or_says_why_not():
    with ScriptedServer([says("yes"), error(500, "oops"), says("yes"), error(401, "no")]) as server:

        async def run():
            backend = connect(spec(server.url))
            try:
                assert await backend.ping() == "served-name"
                assert (
                    await backend.ping() == "served-name"
                )  # a server that has a bad moment is there all the same
                with pytest.raises(PermanentError, match="answered 401"):
                    await backend.ping()
            finally:
                await backend.close()

        asyncio.run(run())
    assert len(server.requests) == 4


def test_ping_finds_at_once_that_nobody_is_there():
    with ScriptedServer([says()]) as server:
        pass

    async def run():
        backend = connect(spec(server.url, options={"retry_base_s": 100.0}))
        try:
            with pytest.raises(TransientError, match="cannot be reached"):
                await backend.ping()
        finally:
            await backend.close()

    asyncio.run(run())
