"""Content keys: the same for the same call, whichever way it is written down."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from dataforge.models.client import ChatRequest, Sampling
from schemas.chat import Message

texts = st.text() | st.just("half a pair \ud83d") | st.just("\x00\x7f\u2028é")
# Numbers as people write them: the two writers differ in how they give the exponents of others.
numbers = st.integers(-(2**70), 2**70) | st.integers(-9999, 9999).map(lambda n: n / 100)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def requests(draw):
    made = st.builds(Message, role=st.sampled_from(["user", "assistant"]), content=texts)
    return ChatRequest(
        tuple(draw(st.lists(made, max_size=3))),
        Sampling(draw(st.sampled_from([None, 0.0, 0.7, 1.0])), None, draw(st.none() | st.integers(1, 9))),
        draw(st.sampled_from(["on", "off", "auto"])),
        draw(st.none() | st.dictionaries(texts, values, max_size=4)),
        draw(st.integers(0, 5000)),
    )


@given(requests(), st.sampled_from(["w", "ü"]))
def test_a_key_is_the_hash_of_plain_canonical_json(request, weights):
    payload = {
        "weights": weights,
        "messages": [m.wire() for m in request.messages],
        "sampling": request.sampling.listed(),
        "thinking": request.thinking,
        "schema": request.schema,
        "attempt": request.attempt,
    }
    text = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    expected = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    assert request.key(weights) == expected


@given(requests(), requests())
def test_other_calls_have_other_keys(one, other):
    assert (one.key("w") == other.key("w")) == (one == other)
    assert one.key("w") != one.key("v")
