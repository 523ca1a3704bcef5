"""Launching an SGLang server: which flags it gets, when it is healthy, and that it ends when we do.

`Launch` says which server; `Server` is the running thing: a keeper process (see `keeper`) that ties its life to ours, an
address, and a log. The flags are those of `python -m sglang.launch_server --help`. A key is given in a `--config` file,
readable by its owner alone and deleted once it was read: SGLang knows no environment variable for it, and a flag would
show in `ps`.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dataforge.errors import Interrupted, ModelError, OutputError, ProjectError
from dataforge.models import keeper

COMMAND_VARIABLE = "DATAFORGE_SGLANG"
"""Holds what to launch in place of this interpreter's SGLang: another interpreter's, or a container's entry command."""
LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 1800.0
GRACE_S = 15.0
TAIL_LINES = 12
_TAIL_BYTES = 16 * 1024
_POLL_S = 0.25
_ANSWER_S = 10.0
_OURS = ("--model-path", "--model", "--host", "--port", "--api-key", "--config")
_EVERYWHERE: Mapping[str, str] = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}  # noqa: S104 - compared, not listened on
"""Addresses that stand for all of a machine's, and where to reach them from inside."""
_KEY = re.compile(r"[A-Za-z0-9._~+/=][A-Za-z0-9._~+/=-]*")


@dataclass(frozen=True, slots=True)
class Launch:
    """A server to be launched: equal ones are the same server.

    Attributes:
        model: a folder, or the model's name at Hugging Face.
        tensor_parallel, context_length, reasoning_parser, tool_call_parser, attention_backend: SGLang's flags of these
            names; None leaves SGLang its own default.
        engine_args: further flags, passed on as they are.
        api_key_env: the variable with the key that callers must send, or None to let everyone in.
        start_timeout_s: how long it may take to become healthy; loading, and perhaps fetching, the weights included.
    """

    model: str
    tensor_parallel: int | None = None
    context_length: int | None = None
    reasoning_parser: str | None = None
    tool_call_parser: str | None = None
    attention_backend: str | None = None
    engine_args: tuple[str, ...] = ()
    api_key_env: str | None = None
    start_timeout_s: float = START_TIMEOUT_S

    def __post_init__(self) -> None:
        for argument in self.engine_args:
            if argument.partition("=")[0] in _OURS:
                raise ProjectError(
                    f"`{argument.partition('=')[0]}` cannot be among the engine's arguments, since it is set for it",
                    help="the model, the address and the key are said to DataForge itself; for a key, `api_key_env` "
                    "names the variable that holds it",
                )

    def command(self, host: str, port: int, config: Path | None) -> list[str]:
        """The command line."""
        own = os.environ.get(COMMAND_VARIABLE, "").strip()
        try:
            command = shlex.split(own) if own else [sys.executable, "-m", "sglang.launch_server"]
        except ValueError as error:
            raise ProjectError(
                f"the environment variable {COMMAND_VARIABLE} is no command: {error}",
                help="write it as for a shell, with its quotes closed",
            ) from error
        flags = {
            "--config": config,
            "--model-path": self.model,
            "--host": host,
            "--port": port,
            "--tp-size": self.tensor_parallel,
            "--context-length": self.context_length,
            "--reasoning-parser": self.reasoning_parser,
            "--tool-call-parser": self.tool_call_parser,
            "--attention-backend": self.attention_backend,
        }
        for flag, value in flags.items():
            command += [flag, str(value)] if value is not None else []
        return [*command, *self.engine_args]


def check_machine(launch: Launch) -> None:
    """See that a server can be launched here. A launch command of the user's own may well launch it elsewhere.

    Raises:
        ProjectError: with code R036.
    """
    if os.environ.get(COMMAND_VARIABLE, "").strip():
        return
    if not gpu_found():
        lacks = "there is no GPU on this machine"
    elif importlib.util.find_spec("sglang") is None:
        lacks = "SGLang is not installed (pip install 'dataforge-compiler[serve]')"
    else:
        return
    raise ProjectError(
        f"`{launch.model}` cannot be served here: {lacks}",
        code="R036",
        help="the embedded model and GGUF files need neither: `dataforge serve embedded`. A server elsewhere "
        f"is bound by its `base_url`; {COMMAND_VARIABLE} may hold a command that launches one",
    )


def gpu_found() -> bool:
    """Whether there is an NVIDIA or AMD GPU that this process may see."""
    if Path("/dev/kfd").exists() or any(Path("/dev").glob("nvidia[0-9]*")):
        return True
    if any(Path("/proc/driver/nvidia/gpus").glob("*")):
        return True
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=30, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and listed.stdout.startswith(b"GPU ")


