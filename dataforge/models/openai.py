"""The backend `openai`: any server that speaks OpenAI's chat completions, asked over pooled connections of our own.

`chat` has the attempts and retries, `pool` the endpoints and their limits, `direct` the connections, `wire` what answers
mean. The backend `openai_sdk` differs in its transport and in nothing else.
"""

from __future__ import annotations

from dataforge.models.chat import ChatBackend, api_key
from dataforge.models.client import Backend, ModelSpec
from dataforge.models.direct import DirectTransport
from dataforge.models.pool import Settings, shared_pool


def connect(spec: ModelSpec) -> Backend:
    """Open a model at its endpoints.

    Raises:
        ProjectError: the environment variable that should hold the key is not set (R004), or an address is one that no
            model is at (R035).
    """
    settings, key = Settings.of(spec), api_key(spec)
    transport = DirectTransport(key, allow_link_local=settings.allow_link_local)
    return ChatBackend(spec, shared_pool(settings, key, spec.origin), transport)
