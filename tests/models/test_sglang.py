"""Launching SGLang, over a stand-in executable that parses its flags and speaks its HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from launched import KEY, STAND_IN, eventually, gone, lives, told

from dataforge.errors import DataForgeError, ModelError, OutputError, ProjectError, QuotaError
from dataforge.models import keeper, launch, sglang
from dataforge.models.client import ChatRequest, CompletionRequest, ModelSpec
from dataforge.models.launch import Launch, Server
from schemas.chat import Message
from tests.cli.commands import command, dataforge, environment


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put the stand-in in SGLang's place, with the faults that are asked for. Returns the file with what it was told."""

    def place(**faults: Any) -> Path:
        record = tmp_path / "record.jsonl"
        monkeypatch.setenv("DATAFORGE_SGLANG", shlex.join([sys.executable, str(STAND_IN)]))
        monkeypatch.setenv("STAND_IN", json.dumps({"record": str(record), **faults}))
        return record

    return place


def ask(url: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    at = urlsplit(url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=10)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection.request("GET" if body is None else "POST", path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, json.loads(raw) if raw else None


def spec(name: str = "writer", model: str = "org/model", **options: Any) -> ModelSpec:
    return ModelSpec(
        name=name,
        kind="generator",
        backend="sglang",
        model=model,
        weights=model,
        options=options,
        origin="test",
    )


def request(text: str) -> ChatRequest:
    return ChatRequest((Message(role="user", content=text),))


# ---- the server


def test_a_server_is_launched_with_its_flags_and_stopped_with_all_its_processes(tmp_path, stand_in):
    record = stand_in(ready_after_s=0.4)
    wanted = Launch(
        "org/model",
        tensor_parallel=2,
        context_length=4096,
        reasoning_parser="qwen3",
        tool_call_parser="qwen",
        attention_backend="fa3",
        engine_args=("--mem-fraction-static", "0.8", "--trust-remote-code"),
    )
    heard: list[str] = []
    with Server(wanted, tmp_path / "log") as server:
        assert server.wait_healthy(heard.append) == ["org/model"]
        port = str(server.port)
        assert ask(server.url, "/get_model_info") == (
            200,
            {"model_path": "org/model", "is_generation": True},
        )
        assert ask(server.url, "/generate", {"text": "all"})[1]["text"] == "After all"
    assert told(record)[0]["argv"] == [
        "--model-path", "org/model", "--host", "127.0.0.1", "--port", port, "--tp-size", "2",
        "--context-length", "4096", "--reasoning-parser", "qwen3", "--tool-call-parser", "qwen",
        "--attention-backend", "fa3", "--mem-fraction-static", "0.8", "--trust-remote-code",
    ]  # fmt: skip
    assert any("server_args=" in line for line in heard), "the log's lines are told while waiting"
    assert any("75%" in line for line in heard)
    assert gone(record)


def test_a_server_that_dies_early_is_said_with_the_end_of_its_log(tmp_path, stand_in):
    record = stand_in(dies="torch.OutOfMemoryError: CUDA out of memory")
    server = Server(Launch("org/model"), tmp_path / "log")
    with pytest.raises(ModelError) as error:
        server.wait_healthy()
    assert error.value.code == "R037"
    assert "exit code 3" in error.value.message
    assert error.value.message.endswith("| torch.OutOfMemoryError: CUDA out of memory")
    assert str(tmp_path / "log") in str(error.value.help)
    assert gone(record)


def test_a_command_that_cannot_be_started_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("DATAFORGE_SGLANG", "/no/such/python -m sglang.launch_server")
    server = Server(Launch("org/model"), tmp_path / "log")
    with pytest.raises(ModelError, match="/no/such/python cannot be started: No such file") as error:
        server.wait_healthy()
    assert error.value.code == "R037"


def test_a_command_with_open_quotes_is_wrong_input(tmp_path, monkeypatch):
    monkeypatch.setenv("DATAFORGE_SGLANG", "python 'oh")
    with pytest.raises(ProjectError, match="DATAFORGE_SGLANG is no command"):
        Server(Launch("org/model"), tmp_path / "log")


def test_a_server_that_never_gets_healthy_is_given_up_and_stopped(tmp_path, stand_in):
    record = stand_in(ready_after_s=60)
    server = Server(Launch("org/model", start_timeout_s=1.0), tmp_path / "log")
    with pytest.raises(ModelError, match="was not healthy within 1 s") as error:
        server.wait_healthy()
    assert error.value.code == "R037"
    assert "server_args=" in error.value.message
    assert gone(record)


def test_a_server_that_ignores_the_request_to_end_is_made_to(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(launch, "GRACE_S", 0.5)
    record = stand_in(stubborn=True)
    with Server(Launch("org/model"), tmp_path / "log") as server:
        server.wait_healthy()
    assert server.exit_code == 128 + signal.SIGKILL
    assert gone(record)


def test_a_taken_port_is_refused_before_anything_is_launched(tmp_path, stand_in):
    record = stand_in()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OutputError) as error:
        Server(Launch("org/model"), tmp_path / "log", port=taken.getsockname()[1])
    assert error.value.code == "R032"
    assert not record.exists()


def test_the_key_is_asked_for_and_shows_nowhere(tmp_path, stand_in, monkeypatch):
    record = stand_in()
    monkeypatch.setenv("CALLERS_KEY", KEY)
    with Server(Launch("org/model", api_key_env="CALLERS_KEY"), tmp_path / "log") as server:
        [line] = told(record) if eventually(lambda: bool(told(record))) else [{}]
        config = Path(line["argv"][line["argv"].index("--config") + 1])
        server.wait_healthy()
        assert not config.exists(), "the key stays on no disk"
        processes = [line["pid"], server._keeper.pid]
        assert not any(KEY.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
        chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        assert ask(server.url, "/v1/chat/completions", chat)[0] == 401
        assert ask(server.url, "/v1/chat/completions", chat, key=KEY)[0] == 200
        assert ask(server.url, "/health")[0] == 200
    log = (tmp_path / "log").read_text()
    assert "api_key='***'" in log, "the server prints its arguments, as SGLang does"
    assert KEY not in log
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("key", ["", "with space", "quote'", "-begins-like-a-flag", "é"])
def test_what_is_no_key_is_refused(tmp_path, stand_in, monkeypatch, key):
    record = stand_in()
    monkeypatch.setenv("CALLERS_KEY", key)
    with pytest.raises(ProjectError) as error:
        Server(Launch("org/model", api_key_env="CALLERS_KEY"), tmp_path / "log")
    assert error.value.code == "R004"
    assert not key or key not in str(error.value)
    assert not record.exists()


@pytest.mark.parametrize("argument", ["--port", "--api-key=sk-1", "--host", "--config", "--model-path"])
def test_engine_arguments_do_not_contradict_what_is_set(argument):
    with pytest.raises(ProjectError, match="cannot be among the engine's arguments") as error:
        Launch("org/model", engine_args=(argument, "1"))
    assert "sk-1" not in str(error.value)


def test_a_secret_is_blotted_out_however_the_output_is_cut():
    secret = b"abab-secret"
    text = b"x abab" + secret + b" y " + secret[:-1] + b"! ab" + secret
    wanted = text.replace(secret, b"***")
    for cut in range(1, len(text)):
        assert copied([text[:cut], text[cut:]], secret) == wanted
    assert copied([bytes([byte]) for byte in text], secret) == wanted


def copied(pieces: list[bytes], secret: bytes) -> bytes:
    """What the keeper writes for output that comes in such pieces."""
    written: list[bytes] = []
    blot = keeper.Blot(secret)
    for piece in pieces:
        written.append(blot.pass_on(piece))
    return b"".join([*written, blot.rest()])


# ---- the backend


def test_two_names_of_one_model_share_a_server_and_the_last_stops_it(tmp_path, stand_in):
    record = stand_in()

    async def use() -> None:
        writer = sglang.connect(spec("writer", state_folder=tmp_path / "state"))
        tagger = sglang.connect(spec("tagger", state_folder=tmp_path / "state"))
        assert told(record) == [], "nothing is launched before the first call"
        words = await asyncio.gather(writer.ping(), tagger.ping(), writer.complete(request("one")))
        assert words[0] == "org/model"
        assert words[2].text == "Heard: one"
        await writer.close()
        assert (await tagger.complete(request("two"))).text == "Heard: two"
        assert (await tagger.go_on(CompletionRequest((1, 2)))).text == " after [1, 2]"
        await tagger.close()

    asyncio.run(use())
    assert len(told(record)) == 1
    assert [path.suffix for path in (tmp_path / "state").iterdir()] == [".log"]
    assert gone(record)


def test_other_settings_are_another_server(tmp_path, stand_in):
    record = stand_in()

    async def use() -> None:
        backends = [
            sglang.connect(spec("a", context_length=n, state_folder=tmp_path / "s")) for n in (512, 1024)
        ]
        await asyncio.gather(*(backend.ping() for backend in backends))
        for backend in backends:
            await backend.close()

    asyncio.run(use())
    assert len(told(record)) == 2
    assert gone(record)


def test_a_key_in_the_binding_protects_the_server_and_is_sent_to_it(tmp_path, stand_in, monkeypatch):
    record = stand_in()
    monkeypatch.setenv("OWN_KEY", KEY)

    async def use() -> str:
        backend = sglang.connect(spec(api_key_env="OWN_KEY", state_folder=tmp_path / "state"))
        try:
            return (await backend.complete(request("hello"))).text
        finally:
            await backend.close()

    assert asyncio.run(use()) == "Heard: hello"
    assert "--config" in told(record)[0]["argv"]
    assert gone(record)


def test_a_failed_launch_is_not_tried_again_for_the_second_name(tmp_path, stand_in):
    record = stand_in(dies="no such model")

    async def use() -> list[Any]:
        backends = [sglang.connect(spec(name, state_folder=tmp_path / "state")) for name in ("a", "b")]
        found = await asyncio.gather(*(backend.ping() for backend in backends), return_exceptions=True)
        for backend in backends:
            await backend.close()
        return found

    found = asyncio.run(use())
    assert [error.code for error in found] == ["R037", "R037"]
    assert len(told(record)) == 1


def test_who_gives_up_waiting_stops_the_launch(tmp_path, stand_in):
    record = stand_in(ready_after_s=60)

    async def use() -> None:
        backend = sglang.connect(spec(state_folder=tmp_path / "state"))
        ping = asyncio.create_task(backend.ping())
        assert await asyncio.to_thread(eventually, lambda: bool(told(record)))
        ping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ping
        assert ping.cancelled()

    asyncio.run(use())
    assert gone(record)


def test_closing_stops_a_launch_that_others_wait_for(tmp_path, stand_in):
    record = stand_in(ready_after_s=60)

    async def use() -> BaseException | None:
        backend = sglang.connect(spec(state_folder=tmp_path / "state"))
        call = asyncio.create_task(backend.complete(request("hello")))
        assert await asyncio.to_thread(eventually, lambda: bool(told(record)))
        await backend.close()
        [error] = await asyncio.gather(call, return_exceptions=True)
        return error

    assert isinstance(asyncio.run(use()), DataForgeError | asyncio.CancelledError)
    assert gone(record)


def test_a_server_that_is_lost_in_use_ends_all_calls_at_once(tmp_path, stand_in, caplog):
    """The client would wait ten minutes for an endpoint to come back; this one does not."""
    record = stand_in(answers_after_s=60)

    async def use() -> list[Any]:
        backend = sglang.connect(spec(state_folder=tmp_path / "state"))
        calls = [asyncio.create_task(backend.complete(request(f"{n}"))) for n in range(40)]
        await asyncio.to_thread(eventually, lambda: (tmp_path / "record.jsonl.asked").exists())
        os.kill(told(record)[0]["pid"], signal.SIGKILL)
        found = await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(QuotaError) as late:
            await backend.complete(request("anyone?"))
        await backend.close()
        return [*found, late.value]

    found = asyncio.run(use())
    assert {(type(error), error.code) for error in found} == {(QuotaError, "R037")}
    assert f"exit code {128 + signal.SIGKILL}" in found[0].message
    lost = [line for line in caplog.records if getattr(line, "event", "") == "server_lost"]
    assert len(lost) == 1, "it is told once"
    assert gone(record)


def test_where_others_were_added_a_lost_server_is_done_without(tmp_path, stand_in):
    record = stand_in()

    async def use() -> str:
        backend = sglang.connect(spec(state_folder=tmp_path / "state", retry_base_s=0.01))
        assert backend.pool is None, "there is nothing to steer before the launch"
        await backend.ping()
        with Server(Launch("org/model"), tmp_path / "log") as other:
            await asyncio.to_thread(other.wait_healthy)
            backend.pool.add(other.url)
            os.kill(told(record)[0]["pid"], signal.SIGKILL)
            urls = lambda: [status["url"] for status in backend.pool.status()]  # noqa: E731
            assert await asyncio.to_thread(eventually, lambda: urls() == [other.url])
            answer = await backend.complete(request("still there?"))
            await backend.close()
        return answer.text

    assert asyncio.run(asyncio.wait_for(use(), 60)) == "Heard: still there?"
    assert gone(record)


def test_without_a_gpu_it_says_so_and_offers_the_embedded_model(monkeypatch):
    monkeypatch.delenv("DATAFORGE_SGLANG", raising=False)
    monkeypatch.setattr(launch, "gpu_found", lambda: False)
    with pytest.raises(ProjectError, match="there is no GPU on this machine") as error:
        sglang.connect(spec())
    assert error.value.code == "R036"
    assert "dataforge serve embedded" in str(error.value.help)


def test_without_sglang_it_says_so(monkeypatch):
    monkeypatch.delenv("DATAFORGE_SGLANG", raising=False)
    monkeypatch.setattr(launch, "gpu_found", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ProjectError, match=r"SGLang is not installed \(pip install") as error:
        sglang.connect(spec())
    assert error.value.code == "R036"


def test_an_engine_and_an_address_contradict_each_other(stand_in):
    stand_in()
    with pytest.raises(ProjectError, match="an engine that is to be launched and to an address too"):
        sglang.connect(spec(base_url=("http://127.0.0.1:1/v1",)))


# ---- the command


def serving(tmp_path: Path, *more: str, **env: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("DATAFORGE_SGLANG", "STAND_IN")}
    return subprocess.Popen(
        command("serve", "org/model", "--port", "0", *more),
        cwd=tmp_path, env=environment(PYTHONUNBUFFERED="1", TMPDIR=str(tmp_path), **kept, **env), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_launches_says_how_to_bind_and_stops_all(tmp_path, stand_in, number):
    record = stand_in()
    process = serving(
        tmp_path, "--context-length", "2048", "--api-key-env", "K", "--", "--trust-remote-code", K=KEY
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    assert lines[0].startswith("serving org/model at http://127.0.0.1:")
    table = tomllib.loads("".join(lines[1:]))["models"]["generator"]
    assert table["model"] == "org/model"
    assert table["api_key_env"] == "K"
    assert ask(table["base_url"], "/v1/models", key=KEY)[0] == 200
    argv = told(record)[0]["argv"]
    assert argv[-3:] == ["--context-length", "2048", "--trust-remote-code"]
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip()) == (0, "stopped")
    assert "server_args=" in err, "the log is shown while it starts"
    assert KEY not in out + err
    assert gone(record)


def test_nothing_survives_the_kill_of_the_command(tmp_path, stand_in):
    record = stand_in()
    process = serving(tmp_path, "--json", "--api-key-env", "K", K=KEY)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["models"] == ["org/model"]
    process.kill()
    process.communicate()
    assert gone(record)


def test_nothing_survives_the_kill_of_a_command_that_still_waits(tmp_path, stand_in):
    record = stand_in(ready_after_s=60)
    process = serving(tmp_path, "--api-key-env", "K", K=KEY)
    assert eventually(lambda: bool(told(record)))
    process.kill()
    process.communicate()
    assert gone(record)
    argv = told(record)[0]["argv"]
    config = Path(argv[argv.index("--config") + 1])
    assert eventually(lambda: not config.exists()), "the file with the key is taken away too"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise is Linux's")
def test_the_server_does_not_survive_its_keeper(tmp_path, stand_in):
    record = stand_in()
    with Server(Launch("org/model"), tmp_path / "log") as server:
        server.wait_healthy()
        server._keeper.kill()
        assert eventually(lambda: not lives(told(record)[0]["pid"]))
    os.kill(told(record)[0]["helper"], signal.SIGKILL)  # in SGLang these watch over their parent themselves


def test_serve_says_when_the_server_dies_by_itself(tmp_path, stand_in):
    record = stand_in()
    process = serving(tmp_path, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(told(record)[0]["pid"], signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    error = json.loads(out)["error"]
    assert error["code"] == "R037"
    assert "ended by itself, with exit code 137" in error["message"]
    assert gone(record)


def test_serve_warns_where_others_need_no_key(tmp_path, stand_in):
    stand_in(dies="enough")
    process = serving(tmp_path, "--host", "0.0.0.0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "0.0.0.0 can be reached by others" in err
    assert "| enough" in err


def test_serve_without_a_gpu_offers_the_embedded_model(tmp_path):
    if launch.gpu_found():
        pytest.skip("there is a GPU here")
    done = dataforge("serve", "org/model", "--port", "0", cwd=tmp_path)
    assert done.code == 2
    assert "error[R036]" in done.err
    assert "dataforge serve embedded" in done.err


def test_a_whole_run_over_an_engine_of_its_own(tmp_path, stand_in):
    record = stand_in()
    (tmp_path / "dataforge.toml").write_text(
        '[models.generator]\nmodel = "org/model"\nengine = "sglang"\ncontext_length = 2048\n'
        'engine_args = ["--mem-fraction-static", "0.7"]\napi_key_env = "ENGINE_KEY"\n'
    )
    (tmp_path / "seeds.txt").write_text("water is wet\n\nfire is hot\n\nice is cold\n")
    (tmp_path / "main.forge").write_text(
        "struct Passage { text: str }\nstruct Note { text: str }\ngenerator writer\ngenerator tagger\n"
        'node jot { takes Passage  gives Note  ask writer { prompt "Jot: {{ Passage.text }}"  into Note.text } }\n'
        "struct Tag { text: str }\n"
        'node tag { takes Note  gives Tag  ask tagger { prompt "Tag: {{ Note.text }}"  into Tag.text } }\n'
        'graph main { from Passage  to Note, Tag  nodes *  emit { user "?"  assistant "{{ Tag.text }}" } }\n'
    )
    kept = {name: os.environ[name] for name in ("DATAFORGE_SGLANG", "STAND_IN")}
    done = dataforge(
        "run", "main.forge", "--seeds", "seeds.txt", "--out", "out", "--json", cwd=tmp_path,
        ENGINE_KEY=KEY, **kept,
    )  # fmt: skip
    assert done.code == 0, done.err
    summary = done.json()
    assert summary["kept"] == summary["attempted"] >= 1
    [line] = told(record)
    assert line["argv"][-4:] == ["--context-length", "2048", "--mem-fraction-static", "0.7"]
    assert gone(record)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    shown = dataforge("show", "out", "--json", cwd=tmp_path)
    assert "Heard: Tag: Heard: Jot:" in shown.out
