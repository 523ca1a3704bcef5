"""Budget forcing: thinking that is too long is closed from outside, and nothing is taken for what it is not.

The scripted server says each time what a real one would at that point; what it was asked is part of the story. The laws are
about a model whose tokens are its characters.
"""

# ruff: noqa: SIM117 - a server, and inside it the error that is expected of it, read best as two lines
from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import ScriptedServer, answer

from dataforge.errors import PermanentError, ProjectError
from dataforge.models import connect, embedded_generator, forcing
from dataforge.models.binding import EMBEDDED_GENERATOR, bind
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.models.replay import record
from dataforge.models.thinking import split_thinking
from dataforge.models.weights import engine
from dataforge.project import load_project
from schemas.chat import Message

HELLO = Message(role="user", content="How many legs?")


def says(text: str | None, finish: str = "stop", prompt: int = 20, tokens: int = 8, **message: Any):
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    usage = {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}
    return answer(200, json.dumps({"model": "m", "choices": [choice], "usage": usage}))


def ask(
    server: ScriptedServer, budget: int | None = 8, *, backend: str = "openai", **request: Any
) -> ChatReply:
    async def run() -> ChatReply:
        options = {"base_url": (server.url,), "retry_base_s": 0.01}
        spec = ModelSpec("w", "generator", backend, "m", "m", options=options)
        opened = connect(spec)
        sampling = request.pop("sampling", Sampling(max_tokens=100, temperature=0.5, seed=3))
        asked = ChatRequest((HELLO,), Sampling(**{**fields(sampling), "thinking_budget": budget}), **request)
        try:
            return await opened.complete(asked)
        finally:
            await opened.close()

    return asyncio.run(run())


def fields(sampling: Sampling) -> dict[str, Any]:
    return {name: getattr(sampling, name) for name in ("temperature", "top_p", "max_tokens", "stop", "seed")}


# ---- one call is enough


def test_thinking_that_is_closed_in_time_is_left_alone():
    with ScriptedServer([says("<think>\nfour\n</think>\n\nFour.", tokens=7)]) as server:
        reply = ask(server)
    [sent] = server.requests
    assert sent["max_tokens"] == 8
    assert "thinking_budget" not in sent
    assert "continue_final_message" not in sent
    assert (reply.reasoning, reply.text, reply.forced, reply.attempts) == ("four", "Four.", False, 1)


@pytest.mark.parametrize("thinking", ["auto", "on", "off"])
def test_a_model_that_never_thinks_and_ends_is_left_alone(thinking):
    with ScriptedServer([says("Four.", tokens=3)]) as server:
        reply = ask(server, thinking=thinking)
    assert len(server.requests) == 1
    assert (reply.reasoning, reply.text, reply.forced) == (None, "Four.", False)


def test_a_budget_that_the_whole_answer_cannot_reach_is_no_budget():
    with ScriptedServer([says("<think>\nlegs", "length", tokens=5)]) as server:
        reply = ask(server, 8, sampling=Sampling(max_tokens=5))
    assert [sent["max_tokens"] for sent in server.requests] == [5]
    assert (reply.reasoning, reply.text, reply.forced, reply.finish_reason) == ("legs", "", False, "length")


def test_a_context_that_is_full_before_the_budget_leaves_nothing_to_force():
    with ScriptedServer([says("<think>\nlegs", "length", tokens=6)]) as server:
        reply = ask(server, 8)
    assert len(server.requests) == 1
    assert (reply.forced, reply.finish_reason) == (False, "length")


# ---- two calls


