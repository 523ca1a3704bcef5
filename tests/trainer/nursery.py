"""`dataforge` commands in processes of their own, without each of them importing torch again.

One process imports everything once and forks a child for each command: a real process, with its own signals, that can be
killed. It is started by `python -m`, and speaks JSON by lines.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Child:
    """A command that runs.

    Attributes:
        pid: of its process.
        log: what it wrote on stdout and stderr.
    """

    def __init__(self, nursery: Nursery, pid: int, log: Path) -> None:
        self._nursery, self.pid, self.log = nursery, pid, log

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, or the number of the signal that ended it, negative."""
        return int(self._nursery.ask({"wait": self.pid}))

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not bool(self._nursery.ask({"ended": self.pid}))


class Nursery:
    """The process that forks."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.trainer.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, question: dict[str, object]) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *arguments: object, **environment: str) -> Child:
        """Start `dataforge` with these arguments."""
        self._count += 1
        log = self._folder / f"child-{self._count}.log"
        pid = self.ask({"run": [str(a) for a in arguments], "log": str(log), "environment": environment})
        return Child(self, int(str(pid)), log)

    def run(self, *arguments: object, **environment: str) -> tuple[int, str]:
        """Exit code and output of a command."""
        child = self.start(*arguments, **environment)
        return child.wait(), child.log.read_text()

    def both(self, *arguments: object) -> list[Child]:
        """Two processes that are one run, as torchrun would start them."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return [self.start(*arguments, RANK=rank, LOCAL_RANK=rank, **place) for rank in "01"]

    def close(self) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something to hold."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def _fork(arguments: Sequence[str], log: str, environment: dict[str, str]) -> int:
    if pid := os.fork():
        return pid
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(environment)
        from dataforge.cli import main

        main(arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    # What takes long: these bring with them what others import when first called.
    import pandas as pd  # noqa: F401

    import trainer.train  # noqa: F401
    from trainer.tiny import tiny_model, tiny_tokenizer

    tiny_model()
    tiny_tokenizer()
    gc.freeze()

    ended: dict[int, int] = {}
    for line in sys.stdin:
        question = json.loads(line)
        answer: object
        if "run" in question:
            answer = _fork(question["run"], question["log"], question["environment"])
        else:
            pid = question.get("wait", question.get("ended"))
            if pid not in ended:
                found, status = os.waitpid(pid, 0 if "wait" in question else os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended[pid] if "wait" in question else pid in ended
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    # Taking everything down again would take seconds.
    os._exit(0)


if __name__ == "__main__":
    _serve()
