"""Raw completions: the same client, pool and retries as chat, and every character of what the model wrote.

The client's part runs over each of its transports against a real server on loopback; the engine's part against the
embedded model itself.
"""

# ruff: noqa: SIM117 - a server, and inside it the error that is expected of it, read best as two lines
from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import http.client
import json
import shutil
import struct
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import ScriptedServer, answer, error, html, reset, says, streams

from dataforge.errors import ModelError, PermanentError, TransientError
from dataforge.models import connect, embedded_generator
from dataforge.models.binding import EMBEDDED_GENERATOR
from dataforge.models.client import (
    ChatReply,
    ChatRequest,
    Completes,
    CompletionRequest,
    ModelSpec,
    Sampling,
)
from dataforge.models.direct import DirectTransport
from dataforge.models.local import LocalGenerator
from dataforge.models.replay import Recorder
from dataforge.models.serve import EmbeddedServer
from dataforge.models.vocabulary import special_tokens
from dataforge.models.weights import generator_file
from schemas.chat import Message

BACKEND = "openai"
IDS = (504, 3575, 282, 4649, 314)
"""`The capital of France is` in SmolLM2's vocabulary."""


@pytest.fixture(params=["openai", "openai as by proxy", "openai_sdk"])
def transport(request, monkeypatch):
    backend, _, by_proxy = request.param.partition(" ")
    monkeypatch.setitem(globals(), "BACKEND", backend)
    if by_proxy:
        monkeypatch.setattr(DirectTransport, "_target", lambda self, url: None)


def writes(text: Any, finish_reason: str | None = "stop", **usage: int):
    counted = {"prompt_tokens": 5, "completion_tokens": 3, **usage}
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
    document = {"object": "text_completion", "model": "served-name", "choices": [choice], "usage": counted}
    return answer(200, json.dumps(document))


def ask(server, *requests, **kwargs) -> list[ChatReply]:
    async def run():
        options = {"base_url": (server.url,), "retry_base_s": 0.01, **kwargs.pop("options", {})}
        backend = connect(ModelSpec("w", "generator", BACKEND, "m-1", "m-1", options=options, **kwargs))
        assert isinstance(backend, Completes)
        try:
            return [
                await (backend.complete(r) if isinstance(r, ChatRequest) else backend.go_on(r))
                for r in requests
            ]
        finally:
            await backend.close()

    return asyncio.run(run())


# ---- what is asked, and what comes back


def test_token_ids_go_as_they_are_with_the_binding_s_sampling(transport):
    sampling = Sampling(max_tokens=9, stop=("\n\n",), seed=4)
    with ScriptedServer([writes(" Paris")]) as server:
        ask(server, CompletionRequest(IDS, sampling), sampling=Sampling(temperature=0.5, top_p=0.9))
    assert server.paths == ["/v1/completions"]
    assert server.requests == [
        {
            "model": "m-1",
            "prompt": list(IDS),
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["\n\n"],
            "seed": 4,
        }
    ]