@pytest.mark.parametrize("backend", ["openai", "openai_sdk"])
def test_thinking_that_is_cut_off_is_closed_and_the_answer_asked_for(backend):
    script = [
        says("<think>\nDogs have four, and ", "length"),
        says("\n\nFour.", "stop", prompt=31, tokens=4),
    ]
    with ScriptedServer(script) as server:
        reply = ask(server, backend=backend, thinking="on")
    first, second = server.requests
    assert second["messages"] == [
        *first["messages"],
        {"role": "assistant", "content": "<think>\nDogs have four, and\n</think>"},
    ]
    assert (second["continue_final_message"], second["add_generation_prompt"]) == (True, False)
    assert (first["max_tokens"], second["max_tokens"]) == (8, 92)
    for kept in ("temperature", "seed", "model", "chat_template_kwargs"):
        assert first[kept] == second[kept]
    assert (reply.reasoning, reply.text, reply.forced) == ("Dogs have four, and", "Four.", True)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.attempts) == (51, 12, 2)
    assert reply.finish_reason == "stop"


def test_thinking_that_the_server_gives_apart_is_closed_too():
    script = [
        says(None, "length", reasoning_content="Dogs have four, and"),
        says("Four.", prompt=31, tokens=3),
    ]
    with ScriptedServer(script) as server:
        reply = ask(server, sampling=Sampling())
    assert server.requests[1]["messages"][-1]["content"] == "<think>\nDogs have four, and\n</think>"
    assert "max_tokens" not in server.requests[1]
    assert (reply.reasoning, reply.text, reply.forced) == ("Dogs have four, and", "Four.", True)


def test_an_answer_that_is_cut_off_is_gone_on_with_and_nothing_is_forced():
    script = [
        says("<think>\nfour\n</think>\n\nIt has ", "length"),
        says(" four legs", "length", prompt=30, tokens=92),
    ]
    with ScriptedServer(script) as server:
        reply = ask(server)
    assert server.requests[1]["messages"][-1]["content"] == "<think>\nfour\n</think>\n\nIt has"
    assert (reply.reasoning, reply.text, reply.forced) == ("four", "It has four legs", False)
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 100)


def test_an_answer_without_thinking_is_gone_on_with():
    with ScriptedServer([says("It has ", "length"), says(" four legs.\n", prompt=29)]) as server:
        reply = ask(server)
    assert server.requests[1]["messages"][-1]["content"] == "It has"
    assert (reply.reasoning, reply.text, reply.forced) == (None, "It has four legs.\n", False)


@pytest.mark.parametrize("said", ["", " \n\n", None])
def test_white_space_is_nothing_to_go_on_with(said):
    with ScriptedServer([says(said, "length")]) as server:
        reply = ask(server)
    assert len(server.requests) == 1
    assert (reply.text.strip(), reply.forced, reply.finish_reason) == ("", False, "length")


def test_with_thinking_on_a_tag_may_have_been_opened_in_the_prompt():
    with ScriptedServer([says("Dogs have four", "length"), says("Four.", prompt=31)]) as server:
        reply = ask(server, thinking="on")
    assert server.requests[1]["messages"][-1]["content"] == "<think>\nDogs have four\n</think>"
    assert (reply.reasoning, reply.text, reply.forced) == ("Dogs have four", "Four.", True)


@pytest.mark.parametrize("half", ["<", "</", "</t", "</think"])
def test_a_closing_tag_that_the_budget_cuts_is_not_written_twice(half):
    with ScriptedServer([says(f"<think>\nfour\n{half}", "length"), says("Four.", prompt=30)]) as server:
        reply = ask(server)
    assert server.requests[1]["messages"][-1]["content"] == "<think>\nfour\n</think>"
    assert reply.reasoning == "four"


def test_an_answer_with_a_stray_tag_is_given_as_it_came():
    """The model thought on after its thinking was closed. That is its doing, and shows."""
    with ScriptedServer(
        [says("<think>\nfour", "length"), says("or three</think>Four.", prompt=31)]
    ) as server:
        reply = ask(server)
    assert (reply.text, reply.reasoning, reply.forced) == ("or three</think>Four.", "four", True)


