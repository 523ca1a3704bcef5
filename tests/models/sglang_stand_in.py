"""Stands in for `python -m sglang.launch_server`: parses its flags, loads for a while, then speaks its HTTP API.

The flags are SGLang's own, `--config` and the repr of all arguments at the start (keys too) included; whatever else is
given is an error, as there. What it should do wrong comes in the variable STAND_IN, a JSON object:

    ready_after_s   how long it "loads" before it listens; then /health says 503 for as long again
    dies            print this and exit with code 3 instead of getting ready
    stubborn        ignore SIGTERM
    answers_after_s how long a chat completion takes; that one was asked for shows in a file beside `record`
    record          a file to which it appends {"pid", "helper", "argv", "environ"} as a line of JSON
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    told: dict[str, Any] = {"ready_after_s": 0.2, **json.loads(os.environ.get("STAND_IN", "{}"))}
    arguments = parse(sys.argv[1:])
    if told.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # SGLang's scheduler and detokenizer are processes of their own; none may be left behind.
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    if "record" in told:
        with Path(told["record"]).open("a") as file:
            line = {
                "pid": os.getpid(),
                "helper": helper.pid,
                "argv": sys.argv[1:],
                "environ": dict(os.environ),
            }
            file.write(json.dumps(line) + "\n")
    say(f"server_args={arguments}")
    for part in range(4):
        say(f"\rLoading safetensors checkpoint shards: {part * 25}%", end="")
        time.sleep(told["ready_after_s"] / 4)
    if "dies" in told:
        say(f"\n{told['dies']}")
        sys.exit(3)
    server = Stand((arguments.host, arguments.port), Handler)
    server.arguments = arguments
    server.told = told
    server.healthy_at = time.monotonic() + told["ready_after_s"]
    say("\nThe server is fired up and ready to roll!")
    server.serve_forever()


def say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="launch_server", allow_abbrev=False)
    parser.add_argument("--model-path", "--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=30000)
    parser.add_argument("--tensor-parallel-size", "--tp-size", type=int, default=1)
    parser.add_argument("--context-length", type=int)
    parser.add_argument("--reasoning-parser", choices=["deepseek-r1", "qwen3", "gpt-oss"])
    parser.add_argument("--tool-call-parser", choices=["qwen", "qwen25", "llama3", "mistral"])
    parser.add_argument("--attention-backend", choices=["triton", "flashinfer", "fa3", "torch_native"])
    parser.add_argument("--api-key")
    parser.add_argument("--served-model-name")
    parser.add_argument("--mem-fraction-static", type=float)
    parser.add_argument("--trust-remote-code", action="store_true")
    if "--config" in argv:
        place = argv.index("--config")
        argv = configured(Path(argv[place + 1])) + argv[:place] + argv[place + 2 :]
    return parser.parse_args(argv)


def configured(file: Path) -> list[str]:
    """A flat YAML file, its values in double quotes or plain, as flags that come before the others."""
    assert file.suffix in (".yaml", ".yml"), "SGLang takes no other ending"
    assert file.stat().st_mode & 0o077 == 0, "others can read the key"
    found = []
    for line in file.read_text().splitlines():
        key, _, value = line.partition(": ")
        found += [f"--{key}", json.loads(value) if value.startswith('"') else value]
    return found


class Stand(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    arguments: argparse.Namespace
    told: dict[str, Any]
    healthy_at: float


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stand

    def do_GET(self) -> None:
        arguments = self.server.arguments
        model = arguments.served_model_name or arguments.model_path
        if self.path in ("/health", "/health_generate"):
            return self.answer(200 if time.monotonic() >= self.server.healthy_at else 503)
        if not self.may():
            return self.answer(401, {"error": "Unauthorized"})
        if self.path == "/get_model_info":
            return self.answer(200, {"model_path": arguments.model_path, "is_generation": True})
        if self.path == "/v1/models":
            card = {"id": model, "object": "model", "owned_by": "sglang", "max_model_len": 4096}
            return self.answer(200, {"object": "list", "data": [card]})
        return self.answer(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.may():
            return self.answer(401, {"error": "Unauthorized"})
        if self.path == "/generate":
            return self.answer(200, {"text": f"After {body['text']}", "meta_info": {"completion_tokens": 2}})
        if self.path == "/v1/completions":
            choice = {"index": 0, "finish_reason": "length", "text": f" after {body['prompt']}"}
            usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
            return self.answer(200, {"model": body["model"], "choices": [choice], "usage": usage})
        if self.path != "/v1/chat/completions":
            return self.answer(404, {"detail": "Not Found"})
        if "answers_after_s" in self.server.told:
            Path(self.server.told["record"] + ".asked").touch()
            time.sleep(self.server.told["answers_after_s"])
        text = f"Heard: {body['messages'][-1]['content']}"
        return self.answer(
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "model": body["model"],
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                ],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
            },
        )

    def may(self) -> bool:
        key = self.server.arguments.api_key
        return key is None or hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {key}")

    def answer(self, status: int, body: Any = None) -> None:
        raw = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


if __name__ == "__main__":
    main()
