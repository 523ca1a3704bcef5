"""The plain measurements on prose that the embedded judge is built from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.models import prose


def test_sentences_end_where_readers_end_them():
    text = 'He came at 4.30 p.m. on foot. "Really?" she asked. Yes!\nA new line\n- an item'
    assert prose.sentences(text) == [
        "He came at 4.30 p.m. on foot.",
        '"Really?" she asked.',
        "Yes!",
        "A new line",
        "- an item",
    ]


@given(st.text(max_size=200))
def test_nothing_here_fails_on_any_text(text):
    assert all(piece.strip() for piece in prose.sentences(text))
    assert 0 <= prose.repetition(text) <= 1
    assert 0 <= prose.copied(text, text[::-1]) <= 1
    assert 0 <= prose.foreign_share(text) <= 1
    (
        prose.content_words(text),
        prose.numbers(text),
        prose.pointers(text),
        prose.unfinished(text),
        prose.asks(text),
    )


@pytest.mark.parametrize("pair", ["rise rises", "trapped traps", "volcanoes volcano", "printing printed"])
def test_forms_of_a_word_support_each_other(pair):
    one, other = pair.split()
    assert prose.supported([one], [other]) == [one] or prose.stem(one)[:4] == prose.stem(other)[:4]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What does the passage say about bees?", True),
        ("According to the text, why does bread rise?", True),
        ("Why did he climb the tower?", True),
        ("What is it made of?", True),
        ("Why does bread rise?", False),
        ("Why did Gutenberg keep his press a secret?", False),
        ("How do bees tell their sisters where flowers are?", False),
    ],
)
def test_questions_that_point_outside_themselves(question, found):
    assert bool(prose.pointers(question)) == found


@pytest.mark.parametrize(
    ("text", "breaks_off"),
    [
        ("The keeper climbed the tower at dusk.", False),
        ("The keeper climbed the tower at dusk and then he", True),
        ("Karl von Frisch", False),
        ("Three things:\n- light the lamp and wind the clockwork of the lens", False),
        ("“The keeper climbed the tower at dusk.”", False),
        ("", False),
    ],
)
def test_an_unfinished_end(text, breaks_off):
    assert prose.unfinished(text) == breaks_off


def test_repetition_and_copies():
    assert prose.repetition("so it goes " * 20) > 0.9
    assert prose.repetition("Every word in this sentence differs from all of the others.") == 0
    assert prose.copied("the cat sat", "Once the cat sat down") == 1
    assert prose.copied("a dog lay there", "Once the cat sat down") == 0
    assert prose.numbers("1,450 books in 1973.") == {"1450", "1973"}