def test_a_schema_holds_for_an_answer_that_has_not_begun():
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    with ScriptedServer([says("<think>\nfour", "length"), says("{}", prompt=30)]) as server:
        assert ask(server, schema=schema).constrained
    assert all("response_format" in sent for sent in server.requests)
    with ScriptedServer([says("<think>\nfour</think>{", "length"), says("}", prompt=30)]) as server:
        reply = ask(server, schema=schema)
    assert ["response_format" in sent for sent in server.requests] == [True, False]
    assert (reply.text, reply.constrained) == ("{}", False)


# ---- a server that does not go on


@pytest.mark.parametrize(
    "second",
    [
        says("<think>\nAnew: four\n</think>\n\nFour.", prompt=31),
        says("\n<think>\nAnew: four", "length", prompt=31),
        says("Four.", prompt=31, reasoning_content="Anew: four"),
        says(None, prompt=31, reasoning_content="Four."),
    ],
)
def test_a_server_that_thinks_anew_is_an_error(second):
    with ScriptedServer([says("<think>\nDogs have four", "length"), second]) as server:
        with pytest.raises(PermanentError, match="thinks anew") as told:
            ask(server)
    assert "vLLM" in told.value.help


def test_a_template_that_drops_the_thinking_is_an_error():
    script = [says("<think>\nDogs have four", "length", prompt=20), says("Four.", prompt=21)]
    with ScriptedServer(script) as server:
        with pytest.raises(PermanentError, match=r"left the thinking out.* 21 tokens, after 20 and 8"):
            ask(server)


def test_a_server_that_counts_nothing_is_believed():
    script = [
        says("<think>\nDogs have four", "length", prompt=0, tokens=0),
        says("Four.", prompt=0, tokens=0),
    ]
    with ScriptedServer(script) as server:
        assert ask(server).text == "Four."


# ---- where a budget is written, and what it is part of


def table(folder: Path, extra: str) -> ModelSpec:
    text = f'[models.writer]\nbackend = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n{extra}\n'
    (folder / "dataforge.toml").write_text(text)
    return bind([("writer", "generator", {})], load_project(folder), None, {})["writer"]


def test_a_binding_s_budget_holds_for_requests_that_say_nothing(tmp_path: Path):
    spec = table(tmp_path, "thinking_budget = 8")
    assert spec.sampling.thinking_budget == 8
    script = [says("<think>\nfour", "length"), says("Four.", prompt=30)]
    with ScriptedServer(script) as server:

        async def run() -> ChatReply:
            backend = connect(
                ModelSpec(
                    "w", "generator", "openai", "m", "m", spec.sampling, options={"base_url": (server.url,)}
                )
            )
            try:
                return await backend.complete(ChatRequest((HELLO,)))
            finally:
                await backend.close()

        assert asyncio.run(run()).forced
    assert [sent.get("max_tokens") for sent in server.requests] == [8, None]


@pytest.mark.parametrize("wrong", ["0", "-1", '"8"', "2.5"])
def test_a_budget_is_a_count_of_tokens(tmp_path: Path, wrong: str):
    with pytest.raises(ProjectError, match="thinking_budget"):
        table(tmp_path, f"thinking_budget = {wrong}")


def test_calls_without_a_budget_keep_their_keys():
    plain = ChatRequest((HELLO,), Sampling(temperature=0.5))
    assert plain.key("w") == ChatRequest((HELLO,), Sampling(temperature=0.5, thinking_budget=None)).key("w")
    assert Sampling().listed() == [None, None, None, [], None]
    budgets = [ChatRequest((HELLO,), Sampling(thinking_budget=n)).key("w") for n in (None, 1, 2)]
    assert len(set(budgets)) == 3


