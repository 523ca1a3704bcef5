"""Tokens and masks of scored groups by the trainer's chat templates: the same that training would see."""

from __future__ import annotations

from typing import Any

import pytest

from dataforge.cli._tokenising import Tokeniser
from schemas.chat import Message
from trainer.config import DataConfig, ModelConfig
from trainer.masks import Renderer
from trainer.pretrained import load_tokenizer
from trainer.samples import Conversation, Notes


@pytest.fixture(scope="module")
def tiny() -> Tokeniser:
    return Tokeniser("tiny")


def talk(**answer: Any) -> list[Message]:
    return [Message(role="user", content="hi"), Message(role="assistant", train=True, **answer)]


def said(tokeniser: Tokeniser, ended: bool, **answer: Any) -> str:
    made = tokeniser(talk(**answer), (), ended)
    assert len(made.tokens) == len(made.masks)
    assert all(mask in (-100, token) for token, mask in zip(made.tokens, made.masks, strict=True))
    return tokeniser._renderer.text([mask for mask in made.masks if mask != -100])


def test_tokens_are_those_that_training_would_see(tiny: Tokeniser):
    renderer = Renderer(load_tokenizer(ModelConfig(tokenizer="tiny")), "auto", DataConfig())
    (sample,) = renderer.samples(Conversation("row", tuple(talk(content="yo"))), Notes())
    made = tiny(talk(content="yo"), (), True)
    assert made.tokens == sample.tokens.tolist()
    assert [mask != -100 for mask in made.masks] == sample.trained.tolist()


@pytest.mark.parametrize(
    ("answer", "whole", "cut"),
    [
        ({"content": "yo"}, "yo<|im_end|>", "yo"),
        ({"content": "a <|im_end|>"}, "a <|im_end|><|im_end|>", "a <|im_end|>"),
        (
            {"content": "yo", "reasoning_content": "hm"},
            "<think>\nhm\n</think>\n\nyo<|im_end|>",
            "<think>\nhm\n</think>\n\nyo",
        ),
        (
            {"content": "", "reasoning_content": "hm so"},
            "<think>\nhm so\n</think>\n\n<|im_end|>",
            "<think>\nhm so",
        ),
        ({"content": "<|im_end|>"}, "<|im_end|><|im_end|>", "<|im_end|>"),
        ({"content": ""}, "<|im_end|>", ""),
    ],
)
def test_what_was_cut_off_ends_where_the_model_did(tiny: Tokeniser, answer: Any, whole: str, cut: str):
    assert said(tiny, True, **answer) == whole
    assert said(tiny, False, **answer) == cut
