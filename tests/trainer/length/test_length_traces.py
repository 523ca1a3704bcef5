"""Laws of traces: what a cut is, what a folder keeps, which prompts are read and how answers are scored."""

from __future__ import annotations

import asyncio
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dataforge.errors import InputError
from schemas.chat import Message
from trainer.conversations import Conversations
from trainer.length.prompts import Prompt, asking, read_prompts, score, scored
from trainer.length.trace import (
    Trace,
    TraceWriter,
    cut,
    encode,
    of_tokens,
    read_manifest,
    read_traces,
    write_traces,
)
from trainer.tiny import tiny_tokenizer

BYTES = tiny_tokenizer()


def _merging_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE whose merges run over spaces and line ends, as those of large vocabularies do."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    text = ["so then. wait, wait\n\n  no, 12 and 12 are 24.\n\n\n   So é, ü and 漢字 it is!\n"] * 20
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)  # type: ignore[no-untyped-call]


MERGING = _merging_tokenizer()
thoughts = st.text(st.sampled_from("so then. wait,\n 12é漢🙂"), max_size=60)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
traces = st.builds(
    Trace,
    id=texts,
    benchmark=texts,
    problem=texts,
    sample=st.integers(0, 9),
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=texts), max_size=3
    ).map(tuple),
    budget=st.none() | st.integers(1, 2**40),
    limit=st.integers(1, 2**40),
    prompt_tokens=st.integers(0, 2**40),
    thinking=texts,
    thinking_tokens=st.integers(0, 2**40),
    closed=st.booleans(),
    case=st.sampled_from(["finished", "thinking", "answer"]),
    answer=texts,
    answer_tokens=st.integers(0, 2**40),
    ended=st.booleans(),
    expected=st.none() | texts,
    score=st.none() | st.floats(0, 1),
    asked=st.none() | st.integers(1, 2**40),
    unfit=st.none() | st.sampled_from(["overlong", "unended", "unstable"]),
)


def _trace(**changes: Any) -> Trace:
    told: dict[str, Any] = {
        "id": "t",
        "benchmark": "sums",
        "problem": "p",
        "sample": 0,
        "messages": (Message(role="user", content="1 + 1?"),),
        "budget": 4,
        "limit": 100,
        "prompt_tokens": 9,
        "thinking": "hm, ",
        "thinking_tokens": 4,
        "closed": False,
        "case": "thinking",
        "answer": "2",
        "answer_tokens": 1,
        "ended": True,
        **changes,
    }
    return Trace(**told)


# ---- cuts


@pytest.mark.parametrize("tokenizer", [BYTES, MERGING], ids=["bytes", "merging"])
@given(text=thoughts, budget=st.integers(1, 80))
def test_a_cut_has_its_budget_to_the_token_and_training_sees_the_same_tokens(
    tokenizer: Any, text: str, budget: int
) -> None:
    found = cut(text, budget, tokenizer)
    if found is not None:
        kept, ids = found
        assert len(ids) == budget
        assert encode(kept, tokenizer) == list(ids) == encode(text, tokenizer)[:budget]
        assert text.startswith(kept)


@pytest.mark.parametrize("tokenizer", [BYTES, MERGING], ids=["bytes", "merging"])
@given(text=thoughts)
def test_a_text_of_exactly_the_budget_is_kept_whole(tokenizer: Any, text: str) -> None:
    length = len(encode(text, tokenizer))
    assert length == 0 or cut(text, length, tokenizer) == (text, tuple(encode(text, tokenizer)))
    assert cut(text, length + 1, tokenizer) is None


def test_half_a_character_is_no_cut() -> None:
    assert cut("héllo", 2, BYTES) is None
    assert cut("héllo", 3, BYTES) == ("hé", tuple(encode("hé", BYTES)))


# ---- folders


