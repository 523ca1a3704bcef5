"""docs/serve.md: its tables are valid, its commands are commands, and its script does what the page says."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from launched import KEY, STAND_IN, eventually, gone
from typer.main import get_command

from dataforge.cli import _commands, app
from dataforge.project import load_models_file
from dataforge.run.endpoints import RUN_LOCK, read
from dataforge.run.live import Live
from dataforge.run.progress import Gauges
from tests.cli.commands import REPOSITORY, environment

PAGE = (REPOSITORY / "docs" / "serve.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_tables_are_valid(tmp_path, text):
    file = tmp_path / "models.toml"
    file.write_text(text, encoding="utf-8")
    assert load_models_file(file)


@pytest.mark.parametrize(
    "line", [line for text in blocks("sh") for line in text.splitlines() if line.startswith("dataforge")]
)
def test_the_commands_are_commands(line):
    _commands()
    group = get_command(app)
    arguments = shlex.split(line)[1:]
    context = group.make_context("dataforge", [], resilient_parsing=True)
    while True:
        name, command, arguments = group.resolve_command(context, arguments)
        assert command is not None
        if not hasattr(command, "resolve_command"):
            break
        group, context = command, command.make_context(name, [], parent=context, resilient_parsing=True)
    command.make_context(name, arguments)


def test_the_server_of_a_fleet_joins_the_run_and_leaves_it_before_it_is_stopped(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    live = Live.in_folder(out)
    live.begin(10, 0, {"writer": "m (openai)"})
    live.gauge(Gauges())
    live.end()
    [text] = blocks("bash")
    (tmp_path / "job.sh").write_text(text)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dataforge").write_text(f'#!/bin/sh\nexec {sys.executable} -m dataforge "$@"\n')
    (tmp_path / "bin" / "dataforge").chmod(0o755)
    record = tmp_path / "record.jsonl"
    env = environment(
        PATH=f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        DATAFORGE_SGLANG=shlex.join([sys.executable, str(STAND_IN)]),
        STAND_IN=json.dumps({"record": str(record)}),
        TMPDIR=str(tmp_path), RUN=str(out), WEIGHTS="org/model", SERVER_KEY=KEY, LEAVE_S="0.2",
    )  # fmt: skip
    with (out / RUN_LOCK).open("w") as lock, (tmp_path / "job.log").open("w+") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        job = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=env, stdout=log, stderr=log)
        assert eventually(lambda: bool(read(out))), (tmp_path / "job.log").read_text()
        [joined] = read(out)
        assert (joined.do, joined.model) == ("add", "writer")
        assert re.fullmatch(rf"http://{re.escape(socket.gethostname())}:\d+/v1", joined.url)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=60) == 0, (tmp_path / "job.log").read_text()
        [left] = read(out)
        assert (left.do, left.url) == ("drain", joined.url)
        assert gone(record)
