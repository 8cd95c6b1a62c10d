"""What the tests share: doubles of the platform's API and of the issuer, and a definition."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from primitive_sdk.identity import Identity
from primitive_sdk.outbound import TenantClient

from process_${{ values.primitive_id | replace('-', '_') }} import names
from process_${{ values.primitive_id | replace('-', '_') }}.definition import parse_reference

TENANT = "north"
ORIGIN = "https://api.example.invalid"


def definition_document(**changes: object) -> dict[str, Any]:
    """A definition of three steps, the second of which has to be approved."""
    name, version = parse_reference(names.DEFINITION_REF)
    return {
        "id": name,
        "version": version,
        "tenant_id": TENANT,
        "steps": [
            {"name": "reserve", "action": "inventory/reserve", "undo": "inventory/release"},
            {
                "name": "charge",
                "action": "billing/charge",
                "undo": "billing/refund",
                "approval": True,
                "approver_role": "officer",
            },
            {"name": "ship", "action": "shipping/dispatch"},
        ],
        **changes,
    }


def identity_of(tenant_id: str) -> Identity:
    """A verified identity of the tenant."""
    return Identity(
        subject="worker",
        tenant_id=tenant_id,
        roles=frozenset(),
        scopes=frozenset(),
        token=f"token-of-{tenant_id}",
    )


@dataclass
class PlatformDouble:
    """Answers as the platform's API would, and keeps who asked for what."""

    answer: Callable[[httpx.Request], httpx.Response]
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def client(self) -> TenantClient:
        """A client as the worker has it, but for the network."""
        return TenantClient([ORIGIN], transport=httpx.MockTransport(self._handle))

    def _handle(self, request: httpx.Request) -> httpx.Response:
        tenant_id = request.headers["x-tenant-id"]
        assert request.headers["authorization"] == f"Bearer token-of-{tenant_id}"
        self.calls.append((tenant_id, request.method, request.url.path))
        if "idempotency-key" in request.headers:
            self.keys.append(request.headers["idempotency-key"])
        return self.answer(request)


class IdentitiesDouble:
    """Gives an identity of whatever tenant is asked for, unless told of which."""

    def __init__(self, always: str = "") -> None:
        self._always = always

    async def identity_for(self, tenant_id: str) -> Identity:
        """An identity of the tenant."""
        return identity_of(self._always or tenant_id)


def answer_well(request: httpx.Request) -> httpx.Response:
    """The definition, and a reference for each action."""
    if request.method == "GET":
        return httpx.Response(200, json=definition_document())
    action = request.url.path.rsplit("/", 1)[1]
    subject = json.loads(request.content)["subject"]
    return httpx.Response(200, json={"reference": f"{action}-{subject}"})


@pytest.fixture
def platform() -> PlatformDouble:
    """A platform where everything works."""
    return PlatformDouble(answer_well)
