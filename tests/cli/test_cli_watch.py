"""`dataforge compile --watch` as people use it: a process that runs while files change."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.commands import command, environment
from tests.testing.shipped import copy_of


def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def test_a_change_in_any_file_of_the_program_compiles_again(project: Path) -> None:
    path = copy_of("quickstart.forge", project)
    text = path.read_text()
    out, err = project / "out.txt", project / "err.txt"
    with out.open("w") as stdout, err.open("w") as stderr:
        watcher = subprocess.Popen(
            command("compile", path, "--watch"), stdout=stdout, stderr=stderr, env=environment(), cwd=project
        )
        try:
            until(lambda: err.read_text().count("watching") == 1, "the first compilation")
            assert out.read_text().count("quickstart") >= 1
            path.write_text(text.replace("into Passage.text", "into Passage.txt", 1))
            until(lambda: err.read_text().count("watching") == 2, "a compilation after the change")
            assert "error[F020]: `Passage` has no field `txt`" in err.read_text()
            path.write_text(text)
            until(lambda: err.read_text().count("watching") == 3, "a compilation after the mend")
            assert out.read_text().count("models: ") == 2
            prompt = project / "prompts" / "summarise.j2"
            prompt.write_text("{{ Passage.nothing }}")
            until(lambda: err.read_text().count("watching") == 4, "a compilation after a prompt changed")
            assert "summarise.j2:1:" in err.read_text()
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(20) == 0
        finally:
            watcher.kill()
            watcher.wait()
    assert "Traceback" not in err.read_text()
