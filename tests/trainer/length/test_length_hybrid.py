"""Hybrid mode: each kind of sample is rendered in its mode, by every shipped template, trained tokens included.

What a server would render for the same request is asked of transformers, with the flags that a client sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.chat import SHIPPED
from trainer.config import DataConfig
from trainer.masks import Renderer
from trainer.samples import Conversation, Notes, Sample
from trainer.tiny import tiny_tokenizer

LLAMA = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
TEMPLATES = sorted(SHIPPED)
WITH_TOOLS = ["hermes4", "hermes4-14b", "qwen2.5", "qwen3"]
BY_SYSTEM_PROMPT = ["hermes4", "hermes4-14b"]
TWO_PROMPTS = [*BY_SYSTEM_PROMPT, "qwen3"]
"""Templates whose prompt says the mode. In the others one prompt is for both."""

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
DEEP = (
    "You are a deep thinking AI, you may use extremely long chains of thought to deeply consider the problem and "
    "deliberate with yourself via systematic reasoning processes to help come to a correct solution prior to answering. "
    "You should enclose your thoughts and internal monologue inside <think> </think> tags, and then provide your solution "
    "or response to the problem."
)
EMPTY = "<think>\n\n</think>\n\n"


@cache
def renderer(family: str, **data: Any) -> Renderer:
    tokenizer = tiny_tokenizer(template=None)
    if "eot_id" in SHIPPED[family].read_text(encoding="utf-8"):
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in LLAMA])
        tokenizer.bos_token, tokenizer.eos_token = LLAMA[0], LLAMA[3]
    return Renderer(tokenizer, family, DataConfig(**data))


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def says(text: str, thoughts: str | None = None, *, train: bool = True) -> Message:
    return Message(role="assistant", content=text, reasoning_content=thoughts, train=train)


def calls(thoughts: str | None = None) -> Message:
    return says("", thoughts).model_copy(update={"tool_calls": [CALL]})


GIVES = Message(role="tool", content="2", tool_call_id="1")


def talk(*messages: Message, **fields: Any) -> Conversation:
    return Conversation("row-7", messages, **fields)


def at_inference(rendering: Renderer, told: Conversation, before: Sequence[Message], *, on: bool) -> str:
    """The prompt of a chat request. Thinking is in the content where the template reads it nowhere else."""
    turns = [message.model_dump(exclude={"train"}, exclude_none=True) for message in before]
    if rendering.template_name != "qwen3":
        for turn in turns:
            if thoughts := turn.pop("reasoning_content", None):
                turn["content"] = f"<think>\n{thoughts}\n</think>\n\n{turn['content']}"
    asked: str = rendering.tokenizer.apply_chat_template(
        turns,
        tools=list(told.tools) or None,
        chat_template=rendering.template,
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=on,
        thinking=on,
    )
    return asked


def trained(rendering: Renderer, sample: Sample) -> list[tuple[str, str]]:
    """What is trained, run by run, each with all that stands before it."""
    borders = np.flatnonzero(np.diff(sample.trained.astype(int), prepend=0, append=0)).reshape(-1, 2)
    decode = rendering.tokenizer.decode
    return [(decode(sample.tokens[begin:end]), decode(sample.tokens[:begin])) for begin, end in borders]


ON, OFF = says("Yo", "hm\nhm"), says("Yo")
KINDS: dict[str, tuple[bool, Conversation]] = {
    "on": (True, talk(user("Hi"), ON, thinking="on")),
    "off": (False, talk(user("Hi"), OFF, thinking="off")),
    "silent, thinks": (True, talk(user("Hi"), ON)),
    "silent, does not think": (False, talk(user("Hi"), OFF)),
    "on, with a system prompt": (True, talk(system("Be brief."), user("Hi"), ON, thinking="on")),
    "off, with a system prompt": (False, talk(system("Be brief."), user("Hi"), OFF, thinking="off")),
    "on, with history": (True, talk(user("A"), says("B", "b"), user("Hi"), ON, thinking="on")),
    "off, with history": (False, talk(user("A"), says("B"), user("Hi"), OFF, thinking="off")),
    "silent, with history": (True, talk(user("A"), says("B", "b"), user("Hi"), ON)),
    "silent, with a history of the other mode": (True, talk(user("A"), says("B"), user("Hi"), ON)),
    "silent, off, with a history of the other mode": (
        False,
        talk(user("A"), says("B", "b"), user("Hi"), OFF),
    ),
}
TOOL_KINDS = {
    "on, with tools": (True, talk(user("Sum?"), calls("so"), GIVES, ON, tools=(TOOL,), thinking="on")),
    "off, with tools": (False, talk(user("Sum?"), calls(), GIVES, OFF, tools=(TOOL,), thinking="off")),
    "silent, with tools": (True, talk(user("Sum?"), calls("so"), GIVES, ON, tools=(TOOL,))),
    "silent, with tools, does not think": (False, talk(user("Sum?"), calls(), GIVES, OFF, tools=(TOOL,))),
}


EACH = [
    *((family, kind) for family in TEMPLATES for kind in KINDS),
    *((family, kind) for family in WITH_TOOLS for kind in TOOL_KINDS),
]
"""The other templates know no tools beside text: with them such rows are errors."""


@pytest.mark.parametrize(("family", "kind"), EACH)
def test_each_kind_of_sample_is_rendered_in_its_mode(family: str, kind: str) -> None:
    rendering = renderer(family)
    on, told = {**KINDS, **TOOL_KINDS}[kind]
    (sample,) = rendering.samples(told, Notes())
    said, before = trained(rendering, sample)[-1]
    assert before == at_inference(rendering, told, told.messages[:-1], on=on)
    end = rendering.tokenizer.eos_token
    assert said == ("<think>\nhm\nhm\n</think>\n\n" if on else "") + "Yo" + end
    assert sample.kind == ("final-thinking" if on else "final")
    # An earlier turn is trained behind the prompt of its own mode, or not at all.
    first = next(n for n, message in enumerate(told.messages) if message.role == "assistant")
    for said, before in trained(rendering, sample)[:-1]:
        mode = bool(told.messages[first].reasoning_content)
        assert before == at_inference(rendering, told, told.messages[:first], on=mode)
        assert ("<think>\n" in said) == mode


@pytest.mark.parametrize(
    ("family", "kind"), [(f, kind) for f, kind in EACH if {**KINDS, **TOOL_KINDS}[kind][0]]
)
def test_length_rows_are_rendered_with_thinking_on(family: str, kind: str) -> None:
    rendering = renderer(family)
    _, told = {**KINDS, **TOOL_KINDS}[kind]
    fields = {"tools": told.tools, "thinking": told.thinking, "mask": "tag", "budget": len("hm\nhm")}
    (sample,) = rendering.samples(talk(*told.messages, **fields), Notes())
    end = rendering.tokenizer.eos_token
    (tag, before), (last, _) = trained(rendering, sample)
    asked = at_inference(rendering, told, told.messages[:-1], on=True)
    assert (tag, last) == ("</think>", end)
    assert before == asked + "<think>\nhm\nhm\n"
    assert rendering.tokenizer.decode(sample.tokens) == f"{before}</think>\n\nYo{end}"
    assert sample.kind == "final-tag"


@pytest.mark.parametrize("family", BY_SYSTEM_PROMPT)
def test_the_flag_and_the_system_prompt_say_the_same(family: str) -> None:
    by_flag, by_prompt = talk(user("Hi"), ON, thinking="on"), talk(system(DEEP), user("Hi"), ON)
    (one,), (other,) = (renderer(family).samples(told, Notes()) for told in (by_flag, by_prompt))
    assert one.tokens.tolist() == other.tokens.tolist()
    assert one.trained.tolist() == other.trained.tolist()
    assert one.kind == other.kind == "final-thinking"
    (off,) = renderer(family).samples(KINDS["off"][1], Notes())
    assert DEEP not in renderer(family).tokenizer.decode(off.tokens)


@pytest.mark.parametrize(
    "told",
    [
        talk(user("A"), says("First"), user("Hi"), says("Last", "hm")),
        talk(user("A"), says("First", "hm"), user("Hi"), says("Last")),
    ],
    ids=["thinks at last", "thinks at first"],
)
@pytest.mark.parametrize("family", TEMPLATES)
def test_a_turn_of_the_other_mode_is_trained_only_where_both_modes_have_one_prompt(
    family: str, told: Conversation
) -> None:
    rendering, notes = renderer(family), Notes()
    (sample,) = rendering.samples(told, notes)
    said = [text for text, _ in trained(rendering, sample)]
    assert len(said) == (1 if family in TWO_PROMPTS else 2)
    assert "Last" in said[-1]
    left_out = notes.counts.get("turns_of_other_mode", 0) + notes.counts.get("untrained_turns", 0)
    assert left_out == (1 if family in TWO_PROMPTS else 0)
    # Split up, each turn has a sample of its own, in its own mode.
    samples = renderer(family, history="split").samples(told, Notes())
    assert sorted(sample.kind for sample in samples) == ["final", "final-thinking"]
    for message, sample in zip((told.messages[1], told.messages[3]), samples, strict=True):
        ((text, _),) = trained(rendering, sample)
        assert ("<think>" in text, message.content in text) == (bool(message.reasoning_content), True)


@pytest.mark.parametrize("family", BY_SYSTEM_PROMPT)
def test_a_row_that_says_its_mode_or_its_system_prompt_trains_all_its_turns(family: str) -> None:
    turns = (user("A"), says("First"), user("Hi"), says("Last", "hm"))
    for told in (talk(*turns, thinking="on"), talk(system("Be brief."), *turns)):
        (sample,) = renderer(family).samples(told, Notes())
        assert len(trained(renderer(family), sample)) == 2


def test_with_thinking_off_the_empty_block_of_qwen3_is_part_of_the_prompt() -> None:
    (sample,) = renderer("qwen3").samples(KINDS["off"][1], Notes())
    ((said, before),) = trained(renderer("qwen3"), sample)
    assert before.endswith(f"assistant\n{EMPTY}")
    assert "think" not in said


@pytest.mark.parametrize("fields", [{}, {"mask": "tag"}, {"mask": "standard"}])
@pytest.mark.parametrize("family", TEMPLATES)
def test_a_row_that_is_marked_off_and_thinks_is_an_error(family: str, fields: dict[str, str]) -> None:
    with pytest.raises(InputError, match="thinking: off") as error:
        renderer(family).samples(talk(user("Hi"), ON, thinking="off", **fields), Notes())
    assert error.value.code == ("L006" if fields else "T005")
