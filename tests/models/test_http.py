"""What goes over the wire beyond the happy case: streams, proxies, names that lead astray, odd prompts."""

from __future__ import annotations

import asyncio
import socket
import sys
from http.server import BaseHTTPRequestHandler

import pytest
from scripted_server import ScriptedServer, answer, cut_short, delta, dribble, error, says, streams

from dataforge.errors import ModelError, PermanentError, ProjectError, TransientError
from dataforge.models import connect
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec
from schemas.chat import Message


@pytest.fixture(params=["openai", "openai_sdk"])
def ask(request):
    """Ask a model at some address, over each transport."""

    def ask(url, text="Hi", schema=None, **options) -> ChatReply:
        options = {"base_url": (url,), "retry_base_s": 0.01, **options}
        spec = ModelSpec("writer", "generator", request.param, "m-1", "m-1", options=options)

        async def run():
            backend = connect(spec)
            try:
                return await backend.complete(
                    ChatRequest((Message(role="user", content=text),), schema=schema)
                )
            finally:
                await backend.close()

        return asyncio.run(run())

    ask.backend = request.param
    return ask


USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def test_a_stream_is_put_together(ask):
    pieces = [
        delta("", role="assistant"),
        delta("", reasoning_content="Gre"),
        delta("", reasoning_content="et."),
        delta("Hel"),
        delta("lo."),
        delta("", "stop"),
        USAGE,
        "[DONE]",
    ]
    with ScriptedServer([streams(*pieces)]) as server:
        reply = ask(server.url, stream=True)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Hello.", "Greet.", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.model) == (7, 3, "served-name")
    assert server.requests[0]["stream"] is True
    assert server.requests[0]["stream_options"] == {"include_usage": True}


def test_nothing_is_streamed_unless_asked_for(ask):
    with ScriptedServer([says()]) as server:
        ask(server.url)
    assert "stream" not in server.requests[0]


@pytest.mark.parametrize(
    "failure",
    [
        streams(delta("Hel")),
        streams("[DONE]"),
        streams({"error": {"message": "overloaded", "code": 529}}),
        streams("{{{", delta("Hel")),
        cut_short,
        answer(200, ""),
        dribble,
    ],
)
def test_a_stream_that_breaks_is_asked_for_again(ask, failure):
    with ScriptedServer([failure, says("In one piece.")]) as server:
        reply = ask(server.url, stream=True, total_timeout_s=0.5)
    assert (reply.text, reply.attempts) == ("In one piece.", 2)


def test_a_failure_before_a_stream_is_a_failure(ask):
    with ScriptedServer([error(404, "no such model")]) as server, pytest.raises(PermanentError, match="404"):
        ask(server.url, stream=True)


def _as_sent(ask, text):
    """Half a surrogate pair is more than the package can send."""
    return text if ask.backend == "openai" else text.replace("\ud83d", "?")


@pytest.mark.parametrize("text", ["half a pair: \ud83d", "x" * 3_000_000, "line\u2028and \x00"])
def test_any_prompt_arrives_as_it_is(ask, text):
    with ScriptedServer([says()]) as server:
        ask(server.url, text)
    assert server.requests[0]["messages"][0]["content"] == _as_sent(ask, text)


def test_any_schema_arrives_as_it_is(ask):
    schema = {"type": "integer", "maximum": 2**80, "description": "\ud83d"}
    with ScriptedServer([says()]) as server:
        ask(server.url, schema=schema)
    sent = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert sent == schema | {"description": _as_sent(ask, "\ud83d")}


def test_half_a_surrogate_pair_in_an_answer_is_read(ask):
    with ScriptedServer([answer(200, r'{"choices": [{"message": {"content": "\ud83d!"}}]}')]) as server:
        assert ask(server.url).text == "\ud83d!"


def test_no_cookie_is_kept(ask):
    with ScriptedServer([answer(500, "", Set_Cookie="a=b"), says()]) as server:
        ask(server.url)
    assert "cookie" not in server.headers[1]
    assert server.headers[1]["accept-encoding"] == "identity"


def test_the_environments_proxy_is_used_but_not_for_this_machine(ask, monkeypatch):
    with ScriptedServer([says("by proxy")]) as proxy, ScriptedServer([says("straight")]) as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert ask(server.url).text == "straight"
        monkeypatch.setattr(socket, "getaddrinfo", _leads_to("127.0.0.1"))
        assert ask("http://models.test/v1").text == "by proxy"
    assert proxy.paths == ["http://models.test/v1/chat/completions"]


def test_a_proxys_password_is_in_no_message(ask, monkeypatch):
    def stands_before(handler):
        handler.send_response(407)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with ScriptedServer([says()]) as proxy:
        monkeypatch.setattr(BaseHTTPRequestHandler, "do_CONNECT", stands_before, raising=False)
        monkeypatch.setenv("https_proxy", proxy.url.replace("http://", "http://user:pass-word@"))
        with pytest.raises(ModelError, match="407") as caught:
            ask("https://models.test/v1")
    assert "pass-word" not in str(caught.value)


def _leads_to(address):
    original = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        return original(address if name == "models.test" else host, port, *args, **kwargs)

    return getaddrinfo


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"])
def test_a_name_that_leads_to_metadata_is_not_dialled(ask, monkeypatch, address):
    monkeypatch.setattr(socket, "getaddrinfo", _leads_to(address))
    with pytest.raises((ModelError, ProjectError)) as caught:
        ask("http://models.test:9/v1")
    assert caught.value.code == "R035"


def test_a_name_that_leads_to_metadata_twice_is_not_dialled(ask, monkeypatch):
    leads = [_leads_to("169.254.169.254"), _leads_to("fe80::1")]
    both = lambda *args, **kwargs: [a for one in leads for a in one(*args, **kwargs)]  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises((ModelError, ProjectError)) as caught:
        ask("http://models.test:9/v1")
    assert caught.value.code == "R035"


def test_a_name_is_allowed_where_the_binding_says_so(ask, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", _leads_to("127.0.0.1"))
    with ScriptedServer([says()]) as server:
        port = server.url.rpartition(":")[2]
        assert ask(f"http://models.test:{port}", allow_link_local=True).text == "Hello."


def test_an_address_of_metadata_is_refused_as_written(ask):
    with pytest.raises(ProjectError) as caught:
        ask("http://169.254.169.254/v1")
    assert caught.value.code == "R035"


def test_a_connection_that_nobody_takes_is_given_up(ask):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        # The one place in the queue is taken, so that the next connection is not answered at all.
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(TransientError) as caught:
            ask(f"http://127.0.0.1:{port}/v1", connect_timeout_s=0.2, total_timeout_s=0.4)
    assert "within 0.2 s" in caught.value.message or "within 0.4 s" in caught.value.message


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ProjectError, match="openai_sdk") as caught:
        connect(ModelSpec("w", "generator", "openai_sdk", "m", "m", options={"base_url": ("http://h/v1",)}))
    assert caught.value.code == "R038"
    assert "dataforge-compiler[openai]" in caught.value.help
