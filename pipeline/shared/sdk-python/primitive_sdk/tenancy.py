"""Whose request runs now. Bound once, from the verified token; read wherever a tenant matters.

The binding belongs to the running task and to what it starts (PEP 567), so requests that run at
the same time do not see each other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace

from primitive_sdk.identity import Identity

TENANT_ATTRIBUTE = "tenant.id"
# The subject's opaque id; names of people do not belong into traces.
SUBJECT_ATTRIBUTE = "enduser.id"

_identity: ContextVar[Identity | None] = ContextVar("identity", default=None)


class NoTenant(Exception):
    """Something asked for the tenant outside of a request."""


def current_identity() -> Identity:
    """The identity of the running request. Raises NoTenant outside of one."""
    identity = _identity.get()
    if identity is None:
        raise NoTenant("no identity is bound: this runs outside of a request")
    return identity


def tenant_attributes() -> dict[str, str]:
    """Attributes for spans, measurements and log lines; empty outside of a request."""
    identity = _identity.get()
    return {} if identity is None else {TENANT_ATTRIBUTE: identity.tenant_id}


@contextmanager
def bound(identity: Identity) -> Iterator[Identity]:
    """Binds the identity to what runs inside, and says so on the current span."""
    span = trace.get_current_span()
    span.set_attribute(TENANT_ATTRIBUTE, identity.tenant_id)
    span.set_attribute(SUBJECT_ATTRIBUTE, identity.subject)
    token = _identity.set(identity)
    try:
        yield identity
    finally:
        _identity.reset(token)
