"""A seed is known by what it says, wherever it stands."""

import dataclasses
import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.seeds import Seed, read_seeds
from dataforge.seeds.seed import identify

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_id_is_stable_for_ever():
    assert identify({"text": "Æther", "n": 1}) == "280e4e1a235857cf4150117f706232ee"


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_order_of_keys_does_not_change_the_id(fields):
    assert identify(fields) == identify(dict(reversed(fields.items())))


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_ids_are_equal_only_where_the_canonical_json_is(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (identify(one) == identify(other)) is same


def test_moving_a_record_keeps_its_id_and_changes_its_source(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "zero"}\n\n{"text": "one"}\n')
    first, _, moved = read_seeds([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], base=tmp_path)
    assert first.id == moved.id
    assert (first.source, moved.source) == ("a.jsonl:1", "b.jsonl:3")


def test_a_seed_is_frozen_hashable_and_travels_between_processes():
    seed = Seed("00", "a.jsonl:1", {"text": "one"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        seed.id = "11"
    assert {seed} == {pickle.loads(pickle.dumps(seed))}


def test_importing_seeds_loads_no_format():
    code = (
        "import sys, dataforge.seeds; print([m for m in ('pyarrow', 'pandas', 'numpy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_reading_jsonl_does_not_load_pyarrow(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    code = (
        "import sys, pathlib, dataforge.seeds as s; b = pathlib.Path(sys.argv[1]);"
        "print(s.count(s.expand(['.'], b), base=b), 'pyarrow' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "False"]
