"""Traces, metrics and logs that say whose request they are about (OpenTelemetry).

Every span that starts inside a request and every log line carries `tenant.id`; log lines are JSON
and name the trace. All of it goes to a collector over OTLP/HTTP if there is one. Without one the
trace ids are still there, so that log lines of one request can be told from those of another.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from primitive_sdk.tenancy import tenant_attributes

# Three exports end one after another, well within the time to stop.
_EXPORT_TIMEOUT_S = 2
# What a log record has anyway; all else on it was given as `extra`.
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# The exporter's own words about a failed export must not be exported.
_NOT_EXPORTED = ("opentelemetry", "urllib3", "requests")


@dataclass(frozen=True)
class Telemetry:
    """Where a primitive gets its own spans and measurements from."""

    tracer: trace.Tracer
    meter: metrics.Meter


@contextmanager
def start_telemetry(
    service_name: str,
    *,
    endpoint: str = "",
    resource: Mapping[str, str] | None = None,
    log_level: str = "INFO",
    log_stream: TextIO | None = None,
    span_processors: Sequence[SpanProcessor] = (),
    metric_readers: Sequence[MetricReader] = (),
) -> Iterator[Telemetry]:
    """Telemetry of this process while the body runs; what is buffered is sent at the end.

    `endpoint` is the collector's base address, such as `http://collector:4318`; `resource` are
    attributes of all that is sent; `log_stream` is standard error unless told otherwise. The
    processors and readers come besides.
    """
    about = Resource.create({**(resource or {}), "service.name": service_name})
    spans = TracerProvider(resource=about, shutdown_on_exit=False)
    spans.add_span_processor(_TenantOnSpans())
    readers = list(metric_readers)
    handlers: list[logging.Handler] = [_json_handler(log_stream or sys.stderr)]
    with ExitStack() as ending:
        ending.callback(spans.shutdown)
        if endpoint:
            base = endpoint.rstrip("/")
            spans.add_span_processor(_span_export(base))
            readers.append(_metric_export(base))
            logs = _log_export(base, about)
            ending.callback(logs.shutdown)
            handlers.append(_ExportHandler(logs))
        for processor in span_processors:
            spans.add_span_processor(processor)
        meters = MeterProvider(metric_readers=readers, resource=about, shutdown_on_exit=False)
        ending.callback(meters.shutdown)
        ending.enter_context(_CURRENT.of(spans, meters))
        ending.enter_context(_logging_to(handlers, log_level))
        yield Telemetry(spans.get_tracer(service_name), meters.get_meter(service_name))


# --- traces and metrics ---------------------------------------------------------------------------


class _TenantOnSpans(SpanProcessor):
    """Writes the tenant on every span that starts inside a request."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        span.set_attributes(tenant_attributes())


def _span_export(base: str) -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_EXPORT_TIMEOUT_S)
    return BatchSpanProcessor(exporter)


def _metric_export(base: str) -> MetricReader:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    exporter = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_EXPORT_TIMEOUT_S)
    return PeriodicExportingMetricReader(exporter)


def _log_export(base: str, about: Resource) -> LoggerProvider:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    logs = LoggerProvider(resource=about, shutdown_on_exit=False)
    exporter = OTLPLogExporter(endpoint=f"{base}/v1/logs", timeout=_EXPORT_TIMEOUT_S)
    logs.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return logs


class _Current(trace.TracerProvider, metrics.MeterProvider):
    """What `trace.get_tracer` and `metrics.get_meter` use: the telemetry that runs now.

    OpenTelemetry lets a process set its providers once, which would bind everything to the first
    telemetry that was started, long after its end.
    """

    def __init__(self) -> None:
        self._spans: trace.TracerProvider = trace.NoOpTracerProvider()
        self._meters: metrics.MeterProvider = metrics.NoOpMeterProvider()
        self._registered = False

    @contextmanager
    def of(self, spans: TracerProvider, meters: MeterProvider) -> Iterator[None]:
        before = self._spans, self._meters
        if not self._registered:
            trace.set_tracer_provider(self)
            metrics.set_meter_provider(self)
            self._registered = True
        self._spans, self._meters = spans, meters
        try:
            yield
        finally:
            self._spans, self._meters = before

    def get_tracer(self, *arguments: Any, **named: Any) -> trace.Tracer:
        return self._spans.get_tracer(*arguments, **named)

    def get_meter(self, *arguments: Any, **named: Any) -> metrics.Meter:
        return self._meters.get_meter(*arguments, **named)


_CURRENT = _Current()


# --- logs -----------------------------------------------------------------------------------------


class JsonFormatter(logging.Formatter):
    """One JSON object a record, with the tenant and the trace that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
            **tenant_attributes(),
            **_trace_ids(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


class _ExportHandler(logging.Handler):
    """Sends log records to the collector."""

    def __init__(self, logs: LoggerProvider) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _NOT_EXPORTED:
            return
        attributes: dict[str, str | int | float | bool] = {
            **_extra(record),
            **tenant_attributes(),
        }
        self._logs.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=_severity(record.levelno),
                body=record.getMessage(),
                attributes=attributes,
                exception=record.exc_info[1] if record.exc_info else None,
            )
        )


def _json_handler(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    return handler


@contextmanager
def _logging_to(handlers: Sequence[logging.Handler], level: str) -> Iterator[None]:
    root = logging.getLogger()
    requests = logging.getLogger("httpx")  # says every address at INFO, with its query
    before = root.level, requests.level
    root.setLevel(level.upper())
    requests.setLevel(max(root.level, logging.WARNING))
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        root.setLevel(before[0])
        requests.setLevel(before[1])


def _extra(record: logging.LogRecord) -> dict[str, str | int | float | bool]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _RECORD_FIELDS and isinstance(value, (str, int, float, bool))
    }


def _trace_ids() -> dict[str, str]:
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _severity(level: int) -> SeverityNumber:
    """OpenTelemetry "Logs Data Model", appendix B: Python's levels."""
    steps = (
        (logging.CRITICAL, SeverityNumber.FATAL),
        (logging.ERROR, SeverityNumber.ERROR),
        (logging.WARNING, SeverityNumber.WARN),
        (logging.INFO, SeverityNumber.INFO),
    )
    return next((number for least, number in steps if level >= least), SeverityNumber.DEBUG)
