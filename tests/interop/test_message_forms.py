"""A corpus as messages for other trainers, read back by those trainers' own code where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dataforge.errors import InputError
from dataforge.interop.export import ExportOptions, export
from schemas.chat import Message
from schemas.corpus import Row
from tests.interop.rejection_corpus import call, corpus, final

TOOL = json.dumps({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}})
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def talk() -> Row:
    messages = [
        Message(role="user", content="1+1?"),
        Message(role="assistant", content="", tool_calls=[CALL], train=False),
        Message(role="tool", content="2", tool_call_id="1"),
        Message(role="assistant", content="Two.", reasoning_content="It says 2.", train=True),
    ]
    return final(call("s", "x"), messages=messages, tools=[TOOL], thinking="on")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    plain = call("t", "Four.")
    return corpus(tmp_path / "corpus", [[talk()], [final(plain), plain]])


def lines(directory: Path, to: str, **options: Any) -> list[dict[str, Any]]:
    out = directory.parent / f"{to}.jsonl"
    export(directory, out, ExportOptions(to, **options))
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_jsonl_is_what_our_own_trainer_reads(directory: Path):
    from trainer.conversations import Conversations

    lines(directory, "jsonl")
    with_tools, plain = list(Conversations([str(directory.parent / "jsonl.jsonl")], ["final"]))
    assert [m.train for m in with_tools.messages] == [False, False, False, True]
    assert with_tools.messages[-1].reasoning_content == "It says 2."
    assert (with_tools.thinking, plain.thinking) == ("on", "off")
    assert with_tools.tools[0]["function"]["name"] == "add"
    assert with_tools.messages[1].tool_calls == [CALL]


def test_kinds_are_chosen(directory: Path):
    assert [row["kind"] for row in lines(directory, "jsonl", kinds="all")] == ["final", "final", "call"]
    assert [row["kind"] for row in lines(directory, "jsonl", kinds="call")] == ["call"]
    only = corpus(directory.parent / "calls", [[call("s", "x")]])
    with pytest.raises(InputError) as caught:
        lines(only, "jsonl")
    assert (caught.value.code, "--kind" in str(caught.value.help)) == ("V034", True)


def test_axolotl_keeps_the_marks_and_trl_has_none(directory: Path):
    marked = lines(directory, "axolotl")[0]["messages"]
    assert [m["train"] for m in marked] == [False, False, False, True]
    bare = lines(directory, "trl")[0]
    assert not any("train" in m for m in bare["messages"])
    assert bare["tools"][0]["function"]["name"] == "add"
    done = export(directory, directory.parent / "x.jsonl", ExportOptions("trl"))
    assert list(done.notes.values()) == [1], "TRL would train the turn that is there for context only"
    assert not export(directory, directory.parent / "x.jsonl", ExportOptions("axolotl")).notes


def test_sharegpt_writes_tools_and_thinking_into_the_text(directory: Path):
    told, plain = lines(directory, "sharegpt")
    assert [turn["from"] for turn in told["conversations"]] == ["human", "gpt", "tool", "gpt"]
    assert [turn["value"] for turn in told["conversations"][1:]] == [
        '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>',
        "<tool_response>\n2\n</tool_response>",
        "<think>\nIt says 2.\n</think>\n\nTwo.",
    ]
    assert json.loads(told["tools"])[0]["function"]["name"] == "add"
    assert plain == {
        "conversations": [
            {"from": "system", "value": "Add."},
            {"from": "human", "value": "What is t?"},
            {"from": "gpt", "value": "Four."},
        ]
    }


@pytest.mark.parametrize("to", ["jsonl", "trl", "axolotl", "sharegpt"])
def test_thinking_is_kept_moved_or_dropped(directory: Path, to: str):
    kept, moved, dropped = (
        json.dumps(lines(directory, to, thinking=t)[0]) for t in ("field", "inline", "drop")
    )
    assert '"reasoning_content": "It says 2."' in kept
    assert "<think>" in moved
    assert "reasoning_content" not in moved
    assert "It says 2." not in dropped


def test_trl_takes_pairs_and_messages_as_they_are(tmp_path: Path):
    data_utils = pytest.importorskip("trl.data_utils")
    rows = [call("s", "Right as rain."), call("s", "Quite wrong.", 0.0, lost="R111")]
    directory = corpus(tmp_path / "corpus", [[final(rows[0]), *rows]])
    (pair,), (row,) = lines(directory, "preference"), lines(directory, "trl")
    assert data_utils.is_conversational(pair)
    assert data_utils.is_conversational(row)
    from trainer.tiny import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    told = data_utils.apply_chat_template(pair, tokenizer)
    assert told["prompt"].endswith("<|im_start|>assistant\n")
    assert (told["chosen"], told["rejected"]) == ("Right as rain.<|im_end|>", "Quite wrong.<|im_end|>")
    assert (
        data_utils.apply_chat_template(row, tokenizer)["text"].rstrip().endswith("Right as rain.<|im_end|>")
    )
