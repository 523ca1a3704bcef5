"""`dataforge serve-env` in a process of its own, with a trainer and a model server on the loopback device."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import command, dataforge, environment
from tests.models.scripted_server import ScriptedServer, error, says

TRAINER = {
    "wandb_group": "", "wandb_project": "", "batch_size": 4, "max_token_len": 4096, "starting_step": 0,
    "checkpoint_dir": "", "save_checkpoint_interval": 1, "num_steps": 3,
}  # fmt: skip


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    told: dict[str, Any]

    def call(self, path: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.told["url"] + path, data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def batch(self) -> Any:
        for _ in range(600):
            if (found := self.call("/batch")["batch"]) is not None:
                return found
            time.sleep(0.05)
        raise AssertionError(self.call("/status"))

    def stop(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert json.loads(out)["error"]["code"] == "R090"
        return self.process.returncode, err.decode()


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, **env: str) -> Iterator[Served]:
    process = subprocess.Popen(
        command("serve-env", *arguments, "--port", "0", "--json"),
        cwd=folder,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1].decode())
        yield Served(process, json.loads(line))
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def bound(folder: Path, server: ScriptedServer) -> list[str]:
    (folder / "models.toml").write_text(
        f'[models.generator]\nbackend = "openai"\nmodel = "m"\nbase_url = "{server.url}"\ntemperature = 0.9\n'
    )
    (folder / "tasks.jsonl").write_text(
        "".join(json.dumps({"prompt": f"{n} + 1?", "facts": {"answer": str(n + 1)}}) + "\n" for n in range(4))
    )
    return [
        "maths",
        "--models",
        "models.toml",
        "--tokenizer",
        "tiny",
        "--tasks",
        "tasks.jsonl",
        "--group-size",
        "2",
    ]


def test_a_trainer_takes_batches_until_a_signal_ends_it(tmp_path: Path):
    pytest.importorskip("math_verify")
    script = [says(f"The answer is \\boxed{{{n}}}.") for n in (1, 7)] + [says("I do not know.")]
    with (
        ScriptedServer(script) as server,
        serving(tmp_path, *bound(tmp_path, server), "--in-flight", "1") as env,
    ):
        assert env.told["verifier"] == "maths"
        env.call("/register", TRAINER)
        batch = env.batch()
        assert sum(len(group["tokens"]) for group in batch) == 4
        assert sorted(batch[0]["scores"]) == [0.0, 1.0]
        assert batch[0]["messages"][0][0] == {"role": "user", "content": "0 + 1?"}
        assert batch[0]["generation_params"]["temperature"] == 0.9
        env.batch()
        status = env.call("/status")
        assert status["current_step"] == 2
        assert status["environment"]["groups"] == 4
        assert status["environment"]["outcomes"]["passed"] >= 1
        code, err = env.stop(signal.SIGTERM)
        assert code == 3
        assert "a trainer registered: batches of 4" in err
        assert "Traceback" not in err


def test_without_a_verifier_it_serves_the_groups_of_others(tmp_path: Path):
    with serving(tmp_path, "--token-env", "TOKEN", TOKEN="s3cret") as env:
        with pytest.raises(urllib.error.HTTPError) as caught:
            env.call("/info")
        assert caught.value.code == 401
        caught.value.close()
        env.call("/register", {**TRAINER, "batch_size": 1}, "s3cret")
        group = {"tokens": [[1, 2]], "masks": [[-100, 2]], "scores": [0.5]}
        assert env.call("/scored_data", group, "s3cret") == {"status": "received"}
        assert env.call("/batch", token="s3cret")["batch"][0]["scores"] == [0.5]
        assert env.stop(signal.SIGTERM)[0] == 3


def test_a_model_that_refuses_everything_ends_it_with_exit_code_1(tmp_path: Path):
    pytest.importorskip("math_verify")
    with ScriptedServer([error(404, "no such model")]) as server:
        arguments = bound(tmp_path, server)
        (tmp_path / "tasks.jsonl").write_text('{"prompt": "1?", "facts": {"answer": "1"}}\n' * 20)
        with serving(tmp_path, *arguments, "--in-flight", "8") as env:
            out, err = env.process.communicate(timeout=60)
            assert (env.process.returncode, json.loads(out)["error"]["code"]) == (1, "R008")
            assert b"no such model" in err, "as it happens"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no_such_verifier"], "V001"),
        (["maths", "--tasks", "none.jsonl", "--tokenizer", "tiny"], "V031"),
        (["maths", "--tasks", "one.jsonl"], "V032"),
        (["maths", "--tasks", "other.jsonl", "--tokenizer", "tiny"], "V031"),
        (["maths", "--tasks", "tools.jsonl", "--tokenizer", "tiny"], "V031"),
        (["tool_use", "--tokenizer", "tiny", "--logprobs"], "V036"),
        (["--token-env", "NOT_SET"], "R004"),
    ],
)
def test_what_is_missing_is_said_before_anything_listens(tmp_path: Path, arguments: list[str], code: str):
    pytest.importorskip("math_verify")
    (tmp_path / "one.jsonl").write_text('{"prompt": "1?", "facts": {"answer": "1"}}\n')
    (tmp_path / "other.jsonl").write_text('{"prompt": "1?", "verifier": "schema"}\n')
    (tmp_path / "tools.jsonl").write_text('{"prompt": "1?", "tools": [{"function": {"name": "add"}}]}\n')
    done = dataforge("serve-env", *arguments, "--port", "0", cwd=tmp_path)
    assert (done.code, f"error[{code}]" in done.err) == (2, True), done.err


def test_people_are_told_in_words(tmp_path: Path):
    process = subprocess.Popen(
        command("serve-env", "--port", "0"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().splitlines()[0]) == (
        3,
        "error[R090]: stopped; what waited in the queue is gone",
    )


def test_a_model_that_nobody_binds_is_not_replaced_by_another(tmp_path):
    (tmp_path / "models.toml").write_text(
        '[models.policy]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "x"\n'
    )
    done = dataforge(
        "serve-env",
        "exact",
        "--models",
        "models.toml",
        "--model",
        "polcy",
        "--tokenizer",
        "embedded",
        cwd=tmp_path,
    )
    assert done.code == 2
    assert "binds no model `polcy`" in done.err
