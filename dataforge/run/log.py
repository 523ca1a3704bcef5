"""The structured log of a run: `log.jsonl`, one JSON object a line, of what happened to its calls and endpoints.

What happens inside clients reaches the run through `logging`, with `extra={"event": …, "endpoint": …}`. `RunLog`
listens while a run goes: it writes lines that a program can read, and says warnings to the people who watch. It adds
nothing to what the host program's own handlers see and takes nothing away. Prompts and answers are not logged, and
secrets are blotted from whatever passes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from dataforge.run.storage import storing

NAME = "log.jsonl"
MAX_BYTES = 16 * 1024 * 1024
"""At this size the log becomes `log.jsonl.1`, whose predecessor goes: a run logs at most twice as much."""
REPEAT_S = 10.0
"""People hear of the same event at the same endpoint at most once in so many seconds."""
MAX_TEXT = 2_000
MIN_SECRET = 6
"""Shorter values are no secrets, and blotting them would leave nothing to read."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "event"}
"""The attributes of a record that are not fields of ours."""


class Blot:
    """Blots secrets from texts, plain or as JSON and Python write them: `Blot(values)(text)`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = {
            value for secret in secrets for value in (secret, secret.strip()) if len(value) >= MIN_SECRET
        }
        escaped = {repr(value)[1:-1] for value in values}
        escaped |= {
            json.dumps(value, ensure_ascii=ascii)[1:-1] for value in values for ascii in (True, False)
        }
        # The longest first: a secret that begins as another does must not leave its rest behind.
        self._values = sorted(values | escaped, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for value in self._values:
            if value in text:
                text = text.replace(value, "[secret]")
        return text


class RunLog:
    """Writes `OUT/log.jsonl` and notes warnings while it is open: `with RunLog(out, progress.note, secrets): …`.

    Args:
        out: the run's directory, which exists.
        note: hears warnings and errors, repetitions left out.
        secrets: values, such as keys, that must appear in no line.

    Raises:
        OutputError, StorageError: on entering, where the file cannot be written.
    """

    def __init__(self, out: Path, note: Callable[[str], None], secrets: Iterable[str] = ()) -> None:
        blot = Blot(secrets)
        self.out = out
        self._notes = _Notes(note, blot)
        self._formatter = _Lines(blot)
        self._logger = logging.getLogger("dataforge")
        self._handlers: list[logging.Handler] = []
        self._before = (logging.NOTSET, True)

    def __enter__(self) -> RunLog:
        with storing(self.out / NAME):
            file = _File(self.out / NAME)
        file.setFormatter(self._formatter)
        ours = self._logger
        heard_from = ours.getEffectiveLevel()
        self._before = (ours.level, ours.propagate)
        self._handlers = [file, self._notes]
        if ours.propagate and ours.parent is not None:
            # We listen to more than the host asked for, and records that propagate pass no further level. So what the
            # host would have heard without us is handed on, and only that.
            self._handlers.append(_Host(ours, ours.parent, heard_from))
        for handler in self._handlers:
            ours.addHandler(handler)
        ours.propagate = False
        ours.setLevel(min(heard_from, logging.INFO))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        level, propagate = self._before
        self._logger.setLevel(level)
        self._logger.propagate = propagate
        for handler in self._handlers:
            self._logger.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk: the run's own error says so
                handler.close()


class _Lines(logging.Formatter):
    """A record as one line of JSON."""

    def __init__(self, blot: Blot) -> None:
        super().__init__()
        self._blot = blot

    def format(self, record: logging.LogRecord) -> str:
        # Other libraries mark every record with attributes of their own, by a record factory: Ray does.
        told = {k: v for k, v in vars(record).items() if k not in _OWN and not k.startswith("_")}
        fields = {key: self._plain(value) for key, value in told.items()}
        if record.exc_info and record.exc_info[0] is not None:
            # Its type and place, not its message: that may quote an answer.
            fields["exception"] = record.exc_info[0].__qualname__
            fields["raised_at"] = _place(record.exc_info[2])
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._plain(getattr(record, "event", None)),
            "message": self._text(record.getMessage()),
            "fields": fields,
        }
        return json.dumps(line)

    def _plain(self, value: object) -> Any:
        if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, Mapping):
            return {self._text(str(key)): self._plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value[:100]]
        return self._text(str(value))

    def _text(self, text: str) -> str:
        text = self._blot(text)
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text):,} characters)"


def _place(trace: TracebackType | None) -> str | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


class _File(RotatingFileHandler):
    """The log file, for its owner only. A disk that refuses a line loses the line, not the run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8")

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        stream = os.fdopen(descriptor, "a", encoding="utf-8")
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            stream.write("\n")  # a killed process left half a line
        return stream

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name for it
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class _Host(logging.Handler):
    """Hands records on to the handlers above us."""

    def __init__(self, ours: logging.Logger, above: logging.Logger, level: int) -> None:
        super().__init__()
        self._ours = ours
        self._above = above
        self._level = level

    def handle(self, record: logging.LogRecord) -> bool:
        # Without a handler `logging` would print to stderr itself, across the progress that notes the same.
        if self._heard(record) and self._above.hasHandlers():
            self._above.callHandlers(record)
        return True

    def _heard(self, record: logging.LogRecord) -> bool:
        """Whether the host would have had the record: by the nearest level that it set, as `logging` looks for it."""
        asked: logging.Logger | None = logging.getLogger(record.name)
        while asked is not None and asked is not self._ours and not asked.level:
            asked = asked.parent
        return asked is not self._ours or record.levelno >= self._level


class _Notes(logging.Handler):
    """Says warnings to people: the first at once, its like counted, and said when the time for one more has come."""

    def __init__(self, note: Callable[[str], None], blot: Blot) -> None:
        super().__init__(logging.WARNING)
        self._note = note
        self._blot = blot
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        """What was said, when, and how many of its like were not said since."""

    def emit(self, record: logging.LogRecord) -> None:
        named = getattr(record, "event", None) or record.msg
        like = str(named), str(getattr(record, "endpoint", ""))
        said_at, kept_back = self._said.get(like, (-REPEAT_S, 0))
        now = time.monotonic()
        if now - said_at < REPEAT_S:
            self._said[like] = said_at, kept_back + 1
            return
        more = f" (and {kept_back:,} more like it since)" if kept_back else ""
        self._said[like] = now, 0
        if len(self._said) > 1_000:
            self._said.pop(next(iter(self._said)))
        self._note(self._blot(record.getMessage())[:MAX_TEXT] + more)

    def close(self) -> None:
        kept_back = sum(number for _, number in self._said.values())
        if kept_back:
            self._note(f"{kept_back:,} more warnings like those above: see {NAME}")
        self._said.clear()
        super().close()
