"""Scored groups: what a file of them holds, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import InputError, OutputError
from dataforge.interop.groups import (
    IGNORED,
    ScoredGroup,
    ScoredResponse,
    group_of,
    parse_group,
    read_groups,
    write_groups,
    write_lines,
)
from schemas.chat import Message
from tests.interop.adding import byte_tokens


def conversation(said: str) -> tuple[Message, ...]:
    return (
        Message(role="system", content="Be brief."),
        Message(role="user", content="2+2?"),
        Message(role="assistant", content=said, train=True),
    )


def test_only_what_the_model_said_is_unmasked():
    group = group_of(
        [ScoredResponse(conversation("4"), 1.0), ScoredResponse(conversation("five"), 0.0)], byte_tokens
    )
    assert group.scores == [1.0, 0.0]
    for tokens, masks, said in zip(group.tokens, group.masks, (b"4\0", b"five\0"), strict=True):
        assert bytes(tokens).endswith(said)
        assert masks == [IGNORED] * (len(tokens) - len(said)) + list(said)
    assert group.messages is not None
    assert group.messages[0] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
    ]


def test_a_response_that_was_cut_off_is_not_taught_to_end_there():
    whole, cut = (
        group_of([ScoredResponse(conversation("4"), 1.0, ended=e)], byte_tokens) for e in (True, False)
    )
    assert whole.tokens[0] == [*cut.tokens[0], 0]


def test_without_a_tokenizer_a_group_has_messages_and_no_tokens():
    group = group_of([ScoredResponse(conversation("4"), 1.0)])
    assert (group.tokens, group.masks, group.size) == ([], [], 1)
    assert parse_group(group.line(), "here") == group


numbers = st.floats(-4, 4)


@st.composite
def groups(draw: st.DrawFn) -> ScoredGroup:
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    tokens = [draw(st.lists(st.integers(0, 200_000), min_size=n, max_size=n)) for n in lengths]
    masks = [[draw(st.sampled_from([t, IGNORED])) for t in one] for one in tokens]
    per_token = st.one_of(st.none(), st.just([[0.5] * n for n in lengths]))
    said = st.fixed_dictionaries({"role": st.just("user"), "content": st.text()})
    return ScoredGroup(
        tokens=tokens,
        masks=masks,
        scores=[draw(numbers) for _ in lengths],
        advantages=draw(per_token),
        inference_logprobs=draw(per_token),
        messages=draw(st.one_of(st.none(), st.just([[draw(said)] for _ in lengths]))),
        generation_params=draw(st.one_of(st.none(), st.just({"temperature": 0.7}))),
        overrides=draw(st.one_of(st.none(), st.just([{"set_advantage_to_zero": True}] * len(lengths)))),
        env_id=draw(st.one_of(st.none(), st.integers(0, 9))),
    )


@given(st.lists(groups(), max_size=5))
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, made: list[ScoredGroup]
):
    path = tmp_path_factory.mktemp("groups") / "groups.jsonl"
    assert write_groups(path, made) == len(made)
    assert list(read_groups(path)) == made
    assert [p.name for p in path.parent.iterdir()] == ["groups.jsonl"]


def test_keys_of_other_environments_are_carried_along():
    line = '{"tokens": [[1]], "masks": [[1]], "scores": [1], "difficulty": "hard"}'
    assert json.loads(parse_group(line, "here").line())["difficulty"] == "hard"


def test_null_fields_are_sent_but_for_the_logprobs_that_the_example_trainer_cannot_read_as_null():
    sent = json.loads(ScoredGroup(tokens=[[1]], masks=[[1]], scores=[1]).line())
    assert sent["overrides"] is None
    assert "inference_logprobs" not in sent


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 3: Invalid JSON"),
        ("[]", "line 3: Input should be an object"),
        ('{"tokens": [[1]], "masks": [[1]]}', "line 3: scores: Field required"),
        ('{"tokens": [[1]], "masks": [[1]], "scores": [1, 0]}', "1 sequences of tokens and 2 scores"),
        ('{"tokens": [[1], [2]], "masks": [[1]], "scores": [1, 0]}', "`masks` has 1 entries for 2 scores"),
        (
            '{"tokens": [[1, 2]], "masks": [[1]], "scores": [1]}',
            "`masks` of response 0 has 1 entries for 2 tokens",
        ),
        ('{"tokens": [[1]], "masks": [], "scores": [1]}', "tokens without masks"),
        ('{"tokens": [], "masks": [], "scores": [1]}', "0 sequences of tokens and 1 scores"),
        ('{"tokens": [[1]], "masks": [[1]], "scores": [NaN]}', "finite number"),
        ('{"tokens": [["a"]], "masks": [[1]], "scores": [1]}', "tokens.0.0: Input should be a valid integer"),
        (
            '{"tokens": [[1]], "masks": [[1]], "scores": [1], "messages": [[{"role": "user"}]]}',
            "conversation 0 has a message without `role` or `content`",
        ),
        (
            '{"tokens": [[1]], "masks": [[1]], "scores": [1], "inference_logprobs": [[0.1, 0.2]]}',
            "`inference_logprobs` of response 0 has 2 entries for 1 tokens",
        ),
    ],
)
def test_a_line_that_is_no_group_is_refused_with_its_number(tmp_path: Path, line: str, says: str):
    path = tmp_path / "groups.jsonl"
    path.write_text('{"tokens": [[1]], "masks": [[-100]], "scores": [1]}\n\n' + line + "\n")
    with pytest.raises(InputError) as caught:
        list(read_groups(path))
    assert caught.value.code == "V030"
    assert says in caught.value.message
    assert "line 3" in caught.value.message


def test_a_file_that_is_not_there_is_an_error_of_the_user(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        list(read_groups(tmp_path / "none.jsonl"))
    assert caught.value.code == "V030"


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "groups.jsonl"
    path.write_text("old\n")

    def lines():
        yield b"new"
        raise InputError("no", code="V030")

    with pytest.raises(InputError):
        write_lines(path, lines())
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["groups.jsonl"]
    with pytest.raises(OutputError):
        write_lines(tmp_path / "no" / "such" / "folder.jsonl", [])