def test_a_text_comes_back_to_the_last_space_with_its_thinking_in_it(transport):
    text = "\n <think>\nhm\n</think>\n\nParis <|im_start|> \n"
    with ScriptedServer([writes(text, "length", prompt_tokens=11, completion_tokens=8)]) as server:
        [reply] = ask(server, CompletionRequest("The capital of France is"))
    assert server.requests[0]["prompt"] == "The capital of France is"
    assert (reply.text, reply.reasoning) == (text, None)
    assert (reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == ("length", 11, 8)
    assert reply.model == "served-name"


def test_chats_and_raw_completions_go_their_own_ways_on_one_backend(transport):
    chat = ChatRequest((Message(role="user", content="Hi"),))
    with ScriptedServer([says(), writes("a"), says(), writes("b")]) as server:
        replies = ask(server, chat, CompletionRequest(IDS), chat, CompletionRequest(IDS, attempt=1))
    assert [reply.text for reply in replies] == ["Hello.", "a", "Hello.", "b"]
    assert server.paths == ["/v1/chat/completions", "/v1/completions"] * 2


def test_a_streamed_completion_is_put_together():
    pieces = [
        {"model": "served-name", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}
        for text, finish in ((" Pa", None), ("ris ", None), ("", "stop"))
    ]
    counted = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    with ScriptedServer([streams(*pieces, counted, "[DONE]")]) as server:
        [reply] = ask(server, CompletionRequest(IDS), options={"stream": True})
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == (" Paris ", "stop", 3)


# ---- what goes wrong


def test_what_may_pass_is_tried_again(transport):
    script = [error(500, "oops"), reset, error(429, "slow down", Retry_After="0.01"), writes("there")]
    with ScriptedServer(script) as server:
        [reply] = ask(server, CompletionRequest(IDS))
    assert (reply.text, reply.attempts, len(server.requests)) == ("there", 4, 4)


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("prompt", [IDS, "The capital"])
def test_a_server_without_raw_completions_is_told_at_once(transport, status, prompt):
    with ScriptedServer([error(status, "Not Found")]) as server:
        with pytest.raises(PermanentError, match=f"offers no raw completions: .*{status}.*Not Found") as told:
            ask(server, CompletionRequest(prompt))
        assert len(server.requests) == 1
    assert told.value.code == "L004"
    assert "vLLM" in told.value.help


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_takes_no_token_ids_is_told(transport, status):
    with ScriptedServer([error(status, "prompt must be a string")]) as server:
        with pytest.raises(PermanentError, match=r"of these token ids.*prompt must be a string") as told:
            ask(server, CompletionRequest(IDS))
        assert len(server.requests) == 1
        assert told.value.code == "L004"
        with pytest.raises(PermanentError) as told:
            ask(server, CompletionRequest("a text"))
        assert told.value.code == "R008"


def test_a_prompt_that_is_too_long_is_no_matter_of_token_ids():
    with ScriptedServer([error(400, "maximum context length is 4096 tokens")]) as server:
        with pytest.raises(PermanentError) as told:
            ask(server, CompletionRequest(IDS))
    assert told.value.code == "R008"
    assert "too long" in told.value.help


@pytest.mark.parametrize(
    "act", [html(), says(), answer(200, '{"choices": []}'), writes(None), answer(200, "[1]")]
)
def test_what_is_no_completion_is_never_an_empty_one(act):
    with ScriptedServer([act]) as server:
        with pytest.raises(TransientError, match="answered 200 with"):
            ask(server, CompletionRequest(IDS))


def test_a_completion_that_holds_the_key_is_not_kept(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-0123456789")
    with ScriptedServer([writes("here: sk-0123456789")]) as server:
        with pytest.raises(PermanentError, match="answered with the key"):
            ask(server, CompletionRequest(IDS), options={"api_key_env": "SOME_KEY"})


# ---- keys and recordings

prompts = st.one_of(st.text(min_size=1), st.lists(st.integers(0, 10**6), min_size=1).map(tuple))
samplings = st.builds(
    Sampling, temperature=st.sampled_from([None, 0.0, 0.7]), thinking_budget=st.none() | st.integers(1, 99)
)


@given(
    st.builds(CompletionRequest, prompts, samplings, st.integers(0, 2)),
    st.builds(CompletionRequest, prompts, samplings, st.integers(0, 2)),
)
def test_two_requests_share_a_key_only_where_they_are_the_same(one, other):
    assert (one.key("w") == other.key("w")) == (one == other)
    assert one.key("w") != one.key("v")


@given(prompts, samplings, st.integers(0, 2))
def test_a_key_is_the_hash_of_plain_canonical_json(prompt, sampling, attempt):
    payload = {"weights": "w", "prompt": prompt, "sampling": sampling.listed(), "attempt": attempt}
    text = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    expected = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    assert CompletionRequest(prompt, sampling, attempt).key("w") == expected


def test_ids_are_no_text_that_looks_like_them_and_going_on_is_no_new_turn():
    assert CompletionRequest((1, 2)).key("w") != CompletionRequest("(1, 2)").key("w")
    assert CompletionRequest((1, 2)).key("w") != CompletionRequest("[1,2]").key("w")
    messages = (Message(role="user", content="Hi"), Message(role="assistant", content="He"))
    assert ChatRequest(messages).key("w") != ChatRequest(messages, continues=True).key("w")


@given(prompts, samplings)
def test_no_chat_has_the_key_of_a_raw_completion(prompt, sampling):
    chat = ChatRequest((Message(role="user", content=str(prompt)),), sampling)
    assert chat.key("w") != CompletionRequest(prompt, sampling).key("w")


@given(
    st.builds(CompletionRequest, prompts, samplings, st.integers(0, 9))
    | st.builds(
        ChatRequest,
        prompts.map(lambda text: (Message(role="user", content=str(text)),)),
        samplings,
        st.sampled_from(["on", "off", "auto"]),
        st.none() | st.just({"type": "object"}),
        st.integers(0, 9),
        st.booleans(),
    ),
    samplings,
)
def test_other_sampling_leaves_all_else_of_a_request_as_it_is(request_, sampling):
    assert request_.sampled(sampling) == dataclasses.replace(request_, sampling=sampling)


def test_recordings_answer_raw_completions(tmp_path: Path):
    file = tmp_path / "said.jsonl"
    requests = [CompletionRequest(IDS), CompletionRequest("Once upon"), CompletionRequest(IDS, attempt=1)]

    async def recorded(url: str) -> None:
        spec = ModelSpec("w", "generator", "openai", "m", "m", options={"base_url": (url,)})
        recorder = Recorder(connect(spec), file)
        for request in requests:
            await recorder.go_on(request)
        await recorder.close()

    async def replayed() -> list[str]:
        backend = connect(ModelSpec("w", "generator", "replay", "m", "m", options={"path": str(file)}))
        assert isinstance(backend, Completes)
        told = [(await backend.go_on(request)).text for request in requests]
        told.append((await backend.go_on(CompletionRequest("It was late"))).text)
        with pytest.raises(PermanentError, match=r"no recording in .* for the prompt of token ids"):
            await backend.go_on(CompletionRequest(IDS, attempt=7))
        return told

    with ScriptedServer([writes(" Paris "), writes(" a time"), writes(" Rome")]) as server:
        asyncio.run(recorded(server.url))
    with file.open("a") as opened:
        opened.write('{"contains": "was late", "text": " and dark"}\n')
    assert asyncio.run(replayed()) == [" Paris ", " a time", " Rome", " and dark"]


# ---- the endpoint of `dataforge serve`


class Parrot:
    """Goes on with its own prompt; thinks when it is told to."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        thinks = request.thinking == "on"
        return ChatReply(f"{request.thinking} {request.continues}", reasoning="hm" if thinks else None)

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        if request.prompt == "wrong":
            raise PermanentError("that is wrong")
        return ChatReply(
            f" {request.prompt!r} {request.sampling} ",
            finish_reason="length",
            prompt_tokens=2,
            completion_tokens=1,
        )

    async def ping(self) -> str:
        return "parrot"

    async def close(self) -> None:
        pass


class Listener:
    """Makes no raw completions."""

    complete, ping, close = Parrot.complete, Parrot.ping, Parrot.close


@pytest.fixture(scope="module")
def served():
    with EmbeddedServer(models={"parrot": Parrot(), "listener": Listener()}, api_key="letmein") as running:
        yield running


def call(server: EmbeddedServer, path: str, body: Any, key: str = "letmein") -> tuple[int, Any]:
    where = urlsplit(server.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    raw = body if isinstance(body, str) else json.dumps(body)
    try:
        connection.request("POST", where.path + path, raw, {"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(("prompt", "heard"), [("Once", "'Once'"), ([5, 6], "(5, 6)")])
def test_served_completions_have_the_form_that_clients_know(served, prompt, heard):
    body = {"model": "parrot", "prompt": prompt, "max_tokens": 3, "seed": 9, "stop": "x", "logprobs": None}
    status, document = call(served, "/completions", body)
    assert (status, document["object"]) == (200, "text_completion")
    assert document["choices"][0]["text"] == f" {heard} {Sampling(max_tokens=3, seed=9, stop=('x',))} "
    assert document["choices"][0]["finish_reason"] == "length"
    assert document["usage"] == {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        *(
            (
                {"model": "parrot", "prompt": prompt},
                400,
                "prompt: should be one text or one list of token ids",
            )
            for prompt in ([], "", None, [[1, 2]], [1, -2], [1, 2**31], [1, 2.0], [True], ["a", "b"])
        ),
        ({"model": "parrot"}, 400, "prompt: Field required"),
        ({"model": "parrot", "prompt": "a", "max_tokens": 0}, 400, "max_tokens"),
        ({"model": "parrot", "prompt": "a", "stream": True}, 400, "stream"),
        ({"model": "parrot", "prompt": "a", "n": 2}, 400, "n: 1"),
        ({"model": "parrot", "prompt": "wrong"}, 400, "that is wrong"),
        ({"model": "listener", "prompt": "a"}, 404, "no raw completions"),
        ({"model": "nobody", "prompt": "a"}, 404, "nobody"),
        ("{", 400, "no JSON"),
    ],
)
def test_served_refusals_have_openai_s_shape(served, body, status, told):
    got, document = call(served, "/completions", body)
    assert got == status
    assert told in document["error"]["message"]
    assert set(document["error"]) == {"message", "type", "param", "code"}


def test_a_raw_completion_wants_the_key_too(served):
    assert call(served, "/completions", {"model": "parrot", "prompt": "a"}, key="wrong")[0] == 401


def test_served_chats_give_thinking_apart_and_pass_its_mode_on(served):
    hello = [{"role": "user", "content": "Hi"}]
    for told in ({"enable_thinking": True, "thinking": True}, {"enable_thinking": True}, {"thinking": True}):
        body = {"model": "parrot", "messages": hello, "chat_template_kwargs": told}
        message = call(served, "/chat/completions", body)[1]["choices"][0]["message"]
        assert message == {"role": "assistant", "content": "on False", "reasoning_content": "hm"}
    body = {"model": "parrot", "messages": hello, "continue_final_message": True}
    message = call(served, "/chat/completions", body)[1]["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "auto True"}


# ---- the engine in this process


def special(*names: str) -> tuple[str, ...]:
    return tuple(name for name in special_tokens(generator_file()) if name in names)


def test_the_special_tokens_of_a_file_are_those_that_end_nothing():
    assert special("<|im_start|>", "<|im_end|>", "<|endoftext|>", "the") == ("<|im_start|>",)


def as_gguf(version: int, **told: Any) -> bytes:
    """The head of a file: numbers as 32 bits, texts, and lists of either."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def value(given: Any) -> bytes:
        if isinstance(given, int):
            return struct.pack("<I", given)
        return (
            text(given)
            if isinstance(given, str)
            else struct.pack("<IQ", kind(given[0]), len(given)) + b"".join(map(value, given))
        )

    def kind(given: Any) -> int:
        return {int: 4, str: 8, list: 9}[type(given)]

    pairs = (
        text(name.replace("__", ".")) + struct.pack("<I", kind(of)) + value(of) for name, of in told.items()
    )
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(told)) + b"".join(pairs)


@pytest.mark.parametrize("version", [2, 3])
def test_special_is_what_steers_and_ends_nothing_by_number_or_by_name(tmp_path: Path, version: int):
    file = tmp_path / "small.gguf"
    names = ["a", "<s>", "<stop>", "<turn>", "<more>", "</s>", "<think>", "<b>é"]
    head = as_gguf(
        version,
        general__name="small",
        odd=[["nested", "texts"], ["more"]],
        tokenizer__ggml__tokens=names,
        tokenizer__ggml__token_type=[1, 3, 3, 3, 3, 3, 4, 3],
        tokenizer__ggml__eos_token_id=2,
        tokenizer__ggml__eot_token_id=3,
        tokenizer__ggml__eom_token_id=4,
        behind="x",
    )
    file.write_bytes(head)
    assert special_tokens(file) == ("<s>", "<b>é")
    file.write_bytes(head[:-40])
    assert special_tokens(file) == ()
    file.write_bytes(as_gguf(version, tokenizer__ggml__tokens=names))
    assert special_tokens(file) == ()
    file.write_bytes(as_gguf(4, tokenizer__ggml__tokens=["<s>"], tokenizer__ggml__token_type=[3]))
    assert special_tokens(file) == ()


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"no GGUF at all, but some text", b"GGUF\x03\0\0\0" + b"\xff" * 40]
)
def test_a_file_that_is_not_understood_has_none(tmp_path: Path, content: bytes):
    file = tmp_path / "odd.gguf"
    file.write_bytes(content)
    assert special_tokens(file) == ()
    assert special_tokens(tmp_path / "none.gguf") == ()


