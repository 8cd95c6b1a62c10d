"""The matter of each changed path: who may ask for it and who must approve it. Pure.

`TABLE` says it in words, and docs/authority.md is generated from it. `matters_of` computes it from
the policy *at the base* of a change. A path that matches no row belongs to the platform's owners,
so no path is left without an owner.
Who owns which repository: docs/model.md §11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.gate.authority import Matter, MatterKind
from pipeline.models.draft_id import DraftId
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.requests import (
    RISK_TIERS,
    ApprovalPolicy,
    CodeOrigin,
    Promotion,
    RiskTier,
    Tenant,
)
from pipeline.models.windows import FastLane, Lane
from pipeline.names import PLATFORM_TENANT
from pipeline.requests.kinds import is_of_kind, request_path
from pipeline.requests.layout import draft_path, environment_path, promotion_path
from pipeline.requests.snapshot import Snapshot

_OF_TENANT = re.compile(r"tenants/([a-z][a-z0-9-]*)/(?:drafts/([a-z][a-z0-9-]*)/)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of docs/authority.md."""

    kind: MatterKind
    paths: str
    asks: str
    approves: str


TABLE: tuple[Row, ...] = (
    Row(
        MatterKind.POLICY,
        "`environments/**`",
        "the platform's owners",
        "another of the platform's owners",
    ),
    Row(
        MatterKind.TENANT,
        "`tenants/<id>/*`",
        "the tenant's owners, or the platform's",
        "one of the platform's owners",
    ),
    Row(
        MatterKind.TENANT_CODE,
        "`tenants/<id>/drafts/**`, code of origin `tenant` or `agent`",
        "the tenant's owners, a bot of the tenant, or the platform's owners",
        "one of the tenant's owners",
    ),
    Row(
        MatterKind.PLATFORM_CODE,
        "`tenants/<id>/drafts/**`, code of origin `platform` or tenant `platform`",
        "the platform's owners",
        "another of the platform's owners",
    ),
    Row(
        MatterKind.PROMOTION,
        "`tenants/<id>/drafts/<id>/promotions/<env>.yaml`",
        "who may ask for the draft, or the environment's approving teams",
        "as `approvals` of the environment says for the risk tier, the higher of then and now; "
        "where it says nothing, who approves the draft; and in a lane, one of the lane's teams",
    ),
    Row(
        MatterKind.GROUP,
        "`releases/<name>.yaml`",
        "who may ask for the promotion of every member",
        "all who must approve the promotion of any member",
    ),
    Row(
        MatterKind.WAIVER,
        "`tenants/<id>/drafts/<id>/waivers/<name>.yaml`",
        "who may ask for the draft",
        "one of the platform's owners",
    ),
    Row(
        MatterKind.REPOSITORY,
        "any other path of the control repo",
        "the platform's owners",
        "another of the platform's owners",
    ),
    Row(
        MatterKind.GITOPS,
        "a path outside `environments/` of a GitOps repo",
        "the owners of the repository: the tenant's, or the platform's for its own",
        "another of them",
    ),
)


def matters_of(
    paths: Iterable[str],
    base: Snapshot,
    proposed: Snapshot,
    *,
    now: Snapshot | None = None,
    tier: RiskTier = "LOW",
) -> tuple[Matter, ...]:
    """The matters of the changed paths, by the policy of `base`.

    `proposed` holds the requests after the change: a draft is the platform's if either side says
    so. A promotion also needs the approvals of `now`, today's policy, and at least those for
    `tier`, the draft's tier at acceptance.
    """
    sides = _Sides(base, proposed, (base,) if now is None else (base, now), tier)
    return tuple(matter for path in paths for matter in _matters(path, sides))


def gitops_matters(paths: Iterable[str], owners: tuple[str, ...]) -> tuple[Matter, ...]:
    """The matters of paths outside `environments/` of a GitOps repo with these owners."""
    return tuple(Matter(MatterKind.GITOPS, path, owners, "", _one_of(owners)) for path in paths)


