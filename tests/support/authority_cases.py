"""Cases of authority, each with the codes that it must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from pipeline.forges.port import Review, ReviewVerdict
from pipeline.gate import authority, matters
from pipeline.gate.authority import Revision
from pipeline.models.base import API_VERSION
from pipeline.models.requests import RiskTier
from pipeline.requests.layout import (
    PLATFORM_PATH,
    draft_path,
    environment_path,
    group_path,
    patch_path,
    promotion_path,
    tenant_path,
    waiver_path,
)
from pipeline.requests.snapshot import Snapshot
from tests.support.fact_history import id_of
from tests.support.samples import DRAFT, sample_snapshot, snapshot_and_findings, world_files

HEAD, OLD = id_of("head"), id_of("older")
AGENT, FOREIGN_AGENT, PIPELINE, NOBODY = 1901, 1902, 1000, 4711
ENGINEER, COLLEAGUE, FOREIGN_ENGINEER = 1201, 1202, 1301
OWNER, OTHER_OWNER = 1101, 1102
MANAGER, OTHER_MANAGER, SECURITY = 1501, 1502, 1601
PLATFORM_DRAFT = "contoso/inventory"
GITOPS = "gitops:"
APPROVED, OBJECTS = ReviewVerdict.APPROVED, ReviewVerdict.CHANGES_REQUESTED


@dataclass(frozen=True)
class Case:
    """A change and the codes of the reasons against it; no codes if it is allowed."""

    codes: frozenset[str]
    paths: tuple[str, ...]
    author: int = AGENT
    approvals: tuple[int, ...] = ()
    objections: tuple[int, ...] = ()
    earlier: tuple[int, ...] = ()  # approvals of an earlier revision
    taken_back: tuple[int, ...] = ()  # approvals that were dismissed
    pushers: frozenset[int] = frozenset()
    committers: frozenset[int] = frozenset()
    is_pusher_known: bool = True
    is_reviewed: bool = True
    tier: RiskTier = "LOW"
    base: Mapping[str, bytes] = field(default_factory=dict)  # over the samples
    proposed: Mapping[str, bytes] = field(default_factory=dict)  # over the base
    now: Mapping[str, bytes] | None = None  # over the samples

    def found(self) -> frozenset[str]:
        """The codes that the case gives."""
        base = _snapshot(tuple(sorted(self.base.items())))
        proposed = _snapshot(tuple(sorted({**self.base, **self.proposed}.items())))
        now = None if self.now is None else _snapshot(tuple(sorted(self.now.items())))
        assert base.platform is not None
        if self.paths[0].startswith(GITOPS):
            paths = [path.removeprefix(GITOPS) for path in self.paths]
            listed = matters.gitops_matters(paths, ("acme-engineers",))
        else:
            listed = matters.matters_of(self.paths, base, proposed, now=now, tier=self.tier)
        given = [
            *((who, APPROVED, OLD) for who in self.earlier),
            *((who, APPROVED, HEAD) for who in self.approvals),
            *((who, APPROVED, HEAD) for who in self.taken_back),
            *((who, ReviewVerdict.DISMISSED, HEAD) for who in self.taken_back),
            *((who, OBJECTS, HEAD) for who in self.objections),
        ]
        reviews = tuple(Review(n, who, at, said) for n, (who, said, at) in enumerate(given, 1))
        revision = Revision(
            HEAD,
            self.author,
            self.pushers,
            self.is_pusher_known,
            reviews,
            self.committers,
            self.is_reviewed,
        )
        return frozenset(r.code for r in authority.judge(listed, revision, base.platform).reasons)


@cache
def _snapshot(changes: tuple[tuple[str, bytes], ...]) -> Snapshot:
    return (
        snapshot_and_findings({**world_files(), **dict(changes)})[0]
        if changes
        else (sample_snapshot())
    )


def edited(path: str, *pairs: tuple[str, str]) -> dict[str, bytes]:
    """A file of the samples with texts replaced."""
    text = world_files()[path].decode()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {path: text.encode()}


SCOPE, MISSING = "author-out-of-scope", "approval-missing"
TOGETHER, UNKNOWN, OTHER = "policy-with-requests", "pusher-unknown", "approval-other-revision"
OWN, PATCH = draft_path(DRAFT), patch_path(DRAFT, "0001")
DEV, STAGING, PROD = (promotion_path(DRAFT, env) for env in ("dev", "staging", "prod"))
WAIVER = waiver_path(DRAFT, "flaky-test")
GROUP, RATING = group_path("spring"), "contoso/supplier-rating"
POLICY, TENANT = environment_path("prod"), tenant_path("acme")
_AS_PLATFORM = edited(OWN, ("code_origin: tenant", "code_origin: platform"))
_DELEGATED = edited(
    PLATFORM_PATH,
    ("kind: bot, tenants: [acme]", f"kind: bot, tenants: [acme], delegators: [{ENGINEER}]"),
)
_PIPELINE_LISTED = edited(
    PLATFORM_PATH, ("kind: pipeline}", "kind: pipeline, teams: [platform-engineers]}")
)
_BOT_IN_TEAM = edited(
    PLATFORM_PATH, ("kind: bot, tenants: [contoso]", "kind: bot, teams: [acme-engineers]")
)
_LOWERED = edited(
    POLICY,
    (
        "count: 2, teams: [release-managers, security]",
        "count: 1, teams: [acme-engineers]",
    ),
)
_PROD_APPROVALS = "LOW: {count: 2, teams: [release-managers, security]}"
_ANY_TEAM = edited(POLICY, (_PROD_APPROVALS, _PROD_APPROVALS[:-1] + ", each_team: false}"))
_ENTRY = "LOW: {count: 1, teams: [acme-engineers]}"
_OWN_ENTRY = edited(
    POLICY, (_PROD_APPROVALS, f"{_PROD_APPROVALS}\ntenant_approvals:\n  acme: {{{_ENTRY}}}")
)
_OTHERS_ENTRY = edited(
    POLICY, (_PROD_APPROVALS, f"{_PROD_APPROVALS}\ntenant_approvals:\n  contoso: {{{_ENTRY}}}")
)


def group_of(*drafts: str, environment: str = "dev", lane: str = "normal") -> dict[str, bytes]:
    """A release group of these drafts."""
    release = f"release: {{source_commit: {id_of('source')}, digest: 'sha256:{'ab' * 32}'}}"
    pins = f"{release}, overlay_tree: {id_of('overlay')}"
    members = "".join(f"  - {{draft: {draft}, {pins}}}\n" for draft in drafts)
    text = f"""apiVersion: {API_VERSION}
