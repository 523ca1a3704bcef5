"""Every way in which a seed file can be wrong has a code, a place and a mend."""

import contextlib
import gzip
import os
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.errors import SeedError
from dataforge.seeds import read_seeds
from dataforge.seeds.flaw import LIMIT_BYTES

LONG = 200 * 1000 * 1000


@pytest.fixture
def refused(tmp_path):
    """Write bytes, read seeds, give back what was said: `refused("a.txt", b"...")`."""

    def said(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(SeedError) as caught:
            list(read_seeds([path], base=tmp_path))
        error = caught.value
        assert error.help, "every error says what to do"
        assert error.exit_code == 2
        return f"{error}; {error.help}"

    return said


def parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.jsonl"])
def test_bytes_that_are_not_utf8_are_told_with_their_offset_and_likely_encoding(refused, name):
    first = b"{}\n" if name == "a.jsonl" else b"it\n"
    assert refused(name, first + b"caf\xe9\n") == (
        f"error[R011]: {name}:2: not UTF-8: byte 0xe9 at offset 6 begins no character; "
        "it may be ISO-8859-1 (Latin-1); convert it to UTF-8, for example with `iconv -f ISO-8859-1 -t UTF-8`"
    )


def test_the_offset_counts_the_byte_order_mark(refused):
    assert "at offset 6" in refused("a.txt", b"\xef\xbb\xbfcaf\xe9\n")


def test_typographic_quotes_hint_at_windows(refused):
    assert "Windows-1252" in refused("a.txt", b"\x93quoted\x94")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_recognised(refused, codec):
    said = refused("a.txt", "words\nand more".encode(codec))
    assert "R011" in said
    assert "UTF-16" in said


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (gzip.compress(b"x", mtime=0), "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"%PDF-1.7", "PDF"),
        (b"PAR1", "Parquet"),
    ],
)
def test_files_of_other_kinds_under_a_text_name_are_recognised(refused, start, kind):
    said = refused("a.jsonl", start)
    assert "R011" in said
    assert kind in said


