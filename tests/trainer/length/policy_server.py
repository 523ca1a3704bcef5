"""A policy behind HTTP whose every token is known beforehand: it thinks as long as its prompt says.

It has a tokenizer of its own, a token for each byte, written anew here (that of `trainer.tiny` must agree with it), and a
template that thinks, ChatML as Qwen3 has it. A prompt says `problem 7: think 130, answer 20`, and the policy then writes
`<think>`, a newline, 130 tokens, a newline, `</think>`, two newlines, 20 tokens and the end of the turn, cut at
`max_tokens`. A raw completion goes on wherever in this script its prompt ends. One that was closed early answers with the
number of tokens that it was let think.

    python policy_server.py LOG [--form tags|parsed|opened|plain] [--skew N] [--chat-only] [--slow] [--port N]

`tags` sends thinking in the content, `parsed` in a field of its own, `opened` has a template that begins it in the prompt,
`plain` a tokenizer to which the tags are text. `skew` is what it counts too much of a prompt.

The first line of its output is its port. Each request is a line of LOG before it is answered: the `serial` that the answer
has in its model's name, the path, and a hash of the body.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
)
END = 258
_ASKED = re.compile(r"problem (\d+): think (\d+), answer (\d+)( in French)?")


def _bytes_in_order() -> list[int]:
    """Each byte by its id: bytes stand for characters, those without a glyph for ones from U+0100 on; ids sort by these."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    characters = {byte: byte for byte in shown} | {byte: 256 + at for at, byte in enumerate(hidden)}
    return sorted(range(256), key=lambda byte: characters[byte])


_BYTES = _bytes_in_order()
_IDS = {byte: number for number, byte in enumerate(_BYTES)}


def encoded(text: str, special: Sequence[str] = SPECIAL) -> list[int]:
    parts = re.split("(" + "|".join(map(re.escape, special)) + ")", text)
    return [
        number
        for part in parts
        for number in (
            [256 + SPECIAL.index(part)] if part in special else [_IDS[byte] for byte in part.encode()]
        )
    ]


def decoded(ids: Sequence[int]) -> str:
    """As servers give text: without the token that ends a turn, and with a sign for each half of a character."""
    raw = b"".join(SPECIAL[i - 256].encode() if i >= 256 else bytes([_BYTES[i]]) for i in ids if i != END)
    return raw.decode("utf-8", "replace")


