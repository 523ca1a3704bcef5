"""Turns in pieces, mask strategies, and the rows of `dataforge length mask`: what is trained, to the token and to the gradient.

Tokens are bytes and a family's control tokens, so that budgets can be counted on the fingers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from dataforge.cli import main
from dataforge.errors import DataForgeError, InputError, StorageError
from schemas.chat import Message
from trainer.batch import Batch, collate
from trainer.chat import SHIPPED
from trainer.config import Config, DataConfig, ModelConfig, StepConfig
from trainer.conversations import Conversations, conversation
from trainer.data import prepare
from trainer.disk import held
from trainer.length.mask import masked_rows, write_masked
from trainer.length.strategies import mask, strategy
from trainer.length.trace import Trace, write_traces
from trainer.masks import Renderer
from trainer.model import PackedLM
from trainer.packed import Row
from trainer.samples import Conversation, Notes, Sample
from trainer.tiny import tiny_model, tiny_tokenizer
from trainer.turn import Turn, in_pieces

LLAMA = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
TEMPLATES = sorted(SHIPPED)
STRATEGIES = ["tag", "answer", "standard", "window:0", "window:1", "truncated"]
SPELT = "chatml without the tag as a token"


def bpe(*merges: tuple[str, str], special: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Bytes, some pairs of which are tokens of their own."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: at for at, piece in enumerate([*alphabet, *(a + b for a, b in merges)])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    names = ("<|im_start|>", "<|im_end|>", *special)
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")


@cache
def renderer(family: str, **data: Any) -> Renderer:
    """Of a shipped template; Llama's with Llama's control tokens."""
    if family == SPELT:
        return Renderer(bpe(), "chatml", DataConfig(**data))
    tokenizer = tiny_tokenizer(template=None)
    if "eot_id" in SHIPPED[family].read_text(encoding="utf-8"):
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in LLAMA])
        tokenizer.bos_token, tokenizer.eos_token = LLAMA[0], LLAMA[3]
    return Renderer(tokenizer, family, DataConfig(**data))


def user(text: str) -> Message:
    return Message(role="user", content=text)


def says(text: str, thoughts: str | None = None, *, train: bool = True) -> Message:
    return Message(role="assistant", content=text, reasoning_content=thoughts, train=train)


def talk(thoughts: str | None, answer: str = "Four.", **fields: Any) -> Conversation:
    given = {"thinking": "on", "mask": "tag", **fields}
    return Conversation("row-7", (user("2 + 2?"), says(answer, thoughts)), **given)


def sample(rendering: Renderer, told: Conversation) -> Sample:
    (found,) = rendering.samples(told, Notes())
    return found


# Any thinking but one that closes itself, which nobody can cut.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
thoughts = st.one_of(
    texts, st.sampled_from(["a.\n", "\n\n \n", "<think> <|im_end|>", "</thin", "k>", "é 日"])
)
contents = st.text(st.characters(codec="utf-8"), max_size=20)


# --- a turn in pieces


@settings(max_examples=120)
@given(st.sampled_from([*TEMPLATES, SPELT]), thoughts, contents.map(str.strip), contents, st.booleans())
def test_the_pieces_make_the_text_that_the_template_renders(
    family: str, thinking: str, answer: str, question: str, earlier: bool
) -> None:
    rendering = renderer(family)
    before = [user(f"Q {question}")]
    if earlier:
        before = [Message(role="system", content="S"), user("Hi"), says("Yo", "hm"), *before]
    ids = rendering.ids(thinking)
    turn = in_pieces(rendering, before, ids, answer)
    said = rendering.tokenizer.decode(turn.tokens)
    # A word that no template strips, in the thinking's place.
    row = Conversation("row-7", (*before, says(answer, "THOUGHT")), thinking="on")
    plain = rendering.tokenizer.decode(sample(rendering, row).tokens).removesuffix("\n")
    head, tail = plain.rsplit("THOUGHT", 1)
    assert said == head + thinking + tail
    assert turn.thinking == ids


@pytest.mark.parametrize("family", TEMPLATES)
def test_the_prompt_is_what_a_server_renders_for_a_chat_request(family: str) -> None:
    rendering = renderer(family)
    before = [user("Hi"), says("Yo", "hm"), user("Go")]
    asked = rendering.tokenizer.apply_chat_template(
        [
            {
                "role": m.role,
                "content": f"<think>\nhm\n</think>\n\n{m.content}" if m.reasoning_content else m.content,
            }
            for m in before
        ]
        if family != "qwen3"
        else [m.model_dump(exclude={"train"}, exclude_none=True) for m in before],
        chat_template=rendering.template,
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=True,
        thinking=True,
    )
    turn = in_pieces(rendering, before, rendering.ids("so"), "")
    assert rendering.tokenizer.decode(turn.prompt) == asked
    assert rendering.tokenizer.decode(turn.to_tag) == asked + "<think>\nso\n</think>"


def test_a_budget_is_kept_where_the_vocabulary_would_melt_its_last_token_with_the_newline() -> None:
    tokenizer = bpe((".", "Ċ"), ("Ċ", "Ċ"), special=("<think>", "</think>"))
    rendering = Renderer(tokenizer, "chatml")
    turn = in_pieces(rendering, [user("Hi")], rendering.ids("So."), "Yo")
    assert [tokenizer.decode(piece) for piece in (turn.thinking, turn.before_tag, turn.answer)] == [
        "So.",
        "\n",
        "\n\nYo",
    ]
    assert len(turn.thinking) == 3
    whole = tokenizer.encode(tokenizer.decode(turn.tokens))
    assert len(whole) == len(turn.tokens) - 1
    assert sample(rendering, talk("So.", budget=3)).trained.sum() == 2


PREOPENED = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{%- if m.role == 'assistant' %}{%- if m.reasoning_content %}"
    "{{ '<think>\n' }}{%- endif %}{%- generation %}{%- if m.reasoning_content %}{{ m.reasoning_content + '\n</think>\n\n' }}"
    "{%- endif %}{{ m.content + '<|im_end|>' }}{%- endgeneration %}{%- else %}{{ m.content + '<|im_end|>' }}{%- endif %}"
    "{{ '\n' }}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{%- endif %}"
)


def test_a_template_that_opens_the_thinking_itself_leaves_nothing_to_open() -> None:
    rendering = Renderer(tiny_tokenizer(PREOPENED))
    turn = in_pieces(rendering, [user("Hi")], rendering.ids("so"), "Yo")
    assert rendering.tokenizer.decode(turn.prompt).endswith("assistant\n<think>\n")
    assert turn.opening == ()
    assert rendering.tokenizer.decode(turn.tokens).endswith("<think>\nso\n</think>\n\nYo<|im_end|>")


@pytest.mark.parametrize(
    ("change", "says_what"),
    [
        (("m.reasoning_content + '\n</think>\n\n'", "''"), "removes its thinking"),
        (("</think>", "</thought>"), "does not close thinking"),
        (("'\n</think>", "' !\n</think>"), "does not close thinking"),
        (
            ("{%- for m in", "{{- 'A' if add_generation_prompt }}{%- for m in"),
            "another prompt than at inference",
        ),
    ],
    ids=["thinking is lost", "another tag", "words before the tag", "another prompt"],
)
def test_a_template_whose_thinking_cannot_be_cut_is_refused(change: tuple[str, str], says_what: str) -> None:
    rendering = Renderer(tiny_tokenizer(PREOPENED.replace(*change)))
    with pytest.raises(InputError, match=says_what) as error:
        rendering.samples(talk("so"), Notes())
    assert error.value.code == "T005"
    assert "row-7" in error.value.message


# --- strategies


@settings(max_examples=150)
@given(st.sampled_from(["qwen3", "hermes4", "hermes4-14b"]), thoughts, contents)
def test_two_positions_are_trained_whatever_was_thought_and_answered(
    family: str, thinking: str, answer: str
) -> None:
    rendering = renderer(family)
    budget = len(rendering.ids(thinking))
    found = sample(rendering, talk(thinking, answer, budget=budget))
    end = rendering.tokenizer.eos_token
    assert rendering.tokenizer.convert_ids_to_tokens(found.tokens[found.trained]) == ["</think>", end]
    tag, last = np.flatnonzero(found.trained).tolist()
    # `<think>`, newline, the budget, newline: so many tokens behind the header stands the tag.
    turn = in_pieces(rendering, [user("2 + 2?")], rendering.ids(thinking), answer)
    assert tag == len(turn.prompt) + 2 + budget + 1
    assert last == len(found.tokens) - 1
    assert found.kind == "final-tag"


def test_a_tag_of_several_tokens_is_trained_whole() -> None:
    found = sample(renderer(SPELT), talk("so", budget=2))
    assert renderer(SPELT).tokenizer.decode(found.tokens[found.trained]) == "</think><|im_end|>"
    assert found.trained.sum() == len("</think>") + 1


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("tag", "</think>|<|im_end|>"),
        ("answer", "</think>\n\nFour.<|im_end|>"),
        ("standard", "<think>\nso, yes\n</think>\n\nFour.<|im_end|>"),
        ("truncated", "<think>\nso, yes"),
        ("window:0", "\n</think>|<|im_end|>"),
        ("window:2", "es\n</think>|<|im_end|>"),
        ("window:7", "so, yes\n</think>|<|im_end|>"),
    ],
)
def test_each_strategy_trains_the_text_that_it_names(name: str, trained: str) -> None:
    rendering = renderer("qwen3")
    found = sample(rendering, talk("so, yes", mask=name))
    ends = np.flatnonzero(np.diff(found.trained)) + 1
    runs = zip(np.split(found.tokens, ends), np.split(found.trained, ends), strict=True)
    assert "|".join(rendering.tokenizer.decode(ids) for ids, on in runs if on[0]) == trained
    assert found.kind == f"final-{name.partition(':')[0]}"


@pytest.mark.parametrize("family", [*TEMPLATES, SPELT])
def test_the_standard_mask_is_that_of_ordinary_rows(family: str) -> None:
    ours = sample(renderer(family), talk("so", mask="standard"))
    theirs = sample(renderer(family), talk("so", mask=None))
    length = len(ours.tokens)
    assert theirs.tokens[:length].tolist() == ours.tokens.tolist()
    assert theirs.trained[:length].tolist() == ours.trained.tolist()
    assert not theirs.trained[length:].any()


def test_a_mask_that_trains_another_token_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.length import strategies

    turn = Turn((1,), (2,), (3, 4), (5,), (6,), (7, 8), (9,))
    assert mask("tag", turn).tolist() == [False] * 5 + [True, False, False, True]
    shifted = replace(strategies.STRATEGIES["tag"](turn, 0), pieces={"before_tag": 1, "end": 1})
    monkeypatch.setitem(strategies.STRATEGIES, "tag", lambda turn, last: shifted)
    with pytest.raises(InputError, match="`tag` does not fit") as error:
        mask("tag", turn, "row-7")
    assert error.value.code == "L006"
    assert "row-7" in error.value.message


@pytest.mark.parametrize("name", ["", "tags", "tag:2", "window", "window:-1", "window:x", "window:²"])
def test_a_strategy_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(InputError) as error:
        strategy(name)
    assert error.value.code == "L006"
    assert "window:K" in str(error.value.help)


@pytest.mark.parametrize(
    ("told", "code", "says_what"),
    [
        (talk(None), "L006", "does not think"),
        (talk("so", thinking="off"), "L006", "thinking: off"),
        (talk("so</think>so"), "L006", "inside its thinking"),
        (talk("so", mask="window:3"), "L006", "does not fit"),
        (talk("so", mask="last"), "L006", "no such strategy"),
        (talk("so", budget=3), "L005", "2 tokens, and was to be cut at 3"),
        (talk("so", budget=1), "L005", "2 tokens, and was to be cut at 1"),
    ],
)
def test_a_row_to_which_its_mask_cannot_be_applied_is_an_error(
    told: Conversation, code: str, says_what: str
) -> None:
    with pytest.raises(InputError, match=says_what) as error:
        renderer("qwen3").samples(told, Notes())
    assert error.value.code == code
    assert "row-7" in error.value.message


def test_a_row_without_its_own_mode_and_with_a_typed_tag_is_taken_as_it_stands() -> None:
    notes = Notes()
    (found,) = renderer("qwen3").samples(talk("a <|im_end|> b", thinking=None), notes)
    assert found.trained.sum() == 2
    assert notes.counts == {"control_tokens": 1}


@pytest.mark.parametrize("overlong", ["drop", "cut", "split"])
def test_a_row_with_a_mask_is_trained_whole_or_not_at_all(overlong: Any) -> None:
    told = talk("so" * 20)
    length = len(sample(renderer("qwen3"), told).tokens)
    (found,) = renderer("qwen3", context=length, overlong=overlong).samples(told, Notes())
    assert len(found.tokens) == length
    short, notes = renderer("qwen3", context=length - 1, overlong=overlong), Notes()
    if overlong == "drop":
        assert short.samples(told, notes) == []
        assert [(lost.id, lost.reason) for lost in notes.dropped] == [("row-7", "overlong")]
        return
    with pytest.raises(InputError, match=f"data.overlong = {overlong}") as error:
        short.samples(told, notes)
    assert error.value.code == "L006"
    assert f"data.context={length}" in str(error.value.help)


def test_only_the_last_turn_of_a_row_with_a_mask_is_trained() -> None:
    notes = Notes()
    told = Conversation("a", (user("Hi"), says("Yo", "hm"), user("Go"), says("Went", "so")), mask="tag")
    (found,) = renderer("qwen3").samples(told, notes)
    assert found.trained.sum() == 2
    assert notes.counts == {"untrained_turns": 1, "thinking_removed": 1}


@pytest.mark.parametrize(
    "fields", [{"mask": ["tag"]}, {"mask": "tag", "budget": "3"}, {"mask": "tag", "budget": 0}, {"mask": 1}]
)
def test_a_column_of_another_type_is_no_mask(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        conversation({"messages": [{"role": "user", "content": "Hi"}], **fields}, "rows.jsonl, row 1")
    assert error.value.code == "T002"


def test_a_column_budget_without_a_mask_means_nothing() -> None:
    told = conversation({"messages": [{"role": "user", "content": "Hi"}], "budget": "dear"}, "row 1")
    assert (told.mask, told.budget) == (None, None)


# --- no gradient reaches any thinking token


class Trained:
    """A tiny model with a row of two documents: a reasoning sample under some strategy, behind an ordinary one."""

    def __init__(self, name: str) -> None:
        rendering = renderer("qwen3")
        ordinary = sample(rendering, Conversation("b", (user("Hi"), says("Yo"))))
        self.turn = in_pieces(rendering, [user("2 + 2?")], rendering.ids("two and two, so"), "Four.")
        ours = sample(rendering, talk("two and two, so", mask=name))
        both = [ordinary, ours]
        self.row = Row(
            np.concatenate([each.tokens for each in both]),
            np.concatenate([each.trained for each in both]),
            np.array([len(each.tokens) for each in both], np.int32),
            np.arange(2),
            np.arange(2, dtype=np.int32),
        )
        self.batch = collate([self.row])
        self.thinking = slice(
            len(ordinary.tokens) + len(self.turn.prompt + self.turn.opening),
            len(ordinary.tokens) + len(self.turn.prompt + self.turn.opening + self.turn.thinking),
        )
        self.model = PackedLM(tiny_model("qwen3"), "documents", StepConfig(loss_chunk=7))

    def hidden_gradient(self) -> Tensor:
        """d loss / d hidden state, `[positions, width]`: the logits at a position are a product with its hidden state."""
        kept: list[Tensor] = []

        def keep(module: Any, given: Any, found: Tensor) -> None:
            found.retain_grad()
            kept.append(found)

        handle = self.model.lm.base_model.norm.register_forward_hook(keep)
        loss, _ = self.model(self.batch)
        loss.backward()
        handle.remove()
        assert kept[0].grad is not None
        return kept[0].grad[0]

    def weight_gradients(self, batch: Batch) -> list[Tensor]:
        self.model.zero_grad()
        loss, _ = self.model(batch)
        loss.backward()
        return [p.grad.clone() for p in self.model.parameters() if p.grad is not None]


@pytest.fixture(scope="module")
def tagged() -> Trained:
    return Trained("tag")


def predicting(part: slice) -> slice:
    """The positions at which the tokens of a part are predicted."""
    return slice(part.start - 1, part.stop - 1)


def test_the_logits_that_predict_thinking_get_a_gradient_of_exactly_zero(tagged: Trained) -> None:
    gradient = tagged.hidden_gradient()
    assert not gradient[predicting(tagged.thinking)].any()
    # Of the whole sample, two positions have one: those that predict the tag and the end.
    first = int(tagged.row.lengths[0])
    ours = gradient[first:].abs().sum(-1).nonzero()[:, 0] + first
    tag = tagged.thinking.stop + len(tagged.turn.before_tag)
    assert ours.tolist() == [tag - 1, len(tagged.row.tokens) - 2]
    # The ordinary sample beside it is trained as ever.
    assert gradient[:first].abs().sum(-1).count_nonzero() == len("Yo") + 1
    # And the test sees what it looks for, where thinking is trained.
    standard = Trained("standard")
    assert standard.hidden_gradient()[predicting(standard.thinking)].abs().sum(-1).all()


def test_what_the_thinking_says_as_a_label_changes_no_gradient(tagged: Trained) -> None:
    labels = tagged.row.tokens.copy()
    labels[tagged.thinking] = (labels[tagged.thinking] + 1) % 256
    other = collate([replace(tagged.row, tokens=labels)])
    assert other.tokens.tolist() != tagged.batch.tokens.tolist()
    # The same inputs, and the targets that these labels give under the mask.
    relabelled = replace(tagged.batch, targets=other.targets)
    before, after = (tagged.weight_gradients(batch) for batch in (tagged.batch, relabelled))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    standard = Trained("standard")
    relabelled = replace(standard.batch, targets=collate([replace(standard.row, tokens=labels)]).targets)
    before, after = (standard.weight_gradients(batch) for batch in (standard.batch, relabelled))
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_loss_is_that_of_two_tokens_of_pytorchs_own(tagged: Trained) -> None:
    first = int(tagged.row.lengths[0])
    alone = torch.tensor(tagged.row.tokens[first:], dtype=torch.int64)[None]
    logits = tiny_model("qwen3")(input_ids=alone).logits[0]
    at = torch.tensor(np.flatnonzero(tagged.row.trained[first:]))
    expected = cross_entropy(logits[at - 1], alone[0, at], reduction="sum")
    _, losses = tagged.model(tagged.batch)
    assert losses[first:].count_nonzero() == 2
    torch.testing.assert_close(losses[first:].sum(), expected.detach())


# --- folders


def trace(number: int, thinking: str = "2 and 2, so", **fields: Any) -> Trace:
    """A trace that was cut in its thinking, closed and answered."""
    given: dict[str, Any] = {
        "id": f"t{number}",
        "benchmark": "sums",
        "problem": f"p{number}",
        "sample": 0,
        "messages": (user(f"2 + {number}?"),),
        "budget": len(thinking),
        "limit": 4096,
        "prompt_tokens": 30,
        "thinking": thinking,
        "thinking_tokens": len(thinking),
        "closed": False,
        "case": "thinking",
        "answer": "Four.",
        "answer_tokens": 5,
        "ended": True,
    }
    return Trace(**(given | fields))


TRACES = [
    trace(0),
    trace(1, "so.\n"),
    trace(2, "done", budget=50, case="answer", closed=True),
    trace(3, case="finished", closed=True, budget=50),
    trace(4, ended=False, unfit="unended"),
]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("length") / "traces"
    write_traces(folder, TRACES, {})
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder, with a hash of its bytes and the time it was written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(
            path.relative_to(folder)
        ): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in files
    }


def test_traces_that_were_cut_become_rows_with_their_mask_and_budget() -> None:
    rows = masked_rows(TRACES, "tag")
    assert [(row["id"], row["mask"], row["budget"]) for row in rows] == [
        ("t0", "tag", len("2 and 2, so")),
        ("t1", "tag", 4),
        # It closed its thinking by itself.
        ("t2", "tag", None),
    ]


def test_a_masked_folder_is_packed_and_trains_what_it_promises(traces: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"
    told: list[tuple[int, int]] = []
    summary = write_masked(traces, "tag", out, renderer("qwen3"), progress=lambda *n: told.append(n))
    assert (summary["samples"], summary["trained"]) == (3, {"in_all": 6, "least": 2, "most": 2})
    assert summary["thinking_tokens"] == sum(len(each.thinking) for each in TRACES[:3])
    assert summary["untaught"] == "\n"
    assert told[-1] == (3, 3)
    ids = [each.id for each in Conversations([str(out)], ["final"])]
    assert ids == ["t0", "t1", "t2"]
    config = Config(
        model=ModelConfig(path="tiny", template="qwen3"),
        data=DataConfig(paths=(str(out),), context=summary["longest"]),
    )
    packed = prepare(config, tmp_path / "packed")
    assert packed.manifest["by_kind"] == {
        "final-tag": {"samples": 3, "tokens": summary["tokens"], "trained": 6}
    }


def test_masking_again_changes_nothing_and_another_mask_is_refused(traces: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"
    first = write_masked(traces, "tag", out, renderer("qwen3"))
    before = contents(out)
    assert write_masked(traces, "tag", out, renderer("qwen3")) == first
    for strategy_, rendering, other in (
        ("answer", renderer("qwen3"), "strategy"),
        ("tag", renderer("chatml"), "template"),
    ):
        with pytest.raises(InputError, match=f"other {other}") as error:
            write_masked(traces, strategy_, out, rendering)
        assert error.value.code == "L007"
    assert contents(out) == before


@pytest.mark.parametrize("file", ["notes.txt", "manifest.json"])
def test_a_folder_of_something_else_is_left_alone(traces: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text('{"files": {}}')
    before = contents(tmp_path)
    with pytest.raises(InputError) as error:
        write_masked(traces, "tag", tmp_path, renderer("qwen3"))
    assert error.value.code == "L007"
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_had_is_refused(traces: Path, tmp_path: Path) -> None:
    with held(tmp_path / "out"), pytest.raises(InputError, match="another process") as error:
        write_masked(traces, "tag", tmp_path / "out", renderer("qwen3"))
    assert error.value.code == "L007"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written") as error:
        write_masked(traces, "tag", tmp_path / "file" / "out", renderer("qwen3"))
    assert error.value.code == "R021"


def test_a_full_disk_is_told_and_what_was_begun_is_no_data(traces: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"
    write_masked(traces, "tag", out, renderer("qwen3"))
    begun = json.loads((out / "manifest.json").read_bytes())
    del begun["files"], begun["summary"]
    (out / "manifest.json").write_text(json.dumps(begun))
    (rows,) = out.glob("data/*.parquet")
    rows.unlink()
    rows.with_name(f".{rows.name}.tmp").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk refused") as error:
        write_masked(traces, "tag", out, renderer("qwen3"))
    assert error.value.code == "R021"
    with pytest.raises(InputError):
        list(Conversations([str(out)], ["final"]))


def test_a_folder_that_was_interrupted_is_no_data_and_is_made_anew(traces: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"

    def stop(done: int, rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_masked(traces, "tag", out, renderer("qwen3"), progress=stop)
    with pytest.raises(InputError) as error:
        list(Conversations([str(out)], ["final"]))
    assert error.value.code == "T002"
    assert write_masked(traces, "tag", out, renderer("qwen3"))["samples"] == 3
    assert len(list(Conversations([str(out)], ["final"]))) == 3


@pytest.mark.parametrize(
    ("given", "code", "says_what"),
    [
        ([trace(0, budget=12)], "L005", "11 tokens, and was to be cut at 12"),
        ([trace(0), trace(1, thinking="so</think>")], "L006", "row t1"),
        (TRACES[3:], "L009", "1 finished by themselves, 1 unfit"),
    ],
)
def test_traces_that_cannot_be_masked_leave_nothing_to_train_on(
    given: list[Trace], code: str, says_what: str, tmp_path: Path
) -> None:
    write_traces(tmp_path / "traces", given, {})
    with pytest.raises(DataForgeError, match=says_what) as error:
        write_masked(tmp_path / "traces", "tag", tmp_path / "out", renderer("qwen3"))
    assert error.value.code == code
    assert not list(tmp_path.glob("out/data/*.parquet"))


def test_the_command_shows_what_the_loss_sees(traces: Path, tmp_path: Path, capsys: Any) -> None:
    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as end:
            main(["length", "mask", str(traces), "-o", str(tmp_path / "out"), *map(str, arguments)])
        assert end.value.code == 0
        said: str = capsys.readouterr().out
        return said

    model = ("--model", "tiny", "--template", "qwen3")
    summary = run(*model)
    assert "3: 1 cut inside the answer, 1 at 4 tokens, 1 at 11 tokens" in summary
    assert "2 tokens a sample (tag), 6 in all" in summary
    assert r"the template writes '\n' before </think>, and `tag` does not teach" in summary
    shown = run(*model, "--show", 0)
    assert "‹<think>›\n2 and 2, so\n⟦‹</think>›⟧\n\nFour.⟦‹<|im_end|>›⟧" in shown
    row = json.loads(run(*model, "--show", 1, "--json"))
    assert (row["id"], row["kind"], row["trained"]) == ("t1", "final-tag", 2)
    assert json.loads(run(*model, "--json"))["folder"] == str(tmp_path / "out")
