"""`dataforge fmt`: write `.forge` files in their canonical form.

Every file stands by itself: one that does not parse is told of and left as it is, and the others are formatted. A file
is replaced whole or not at all, and only after its new text was parsed and found to say the same.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_bytes, print_json, printable, say

if TYPE_CHECKING:
    from dataforge.lang.diagnostics import CompileError, Diagnostic

STDIN = Path("-")


def register(app: typer.Typer) -> None:
    app.command("fmt")(fmt)


def fmt(
    files: list[Path] | None = typer.Argument(
        None, help="`.forge` files, folders (all `.forge` files below), or `-` for stdin to stdout."
    ),
    check: bool = typer.Option(
        False, "--check", help="Write nothing; exit with 1 if a file is not in canonical form."
    ),
    diff: bool = typer.Option(False, "--diff", help="Write nothing; show what would change."),
    stdin: bool = typer.Option(False, "--stdin", help="The same as the file `-`."),
    as_json: bool = typer.Option(False, "--json", help="Print what became of each file as JSON."),
) -> None:
    """Format programs: one canonical layout, comments kept where they were.

    Example: `dataforge fmt graphs`, or `dataforge fmt --check graphs` in CI

    A file that does not parse is shown with its errors and left as it is (exit code 2); the others are still formatted.
    """
    named = [*(files or []), *([STDIN] if stdin else [])]
    dry = check or diff
    if not named:
        raise typer.BadParameter("name files or folders, or `-` for stdin", param_hint="FILES")
    if as_json and not dry and STDIN in named:
        raise typer.BadParameter(
            "with stdin it needs --check: the text itself goes to stdout", param_hint="--json"
        )
    outcomes = [_format(path, write=not dry) for path in _each(named)]
    if as_json:
        print_json({"files": [outcome.to_json(dry) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            outcome.tell(check=check, diff=diff)
        if named != [STDIN]:
            say(_summary(outcomes, dry), err=diff)
    if not outcomes or any(outcome.diagnostics for outcome in outcomes):
        raise typer.Exit(2)
    if check and any(outcome.changed for outcome in outcomes):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Outcome:
    """What became of one file: `before` and `after` are its texts, `diagnostics` why it was left alone."""

    path: Path
    before: str = ""
    after: str = ""
    changed: bool = False
    diagnostics: tuple[Diagnostic, ...] = field(default=())

    def to_json(self, dry: bool) -> dict[str, Any]:
        done = "failed" if self.diagnostics else _did(dry) if self.changed else "unchanged"
        return {
            "path": _shown(self.path),
            "outcome": done,
            "diagnostics": [found.to_json() for found in self.diagnostics],
        }

    def tell(self, *, check: bool, diff: bool) -> None:
        for found in self.diagnostics:
            say(found.render() + "\n", err=True)
        if self.diagnostics:
            return
        if diff and self.changed:
            _print_diff(self)
        if self.path == STDIN and not (check or diff):
            print_bytes(self.after)
        elif self.changed and (check or not diff):
            say(f"{_did(check)} {_shown(self.path)}", err=diff)


def _did(dry: bool) -> str:
    return "would format" if dry else "formatted"


def _shown(path: Path) -> str:
    return "<stdin>" if path == STDIN else path.as_posix()


def _summary(outcomes: list[_Outcome], dry: bool) -> str:
    changed = sum(outcome.changed for outcome in outcomes)
    failed = sum(bool(outcome.diagnostics) for outcome in outcomes)
    same = len(outcomes) - changed - failed
    if not outcomes:
        return "there is no .forge file"
    parts = [f"{changed:,} would change" if dry else f"{changed:,} formatted"] if changed else []
    parts += [f"{same:,} in canonical form"] if same else []
    parts += [f"{failed:,} with errors, left as {'it is' if failed == 1 else 'they are'}"] if failed else []
    return f"{len(outcomes):,} file{'' if len(outcomes) == 1 else 's'}: {', '.join(parts)}"


def _each(named: list[Path]) -> Iterator[Path]:
    """Every file once, folders searched in order; what a folder hides (`.git`, `.venv`) stays hidden."""
    seen: set[Path] = set()
    for path in named:
        found = [path]
        if path != STDIN and path.is_dir():
            found = sorted(
                below
                for below in path.rglob("*.forge")
                if below.is_file() and not any(part.startswith(".") for part in below.relative_to(path).parts)
            )
        for file in found:
            place = file if file == STDIN else file.resolve()
            if place not in seen:
                seen.add(place)
                yield file


# ---- one file


def _format(path: Path, *, write: bool) -> _Outcome:
    from dataforge.lang.diagnostics import CompileError
    from dataforge.lang.format import format_text

    try:
        data, stamp = _read(path)
        before = _decoded(path, data)
        after = format_text(before, _shown(path))
        changed = after.encode() != data
        if changed and write:
            _check_same(path, before, after)
            if path != STDIN:
                _replace(path, after.encode(), stamp)
    except CompileError as error:
        return _Outcome(path, diagnostics=error.diagnostics)
    return _Outcome(path, before, after, changed)


def _read(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """The bytes of a file, and a stamp that tells whether it was written to since."""
    from dataforge.domain.files import MAX_FILE_BYTES

    if path == STDIN:
        return sys.stdin.buffer.read(), ()
    try:
        with path.open("rb") as stream:
            stamp = _stamp(os.fstat(stream.fileno()))
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        help = "check the path" if isinstance(error, FileNotFoundError) else ""
        raise _refused(path, "F017", f"cannot be read: {error.strerror}", help) from error
    if len(data) > MAX_FILE_BYTES:
        raise _refused(path, "F005", f"is larger than {MAX_FILE_BYTES >> 20} MiB", "split it")
    return data, stamp


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _refused(path, "F005", f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error


def _check_same(path: Path, before: str, after: str) -> None:
    """See that nothing was lost before anything is overwritten. A difference is a bug of ours, and stops everything."""
    from dataforge.lang.diagnostics import Report, Source
    from dataforge.lang.format import as_read
    from dataforge.lang.store import parse_stored

    trees = [parse_stored(Source(_shown(path), text), Report()) for text in (as_read(before), after)]
    if trees[0] != trees[1]:
        raise AssertionError(f"formatting {_shown(path)} would change what it says; it was left as it is")


def _replace(path: Path, data: bytes, stamp: tuple[int, ...]) -> None:
    """Put new bytes in a file's place, whole or not at all; links lead to it and its mode stays."""
    from dataforge.run.storage import put_in_place

    place = path.resolve()
    try:
        if not os.access(place, os.W_OK):
            raise _refused(path, "R021", "is read-only", "allow writing to it, or leave it out")
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                status = place.stat()
                with contextlib.suppress(PermissionError):
                    os.fchown(stream.fileno(), status.st_uid, status.st_gid)
                os.fchmod(stream.fileno(), status.st_mode & 0o7777)
                os.fsync(stream.fileno())
            if _stamp(status) != stamp:
                raise _refused(
                    path, "R021", "was written to while it was formatted", "start the command again"
                )
            put_in_place(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(path, "R021", f"cannot be written: {error.strerror}", "") from error


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _refused(path: Path, code: str, what: str, help: str) -> CompileError:
    from dataforge.lang.diagnostics import CompileError, Diagnostic, Source, Span

    shown = _shown(path)
    return CompileError([Diagnostic(code, f"`{shown}` {what}", Source(shown, ""), Span(0, 0), help)])


# ---- the difference


def _print_diff(outcome: _Outcome) -> None:
    """A unified diff that `patch` takes; in colour on a terminal, where it must not steer it."""
    from rich.console import Console
    from rich.text import Text

    shown = _shown(outcome.path)
    lines = _unified(outcome.before, outcome.after, shown)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        print_bytes("".join(line + "\n" for line in lines))
        return
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for number, line in enumerate(lines):
        style = "bold" if number < 2 else styles.get(line[:1], "")
        console.print(Text(printable(line), style), soft_wrap=True)


def _unified(before: str, after: str, name: str) -> list[str]:
    """The lines of the diff; carriage returns count, so a file of another system is shown whole."""
    lines: list[str] = []
    for line in difflib.unified_diff(_lines(before), _lines(after), name, name):
        lines.append(line.removesuffix("\n"))
        if not line.endswith("\n"):
            lines.append("\\ No newline at end of file")
    return lines


def _lines(text: str) -> list[str]:
    """Lines with their ends, split at `\\n` only: what else may end a line elsewhere is part of it here."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
