"""`dataforge run`, `show`, `models` and `serve`, from outside, on recorded and on small real endpoints."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cli.commands import GRAPHS, command, dataforge, environment, project, record
from tests.e2e.server import ModelServer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the starter project; `out` is its corpus."""
    folder = project(tmp_path_factory.mktemp("corpus") / "hello")
    done = dataforge("run", "hello.forge", "--models", "models.toml", "--out", "out", cwd=folder)
    assert done.code == 0, done.err
    return folder


# ---- run


def test_a_run_ends_with_its_balance_and_what_to_look_at(tmp_path):
    folder = project(tmp_path / "hello")
    done = dataforge("run", "hello.forge", "--models", "models.toml", "--out", "a corpus", cwd=folder)
    assert done.code == 0
    assert "8 rows = 8 kept + 0 rejected + 0 lost to errors" in done.out
    assert "dataforge show 'a corpus'" in done.out
    assert "writer: replay-writer (replay)" in done.err


def test_a_second_start_redoes_nothing(corpus):
    done = dataforge("run", "hello.forge", "--models", "models.toml", "--out", "out", "--json", cwd=corpus)
    assert done.code == 0
    assert (done.json()["calls"], done.json()["resumed"], done.json()["kept"]) == (0, 8, 8)


def test_the_default_folder_is_named_after_the_graph(tmp_path):
    folder = project(tmp_path / "hello")
    done = dataforge("run", "hello.forge", "--models", "models.toml", "--rows", 1, "--json", cwd=folder)
    assert done.code == 0
    assert (folder / done.json()["out"] / "manifest.json").exists()
    assert done.json()["out"] == "out/hello"


def test_a_plan_runs_like_its_file(tmp_path):
    folder = project(tmp_path / "hello")
    assert dataforge("compile", "hello.forge", "-o", "plan.json", cwd=folder).code == 0
    done = dataforge("run", "plan.json", "--models", "models.toml", "--rows", 2, "--json", cwd=folder)
    assert done.code == 0
    assert done.json()["kept"] == 2


def test_several_seeds_after_one_option(tmp_path):
    folder = project(tmp_path / "hello")
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(f"Some words in {name}. " * 20 + "\n")
    done = dataforge(
        "run", "hello.forge", "--seeds", "a.txt", "b.txt", "c.txt", "--dry-run", "--json", cwd=folder
    )
    assert done.code == 0
    assert (done.json()["seed_files"], done.json()["rows"]) == (3, 3)


def test_a_dry_run_asks_nobody_and_writes_nothing(tmp_path):
    done = dataforge("run", GRAPHS / "quickstart.forge", "--dry-run", cwd=tmp_path)
    assert done.code == 0
    assert "writer: smollm2-135m-instruct by local, from default" in done.out
    assert list(tmp_path.iterdir()) == []


def test_rejections_are_counted_by_reason(tmp_path):
    folder = project(tmp_path / "hello")
    record(
        folder / "writer.jsonl",
        {"contains": "", "text": "This is longer than ten words, but it is no question at all."},
    )
    done = dataforge("run", "hello.forge", "--models", "models.toml", "--rows", 3, "--out", "out", cwd=folder)
    assert done.code == 0
    assert "3 rejected: R101 the postcondition did not hold" in done.out
    assert "dataforge show out --rejected" in done.out
    shown = dataforge("show", "out", "--rejected", cwd=folder)
    assert shown.code == 0
    assert "R101 at ask" in shown.out


