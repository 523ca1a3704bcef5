"""Weights out: GGUF files that llama.cpp answers from as transformers does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from dataforge.errors import InputError
from dataforge.models import embedded_generator
from dataforge.models.weights import generator_file
from trainer.chat import without_markers
from trainer.config import CheckpointConfig, Config, DataConfig, ModelConfig
from trainer.gguf import check_gguf, write_gguf
from trainer.pretrained import check_match, embedded_folder, load_model, load_tokenizer
from trainer.tiny import CHATML, tiny_model, tiny_tokenizer
from trainer.train import train

QUESTIONS = (
    "What is the capital of Germany?",
    "Write one sentence about the sea in 1234.",
    "  Häuser,\n\n2²=4?! ",
)


def saved(folder: Path, family: Any = "llama", **changes: Any) -> Path:
    tiny_model(family, initializer_range=0.3, **changes).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@contextmanager
def running(file: Path) -> Iterator[Any]:
    """llama.cpp's own server object: unlike the backend, it tells tokens and probabilities."""
    engine = embedded_generator.EmbeddedGenerator(file, engines=1)
    try:
        yield engine._engines[0]
    finally:
        engine.close()


def greedy(model: Any, tokens: list[int], count: int) -> list[int]:
    asked = torch.tensor([tokens])
    out = model.generate(asked, attention_mask=torch.ones_like(asked), do_sample=False, max_new_tokens=count)
    return [int(token) for token in out[0, len(tokens) :]]


@pytest.mark.embedded
@pytest.mark.parametrize("family", ["llama", "qwen3", "smollm2"])
def test_probabilities_are_those_of_transformers(family: Any, tmp_path: Path) -> None:
    """Queries and keys in the wrong order would be right at the first position, and at no other."""
    folder = saved(tmp_path / "model", family)
    write_gguf(folder, tmp_path / "model.gguf", "f16")
    model, tokenizer = load_model(ModelConfig(path=str(folder))), tiny_tokenizer()
    text = "The bees of Österreich, 1914."
    tokens = tokenizer(text)["input_ids"]
    with running(tmp_path / "model.gguf") as llama, torch.no_grad():
        # What is sampled is forced to be a letter: a byte that is no text yet would come without its probabilities.
        body = {"n_predict": 1, "logprobs": 4, "logit_bias": [[tokenizer.convert_tokens_to_ids("a"), 100]]}
        for length in (1, 2, 9, len(tokens)):
            answer = llama.handle_completions({**body, "prompt": tokens[:length]})
            wanted = model(torch.tensor([tokens[:length]])).logits[0, -1].log_softmax(-1)
            for told in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                assert told["logprob"] == pytest.approx(wanted[told["id"]].item(), abs=0.05)
        # And text is cut into the same number of tokens, the special ones included.
        chat = {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        asked = llama.handle_chat_completions(chat)["usage"]["prompt_tokens"]
    assert asked == len(
        tokenizer.apply_chat_template(chat["messages"], add_generation_prompt=True)["input_ids"]
    )


def test_eight_bits_are_for_matrices_whose_rows_blocks_fit(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", hidden_size=48, num_attention_heads=3, num_key_value_heads=1)
    write_gguf(folder, tmp_path / "q8.gguf", "q8_0")
    kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "q8.gguf").tensors}
    assert kinds["blk.1.attn_norm.weight"] == kinds["output_norm.weight"] == "F32"
    # Rows of 48 are no blocks of 32; rows of 160 are five.
    assert kinds["token_embd.weight"] == kinds["output.weight"] == "F16"
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0"
    assert not list(tmp_path.glob("*.partial"))


def test_a_tied_output_matrix_is_written_once(tmp_path: Path) -> None:
    write_gguf(saved(tmp_path / "model", "smollm2"), tmp_path / "tied.gguf", "f16")
    names = [tensor.name for tensor in gguf.GGUFReader(tmp_path / "tied.gguf").tensors]
    assert "token_embd.weight" in names
    assert "output.weight" not in names


MARKED = (
    CHATML,
    "{%- for m in messages -%}\n  {%- generation -%}  {{ m.content }}  {%- endgeneration -%}\n{% endfor %}",
    "{% for m in messages %}\n  {% generation %}\n{{ m.content }}\n  {% endgeneration %}\nx\n{% endfor %}",
    *(
        file.read_text(encoding="utf-8")
        for file in sorted((Path(__file__).parents[2] / "trainer" / "templates").glob("*.jinja"))
    ),
)