def test_batches_cannot_keep_to_a_budget(tmp_path: Path):
    async def run() -> None:
        options = {"base_url": ("http://127.0.0.1:9/v1",), "state_folder": tmp_path}
        backend = connect(ModelSpec("w", "generator", "openai_batch", "m", "m", options=options))
        try:
            with pytest.raises(PermanentError, match="batches"):
                await backend.complete(ChatRequest((HELLO,), Sampling(thinking_budget=8)))
        finally:
            await backend.close()

    asyncio.run(run())
    spec = ModelSpec(
        "w", "generator", "openai_batch", "m", "m", Sampling(thinking_budget=8), origin="here.toml"
    )
    with pytest.raises(ProjectError, match=r"here\.toml gives `w` a `thinking_budget`, and batches cannot"):
        connect(spec)


def test_a_recording_says_what_was_forced(tmp_path: Path):
    file = tmp_path / "said.jsonl"
    request = ChatRequest((HELLO,), Sampling(thinking_budget=8))
    reply = ChatReply("Four.", "four", forced=True)
    file.write_text(record(request, reply) + "\n")
    spec = ModelSpec("w", "generator", "replay", "m", "m", options={"path": str(file)})
    assert asyncio.run(connect(spec).complete(request)).forced


# ---- laws

LETTERS = st.text("ab .\n", max_size=30)


class Model:
    """One that has made up its mind: it thinks this and says that, a character a token. Told what it began, it goes on."""

    def __init__(self, thinking: str | None, said: str) -> None:
        self.whole = said if thinking is None else f"<think>\n{thinking}\n</think>\n\n{said}"
        self.said = said
        self.calls: list[ChatRequest] = []

    async def __call__(self, request: ChatRequest) -> ChatReply:
        self.calls.append(request)
        assert request.sampling.thinking_budget is None
        begun = request.messages[-1].content if request.continues else ""
        rest = self._rest(begun)
        most = request.sampling.max_tokens
        text = rest if most is None else rest[:most]
        finish = "stop" if len(text) == len(rest) and (most is None or len(rest) < most) else "length"
        answer, reasoning = (text, None) if request.continues else split_thinking(text)
        return ChatReply(answer, reasoning, finish, False, 10 + len(begun), len(text), latency_s=2.0)

    def _rest(self, begun: str) -> str:
        """What is left to say. White space at its borders may have been lost on the way; thinking may have been cut."""
        known = "".join(begun.split())
        for end in range(len(self.whole) + 1):
            if "".join(self.whole[:end].split()) == known:
                return self.whole[end:]
        return "\n\n" + self.said


@given(st.none() | LETTERS, LETTERS, st.integers(1, 90), st.none() | st.integers(1, 120))
def test_forcing_changes_nothing_that_fits_and_keeps_to_its_bounds(thinking, said, budget, most):
    model = Model(thinking, said)
    request = ChatRequest((HELLO,), Sampling(max_tokens=most, thinking_budget=budget))
    reply = asyncio.run(forcing.complete(model, request))
    assert len(model.calls) in {1, 2}
    assert (reply.attempts, reply.latency_s) == (len(model.calls), 2.0 * len(model.calls))
    assert most is None or reply.completion_tokens <= most
    assert len(model.calls) == 1 or model.calls[0].sampling.max_tokens == budget
    if reply.forced:
        assert thinking is not None
        assert thinking.strip().startswith(reply.reasoning)
        assert len(reply.reasoning) <= budget
    elif most is None and thinking is not None and len(model.whole) < budget:
        assert (reply.text, reply.reasoning) == split_thinking(model.whole)


@given(LETTERS, LETTERS, st.integers(20, 90))
def test_where_nothing_bounds_the_answer_it_comes_whole(thinking, said, budget):
    model = Model(thinking, said)
    request = ChatRequest((HELLO,), Sampling(thinking_budget=budget))
    reply = asyncio.run(forcing.complete(model, request))
    assert "".join(reply.text.split()) == "".join(said.split())
    if not reply.forced:
        assert reply.reasoning == thinking.strip()


# ---- the engine in this process

