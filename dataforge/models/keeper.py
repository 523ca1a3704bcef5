"""Keeps a launched server no longer than the process that asked for it. It runs by itself: `python -I -S keeper.py`.

The process that launches holds the other end of our stdin and writes one line of JSON there: `command`, `grace_s`, and
perhaps a `secret` that must not reach the log and a file to `remove` at the end. When that end closes, however it came about (`kill -9` included, since the kernel
closes it), the server's whole process group is asked to end, and is made to after `grace_s`. What the server writes goes
to our stdout, which is its log, with the secret blotted out: SGLang prints its arguments, keys and all, when it starts.

Should this process itself be killed outright, the kernel takes the server along (Linux only). It is a process of its own
since that promise holds for the thread that launched: a thread pool of a run may let go of it, the main thread here won't.
Only the standard library is used, and nothing of DataForge, so that it starts at once and weighs little.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_BLOT = b"***"
_POLL_S = 0.05
_LEFTOVERS_S = 2.0
"""What the rest of a group is given once its leader has ended by itself."""


def main() -> int:
    """Run the server until it ends or nobody wants it any more; its exit code, 128 + N for the signal N."""
    order = json.loads(_first_line())
    try:
        server = subprocess.Popen(  # noqa: S603 - the command is what we are for
            order["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_tied_to(os.getpid()),  # no other thread runs yet, so this is safe
        )
    except OSError as error:
        os.write(1, f"{order['command'][0]} cannot be started: {error.strerror or error}\n".encode())
        return 127
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    pump = _thread(_copy, server.stdout, order["secret"].encode())
    _thread(_until_closed, over)
    _thread(_until_ended, server, over)
    over.wait()
    code = _end(server, order["grace_s"])
    pump.join(timeout=1.0)
    if order["remove"]:
        with contextlib.suppress(OSError):
            Path(order["remove"]).unlink()
    return code if code >= 0 else 128 - code


def _first_line() -> bytes:
    """Read to the first line end and not a byte further."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def _tied_to(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask the kernel to be killed when `parent` is."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork, where only the call is left to make

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return tie


def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _until_closed(over: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    over.set()


def _until_ended(server: subprocess.Popen[bytes], over: threading.Event) -> None:
    server.wait()
    over.set()


def _copy(stream: IO[bytes], secret: bytes) -> None:
    """Copy to the log as it comes, less the secret. A full disk must not stop the server, so it is read on regardless."""
    blot = Blot(secret)
    while piece := os.read(stream.fileno(), 65536):
        _write(blot.pass_on(piece))
    _write(blot.rest())


class Blot:
    """Takes a secret out of a stream, also where it arrives in pieces."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._held = b""

    def pass_on(self, piece: bytes) -> bytes:
        """What of the stream so far may go out: all but an end that may be the beginning of the secret."""
        text = self._held + piece
        if self._secret:
            text = text.replace(self._secret, _BLOT)
        longest = min(len(text), len(self._secret) - 1)
        keep = next((n for n in range(longest, 0, -1) if text.endswith(self._secret[:n])), 0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> bytes:
        """What was held back to the end, and so was no secret."""
        return self._held


def _write(data: bytes) -> None:
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(1, data) :]


def _end(server: subprocess.Popen[bytes], grace_s: float) -> int:
    """Ask the group to end, wait, and kill what is left of it."""
    deadline = time.monotonic() + (grace_s if server.poll() is None else _LEFTOVERS_S)
    anybody = _signal(server, signal.SIGTERM)
    while anybody and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        server.poll()  # a dead leader that nobody waited for would still count as somebody
        anybody = _signal(server, 0)
    _signal(server, signal.SIGKILL)
    return server.wait()


def _signal(server: subprocess.Popen[bytes], number: int) -> bool:
    """Signal the group; whether there was anybody."""
    try:
        os.killpg(server.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
