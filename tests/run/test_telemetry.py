"""Telemetry by OpenTelemetry's conventions: what is exported, when, and what it may cost a run."""

from __future__ import annotations

import gzip
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dataforge.models.client import ModelSpec
from dataforge.run import telemetry as telemetry_module
from dataforge.run.log import RunLog
from dataforge.run.telemetry import Telemetry, open_telemetry
from tests.run.test_statistics import EVENT

pytest.importorskip("opentelemetry.sdk")

SPECS = {
    "writer": ModelSpec(
        "writer",
        "generator",
        "openai",
        "gpt-x",
        "gpt-x",
        options={"base_url": ("https://u:p@models.example/v1",)},
    ),
    "critic": ModelSpec("critic", "judge", "local", "minilm", "minilm"),
}
COMMON = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-x",
    "gen_ai.response.model": "m-1",
    "server.address": "models.example",
    "server.port": 443,
    "dataforge.node": "answer",
}


@pytest.fixture(autouse=True)
def _no_telemetry_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def notes() -> list[str]:
    return []


def test_a_call_is_a_span_with_its_true_times():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import SpanKind

    memory, tracers = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(memory))
    telemetry = Telemetry(SPECS, tracers, None)
    telemetry.call(EVENT)
    telemetry.call(replace(EVENT, reused=True))
    telemetry.row("kept", None)
    (span,) = memory.get_finished_spans()
    assert (span.name, span.kind, span.parent) == ("chat gpt-x", SpanKind.CLIENT, None)
    assert (span.start_time, span.end_time) == (1_000_000_000, 1_250_000_000)
    assert dict(span.attributes or {}) == COMMON | {
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 40,
        "dataforge.row": 3,
        "dataforge.purpose": "ask",
        "dataforge.model": "writer",
        "dataforge.attempts": 2,
    }
    telemetry.end()


def test_calls_and_rows_are_measured():
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    telemetry = Telemetry(SPECS, None, MeterProvider([reader], shutdown_on_exit=False))
    telemetry.call(EVENT)
    telemetry.call(EVENT)
    telemetry.call(replace(EVENT, reused=True))
    telemetry.call(replace(EVENT, model="critic", purpose="judge"))
    for status, code in (("kept", None), ("rejected", "R107"), ("rejected", "R107")):
        telemetry.row(status, code)
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    found: dict[str, list[Any]] = {metric.name: list(metric.data.data_points) for metric in scope.metrics}
    units = {metric.name: metric.unit for metric in scope.metrics}
    assert scope.scope.name == "dataforge"

    duration = found["gen_ai.client.operation.duration"]
    assert units["gen_ai.client.operation.duration"] == "s"
    (point,) = [p for p in duration if p.attributes["gen_ai.provider.name"] == "openai"]
    assert (point.count, point.sum, dict(point.attributes)) == (2, 0.5, COMMON)
    assert list(point.explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    (local,) = [p for p in duration if p.attributes["gen_ai.provider.name"] == "local"]
    assert "server.address" not in local.attributes

    tokens = {
        p.attributes["gen_ai.token.type"]: p.sum
        for p in found["gen_ai.client.token.usage"]
        if p.attributes["gen_ai.provider.name"] == "openai"
    }
    assert tokens == {"input": 200, "output": 80}
    rows = {
        (p.attributes["dataforge.status"], p.attributes.get("dataforge.code")): p.value
        for p in found["dataforge.rows"]
    }
    assert rows == {("kept", None): 1, ("rejected", "R107"): 2}
    telemetry.end()


@contextmanager
def collector(answer: threading.Event | None = None) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """A real OTLP/HTTP receiver: its address, and the requests that it decoded, by path."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    kinds: dict[str, Any] = {
        "/v1/traces": ExportTraceServiceRequest,
        "/v1/metrics": ExportMetricsServiceRequest,
    }
    received: dict[str, list[Any]] = {path: [] for path in kinds}

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if answer is not None:
                answer.wait(30)
            received[self.path].append(kinds[self.path].FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_collector_receives_it_all(monkeypatch):
    said = notes()
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
        telemetry = open_telemetry(SPECS, said.append)
        assert telemetry is not None
        for row in range(20):
            telemetry.call(replace(EVENT, row=row))
            telemetry.row("kept", None)
        telemetry.end()
    resources = [r for request in received["/v1/traces"] for r in request.resource_spans]
    spans = [span for r in resources for scope in r.scope_spans for span in scope.spans]
    assert sorted(a.value.int_value for s in spans for a in s.attributes if a.key == "dataforge.row") == list(
        range(20)
    )
    assert {(s.start_time_unix_nano, s.end_time_unix_nano) for s in spans} == {(1_000_000_000, 1_250_000_000)}
    assert {
        a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"
    } == {"nightly"}
    metrics = {
        metric.name
        for request in received["/v1/metrics"]
        for r in request.resource_metrics
        for scope in r.scope_metrics
        for metric in scope.metrics
    }
    assert metrics >= {"gen_ai.client.token.usage", "gen_ai.client.operation.duration", "dataforge.rows"}
    assert said == []


def test_the_sampler_of_the_environment_is_used(monkeypatch):
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")
        telemetry = open_telemetry(SPECS, print)
        assert telemetry is not None
        for row in range(400):
            telemetry.call(replace(EVENT, row=row))
        telemetry.end()
    spans = [
        span
        for request in received["/v1/traces"]
        for r in request.resource_spans
        for scope in r.scope_spans
        for span in scope.spans
    ]
    assert 5 <= len(spans) <= 100  # 40 expected; outside this once in billions
    assert received["/v1/metrics"] == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
def test_off_unless_asked_for(monkeypatch, variables):
    said = notes()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_telemetry(SPECS, said.append) is None
    assert said == []


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"},
            "OTEL_TRACES_EXPORTER=console is not",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "PROTOCOL=grpc is not"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "1"}, "no telemetry: "),
    ],
)
def test_what_cannot_be_had_is_said_and_ends_nothing(monkeypatch, variables, told):
    said = notes()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_telemetry(SPECS, said.append) is None
    assert told in said[0]


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = notes()
    assert open_telemetry(SPECS, said.append) is None
    assert said == [
        "OTEL_TRACES_EXPORTER asks for telemetry, which needs: pip install 'dataforge-compiler[otel]'"
    ]


def test_a_collector_that_hangs_does_not_hold_up_the_end(monkeypatch, tmp_path):
    said = notes()
    answer = threading.Event()
    monkeypatch.setattr(telemetry_module, "FLUSH_S", 0.1)
    with collector(answer) as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        telemetry = open_telemetry(SPECS, said.append)
        assert telemetry is not None
        with RunLog(tmp_path, said.append):
            telemetry.call(EVENT)
            telemetry.end()
            assert not received["/v1/traces"], "the end came before the answer"
        answer.set()
    assert said == ["the telemetry's last part was not delivered"]


def test_a_collector_that_is_not_there_is_said_once(monkeypatch, tmp_path):
    said = notes()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    telemetry = open_telemetry(SPECS, said.append)
    assert telemetry is not None
    with RunLog(tmp_path, said.append):
        telemetry.call(EVENT)
        telemetry.end()
    assert said[0].startswith("telemetry is not delivered: ")
    assert len([note for note in said if note.startswith("telemetry is not delivered")]) == 1


def test_a_run_loads_none_of_it_unasked():
    program = (
        "import sys\n"
        "from dataforge.run.telemetry import open_telemetry\n"
        "assert open_telemetry({}, print) is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
