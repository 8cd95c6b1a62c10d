"""Evidence of an allowed promotion of `acme/order-router`, and what a case changes in it.

A case is a small YAML mapping; each key changes one thing. `decision_findings` judges what comes
out with the real gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import yaml

from pipeline.authorise import Evidence, authorise
from pipeline.diagnostics import Finding, Location
from pipeline.forges.port import PullRequest, PullState, Review, ReviewVerdict
from pipeline.models.base import TreeId
from pipeline.models.evidence import CheckOutcome
from pipeline.models.requests import EnvironmentName, Promotion, RequestedRelease
from pipeline.models.status import DraftState
from pipeline.provenance import Verified
from pipeline.rules.manifests import Target, check_objects
from tests import history
from tests.samples import DRAFT, sample_environment, sample_platform
from tests.signing import trusted_signers, verified

HEAD, OLD_HEAD = history.id_of("final revision"), history.id_of("earlier revision")
_OTHER_TREE = TreeId(history.id_of("other overlay"))
_OTHER_DIGEST = history.digest_of("other image")
_APPROVED = (history.RELEASE_MANAGERS[0], history.SECURITY_ID)


def pull_request(
    reviews: tuple[Review, ...] = (), *, author: int = history.AGENT_ID
) -> PullRequest:
    """The merged pull request that brought the promotion's request to main."""
    return PullRequest(
        repo="control",
        number=6,
        title="Promote acme/order-router",
        body="",
        head_branch="ask/6",
        head=HEAD,
        base_branch="main",
        author_id=author,
        state=PullState.MERGED,
        url="https://forge.example.com/control/6",
        merge_commit=history.id_of("merge of the request"),
        merged_by=_APPROVED[0],
        reviews=reviews,
    )


def review(
    sequence: int, user: int, verdict: str = "approved", commit: str = HEAD, body: str = ""
) -> Review:
    """One review of the request."""
    return Review(sequence, user, commit, ReviewVerdict(verdict), body)


def allowed_evidence(environment: EnvironmentName = "prod") -> Evidence:
    """Evidence that `authorise` finds nothing against."""
    status = history.sample_status()
    overlay = history.overlay_in(environment, status)
    policy = sample_environment(environment)
    approved = bool(policy.approvals)
    return Evidence(
        promotion=Promotion(
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
        pull=pull_request(tuple(review(n, user) for n, user in enumerate(_APPROVED, start=1))),
        approved_blob=history.id_of("request"),
        request_blob=history.id_of("request"),
        actor=history.AGENT_ID,
        signers=trusted_signers(),
        provenance=verified(history.claim_of_build(status)),
    )


def _release(evidence: Evidence, **changes: object) -> Promotion:
    release = evidence.promotion.release.model_copy(update=changes)
    return evidence.promotion.model_copy(update={"release": release})


def _provenance(evidence: Evidence, which: str) -> Verified | None:
    """What came of the statement of the image, in one of the ways in which it can be wrong."""
    claim, good = history.claim_of_build(evidence.status), evidence.provenance
    assert good is not None
    other = claim.record.model_copy(update={"digest": _OTHER_DIGEST})
    moved = claim.record.model_copy(update={"source_tree": _OTHER_TREE})
    return {
        "none": None,
        "signed": good,
        "damaged": Verified(problem="it is no JSON object", unreadable=True),
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


def _reviews(listed: object) -> tuple[Review, ...]:
    """Reviews from ids, or from mappings of `by`, `verdict` and `of` (`final` or `earlier`)."""
    assert isinstance(listed, list)
    found = []
    for sequence, item in enumerate(listed, start=1):
        entry = item if isinstance(item, dict) else {"by": item}
        assert set(entry) <= {"by", "verdict", "of", "body"}, f"unknown key in {entry}"
        commit = OLD_HEAD if entry.get("of") == "earlier" else HEAD
        verdict = entry.get("verdict", "approved")
        found.append(review(sequence, entry["by"], verdict, commit, entry.get("body", "")))
    return tuple(found)


def changed(evidence: Evidence, key: str, value: object) -> Evidence:
    """The evidence with one thing changed."""
    status, promotion = evidence.status, evidence.promotion
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
            kept = tuple(p for p in status.promotions if p.environment in value)
            return replace(evidence, status=status.model_copy(update={"promotions": kept}))
        case "running":
            # Another digest runs in the environments before this one.
            assert value == "other"
            other = tuple(
                p.model_copy(
                    update={"release": p.release.model_copy(update={"digest": _OTHER_DIGEST})}
                )
                for p in status.promotions
            )
            return replace(evidence, status=status.model_copy(update={"promotions": other}))
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
        case "blocked":
            digests = frozenset([history.DIGEST] if value else [])
            return replace(evidence, blocked_digests=digests)
        case "pull":
            assert value is None
            return replace(evidence, pull=None, approved_blob=None)
        case "actor":
            return replace(evidence, actor=int(str(value)))
        case "author":
            assert evidence.pull is not None and isinstance(value, int)
            return replace(evidence, pull=replace(evidence.pull, author_id=value))
        case "reviews":
            assert evidence.pull is not None
            return replace(evidence, pull=replace(evidence.pull, reviews=_reviews(value)))
        case "approved_blob":
            word = {"other": "request as shown", "same": "request"}[str(value)]
            return replace(evidence, approved_blob=history.id_of(word))
        case "risk_tier":
            return replace(evidence, status=status.model_copy(update={"risk_tier": value}))
        case "manifests":
            assert evidence.overlay is not None and isinstance(value, list)
            image, digest = status.image, evidence.overlay.release.digest
            target = Target("overlay", evidence.overlay.namespace, image, digest)
            return replace(evidence, manifest_findings=tuple(check_objects(value, target)))
    raise ValueError(f"no case changes `{key}`")


def evidence_of_case(case: Mapping[str, object]) -> Evidence:
    """The evidence of an allowed promotion (to prod, unless `environment` says) with changes."""
    changes = dict(case)
    evidence = allowed_evidence(str(changes.pop("environment", "prod")))  # type: ignore[arg-type]
    for key, value in changes.items():
        evidence = changed(evidence, key, value)
    return evidence


def decision_findings(text: str) -> tuple[Finding, ...]:
    """The reasons that the gate gives in a case, as findings without a position."""
    case = yaml.safe_load(text)
    assert isinstance(case, dict)
    decision = authorise(evidence_of_case(case))
    return tuple(Finding(r.code, r.message, Location("decision")) for r in decision.reasons)
