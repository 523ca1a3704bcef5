"""Laws of the mix, and what tuning refuses before its first step."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import InputError
from trainer.config import Config, load
from trainer.conversations import Conversations
from trainer.length.tune import ROWS, Mix, _enough, mix, shares, tune
from trainer.samples import Conversation
from trainer.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def masked(number: int, thinking: str = "so it is", **more: Any) -> dict[str, Any]:
    return {**ordinary(number, thinking), "id": f"m{number}", "mask": "tag", **more}


def ordinary(number: int, thinking: str = "hm") -> dict[str, Any]:
    turn = {"role": "assistant", "content": f"answer: {number}", "reasoning_content": thinking}
    return {"id": f"o{number}", "messages": [{"role": "user", "content": "Well?"}, turn], "thinking": "on"}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@contextmanager
def sources(tagged: int, plain: int) -> Iterator[tuple[Path, Path, Path]]:
    """A folder, with a file of masked and one of ordinary rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield (
            folder,
            written(folder / "masked.jsonl", [masked(n, "so it is " * n) for n in range(1, tagged + 1)]),
            written(folder / "ordinary.jsonl", [ordinary(n) for n in range(1, plain + 1)]),
        )


def rows(folder: Path) -> list[Conversation]:
    return list(Conversations([str(folder)], ("final",)))


counts = st.integers(1, 12)
parts = st.floats(0, 0.9)


@settings(max_examples=40, deadline=None)
@given(tagged=counts, share=parts, spare=st.integers(0, 5), seed=st.integers(0, 99))
def test_the_share_is_kept_within_one_sample_and_no_row_is_lost_or_there_twice(
    tagged: int, share: float, spare: int, seed: int
) -> None:
    plain = Mix((), (), share).needed(tagged) + spare
    with sources(tagged, max(plain, 1)) as (folder, with_mask, without):
        told = mix(Mix((with_mask,), (without,), share, seed=seed), folder / "rows", TOKENIZER)
        found = rows(folder / "rows")
        first = [row for row in found if row.mask]
        rest = [row for row in found if not row.mask]
        assert first == list(Conversations([str(with_mask)], ("final",)))
        pool = {row.id: row for row in Conversations([str(without)], ("final",))}
        assert len({row.id for row in rest}) == len(rest)
        assert all(row == pool[row.id] for row in rest)
        assert abs(len(rest) - share * len(found)) < 1
        assert (told["masked"], told["ordinary"]) == (len(first), len(rest))


def test_the_draw_is_that_of_its_seed_and_reaches_every_row() -> None:
    with sources(3, 9) as (folder, with_mask, without):

        def drawn(seed: int, name: str) -> tuple[bytes, set[str]]:
            mix(Mix((with_mask,), (without,), 0.5, seed=seed), folder / name, TOKENIZER)
            return (folder / name / ROWS).read_bytes(), {r.id for r in rows(folder / name) if not r.mask}

        assert drawn(1, "a") == drawn(1, "b")
        by_seed = [drawn(seed, f"seed-{seed}")[1] for seed in range(12)]
        assert set.union(*by_seed) == {f"o{n}" for n in range(1, 10)}
        assert len({frozenset(each) for each in by_seed}) > 6


