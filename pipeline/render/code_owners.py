"""CODEOWNERS of a control repo: authority as far as GitHub's file can express it. Pure.

The last pattern that matches a path decides, and any one of its owners is enough, so the file
expresses less than `pipeline.gate.authority`: not who may ask, how many must approve, or that each
team must.
Source: GitHub, "About code owners".
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.gate.matters import is_of_platform
from pipeline.models.requests import Environment
from pipeline.names import PLATFORM_TENANT
from pipeline.requests.layout import GROUPS, draft_folder, promotion_path
from pipeline.requests.snapshot import Snapshot

CODE_OWNERS_PATH = ".github/CODEOWNERS"
_HEADER = """\
# Written by `pipeline authority --code-owners`; docs/authority.md of the pipeline has all of it.
"""


def render_code_owners(snapshot: Snapshot) -> bytes:
    """The file for the tenants, drafts and environments of a control repo.

    Raises ValueError without a valid platform file.
    """
    if snapshot.platform is None:
        raise ValueError("there is no valid environments/platform.yaml")
    organisation = snapshot.platform.organisation
    rows = list(_rows(snapshot, snapshot.platform.owners))
    width = max(len(pattern) for pattern, _ in rows)
    lines = [
        f"{pattern:<{width}} {' '.join(f'@{organisation}/{team}' for team in teams)}"
        for pattern, teams in rows
    ]
    return (_HEADER + "\n".join(lines) + "\n").encode()


def _rows(snapshot: Snapshot, owners: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "*", owners
    for tenant_id in sorted(snapshot.tenant_ids - {PLATFORM_TENANT}):
        tenant = snapshot.tenant(tenant_id)
        if tenant is not None:
            yield f"/tenants/{tenant_id}/drafts/", tenant.owners
            for draft in snapshot.drafts_of(tenant_id):
                if is_of_platform(draft, snapshot):
                    yield f"/{draft_folder(draft)}/", owners
    yield f"/{GROUPS}/", _of_groups(snapshot, owners)
    for name, environment in snapshot.environments.items():
        teams = _approving(environment)
        if teams:
            yield f"/{promotion_path('*/*', name)}", teams


def _of_groups(snapshot: Snapshot, owners: tuple[str, ...]) -> tuple[str, ...]:
    """Everybody who may have to approve a release group: it may name any draft of any tenant."""
    tenants = [snapshot.tenant(tenant_id) for tenant_id in sorted(snapshot.tenant_ids)]
    teams = [team for tenant in tenants if tenant for team in tenant.owners]
    approving = (_approving(environment) for environment in snapshot.environments.values())
    return tuple(dict.fromkeys([*owners, *(t for found in approving for t in found), *teams]))


def _approving(environment: Environment) -> tuple[str, ...]:
    found = [team for policy in environment.all_approvals for team in policy.teams]
    return tuple(dict.fromkeys(found))