class Server:
    """A server under way. It is launched by construction; use it as a context manager, or call `stop`.

    Args:
        launch: what to launch.
        log: where its output goes; the file is made for its owner alone.
        host: address to listen on.
        port: port to listen on; 0 takes one that is free.

    Raises:
        ProjectError: the key's variable is not set, or holds no key (R004).
        OutputError: the address is taken, or is none of this machine's (R032).
    """

    def __init__(self, launch: Launch, log: Path, host: str = LOOPBACK, port: int = 0) -> None:
        self.launch = launch
        self.log = log
        self._key = _read_key(launch.api_key_env)
        self._host = host
        self.port = _free_port(host, port)
        self._seen = 0
        self._config = _config_file(self._key)
        try:
            self._keeper = self._started()
        except BaseException:
            self._forget_config()
            raise

    @property
    def url(self) -> str:
        """The `base_url` for clients; where it listens on every address, that of this machine's name."""
        host = socket.gethostname() if self._host in _EVERYWHERE else self._host
        return f"http://{_in_url(host)}:{self.port}/v1"

    @property
    def local_url(self) -> str:
        """The `base_url` from this machine."""
        return f"http://{_in_url(_EVERYWHERE.get(self._host, self._host))}:{self.port}/v1"

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._keeper.poll()

    def wait_healthy(
        self, tell: Callable[[str], None] = lambda line: None, stopping: threading.Event | None = None
    ) -> list[str]:
        """Wait until it answers, and stop it where it does not come to that.

        Args:
            tell: called with each new line of its log.
            stopping: set by another thread to give up.

        Returns:
            The names of the models that it serves.

        Raises:
            ModelError: with code R037, where it ended, or was not healthy in time.
            Interrupted: `stopping` was set.
        """
        started = time.monotonic()
        stopping = stopping or threading.Event()
        try:
            while not stopping.wait(_POLL_S):
                self._tell_news(tell)
                if self.exit_code is not None:
                    raise self.ended("before it was healthy")
                if (models := self._models()) is not None:
                    self._forget_config()
                    return models
                if time.monotonic() - started > self.launch.start_timeout_s:
                    raise self._complaint(f"was not healthy within {self.launch.start_timeout_s:g} s")
        except BaseException:
            self.stop()
            raise
        self.stop()
        raise Interrupted("stopped before the server was healthy")

    def wait(self) -> None:
        """Wait until it ends, which by itself it should not.

        Raises:
            ModelError: with code R037, when it did.
        """
        self._keeper.wait()
        raise self.ended("by itself")

    def ended(self, when: str) -> ModelError:
        """The error that says how it ended."""
        return self._complaint(f"ended {when}, with exit code {self.exit_code}")

    def stop(self) -> None:
        """Ask it and all its processes to end, make them where they do not, and wait for that."""
        assert self._keeper.stdin is not None
        with contextlib.suppress(OSError):
            self._keeper.stdin.close()
        try:
            self._keeper.wait(timeout=GRACE_S + 15)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._forget_config()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def tail(self) -> list[str]:
        """The last lines of its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return _lines(file.read())[-TAIL_LINES:]
        return []

    def _started(self) -> subprocess.Popen[bytes]:
        order = {
            "command": self.launch.command(self._host, self.port, self._config),
            "grace_s": GRACE_S,
            "secret": self._key or "",
            "remove": str(self._config or ""),
        }
        out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            started = subprocess.Popen(  # noqa: S603 - our own file, run by our own interpreter
                [sys.executable, "-I", "-S", keeper.__file__],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        finally:
            os.close(out)
        assert started.stdin is not None
        started.stdin.write(json.dumps(order).encode() + b"\n")
        started.stdin.flush()
        return started

    def _models(self) -> list[str] | None:
        """The names of its models once it is healthy and lists them; None before."""
        if self._get("/health") is None or (body := self._get("/v1/models")) is None:
            return None
        try:
            return [str(model["id"]) for model in json.loads(body)["data"]] or None
        except (ValueError, LookupError, TypeError):
            return None

    def _get(self, path: str) -> bytes | None:
        """The body of an answer of 200; None for everything else."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        host = _EVERYWHERE.get(self._host, self._host)
        connection = http.client.HTTPConnection(host, self.port, timeout=_ANSWER_S)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(1024 * 1024)
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _tell_news(self, tell: Callable[[str], None]) -> None:
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(self._seen)
            whole, end, _ = file.read().rpartition(b"\n")
            self._seen += len(whole) + len(end)
            for line in _lines(whole):
                tell(line)

    def _complaint(self, what: str) -> ModelError:
        lines = "".join(f"\n  | {line}" for line in self.tail())
        return ModelError(
            f"the server that was launched for `{self.launch.model}` {what}"
            + (f"; its log ends:{lines}" if lines else "; its log is empty"),
            code="R037",
            help=f"the whole log is {self.log}",
        )

    def _forget_config(self) -> None:
        if self._config is not None:
            self._config.unlink(missing_ok=True)


def log_file(model: str, folder: Path | None) -> Path:
    """A new file for a server's log: in a folder, or among the temporary ones."""
    name = re.sub(r"[^\w.-]+", "-", model).strip("-.")[-60:] or "model"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    number, path = tempfile.mkstemp(prefix=f"sglang-{name}-", suffix=".log", dir=folder)
    os.close(number)
    return Path(path)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _lines(text: bytes) -> list[str]:
    """The lines with something on them; a progress bar's returns end lines too."""
    return [line.rstrip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]


def _free_port(host: str, port: int) -> int:
    """See that the port is free, before minutes are spent on loading weights; the server itself takes it at their end."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OutputError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                code="R032",
                help="choose another --port, or --port 0 for any that is free",
            ) from error
        return int(probe.getsockname()[1])


def _read_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ProjectError(
            f"the key for callers should be in the environment variable {variable}, which is not set",
            code="R004",
            help=f"export {variable}=…, or let everyone in by not naming it",
        )
    if _KEY.fullmatch(key) is None:
        raise ProjectError(
            f"the environment variable {variable} holds characters that a bearer token has not, or begins with `-`",
            code="R004",
            help="use letters, digits and . _ ~ + / = -",
        )
    return key


def _config_file(key: str | None) -> Path | None:
    """SGLang's own configuration file with the key in it; the quotes keep YAML from taking it for a number."""
    if key is None:
        return None
    number, path = tempfile.mkstemp(prefix="dataforge-", suffix=".yaml")
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(f"api-key: {json.dumps(key)}\n")
    return Path(path)
