"""Sessions: what a conversation has so far, kept in this process, bounded in number and time.

A session belongs to one person of one tenant. To everybody else it does not exist, except to the
people of the same tenant who may confirm what it waits for.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from primitive_sdk.identity import Identity
from pydantic_ai.messages import ModelMessage, ToolCallPart, ToolReturnPart

from .budget import Spending
from .confirmations import PendingCall


@dataclass(frozen=True, slots=True)
class Completed:
    """The model's answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call waits for a person."""

    pending: PendingCall


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run ended without an answer: a budget is used up, or something does not work."""

    reason: str


RunResult = Completed | Waiting | Stopped


class NoSuchSession(Exception):
    """There is no such session for whoever asks."""


class TooManySessions(Exception):
    """As many sessions are open as may be."""


@dataclass(slots=True)
class Run:
    """All that follows from one message: what is spent, and the calls of the model's last step.

    `acting_for` is kept in memory while the run waits, so that after a confirmation it goes on as
    the person who asked and not as the one who confirmed.
    """

    id: str
    acting_for: Identity
    spending: Spending
    calls: list[ToolCallPart] = field(default_factory=list)
    returns: list[ToolReturnPart] = field(default_factory=list)
    pending: PendingCall | None = None


@dataclass(slots=True)
class Session:
    """One conversation."""

    id: str
    tenant_id: str
    subject: str
    used_at: float
    messages: list[ModelMessage] = field(default_factory=list)
    run: Run | None = None
    # What the last message came to so far.
    result: RunResult | None = None
    # Held while something of this session is under way.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SessionStore:
    """The open sessions of this process.

    Several replicas need a gateway that keeps a session on one of them, or a store that they share.
    """

    def __init__(
        self, maximum: int, idle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._maximum = maximum
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, identity: Identity) -> Session:
        """A new session of this person. Raises TooManySessions."""
        self._forget_idle()
        if len(self._sessions) >= self._maximum:
            raise TooManySessions
        session = Session(
            secrets.token_urlsafe(24), identity.tenant_id, identity.subject, self._clock()
        )
        self._sessions[session.id] = session
        return session

    def find(self, session_id: str, identity: Identity, *, confirmer_role: str = "") -> Session:
        """The session, for its owner, or for a confirmer of its tenant. Raises NoSuchSession."""
        self._forget_idle()
        session = self._sessions.get(session_id)
        if session is None or session.tenant_id != identity.tenant_id:
            raise NoSuchSession
        confirms = bool(confirmer_role) and confirmer_role in identity.roles
        if session.subject != identity.subject and not confirms:
            raise NoSuchSession
        session.used_at = self._clock()
        return session

    def close(self, session_id: str, identity: Identity) -> None:
        """Ends the session of this person. Raises NoSuchSession."""
        del self._sessions[self.find(session_id, identity).id]

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._idle_s
        for session in list(self._sessions.values()):
            if session.used_at < oldest and not session.lock.locked():
                del self._sessions[session.id]