@settings(max_examples=30)  # each is eight files on the disk
@given(found=st.lists(traces, max_size=6))
def test_a_folder_gives_back_what_was_written(
    found: list[Trace], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("traces")
    write_traces(folder, iter(found), {"model": "m"})
    order = ("data", "finished", "unfit")
    kinds = ["data" if t.trainable else "finished" if t.case == "finished" else "unfit" for t in found]
    assert read_traces(folder) == [
        t for kind in order for k, t in zip(kinds, found, strict=True) if k == kind
    ]
    manifest = read_manifest(folder)
    assert manifest["model"] == "m"
    assert sum(arm["traces"] for arm in manifest["arms"]) == len(found)
    assert sum(arm["thinking_tokens"] + arm["answer_tokens"] for arm in manifest["arms"]) == of_tokens(found)


def test_the_bytes_depend_on_the_traces_alone(tmp_path: Path) -> None:
    found = [_trace(sample=n, case=case) for n in range(3) for case in ("finished", "thinking")]
    for name in "ab":
        write_traces(tmp_path / name, found, {})
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 4
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_training_reads_what_was_cut_and_nothing_else(tmp_path: Path) -> None:
    unfit = _trace(id="unfit", unfit="unended", ended=False)
    write_traces(tmp_path, [_trace(id="cut"), _trace(id="finished", case="finished"), unfit], {})
    (row,) = Conversations([str(tmp_path)], ("final",))
    assert (row.id, row.thinking) == ("cut", "on")
    assert row.messages[-1] == Message(role="assistant", content="2", reasoning_content="hm, ", train=True)
    (finished,) = Conversations([str(tmp_path / "finished")], ("final",))
    assert finished.id == "finished"


def test_tool_calls_of_a_prompt_come_back(tmp_path: Path) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    said = Message(role="assistant", content="", tool_calls=calls)
    found = _trace(messages=(said, Message(role="tool", content="2", tool_call_id="1")))
    write_traces(tmp_path, [found], {})
    assert read_traces(tmp_path) == [found]


def test_a_folder_that_is_not_whole_is_no_traces(tmp_path: Path) -> None:
    write_traces(tmp_path, [_trace()], {})
    with pytest.raises(RuntimeError, match="power"), TraceWriter(tmp_path) as writer:
        writer.write(_trace())
        raise RuntimeError("power cut")
    with pytest.raises(InputError, match="not finished") as refused:
        read_traces(tmp_path)
    assert refused.value.code == "L008"
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("harm", ["changed", "torn", "missing", "manifest", "stranger", "armless", "newer"])
def test_damaged_traces_are_refused(tmp_path: Path, harm: str) -> None:
    write_traces(tmp_path, [_trace()], {})
    data, manifest = tmp_path / "data/train-00000-of-00001.parquet", tmp_path / "manifest.json"
    document = json.loads(manifest.read_bytes())
    match harm:
        case "changed":
            write_traces(tmp_path / "other", [_trace(answer="3")], {})
            data.write_bytes((tmp_path / "other" / data.relative_to(tmp_path)).read_bytes())
        case "torn":
            data.write_bytes(data.read_bytes()[:-1])
        case "missing":
            data.unlink()
        case "manifest":
            manifest.write_bytes(manifest.read_bytes()[:-9])
        case "stranger":
            manifest.write_text(json.dumps({"corpus": 1, "files": {}}))
        case "armless":
            manifest.write_text(json.dumps({"traces": 1, "files": {}}))
        case "newer":
            manifest.write_text(json.dumps({**document, "traces": 99}))
    with pytest.raises(InputError) as refused:
        read_traces(tmp_path)
    assert refused.value.code == "L008"


# ---- prompts


def test_prompts_are_read_from_what_there_is(tmp_path: Path) -> None:
    told = [
        {"prompt": "1 + 1?", "id": 7, "answer": 2, "benchmark": "sums"},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hm?"}]},
        {
            "problem": "last",
            "expected": "x",
            "messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}],
        },
        {"kind": "call", "prompt": "of an intermediate call"},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, told)) + "\n\n")
    user = Message(role="user", content="1 + 1?")
    first, second, third = read_prompts([path])
    assert first == Prompt("7", "sums", (user,), "2")
    assert (second.problem, second.benchmark, second.expected) == ("p.jsonl:2", "prompts", None)
    assert [m.role for m in second.messages] == ["system", "user"]
    assert (third.problem, third.expected) == ("last", "x")
    assert [m.content for m in third.messages] == ["Why?"]