def with_engine(use, file: Path | None = None):
    async def run():
        options = {} if file is None else {"path": str(file)}
        name = EMBEDDED_GENERATOR if file is None else "own"
        sampling = Sampling(temperature=0.0, max_tokens=6)
        backend = connect(ModelSpec("w", "generator", "local", name, name, sampling, options=options))
        assert isinstance(backend, LocalGenerator)
        try:
            return await use(backend)
        finally:
            await backend.close()

    return asyncio.run(run())


@pytest.mark.embedded
def test_the_engine_takes_ids_for_tokens_and_a_text_for_the_same():
    async def use(backend):
        by_ids = await backend.go_on(CompletionRequest(IDS))
        by_text = await backend.go_on(CompletionRequest("The capital of France is"))
        split = await backend.go_on(CompletionRequest((*IDS[:-1], 216, 314)))
        with pytest.raises(PermanentError, match="invalid tokens"):
            await backend.go_on(CompletionRequest((10**6,)))
        with pytest.raises(PermanentError, match="invalid tokens"):
            await backend.go_on(CompletionRequest((-1, 504)))
        with pytest.raises(PermanentError, match="surrogates"):
            await backend.go_on(CompletionRequest("half a pair \ud83d"))
        with pytest.raises(PermanentError, match="5000 tokens"):
            await backend.go_on(CompletionRequest((504,) * 5000))
        return by_ids, by_text, split

    by_ids, by_text, split = with_engine(use)
    assert by_ids.text.startswith(" Paris")
    assert (by_ids.text, by_ids.prompt_tokens, by_ids.completion_tokens) == (by_text.text, 5, 6)
    assert (by_ids.finish_reason, by_ids.reasoning) == ("length", None)
    assert split.prompt_tokens == 6


