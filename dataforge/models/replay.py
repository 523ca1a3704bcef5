"""The backend `replay`: answers from a file instead of a model, for tests, demos and looking at a run again.

The file is JSON Lines. A line answers either one exact call, by its content key, as `Recorder` writes it; or any call
whose last user message is, or contains, some text, as one writes it by hand. Of a raw completion the prompt is looked at,
where it is a text; one of token ids has its key alone.

    {"key": "5f0c…", "text": "A recorded answer.", "prompt_tokens": 12, "completion_tokens": 4}
    {"prompt": "What is the capital of France?", "text": "Paris."}
    {"contains": "Write one question", "texts": ["Who built it?", "When was it built?"]}

`texts` gives the first sample the first text, the second sample the second, and so on round. Keys are tried first, then
whole prompts, then the `contains` lines from top to bottom. A call that nothing answers is an error, never a guess.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dataforge.errors import PermanentError, ProjectError
from dataforge.models.binding import with_defaults
from dataforge.models.client import (
    Backend,
    ChatReply,
    ChatRequest,
    Completes,
    CompletionRequest,
    ModelSpec,
)

_REPLY_FIELDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "reasoning": (str, type(None)),
    "finish_reason": (str,),
    "constrained": (bool,),
    "prompt_tokens": (int,),
    "completion_tokens": (int,),
    "latency_s": (int, float),
    "model": (str,),
    "forced": (bool,),
}
_MATCHERS = ("key", "prompt", "contains")


def connect(spec: ModelSpec) -> Backend:
    """Open a file of recordings.

    Raises:
        ProjectError: there is no file, or a line of it is no recording.
    """
    path = spec.options.get("path")
    if not path:
        raise ProjectError(
            f"{spec.origin} binds `{spec.name}` to the backend `replay` but names no file",
            help='add path = "recorded.jsonl"',
        )
    return Replay(spec, read_recordings(Path(path)), source=str(path))


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """What answers one call, or every call that looks alike."""

    by: str
    what: str
    replies: tuple[ChatReply, ...]


class Replay:
    """A model that only ever says what was said before."""

    def __init__(self, spec: ModelSpec, recordings: Iterable[Recording], source: str = "its mapping") -> None:
        self._spec = spec
        self._source = source
        self._exact: dict[tuple[str, str], Recording] = {}
        self._containing: list[Recording] = []
        for recording in recordings:
            if recording.by == "contains":
                self._containing.append(recording)
            else:
                self._exact[recording.by, recording.what] = recording

    @classmethod
    def of_journal(cls, spec: ModelSpec, replies: Mapping[str, ChatReply]) -> Replay:
        """Answers from a mapping of call keys, such as a run's journal holds."""
        return cls(spec, [Recording("key", key, (reply,)) for key, reply in replies.items()])

    async def complete(self, request: ChatRequest) -> ChatReply:
        request = with_defaults(request, self._spec)
        return self._found(request, _last_user_message(request))

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        request = with_defaults(request, self._spec)
        return self._found(request, request.prompt if isinstance(request.prompt, str) else None)

    def _found(self, request: ChatRequest | CompletionRequest, prompt: str | None) -> ChatReply:
        found = (
            self._exact.get(("key", request.key(self._spec.weights)))
            or self._exact.get(("key", request.key("")))
            or (prompt is not None and self._by_text(prompt))
        )
        if not found:
            told = "of token ids" if prompt is None else json.dumps(_shortened(prompt), ensure_ascii=False)
            raise PermanentError(
                f"`{self._spec.name}` has no recording in {self._source} for the prompt {told} "
                f"(key {request.key(self._spec.weights)})",
                help="record the call, or add a line such as "
                '{"contains": "part of the prompt", "text": "the answer"}',
            )
        reply = found.replies[request.attempt % len(found.replies)]
        return dataclasses.replace(reply, model=reply.model or self._spec.model)

    def _by_text(self, prompt: str) -> Recording | None:
        return self._exact.get(("prompt", prompt)) or next(
            (one for one in self._containing if one.what in prompt), None
        )

    async def ping(self) -> str:
        return f"{len(self._exact) + len(self._containing)} recordings in {self._source}"

    async def close(self) -> None:
        """Nothing is held open."""


class Recorder:
    """A backend that passes calls on to another one and writes down what came back, a line a call."""

    def __init__(self, inner: Backend, path: Path) -> None:
        self._inner = inner
        self._path = path
        self._lock = threading.Lock()

    async def complete(self, request: ChatRequest) -> ChatReply:
        return self._kept(request, await self._inner.complete(request))

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        if not isinstance(self._inner, Completes):
            raise PermanentError(
                "the backend that is recorded makes no raw completions",
                code="L004",
                help="record one that does",
            )
        return self._kept(request, await self._inner.go_on(request))

    def _kept(self, request: ChatRequest | CompletionRequest, reply: ChatReply) -> ChatReply:
        line = record(request, reply) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line)
        return reply

    async def ping(self) -> str:
        return await self._inner.ping()

    async def close(self) -> None:
        await self._inner.close()


def record(request: ChatRequest | CompletionRequest, reply: ChatReply, weights: str = "") -> str:
    """One call as a line of a file of recordings. Without `weights` it answers under whatever model it is bound to."""
    said = {
        field.name: value
        for field in dataclasses.fields(reply)
        if (value := getattr(reply, field.name)) != field.default and field.name != "latency_s"
    }
    return json.dumps({"key": request.key(weights), **said}, ensure_ascii=False)


def read_recordings(path: Path) -> Iterator[Recording]:
    """The recordings of a file, in order.

    Raises:
        ProjectError: the file cannot be read, or a line of it is no recording.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"{path}: recordings cannot be read: {error}",
            help="check `path`; the file is JSON Lines in UTF-8",
        ) from error
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield _recording(line, f"{path}:{number}")


def _recording(line: str, where: str) -> Recording:
    def wrong(what: str) -> ProjectError:
        return ProjectError(
            f"{where}: {what}",
            help='a recording reads {"prompt": "…", "text": "…"}, with "key" or "contains" for "prompt"',
        )

    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise wrong(f"is no JSON: {error}") from error
    if not isinstance(entry, dict):
        raise wrong("is no JSON object")
    matchers = [name for name in _MATCHERS if isinstance(entry.get(name), str)]
    texts = entry.get("texts", [entry.get("text")])
    if len(matchers) != 1:
        raise wrong(f"needs exactly one of {', '.join(_MATCHERS)}")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise wrong("needs a `text`, or `texts` with at least one")
    unknown = set(entry) - set(_REPLY_FIELDS) - {*_MATCHERS, "texts"}
    if unknown:
        raise wrong(f"has an unknown key `{min(unknown)}`")
    said = {name: value for name, value in entry.items() if name in _REPLY_FIELDS and name != "text"}
    for name, value in said.items():
        if not isinstance(value, _REPLY_FIELDS[name]):
            raise wrong(f"`{name}` has the wrong type")
    replies = tuple(ChatReply(text=text, **said) for text in texts)
    return Recording(matchers[0], entry[matchers[0]], replies)


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= 200 else prompt[:199] + "…"


def _last_user_message(request: ChatRequest) -> str:
    return next((m.content for m in reversed(request.messages) if m.role == "user"), "")
