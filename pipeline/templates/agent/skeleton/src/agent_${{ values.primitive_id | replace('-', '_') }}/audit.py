"""The audit trail: one JSON line for each thing that happens to a tool call.

A call is named by the hash of its arguments, never by the arguments, unless the definition says
`logPrompts: true`. A call that may run is written down before it runs: if that cannot be done, it
does not run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol


class CallOutcome(StrEnum):
    """What became of a call. `allowed` is followed by `succeeded` or `failed`."""

    REFUSED = "refused"
    WAITING = "waiting"
    DENIED = "denied"
    ALLOWED = "allowed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallEvent:
    """One event. `subject` is the person that the agent acts for, `confirmed_by` who let it."""

    primitive: str
    definition: str
    tenant: str
    subject: str
    session: str
    run: str
    tool: str
    argument_hash: str
    outcome: CallOutcome
    reason: str = ""
    confirmed_by: str = ""
    duration_ms: float | None = None
    arguments: Mapping[str, Any] | None = None


class AuditSink(Protocol):
    """Where events go; `write` returns when the event is safe, or raises."""

    def write(self, event: ToolCallEvent) -> None:
        """Keeps the event."""
        ...


class JsonLinesSink:
    """Writes one line an event to a file descriptor, whole or not at all in one system call."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: str) -> JsonLinesSink:
        """A sink that appends to the file, or writes to standard output without one."""
        if not path:
            return cls(1)
        return cls(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))

    def write(self, event: ToolCallEvent) -> None:
        """Writes the event's line. Raises OSError."""
        told = {name: value for name, value in asdict(event).items() if value not in ("", None)}
        line = {"audit": "tool-call", "time": datetime.now(UTC).isoformat(), **told}
        left = json.dumps(line, default=str).encode() + b"\n"
        while left:
            left = left[os.write(self._descriptor, left) :]


def hash_call(tool: str, arguments: Mapping[str, Any] | str) -> str:
    """`sha256:` and the hash of tool and arguments in canonical JSON; equal calls have equal ones.

    Arguments that are no JSON object are hashed as the text that the model sent.
    """
    canonical = json.dumps(
        {"tool": tool, "arguments": arguments}, sort_keys=True, separators=(",", ":")
    )
    return f"sha256:{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()}"
