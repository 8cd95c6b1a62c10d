"""A test case of policy as a decision of the gate: facts in short form become evidence. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline import names
from pipeline.gate.authorise import Decision
from pipeline.images.provenance import statement_of
from pipeline.models.base import (
    API_VERSION,
    BlobId,
    CommitId,
    FactHash,
    ImageDigest,
    Moment,
    TreeId,
    digest_of,
    seconds_of,
)
from pipeline.models.draft_id import DraftId
from pipeline.models.draft_state import DraftState
from pipeline.models.evidence import BuildRecord, CheckOutcome, CheckReport, CheckResult
from pipeline.models.facts import Brought, Cause, GivenReview, PullRequestLink, Release
from pipeline.models.policy_cases import CANDIDATE, CaseApproval, CaseWaiver, PolicyCase, Who
from pipeline.models.provenance import Claim, Verified
from pipeline.models.requests import (
    Platform,
    PrimitiveImplementationDraft,
    Promotion,
    RequestedRelease,
    Tenant,
    Waiver,
)
from pipeline.models.status import DraftStatus, HoldRecord, PromotionRecord, RunRecord
from pipeline.policy.replay import (
    AskedWaiver,
    Asking,
    PastDecision,
    PolicyOf,
    decide_by,
    overlay_of,
    without_statements,
)
from pipeline.requests.layout import RequestPath, draft_path, promotion_path, waiver_path
from pipeline.requests.snapshot import LoadedRequest, Snapshot

_BUNDLE = "the statement of the candidate"
_LINK = PullRequestLink(repo="example", number=1, url="example#1")


@dataclass(frozen=True)
class _Facts:
    """A case beside the policy that it is about."""

    case: PolicyCase
    platform: Platform
    tenant: Tenant
    policy: Snapshot

    @property
    def id(self) -> DraftId:
        return DraftId(f"{self.case.draft.tenant}/{self.case.draft.name}")

    def account(self, who: Who) -> int:
        """The number of an account; 0 for a login that policy does not list."""
        if isinstance(who, int):
            return who
        return next((a.id for a in self.platform.accounts if a.login == who), 0)


def decide_case(case: PolicyCase, policy: Snapshot) -> Decision | None:
    """The gate's decision on a case; None if the policy has no such tenant, or no platform."""
    platform, tenant = policy.platform, policy.tenant(case.draft.tenant)
    if platform is None or tenant is None:
        return None
    facts = _Facts(case, platform, tenant, policy)
    past = _past(facts)
    policy = without_statements(policy) if case.stated else policy
    return decide_by(past, PolicyOf(policy, _statements(facts, past.status)))


def _past(facts: _Facts) -> PastDecision:
    """The case as a decision that was made."""
    case, request = facts.case, facts.case.request
    status, release = _status(facts), _release(case, CANDIDATE)
    namespace = names.namespace(
        facts.platform.platform,
        status.tenant_id,
        status.sku,
        status.code_origin,
        request.environment,
    )
    tree = _id("overlay", request.environment, release.digest)
    overlay = overlay_of(status, request.environment, namespace, release, tree)
    promotion = Promotion(
        api_version=API_VERSION,
        kind="Promotion",
        draft=facts.id,
        environment=request.environment,
        release=RequestedRelease(
            source_commit=release.source_commit, digest=release.digest if request.pinned else None
        ),
        overlay_tree=overlay.tree if request.pinned else None,
        lane=request.lane,
        hold="lifted" if request.lifts_hold else None,
        reason=case.name,
    )
    path = promotion_path(facts.id, request.environment)
    meaning = RequestPath("Promotion", facts.id.tenant, facts.id.primitive, request.environment)
    asked = (
        LoadedRequest(path, meaning, promotion, ""),
        LoadedRequest(draft_path(facts.id), meaning, _draft(facts), ""),
    )
    return PastDecision(
        promotion=promotion,
        asking=_asking(facts, path, asked, (request.by, request.at, request.approvals)),
        draft=_draft(facts),
        status=status,
        now_s=seconds_of(case.now),
        source_tree=release.source_tree,
        source_on_default=case.merged,
        overlay=overlay if case.build else None,
        bundle=_BUNDLE if case.build and case.build.signed else "",
        waivers=tuple(_waiver(facts, n, waiver) for n, waiver in enumerate(case.waivers)),
        source_authors=frozenset(map(facts.account, case.source_by)),
    )


