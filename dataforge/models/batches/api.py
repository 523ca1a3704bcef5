"""OpenAI's Files and Batches API over HTTP, as far as a backend needs it: upload, create, look up, read lines.

Each method is one thing done, however many requests that takes: what may pass by itself is tried four times with full
jitter. Batches are in no hurry, so the waits are longer than those of a chat call. Whatever the server sends is bounded,
redirects are refused, and what it says goes into messages only by way of `wire`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import tenacity

from dataforge.errors import PermanentError, RateLimitError, TransientError
from dataforge.models import wire
from dataforge.models.batches.lines import CHAT
from dataforge.models.transport import MAX_ERROR_BYTES, checked_socket, proxy_for

MAX_ATTEMPTS = 4
MARKER = "dataforge_batch"
_MAX_WAIT_S = 60.0
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_MAX_LINE_BYTES = 16 * 1024 * 1024
_CONTROL_S = 120.0
_TRANSFER_S = 3600.0
_SILENCE_S = 300.0
_CLOCKS_DIFFER_S = 3600.0
_ID = re.compile(r"\w[\w.:-]{0,255}", re.ASCII)

_Result = TypeVar("_Result")


class GoneError(PermanentError):
    """The endpoint knows no such batch or file (any more)."""


class BatchApi:
    """One endpoint's Files and Batches. For one event loop.

    Args:
        endpoint: whom to ask; also an attribute.
        connect_s: seconds to get a connection.
        retry_base_s: the longest first wait after a failure that may pass; it doubles with each one.
        allow_link_local: whether a name may lead to a link-local address.
    """

    def __init__(
        self,
        endpoint: wire.Endpoint,
        *,
        connect_s: float,
        retry_base_s: float,
        allow_link_local: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self._connect_s = connect_s
        self._retry_base_s = retry_base_s
        self._allow_link_local = allow_link_local
        self._session: aiohttp.ClientSession | None = None

    async def ping(self) -> None:
        """List one batch: that needs the address, the key and the API to be right, and costs nothing."""
        await self._retried(self._asked, "GET", "batches?limit=1")

    async def upload(self, marker: str, lines: bytes) -> str:
        """Upload a batch's lines; returns the file's id. A file costs nothing, so one that is uploaded twice is no harm."""

        async def attempt() -> dict[str, Any]:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field(
                "file",
                io.BytesIO(lines),
                filename=f"{MARKER}-{marker}.jsonl",
                content_type="application/jsonl",
            )
            return await self._asked("POST", "files", data=form, total_s=_TRANSFER_S)

        return self._id(await self._retried(attempt), "file")

    async def create(self, file_id: str, marker: str, began_at: float, *, perhaps_made: bool) -> str:
        """Make a batch of an uploaded file, unless an earlier attempt has: a batch costs money, so none is made twice.

        Args:
            file_id: the uploaded file.
            marker: what the batch is found by among all of the account's.
            began_at: a time before which it cannot have been made.
            perhaps_made: whether somebody may have asked for it already.

        Returns:
            Its id.
        """
        order = {
            "input_file_id": file_id,
            "endpoint": CHAT,
            "completion_window": "24h",
            "metadata": {MARKER: marker},
        }

        async def attempt() -> dict[str, Any]:
            nonlocal perhaps_made
            if perhaps_made and (found := await self._find(marker, began_at)) is not None:
                return found
            perhaps_made = True  # an answer that gets lost on its way says nothing about what was done
            return await self._asked("POST", "batches", json=order)

        return self._id(await self._retried(attempt), "batch")

    async def batch(self, batch_id: str) -> dict[str, Any]:
        """A batch as it stands.

        Raises:
            GoneError: there is none of that id.
        """
        return await self._retried(self._asked, "GET", f"batches/{batch_id}")

    async def each_line(self, file_id: str, take: Callable[[bytes], None]) -> None:
        """Give each line of a file to `take`, as it arrives; from the first line on again where a transfer breaks off.

        Raises:
            GoneError: there is no such file.
        """
        self._id({"id": file_id}, "file")

        async def attempt() -> None:
            async with self._answered("GET", f"files/{file_id}/content", total_s=_TRANSFER_S) as response:
                rest = b""
                async for piece in response.content.iter_any():
                    *lines, rest = (rest + piece).split(b"\n")
                    if len(rest) > _MAX_LINE_BYTES:
                        raise PermanentError(
                            f"{self.endpoint} sent a line of more than {_MAX_LINE_BYTES // 1024**2} MiB",
                            help="lower `max_tokens`, and check that `base_url` is a batch API",
                        )
                    for line in lines:
                        take(line)
                take(rest)

        await self._retried(attempt)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _find(self, marker: str, began_at: float) -> dict[str, Any] | None:
        """The account's batch of that marker.

        Newest come first, as a rule that nobody states: so only where they do ends the search at one that is too old.
        """
        after = ""
        while True:
            page = await self._asked("GET", f"batches?limit=100{after}")
            listed = page.get("data")
            batches = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            for batch in batches:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and metadata.get(MARKER) == marker:
                    return batch
            if not batches or not page.get("has_more"):
                return None
            newest, oldest = batches[0].get("created_at"), batches[-1].get("created_at")
            if not (isinstance(newest, int) and isinstance(oldest, int)):
                newest = oldest = began_at  # no order to go by: look at every page
            if oldest < min(newest, began_at - _CLOCKS_DIFFER_S):  # newest first, and ours is not so old
                return None
            further = f"&after={self._id(batches[-1], 'batch')}"
            if further == after:
                return None
            after = further

    async def _retried(self, attempt: Callable[..., Awaitable[_Result]], *args: str) -> _Result:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((RateLimitError, TransientError)),
            wait=self._wait_s,
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            reraise=True,
        )
        return await retrying(attempt, *args)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        jitter = tenacity.wait_random_exponential(multiplier=self._retry_base_s, max=_MAX_WAIT_S)
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, RateLimitError) else None
        return max(jitter(state), min(asked_s or 0.0, _MAX_WAIT_S))

    async def _asked(
        self, method: str, path: str, *, total_s: float = _CONTROL_S, **content: Any
    ) -> dict[str, Any]:
        """One request whose answer is a JSON object."""
        async with self._answered(method, path, total_s=total_s, **content) as response:
            body = await _read(response, _MAX_ANSWER_BYTES)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self._nonsense(method, path, body)
        return document

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, *, total_s: float, **content: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request and its answer, once the answer's status is good; reading it may still fail.

        Raises:
            ModelError: there is no answer, or it says no.
        """
        timeout = aiohttp.ClientTimeout(
            total=total_s, sock_connect=self._connect_s, sock_read=min(total_s, _SILENCE_S)
        )
        try:
            async with self._opened().request(
                method, f"{self.endpoint.url}/{path}", timeout=timeout, allow_redirects=False, **content
            ) as response:
                if not 200 <= response.status < 300:
                    raise self._refusal(
                        response.status, response.headers, await _read(response, MAX_ERROR_BYTES)
                    )
                yield response
        except aiohttp.ConnectionTimeoutError as error:
            raise wire.timed_out(self.endpoint, self._connect_s, connecting=True) from error
        except TimeoutError as error:
            raise wire.timed_out(self.endpoint, total_s) from error
        except (aiohttp.ClientError, OSError) as error:
            raise wire.broken_off(self.endpoint, error) from None  # its text may hold what the server said

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception:
        headers = {name.lower(): value for name, value in headers.items()}
        error = wire.refusal(self.endpoint, status, headers, body)
        return GoneError(error.message, help=error.help) if status == 404 else error

    def _nonsense(self, method: str, path: str, body: bytes) -> TransientError:
        return TransientError(
            f"{self.endpoint} answered {method} {path.partition('?')[0]} with {self.endpoint.quote(body[:4096])}",
            help="check that `base_url` is the address of a server with OpenAI's Batch API",
        )

    def _id(self, document: Mapping[str, Any], what: str) -> str:
        """The id in an answer. It goes into addresses and messages, so it must look like one."""
        found = document.get("id")
        if isinstance(found, str) and _ID.fullmatch(found):
            return found
        raise PermanentError(
            f"{self.endpoint} gave a {what} without an id",
            help="check that `base_url` is the address of a server with OpenAI's Batch API",
        )

    def _opened(self) -> aiohttp.ClientSession:
        """The session, opened at the first request: it belongs to the event loop that makes it."""
        if self._session is None:
            # Compressed, a small answer could hold a huge one.
            headers = {"Accept-Encoding": "identity"}
            if self.endpoint.key:
                headers["Authorization"] = f"Bearer {self.endpoint.key}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    happy_eyeballs_delay=None,  # racing, a refused address is lost among the others' failures
                    socket_factory=None if self._allow_link_local else checked_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
                auto_decompress=False,
                proxy=proxy_for(self.endpoint.url),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The beginning of a body, up to a bound."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            break
    return bytes(body[:most])
