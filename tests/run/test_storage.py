"""What every storage promises, on a folder and in an object store alike; and what a crash on a disk leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import OutputError, StorageError
from dataforge.run.storage import LocalStorage, RemoteStorage, Storage, open_storage, storing

PARTS = st.text("abz019_.-", min_size=1, max_size=4).filter(
    lambda part: part.strip(".") and not (part[0] == "." and part.endswith(".tmp"))
)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@pytest.fixture(params=["folder", "url", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    place = {
        "folder": str(tmp_path / "new" / "out"),
        "url": (tmp_path / "with space").as_uri(),
        "memory": f"memory://{uuid.uuid4().hex}/out",
    }
    return open_storage(place[request.param])


def test_what_is_put_is_read_got_named_and_removed(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"rows")
    storage.put(source, "shards/00001/train.parquet")
    storage.put_bytes("shards.json", b"{}")
    storage.get("shards/00001/train.parquet", tmp_path / "scratch" / "copy")

    assert (tmp_path / "scratch" / "copy").read_bytes() == b"rows"
    assert source.read_bytes() == b"rows"
    assert storage.read("shards.json") == b"{}"
    assert storage.names() == ["shards.json", "shards/00001/train.parquet"]
    assert storage.names("shards/") == ["shards/00001/train.parquet"]
    assert storage.names("shards/0000") == ["shards/00001/train.parquet"]
    assert storage.names("shards/00002/") == []
    storage.remove("shards.json")
    storage.remove("shards.json")
    assert storage.read("shards.json") is None


def test_what_was_never_stored(storage: Storage, tmp_path: Path) -> None:
    assert storage.names() == []
    assert storage.read("nothing") is None
    with pytest.raises(StorageError, match="cannot be read"):
        storage.get("nothing", tmp_path / "target")
    with pytest.raises((StorageError, OutputError)):
        storage.put(tmp_path / "nothing", "name")
    assert list(tmp_path.rglob("*target*")) == []
    assert storage.names() == []


def test_a_new_file_replaces_the_old_one_and_copies_stay_as_they_are(
    storage: Storage, tmp_path: Path
) -> None:
    for text in (b"old", b"new", b"new"):
        source = tmp_path / f"source-{text.decode()}"
        source.write_bytes(text)
        storage.put(source, "a")
    storage.put(source, "a")  # the very file that is stored already
    storage.get("a", tmp_path / "copy")
    storage.put_bytes("a", b"newest")
    assert storage.read("a") == b"newest"
    assert (tmp_path / "copy").read_bytes() == b"new"
    assert storage.names() == ["a"]


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", "", ".", "a//b", "a/", "a\\b", "a\0b"])
def test_a_name_stays_below_its_root(storage: Storage, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"")
    for ask in (
        lambda: storage.put(source, name),
        lambda: storage.put_bytes(name, b""),
        lambda: storage.read(name),
        lambda: storage.get(name, tmp_path / "target"),
        lambda: storage.remove(name),
    ):
        with pytest.raises(StorageError, match="no name"):
            ask()


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=8), max_size=6), st.text("abz019_.-/", max_size=5))
def test_a_folder_and_a_bucket_hold_the_same(files: dict[str, bytes], prefix: str) -> None:
    # A name cannot be a file and a folder at once on a disk.
    files = {n: data for n, data in files.items() if not any(other.startswith(f"{n}/") for other in files)}
    if ".." in prefix.split("/") or prefix.startswith("/") or "//" in prefix or "." in prefix.split("/"):
        prefix = ""
    with tempfile.TemporaryDirectory() as folder:
        both = (LocalStorage(Path(folder)), RemoteStorage(f"memory://{uuid.uuid4().hex}"))
        for storage in both:
            for name, data in files.items():
                storage.put_bytes(name, data)
        local, remote = ({n: s.read(n) for n in s.names(prefix)} for s in both)
    assert local == remote == {n: data for n, data in files.items() if n.startswith(prefix)}
    assert list(local) == sorted(local)


CRASH = """
import os, sys
from pathlib import Path
from dataforge.run import storage
storage.put_in_place = lambda temporary, path: os._exit(9)
place = storage.LocalStorage(Path(sys.argv[1]))
if sys.argv[2] == "put":
    place.put(Path(sys.argv[3]), "a")
else:
    place.put_bytes("a", b"new")
"""


@pytest.mark.parametrize("way", ["put", "put_bytes"])
def test_a_crash_before_the_rename_leaves_the_old_content(tmp_path: Path, way: str) -> None:
    storage = LocalStorage(tmp_path / "out")
    storage.put_bytes("a", b"old")
    source = tmp_path / "source"
    source.write_bytes(b"new")
    crashed = subprocess.run([sys.executable, "-c", CRASH, tmp_path / "out", way, source], check=False)
    assert crashed.returncode == 9
    assert storage.read("a") == b"old"
    assert storage.names() == ["a"]
    storage.put(source, "a")  # over what the crash left lying
    assert storage.read("a") == b"new"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path / "out")
    storage.put_bytes("a", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        storage.put_bytes("a", b"new")
    monkeypatch.undo()
    assert storage.read("a") == b"old"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(28, StorageError, "R021"), (13, OutputError, "R021"), (5, StorageError, "R021")],
)
def test_refusals_say_what_to_do(number: int, kind: type[StorageError | OutputError], code: str) -> None:
    with pytest.raises(kind) as refused, storing(Path("x")):
        raise OSError(number, "refused")
    assert refused.value.code == code
    assert refused.value.help


def test_a_url_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(OutputError) as missing:
        open_storage("s3://bucket/run")
    assert missing.value.code == "R038"
    assert "s3fs" in missing.value.message


def test_a_url_of_no_place_for_files_is_wrong_input() -> None:
    with pytest.raises(OutputError, match="no place"):
        open_storage("nonsense://a/b")


def test_passwords_in_a_url_are_not_shown() -> None:
    storage = RemoteStorage("memory://me:PLANTED@host/run")
    assert "PLANTED" not in repr(storage)
    with pytest.raises(StorageError) as unread:
        storage.get("a", Path("/dev/null/x"))
    assert "PLANTED" not in str(unread.value)