def _draft(facts: _Facts) -> PrimitiveImplementationDraft:
    told, platform = facts.case.draft, facts.platform.platform
    return PrimitiveImplementationDraft(
        api_version=API_VERSION,
        kind="PrimitiveImplementationDraft",
        id=facts.id,
        tenant_id=told.tenant,
        primitive_type=told.type,
        primitive_id=told.name,
        template_id=f"{told.type}@1.0.0",
        code_origin=told.origin,
        target_repo=names.controllers_repo(platform, told.tenant, told.origin),
        risk_tier=told.risk_tier,
    )


def _status(facts: _Facts) -> DraftStatus:
    """The draft's status before the decision."""
    case, told, platform = facts.case, facts.case.draft, facts.platform
    draft = _draft(facts)
    held = case.held_since
    hold = HoldRecord(environment=case.request.environment, fact=1, since=held) if held else None
    runs = tuple(
        RunRecord(
            environment=run.environment,
            release=_release(case, run.release),
            fact=number,
            since=run.since,
            until=run.until,
            was_healthy=run.healthy_since is not None,
            healthy_since=run.healthy_since,
            healthy_seen=(run.healthy_until or run.until or case.now)
            if run.healthy_since
            else None,
            goes_further=run.goes_further,
        )
        for number, run in enumerate(case.runs, start=1)
    )
    return DraftStatus(
        id=facts.id,
        state=DraftState.IN_REVIEW,
        tenant_id=told.tenant,
        primitive_type=told.type,
        primitive_id=told.name,
        template_id=draft.template_id,
        template_digest=_id("template"),
        code_origin=told.origin,
        sku=facts.tenant.sku,
        risk_tier=told.risk_tier or facts.tenant.risk_tier,
        target_repo=draft.target_repo,
        gitops_repo=names.gitops_repo(platform.platform, told.tenant, told.origin),
        instance=names.instance(told.tenant, told.name, told.origin),
        image=names.image_repository(platform.registry.prefix, told.tenant, told.name),
        target_namespaces={},
        checks=(_checks(facts),),
        builds=(_build(case),) if case.build else (),
        promotions=tuple(_promoted(run) for run in runs if run.until is None),
        runs=runs,
        holds=(hold,) if hold else (),
        facts=max(1, len(runs)),
        newest_fact=FactHash(digest_of(b"fact")),
        decided_at=max((run.since for run in case.runs), default=None),
    )


def _release(case: PolicyCase, label: str) -> Release:
    """The release with a label; equal labels are the same release."""
    digest = case.build.digest if case.build and label == CANDIDATE else None
    return Release(
        source_commit=CommitId(_id("commit", label)),
        source_tree=TreeId(_id("tree", label)),
        digest=digest or ImageDigest(digest_of(label.encode())),
        base_tree=TreeId(_id("base", label)),
    )


def _promoted(run: RunRecord) -> PromotionRecord:
    return PromotionRecord(
        environment=run.environment,
        namespace="example",
        release=run.release,
        overlay_tree=_id("overlay", run.environment, run.release.digest),
        overlay_folder="example",
        gitops_commit=_id("merge", run.environment),
        merged_at=run.since,
        pull_request=_LINK,
        approved_by=(),
        fact=run.fact,
    )


