"""A run's calls as OpenTelemetry spans and metrics, by its conventions for generative AI.

On only where the environment asks for it in OpenTelemetry's own way, and behind the extra `otel`. Providers are the
run's own, so that those of a host program are left alone. Numbers and names are exported, never prompts or answers.
A collector that does not answer is said, as any warning is, and costs the run a few seconds at its end at most.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dataforge.models.client import ModelSpec
from dataforge.run.progress import CallEvent, Progress

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_S = 5.0
"""What is not delivered so long after the run's end is dropped."""

_SIGNALS = ("TRACES", "METRICS")
_ASKING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in _SIGNALS),
    *(f"OTEL_{signal}_EXPORTER" for signal in _SIGNALS),
)
_TOKEN_BOUNDS = [4**power for power in range(14)]
_DURATION_BOUNDS = [0.01 * 2**power for power in range(14)]
"""Both as the conventions set them."""

logger = logging.getLogger("dataforge.telemetry")


def open_telemetry(specs: Mapping[str, ModelSpec], note: Callable[[str], None]) -> Progress | None:
    """A listener that exports what it hears, or None where the environment asks for none.

    Args:
        specs: the bindings, by logical name.
        note: is told where telemetry is asked for and cannot be had.
    """
    asking = next((name for name in _ASKING if os.environ.get(name)), None)
    if asking is None or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    wanted = [signal for signal in _SIGNALS if _wanted(signal, note)]
    if not wanted:
        return None
    try:
        # Of a package that is not there, not even the parent can be imported.
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        note(f"{asking} asks for telemetry, which needs: pip install 'dataforge-compiler[otel]'")
        return None
    try:
        return Telemetry(specs, *_providers(wanted))
    except Exception as error:  # noqa: BLE001 - the SDK reads a dozen variables; none of them is worth a run
        note(f"no telemetry: {error}")
        return None


def _wanted(signal: str, note: Callable[[str], None]) -> bool:
    """Whether a signal is to be exported: by OTLP over HTTP or not at all."""
    exporters = os.environ.get(variable := f"OTEL_{signal}_EXPORTER") or "otlp"
    if exporters.strip() == "none":
        return False
    if exporters.strip() != "otlp":
        note(f"{variable}={exporters} is not supported, so nothing is exported there; `otlp` and `none` are")
        return False
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := os.environ.get(variable, "").strip():
            if protocol != "http/protobuf":
                note(
                    f"{variable}={protocol} is not supported, so nothing is exported there; http/protobuf is"
                )
            return protocol == "http/protobuf"
    return True


def _providers(wanted: list[str]) -> tuple[TracerProvider | None, MeterProvider | None]:
    """Providers that export, set up from the environment: sampler, batches, headers, time-outs."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The SDK lets what is given here win over the environment, which should win.
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": "dataforge"})
    tracers = meters = None
    if "TRACES" in wanted:
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if "METRICS" in wanted:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource, shutdown_on_exit=False)
    return tracers, meters


class Telemetry(Progress):
    """Makes a span and three measurements of every call, and counts rows. A reused reply was no call."""

    def __init__(
        self, specs: Mapping[str, ModelSpec], tracers: TracerProvider | None, meters: MeterProvider | None
    ) -> None:
        from opentelemetry import metrics, trace

        us = "dataforge", version("dataforge-compiler")
        self._providers = [provider for provider in (tracers, meters) if provider is not None]
        self._tracer = (tracers or trace.NoOpTracerProvider()).get_tracer(*us)
        self._client = trace.SpanKind.CLIENT
        self._spans = tracers is not None
        meter = (meters or metrics.NoOpMeterProvider()).get_meter(*us)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of a call, by whether they were read or written.",
            explicit_bucket_boundaries_advisory=_TOKEN_BOUNDS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Wall seconds of a call, its retries included.",
            explicit_bucket_boundaries_advisory=_DURATION_BOUNDS,
        )
        self._rows = meter.create_counter(
            "dataforge.rows", unit="{row}", description="Rows that have ended, by how and why."
        )
        self._models = {name: _described(spec) for name, spec in specs.items()}
        self._complaints = _Complaints()
        logging.getLogger("opentelemetry").addHandler(self._complaints)

    def call(self, event: CallEvent) -> None:
        if event.reused:
            return
        common = self._models[event.model] | {
            "gen_ai.response.model": event.served_by,
            "dataforge.node": event.node,
        }
        if self._spans:
            span = self._tracer.start_span(
                f"chat {common['gen_ai.request.model']}",
                kind=self._client,
                attributes={
                    **common,
                    "gen_ai.response.finish_reasons": (event.finish_reason,),
                    "gen_ai.usage.input_tokens": event.prompt_tokens,
                    "gen_ai.usage.output_tokens": event.completion_tokens,
                    "dataforge.row": event.row,
                    "dataforge.purpose": event.purpose,
                    "dataforge.model": event.model,
                    "dataforge.attempts": event.attempts,
                },
                start_time=_ns(event.started_at),
            )
            span.end(_ns(event.started_at + event.latency_s))
        self._duration.record(event.latency_s, common)
        self._tokens.record(event.prompt_tokens, {**common, "gen_ai.token.type": "input"})
        self._tokens.record(event.completion_tokens, {**common, "gen_ai.token.type": "output"})

    def row(self, status: str, code: str | None) -> None:
        self._rows.add(1, {"dataforge.status": status} | ({"dataforge.code": code} if code else {}))

    def end(self) -> None:
        # In a thread that may be left behind: a collector that hangs must not hold up the end of a run.
        flush = threading.Thread(target=self._shut_down, name="telemetry", daemon=True)
        flush.start()
        flush.join(FLUSH_S)
        if flush.is_alive():
            logger.warning("the telemetry's last part was not delivered", extra={"event": "telemetry_lost"})
        logging.getLogger("opentelemetry").removeHandler(self._complaints)

    def _shut_down(self) -> None:
        for provider in self._providers:
            provider.shutdown()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _described(spec: ModelSpec) -> dict[str, Any]:
    """What the conventions want to know of a model, as far as its binding says it."""
    backend = spec.backend
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        # By their word, a client that speaks OpenAI's protocol says `openai` where it does not know better.
        "gen_ai.provider.name": "openai" if backend.startswith("openai") else backend,
        "gen_ai.request.model": spec.model,
    }
    addresses = spec.options.get("base_url", ())
    if len(addresses) == 1:  # of several, an event does not say which answered
        parts = urlsplit(addresses[0])
        told["server.address"] = parts.hostname or ""
        told["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    return told


class _Complaints(logging.Handler):
    """Hands what the SDK warns of to our own log, which people hear of once and not for every batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        logger.warning(
            "telemetry is not delivered: %s", record.getMessage()[:300], extra={"event": "telemetry_failed"}
        )
