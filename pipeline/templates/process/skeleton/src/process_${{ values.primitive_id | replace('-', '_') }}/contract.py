"""What crosses the wire between starter, workflow and activities. Pure; all of it is small.

Everything here is written into the history of a process and stays there: hold references to
records of the platform, never the records, and never a credential.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

TENANT_HEADER: Final = "ameide-tenant-id"

# Types of failures that no retry can heal.
TENANT_MISMATCH: Final = "tenant-mismatch"
TENANT_MISSING: Final = "tenant-missing"
DEFINITION_INVALID: Final = "definition-invalid"
REFUSED: Final = "refused"
PAYLOAD_TOO_LARGE: Final = "payload-too-large"
# Types of failures that the process itself ends with.
STEP_FAILED: Final = "step-failed"
APPROVAL_TIMED_OUT: Final = "approval-timed-out"
UNDO_INCOMPLETE: Final = "undo-incomplete"
# Try again later: the tenant already runs as much as it may.
TENANT_BUSY: Final = "tenant-busy"


class State(StrEnum):
    """Where a process or one of its steps is."""

    PENDING = "pending"
    WAITING = "waiting-for-approval"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class ProcessInput:
    """What a process starts with; `subject` names the record it is about, such as an order's id."""

    tenant_id: str
    subject: str
    started_by: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Somebody's word on a running process; who it was comes from their verified token.

    `step` names the step that is approved; it is empty in a cancellation.
    """

    by: str
    roles: list[str] = field(default_factory=list)
    step: str = ""


@dataclass(frozen=True, slots=True)
class StepCall:
    """One call of a step's action: what to do, about what, and the key that makes it safe twice."""

    action: str
    subject: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """What an action answered: the reference of the record it made or changed; may be empty."""

    reference: str


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far one step is."""

    name: str
    state: State
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is; also what it ends with."""

    definition: str
    state: State
    steps: list[StepProgress]
    waiting_for: str = ""