def _checks(facts: _Facts) -> CheckReport:
    """What the checks said: by default that all of the environment's passed."""
    case = facts.case
    environment = facts.policy.environments.get(case.request.environment)
    told = case.checks
    if told is None:
        told = dict.fromkeys(environment.required_checks if environment else (), "passed")
    release = _release(case, CANDIDATE)
    results = tuple(
        CheckResult(name=name, outcome=CheckOutcome(said), tool="case", summary=f"it {said}")
        for name, said in told.items()
    )
    return CheckReport(commit=release.source_commit, tree=release.source_tree, results=results)


def _build(case: PolicyCase) -> BuildRecord:
    assert case.build is not None  # the caller checked
    release = _release(case, CANDIDATE)
    return BuildRecord(
        source_commit=release.source_commit,
        source_tree=release.source_tree,
        digest=release.digest,
        builder=case.build.builder,
        image="",
        sbom=ImageDigest(digest_of(b"contents")),
    )


def _statements(facts: _Facts, status: DraftStatus) -> dict[str, Verified]:
    """The statement of the candidate, as if its signature had been verified."""
    case, signers = facts.case, facts.policy.signers
    if case.build is None or signers is None:
        return {}
    wanted = case.build.signed_by
    signer = next((s for s in signers.signers if wanted in (None, s.name)), None)
    if signer is None:
        return {_BUNDLE: Verified(problem="the signature is of none of the signers")}
    record = status.builds[0].model_copy(update={"image": status.image})
    claim = Claim(record, status.target_repo, names.primitive_folder(status.instance))
    return {_BUNDLE: Verified(signer=signer.name, statement=statement_of(claim, signer.builder_id))}


def _asking(
    facts: _Facts,
    path: str,
    requests: tuple[LoadedRequest, ...],
    told: tuple[Who, Moment | None, Iterable[CaseApproval]],
) -> Asking:
    """How a request came to main: asked for by one account and approved by others."""
    by, asked_at, approvals = told
    at, head = asked_at or facts.case.now, CommitId(_id("head", path))
    given = [
        GivenReview(account=facts.account(one.by), commit=head, verdict="approved", at=one.at or at)
        for one in approvals
    ]
    objections = facts.case.request.objections if path.endswith(_of_promotion(facts)) else ()
    given += [
        GivenReview(account=facts.account(who), commit=head, verdict="changes-requested", at=at)
        for who in objections
    ]
    author = facts.account(by)
    brought = Brought(
        pull=1,
        base=CommitId(_id("base", path)),
        head=head,
        author=author,
        pushers=(author,),
        is_pusher_known=True,
        reviews=tuple(given),
    )
    cause = Cause(
        request=path,
        commit=CommitId(_id("merge", path)),
        blob=BlobId(_id("blob", path)),
        run="case",
        actor=author,
        merged_at=at,
        brought=brought,
    )
    return Asking(cause, (path,), requests)


def _of_promotion(facts: _Facts) -> str:
    return promotion_path(facts.id, facts.case.request.environment)


def _waiver(facts: _Facts, number: int, told: CaseWaiver) -> AskedWaiver:
    """A waiver of a case, for the candidate."""
    waiver = Waiver(
        api_version=API_VERSION,
        kind="Waiver",
        draft=facts.id,
        environment=facts.case.request.environment,
        rule=told.rule,
        digest=_release(facts.case, CANDIDATE).digest,
        starts=told.starts,
        expires=told.expires,
        reason=facts.case.name,
    )
    path = waiver_path(facts.id, f"waiver-{number + 1}")
    meaning = RequestPath("Waiver", facts.id.tenant, facts.id.primitive, f"waiver-{number + 1}")
    asked = (
        LoadedRequest(path, meaning, waiver, ""),
        LoadedRequest(draft_path(facts.id), meaning, _draft(facts), ""),
    )
    return AskedWaiver(waiver, _asking(facts, path, asked, (told.asked_by, None, told.approvals)))


def _id(*words: str) -> str:
    """A Git object id made from words."""
    return hashlib.sha1(" ".join(words).encode(), usedforsecurity=False).hexdigest()
