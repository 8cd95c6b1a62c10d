"""Evidence that allows a promotion of `acme/order-router`, and the changes that a case makes to it.

A case is a small YAML mapping; each key changes one thing. `decision_findings` judges the result
with the real gate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from pydantic import TypeAdapter

from pipeline.diagnostics import Finding, Location
from pipeline.documents import parse_document
from pipeline.forges.port import Review, ReviewVerdict
from pipeline.gate.authorise import Evidence, authorise
from pipeline.gate.authority import Authority, Revision, judge, unbrought
from pipeline.gate.matters import matters_of
from pipeline.gate.waivers import Grant
from pipeline.models.base import API_VERSION, TreeId, seconds_of
from pipeline.models.evidence import CheckOutcome
from pipeline.models.provenance import Verified
from pipeline.models.requests import (
    RISK_TIERS,
    ApprovalPolicy,
    EnvironmentName,
    Halt,
    Promotion,
    RequestedRelease,
    RiskTier,
    Waiver,
    WaiverPolicy,
)
from pipeline.models.status import DraftState, PromotionRecord, RunRecord
from pipeline.models.windows import PlatformWindow, Window
from pipeline.releases.rules import Target, check_objects
from pipeline.requests.layout import environment_path, promotion_path, waiver_path
from pipeline.requests.snapshot import Snapshot
from tests.support import fact_history as history
from tests.support import rollback_evidence, soak_evidence, statement_evidence
from tests.support.samples import DRAFT, sample_environment, sample_platform, sample_snapshot
from tests.support.signing import trusted_signers, verified
from worlds.control_repo import CLOCK_S

R = TypeVar("R", PromotionRecord, RunRecord)
HEAD, OLD_HEAD = history.id_of("final revision"), history.id_of("earlier revision")
_OTHER_TREE = TreeId(history.id_of("other overlay"))
_OTHER_DIGEST = history.digest_of("other image")


def authority_of(
    environment: EnvironmentName,
    reviews: tuple[Review, ...] = (),
    *,
    author: int = history.AGENT_ID,
    is_reviewed: bool = True,
    tier: RiskTier = "LOW",
    approvals: object = None,
) -> Authority:
    """The authority over the promotion's request, with these reviews of it.

    `approvals` stand instead of those that the environment asks for.
    """
    policy = sample_snapshot()
    if approvals is not None:
        policy = _asking_for(environment, approvals)
    matters = matters_of([promotion_path(DRAFT, environment)], policy, policy, tier=tier)
    revision = _revision(author, reviews, is_reviewed)
    return judge(matters, revision, sample_platform())


def _asking_for(environment: EnvironmentName, approvals: object) -> Snapshot:
    """The samples with other approvals of an environment, of every tier."""
    path, wanted = environment_path(environment), json.dumps(approvals)
    loaded = sample_snapshot().requests[path]
    entries = {"LOW": ApprovalPolicy.model_validate_json(wanted)}
    model = loaded.model.model_copy(update={"approvals": entries})
    return sample_snapshot().with_request(replace(loaded, model=model))


def allowed_revision(environment: str) -> Revision:
    """The revision of the request whose promotion is allowed."""
    return _revision(history.AGENT_ID, _reviews(list(_approvers(environment))), True)


def _revision(author: int, reviews: tuple[Review, ...], is_reviewed: bool) -> Revision:
    return Revision(HEAD, author, frozenset({author}), True, reviews, is_reviewed=is_reviewed)


def _approvers(environment: str) -> tuple[int, ...]:
    """The accounts that approved: the draft's owners for dev, the environment's teams otherwise."""
    if environment == "dev":
        return (history.ENGINEER_ID,)
    return (history.RELEASE_MANAGERS[0], history.SECURITY_ID)


def review(
    sequence: int,
    user: int,
    verdict: str = "approved",
    commit: str = HEAD,
    body: str = "",
    at: str | None = None,
) -> Review:
    """One review of the request."""
    return Review(sequence, user, commit, ReviewVerdict(verdict), body, at)


def allowed_evidence(environment: EnvironmentName = "prod") -> Evidence:
    """Evidence that `authorise` allows."""
    status = history.sample_status()
    overlay = history.overlay_in(environment, status)
    policy = sample_environment(environment)
    approved = bool(policy.approvals)
    return Evidence(
        promotion=Promotion(
            api_version=API_VERSION,
            kind="Promotion",
            draft=DRAFT,
            environment=environment,
            release=RequestedRelease(
                source_commit=history.SOURCE_COMMIT, digest=history.DIGEST if approved else None
            ),
            overlay_tree=overlay.tree if approved else None,
            reason="Peak season routing",
        ),
        environment=policy,
        platform=sample_platform(),
        blocked_digests=frozenset(),
        status=status,
        source_tree=history.SOURCE_TREE,
        source_on_default=True,
        overlay=overlay,
        manifest_findings=(),
        authority=authority_of(environment, _reviews(list(_approvers(environment)))),
        tier=status.risk_tier,
        now_s=CLOCK_S,
        known_for_s=dict.fromkeys(policy.promotes_from, policy.known_for_s),
        by_people=False,
        asked_s=CLOCK_S,
        signers=trusted_signers(),
        provenance=verified(history.claim_of_build(status)),
    )


def _release(evidence: Evidence, **changes: object) -> Promotion:
    release = evidence.promotion.release.model_copy(update=changes)
    return evidence.promotion.model_copy(update={"release": release})


def _provenance(evidence: Evidence, which: str) -> Verified | None:
    """The verified statement of the image, wrong in one way if asked."""
    claim, good = history.claim_of_build(evidence.status), evidence.provenance
    assert good is not None
    other = claim.record.model_copy(update={"digest": _OTHER_DIGEST})
    moved = claim.record.model_copy(update={"source_tree": _OTHER_TREE})
    return {
        "none": None,
        "signed": good,
        "damaged": Verified(problem="it is not a JSON object", unreadable=True),
        "no provenance": replace(good, statement=b'{"_type": "https://in-toto.io/Statement/v1"}'),
        "of another key": Verified(problem="could not verify envelope"),
        "of an unknown signer": replace(good, signer="somebody"),
        "of another image": verified(replace(claim, record=other)),
        "of another source": verified(replace(claim, record=moved)),
        "of another repository": verified(replace(claim, repo="tenant-contoso-controllers")),
        "of another folder": verified(replace(claim, folder="primitives/other")),
        "of another builder": replace(
            good, statement=good.statement.replace(b"builders/workspace", b"builders/other")
        ),
    }[which]


def _of_another_image(records: tuple[R, ...]) -> tuple[R, ...]:
    return tuple(
        r.model_copy(update={"release": r.release.model_copy(update={"digest": _OTHER_DIGEST})})
        for r in records
    )


def _reviews(listed: object) -> tuple[Review, ...]:
    """Reviews from ids, or from mappings of `by`, `verdict` and `of` (`final` or `earlier`)."""
    assert isinstance(listed, list)
    found = []
    for sequence, item in enumerate(listed, start=1):
        entry = item if isinstance(item, dict) else {"by": item}
        assert set(entry) <= {"by", "verdict", "of", "body", "at"}, f"unknown key in {entry}"
        commit = OLD_HEAD if entry.get("of") == "earlier" else HEAD
        verdict = entry.get("verdict", "approved")
        body, at = entry.get("body", ""), entry.get("at")
        found.append(review(sequence, entry["by"], verdict, commit, body, at))
    return tuple(found)


def changed(evidence: Evidence, key: str, value: object) -> Evidence:
    """The evidence with one thing changed."""
    status, promotion = evidence.status, evidence.promotion
    if key in rollback_evidence.KEYS:
        return rollback_evidence.changed_run(evidence, key, value)
    if key in soak_evidence.KEYS:
        return soak_evidence.changed_soak(evidence, key, value)
    if key in statement_evidence.KEYS:
        return statement_evidence.changed_statements(evidence, key, value)
    if key in _OF_AUTHORITY:
        return _with_authority(evidence, {key: value})
    match key:
        case "state":
            return replace(
                evidence, status=status.model_copy(update={"state": DraftState(str(value))})
            )
        case "chain_problem":
            return replace(evidence, chain_problem=str(value))
        case "source_tree":
            tree = None if value is None else history.id_of(str(value))
            return replace(evidence, source_tree=tree, overlay=None)
        case "source_on_default":
            return replace(evidence, source_on_default=bool(value))
        case "promotions":
            assert isinstance(value, list)
            # What runs where, and never ran elsewhere.
            kept = tuple(p for p in status.promotions if p.environment in value)
            runs = status.runs_in([str(name) for name in value])
            left = status.model_copy(update={"promotions": kept, "runs": runs})
            return replace(evidence, status=left)
        case "running":
            # Another digest runs in the environments before this one: from the beginning, or
            # after the one that is asked for.
            assert value in ("other", "newer")
            promotions, runs = map(_of_another_image, (status.promotions, status.runs))
            if value == "newer":
                runs = (*status.runs, *(r.model_copy(update={"fact": r.fact + 10}) for r in runs))
            moved = status.model_copy(update={"promotions": promotions, "runs": runs})
            return replace(evidence, status=moved)
        case "base":
            # The chart of the same image renders to something else than what ran before.
            assert evidence.overlay is not None
            if value == "same":
                return evidence
            release = evidence.overlay.release.model_copy(update={"base_tree": _OTHER_TREE})
            return replace(evidence, overlay=replace(evidence.overlay, release=release))
        case "digest":
            digest = {"other": _OTHER_DIGEST, "built": history.DIGEST, "none": None}[str(value)]
            return replace(evidence, promotion=_release(evidence, digest=digest))
        case "builds":
            assert value == []
            emptied = status.model_copy(update={"builds": ()})
            return replace(evidence, status=emptied, overlay=None)
        case "builders":
            assert isinstance(value, list)
            policy = evidence.environment.model_copy(update={"builders": tuple(value)})
            return replace(evidence, environment=policy)
        case "provenance":
            return replace(evidence, provenance=_provenance(evidence, str(value)))
        case "signers":
            assert value is None
            return replace(evidence, signers=None)
        case "runtime":
            policy = evidence.environment.model_copy(update={"runtime": str(value)})
            return replace(evidence, environment=policy)
        case "checks":
            assert isinstance(value, list)
            outcomes = [CheckOutcome(v) for v in value]
            reports = tuple(history.report("lint", "tests", "secrets", outcome=o) for o in outcomes)
            return replace(evidence, status=status.model_copy(update={"checks": reports}))
        case "checks_of":
            # The same report, but of another source tree.
            tree = TreeId(history.id_of(str(value)))
            moved = tuple(r.model_copy(update={"tree": tree}) for r in status.checks)
            return replace(evidence, status=status.model_copy(update={"checks": moved}))
        case "namespace":
            assert evidence.overlay is not None
            return replace(evidence, overlay=replace(evidence.overlay, namespace=str(value)))
        case "overlay_tree":
            assert evidence.overlay is not None
            tree = {"other": _OTHER_TREE, "rendered": evidence.overlay.tree}.get(str(value))
            return replace(evidence, promotion=promotion.model_copy(update={"overlay_tree": tree}))
        case "now":
            return replace(evidence, now_s=seconds_of(str(value)))
        case "windows" | "platform_windows":
            return _with_windows(evidence, key, value)
        case "stops":
            listed = TypeAdapter(tuple[Halt, ...]).validate_json(json.dumps(value))
            return replace(evidence, stops=listed)
        case "waivers":
            return replace(evidence, waivers=_grants(value))
        case "waivable":
            policy = None if value is None else _WAIVERS.validate_json(json.dumps(value))
            platform = evidence.platform.model_copy(update={"waivers": policy})
            return replace(evidence, platform=platform)
        case "promotes_from" | "required_checks" | "stage":
            given = tuple(value) if isinstance(value, list) else value
            policy = evidence.environment.model_copy(update={key: given})
            return replace(evidence, environment=policy)
        case "source_authors":
            assert isinstance(value, list)
            return replace(evidence, source_authors=frozenset(value))
        case "newest_fact":
            return replace(evidence, status=status.model_copy(update={"decided_at": str(value)}))
        case "lanes":
            platform = evidence.platform.model_copy(update={"lanes": value})
            return replace(evidence, platform=platform)
        case "lane":
            return replace(evidence, promotion=promotion.model_copy(update={"lane": value}))
        case "blocked":
            digests = frozenset([history.DIGEST] if value else [])
            return replace(evidence, blocked_digests=digests)
        case "manifests":
            assert evidence.overlay is not None and isinstance(value, list)
            target = Target("overlay", evidence.overlay.bound)
            return replace(evidence, manifest_findings=tuple(check_objects(value, target)))
    raise ValueError(f"no case changes `{key}`")


_WAIVERS = TypeAdapter(WaiverPolicy)


def _grants(value: object) -> tuple[Grant, ...]:
    """Waivers of the release in prod, as they are given; defaults are filled in."""
    assert isinstance(value, list)
    given = {
        "apiVersion": API_VERSION,
        "kind": "Waiver",
        "draft": DRAFT,
        "environment": "prod",
        "rule": "check-failed",
        "digest": history.DIGEST,
        "starts": "2026-12-01T00:00:00Z",
        "expires": "2026-12-08T00:00:00Z",
        "reason": "The test fails where the clock is slow",
    }
    found = []
    for number, each in enumerate(value):
        changes = dict(each)
        approved = changes.pop("approved", True)
        waiver = Waiver.model_validate_json(json.dumps({**given, **changes}))
        cause = history.cause_of(waiver_path(DRAFT, f"w{number}"))
        missing = unbrought(cause.request, "no pull request brought it")
        authority = Authority((), (history.PLATFORM_ENGINEERS[0],)) if approved else missing
        found.append(Grant(waiver, cause, authority))
    return tuple(found)


def _with_windows(evidence: Evidence, key: str, value: object) -> Evidence:
    """The evidence with windows of the environment, or of the platform; defaults are filled in."""
    assert isinstance(value, list)
    given = {"name": "freeze", "zone": "UTC", "reason": "Nobody is there"}
    whole = json.dumps([{**given, **window} for window in value], default=str)
    if key == "platform_windows":
        listed = TypeAdapter(tuple[PlatformWindow, ...]).validate_json(whole)
        platform = evidence.platform.model_copy(update={"windows": listed})
        return replace(evidence, platform=platform)
    policy = evidence.environment.model_copy(
        update={"windows": TypeAdapter(tuple[Window, ...]).validate_json(whole)}
    )
    return replace(evidence, environment=policy)


# What authority over the request is made of; changed together, since it is judged as one.
_OF_AUTHORITY = ("pull", "author", "reviews", "approved_blob", "risk_tier", "approvals")


def case_of(text: str) -> Mapping[str, object]:
    """The changes that a text holds, read as the pipeline reads YAML: a time is text."""
    document = parse_document("case.yaml", text.encode())
    assert document.ok, document.findings
    return document.value


def evidence_of_case(case: Mapping[str, object]) -> Evidence:
    """The evidence of an allowed promotion (to prod, unless `environment` says) with changes."""
    changes = dict(case)
    environment = str(changes.pop("environment", "prod"))
    evidence = allowed_evidence(environment)  # type: ignore[arg-type]  # a name of the samples
    given = {key: changes.pop(key) for key in _OF_AUTHORITY if key in changes}
    if given:
        evidence = _with_authority(evidence, given)
    for key, value in changes.items():
        evidence = changed(evidence, key, value)
    return evidence


def _with_authority(evidence: Evidence, given: Mapping[str, object]) -> Evidence:
    """The evidence of a request with another origin, or of a draft of another risk tier."""
    tier = given.get("risk_tier", evidence.tier)
    assert tier in RISK_TIERS
    status = evidence.status.model_copy(update={"risk_tier": tier})
    evidence = replace(evidence, status=status, tier=tier)
    environment = evidence.environment.environment
    if "pull" in given:
        assert given["pull"] is None
        path = promotion_path(DRAFT, environment)
        return replace(evidence, authority=unbrought(path, "no pull request brought it"))
    author = given.get("author", history.AGENT_ID)
    assert isinstance(author, int)
    reviews = _reviews(given.get("reviews", list(_approvers(environment))))
    authority = authority_of(
        environment,
        reviews,
        author=author,
        is_reviewed=given.get("approved_blob") != "other",
        tier=tier,
        approvals=given.get("approvals"),
    )
    account = sample_platform().account(author)
    is_person = account is not None and account.kind == "person"
    return replace(evidence, authority=authority, by_people=is_person)


def decision_findings(text: str) -> tuple[Finding, ...]:
    """The gate's reasons in a case, as findings without a position."""
    decision = authorise(evidence_of_case(case_of(text)))
    return tuple(Finding(r.code, r.message, Location("decision")) for r in decision.reasons)