def test_rows_come_through_with_all_that_training_reads(tmp_path: Path) -> None:
    """Tools, calls, history, modes and windows: the mix is read as its sources were."""
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    talk = [
        {"role": "system", "content": "é\n"},
        {"role": "user", "content": "1+?"},
        {"role": "assistant", "content": "", "tool_calls": [call], "train": False},
        {"role": "tool", "content": "2", "tool_call_id": "1"},
        {"role": "assistant", "content": "2", "train": True},
    ]
    with_mask = written(tmp_path / "m.jsonl", [masked(1, mask="window:2", budget=8)])
    without = written(
        tmp_path / "o.jsonl", [{"id": "t", "messages": talk, "tools": [tool], "thinking": "off"}]
    )
    mix(Mix((with_mask,), (without,), 0.5), tmp_path / "rows", TOKENIZER)
    apart = [*Conversations([str(with_mask), str(without)], ("final",))]
    assert rows(tmp_path / "rows") == apart
    assert (apart[0].mask, apart[0].budget, apart[1].thinking) == ("window:2", 8, "off")


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    inline=st.booleans(),
    budgets=st.lists(st.sampled_from([4, 9, 20, None]), min_size=1, max_size=2),
    seed=st.integers(0, 99),
)
def test_what_thinks_past_the_longest_budget_is_not_drawn(
    words: list[int], inline: bool, budgets: list[int | None], seed: int
) -> None:
    limit = max((budget for budget in budgets if budget is not None), default=None)
    thoughts = {f"o{n}": "hm " * many for n, many in enumerate(words)}
    plain = [ordinary(n, text) for n, text in enumerate(thoughts.values())]
    if inline:
        for row in plain:
            turn = row["messages"][1]
            turn["content"] = f"<think>\n{turn.pop('reasoning_content')}\n</think>\n\n{turn['content']}"
    fits = {
        name
        for name, text in thoughts.items()
        if limit is None or len(TOKENIZER.encode(text.strip(), add_special_tokens=False)) <= limit
    }
    with sources(1, 1) as (folder, _, _):
        tagged = [masked(n, budget=budget) for n, budget in enumerate(budgets)]
        plan = Mix(
            (written(folder / "m.jsonl", tagged),), (written(folder / "o.jsonl", plain),), 0.5, seed=seed
        )
        if len(fits) < len(budgets):
            told = f"there are {len(fits)}"
            told += f" besides {len(plain) - len(fits)} that think past" if len(fits) < len(plain) else ""
            with pytest.raises(InputError, match=told):
                mix(plan, folder / "rows", TOKENIZER)
            return
        manifest = mix(plan, folder / "rows", TOKENIZER)
        drawn = {row.id for row in rows(folder / "rows") if not row.mask}
        assert len(drawn) == len(budgets)
        assert drawn <= fits
        assert (manifest["of_ordinary"], manifest["too_long"]) == (len(fits), len(plain) - len(fits))


def test_too_few_ordinary_rows_are_told_with_a_share_that_would_do() -> None:
    with sources(8, 3) as (folder, with_mask, without):
        with pytest.raises(InputError, match="takes 8 ordinary ones, and there are 3") as refused:
            mix(Mix((with_mask,), (without,), 0.5), folder / "rows", TOKENIZER)
        assert refused.value.code == "L001"
        offered = float(re.findall(r"a share of (\S+):", str(refused.value.help))[0])
        assert mix(Mix((with_mask,), (without,), offered), folder / "rows", TOKENIZER)["ordinary"] == 3


@given(masked=st.integers(1, 10**6), ordinary=st.integers(0, 10**6))
def test_a_share_that_is_offered_does_and_wastes_little(masked: int, ordinary: int) -> None:
    offered = _enough(masked, ordinary)
    assert Mix((), (), offered).needed(masked) <= ordinary
    assert ordinary / (masked + ordinary) - offered < 0.0011


def test_rows_that_would_count_double_are_refused() -> None:
    with sources(3, 6) as (folder, with_mask, without):
        copy = folder / "copy.jsonl"
        copy.write_bytes(without.read_bytes())
        other = written(folder / "other.jsonl", [masked(2, "of the same trace", mask="answer"), masked(9)])
        for plan, what in (
            (Mix((with_mask, with_mask), (without,)), "masked.jsonl are named twice"),
            (Mix((with_mask,), (without, copy)), "copy.jsonl are named twice"),
            (Mix((with_mask, other), (without,)), "row m2: is there twice"),
        ):
            with pytest.raises(InputError, match=what) as refused:
                mix(plan, folder / "rows", TOKENIZER)
            assert refused.value.code == "L001"


def test_a_share_of_nothing_is_refused() -> None:
    with sources(2, 1) as (folder, with_mask, _):
        with pytest.raises(InputError, match=r"0\.5, and none are named") as refused:
            mix(Mix((with_mask,), (), 0.5), folder / "rows", TOKENIZER)
        assert refused.value.code == "L001"
        assert mix(Mix((with_mask,), (), 0.0), folder / "rows", TOKENIZER)["ordinary"] == 0


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="share of ordinary samples") as refused:
        mix(Mix((), (), share), tmp_path / "rows", TOKENIZER)
    assert refused.value.code == "L001"
    assert not (tmp_path / "rows").exists()