@pytest.mark.parametrize("template", MARKED)
def test_a_template_without_markers_renders_the_same(template: str) -> None:
    bare = without_markers(template)
    assert "generation %" not in bare
    assert "generation -%" not in bare
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": " Why? "},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nSo."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "That.", "reasoning_content": "Well."},
    ]
    tokenizer = tiny_tokenizer()
    for more in ({}, {"add_generation_prompt": True}, {"enable_thinking": False}):
        ours, theirs = (
            tokenizer.apply_chat_template(messages, chat_template=text, tokenize=False, **more)
            for text in (bare, template)
        )
        assert ours == theirs


def scaled_positions(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    told["rope_parameters"] |= {"rope_type": "yarn", "factor": 4.0}
    (folder / "config.json").write_text(json.dumps(told))


def another_architecture(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"model_type": "cohere"}))


def another_tokenizer(folder: Path) -> None:
    told = json.loads((folder / "tokenizer.json").read_text())
    told["pre_tokenizer"] = {"type": "Whitespace"}
    (folder / "tokenizer.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (scaled_positions, "rotary positions of the type `yarn`"),
        (another_architecture, "architecture `cohere`"),
        (another_tokenizer, "no byte-level BPE"),
    ],
)
def test_what_is_not_known_is_refused_and_the_other_way_is_named(
    change: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "model")
    change(folder)
    with pytest.raises(InputError, match=says) as caught:
        write_gguf(folder, tmp_path / "model.gguf", "f16")
    assert caught.value.code == "T018"
    assert "convert_hf_to_gguf.py" in str(caught.value.help)
    assert not list(tmp_path.glob("*.gguf*"))
    with pytest.raises(InputError, match=says):
        config = json.loads((folder / "config.json").read_text())
        check_gguf(config, PreTrainedTokenizerFast.from_pretrained(folder))


def test_what_cannot_be_written_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    )
    config = Config(
        model=ModelConfig(path=str(saved(tmp_path / "model", mlp_bias=True))),
        data=DataConfig(paths=(str(tmp_path / "chats.jsonl"),)),
        checkpoint=CheckpointConfig(gguf="f16"),
    )
    with pytest.raises(InputError, match="no GGUF can be made: the model has biases"):
        train(config, tmp_path / "out")
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_the_embedded_model_may_be_converted_by_another_process_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_second(file: Path, begun: Path) -> None:
        (begun / "config.json").write_text("ours")
        first = begun.with_suffix("")
        first.mkdir()
        (first / "config.json").write_text("theirs")

    weights = tmp_path / "weights.gguf"
    weights.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("trainer.pretrained.generator_file", lambda: weights)
    monkeypatch.setattr("trainer.gguf.read_gguf", be_second)
    folder = embedded_folder()
    assert (folder / "config.json").read_text() == "theirs"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_tensor_that_has_no_place_in_the_file_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", "qwen3")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"num_hidden_layers": 1}))
    with pytest.raises(InputError, match=r"has the tensor model\.layers\.1") as caught:
        write_gguf(folder, tmp_path / "model.gguf", "f16")
    assert caught.value.code == "T018"
    assert not list(tmp_path.glob("*.gguf*"))


@pytest.mark.embedded
def test_the_embedded_model_comes_in_and_goes_out_and_answers_alike(tmp_path: Path) -> None:
    model, tokenizer = load_model(ModelConfig()), load_tokenizer(ModelConfig())
    check_match(model, tokenizer)
    assert not hasattr(model.config, "quantization_config")
    folder = embedded_folder()
    # Converted once: the folder is found, not made again, and nothing half made lies beside it.
    assert embedded_folder() == folder
    assert [place.name for place in folder.parent.iterdir()] == [folder.name]
    assert str(folder).startswith(os.environ["XDG_CACHE_HOME"])
    write_gguf(folder, tmp_path / "again.gguf", "f16")
    chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
    with running(generator_file()) as llama:
        original = [
            llama.handle_chat_completions({"messages": chat, "max_tokens": 1})["usage"]["prompt_tokens"]
            for chat in chats
        ]
    with running(tmp_path / "again.gguf") as llama:
        for chat, counted in zip(chats, original, strict=True):
            body = {"messages": chat, "max_tokens": 16, "temperature": 0, "logprobs": True}
            answer = llama.handle_chat_completions(body)
            tokens = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
            assert answer["usage"]["prompt_tokens"] == counted == len(tokens)
            told = [entry["id"] for entry in answer["choices"][0]["logprobs"]["content"]]
            wanted = [token for token in greedy(model, tokens, 16) if token != tokenizer.eos_token_id]
            assert [token for token in told if token != tokenizer.eos_token_id] == wanted
