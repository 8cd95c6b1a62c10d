"""Where request files lie in a control repo: the path decides the tenant and the kind.

A path that this module does not know is no request; a file in `tenants/` or `environments/` that
is none is reported, since it would otherwise be read by nobody. All of them: docs/model.md §7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Platform", re.compile(r"environments/platform\.yaml\Z")),
    ("BlockedDigests", re.compile(r"environments/blocked-digests\.yaml\Z")),
    ("Signers", re.compile(r"environments/signers\.yaml\Z")),
    ("Environment", re.compile(r"environments/(?P<name>[a-z]+)/environment\.yaml\Z")),
    (
        "Acknowledgement",
        re.compile(rf"environments/acknowledgements/(?P<name>{_ID})\.yaml\Z"),
    ),
    ("Tenant", re.compile(rf"tenants/(?P<tenant>{_ID})/tenant\.yaml\Z")),
    (
        "PrimitiveImplementationDraft",
        re.compile(rf"tenants/(?P<tenant>{_ID})/drafts/(?P<primitive>{_ID})/draft\.yaml\Z"),
    ),
    (
        "DraftPatch",
        re.compile(
            rf"tenants/(?P<tenant>{_ID})/drafts/(?P<primitive>{_ID})/patches/(?P<name>[0-9]{{4}})\.yaml\Z"
        ),
    ),
    (
        "Promotion",
        re.compile(
            rf"tenants/(?P<tenant>{_ID})/drafts/(?P<primitive>{_ID})/promotions/(?P<name>[a-z]+)\.yaml\Z"
        ),
    ),
)
PLATFORM_PATH = "environments/platform.yaml"
BLOCKED_PATH = "environments/blocked-digests.yaml"
SIGNERS_PATH = "environments/signers.yaml"
REQUEST_ROOTS = ("environments", "tenants")


@dataclass(frozen=True, slots=True)
class RequestPath:
    """What a path says of the request in it; empty strings where it says nothing."""

    kind: str
    tenant: str = ""
    primitive: str = ""
    name: str = ""

    @property
    def draft(self) -> str:
        """The draft's id, `tenant/primitive`."""
        return f"{self.tenant}/{self.primitive}"


def request_path(path: str) -> RequestPath | None:
    """What `path` says, or None if no request may lie there."""
    for kind, pattern in _PATTERNS:
        match = pattern.match(path)
        if match:
            return RequestPath(kind, **match.groupdict())
    return None


def tenant_path(tenant: str) -> str:
    """Where a tenant's own file lies."""
    return f"tenants/{tenant}/tenant.yaml"


def environment_path(environment: str) -> str:
    """Where an environment's file lies."""
    return f"environments/{environment}/environment.yaml"


def draft_folder(draft: str) -> str:
    """The folder of a draft's requests."""
    tenant, primitive = draft.split("/", 1)
    return f"tenants/{tenant}/drafts/{primitive}"


def draft_path(draft: str) -> str:
    """Where a draft's request lies."""
    return f"{draft_folder(draft)}/draft.yaml"


def patch_path(draft: str, number: str) -> str:
    """Where a patch lies; `number` has four digits."""
    return f"{draft_folder(draft)}/patches/{number}.yaml"


def promotion_path(draft: str, environment: str) -> str:
    """Where the promotion request of an environment lies."""
    return f"{draft_folder(draft)}/promotions/{environment}.yaml"