def groups_among(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of the paths at which release groups lie."""
    return tuple(path for path in paths if is_of_kind(path, "ReleaseGroup"))


def members_of(paths: Iterable[str], *sides: Snapshot) -> tuple[str, ...]:
    """Where the promotions of the members of these groups, on any side, would lie: whoever may ask
    for all of these, or must approve one, may ask for the group or must approve it."""
    asked = (promotion_path(p.draft, p.environment) for p in _promotions_of(paths, sides))
    return tuple(dict.fromkeys(asked))


def _promotions_of(paths: Iterable[str], sides: Iterable[Snapshot]) -> Iterator[Promotion]:
    """What the groups at these paths ask for, member by member, on each side."""
    groups = [side.model_at(path, ReleaseGroup) for path in paths for side in sides]
    for group in groups:
        for draft in group.drafts if group else ():
            promotion = group.promotion_of(draft) if group else None
            if promotion is not None:
                yield promotion


@dataclass(frozen=True, slots=True)
class _Sides:
    """The control repo before and after a change, and the policies that judge promotions."""

    base: Snapshot
    proposed: Snapshot
    policies: Sequence[Snapshot]
    tier: RiskTier


def _matters(path: str, sides: _Sides) -> Iterator[Matter]:
    """The matter of a path; of a release group, one for each member's promotion."""
    if not groups_among([path]):
        yield _matter(path, sides)
        return
    members = tuple(_promotions_of([path], (sides.base, sides.proposed)))
    if not members:
        # Nobody can tell what it asks for.
        yield _matter(path, sides)
    for promotion in members:
        where = promotion_path(promotion.draft, promotion.environment)
        found = _matter(where, sides, lane=promotion.lane)
        yield replace(found, kind=MatterKind.GROUP, path=path)


def _matter(path: str, sides: _Sides, *, lane: Lane | None = None) -> Matter:
    """The matter of a path. `lane` is that of a promotion whose file lies elsewhere."""
    base, proposed, policies = sides.base, sides.proposed, sides.policies
    owners = base.platform.owners if base.platform else ()
    if path.startswith("environments/"):
        return Matter(MatterKind.POLICY, path, owners, "", _one_of(owners))
    match = _OF_TENANT.match(path)
    if match is None:
        return Matter(MatterKind.REPOSITORY, path, owners, "", _one_of(owners))
    tenant = base.tenant(match[1])
    tenant_owners = tenant.owners if tenant else ()
    if match[2] is None:
        return Matter(MatterKind.TENANT, path, (*tenant_owners, *owners), "", _one_of(owners))
    draft = f"{match[1]}/{match[2]}"
    if is_of_platform(draft, base, proposed):
        kind, askers, bots_of, approvers = MatterKind.PLATFORM_CODE, owners, "", owners
    else:
        # Without a valid tenant file at the base nobody may ask: the tenant must come first.
        kind = MatterKind.TENANT_CODE
        askers = (*tenant_owners, *owners) if tenant else ()
        bots_of, approvers = match[1] if tenant else "", tenant_owners
    meaning = request_path(path)
    if meaning is not None and meaning.kind == "Waiver":
        return Matter(MatterKind.WAIVER, path, askers, bots_of, _one_of(owners))
    if meaning is None or meaning.kind != "Promotion":
        return Matter(kind, path, askers, bots_of, _one_of(approvers))
    asked = [_approvals(draft, meaning.name, policy, sides.tier) for policy in policies]
    approvals = tuple(policy for policy in asked if policy)
    teams = tuple(team for policy in approvals for team in policy.teams)
    request = proposed.model_at(path, Promotion)
    lane = lane or (request.lane if request else "normal")
    vouching = () if lane == "normal" else tuple(_of_lane(lane, policy) for policy in policies)
    return Matter(
        MatterKind.PROMOTION,
        path,
        (*askers, *teams),
        bots_of,
        tuple(dict.fromkeys((*(approvals or _one_of(approvers)), *vouching))),
    )


def is_of_platform(draft: str, *sides: Snapshot) -> bool:
    """Whether the code is the platform's, by its tenant or by the request on either side."""
    if DraftId(draft).tenant == PLATFORM_TENANT:
        return True
    found = [side.draft(draft) for side in sides]
    return any(request and request.code_origin is CodeOrigin.PLATFORM for request in found)


def higher_tier(*tiers: RiskTier) -> RiskTier:
    """The highest of some risk tiers."""
    return max(tiers, key=RISK_TIERS.index)


def _approvals(
    draft: str, environment: str, policy: Snapshot, tier: RiskTier
) -> ApprovalPolicy | None:
    """The approvals an environment needs, at the higher of `tier` and the tier by this policy."""
    found = policy.environments.get(environment)
    if found is None:
        return ApprovalPolicy.model_construct(count=1, teams=())
    tenant, request = policy.tenant(DraftId(draft).tenant), policy.draft(draft)
    name = DraftId(draft).tenant
    return found.approval_for(higher_tier(tier, *_tiers(tenant, request)), name)


def _of_lane(lane: FastLane, policy: Snapshot) -> ApprovalPolicy:
    """One approval by a lane's teams; if the policy lists none, nobody can give it."""
    teams = policy.platform.lanes.get(lane, ()) if policy.platform else ()
    return _one_of(teams)[0]


def _tiers(tenant: Tenant | None, request: object) -> tuple[RiskTier, ...]:
    own = getattr(request, "risk_tier", None)
    return tuple(t for t in (tenant.risk_tier if tenant else None, own) if t)


def _one_of(teams: tuple[str, ...]) -> tuple[ApprovalPolicy, ...]:
    """One approval by anybody in the teams; without teams nobody can give it."""
    return (ApprovalPolicy.model_construct(count=1, teams=teams),)


def paths_behind(paths: Iterable[str]) -> tuple[str, ...]:
    """The only files of a snapshot that `matters_of` reads; of a release group its own file, and
    those behind its members are behind their paths (`members_of`)."""
    needed = dict.fromkeys(["environments/platform.yaml"])
    for path in paths:
        match = _OF_TENANT.match(path)
        if match is None:
            if groups_among([path]):
                needed[path] = None
            continue
        needed[f"tenants/{match[1]}/tenant.yaml"] = None
        if match[2] is not None:
            if "/promotions/" in path:
                needed[path] = None
            needed[draft_path(f"{match[1]}/{match[2]}")] = None
            meaning = request_path(path)
            if meaning is not None and meaning.kind == "Promotion":
                needed[environment_path(meaning.name)] = None
    return tuple(needed)
