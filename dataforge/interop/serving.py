"""The trajectory API of Atropos over HTTP, so that trainers and environments written for it work with ours.

    POST /register            a trainer: batch size, longest response, steps → {"uuid"}
    GET  /batch               {"batch": [group, …]} of exactly the batch size, or {"batch": null}
    POST /register-env        an environment → its number, once the trainer has begun
    POST /disconnect-env      it leaves
    POST /scored_data         a group;  POST /scored_data_list: several, all of them or none
    GET  /info  /status  /status-env  /wandb_info  /latest_example  /reset_data

Backpressure: where the queue is full, groups are answered with 503 and `Retry-After`. It is 503 and not 429 because
the environments of Atropos send again after a 5xx and drop what is answered with a 4xx. Bodies may be gzipped.

The protocol has no login. It listens on the loopback device unless told otherwise; a token, where one is given, must come
as `Authorization: Bearer …`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from dataforge.errors import OutputError
from dataforge.interop.groups import ScoredGroup, first_fault
from dataforge.interop.trajectories import (
    EnvRegistration,
    Full,
    Queued,
    Registration,
    TooLarge,
    Trajectories,
    UnknownEnvironment,
)

MAX_BODY_BYTES = 256 * 1024 * 1024
RETRY_AFTER_S = 2
_COMPRESSED_FROM = 1_000
_NOTHING: dict[str, list[Any]] = {
    key: []
    for key in (
        "tokens", "masks", "scores", "advantages", "ref_logprobs", "generation_params", "inference_logprobs",
        "messages", "images",
    )
}  # fmt: skip
"""What `/latest_example` says before there is one."""

_Asked = TypeVar("_Asked")


class EnvNumber(BaseModel):
    env_id: int


class _Refusal(Exception):
    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class TrajectoryApi:
    """The endpoints over a queue.

    Args:
        queue: what is behind them.
        token: what callers must send, or None to let everyone in.
        counts: what `/status` says beyond the protocol.
        registered: told of a trainer that registers.
    """

    def __init__(
        self,
        queue: Trajectories,
        *,
        token: str | None = None,
        counts: Callable[[], Mapping[str, Any]] = dict,
        registered: Callable[[Registration], None] = lambda told: None,
    ) -> None:
        self.queue = queue
        self._token = token
        self._counts = counts
        self._registered = registered

    def application(self) -> web.Application:
        """As an application of aiohttp."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._answered])
        app.add_routes(
            [
                web.get("/", self.root),
                web.get("/info", self.info),
                web.get("/wandb_info", self.wandb_info),
                web.get("/status", self.status),
                web.get("/status-env", self.status_env),
                web.get("/batch", self.batch),
                web.get("/latest_example", self.latest_example),
                web.get("/reset_data", self.reset_data),
                web.post("/register", self.register),
                web.post("/register-env", self.register_env),
                web.post("/disconnect-env", self.disconnect_env),
                web.post("/scored_data", self.scored_data),
                web.post("/scored_data_list", self.scored_data_list),
            ]
        )
        return app

    @web.middleware
    async def _answered(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Let in who may, and answer refusals as FastAPI does: `{"detail": …}`."""
        try:
            sent = request.headers.get("Authorization", "").encode()
            if self._token is not None and not hmac.compare_digest(sent, f"Bearer {self._token}".encode()):
                raise _Refusal(401, "the request carries no token, or a wrong one")
            response: web.StreamResponse = await handler(request)
        except _Refusal as refusal:
            return web.json_response(
                {"detail": refusal.detail}, status=refusal.status, headers=refusal.headers
            )
        except UnknownEnvironment as error:
            return web.json_response({"detail": f"there is no environment {error}"}, status=404)
        if _worth_compressing(request, response):
            response.enable_compression()
        return response

    # ---- for trainers

    async def register(self, request: web.Request) -> web.Response:
        told = await _body(request, Registration)
        number = self.queue.register(told)
        self._registered(told)
        return web.json_response({"uuid": number})

    async def batch(self, request: web.Request) -> web.Response:
        try:
            groups = self.queue.batch()
        except LookupError:
            message = "Trainer not registered. Call /register first."
            return web.json_response({"status": "error", "message": message, "batch": []})
        if groups is None:
            return web.json_response({"batch": None})
        return _json(b'{"batch":[' + b",".join(group.line for group in groups) + b"]}")

    async def info(self, request: web.Request) -> web.Response:
        trainer = self.queue.trainer
        size, longest = (trainer.batch_size, trainer.max_token_len) if trainer is not None else (-1, -1)
        return web.json_response({"batch_size": size, "max_token_len": longest})

    async def wandb_info(self, request: web.Request) -> web.Response:
        trainer = self.queue.trainer
        group, project = (trainer.wandb_group, trainer.wandb_project) if trainer is not None else (None, None)
        return web.json_response({"group": group, "project": project})

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "current_step": self.queue.step,
                "queue_size": self.queue.queue_size,
                "batches": self.queue.batches,
                "held_bytes": self.queue.held_bytes,
                "full": self.queue.is_full,
                "dropped": dict(self.queue.dropped),
                **self._counts(),
            }
        )

    async def latest_example(self, request: web.Request) -> web.Response:
        latest = self.queue.latest
        return web.json_response(_NOTHING) if latest is None else _json(latest.line)

    async def reset_data(self, request: web.Request) -> web.Response:
        self.queue.reset()
        return web.Response(text="Reset successful")

    # ---- for environments

    async def register_env(self, request: web.Request) -> web.Response:
        made = self.queue.register_env(await _body(request, EnvRegistration))
        if made is None:
            return web.json_response({"status": "wait for trainer to start"})
        number, environment = made
        assert self.queue.trainer is not None
        return web.json_response(
            {
                "status": "success",
                "env_id": number,
                "wandb_name": environment.name,
                "checkpoint_dir": self.queue.trainer.checkpoint_dir,
                "starting_step": self.queue.step,
                "checkpoint_interval": self.queue.trainer.save_checkpoint_interval,
                "num_steps": self.queue.trainer.num_steps,
            }
        )

    async def disconnect_env(self, request: web.Request) -> web.Response:
        try:
            self.queue.disconnect((await _body(request, EnvNumber)).env_id)
        except UnknownEnvironment as error:
            return web.json_response({"status": "failure", "error": f"there is no environment {error}"})
        return web.json_response({"status": "success"})

    async def status_env(self, request: web.Request) -> web.Response:
        return web.json_response(self.queue.env_status((await _body(request, EnvNumber)).env_id))

    async def scored_data(self, request: web.Request) -> web.Response:
        (waiting,) = self._add([await _body(request, ScoredGroup)])
        if waiting is None:
            return web.json_response({"status": "received"})
        return web.json_response({"status": "buffered", "buffer_size": waiting})

    async def scored_data_list(self, request: web.Request) -> web.Response:
        groups = await _body(request, list[ScoredGroup])
        buffered = [waiting for waiting in self._add(groups) if waiting is not None]
        answer: dict[str, Any] = {"status": "received", "groups_processed": len(groups)}
        if buffered:
            answer |= {"buffered": len(buffered), "last_buffer_size": buffered[-1]}
        return web.json_response(answer)

    async def root(self, request: web.Request) -> web.Response:
        return web.json_response({"message": "the trajectory API of Atropos, served by DataForge"})

    def _add(self, groups: list[ScoredGroup]) -> list[int | None]:
        if any(not group.tokens for group in groups):
            raise _Refusal(422, "a group without tokens cannot be trained on")
        try:
            return self.queue.add([Queued.of(group) for group in groups])
        except Full:
            detail = f"the queue is full ({self.queue.held} groups); send it again later"
            raise _Refusal(503, detail, **{"Retry-After": str(RETRY_AFTER_S)}) from None
        except TooLarge as error:
            raise _Refusal(413, str(error)) from None


class Serving:
    """The API on a socket, as an async context manager.

    Raises:
        OutputError: R032, where it cannot listen there.
    """

    def __init__(self, api: TrajectoryApi, host: str, port: int) -> None:
        self._runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=2.0)
        self._host, self._port = host, port
        self.url = ""

    async def __aenter__(self) -> Serving:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise OutputError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror or error}",
                code="R032",
                help="choose another --port, or --port 0 for any that is free",
            ) from error
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def _body(request: web.Request, shape: type[_Asked]) -> _Asked:
    """The body as what it should be."""
    try:
        return TypeAdapter(shape).validate_json(await request.read())
    except ValidationError as error:
        raise _Refusal(422, first_fault(error)) from None
    except web.RequestPayloadError as error:
        # aiohttp unpacks gzip while it reads.
        raise _Refusal(400, f"the body cannot be read: {error}") from None


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _worth_compressing(request: web.Request, response: web.StreamResponse) -> bool:
    """Batches of tokens shrink to a quarter, which pays on a wire and not on the loopback device."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return False
    try:
        here = ip_address(request.remote or "").is_loopback
    except ValueError:
        here = False
    return not here and len(response.body) >= _COMPRESSED_FROM
