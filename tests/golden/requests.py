"""What reviewers and requesters read: comments, decisions of the gate, proposals."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial

from pipeline.documents import render_document
from pipeline.models.outputs import (
    AskedItem,
    PromotionPreview,
    RequestProposal,
    ValidationReport,
)
from pipeline.models.provenance import PAYLOAD_TYPE
from pipeline.models.statements import SCAN_TYPE
from pipeline.render.comment import render_comment
from pipeline.render.decision import render_decision
from pipeline.render.json import render_json
from pipeline.render.report import validation_report
from pipeline.render.requests import render_promotion, render_proposal, render_refusal
from pipeline.requests.asked import BeforeMerge, asked_of
from pipeline.requests.layout import (
    BLOCKED_PATH,
    GROUPS,
    PLATFORM_PATH,
    draft_path,
    environment_path,
    group_path,
    patch_path,
    promotion_path,
    statement_path,
    tenant_path,
)
from tests.support.fact_history import RELEASE_MANAGERS, SECURITY_ID
from tests.support.promotion_evidence import authority_of, review
from tests.support.render_input import decision_of
from tests.support.samples import (
    DRAFT,
    findings_of,
    sample_files,
    snapshot_and_findings,
    world_files,
)
from tests.support.statement_evidence import scan, statement_bytes

DIGEST = "sha256:" + "2" * 64
PROMOTION = {
    "apiVersion": "pipeline.ameide.io/v1",
    "kind": "Promotion",
    "draft": DRAFT,
    "environment": "prod",
    "release": {"source_commit": "1a" * 20, "digest": DIGEST},
    "overlay_tree": "3c" * 20,
    "reason": "Peak season <img src=x> @security #1 `x` | y",
}
GROUP = {
    "apiVersion": "pipeline.ameide.io/v1",
    "kind": "ReleaseGroup",
    "environment": "prod",
    "reason": "The rating asks the router by its new API",
    "members": [
        {
            "draft": draft,
            "release": {"source_commit": "1a" * 20, "digest": DIGEST},
            "overlay_tree": "3c" * 20,
        }
        for draft in (DRAFT, "contoso/supplier-rating")
    ],
}
PATCH = {
    "apiVersion": "pipeline.ameide.io/v1",
    "kind": "DraftPatch",
    "draft": DRAFT,
    "base_commit": "1a" * 20,
    "summary": "Route by distance",
    "changes": [{"op": "write", "path": "src/routing.py", "content": "NEAR = 1\n"}],
}
WORKFLOW = ".github/workflows/validate.yaml"
WORKFLOW_OLD = b"""on: [pull_request]
permissions: {contents: read}
jobs:
  validate:
    runs-on: ubuntu-latest
    steps:
      - run: pipeline validate