KNOWS_THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "<think>\n{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def with_engine(use, monkeypatch: pytest.MonkeyPatch, template: str | None = None):
    llama = engine("xllamacpp")

    def server(params: Any) -> Any:
        if template is not None:
            params.chat_template = template
        return llama.Server(params)

    stand_in = SimpleNamespace(CommonParams=llama.CommonParams, Server=server)
    monkeypatch.setattr(embedded_generator, "engine", lambda name: stand_in)
    monkeypatch.setattr(embedded_generator, "_cores", lambda: 1)

    async def run():
        sampling = Sampling(temperature=0.0, max_tokens=40)
        backend = connect(ModelSpec("w", "generator", "local", EMBEDDED_GENERATOR, "s", sampling))
        try:
            return await use(backend)
        finally:
            await backend.close()

    return asyncio.run(run())


def steer(monkeypatch: pytest.MonkeyPatch, grammar: str, bodies: list[Any]) -> None:
    """Have the first answer of each chat keep to a grammar; note what the engine is asked."""
    run = embedded_generator.EmbeddedGenerator._run

    def made(self, what, body, cancelled):
        bodies.append(body)
        kept = {} if body.get("continue_final_message") else {"grammar": grammar}
        return run(self, what, {**body, **kept}, cancelled)

    monkeypatch.setattr(embedded_generator.EmbeddedGenerator, "_run", made)


THINKS = 'root ::= "<think>\\nIt is known.\\n</think>\\n\\nParis"'
THINKS_LONG = (
    'root ::= "<think>\\nIt is known that the capital of France is" " known"+ "\\n</think>\\n\\nParis"'
)
CAPITAL = Message(role="user", content="What is the capital of France?")


@pytest.mark.embedded
@pytest.mark.parametrize("template", [None, KNOWS_THINKING])
def test_the_engine_gives_thinking_apart_and_can_be_forced(monkeypatch, template):
    bodies: list[Any] = []

    async def use(backend):
        steer(monkeypatch, THINKS, bodies)
        closed = await backend.complete(ChatRequest((CAPITAL,), thinking="on"))
        monkeypatch.undo()
        steer(monkeypatch, THINKS_LONG, bodies)
        forced = await backend.complete(ChatRequest((CAPITAL,), Sampling(thinking_budget=14), thinking="on"))
        return closed, forced

    closed, forced = with_engine(use, monkeypatch, template)
    assert (closed.reasoning, closed.text, closed.forced) == ("It is known.", "Paris", False)
    assert forced.forced
    assert "It is known that the capital of France is".startswith(forced.reasoning[:30])
    assert forced.text
    assert "<think>" not in forced.text
    assert all(body["chat_template_kwargs"] == {"enable_thinking": True, "thinking": True} for body in bodies)
    assert bodies[1]["max_tokens"] == 14
    # The engine is told the thinking in the form that it gave it in: in the other one a template would open another block.
    first, second = bodies[1], bodies[2]
    assert second["messages"][:-1] == first["messages"]
    begun = second["messages"][-1]
    if template is None:
        assert begun["content"] == f"<think>\n{forced.reasoning}\n</think>"
    else:
        assert begun == {"role": "assistant", "reasoning_content": forced.reasoning, "content": "\n"}
    # Both prompts, the thinking (in fewer tokens than a grammar made of it), and a tag or two more.
    grown = forced.prompt_tokens - 2 * closed.prompt_tokens
    assert 7 <= grown <= 14 + 8


@pytest.mark.embedded
def test_the_engine_s_template_hears_that_thinking_is_off(monkeypatch):
    async def use(backend):
        return [
            (
                await backend.complete(ChatRequest((CAPITAL,), Sampling(max_tokens=1), thinking=mode))
            ).prompt_tokens
            for mode in ("auto", "on", "off")
        ]

    auto, on, off = with_engine(use, monkeypatch, KNOWS_THINKING)
    assert auto == on < off
