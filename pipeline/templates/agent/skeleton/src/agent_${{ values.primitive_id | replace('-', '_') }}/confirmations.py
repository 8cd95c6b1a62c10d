"""Confirmations: a person lets the agent do one thing, bound to its exact arguments.

| risk tier | a tool with side effects |
|---|---|
| LOW | runs |
| MEDIUM | waits for a person of the tenant with the confirmer's role |
| HIGH | waits for such a person who is not the one that the agent acts for |

The id of a confirmation is told to callers only, never to the model or a tool, so that an agent
cannot confirm for itself.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from primitive_sdk.identity import Identity

from .primitive import RiskTier


class ConfirmationRefused(Exception):
    """The confirmation does not count; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that waits: what a person is shown, and what the decision is held against."""

    id: str
    tool: str
    arguments: Mapping[str, Any]
    argument_hash: str
    expires_at: float


def needs_confirmation(tier: RiskTier, side_effects: bool) -> bool:
    """Whether a person must let the call happen."""
    return side_effects and tier != "LOW"


def make_pending(
    tool: str, arguments: Mapping[str, Any], argument_hash: str, expires_at: float
) -> PendingCall:
    """The waiting call under a new id that nobody can guess."""
    return PendingCall(secrets.token_urlsafe(24), tool, arguments, argument_hash, expires_at)


def check_confirmer(tier: RiskTier, role: str, confirmer: Identity, acting_for: Identity) -> None:
    """Passes if this person may decide. Raises ConfirmationRefused.

    The realm gives the role to people only; a service account, so an agent, never has it.
    """
    if confirmer.tenant_id != acting_for.tenant_id:
        raise ConfirmationRefused("other-tenant")
    if role not in confirmer.roles:
        raise ConfirmationRefused("role-missing")
    if tier == "HIGH" and confirmer.subject == acting_for.subject:
        raise ConfirmationRefused("second-person-needed")


def check_decision(pending: PendingCall, argument_hash: str, now: float) -> None:
    """Passes if the decision is about exactly this call, in time. Raises ConfirmationRefused."""
    if now >= pending.expires_at:
        raise ConfirmationRefused("expired")
    if not hmac.compare_digest(pending.argument_hash.encode(), argument_hash.encode()):
        raise ConfirmationRefused("arguments-differ")
