"""Counts of requests in Prometheus's text format. No tenant labels: they would grow for ever."""

from __future__ import annotations

from collections import Counter
from threading import Lock

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: Counter[tuple[str, str]] = Counter()
        self._counts: Counter[tuple[str, str]] = Counter()

    def observe(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Counts one finished request."""
        with self._lock:
            self._requests[method, route, status] += 1
            self._counts[method, route] += 1
            self._seconds[method, route] += duration_s

    def render(self) -> str:
        """All counters, sorted."""
        with self._lock:
            requests = sorted(self._requests.items())
            seconds = sorted(self._seconds.items())
            counts = dict(self._counts)
        lines = ["# TYPE http_requests_total counter"]
        for (method, route, status), count in requests:
            labels = f'method="{method}",route="{route}",status="{status}"'
            lines.append(f"http_requests_total{_braced(labels)} {count}")
        lines.append("# TYPE http_request_duration_seconds summary")
        for (method, route), total in seconds:
            labels = _braced(f'method="{method}",route="{route}"')
            lines.append(f"http_request_duration_seconds_sum{labels} {total:.6f}")
            lines.append(f"http_request_duration_seconds_count{labels} {counts[method, route]}")
        return "\n".join(lines) + "\n"


def _braced(labels: str) -> str:
    return "{" + labels + "}"
