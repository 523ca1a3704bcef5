"""The served endpoint: OpenAI's shapes for answers and for errors, over real HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

from dataforge.errors import OutputError, PermanentError, TransientError
from dataforge.models import connect, grading
from dataforge.models.binding import EMBEDDED_GENERATOR, EMBEDDED_JUDGE
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.models.serve import EmbeddedServer
from schemas.chat import Message


class Parrot:
    """Says what it was told; fails on demand."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        text = request.messages[-1].content
        if text == "too long":
            raise PermanentError("the prompt is too long", code="R008")
        if text == "busy":
            raise TransientError("try later")
        if text == "bug":
            raise RuntimeError("boom")
        return ChatReply(
            f"{text} {request.sampling.max_tokens} {request.schema}", prompt_tokens=3, completion_tokens=2
        )

    async def ping(self):
        return "parrot"

    async def close(self):
        pass


@pytest.fixture(scope="module")
def server():
    with EmbeddedServer(models={"parrot": Parrot()}, api_key="letmein") as running:
        yield running


def call(
    server, method="POST", path="/v1/chat/completions", body=None, key="letmein", raw=None, headers=None
):
    where = urlsplit(server.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    sent = {"Authorization": f"Bearer {key}"} if key else {}
    data = raw if raw is not None else json.dumps(body) if body is not None else None
    try:
        connection.request(method, path, data, {**sent, **(headers or {})})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def chat(text="Hello", **more):
    return {"model": "parrot", "messages": [{"role": "user", "content": text}], **more}


def test_a_completion_has_openais_shape(server):
    status, body = call(server, body=chat(max_tokens=5, user="somebody"))
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello 5 None"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_a_schema_reaches_the_model(server):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert (
        "{'type': 'object'}"
        in call(server, body=chat(response_format=form))[1]["choices"][0]["message"]["content"]
    )


def test_health_is_open_and_the_models_are_listed(server):
    assert call(server, "GET", "/health", key=None) == (200, {"status": "ok"})
    status, body = call(server, "GET", "/v1/models")
    assert (status, [model["id"] for model in body["data"]]) == (200, ["parrot"])


@pytest.mark.parametrize(
    ("status", "code", "sent"),
    [
        (401, "invalid_api_key", {"key": "wrong"}),
        (401, "invalid_api_key", {"key": None}),
        (404, "model_not_found", {"body": {**chat(), "model": "other"}}),
        (404, "not_found", {"path": "/v1/embeddings", "body": chat()}),
        (404, "not_found", {"method": "GET", "path": "/nowhere"}),
        (400, "invalid_json", {"raw": "{"}),
        (400, "invalid_json", {"raw": "[" * 100_000}),
        (400, "invalid_request", {"raw": "[]"}),
        (400, "invalid_request", {"body": {"model": "parrot"}}),
        (400, "invalid_request", {"body": {"model": "parrot", "messages": []}}),
        (400, "invalid_request", {"body": chat(temperature="hot")}),
        (400, "unsupported_parameter", {"body": chat(stream=True)}),
        (400, "unsupported_parameter", {"body": chat(n=2)}),
        (400, "R008", {"body": chat("too long")}),
        (503, "R007", {"body": chat("busy")}),
        (500, "internal", {"body": chat("bug")}),
        (411, "length_required", {"headers": {"Content-Length": "many"}}),
        (413, "too_large", {"headers": {"Content-Length": str(10**9)}}),
    ],
)
def test_errors_have_openais_shape_and_the_right_status(server, status, code, sent):
    got, body = call(server, **sent)
    assert (got, body["error"]["code"]) == (status, code)
    assert body["error"]["message"]
    assert body["error"]["type"] == ("server_error" if status >= 500 else "invalid_request_error")


def test_clients_that_go_away_harm_nobody(server):
    where = urlsplit(server.url)
    for start in (
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{",
        b"\x16\x03\x01nonsense\r\n\r\n",
        b"",
    ):
        with socket.create_connection((where.hostname, where.port)) as client:
            client.sendall(start)
    assert call(server, body=chat())[0] == 200


def test_a_port_that_is_taken_is_told(server):
    port = urlsplit(server.url).port
    with pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
        EmbeddedServer(port=port, models={})
    assert (caught.value.code, caught.value.help) == (
        "R032",
        "choose another --port, or --port 0 for any that is free",
    )


@pytest.mark.embedded
def test_the_embedded_models_behind_the_openai_backend():
    """The whole way round: our client, real HTTP, the served models, and a verdict that can be read."""
    rubric = (grading.Criterion("grounding", "", 1, 5), grading.Criterion("clarity", "", 1, 5))
    prompt = grading.render(
        rubric,
        {
            "Passage": {
                "text": "Bread rises because yeast feeds on the sugars in flour and gives off carbon dioxide."
            }
        },
        {"Answer": {"text": "Yeast gives off carbon dioxide, and so the bread rises."}},
    )

    async def run(url):
        def backend(kind, model):
            return connect(ModelSpec("x", kind, "openai", model, model, options={"base_url": (url,)}))

        writer, critic = backend("generator", EMBEDDED_GENERATOR), backend("judge", EMBEDDED_JUDGE)
        question = ChatRequest(
            (Message(role="user", content="What is bread?"),), Sampling(max_tokens=12, seed=1)
        )
        replies = await asyncio.gather(
            writer.complete(question),
            critic.complete(ChatRequest(prompt, schema=grading.verdict_schema(rubric))),
        )
        with pytest.raises(PermanentError, match="no grading prompt"):
            await critic.complete(question)
        await asyncio.gather(writer.close(), critic.close())
        return replies

    with EmbeddedServer() as running:
        assert [m["id"] for m in call(running, "GET", "/v1/models")[1]["data"]] == [
            EMBEDDED_GENERATOR,
            EMBEDDED_JUDGE,
        ]
        written, judged = asyncio.run(run(running.url))
    assert written.text
    assert 0 < written.completion_tokens <= 12
    scores, how = grading.read_verdict(judged.text, rubric)
    assert how == "json"
    assert all(score.score >= 4 for score in scores)