def thinking(number: int, length: int, french: bool = False) -> str:
    """What the policy thinks of a problem: so many bytes, no white space at its ends, and much of it inside."""
    if french:
        return ("a" * (length % 2) + "é" * (length // 2))[:length]
    draw = random.Random(number)
    words = "".join(
        f"{draw.choice(['so', 'hm', 'wait', '7', 'then'])}{draw.choice([' ', chr(10), '  '])}"
        for _ in range(length)
    )
    return words[: length - 1].rstrip().ljust(length - 1, "x") + "." if length else ""


def answer(number: int, length: int) -> str:
    """What it answers: so many bytes, of which the last are the number of the problem."""
    said = f"\nanswer: {number}"
    return (
        "It is as I thought. ".ljust(length - len(said), "y")[: max(0, length - len(said))].strip() + said
        if length
        else ""
    )


def forced(number: int, thought: int) -> str:
    return f"Cut after {thought}.\nanswer: {number}"


class Policy:
    """The script."""

    def __init__(self, form: str, skew: int) -> None:
        self.form, self.skew = form, skew
        self.special = SPECIAL[:3] if form == "plain" else SPECIAL
        self.open, self.close = self.encoded("<think>"), self.encoded("</think>")

    def encoded(self, text: str) -> list[int]:
        return encoded(text, self.special)

    def header(self, messages: list[dict[str, Any]]) -> list[int]:
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        return self.encoded(text + "<|im_start|>assistant\n" + ("<think>\n" if self.form == "opened" else ""))

    def turn(self, prompt: str, seed: int) -> list[int]:
        """All that the policy would write behind a prompt, its opening included."""
        number, think, length, french = _ASKED.findall(prompt)[-1]
        thoughts = thinking(int(number), int(think) + 7 * seed, bool(french))
        return self.encoded(f"<think>\n{thoughts}\n</think>\n\n{answer(int(number), int(length))}<|im_end|>")

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        header = self.header(body["messages"])
        turn = self.turn(body["messages"][-1]["content"], body.get("seed") or 0)
        if self.form == "opened":
            turn = turn[2:]
        out = turn[: body["max_tokens"]]
        text, message = decoded(out), {}
        if self.form == "parsed":
            thoughts, _, rest = text.removeprefix("<think>").partition("</think>")
            message, text = {"reasoning_content": thoughts}, rest
        choice = {"message": {"role": "assistant", "content": text, **message}}
        return self.reply(choice, len(header), len(out), len(out) == len(turn))

    def go_on(self, body: dict[str, Any]) -> dict[str, Any]:
        ids = body["prompt"]
        opens = _find(ids, self.open)
        prompt, written = decoded(ids[:opens]), ids[opens:]
        turn = self.turn(prompt, body.get("seed") or 0)
        closed = _find(turn, self.close) + len(self.close)
        if written[:closed] == turn[:closed]:
            # Closed by itself: whatever follows must be the script to the token.
            assert turn[: len(written)] == written, "went on from another answer"
            rest = turn[len(written) :]
        else:
            tail = self.encoded("\n") + self.close
            thought = written[: -len(tail)]
            assert written[-len(tail) :] == tail, "did not close the thinking"
            assert turn[: len(thought)] == thought, "went on from other thinking"
            number = int(_ASKED.findall(prompt)[-1][0])
            length = len(thought) - len(self.open) - 1
            rest = self.encoded(f"\n\n{forced(number, length)}<|im_end|>")
        out = rest[: body["max_tokens"]]
        return self.reply({"text": decoded(out)}, len(ids), len(out), len(out) == len(rest))

    def reply(self, choice: dict[str, Any], prompt: int, out: int, ended: bool) -> dict[str, Any]:
        usage = {"prompt_tokens": prompt + self.skew, "completion_tokens": out}
        return {
            "choices": [{"index": 0, "finish_reason": "stop" if ended else "length", **choice}],
            "usage": usage,
        }


def _find(ids: list[int], part: list[int]) -> int:
    return next(at for at in range(len(ids)) if ids[at : at + len(part)] == part)


def serve(log: str, policy: Policy, *, port: int, chat_only: bool, slow: bool) -> None:
    draw, lock, file = random.Random(0), threading.Lock(), Path(log).open("a")  # noqa: SIM115 - as long as we live
    serials = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            path = self.path.removeprefix("/v1")
            with lock:
                serial = next(serials)
                said = {
                    "serial": serial,
                    "path": path,
                    "max_tokens": body["max_tokens"],
                    "body": hashlib.sha256(raw).hexdigest(),
                }
                file.write(json.dumps(said) + "\n")
                file.flush()
                wait = draw.uniform(0, 0.05 if slow else 0.004)
            time.sleep(wait)
            if path == "/completions" and chat_only:
                self._send(404, {"error": {"message": "no such path"}})
                return
            try:
                document = policy.go_on(body) if path == "/completions" else policy.chat(body)
            except Exception as error:  # noqa: BLE001 - the client is told what it did wrong
                self._send(400, {"error": {"message": f"{type(error).__name__}: {error}"}})
                return
            self._send(200, {"model": f"scripted-{serial}", **document})

        def _send(self, status: int, document: dict[str, Any]) -> None:
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until whoever started us is gone


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--form", choices=("tags", "parsed", "opened", "plain"), default="tags")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--skew", type=int, default=0)
    parser.add_argument("--chat-only", action="store_true")
    parser.add_argument("--slow", action="store_true")
    given = parser.parse_args()
    serve(
        given.log,
        Policy(given.form, given.skew),
        port=given.port,
        chat_only=given.chat_only,
        slow=given.slow,
    )
