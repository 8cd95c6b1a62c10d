"""Evidence of an allowed promotion to prod, from the sample policy and a real chain of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.forges.port import Review, ReviewVerdict
from pipeline.gate.authorise import Evidence
from pipeline.gate.authority import Matter, Revision, judge
from pipeline.gate.matters import matters_of
from pipeline.images.provenance import statement_of
from pipeline.images.signing import SigningKey
from pipeline.models.base import API_VERSION, BlobId, CommitId, ImageDigest, TreeId, digest_of
from pipeline.models.draft_id import DraftId
from pipeline.models.evidence import BuildRecord
from pipeline.models.facts import Built, Cause, FactBody, Promoted, PullRequestLink, Release
from pipeline.models.provenance import Claim, Verified
from pipeline.models.requests import (
    EnvironmentName,
    Platform,
    Promotion,
    RequestedRelease,
    Signers,
    Tenant,
)
from pipeline.models.signers import Signer
from pipeline.models.status import DraftStatus
from pipeline.names import primitive_folder
from pipeline.releases.overlays import Overlay, base_tree_of, render_base, render_overlay
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import draft_path, promotion_path
from pipeline.requests.snapshot import Snapshot, snapshot_of
from pipeline.state.facts import fold_one, next_fact
from worlds import requests
from worlds.control import first_bodies, id_of, later_bodies
from worlds.control_repo import CLOCK_S

TENANT, PRIMITIVE = requests.tenant_name(0), requests.draft_name(0)
DRAFT = f"{TENANT}/{PRIMITIVE}"
_BASE = render_base({"deployment.yaml": b"kind: Deployment\n", "service.yaml": b"kind: Service\n"})


@dataclass(frozen=True)
class Allowed:
    """An allowed promotion: its evidence, and the input of its authority."""

    evidence: Evidence
    matters: Sequence[Matter]
    revision: Revision
    policy: Snapshot
    platform: Platform


def allowed_promotion(key: SigningKey) -> Allowed:
    """A promotion to prod that the gate allows; `key` signed its image's provenance."""
    policy = _policy()
    platform, tenant = policy.platform, policy.tenant(TENANT)
    assert platform is not None and tenant is not None
    status = _status(policy, platform, tenant)
    release = _release(status)
    environment = policy.environments["prod"]
    overlay = render_overlay(status, tenant, platform, environment, release, _BASE)
    signer = Signer(name="workspace", public_key=key.public_key)
    record = status.builds[0].model_copy(update={"image": status.image})
    claim = Claim(record, status.target_repo, primitive_folder(status.instance))
    matters = matters_of([promotion_path(DRAFT, "prod")], policy, policy, tier=status.risk_tier)
    revision = _revision(platform, {t for m in matters for a in m.approvals for t in a.teams})
    evidence = Evidence(
        promotion=Promotion(
            api_version=API_VERSION,
            kind="Promotion",
            draft=DraftId(DRAFT),
            environment="prod",
            release=RequestedRelease(source_commit=release.source_commit, digest=release.digest),
            overlay_tree=overlay.tree,
            reason="Peak season routing",
        ),
        environment=environment,
        platform=platform,
        blocked_digests=frozenset(),
        status=status,
        source_tree=release.source_tree,
        source_on_default=True,
        overlay=overlay,
        manifest_findings=(),
        authority=judge(matters, revision, platform),
        tier=status.risk_tier,
        now_s=CLOCK_S,
        signers=Signers(api_version=API_VERSION, kind="Signers", signers=(signer,)),
        provenance=Verified(signer=signer.name, statement=statement_of(claim, signer.builder_id)),
    )
    return Allowed(evidence, matters, revision, policy, platform)


def _policy() -> Snapshot:
    files = requests.policy_files() | dict(
        [requests.tenant_file(TENANT), requests.draft_file(TENANT, PRIMITIVE)]
    )
    read = [parse_request(path, content)[0] for path, content in files.items()]
    blobs = {path: id_of(path) for path in files}
    return snapshot_of(id_of("main"), blobs, [r for r in read if r is not None])


def _status(policy: Snapshot, platform: Platform, tenant: Tenant) -> DraftStatus:
    """The draft's status in staging, after one patch."""
    status: DraftStatus | None = None
    for body in first_bodies(platform, TENANT, PRIMITIVE):
        status = _after(status, body)
    assert status is not None
    for _, body in later_bodies(status, 1):
        status = _after(status, body)
    build = BuildRecord(
        source_commit=CommitId(status.head),
        source_tree=TreeId(status.head_tree),
        digest=ImageDigest(digest_of(b"image")),
        builder="source-layout",
        image=status.image,
        sbom=ImageDigest(digest_of(b"contents")),
        provenance=ImageDigest(digest_of(b"statement")),
        bundle="{}",
    )
    status = _after(status, Built(build=build))
    environments: tuple[EnvironmentName, ...] = ("dev", "staging")
    for name in environments:
        environment, release = policy.environments[name], _release(status)
        overlay = render_overlay(status, tenant, platform, environment, release, _BASE)
        status = _after(status, _promoted(name, status, release, overlay))
    return status


def _after(status: DraftStatus | None, body: FactBody) -> DraftStatus:
    cause = Cause(
        request=draft_path(DRAFT),
        commit=CommitId(id_of("main")),
        blob=BlobId(id_of("request")),
        run="run-1",
        actor=1,
    )
    return fold_one(status, next_fact(DRAFT, status, cause, body))


def _release(status: DraftStatus) -> Release:
    return Release(
        source_commit=CommitId(status.head),
        source_tree=TreeId(status.head_tree),
        digest=status.builds[0].digest,
        base_tree=base_tree_of(_BASE),
    )


def _promoted(
    environment: EnvironmentName, status: DraftStatus, release: Release, overlay: Overlay
) -> Promoted:
    repo = status.gitops_repo
    return Promoted(
        environment=environment,
        namespace=overlay.namespace,
        release=release,
        overlay_tree=TreeId(overlay.tree),
        overlay_folder=overlay.folder,
        gitops_repo=repo,
        gitops_commit=CommitId(id_of(f"merge in {environment}")),
        pull_request=PullRequestLink(repo=repo, number=1, url=f"local:{repo}#1"),
        approved_by=(),
        checks=("lint", "secrets", "tests"),
    )


def _revision(platform: Platform, teams: set[str]) -> Revision:
    """A revision by an owner of the tenant, approved by somebody in each of these teams."""
    head = id_of("revision")
    asker, *_ = (a.id for a in platform.accounts if requests.PEOPLE in a.teams)
    approvers = sorted(
        {next(a.id for a in platform.accounts if team in a.teams) for team in teams} - {asker}
    )
    reviews = tuple(
        Review(number, account, head, ReviewVerdict.APPROVED, "")
        for number, account in enumerate(approvers, start=1)
    )
    return Revision(head, asker, frozenset({asker}), True, reviews)
