"""Pairs and groups from a corpus: who belongs together, who is a loser, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import InputError, OutputError
from dataforge.interop.export import Exported, ExportOptions, export
from dataforge.interop.groups import read_groups
from dataforge.interop.preferences import pairs
from dataforge.interop.siblings import Sample, score_of
from schemas.corpus import Row, VerdictLine
from tests.interop.adding import byte_tokens
from tests.interop.rejection_corpus import call, corpus, final


def written(directory: Path, to: str, **options: Any) -> tuple[Exported, list[dict[str, Any]]]:
    out = directory.parent / f"{to}.jsonl"
    done = export(directory, out, ExportOptions(to, **options))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert done.written == len(lines)
    assert [p.name for p in out.parent.iterdir() if p.name.startswith(".")] == []
    return done, lines


def said(messages: list[dict[str, Any]]) -> str:
    return str(messages[-1]["content"])


def two_seeds(tmp_path: Path) -> Path:
    winner = call("1+1", "It is two, as one and one are.")
    return corpus(
        tmp_path / "corpus",
        [
            [
                final(winner),
                winner,
                call("1+1", "Three, I would say.", 0.0, lost="R111"),
                call("1+1", "Five.", 0.0, lost="R111"),
            ],
            [call("2+2", "Perhaps nine.", 0.0, lost="R111")],
            [call("3+3", "Certainly six.")],
        ],
    )


def test_a_winner_is_paired_with_a_loser_of_its_prompt(tmp_path: Path):
    done, (pair,) = written(two_seeds(tmp_path), "preference")
    assert pair == {
        "prompt": [{"role": "system", "content": "Add."}, {"role": "user", "content": "What is 1+1?"}],
        "chosen": [{"role": "assistant", "content": "It is two, as one and one are."}],
        "rejected": [{"role": "assistant", "content": "Three, I would say."}],
    }
    assert (done.prompts, done.left_out) == (1, {})


def test_seed_node_and_prompt_must_be_the_same(tmp_path: Path):
    directory = corpus(
        tmp_path / "corpus",
        [
            [
                call("s", "right"),
                call("s", "another prompt", 0.0, prompt="Else?", lost="R111"),
                call("s", "another node", 0.0, node="Other", lost="R111"),
            ],
            [call("t", "another seed", 0.0, prompt="What is s?", lost="R111")],
        ],
    )
    with pytest.raises(InputError) as caught:
        written(directory, "preference")
    assert (caught.value.code, "no prompt has both" in caught.value.message) == ("V034", True)
    assert not (tmp_path / "preference.jsonl").exists()


@pytest.mark.parametrize("code", ["R112", "R101", "R113"])
def test_a_sample_that_nobody_judged_wrong_is_no_loser(tmp_path: Path, code: str):
    directory = corpus(tmp_path / "corpus", [[call("s", "right"), call("s", "unjudged", None, lost=code)]])
    with pytest.raises(InputError):
        written(directory, "preference")


def test_a_rejected_final_sample_is_no_loser(tmp_path: Path):
    lost = call("s", "wrong answer here", 0.0, lost="R111")
    directory = corpus(tmp_path / "corpus", [[call("s", "right")], [final(lost)]])
    with pytest.raises(InputError):
        written(directory, "preference")


def test_the_best_is_paired_with_the_worst(tmp_path: Path):
    rows = [
        call("s", "good enough", 0.8),
        call("s", "the very best", 1.0),
        call("s", "nearly right", 0.6, lost="R111"),
        call("s", "all wrong", 0.1, lost="R111"),
    ]
    _, (pair,) = written(corpus(tmp_path / "corpus", [rows]), "preference")
    assert (said(pair["chosen"]), said(pair["rejected"])) == ("the very best", "all wrong")


@pytest.mark.parametrize(("winning", "losing"), [("ab", "xyz"), ("abc", "xy")])
def test_all_pairs_use_every_answer_before_any_twice(tmp_path: Path, winning: str, losing: str):
    rows = [
        *(call("s", f"winner {w}") for w in winning),
        *(call("s", f"loser {w}", 0.0, lost="R111") for w in losing),
    ]
    directory = corpus(tmp_path / "corpus", [rows])
    _, some = written(directory, "preference", pairs="all", max_pairs=3)
    assert {said(p["rejected"])[-1] for p in some} == set(losing)
    assert {said(p["chosen"])[-1] for p in some} == set(winning)
    _, every = written(directory, "preference", pairs="all", max_pairs=99)
    assert len({(said(p["chosen"]), said(p["rejected"])) for p in every}) == len(every) == 6


def test_pairs_that_say_nearly_the_same_are_left_out(tmp_path: Path):
    text = (
        "we add one to one and so on and see that what comes of it in the end is a number that is called {}"
    )
    rows = [
        call("s", text.format("two")),
        call("s", text.format("TWO!"), 0.0, lost="R111"),
        call("s", "Something else.", 0.0, lost="R111"),
    ]
    done, (pair,) = written(corpus(tmp_path / "corpus", [rows]), "preference", pairs="all")
    assert said(pair["rejected"]) == "Something else."
    assert done.left_out == {"pairs that say nearly the same": 1}
    with pytest.raises(InputError) as caught:
        written(corpus(tmp_path / "alike", [rows[:2]]), "preference")
    assert "nearly the same" in caught.value.message


def test_answers_that_differ_in_their_thinking_alone_are_no_duplicates(tmp_path: Path):
    rows = [
        call("s", "4", reasoning="two and two are four"),
        call("s", "4", 0.0, reasoning="a guess", lost="R111"),
    ]
    directory = corpus(tmp_path / "corpus", [rows])
    _, (pair,) = written(directory, "preference")
    assert pair["chosen"][0]["reasoning_content"] == "two and two are four"
    _, (pair,) = written(directory, "preference", thinking="inline")
    assert pair["rejected"] == [{"role": "assistant", "content": "<think>\na guess\n</think>\n\n4"}]


def test_pairs_come_in_the_order_of_the_corpus_however_it_is_sharded(tmp_path: Path):
    def rows(number: int) -> list[Row]:
        seed = f"seed {number}"
        lost = call(seed, f"wrong {number}", 0.0, lost="R111")
        return [lost] if number % 4 == 3 else [call(seed, f"right {number}"), lost]

    found = []
    for shard_rows in (1, 2, 7, 100):
        directory = corpus(tmp_path / f"c{shard_rows}", [rows(n) for n in range(23)], shard_rows)
        found.append(written(directory, "preference")[1])
    assert all(one == found[0] for one in found)
    assert [said(p["chosen"]) for p in found[0]] == [f"right {n}" for n in range(23) if n % 4 != 3]


def test_groups_hold_every_scored_sample_of_a_prompt(tmp_path: Path):
    directory = two_seeds(tmp_path)
    done, _ = written(directory, "groups", tokenise=byte_tokens)
    groups = list(read_groups(tmp_path / "groups.jsonl"))
    assert [g.scores for g in groups] == [[1.0, 0.0, 0.0], [0.0], [1.0]]
    assert done.prompts == 3
    first = groups[0]
    for tokens, masks, messages in zip(first.tokens, first.masks, first.messages or (), strict=True):
        answer = messages[-1]["content"].encode() + b"\0"
        assert bytes(t for t, m in zip(tokens, masks, strict=True) if m != -100) == answer
    _, untokenised = written(directory, "groups")
    assert [g["tokens"] for g in untokenised] == [[], [], []]


def test_a_group_that_the_tokenizer_refuses_is_counted(tmp_path: Path):
    def refuses(messages: Any, tools: Any, ended: bool) -> Any:
        if "six" in messages[-1].content:
            raise InputError("no", code="T005")
        return byte_tokens(messages, tools, ended)

    done, lines = written(two_seeds(tmp_path), "groups", tokenise=refuses)
    assert (len(lines), done.left_out) == (2, {"groups that the tokenizer cannot render (T005)": 1})


def test_scores_are_the_verifiers_and_not_the_judges(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dataforge.interop.siblings.names", lambda: ("sums", "format"))

    def line(criterion: str, score: float, node: str = "Solve") -> VerdictLine:
        return VerdictLine(node=node, criterion=criterion, score=score, reason="", round=0)

    assert score_of(call("s", "x", 1.0, more=[line("style", 0.2), line("sums", 0.0, "Other")])) == 1.0
    assert score_of(call("s", "x", 1.0, more=[line("format", 0.5)])) == 0.75
    assert score_of(call("s", "x", None)) is None
    # A verifier that is not installed here is known by its scale alone.
    assert score_of(call("s", "x", None, more=[line("elsewhere", 0.3), line("style", 4.0)])) == 0.3


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, 0.0, 0.5, 1.0])), max_size=7), st.integers(1, 9)
)
def test_a_pair_is_always_a_winner_and_a_loser_and_comes_once(drawn: list[tuple[bool, Any]], most: int):
    samples = [
        Sample(call("s", f"answer {n}", lost=None if won else "R111"), won, score)
        for n, (won, score) in enumerate(drawn)
    ]
    found, alike = pairs(samples, "all", most)
    winners, losers = sum(s.won for s in samples), sum(not s.won for s in samples)
    assert alike == 0
    assert len(found) == min(most, winners * losers)
    assert all(w.won and not lo.won for w, lo in found)
    assert len({(w.text, lo.text) for w, lo in found}) == len(found)


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path):
    out = tmp_path / "preference.jsonl"
    out.write_text("old\n")
    directory = corpus(tmp_path / "corpus", [[call("s", "right")]])
    with pytest.raises(InputError):
        export(directory, out, ExportOptions("preference"))
    assert out.read_text() == "old\n"
    with pytest.raises(OutputError) as caught:
        export(tmp_path / "none", out, ExportOptions("jsonl"))
    assert caught.value.code == "R023"


def test_thousands_of_prompts_stay_on_the_disk(tmp_path: Path):
    """What is in memory does not grow with the corpus: a quarter of it and all of it peak alike."""
    import tracemalloc

    peaks = []
    for count in (200, 800):
        rows = [
            [
                call(f"s{n}", f"right {n} " + "x" * 500),
                call(f"s{n}", f"wrong {n} " + "y" * 500, 0.0, lost="R111"),
            ]
            for n in range(count)
        ]
        directory = corpus(tmp_path / f"c{count}", rows, 100)
        del rows
        tracemalloc.start()
        done = export(directory, tmp_path / f"{count}.jsonl", ExportOptions("preference"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.written == count
    assert peaks[1] < 1.5 * peaks[0] + 1_000_000, peaks