"""


def comment(path: str, old: bytes | None, new: bytes | None) -> dict[str, str]:
    """The comment on a pull request that changes one file."""
    files = {**sample_files(), **world_files()}
    states = []
    for content in (old, new):
        kept = {p: c for p, c in files.items() if p != path}
        found = kept if content is None else {**kept, path: content}
        of_requests = {
            p: c for p, c in found.items() if p.startswith(("tenants/", GROUPS, "environments/"))
        }
        states.append(snapshot_and_findings(of_requests)[0])
    texts = [{path: c} if c is not None else {} for c in (old, new)]
    items = asked_of([path], states[1], BeforeMerge(states[0], *texts))
    return {"comment.md": render_comment(report_of(*items))}


def edited(path: str, old: bytes, new: bytes) -> dict[str, str]:
    """The comment on a change of one sample file."""
    content = {**sample_files(), **world_files()}[path]
    assert content.count(old) == 1, old
    return comment(path, content, content.replace(old, new))


def statement_comment(found: Mapping[str, object]) -> dict[str, str]:
    """The comment on a request that brings a signed scan."""
    content = statement_bytes({"sha256": "2" * 64}, SCAN_TYPE, scan(found, "2026-12-01T10:00:00Z"))
    payload = base64.b64encode(content).decode()
    envelope = {"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": "c2ln"}]}
    request = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "ExternalStatement",
        "draft": DRAFT,
        "bundle": json.dumps({"dsseEnvelope": envelope}),
    }
    return comment(statement_path(DRAFT, "scan"), None, render_document(request))


def report_of(*asked: AskedItem, **more: object) -> ValidationReport:
    values = {**validation_report(()), "asked": [a.model_dump() for a in asked], **more}
    return ValidationReport.model_validate_json(json.dumps(values))


def promotion_asked() -> tuple[AskedItem, ...]:
    path = promotion_path(DRAFT, "prod")
    files = {**world_files(), path: render_document(PROMOTION)}
    snapshot = snapshot_and_findings(files)[0]
    return asked_of([path], snapshot, BeforeMerge(snapshot))


def promotion_comment(*accounts: int) -> dict[str, str]:
    """The comment on a promotion that these accounts approved."""
    reviews = tuple(review(n, account) for n, account in enumerate(accounts, start=1))
    authority = authority_of("prod", reviews)
    return {"comment.md": render_comment(report_of(*promotion_asked()), (), authority)}


def previewed(**values: object) -> dict[str, str]:
    said = {"draft": DRAFT, "environment": "prod", "digest": DIGEST, **values}
    preview = PromotionPreview.model_validate_json(json.dumps(said))
    return {"comment.md": render_comment(report_of(*promotion_asked()), [preview])}


def findings_comment() -> dict[str, str]:
    found = findings_of(tenant_path("acme"), b"kind: Tenant\nsku: None\n")
    values = validation_report(found)
    report = ValidationReport.model_validate_json(json.dumps(values))
    return {"comment.md": render_comment(report)}


PREVIEW = {
    "namespace": "tenant-acme-prod-cust",
    "source_commit": "1a" * 20,
    "running": "sha256:" + "3" * 64,
    "builder": "buildah",
    "signer": "build-workflow",
    "links": [{"name": "source", "url": "https://github.com/ameide/code/tree/1a"}],
    "diff": ["-  replicas: 2", "+  replicas: 3", "+``` <b>"],
    "left_out": 3,
}


# -- decisions -----------------------------------------------------------------------------


SEEN_FOR_A_NIGHT = {"from": "2026-11-30T20:00:00Z", "to": "2026-12-01T06:30:00Z"}


def decided(*, requested: bool = True, **changes: object) -> dict[str, str]:
    """What `pipeline why` says, and the document."""
    document = decision_of(requested=requested, **changes)
    values = document.model_dump(mode="json", by_alias=True)
    return {"why.txt": render_decision(document), "decision.json": render_json(values)}


def proposed(**values: object) -> dict[str, str]:
    """What became of asking for a draft."""
    document = RequestProposal.model_validate(
        {"draft": DRAFT, "path": draft_path(DRAFT), "content": "", "findings": (), **values}
    )
    return {"out.txt": render_proposal(document, "order-router would be made from domain")}


def promotion_proposed() -> dict[str, str]:
    document = RequestProposal(
        draft=DRAFT,
        path=promotion_path(DRAFT, "prod"),
        content="",
        findings=(),
        outcome="submitted",
        pull_request="control#7",
        pull_request_state="open",
    )
    text = render_promotion(
        document,
        decision_of(reviews=[]),
        folder="environments/prod/order-router",
        added=10,
        removed=2,
        known=" (built by buildah, runs in staging)",
    )
    return {"out.txt": text}


VULNERABLE = {
    "vulnerabilities": "medium",
    "asked_statements": [{"predicate_type": "https://example.com/change/v1", "signers": ["board"]}],
    "stated": [{"by": "scanner", "found": {"CVE-2026-1234": "9.8"}}],
}
SUBMITTED = {"outcome": "submitted", "pull_request": "control#7"}
ENGINEER = b"{id: 1201, login: acme-engineer-1, kind: person, teams: [acme-engineers]}"
CASES: dict[str, Callable[[], dict[str, str]]] = {
    "comment-draft": lambda: comment(draft_path(DRAFT), None, world_files()[draft_path(DRAFT)]),
    "comment-draft-changed": partial(
        edited, draft_path(DRAFT), b"code_origin: tenant", b"code_origin: agent"
    ),
    "comment-draft-taken-away": lambda: comment(
        draft_path(DRAFT), world_files()[draft_path(DRAFT)], None
    ),
    "comment-patch": lambda: comment(patch_path(DRAFT, "0001"), None, render_document(PATCH)),
    "comment-group": lambda: comment(group_path("spring"), None, render_document(GROUP)),
    "comment-statement": partial(statement_comment, {"CVE-2026-1234": 9.8, "CVE-2026-5": 4.0}),
    "comment-promotion-not-approved": promotion_comment,
    "comment-promotion-half-approved": partial(promotion_comment, RELEASE_MANAGERS[0]),
    "comment-promotion-approved": partial(promotion_comment, RELEASE_MANAGERS[0], SECURITY_ID),
    "comment-promotion-preview": partial(previewed, **PREVIEW),
    "comment-promotion-unsigned": partial(
        previewed,
        reasons=[{"code": "provenance-missing", "message": "no signed statement", "final": True}],
    ),
    "comment-promotion-unknown": partial(previewed, problem="the chart cannot be rendered"),
    "comment-policy-approvals": partial(
        edited,
        environment_path("prod"),
        b"LOW: {count: 2, teams: [release-managers, security]}",
        b"LOW: {count: 1, teams: [release-managers]}",
    ),
    "comment-policy-blocked-digest": partial(
        edited,
        BLOCKED_PATH,
        b"digests: []",
        f"digests:\n  - {{digest: {DIGEST}, reason: It leaks}}".encode(),
    ),
    "comment-account-gets-a-team": partial(
        edited, PLATFORM_PATH, ENGINEER, ENGINEER.replace(b"[acme", b"[security, acme")
    ),
    "comment-account-leaves": partial(edited, PLATFORM_PATH, b"  - " + ENGINEER + b"\n", b""),
    "comment-tenant-changed": partial(
        edited, tenant_path("acme"), b"risk_tier: MEDIUM", b"risk_tier: LOW"
    ),
    "comment-workflow-changed": lambda: comment(
        WORKFLOW, WORKFLOW_OLD, WORKFLOW_OLD.replace(b"contents: read", b"contents: write")
    ),
    "comment-workflow-added": lambda: comment(WORKFLOW, None, WORKFLOW_OLD),
    "comment-other-file": lambda: comment("README.md", None, b"# Read me\n"),
    "comment-findings": findings_comment,
    "decision-allowed": decided,
    "decision-nobody-asked": partial(decided, requested=False),
    "decision-waits-for-approvals": partial(decided, reviews=[]),
    "decision-blocked-digest": partial(decided, blocked=True),
    "decision-checks-failed": partial(decided, checks=["failed"]),
    "decision-vulnerable": partial(decided, **VULNERABLE),
    "decision-staging-never-ran-it": partial(decided, promotions=["dev"]),
    "decision-soak-not-over": partial(decided, soak={"hours": 24}, seen=SEEN_FOR_A_NIGHT),
    "decision-many-reasons": partial(
        decided, blocked=True, promotions=[], source_on_default=False, overlay_tree="other"
    ),
    "proposal-written": partial(proposed, outcome="written"),
    "proposal-unchanged": partial(proposed, outcome="unchanged"),
    "proposal-on-main": partial(proposed, outcome="on-main"),
    "proposal-submitted": partial(proposed, **SUBMITTED, pull_request_state="open"),
    "proposal-merged": partial(proposed, **SUBMITTED, pull_request_state="merged"),
    "proposal-closed": partial(proposed, **SUBMITTED, pull_request_state="closed"),
    "proposal-promotion": promotion_proposed,
    "proposal-promotion-refused": lambda: {
        "out.txt": render_refusal(decision_of(blocked=True, promotions=[]))
    },
}