def test_masked_and_ordinary_rows_are_not_taken_for_each_other() -> None:
    with sources(2, 4) as (folder, with_mask, without):
        with pytest.raises(InputError, match="o1: has no mask") as plain:
            mix(Mix((without,), (with_mask,), 0.5), folder / "rows", TOKENIZER)
        with pytest.raises(InputError, match="m1: has the mask `tag`") as tagged:
            mix(Mix((with_mask,), (with_mask,), 0.5), folder / "rows", TOKENIZER)
        assert plain.value.code == tagged.value.code == "L006"
        # Nothing of it is in the way of the right command.
        assert mix(Mix((with_mask,), (without,), 0.5), folder / "rows", TOKENIZER)["ordinary"] == 2


def test_a_folder_keeps_its_mix() -> None:
    with sources(2, 4) as (folder, with_mask, without):
        plan = Mix((with_mask,), (without,), 0.5)
        told = mix(plan, folder / "rows", TOKENIZER)
        before = (folder / "rows" / ROWS).stat()
        assert mix(plan, folder / "rows", TOKENIZER) == told
        for other, what in ((replace(plan, share=0.25), "`share` is 0.5"), (replace(plan, seed=4), "`seed`")):
            with pytest.raises(InputError, match=what) as refused:
                mix(other, folder / "rows", TOKENIZER)
            assert refused.value.code == "L007"
        written(with_mask, [masked(7)])
        with pytest.raises(InputError, match="other masked rows") as refused:
            mix(plan, folder / "rows", TOKENIZER)
        assert refused.value.code == "L007"
        assert (folder / "rows" / ROWS).stat().st_mtime_ns == before.st_mtime_ns


def tiny(*sets: str) -> Config:
    return load("tiny", sets=["train.steps=2", "train.rows=2", "data.context=64", *sets])


def test_a_row_must_hold_every_masked_sample_whole() -> None:
    """The context that the error names is the least that works; ordinary samples that are longer are left out, and said."""
    with sources(6, 4) as (folder, with_mask, _):
        plan = Mix(
            (with_mask,), (written(folder / "long.jsonl", [ordinary(1), ordinary(2, "x" * 300)]),), 0.25
        )
        with pytest.raises(InputError, match="of 6 masked samples are longer than a row") as refused:
            tune(tiny(), plan, folder / "out")
        assert refused.value.code == "L001"
        assert not (folder / "out" / "checkpoints").exists()
        named = int(str(refused.value.help).partition(";")[0].rpartition("=")[2])
        with pytest.raises(InputError, match="1 of 6 masked samples") as refused:
            tune(tiny(f"data.context={named - 1}"), plan, folder / "out")
        said: list[str] = []
        summary = tune(tiny(f"data.context={named}"), plan, folder / "out", tell=said.append)
        assert summary["steps"] == 2
        told = summary["mix"]
        assert told["masked"]["samples"] == 6
        # The tag and the end of the turn, a token each.
        assert told["masked"]["trained"] == 12
        assert told["ordinary"]["samples"] + told["left_out"].get("overlong", 0) == 2
        assert said == [shares(told)]
        assert "6 masked" in said[0]
        assert "out of the draw" not in said[0]


def test_what_was_not_drawn_from_is_said_before_training() -> None:
    with sources(1, 1) as (folder, _, _):
        told = tiny("data.context=128")
        plan = Mix(
            (written(folder / "m.jsonl", [masked(1, "a b c", budget=budget_of("a b c"))]),),
            (written(folder / "o.jsonl", [ordinary(1), ordinary(2, "and so on " * 5)]),),
        )
        said: list[str] = []
        tune(told, plan, folder / "out", tell=said.append)
        assert said[0].endswith(f"; left out of the draw, thinking past {budget_of('a b c')} tokens: 1")


def budget_of(text: str) -> int:
    return len(TOKENIZER.encode(text, add_special_tokens=False))


@pytest.mark.parametrize("policy", ["cut", "split"])
def test_masked_samples_are_never_cut(policy: str) -> None:
    with sources(2, 4) as (folder, with_mask, without):
        with pytest.raises(InputError, match="has lost its tag") as refused:
            tune(tiny(f"data.overlong={policy}"), Mix((with_mask,), (without,), 0.5), folder / "out")
        assert refused.value.code == "L001"
