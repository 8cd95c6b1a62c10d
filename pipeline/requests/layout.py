"""Where request files lie in a control repo: the path decides the tenant and the kind.

`pipeline.requests.kinds` knows which paths are requests; a file in `tenants/`
or `environments/` that is none is reported, since it would otherwise be read by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.draft_id import DraftId

PLATFORM_PATH = "environments/platform.yaml"
BLOCKED_PATH = "environments/blocked-digests.yaml"
SIGNERS_PATH = "environments/signers.yaml"
STOP_PATH = "environments/stop.yaml"
REQUEST_ROOTS = ("environments", "tenants")


@dataclass(frozen=True, slots=True)
class RequestPath:
    """What a path says of the request in it; empty strings where it says nothing."""

    kind: str
    tenant: str = ""
    primitive: str = ""
    name: str = ""

    @property
    def draft(self) -> DraftId:
        """The draft's id."""
        return DraftId(f"{self.tenant}/{self.primitive}")


def tenant_path(tenant: str) -> str:
    """Where a tenant's own file lies."""
    return f"tenants/{tenant}/tenant.yaml"


def environment_path(environment: str) -> str:
    """Where an environment's file lies."""
    return f"environments/{environment}/environment.yaml"


def draft_folder(draft: str) -> str:
    """The folder of a draft's requests."""
    # Asked for every draft of every run: a replacement is the quickest way to the two parts.
    return f"tenants/{draft.replace('/', '/drafts/', 1)}"


def draft_path(draft: str) -> str:
    """Where a draft's request lies."""
    return f"{draft_folder(draft)}/draft.yaml"


def patch_path(draft: str, number: str) -> str:
    """Where a patch lies; `number` has four digits."""
    return f"{draft_folder(draft)}/patches/{number}.yaml"


def promotion_path(draft: str, environment: str) -> str:
    """Where the promotion request of an environment lies."""
    return f"{draft_folder(draft)}/promotions/{environment}.yaml"