def test_prompts_are_read_from_parquet_and_folders(tmp_path: Path) -> None:
    write_traces(tmp_path, [_trace(expected="2", benchmark="sums", problem="p1")], {})
    (found,) = read_prompts([tmp_path])
    assert found == Prompt("p1", "sums", (Message(role="user", content="1 + 1?"),), "2")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "no prompt"),
        (["{"], "row 1: is no JSON"),
        (["[]"], "row 1: is no JSON object"),
        (['{"id": 1}'], "row 1: has no prompt"),
        (['{"prompt": " "}'], "row 1: has a `prompt` that is empty"),
        (
            ['{"prompt": "a", "id": 1}', '{"prompt": "b", "id": 1}'],
            "row 2: is the problem `1` of `prompts`, and so is",
        ),
        (['{"messages": [{"role": "assistant", "content": "a"}]}'], "no question"),
        (['{"messages": [{"role": "poet", "content": "a"}]}'], "`role`"),
        (['{"prompt": "a", "tools": [{"name": "f"}]}'], "offers tools"),
        (['{"prompt": "a", "answer": ["b"]}'], "`answer` that is neither"),
        (['{"prompt": "a", "verifier": "matths"}'], "there is no verifier `matths`"),
        (['{"prompt": "a", "verifier": "exact", "facts": "42"}'], "`facts` that are no JSON object"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_place(tmp_path: Path, lines: list[str], told: str) -> None:
    (path := tmp_path / "p.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError) as refused:
        read_prompts([path])
    assert refused.value.code == "L002"
    assert told in refused.value.message


def test_a_prompt_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_prompts([tmp_path / "p.jsonl"])
    assert refused.value.code == "L002"


def test_a_prompt_that_names_its_verifier_is_scored_by_it(tmp_path: Path) -> None:
    rows = [
        {"prompt": "What is 2/4?", "verifier": "maths", "facts": {"answer": "1/2"}},
        {"prompt": "What is 2/4?", "verifier": "maths", "facts": json.dumps({"answer": "1/2"})},
        {"prompt": "What is 2/4?", "verifier": "maths", "facts": {"answr": "1/2"}},
    ]
    (path := tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    good, as_text, faulty = read_prompts([path])
    for prompt in (good, as_text):
        assert asyncio.run(scored(prompt, "So it is \\boxed{0.5}")) == 1.0
        assert asyncio.run(scored(prompt, "So it is \\boxed{0.25}")) == 0.0
        assert asyncio.run(scored(prompt, "")) == 0.0
    assert (
        asyncio.run(scored(faulty, "So it is \\boxed{0.5}")) is None
    )  # the task's fault, and no wrong answer


@pytest.mark.parametrize(("budget", "said"), [(8000, "8k"), (8192, "8192"), (96, "96"), (30_000, "30k")])
def test_a_budget_is_asked_for_in_the_system_message(budget: int, said: str) -> None:
    user = Message(role="user", content="Why?")
    bare = asking(Prompt("p", "b", (user,)), budget, "reasoning budget: {budget}")
    assert bare.messages == (Message(role="system", content=f"reasoning budget: {said}"), user)
    assert bare.asked == budget
    before = Message(role="system", content="Be brief.")
    told = asking(Prompt("p", "b", (before, user)), budget, "reasoning budget: {budget}")
    assert told.messages == (
        Message(role="system", content=f"Be brief.\n\nreasoning budget: {said}"),
        user,
    )


def test_a_line_that_does_not_say_the_budget_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        asking(Prompt("p", "b", (Message(role="user", content="Why?"),)), 8, "think briefly")
    assert refused.value.code == "L001"


# ---- scores


@pytest.mark.parametrize(
    ("answer", "expected", "is_right"),
    [
        (r"So \boxed{41}, no: \boxed{42}.", "42", True),
        (r"So \boxed{42}, no: \boxed{41}.", "42", False),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", True),
        (r"\boxed{42} and \boxed{4", "42", True),
        (r"} \boxed {42} } { \boxed{4{1}", "42", True),
        (r"\boxed{41 or \boxed{42}}", "42", True),
        ("The answer is 41. No, the ANSWER IS: **42**.", "42", True),
        ("Answer:\n\n  1,234.50\nThat is all.", "1234.5", True),
        ("I think 41.\n42", "42", True),
        ("42\n---\n", "42", True),
        ("-3", "3", False),
        ("x = -.5", "-0.5", False),
        ("$-.5$", "-0.5", True),
        ("3/4", "0.75", True),
        ("1/0", "0", False),
        ("1e3", "1000", False),
        ("Blue   Whale!", "blue whale", True),
        ("] ]", "] ]", True),
        ("] ]", "[ ]", False),
        ("", "42", False),
        ("forty-two", "42", False),
    ],
)
def test_answers_are_scored(answer: str, expected: str, is_right: bool) -> None:
    assert score(answer, expected) == float(is_right)


def test_nothing_is_scored_without_a_reference() -> None:
    assert score("42", None) is None


words = st.text(string.ascii_letters + string.digits + " .,-!", min_size=1, max_size=20).filter(
    lambda word: any(map(str.isalnum, word))
)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)


@given(word=words, before=words)
def test_the_expected_answer_is_right_wherever_it_may_stand(word: str, before: str) -> None:
    assert score(word, word) == 1.0
    assert score(f"{before}\n\\boxed{{{word}}}\n{before}", word) == 1.0
    assert score(f"{before}\nThe answer is {word}", word) == 1.0


@given(number=numbers)
def test_a_number_is_right_however_it_is_written_and_no_other_is(number: Any) -> None:
    assert score(f"{number:,}", str(number)) == 1.0
    assert score(f"${number}0.", str(number)) == 1.0
    assert score(str(number), str(number + 1)) == 0.0


@given(answer=texts, expected=texts)
def test_scoring_never_fails(answer: str, expected: str) -> None:
    assert score(answer, expected) in (0.0, 1.0)