@pytest.mark.parametrize(
    ("prompt", "told"),
    [((), "empty"), ("", "empty"), ((504, 2**32 + 504), "no token 4294967800"), ((2**64,), "no")],
)
def test_what_the_engine_would_take_for_something_else_never_reaches_it(prompt, told):
    async def use(backend):
        with pytest.raises(PermanentError, match=told):
            await backend.go_on(CompletionRequest(prompt))

    with_engine(use)
    assert not embedded_generator._shared


@pytest.mark.embedded
def test_no_beginning_token_is_put_before_given_ids(tmp_path: Path):
    """A file that wants one before every text gets one before a text, and none before ids."""
    file = tmp_path / "own.gguf"
    shutil.copy(generator_file(), file)
    wanted = b"tokenizer.ggml.add_bos_token" + (7).to_bytes(4, "little")
    with file.open("r+b") as opened:
        at = opened.read(8 << 20).index(wanted) + len(wanted)
        opened.seek(at)
        assert opened.read(1) == b"\0"
        opened.seek(at)
        opened.write(b"\1")

    async def use(backend):
        by_text = await backend.go_on(CompletionRequest("The capital of France is"))
        by_ids = await backend.go_on(CompletionRequest(IDS))
        return by_text.prompt_tokens, by_ids.prompt_tokens

    assert with_engine(use, file) == (6, 5)


