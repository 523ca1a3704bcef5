"""What is written in a format comes back when it is read."""

import csv
import datetime
import decimal
import gzip
import json
import string
import tracemalloc
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.seeds import read_seeds

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NAME = st.text(string.ascii_letters, min_size=1, max_size=8)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALAR | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OVER_FILES = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture
def read(tmp_path):
    """Write bytes, read seeds: `read("a.txt", b"...")` gives [(position, fields), …]."""

    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        seeds = read_seeds([path], base=tmp_path)
        return [(int(seed.source.rpartition(":")[2]), seed.fields) for seed in seeds]

    return written


def fields(seeds):
    return [fields for _, fields in seeds]


@OVER_FILES
@given(
    st.lists(st.dictionaries(TEXT, JSON, max_size=4), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_jsonl_round_trip(read, rows, ascii_only, zipped, line_break, mark):
    content = mark + line_break.join(json.dumps(row, ensure_ascii=ascii_only).encode() for row in rows)
    seeds = read("a.jsonl.gz", gzip.compress(content, 1)) if zipped else read("a.jsonl", content)
    assert seeds == list(enumerate(rows, 1))


@OVER_FILES
@given(
    st.lists(NAME, min_size=1, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(
            st.just(names),
            st.lists(st.lists(TEXT, min_size=len(names), max_size=len(names)), min_size=1, max_size=5),
        )
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_csv_round_trip(read, tmp_path, table, line_break, mark):
    names, rows = table
    with (tmp_path / "w.csv").open("w", newline="", encoding="utf-8") as stream:
        stream.write(mark)
        csv.writer(stream, lineterminator=line_break, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    seeds = read("a.csv", (tmp_path / "w.csv").read_bytes())
    line_feeds = [[value.replace("\r\n", "\n") for value in row] for row in rows]
    assert fields(seeds) == [dict(zip(names, row, strict=True)) for row in line_feeds]


@OVER_FILES
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": TEXT,
                "number": st.none() | st.integers(-(2**63), 2**63 - 1),
                "score": st.floats(allow_nan=False, allow_infinity=False),
                "flag": st.booleans(),
                "tags": st.lists(TEXT, max_size=3),
                "inner": st.fixed_dictionaries({"a": TEXT, "b": st.none() | st.booleans()}),
            }
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["snappy", "zstd", "none"]),
)
def test_parquet_round_trip(read, rows, compression):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression=compression)
    assert read("a.parquet", sink.getvalue().to_pybytes()) == list(enumerate(rows, 1))


def test_parquet_values_become_json_values(read):
    noon = datetime.datetime(2024, 5, 6, 12, 0, 0, 250, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "day": pa.array([noon.date()]),
            "moment": pa.array([noon], pa.timestamp("us", "UTC")),
            "nanoseconds": pa.array([1_000_000_001], pa.timestamp("ns")),
            "many": pa.array([[1_000_000_001]], pa.list_(pa.timestamp("ns"))),
            "inner": pa.array([{"at": 1_000_000_001}], pa.struct([("at", pa.timestamp("ns"))])),
            "clock": pa.array([datetime.time(9, 30)]),
            "lasting": pa.array([datetime.timedelta(seconds=90)]),
            "price": pa.array([decimal.Decimal("1.50")]),
            "raw": pa.array(["naïve".encode()]),
            "coded": pa.array(["red"]).dictionary_encode(),
            "small": pa.array([1.5], pa.float32()),
            "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
            "nothing": pa.nulls(1),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    assert fields(read("a.parquet", sink.getvalue().to_pybytes())) == [
        {
            "day": "2024-05-06",
            "moment": "2024-05-06T12:00:00.000250+00:00",
            "nanoseconds": "1970-01-01T00:00:01",
            "many": ["1970-01-01T00:00:01"],
            "inner": {"at": "1970-01-01T00:00:01"},
            "clock": "09:30:00",
            "lasting": 90.0,
            "price": "1.50",
            "raw": "naïve",
            "coded": "red",
            "small": 1.5,
            "pairs": [["k", 1]],
            "nothing": None,
        }
    ]


@pytest.mark.skipif(not hasattr(pa, "uuid"), reason="this pyarrow reads UUIDs as bytes")
def test_uuids_become_strings(read):
    name = uuid.uuid5(uuid.NAMESPACE_DNS, "example.org")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": pa.array([name.bytes], pa.uuid())}), sink)
    assert fields(read("a.parquet", sink.getvalue().to_pybytes())) == [{"id": str(name)}]


def test_rows_of_later_row_groups_keep_counting(read):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"row {n}" for n in range(1, 301)]}), sink, row_group_size=70)
    seeds = read("a.parquet", sink.getvalue().to_pybytes())
    assert seeds == [(n, {"text": f"row {n}"}) for n in range(1, 301)]


def test_blank_lines_separate_blocks_of_text(read):
    assert read("a.txt", b"\n\none\nstill one\n\n \t\ntwo\n") == [
        (3, {"text": "one\nstill one"}),
        (7, {"text": "two"}),
    ]


def test_where_a_rule_stands_only_rules_separate(read):
    content = b"one\n\nstill one\n---\n\n---\n\ntwo\n --- \n\n"
    assert read("a.txt", content) == [(1, {"text": "one\n\nstill one"}), (8, {"text": "two\n ---"})]


def test_a_byte_order_mark_and_crlf_leave_no_trace(read):
    assert read("a.txt", b"\xef\xbb\xbfone\r\n---\r\ntwo\r\n") == [(1, {"text": "one"}), (3, {"text": "two"})]


def test_a_heading_that_opens_a_block_of_markdown_is_its_title(read):
    content = (
        b"# Whales #\nThey are large.\n---\nNo heading.\n\n## not at the start\n---\n#hashtag, no heading"
    )
    assert fields(read("a.md", content)) == [
        {"text": "They are large.", "title": "Whales"},
        {"text": "No heading.\n\n## not at the start", "title": "Whales"},
        {"text": "#hashtag, no heading", "title": "Whales"},
    ]


def test_a_heading_that_stands_alone_titles_what_follows_it(read):
    assert read("a.md", b"Before.\n\n# Whales\n\nOne.\n\nTwo.\n\n# Fish\n\nThree.") == [
        (1, {"text": "Before."}),
        (5, {"text": "One.", "title": "Whales"}),
        (7, {"text": "Two.", "title": "Whales"}),
        (11, {"text": "Three.", "title": "Fish"}),
    ]


def test_plain_text_has_no_headings(read):
    assert fields(read("a.txt", b"# one\ntwo")) == [{"text": "# one\ntwo"}]


def test_a_long_value_is_no_obstacle_to_csv(read):
    long = "word " * 100_000
    assert fields(read("a.csv", f"text\n{long}\n".encode())) == [{"text": long}]


def test_csv_positions_are_the_lines_where_records_begin(read):
    content = b'\ntext,title\n"two\nlines",a\n\none,b\n'
    assert [position for position, _ in read("a.csv", content)] == [3, 6]


def test_a_large_file_is_read_in_small_memory(tmp_path):
    line = json.dumps({"text": "word " * 200}) + "\n"
    with (tmp_path / "large.jsonl").open("w") as stream:
        stream.writelines(line for _ in range(20_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_seeds([tmp_path / "large.jsonl"], base=tmp_path)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