kind: ReleaseGroup
environment: {environment}
lane: {lane}
reason: They belong together
members:
{members}"""
    return {GROUP: text.encode()}


_BOTH, _OF_ACME = group_of(DRAFT, RATING), group_of(DRAFT, "acme/shipment-tracker")
_RESERVED = draft_path("platform/price-list")
_BOT_OF_RESERVED = edited(PLATFORM_PATH, ("tenants: [acme]", "tenants: [acme, platform]"))
_HIGH = edited(TENANT, ("risk_tier: MEDIUM", "risk_tier: HIGH"))
_LANES = edited(
    PLATFORM_PATH, ("gitops_drift: restore", "gitops_drift: restore\nlanes: {security: [security]}")
)
_IN_LANE = {
    STAGING: f"""apiVersion: pipeline.ameide.io/v1
kind: Promotion
draft: {DRAFT}
environment: staging
release: {{source_commit: {id_of("source")}, digest: "sha256:{"ab" * 32}"}}
overlay_tree: {id_of("overlay")}
lane: security
reason: A hole is closed
""".encode()
}


def case(codes: str, *paths: str, **given: object) -> Case:
    """A case; `codes` are words."""
    sets = {k: frozenset(v) for k, v in given.items() if k in ("pushers", "committers")}  # type: ignore[call-overload]  # of numbers
    return Case(frozenset(codes.split()), paths, **{**given, **sets})  # type: ignore[arg-type]  # as the fields are


CASES: tuple[Case, ...] = (
    # What is allowed, for each row.
    case("", OWN, approvals=(ENGINEER,)),
    case("", PATCH, author=ENGINEER, approvals=(COLLEAGUE,)),
    case("", OWN, author=OWNER, approvals=(ENGINEER,)),
    case("", POLICY, author=OWNER, approvals=(OTHER_OWNER,)),
    case("", TENANT, author=ENGINEER, approvals=(OWNER,)),
    case("", ".github/workflows/ci.yaml", author=OWNER, approvals=(OTHER_OWNER,)),
    case("", draft_path(PLATFORM_DRAFT), author=OWNER, approvals=(OTHER_OWNER,)),
    case("", DEV, approvals=(ENGINEER,)),
    case("", STAGING, author=MANAGER, approvals=(OTHER_MANAGER,)),
    case("", PROD, approvals=(MANAGER, SECURITY)),
    case("", f"{GITOPS}README.md", author=ENGINEER, approvals=(COLLEAGUE,)),
    # Who may ask.
    case(SCOPE, OWN, author=FOREIGN_AGENT, approvals=(ENGINEER,)),
    case(SCOPE, OWN, author=FOREIGN_ENGINEER, approvals=(ENGINEER,)),
    case(SCOPE, OWN, author=NOBODY, approvals=(ENGINEER,)),
    case(SCOPE, POLICY, author=PIPELINE, approvals=(OWNER,), base=_PIPELINE_LISTED),
    case(SCOPE, OWN, pushers={AGENT, FOREIGN_ENGINEER}, approvals=(ENGINEER,)),
    case(SCOPE, POLICY, author=ENGINEER, approvals=(OWNER,)),
    case(SCOPE, POLICY, author=AGENT, approvals=(OWNER,)),
    case(SCOPE, TENANT, author=AGENT, approvals=(OWNER,)),
    case(SCOPE, TENANT, author=FOREIGN_ENGINEER, approvals=(OWNER,)),
    case(SCOPE, "CODEOWNERS", author=AGENT, approvals=(OWNER,)),
    case(SCOPE, "CODEOWNERS", author=ENGINEER, approvals=(OWNER,)),
    case(SCOPE, draft_path(PLATFORM_DRAFT), author=FOREIGN_AGENT, approvals=(OWNER,)),
    case(SCOPE, draft_path(PLATFORM_DRAFT), author=FOREIGN_ENGINEER, approvals=(OWNER,)),
    case(SCOPE, DEV, author=MANAGER, approvals=(ENGINEER,)),
    case(SCOPE, STAGING, author=FOREIGN_ENGINEER, approvals=(MANAGER,)),
    case(SCOPE, STAGING, author=FOREIGN_AGENT, approvals=(MANAGER,)),
    case(SCOPE, f"{GITOPS}README.md", author=AGENT, approvals=(ENGINEER,)),
    case(SCOPE, f"{GITOPS}README.md", author=FOREIGN_ENGINEER, approvals=(ENGINEER,)),
    case(SCOPE, _RESERVED, author=AGENT, approvals=(OWNER,), base=_BOT_OF_RESERVED),
    # Who must approve.
    case(MISSING, OWN),
    case(MISSING, OWN, approvals=(FOREIGN_ENGINEER,)),
    case(MISSING, OWN, approvals=(OWNER,)),
    case(MISSING, OWN, approvals=(FOREIGN_AGENT,), base=_BOT_IN_TEAM),
    case(MISSING, OWN, author=ENGINEER, approvals=(ENGINEER,)),
    case(MISSING, OWN, pushers={AGENT, ENGINEER}, approvals=(ENGINEER,)),
    case(MISSING, OWN, committers={ENGINEER}, approvals=(ENGINEER,)),
    case(MISSING, OWN, approvals=(ENGINEER,), base=_DELEGATED),
    case(MISSING, OWN, earlier=(ENGINEER,)),
    case(MISSING, OWN, taken_back=(ENGINEER,)),
    case(MISSING, OWN, approvals=(ENGINEER,), objections=(COLLEAGUE,)),
    case(MISSING, POLICY, author=OWNER, approvals=(MANAGER,)),
    case(MISSING, TENANT, author=ENGINEER, approvals=(COLLEAGUE,)),
    case(MISSING, "CODEOWNERS", author=OWNER, approvals=(ENGINEER,)),
    case(MISSING, draft_path(PLATFORM_DRAFT), author=OWNER, approvals=(ENGINEER,)),
    case(MISSING, DEV, approvals=(MANAGER,)),
    case(MISSING, STAGING, approvals=(ENGINEER,)),
    case(MISSING, PROD, approvals=(MANAGER,)),
    case(MISSING, PROD, approvals=(MANAGER, OTHER_MANAGER)),
    case(MISSING, f"{GITOPS}README.md", author=ENGINEER, approvals=(OWNER,)),
    case(MISSING, promotion_path(DRAFT, "moon"), approvals=(ENGINEER,)),
    # How it came.
    case(UNKNOWN, OWN, is_pusher_known=False, approvals=(ENGINEER,)),
    case(OTHER, OWN, is_reviewed=False, approvals=(ENGINEER,)),
    # Policy by itself, and by the policy before it.
    case(TOGETHER, POLICY, DEV, author=OWNER, approvals=(OTHER_OWNER, ENGINEER)),
    case(TOGETHER, TENANT, OWN, author=OWNER, approvals=(OTHER_OWNER, ENGINEER)),
    case(TOGETHER, "CODEOWNERS", OWN, author=OWNER, approvals=(OTHER_OWNER, ENGINEER)),
    case(MISSING, PROD, approvals=(ENGINEER,), proposed=_LOWERED),
    case(MISSING, PROD, approvals=(MANAGER, SECURITY), now=_LOWERED),
    case(MISSING, PROD, approvals=(ENGINEER,), now=_LOWERED),
    # Origin, as either side has it.
    case(f"{SCOPE} {MISSING}", OWN, approvals=(ENGINEER,), proposed=_AS_PLATFORM),
    case(
        f"{SCOPE} {MISSING}",
        PATCH,
        approvals=(ENGINEER,),
        base=_AS_PLATFORM,
        proposed=edited(OWN),
    ),
    # Tier, the higher of then and now.
    case(MISSING, STAGING, approvals=(MANAGER,), tier="HIGH"),
    case(MISSING, STAGING, approvals=(MANAGER,), base=_HIGH),
    case(MISSING, STAGING, approvals=(MANAGER,), now=_HIGH),
    case("", STAGING, approvals=(MANAGER, SECURITY), base=_HIGH, tier="MEDIUM"),
    # One of each team, or of any; a tenant's own entry goes before that of all.
    case(MISSING, PROD, approvals=(MANAGER, OTHER_MANAGER)),
    case("", PROD, approvals=(MANAGER, OTHER_MANAGER), base=_ANY_TEAM),
    case("", PROD, approvals=(ENGINEER,), base=_OWN_ENTRY),
    case(MISSING, PROD, approvals=(MANAGER, SECURITY), base=_OWN_ENTRY),
    case("", PROD, approvals=(MANAGER, SECURITY), base=_OTHERS_ENTRY),
    # A waiver, which the platform's owners approve.
    case("", WAIVER, approvals=(OWNER,)),
    case("", WAIVER, author=ENGINEER, approvals=(OWNER,)),
    case(MISSING, WAIVER),
    case(MISSING, WAIVER, approvals=(ENGINEER, MANAGER, SECURITY)),
    case(MISSING, WAIVER, author=OWNER, approvals=(OWNER,)),
    case(SCOPE, WAIVER, author=MANAGER, approvals=(OWNER,)),
    case(SCOPE, WAIVER, author=FOREIGN_AGENT, approvals=(OWNER,)),
    case(TOGETHER, POLICY, WAIVER, author=OWNER, approvals=(OTHER_OWNER,)),
    # A release group, which whoever may ask for every member asks for, and all of them approve.
    case("", GROUP, author=OWNER, approvals=(ENGINEER, FOREIGN_ENGINEER), proposed=_BOTH),
    case(MISSING, GROUP, author=OWNER, approvals=(ENGINEER,), proposed=_BOTH),
    case(MISSING, GROUP, author=OWNER, approvals=(FOREIGN_ENGINEER,), proposed=_BOTH),
    case(MISSING, GROUP, author=OWNER, proposed=_BOTH),
    case("", GROUP, approvals=(ENGINEER,), proposed=_OF_ACME),
    case(SCOPE, GROUP, approvals=(ENGINEER, FOREIGN_ENGINEER), proposed=_BOTH),
    case(SCOPE, GROUP, author=COLLEAGUE, approvals=(ENGINEER, FOREIGN_ENGINEER), proposed=_BOTH),
    case(SCOPE, GROUP, author=NOBODY, approvals=(ENGINEER, FOREIGN_ENGINEER), proposed=_BOTH),
    case(SCOPE, GROUP, author=FOREIGN_AGENT, approvals=(ENGINEER,), proposed=_OF_ACME),
    case(f"{SCOPE} {MISSING}", GROUP, approvals=(ENGINEER,), base=_BOTH, proposed=_OF_ACME),
    case(
        "",
        GROUP,
        author=OWNER,
        approvals=(ENGINEER, FOREIGN_ENGINEER),
        base=_BOTH,
        proposed=_OF_ACME,
    ),
    case(f"{SCOPE} {MISSING}", GROUP, approvals=(ENGINEER,), proposed={GROUP: b"members: [\n"}),
    case(
        "",
        GROUP,
        author=MANAGER,
        approvals=(OTHER_MANAGER, SECURITY),
        proposed=group_of(DRAFT, RATING, environment="prod"),
    ),
    case(
        MISSING,
        GROUP,
        author=OWNER,
        approvals=(ENGINEER, FOREIGN_ENGINEER),
        proposed=group_of(DRAFT, RATING, environment="prod"),
    ),
    case(
        MISSING,
        GROUP,
        author=OWNER,
        approvals=(ENGINEER, FOREIGN_ENGINEER),
        base=_LANES,
        proposed=group_of(DRAFT, RATING, lane="security"),
    ),
    case(
        "",
        GROUP,
        author=OWNER,
        approvals=(ENGINEER, FOREIGN_ENGINEER, SECURITY),
        base=_LANES,
        proposed=group_of(DRAFT, RATING, lane="security"),
    ),
    case(
        TOGETHER, POLICY, GROUP, author=OWNER, approvals=(OTHER_OWNER, ENGINEER), proposed=_OF_ACME
    ),
    # A lane, for which one of its teams vouches, then and now.
    case("", STAGING, approvals=(MANAGER, SECURITY), base=_LANES, proposed=_IN_LANE),
    case(MISSING, STAGING, approvals=(MANAGER,), base=_LANES, proposed=_IN_LANE),
    case(MISSING, STAGING, approvals=(MANAGER, SECURITY), proposed=_IN_LANE),
    case(MISSING, STAGING, approvals=(MANAGER, SECURITY), base=_LANES, proposed=_IN_LANE, now={}),
    case(MISSING, STAGING, approvals=(MANAGER,), base=_LANES, proposed=_IN_LANE, now=_LANES),
)
