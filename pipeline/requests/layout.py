"""The paths of request files in a control repo: the path decides the tenant and the kind.

`pipeline.requests.kinds` knows which paths are requests; any other file in `tenants/`,
`releases/` or `environments/` is reported, since nothing would read it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.draft_id import DraftId

PLATFORM_PATH = "environments/platform.yaml"
BLOCKED_PATH = "environments/blocked-digests.yaml"
SIGNERS_PATH = "environments/signers.yaml"
STOP_PATH = "environments/stop.yaml"
GROUPS = "releases"
REQUEST_ROOTS = ("environments", GROUPS, "tenants")


@dataclass(frozen=True, slots=True)
class RequestPath:
    """The meaning of a request's path; empty strings for parts that the path lacks."""

    kind: str
    tenant: str = ""
    primitive: str = ""
    name: str = ""

    @property
    def draft(self) -> DraftId:
        """The draft's id."""
        return DraftId(f"{self.tenant}/{self.primitive}")


def tenant_path(tenant: str) -> str:
    """The path of a tenant's own file."""
    return f"tenants/{tenant}/tenant.yaml"


def environment_path(environment: str) -> str:
    """The path of an environment's file."""
    return f"environments/{environment}/environment.yaml"


def draft_folder(draft: str) -> str:
    """The folder of a draft's requests."""
    # Called for every draft in every run: a replacement is the fastest way.
    return f"tenants/{draft.replace('/', '/drafts/', 1)}"


def draft_path(draft: str) -> str:
    """The path of a draft's request."""
    return f"{draft_folder(draft)}/draft.yaml"


def patch_path(draft: str, number: str) -> str:
    """The path of a patch; `number` has four digits."""
    return f"{draft_folder(draft)}/patches/{number}.yaml"


def waiver_path(draft: str, name: str) -> str:
    """The path of a waiver."""
    return f"{draft_folder(draft)}/waivers/{name}.yaml"


def statements_folder(draft: str) -> str:
    """The folder of a draft's signed statements."""
    return f"{draft_folder(draft)}/statements"


def statement_path(draft: str, name: str) -> str:
    """The path of a signed statement."""
    return f"{statements_folder(draft)}/{name}.yaml"


def retirement_path(draft: str) -> str:
    """The path of the request to retire a draft."""
    return f"{draft_folder(draft)}/retire.yaml"


def promotion_path(draft: str, environment: str) -> str:
    """The path of the promotion request for an environment."""
    return f"{draft_folder(draft)}/promotions/{environment}.yaml"


def group_path(name: str) -> str:
    """The path of a release group."""
    return f"{GROUPS}/{name}.yaml"