@pytest.mark.parametrize(
    "content", [b'{"text": "\\ud83d"}', b'{"te\\udc00xt": 1}', b'{"a": [{"b": "\\udfff"}]}']
)
def test_lone_surrogates_are_refused(refused, content):
    said = refused("a.jsonl", b'{"text": "\\ud83d\\ude00"}\n' + content)
    assert "R011" in said
    assert "a.jsonl:2: the text holds a lone surrogate" in said


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.jsonl", "a.csv"])
def test_a_line_of_200_mb_is_refused_without_being_read(tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.write(b"{}\n" if name == "a.jsonl" else b"text\n")
        stream.truncate(LONG)  # sparse: it takes neither time nor disk
    tracemalloc.start()
    try:
        with pytest.raises(SeedError, match=rf"R012.*{name}:2: the record is longer than 16 MiB"):
            list(read_seeds([path], base=tmp_path))
        assert tracemalloc.get_traced_memory()[1] < 3 * LIMIT_BYTES
    finally:
        tracemalloc.stop()


def test_a_compressed_line_of_200_mb_is_refused_without_being_unpacked(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(LONG >> 20):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(SeedError, match="R012"):
            list(read_seeds([path], base=tmp_path))
        assert tracemalloc.get_traced_memory()[1] < 3 * LIMIT_BYTES
    finally:
        tracemalloc.stop()


def test_records_of_many_lines_are_bounded_too(refused):
    lines = b"some words on a line of their own\n" * (LIMIT_BYTES // 30)
    assert "a.txt:1: the record is longer" in refused("a.txt", lines)
    assert "a.csv:2: the record is longer" in refused("a.csv", b'text\n"' + lines)


def test_a_row_of_parquet_is_bounded_too(refused):
    table = pa.table({"text": ["short", "x" * (LIMIT_BYTES + 1)]})
    assert "a.parquet:2: the record is longer" in refused("a.parquet", parquet(table))


@pytest.mark.parametrize(
    ("line", "place", "what"),
    [
        (b'{"text": "one"', "2:15", "not valid JSON: expecting ',' delimiter"),
        (b"{'text': 1}", "2:2", "expecting property name"),
        (b'{"text": 1} {}', "2:13", "extra data"),
        (b'{"text": "a\tb"}', "2:12", "invalid control character"),
        (b'["text"]', "2:1", "a list where an object was expected"),
        (b'"text"', "2:1", "a string where an object was expected"),
        (b"null", "2:1", "null where an object was expected"),
        (b"true", "2:1", "true or false where an object was expected"),
        (b'{"a": 1, "a": 2}', "2", 'the key "a" appears twice'),
        (b'{"in": {"a": 1, "a": 2}}', "2", 'the key "a" appears twice'),
        (b'{"a": NaN}', "2", "NaN is no JSON"),
        (b'{"a": -Infinity}', "2", "-Infinity is no JSON"),
        (b'{"a": 1e999}', "2", "a number is not finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "2", "a number has too many digits"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "2", "nested too deeply"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_lines_that_are_no_json_object_are_told_with_line_and_column(refused, line, place, what):
    said = refused("a.jsonl", b'{"text": "fine"}\n' + line + b"\n")
    assert said.startswith(f"error[R013]: a.jsonl:{place}: ")
    assert what in said


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"])
def test_an_empty_file_is_an_error(refused, name):
    assert f"error[R014]: {name}: holds no seed" in refused(name, b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b" \n\n---\n"),
        ("a.md", b"# Only a heading\n"),
        ("a.jsonl", b"\n \n"),
        ("a.csv", b"text,title\n"),
        ("a.parquet", parquet(pa.table({"text": pa.array([], pa.string())}))),
    ],
)
def test_a_file_without_records_is_an_error(refused, name, content):
    assert "R014" in refused(name, content)


def test_an_empty_file_among_full_ones_is_not_passed_over(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}')
    (tmp_path / "b.jsonl").touch()
    with pytest.raises(SeedError, match=r"R014.*b\.jsonl"):
        list(read_seeds([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], base=tmp_path))


def test_broken_parquet_is_an_error(refused):
    whole = parquet(pa.table({"text": ["word " * 50] * 1000, "n": range(1000)}))
    assert "R015" in refused("a.parquet", b"not parquet at all")
    assert "R015" in refused("a.parquet", whole[: len(whole) // 2])
    assert "R015" in refused("a.parquet", whole[:4] + bytes(200) + whole[204:])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_damage_to_a_parquet_file_escapes_as_another_error(tmp_path, data):
    content = bytearray(parquet(pa.table({"text": ["one", "two"], "n": [1, 2]})))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.parquet").write_bytes(content)
    with contextlib.suppress(SeedError):
        list(read_seeds([tmp_path / "a.parquet"], base=tmp_path))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from(["a.txt", "a.md", "a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"])
)
def test_no_bytes_whatever_escape_as_another_error(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with contextlib.suppress(SeedError):
        list(read_seeds([tmp_path / name], base=tmp_path))


def test_binary_columns_are_refused_by_name(refused):
    table = pa.table({"text": ["fine"], "image": [b"\x89PNG"]})
    assert "R011]: a.parquet:1: the column image holds bytes that are not UTF-8" in refused(
        "a.parquet", parquet(table)
    )


def test_parquet_numbers_that_json_lacks_are_refused(refused):
    assert "a.parquet:2: a number is not finite" in refused(
        "a.parquet", parquet(pa.table({"x": [1.0, float("nan")]}))
    )


def test_times_that_python_lacks_are_refused(refused):
    table = pa.table({"at": pa.array([2**60], pa.timestamp("ms"))})
    assert "R015" in refused("a.parquet", parquet(table))


def test_parquet_columns_of_one_name_are_refused(refused):
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    assert "2 columns are named text" in refused("a.parquet", parquet(table))


def test_damaged_gzip_is_an_error(refused):
    whole = gzip.compress(b'{"text": "one"}\n' * 1000)
    assert "R015" in refused("a.jsonl.gz", whole[:-20])
    assert "R015" in refused("a.jsonl.gz", b'{"text": "never compressed"}')


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"text,title\none\n", "a.csv:2: 1 value where the first row has 2"),
        (b"text,title\none,two\n\nx,y,z\n", "a.csv:4: 3 values where the first row has 2"),
        (b"text,\none,two\n", "a.csv:1: a column has no name"),
        (b"text,text\none,two\n", "a.csv:1: 2 columns are named text"),
        (b"text;title\none;two\n", "a.csv:1: the columns seem to be separated by semicolons"),
        (b"text\ttitle\none\ttwo\n", "a.csv:1: the columns seem to be separated by tabs"),
        (b"It was a long story. " * 20, "a.csv:1: the first row reads like a record"),
        (b'text\n"never closed\nmore\n', "a.csv:2: not valid CSV: unexpected end of data"),
        (b'text\n"a"b\n', "a.csv:2: not valid CSV"),
        (b"text\rone\rtwo", "a.csv:1: not valid CSV"),
    ],
)
def test_tables_that_are_not_square_are_told_with_the_line(refused, content, what):
    assert f"error[R016]: {what}" in refused("a.csv", content)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(SeedError, match=r"R010.*permission denied"):
        list(read_seeds([path], base=tmp_path))


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(SeedError, match=r"R010.*a\.jsonl: cannot be read: is a directory"):
        list(read_seeds([tmp_path / "a.jsonl"], base=tmp_path))


def test_what_came_before_a_flaw_was_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n{"n": 2}\noops\n')
    seeds = read_seeds([tmp_path / "a.jsonl"], base=tmp_path)
    assert [next(seeds).fields["n"], next(seeds).fields["n"]] == [1, 2]
    with pytest.raises(SeedError):
        next(seeds)
