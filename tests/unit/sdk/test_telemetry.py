"""Spans, log lines and exported telemetry name their tenant."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from primitive_sdk.identity import Identity
from primitive_sdk.telemetry import start_telemetry
from primitive_sdk.tenancy import bound, tenant_attributes

ACME = Identity(subject="a", tenant_id="acme")


def test_a_span_that_starts_inside_a_request_carries_its_tenant() -> None:
    kept = InMemorySpanExporter()
    with start_telemetry("orders", span_processors=[SimpleSpanProcessor(kept)]) as telemetry:
        with telemetry.tracer.start_as_current_span("outside"):
            pass
        with bound(ACME), telemetry.tracer.start_as_current_span("inside"):
            pass
    seen = {span.name: dict(span.attributes or {}) for span in kept.get_finished_spans()}
    assert seen == {"outside": {}, "inside": {"tenant.id": "acme"}}


def test_binding_a_tenant_marks_the_open_span() -> None:
    kept = InMemorySpanExporter()
    with (
        start_telemetry("orders", span_processors=[SimpleSpanProcessor(kept)]) as telemetry,
        telemetry.tracer.start_as_current_span("call"),
        bound(ACME),
    ):
        pass
    [span] = kept.get_finished_spans()
    assert span.attributes == {"tenant.id": "acme", "enduser.id": "a"}


def test_libraries_use_the_current_telemetry() -> None:
    for name in ("first", "second"):
        kept = InMemorySpanExporter()
        with (
            start_telemetry(name, span_processors=[SimpleSpanProcessor(kept)]),
            trace.get_tracer("library").start_as_current_span("call"),
        ):
            pass
        [span] = kept.get_finished_spans()
        assert span.resource.attributes["service.name"] == name
    assert not trace.get_tracer("library").start_span("after").is_recording()


def test_a_log_line_is_json_with_tenant_and_trace() -> None:
    stream = io.StringIO()
    with (
        start_telemetry("orders", log_stream=stream) as telemetry,
        bound(ACME),
        telemetry.tracer.start_as_current_span("call") as span,
    ):
        logging.getLogger("orders").info(
            "took\n%s", "it", extra={"order_count": 3, "hidden": object()}
        )
    [text] = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line.pop("time").endswith("+00:00")
    context = span.get_span_context()
    assert line == {
        "level": "INFO",
        "logger": "orders",
        "message": "took\nit",
        "order_count": 3,
        "tenant.id": "acme",
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
    }


def test_extra_fields_do_not_change_the_tenant_of_a_line() -> None:
    stream = io.StringIO()
    with start_telemetry("orders", log_stream=stream), bound(ACME):
        logging.getLogger("orders").info("said", extra={"tenant.id": "contoso"})
    assert json.loads(stream.getvalue())["tenant.id"] == "acme"


def test_a_log_line_holds_the_exception() -> None:
    stream = io.StringIO()
    with start_telemetry("orders", log_stream=stream):
        try:
            raise ValueError("odd")
        except ValueError:
            logging.getLogger("orders").exception("failed")
    assert "ValueError: odd" in json.loads(stream.getvalue())["exception"]


def test_logging_is_restored_when_telemetry_ends() -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    stream = io.StringIO()
    with start_telemetry("orders", log_level="debug", log_stream=stream):
        assert root.level == logging.DEBUG
    assert (root.level, list(root.handlers)) == before


class Collector:
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        kept = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                kept[self.path] = body
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(5)


def test_a_collector_gets_traces_metrics_and_logs_with_the_tenant(collector: Collector) -> None:
    with (
        start_telemetry(
            "orders",
            endpoint=collector.address,
            resource={"deployment.environment.name": "dev"},
            log_stream=io.StringIO(),
        ) as telemetry,
        bound(ACME),
        telemetry.tracer.start_as_current_span("call"),
    ):
        telemetry.meter.create_counter("orders").add(1, tenant_attributes())
        metrics.get_meter("library").create_counter("rows").add(2)
        logging.getLogger("orders").warning("low")
    spans = ExportTraceServiceRequest.FromString(collector.bodies["/v1/traces"])
    measured = ExportMetricsServiceRequest.FromString(collector.bodies["/v1/metrics"])
    logs = ExportLogsServiceRequest.FromString(collector.bodies["/v1/logs"])

    [resource] = spans.resource_spans
    about = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert (about["service.name"], about["deployment.environment.name"]) == ("orders", "dev")
    [span] = resource.scope_spans[0].spans
    assert {a.key: a.value.string_value for a in span.attributes} == {"tenant.id": "acme"}

    scopes = measured.resource_metrics[0].scope_metrics
    points = {m.name: m.sum.data_points[0] for scope in scopes for m in scope.metrics}
    assert set(points) == {"orders", "rows"}
    assert points["orders"].attributes[0].value.string_value == "acme"

    [record] = logs.resource_logs[0].scope_logs[0].log_records
    assert record.body.string_value == "low"
    assert record.trace_id == span.trace_id
    assert {a.key: a.value.string_value for a in record.attributes}["tenant.id"] == "acme"


def test_a_missing_collector_does_not_delay_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[tuple[str, float]] = []

    def refuse(_: object, request: requests.PreparedRequest, **options: float) -> None:
        tried.append((str(request.url).rsplit("/", 1)[-1], options["timeout"]))
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", refuse)
    with start_telemetry(
        "orders", endpoint="http://127.0.0.1:9", log_stream=io.StringIO()
    ) as telemetry:
        with telemetry.tracer.start_as_current_span("call"):
            logging.getLogger("orders").warning("low")
        telemetry.meter.create_counter("orders").add(1)
    assert {signal for signal, _ in tried} == {"traces", "metrics", "logs"}
    assert all(timeout <= 2 for _, timeout in tried)
    assert len(tried) <= 12