@pytest.mark.embedded
def test_special_tokens_are_readable_where_they_end_nothing(monkeypatch: pytest.MonkeyPatch):
    run = embedded_generator.EmbeddedGenerator._run

    def steered(token: int):
        def made(self, what, body, cancelled):
            return run(self, what, {**body, "logit_bias": [[token, 100.0]]}, cancelled)

        return made

    async def use(backend):
        found = []
        for token in (1, 2):  # <|im_start|> and <|im_end|>
            monkeypatch.setattr(embedded_generator.EmbeddedGenerator, "_run", steered(token))
            found.append(await backend.go_on(CompletionRequest(IDS, Sampling(max_tokens=2))))
        return found

    started, ended = with_engine(use)
    assert (started.text, started.finish_reason) == ("<|im_start|>" * 2, "length")
    assert (ended.text, ended.finish_reason) == ("", "stop")


@pytest.mark.embedded
@pytest.mark.parametrize("meanwhile", ["it loads", "it writes"])
def test_a_completion_that_nobody_waits_for_ends(meanwhile, monkeypatch: pytest.MonkeyPatch):
    run, hear = embedded_generator.EmbeddedGenerator._run, embedded_generator.Completion.hear
    pieces: list[Any] = []

    def endless(self, what, body, cancelled):
        return run(self, what, {**body, "ignore_eos": True}, cancelled)

    def counted(self, chunk):
        pieces.append(chunk)
        hear(self, chunk)

    monkeypatch.setattr(embedded_generator.EmbeddedGenerator, "_run", endless)
    monkeypatch.setattr(embedded_generator.Completion, "hear", counted)

    async def use(backend):
        if meanwhile == "it writes":
            await backend.ping()
        long = asyncio.create_task(backend.go_on(CompletionRequest(IDS, Sampling(max_tokens=400))))
        await asyncio.sleep(0.1 if meanwhile == "it loads" else 0.5)
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        reply = await backend.go_on(CompletionRequest(IDS))
        while any(backend._engine._busy):  # noqa: ASYNC110 - the engine tells nobody when it ends
            await asyncio.sleep(0.02)
        return reply

    assert with_engine(use).text.startswith(" Paris")
    assert len(pieces) < 300
    assert not embedded_generator._shared


@pytest.mark.embedded
def test_the_served_model_is_a_policy_over_http():
    async def use(url: str) -> tuple[ChatReply, ModelError, ModelError]:
        options = {"base_url": (url,)}
        backend = connect(
            ModelSpec("w", "generator", "openai", EMBEDDED_GENERATOR, "s", Sampling(0.0), options=options)
        )
        try:
            reply = await backend.go_on(CompletionRequest(IDS, Sampling(max_tokens=6)))
            with pytest.raises(PermanentError, match="invalid tokens") as told:
                await backend.go_on(CompletionRequest((10**6,)))
            with pytest.raises(PermanentError, match="too long: it has 5000 tokens") as long:
                await backend.go_on(CompletionRequest((504,) * 5000))
        finally:
            await backend.close()
        return reply, told.value, long.value

    with EmbeddedServer() as server:
        reply, refusal, too_long = asyncio.run(use(server.url))
    assert reply.text.startswith(" Paris")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.finish_reason) == (5, 6, "length")
    assert (refusal.code, too_long.code) == ("L004", "R008")
