"""The built-in tokenizer counts what its definition says, however it gets there."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dataforge.domain.measures import simple_tokens


@given(st.text(st.characters(max_codepoint=127)) | st.text())
def test_simple_tokens_are_runs_of_eight_word_characters_and_single_marks(text: str) -> None:
    assert simple_tokens(text) == len(re.findall(r"\w{1,8}|[^\w\s]", text))
