"""Where a run's shared files live: a folder of this machine, or a bucket that every machine of a cluster reaches.

A file counts once it is durable under its name, and a name always holds a whole file: the old one or the new one, never
half of either. On a disk that takes a temporary file, a sync, a rename and a sync of the folder that holds the name; in
an object store one upload is all of that. Names are relative, with `/` between their parts.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from dataforge.errors import OutputError, StorageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Storage(Protocol):
    """A place for the files of one run.

    Attributes:
        local: the folder itself where it is one of this machine, else None.

    All methods raise `StorageError` where the place refuses.
    """

    local: Path | None

    def put(self, source: Path, name: str) -> None:
        """Store a local file, durable and whole. It must not be written again: the store may hold that very file."""
        ...

    def put_bytes(self, name: str, data: bytes) -> None:
        """Store a small file, durable and whole."""
        ...

    def copy(self, source: str, name: str) -> None:
        """Store what is under one name under another too, durable and whole."""
        ...

    def read(self, name: str) -> bytes | None:
        """What is stored under a name, or None where nothing is."""
        ...

    def get(self, name: str, target: Path) -> None:
        """Bring a stored file to a path of this machine, where it appears whole or not at all, and durable."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """The names of all files that begin with a prefix, sorted."""
        ...

    def remove(self, name: str) -> None:
        """Forget a file; one that is not there is no error."""
        ...


def open_storage(place: str) -> Storage:
    """The storage at a path (or `file://` URL) of this machine, or at any URL that fsspec knows: `s3://`, `gs://`, ….

    Raises:
        OutputError: R038 where the package for that kind of URL is missing, R020 where the URL makes no sense.
    """
    if place.startswith("file://"):
        return LocalStorage(Path(unquote(urlsplit(place).path)))
    return RemoteStorage(place) if _URL.match(place) else LocalStorage(Path(place))


class LocalStorage:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.local: Path | None = folder
        self._folder = folder

    def __repr__(self) -> str:
        return f"LocalStorage({str(self._folder)!r})"

    def put(self, source: Path, name: str) -> None:
        path = self._path(name)
        temporary = _temporary(path)
        with storing(path):
            make_folder(path.parent)
            try:
                temporary.unlink(missing_ok=True)
                _link_or_copy(source, temporary)
                _sync(temporary)
                put_in_place(temporary, path)
            finally:
                # Also where all went well: a rename of one name of a file to another name of it leaves both.
                temporary.unlink(missing_ok=True)

    def put_bytes(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with storing(path):
            make_folder(path.parent)
        write_durably(path, data)

    def copy(self, source: str, name: str) -> None:
        self.put(self._path(source), name)

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unread(str(path), error) from error

    def get(self, name: str, target: Path) -> None:
        path = self._path(name)
        try:
            with path.open("rb") as stored, storing(target), _arriving(target) as new, new.open("wb") as copy:
                shutil.copyfileobj(stored, copy)
        except OSError as error:
            raise _unread(str(path), error) from error

    def names(self, prefix: str = "") -> list[str]:
        folder = self._folder / prefix.rpartition("/")[0]
        found = (p.relative_to(self._folder).as_posix() for p in folder.rglob("*") if p.is_file())
        return sorted(n for n in found if n.startswith(prefix) and not _is_temporary(n))

    def remove(self, name: str) -> None:
        path = self._path(name)
        with storing(path):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / checked(name)


class RemoteStorage:
    """A folder behind a URL, reached by fsspec.

    Whatever the service's client raises becomes a `StorageError`: its classes are many, and not all of them are `OSError`.
    """

    local: Path | None = None

    def __init__(self, url: str) -> None:
        self._files, root = _file_system(url)
        self._root = root.rstrip("/")
        parts = urlsplit(url)
        self._shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")

    def __repr__(self) -> str:
        return f"RemoteStorage({self._shown!r})"

    def put(self, source: Path, name: str) -> None:
        self._write(name, lambda path: self._files.put_file(str(source), path))

    def put_bytes(self, name: str, data: bytes) -> None:
        self._write(name, lambda path: self._files.pipe_file(path, data))

    def copy(self, source: str, name: str) -> None:
        self._write(name, lambda path: self._files.cp_file(self._path(source), path))

    def read(self, name: str) -> bytes | None:
        with self._asking("read", name):
            try:
                data: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return data

    def get(self, name: str, target: Path) -> None:
        with storing(target), _arriving(target) as temporary, self._asking("read", name):
            self._files.get_file(self._path(name), str(temporary))

    def names(self, prefix: str = "") -> list[str]:
        folder = prefix.rpartition("/")[0]
        with self._asking("read", prefix):
            self._files.invalidate_cache()  # other machines write here too
            try:
                found = self._files.find(f"{self._root}/{folder}".rstrip("/"))
            except FileNotFoundError:
                return []
        names = (path.removeprefix(f"{self._root}/") for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def remove(self, name: str) -> None:
        with self._asking("removed", name):
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}"

    def _write(self, name: str, write: Callable[[str], None]) -> None:
        path = self._path(name)
        with self._asking("written", name):
            try:
                write(path)
            except (
                FileNotFoundError
            ):  # folders are real there; an object store has none, and is not asked to make any
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                write(path)

    @contextmanager
    def _asking(self, done: str, name: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(
                f"{self._shown}/{name} cannot be {done}: {type(error).__name__}: {error}"[:500],
                help="see to the storage and its credentials, and start the same command again:"
                " what was finished is kept",
            ) from error


def _file_system(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise OutputError(
            f"files at {urlsplit(url).scheme}:// need fsspec, which is not installed",
            code="R038",
            help="pip install 'dataforge-compiler[ray]'",
        ) from error
    scheme = urlsplit(url).scheme
    try:
        files, root = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise OutputError(
            f"files at {scheme}:// need a package of their own: {error}",
            code="R038",
            help="install the package that fsspec names, beside 'dataforge-compiler[ray]'",
        ) from error
    except ValueError as error:
        raise OutputError(
            f"{scheme}:// is no place for files: {error}", help="choose another --out"
        ) from error
    return files, root


def checked(name: str) -> str:
    """A name, if it stays below the root that it is relative to.

    Raises:
        StorageError: where it would not, whoever wrote it: names are also read from files.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
        raise StorageError(
            f"{name!r} is no name of a file of a run",
            help="the run's directory was changed by hand: restore it",
        )
    return name


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(
                f"the disk is full: {path} cannot be written",
                help="make room and start the same command again: everything finished is in the journal",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT):
            raise OutputError(
                f"{path} cannot be written: {error.strerror}", code="R021", help="choose another --out"
            ) from error
        raise StorageError(
            f"{path} cannot be written: {error}", help="see to the disk and start the same command again"
        ) from error


def write_durably(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a temporary file, synced, put in place by a rename that is synced too."""
    temporary = _temporary(path)
    with storing(path):
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            put_in_place(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a synced file to its name, and sync the folder that holds the name."""
    temporary.replace(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable before what goes into it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _is_temporary(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(".tmp")


@contextmanager
def _arriving(target: Path) -> Iterator[Path]:
    """A temporary name beside a target; what is there when the block ends well is synced and renamed to it."""
    temporary = _temporary(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        _sync(temporary)
        put_in_place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _unread(place: str, error: OSError) -> StorageError:
    return StorageError(
        f"{place} cannot be read: {error.strerror or error}",
        help="it was there when the run wrote it: see to the disk, or start the run anew in another --out",
    )
