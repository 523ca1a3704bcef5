"""Recorded calls: found by key, by prompt, by part of a prompt, and never guessed."""

from __future__ import annotations

import asyncio

import pytest

from dataforge.errors import PermanentError, ProjectError
from dataforge.models import connect
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.models.replay import Recorder, Replay, read_recordings
from schemas.chat import Message

LINES = """
# by hand
{"prompt": "What is the capital of France?", "text": "Paris.", "reasoning": "Easy."}
{"contains": "one question", "texts": ["Who?", "When?"]}
{"contains": "question", "text": "Why?"}
"""


def request(text, **kwargs):
    return ChatRequest(
        (Message(role="system", content="one question"), Message(role="user", content=text)), **kwargs
    )


def spec(path, **kwargs):
    return ModelSpec(
        "writer", "generator", "replay", "replay-writer", "w", options={"path": str(path)}, **kwargs
    )


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "recorded.jsonl"
    path.write_text(LINES, encoding="utf-8")
    return connect(spec(path))


def ask(backend, *args, **kwargs) -> ChatReply:
    return asyncio.run(backend.complete(request(*args, **kwargs)))


def test_lines_written_by_hand_answer(recorded):
    reply = ask(recorded, "What is the capital of France?")
    assert (reply.text, reply.reasoning, reply.model) == ("Paris.", "Easy.", "replay-writer")
    assert ask(recorded, "A question please").text == "Why?"


def test_each_sample_has_its_own_text(recorded):
    texts = [ask(recorded, "Ask one question.", attempt=n).text for n in range(3)]
    assert texts == ["Who?", "When?", "Who?"]


def test_a_call_without_a_recording_is_an_error_that_shows_the_prompt(recorded):
    with pytest.raises(
        PermanentError, match=r'no recording in .*recorded\.jsonl for the prompt "Tell me'
    ) as caught:
        ask(recorded, "Tell me more\n" + "x" * 500)
    assert len(caught.value.message) < 600
    assert "contains" in caught.value.help


def test_what_was_recorded_is_replayed_exactly(tmp_path):
    path = tmp_path / "calls.jsonl"
    original = ChatReply("Ä “quoted”\nanswer", "Hm.", "length", True, 7, 9, 1.5, "big")

    class Model:
        async def complete(self, request):
            return original

        async def ping(self):
            return "big"

        async def close(self):
            pass

    recorder = Recorder(Model(), path)
    asyncio.run(recorder.complete(request("Hi", sampling=Sampling(temperature=0.3))))
    replay = connect(spec(path))
    again = ask(replay, "Hi", sampling=Sampling(temperature=0.3))
    assert again == ChatReply("Ä “quoted”\nanswer", "Hm.", "length", True, 7, 9, 0.0, "big")
    with pytest.raises(PermanentError):
        ask(replay, "Hi", sampling=Sampling(temperature=0.4))


def test_a_journal_answers_by_key(tmp_path):
    model = spec("unused")
    replay = Replay.of_journal(model, {request("Hi").key("w"): ChatReply("Hello.")})
    assert ask(replay, "Hi").text == "Hello."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "1: is no JSON"),
        ("[]", "is no JSON object"),
        ('{"text": "x"}', "exactly one of key, prompt, contains"),
        ('{"key": "a", "prompt": "b", "text": "x"}', "exactly one"),
        ('{"prompt": "b"}', "needs a `text`"),
        ('{"prompt": "b", "texts": []}', "needs a `text`"),
        ('{"prompt": "b", "text": "x", "txt": 1}', "unknown key `txt`"),
        ('{"prompt": "b", "text": "x", "prompt_tokens": "7"}', "`prompt_tokens` has the wrong type"),
    ],
)
def test_a_line_that_is_no_recording_is_explained(tmp_path, line, told):
    path = tmp_path / "bad.jsonl"
    path.write_text(line)
    with pytest.raises(ProjectError, match=told):
        list(read_recordings(path))


def test_a_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(ProjectError, match=r"none\.jsonl: recordings cannot be read"):
        connect(spec(tmp_path / "none.jsonl"))
    with pytest.raises(ProjectError, match="names no file"):
        connect(ModelSpec("writer", "generator", "replay", "m", "m"))
