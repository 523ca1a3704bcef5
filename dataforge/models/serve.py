"""Local models behind a real OpenAI-compatible endpoint: `dataforge serve embedded`, or a GGUF file.

It serves what the backend `local` offers, over HTTP on the loopback device unless told otherwise:

    GET  /health               {"status": "ok"}
    GET  /v1/models            the two embedded models, or the one of the file
    POST /v1/chat/completions  chat completions, not streamed; thinking comes in `reasoning_content`
    POST /v1/completions       raw completions of a text or of token ids, not streamed

Errors have OpenAI's shape, `{"error": {"message", "type", "code"}}`, with the status that fits. The tests use it as their
real server, and any client of OpenAI's API can.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
import time
from collections.abc import Coroutine, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticCustomError

from dataforge.errors import ModelError, OutputError, PermanentError, RateLimitError
from dataforge.models import Backend, connect
from dataforge.models.binding import EMBEDDED_GENERATOR, EMBEDDED_JUDGE
from dataforge.models.client import (
    ChatReply,
    ChatRequest,
    Completes,
    CompletionRequest,
    Kind,
    ModelSpec,
    Sampling,
)
from dataforge.models.weights import identity
from schemas.chat import Message, Thinking

MAX_BODY_BYTES = 4 * 1024 * 1024
_IDLE_TIMEOUT_S = 60
_ANSWER_TIMEOUT_S = 600
_SERVED: Mapping[str, Kind] = {EMBEDDED_GENERATOR: "generator", EMBEDDED_JUDGE: "judge"}
_THINKING: Mapping[bool | None, Thinking] = {True: "on", False: "off", None: "auto"}

TokenId = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
_Asked = TypeVar("_Asked", bound="_Body")


class _SchemaBody(BaseModel):
    name: str = "answer"
    schema_: dict[str, Any] = Field(alias="schema")


class _FormatBody(BaseModel):
    type: str
    json_schema: _SchemaBody | None = None


class _TemplateBody(BaseModel):
    enable_thinking: bool | None = Field(
        default=None, validation_alias=AliasChoices("enable_thinking", "thinking")
    )


class _Body(BaseModel):
    """The part of OpenAI's requests that the embedded models know. Other keys are accepted and change nothing."""

    model_config = ConfigDict(extra="ignore")

    model: str
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool = False
    n: int = 1

    def sampling(self, max_tokens: int | None) -> Sampling:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(self.temperature, self.top_p, max_tokens, stop, self.seed)


class _ChatBody(_Body):
    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    response_format: _FormatBody | None = None
    chat_template_kwargs: _TemplateBody | None = None
    continue_final_message: bool = False

    def request(self) -> ChatRequest:
        asked, template = self.response_format, self.chat_template_kwargs
        schema = asked.json_schema.schema_ if asked is not None and asked.json_schema is not None else None
        if asked is not None and asked.type == "json_object":
            schema = {"type": "object"}
        return ChatRequest(
            messages=tuple(self.messages),
            sampling=self.sampling(self.max_completion_tokens or self.max_tokens),
            thinking=_THINKING[template.enable_thinking if template is not None else None],
            schema=schema,
            continues=self.continue_final_message,
        )


