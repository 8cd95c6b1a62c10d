"""One JSON object a line on standard output, with primitive, environment, tenant and request."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from .entities import PRIMITIVE

TENANT: ContextVar[str] = ContextVar("tenant", default="")
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_FIELDS = ("method", "route", "status", "duration_ms")


class JsonFormatter(logging.Formatter):
    """Renders a log record as one JSON line; line ends inside messages are escaped."""

    def __init__(self, environment: str) -> None:
        super().__init__()
        self._environment = environment

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "primitive": PRIMITIVE,
            "environment": self._environment,
        }
        for name, variable in (("tenant", TENANT), ("request_id", REQUEST_ID)):
            if variable.get():
                entry[name] = variable.get()
        entry |= {name: record.__dict__[name] for name in _FIELDS if name in record.__dict__}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure_logs(level: str, environment: str) -> None:
    """Sends all logs of the process through JsonFormatter."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(environment))
    logging.basicConfig(level=level, handlers=[handler], force=True)