@pytest.mark.parametrize(("most", "code"), [(0, 1), (5, 0)])
def test_rows_lost_to_errors_decide_the_exit_code(most, code, tmp_path):
    folder = project(tmp_path / "hello")
    record(
        folder / "writer.jsonl",
        {
            "contains": "Summarise",
            "text": "Light can be stopped, a part of it at a time, by what stands in its way.",
        },
        {"contains": "Write one short question", "text": "What can be stopped in a place?"},
    )  # and nothing that answers it
    done = dataforge(
        "run",
        "hello.forge",
        "--models",
        "models.toml",
        "--rows",
        3,
        "--out",
        "out",
        "--max-failures",
        most,
        cwd=folder,
    )
    assert done.code == code
    assert "3 lost to errors" in done.out
    assert "tried again by: dataforge run hello.forge" in done.out


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that no run writes to, with files that are wrong input."""
    folder = project(tmp_path_factory.mktemp("untouched") / "hello")
    (folder / "empty.txt").write_text("")
    (folder / "keyless.toml").write_text('[models.generator]\nmodel = "m"\napi_key_env = "NO_SUCH_KEY"\n')
    (folder / "same.toml").write_text(
        '[models.generator]\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[models.judge]\nmodel = "M"\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    (folder / "unknown.toml").write_text('[models.generator]\nbackend = "opanai"\nmodel = "m"\n')
    return folder


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--seeds", "nowhere/*.txt"], "R010"),
        (["--seeds", "empty.txt"], "R0"),
        (["--models", "nowhere.toml"], "R001"),
        (["--models", "keyless.toml"], "R004"),
        (["--models", "same.toml"], "R003"),
        (["--models", "unknown.toml"], "R002"),
        (["--out", "hello.forge"], "R02"),
    ],
)
def test_wrong_input_is_told_before_anything_is_written(arguments, code, untouched):
    before = {path: path.stat().st_mtime_ns for path in untouched.rglob("*")}
    models = [] if "--models" in arguments else ["--models", "models.toml"]
    told = dataforge("run", "hello.forge", *models, *arguments, cwd=untouched)
    assert told.code == 2
    assert f"error[{code}" in told.err
    assert "help:" in told.err
    assert {path: path.stat().st_mtime_ns for path in untouched.rglob("*")} == before


def test_wrong_input_is_told_to_machines(untouched):
    told = dataforge("run", "hello.forge", "--models", "unknown.toml", "--json", cwd=untouched)
    assert told.code == 2
    assert told.json()["error"]["code"] == "R002"


def test_an_endpoint_that_is_down_is_told_with_its_name(tmp_path):
    folder = project(tmp_path / "hello")
    (folder / "down.toml").write_text(
        '[models.generator]\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\nretry_base_s = 0.01\ntotal_timeout_s = 2\n'
    )
    done = dataforge("run", "hello.forge", "--models", "down.toml", "--out", "out", cwd=folder)
    assert done.code == 2
    assert "`writer` does not answer" in done.err
    assert not (folder / "out" / "manifest.json").exists()


def test_a_second_interrupt_leaves_the_calls_and_the_same_command_goes_on(tmp_path):
    folder = project(tmp_path / "hello")
    with ModelServer(delay_s=3.0) as server:
        (folder / "server.toml").write_text(server.models_file())
        arguments = ["run", "hello.forge", "--models", "server.toml", "--out", "out"]
        process = subprocess.Popen(
            command(*arguments), cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not server.calls and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 3, err
    assert "waiting for the calls in flight" in err
    assert "to go on: dataforge run hello.forge --models server.toml --out out" in err
    assert "Traceback" not in err
    shown = dataforge("show", "out", "--json", cwd=folder)
    assert (shown.code, shown.json()["error"]["code"]) == (2, "R023")


def test_a_terminal_sees_a_live_bar(corpus):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("run", "hello.forge", "--models", "models.toml", "--out", "live"),
        cwd=corpus, env=environment(TERM="xterm", COLUMNS="80"), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # which is how Linux says that the other side has closed
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    assert process.wait(timeout=60) == 0, seen
    assert b"8/8" in seen
    assert b"8 kept, 0 rejected" in seen


# ---- show


def test_rows_are_shown_with_all_that_is_known_of_them(corpus):
    done = dataforge("show", "out", "--limit", 2, cwd=corpus)
    assert done.code == 0
    assert done.out.count("final ") == 2
    assert "ask → reply" in done.out
    assert "relevance 4" in done.out
    assert "critic=replay-critic, writer=replay-writer" in done.out
    assert "seeds/passages.jsonl:1" in done.out
    assert "2 shown; the corpus has 8 samples" in done.out


def test_rows_for_machines_are_one_a_line(corpus):
    done = dataforge("show", "out", "--json", "--calls", "--limit", 100, cwd=corpus)
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["kind"] for row in rows} == {"final", "call"}
    assert sum(row["kind"] == "final" for row in rows) == 8
    one = dataforge("show", "out", "--row", rows[-1]["id"][:12], "--json", cwd=corpus)
    assert one.json() == rows[-1]


def test_a_row_that_is_not_there(corpus):
    done = dataforge("show", "out", "--row", "zzz", "--json", cwd=corpus)
    assert (done.code, done.json()["error"]["code"]) == (2, "R024")


def test_a_folder_that_is_no_corpus(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    for name in (".", "nowhere"):
        done = dataforge("show", name, cwd=tmp_path)
        assert done.code == 2
        assert "error[R023]" in done.err


def test_hostile_text_in_a_row_is_shown_escaped(tmp_path):
    folder = project(tmp_path / "hello")
    hostile = "What does \x1b[2J\x1b]0;owned\x07 do\u202e [bold]here[/bold]?"
    record(
        folder / "writer.jsonl",
        {
            "contains": "Summarise",
            "text": "Some words that are long enough to pass for a summary of it here.",
        },
        {"contains": "Write one short question", "text": hostile},
        {"contains": "Answer this question", "text": hostile},
    )
    assert (
        dataforge("run", "hello.forge", "--models", "models.toml", "--rows", 1, "--out", "o", cwd=folder).code
        == 0
    )
    done = dataforge("show", "o", "--calls", cwd=folder, FORCE_COLOR="1")
    assert done.code == 0
    assert not {"\x07", "\u202e"} & set(done.out)
    assert "\x1b[2J" not in done.out
    assert "\x1b]0" not in done.out
    assert "\\x1b[2J" in done.out
    assert "[bold]here[/bold]" in done.out


# ---- models


def test_models_says_who_is_bound_by_whom(corpus):
    done = dataforge("models", "hello.forge", "--models", "models.toml", "--ping", "--json", cwd=corpus)
    assert done.code == 0
    assert done.json()["writer"]["origin"] == "--models models.toml [models.writer]"
    assert done.json()["critic"]["answers"] is True
    default = dataforge("models", "--json", cwd=corpus)
    assert default.json()["generator"]["backend"] == "local"
    assert default.json()["judge"]["origin"] == "default"


def test_a_model_that_does_not_answer_is_exit_code_1(corpus):
    (corpus / "down.toml").write_text(
        '[models.generator]\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "SECRET"\n'
        "retry_base_s = 0.01\ntotal_timeout_s = 2\n"
    )
    done = dataforge(
        "models", "hello.forge", "--models", "down.toml", "--ping", cwd=corpus, SECRET="hush-hush"
    )
    assert done.code == 1
    assert "does not answer" in done.out
    assert "with the key in SECRET" in done.out
    assert "hush" not in done.out + done.err


def test_a_key_that_is_missing(tmp_path):
    done = dataforge("models", "--json", cwd=tmp_path, DATAFORGE_MODEL="some-model")
    assert done.code == 2
    assert done.json()["error"]["code"] == "R004"
    assert "OPENAI_API_KEY" in done.json()["error"]["message"]


# ---- serve


def test_serving_needs_the_key_that_it_was_told_of(tmp_path):
    done = dataforge("serve", "embedded", "--port", "0", "--api-key-env", "NO_SUCH_KEY", cwd=tmp_path)
    assert done.code == 2
    assert "R004" in done.err


@pytest.mark.embedded
def test_a_weights_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    done = dataforge("serve", "typo.gguf", "--port", "0", cwd=tmp_path)
    assert done.code == 2
    assert "error[R002]: there is no file typo.gguf" in done.err


def test_the_embedded_models_are_served_until_told_to_stop(tmp_path):
    process = subprocess.Popen(
        command("serve", "embedded", "--port", "0", "--json"), cwd=tmp_path, env=environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["base_url"].startswith("http://127.0.0.1:")
    with urlopen(f"{told['base_url']}/models", timeout=10) as response:
        assert [m["id"] for m in json.load(response)["data"]] == told["models"]
    port = told["base_url"].split(":")[2].split("/")[0]
    taken = dataforge("serve", "embedded", "--port", port, cwd=tmp_path)
    assert taken.code == 2
    assert "R032" in taken.err
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