class _RawBody(_Body):
    prompt: Annotated[str, Field(min_length=1)] | Annotated[list[TokenId], Field(min_length=1)]

    @field_validator("prompt", mode="wrap")
    @classmethod
    def _one(cls, told: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(told)
        except ValidationError:
            raise PydanticCustomError(
                "prompt", "should be one text or one list of token ids, not empty"
            ) from None

    def request(self) -> CompletionRequest:
        prompt = self.prompt if isinstance(self.prompt, str) else tuple(self.prompt)
        return CompletionRequest(prompt, self.sampling(self.max_tokens))


class _HttpError(Exception):
    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


class EmbeddedServer:
    """The endpoint. It listens from construction on; use it as a context manager, or call `serve_forever`.

    Args:
        host: address to listen on; the default is reachable from this machine only.
        port: port to listen on; 0 takes a free one, which `url` then tells.
        api_key: a key that clients must send as a bearer token, or None to let everyone in.
        models: backends by model name, in place of the embedded ones.

    Raises:
        OutputError: the address is taken or is none of this machine's.
        ModelError: the embedded models are not installed (R030).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        *,
        models: Mapping[str, Backend] | None = None,
    ) -> None:
        self.models = dict(models) if models is not None else _embedded()
        self.api_key = api_key
        self.loop = asyncio.new_event_loop()
        try:
            self._http = _Http((host, port), self)
        except OSError as error:
            self.loop.close()
            raise OutputError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                code="R032",
                help="choose another --port, or --port 0 for any that is free",
            ) from error
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The `base_url` for clients."""
        host, port = self._http.server_address[:2]
        host = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"

    def serve_forever(self) -> None:
        """Serve until interrupted, then close."""
        with self:
            self._threads[-1].join()

    def __enter__(self) -> EmbeddedServer:
        self._threads = [
            threading.Thread(target=self.loop.run_forever, name="embedded-models", daemon=True),
            threading.Thread(
                target=self._http.serve_forever, args=(0.05,), name="embedded-http", daemon=True
            ),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        for backend in self.models.values():
            asyncio.run_coroutine_threadsafe(backend.close(), self.loop).result(timeout=30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in self._threads:
            thread.join(timeout=30)
        self.loop.close()

    def answer(self, body: bytes) -> dict[str, Any]:
        """The chat completion that a request body asks for.

        Raises:
            _HttpError: with the status and the reason.
        """
        asked = _parse(body, _ChatBody)
        return _completion(asked.model, self._made(self._backend(asked.model).complete(asked.request())))

    def go_on(self, body: bytes) -> dict[str, Any]:
        """The raw completion that a request body asks for.

        Raises:
            _HttpError: with the status and the reason.
        """
        asked = _parse(body, _RawBody)
        backend = self._backend(asked.model)
        if not isinstance(backend, Completes):
            raise _HttpError(
                404, f"the model `{asked.model}` makes no raw completions, only chat", "not_found"
            )
        return _raw_completion(asked.model, self._made(backend.go_on(asked.request())))

    def _backend(self, model: str) -> Backend:
        backend = self.models.get(model)
        if backend is None:
            known = ", ".join(self.models)
            raise _HttpError(
                404, f"the model `{model}` does not exist; there are: {known}", "model_not_found"
            )
        return backend

    def _made(self, call: Coroutine[Any, Any, ChatReply]) -> ChatReply:
        """The reply to a call, which is made on the models' own event loop.

        Raises:
            _HttpError: with the status and the reason.
        """
        future = asyncio.run_coroutine_threadsafe(call, self.loop)
        try:
            return future.result(timeout=_ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            future.cancel()
            raise _HttpError(504, f"no answer within {_ANSWER_TIMEOUT_S} s", "timeout") from error
        except PermanentError as error:
            raise _HttpError(400, error.message, error.code) from error
        except RateLimitError as error:
            raise _HttpError(429, error.message, error.code) from error
        except ModelError as error:
            raise _HttpError(503, error.message, error.code) from error


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    # The default backlog of 5 turns clients away who come 16 at a time.
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: EmbeddedServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; other failures were answered with a 500 already."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "dataforge"
    timeout = _IDLE_TIMEOUT_S
    server: _Http

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def _get(self) -> dict[str, Any]:
        match self.path.split("?")[0].rstrip("/"):
            case "/health":
                return {"status": "ok"}
            case "/v1/models":
                self._authorise()
                models = [
                    {"id": name, "object": "model", "owned_by": "dataforge"}
                    for name in self.server.owner.models
                ]
                return {"object": "list", "data": models}
            case _:
                raise _HttpError(404, f"there is nothing at {self.path[:100]}", "not_found")

    def _post(self) -> dict[str, Any]:
        match self.path.split("?")[0].rstrip("/"):
            case "/v1/chat/completions":
                answer = self.server.owner.answer
            case "/v1/completions":
                answer = self.server.owner.go_on
            case _:
                raise _HttpError(404, f"there is nothing at {self.path[:100]}", "not_found")
        self._authorise()
        return answer(self._body())

    def _authorise(self) -> None:
        key = self.server.owner.api_key
        sent = self.headers.get("Authorization", "").encode()
        if key is not None and not hmac.compare_digest(sent, f"Bearer {key}".encode()):
            raise _HttpError(401, "the request carries no key, or a wrong one", "invalid_api_key")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise _HttpError(411, "the request must say how long its body is", "length_required")
        if int(length) > MAX_BODY_BYTES:
            raise _HttpError(413, f"the body is larger than {MAX_BODY_BYTES // 1024**2} MiB", "too_large")
        return self.rfile.read(int(length))

    def _respond(self, make: Any) -> None:
        status = 200
        try:
            body = make()
        except _HttpError as error:
            status, body = error.status, error.body()
            # Whatever of the request was not read would be taken for the next one.
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - the client must hear of it, whatever it was
            status, body = 500, _HttpError(500, f"{type(error).__name__}: {error}", "internal").body()
            self.close_connection = True
        raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: prompts are the user's business."""


def _parse(body: bytes, shape: type[_Asked]) -> _Asked:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _HttpError(400, f"the body is no JSON: {error}", "invalid_json") from error
    try:
        asked = shape.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise _HttpError(400, f"{where}: {first['msg']}", "invalid_request") from error
    if asked.stream:
        raise _HttpError(400, "streaming is not offered here; send stream: false", "unsupported_parameter")
    if asked.n != 1:
        raise _HttpError(400, "one choice is made per request; send n: 1", "unsupported_parameter")
    return asked


def _completion(model: str, reply: ChatReply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    return _answer("chatcmpl", "chat.completion", model, {"message": message}, reply)


def _raw_completion(model: str, reply: ChatReply) -> dict[str, Any]:
    return _answer("cmpl", "text_completion", model, {"text": reply.text}, reply)


def _answer(
    prefix: str, kind: str, model: str, choice: Mapping[str, Any], reply: ChatReply
) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, **choice, "finish_reason": reply.finish_reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        },
    }


def local_model(name: str, file: Path) -> dict[str, Backend]:
    """A GGUF file as the one model of a server, under a name of its own."""
    spec = ModelSpec(
        name=name,
        kind="generator",
        backend="local",
        model=name,
        weights=identity(file),
        options={"path": str(file)},
        origin="serve",
    )
    return {name: connect(spec)}


def _embedded() -> dict[str, Backend]:
    return {
        name: connect(
            ModelSpec(name=name, kind=kind, backend="local", model=name, weights=name, origin="serve")
        )
        for name, kind in _SERVED.items()
    }
