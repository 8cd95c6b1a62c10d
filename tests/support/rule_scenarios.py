"""Rules that no single file can break: each scenario builds the situation and returns the codes.

It takes whether it must fail, and uses the real functions either way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.forges.port import PullRequest, PullState, Push, Review, ReviewVerdict
from pipeline.gate.authority import Revision, judge, unbrought
from pipeline.gate.matters import matters_of
from pipeline.gate.rollback import Fallback
from pipeline.gate.rules import ROLLBACK_NOT_DUE
from pipeline.gate.standing import (
    InGroup,
    Standing,
    check_blocked,
    check_deleted,
    check_environments,
    check_groups,
)
from pipeline.git.history import Change
from pipeline.git.objects import MODE_FILE, MODE_SYMLINK
from pipeline.gitops.proposals import Proposal, check_proposal
from pipeline.gitops.sealed import GITOPS_NOT_APPROVED, Difference, check_gitops
from pipeline.models.base import moment_of, seconds_of
from pipeline.models.requests import CodeOrigin
from pipeline.plan.sightings import Sighting
from pipeline.plan.view import Caused, Existing, FallbackInput, PromotionInput, Scope
from pipeline.policy.trial import try_cases
from pipeline.releases.folder import check_overlay_files
from pipeline.requests.identity import check_entries
from pipeline.requests.layout import (
    PLATFORM_PATH,
    draft_path,
    environment_path,
    promotion_path,
    tenant_path,
    waiver_path,
)
from pipeline.requests.patches import MAX_FILE_BYTES
from pipeline.requests.waivers import WAIVER_RULE
from pipeline.stages.observe import judge_all, judge_report
from pipeline.stages.order import plan_draft
from pipeline.stages.promote import approval_problem, plan_promotion
from pipeline.stages.rollback import plan_fallbacks
from pipeline.world.policy_history import Walk
from tests.support import (
    fact_history as history,
)
from tests.support import (
    patch_branch as patching,
)
from tests.support import (
    saved_plans as planning,
)
from tests.support.deliveries import seen_of
from tests.support.promotion_evidence import allowed_evidence
from tests.support.samples import (
    DRAFT,
    findings_of,
    sample_environment,
    sample_platform,
    sample_snapshot,
    snapshot_and_findings,
    world_files,
)
from tests.support.views import MAIN_HEAD, sample_view
from worlds.control_repo import CLOCK_S

Scenario = Callable[[bool], set[str]]
WAIVER_FILE = waiver_path(DRAFT, "flaky-test")

_PATCH = """apiVersion: pipeline.ameide.io/v1
kind: DraftPatch
draft: acme/order-router
base_commit: 0123456789abcdef0123456789abcdef01234567
summary: Try it
changes:
"""


def _patched(changes: str, **worlds: Mapping[str, bytes]) -> set[str]:
    result = patching.apply_patch((_PATCH + changes).encode(), **worlds)
    return {reason.code for reason in result.reasons}


def shared_namespace(fail: bool) -> set[str]:
    """The platform's name makes its shared namespaces collide with acme's own, or not."""
    files = dict(world_files())
    if fail:
        named = files[PLATFORM_PATH].replace(b"\nplatform: ameide\n", b"\nplatform: tenant-acme\n")
        assert named != files[PLATFORM_PATH]
        files[PLATFORM_PATH] = named
    found = snapshot_and_findings(files)[1]
    return {f.code for f in found if f.location.file == draft_path(DRAFT)}


def namespaces_clash(fail: bool) -> set[str]:
    """A region and a tenant whose names, joined, are those of another pair, or of none."""
    region = """apiVersion: pipeline.ameide.io/v1
kind: Environment
environment: eu-prod
stage: prod
promotes_from: [staging]
required_checks: [tests]
"""
    id = "acme-eu" if fail else "globex-eu"
    tenant = f"""apiVersion: pipeline.ameide.io/v1
kind: Tenant
tenant_id: {id}
sku: Shared
custom_code: true
risk_tier: LOW
owners: [platform-engineers]
cost_centre: CC-1
"""
    files = {
        **world_files(),
        environment_path("eu-prod"): region.encode(),
        tenant_path(id): tenant.encode(),
    }
    return {finding.code for finding in snapshot_and_findings(files)[1]}


def environment_unknown(fail: bool) -> set[str]:
    """A pinned promotion to prod, where prod is defined or is not."""
    path = promotion_path(DRAFT, "prod")
    request = f"""apiVersion: pipeline.ameide.io/v1
kind: Promotion
draft: {DRAFT}
environment: prod
release:
  source_commit: {history.SOURCE_COMMIT}
  digest: {history.DIGEST}
overlay_tree: {history.id_of("overlay")}
reason: Peak season routing
"""
    files = {**world_files(), path: request.encode()}
    if fail:
        del files[environment_path("prod")]
    found = snapshot_and_findings(files)[1]
    return {finding.code for finding in found if finding.location.file == path}


def patch_too_large(fail: bool) -> set[str]:
    """One file of the allowed size, or one byte larger."""
    text = "x" * (MAX_FILE_BYTES + fail)
    request = f"{_PATCH}  - {{op: write, path: src/large.txt, content: {text}}}\n"
    return {finding.code for finding in findings_of(patching.PATCH_FILE, request.encode())}


def patch_stale(fail: bool) -> set[str]:
    """The patched file changed after the patch's base commit, or another file did."""
    moved = "src/order_router/app.py" if fail else "README.md"
    now = {**patching.BRANCH, moved: b"changed since\n"}
    return _patched(
        "  - {op: write, path: src/order_router/app.py, content: mine}\n",
        now=now,
        then=patching.BRANCH,
    )


def patch_no_match(fail: bool) -> set[str]:
    """The text to replace occurs in the file twice, or once."""
    name = "twice" if fail else "app"
    old = "x = 1" if fail else "TIMEOUT_S = 5"
    return _patched(
        f"  - {{op: replace, path: src/order_router/{name}.py, old: {old}, new: y = 2}}\n"
    )


def patch_empty(fail: bool) -> set[str]:
    """The file already has the patch's content, or not."""
    content = "# order-router\\n" if fail else "# Order router\\n"
    return _patched(f'  - {{op: write, path: README.md, content: "{content}"}}\n')


def draft_changed(fail: bool) -> set[str]:
    """A new revision of an accepted draft changes its origin, or its description."""
    status = history.sample_status()
    view = replace(sample_view(status=status, provisioned=True), is_new_revision=True)
    changes: dict[str, object] = {"parameters": {**view.request.parameters, "description": "New"}}
    if fail:
        changes = {"code_origin": CodeOrigin.PLATFORM}
    view = replace(view, request=view.request.model_copy(update=changes))
    return {code for waiting in plan_draft(view).waiting for code, _ in waiting.reasons}


def _authority_codes(
    paths: Sequence[str], revision: Revision, approvals: Sequence[int] = ()
) -> set[str]:
    """The codes of the reasons against a change of these paths in the sample world."""
    reviews = tuple(
        Review(number, user, revision.head, ReviewVerdict.APPROVED)
        for number, user in enumerate(approvals, start=1)
    )
    policy = sample_snapshot()
    matters = matters_of(paths, policy, policy)
    found = judge(matters, replace(revision, reviews=reviews), sample_platform())
    return {reason.code for reason in found.reasons}


def _asked_by(account: int) -> Revision:
    return Revision(history.id_of("final revision"), account, frozenset({account}), True, ())


def author_out_of_scope(fail: bool) -> set[str]:
    """acme's agent changes a draft of acme, and with it a workflow and a draft of contoso."""
    paths = [draft_path(DRAFT)]
    if fail:
        paths += [".github/workflows/ci.yaml", draft_path("contoso/inventory")]
    codes = _authority_codes(paths, _asked_by(history.AGENT_ID), [history.ENGINEER_ID])
    return codes - {"policy-with-requests", "approval-missing"}


def policy_with_requests(fail: bool) -> set[str]:
    """A platform engineer asks for dev, and changes prod's policy in the same pull request."""
    paths = [promotion_path(DRAFT, "dev")]
    if fail:
        paths.append(environment_path("prod"))
    return _authority_codes(paths, _asked_by(1101), [history.ENGINEER_ID, 1102])


def pusher_unknown(fail: bool) -> set[str]:
    """Somebody moved the branch past the forge, or the requester pushed it."""
    revision = replace(_asked_by(history.AGENT_ID), is_pusher_known=not fail)
    return _authority_codes([draft_path(DRAFT)], revision, [history.ENGINEER_ID])


def authority_missing(fail: bool) -> set[str]:
    """A draft that came to main without a pull request, or by an approved one."""
    if fail:
        found = unbrought(draft_path(DRAFT), "no pull request brought it")
        return {reason.code for reason in found.reasons}
    return _authority_codes([draft_path(DRAFT)], _asked_by(history.AGENT_ID), [history.ENGINEER_ID])


def waiver_expired(fail: bool) -> set[str]:
    """A waiver until noon that would be merged at noon, or a second before."""
    files = {**world_files(), WAIVER_FILE: WAIVER_RULE.passes.encode()}
    end_s = seconds_of("2026-12-08T00:00:00Z")
    found = snapshot_and_findings(files, now_s=end_s if fail else end_s - 1)[1]
    return {finding.code for finding in found if finding.location.file == WAIVER_FILE}


def policy_without_authority(fail: bool) -> set[str]:
    """An unapproved change of prod's policy that was reverted, or none."""
    path = environment_path("prod")
    before, after = history.id_of("two approvals"), history.id_of("no approval")
    walk = Walk()
    walk.take(history.id_of("merged past the rules"), [Change(path, before, after)], "0 of 1")
    if not fail:
        walk.take(history.id_of("put back"), [Change(path, after, before)], "0 of 1")
    return {finding.code for finding in walk.history(MAIN_HEAD).findings()}


def gitops_foreign(fail: bool) -> set[str]:
    """A foreign file beside an overlay, or only the overlay."""
    sealed = {"kustomization.yaml": (0o100644, history.id_of("sealed"))}
    there = {**sealed, ".argocd-source.yaml": (0o100644, history.id_of("foreign"))}
    seen = Difference("environments/prod/order-router", sealed, there if fail else sealed)
    return {f.code for f in check_gitops("tenant-acme-gitops", [seen])}


def gitops_missing(fail: bool) -> set[str]:
    """A promoted overlay that is gone, or that is there."""
    sealed = {"kustomization.yaml": (0o100644, history.id_of("sealed"))}
    seen = Difference("environments/prod/order-router", sealed, None if fail else sealed)
    return {f.code for f in check_gitops("tenant-acme-gitops", [seen])}


def gitops_not_approved(fail: bool) -> set[str]:
    """Nobody, or an owner, approved the pipeline's own pull request."""
    approval = Review(1, history.ENGINEER_ID, history.id_of("head"), ReviewVerdict.APPROVED)
    pull = replace(_proposed({}).pull, author_id=1000, reviews=() if fail else (approval,))
    problem = approval_problem(pull, frozenset({history.ENGINEER_ID}))
    return {GITOPS_NOT_APPROVED.id} if problem else set()


def _proposed(changes: Mapping[str, tuple[int, str] | None], *reviews: Review) -> Proposal:
    pull = PullRequest(
        repo="tenant-acme-gitops",
        number=7,
        title="Tidy",
        body="",
        head_branch="readme",
        head=history.id_of("head"),
        base_branch="main",
        author_id=history.ENGINEER_ID,
        state=PullState.OPEN,
        url="local:ameide/tenant-acme-gitops#7",
        reviews=reviews,
    )
    return Proposal(pull, changes, pushes=(Push(pull.head, pull.author_id),))


def _judged(path: str, mode: int = 0o100644) -> set[str]:
    """The codes against an owner's proposal of one file that another owner approved."""
    approval = Review(1, 1202, history.id_of("head"), ReviewVerdict.APPROVED)
    proposal = _proposed({path: (mode, history.id_of(path))}, approval)
    return {f.code for f in check_proposal(proposal, ("acme-engineers",), sample_platform())}


def environments_proposed(fail: bool) -> set[str]:
    """A person proposes an overlay, or a read-me file."""
    return _judged("environments/prod/x/kustomization.yaml" if fail else "README.md")


def proposal_unfit(fail: bool) -> set[str]:
    """A person proposes a link, or a file."""
    return _judged("docs", 0o120000 if fail else 0o100644)


def overlay_file(fail: bool) -> set[str]:
    """An overlay folder with a file that Argo CD obeys, or without it."""
    overlay = history.overlay_in("prod", history.sample_status())
    files = dict(overlay.files)
    if fail:
        files[".argocd-source.yaml"] = b"kustomize: {images: [other]}\n"
    return {finding.code for finding in check_overlay_files(replace(overlay, files=files))}


def path_not_a_file(fail: bool) -> set[str]:
    """Another tenant's file behind a link, or only plain files."""
    entries = [(tenant_path("acme"), MODE_SYMLINK if fail else MODE_FILE), ("run.sh", 0o100755)]
    return {f.code for f in check_entries(entries)}


def blocked_digest_runs(fail: bool) -> set[str]:
    """The digest that prod runs is blocked, or another one is."""
    standing = Standing(DRAFT, False, {"prod": history.DIGEST if fail else f"sha256:{'9' * 64}"})
    return {f.code for f in check_blocked([standing], {history.DIGEST: "It leaks"})}


def group_half_applied(fail: bool) -> set[str]:
    """One member of a group runs in prod, and the other one was refused, or asked for anew."""
    part = frozenset({InGroup("releases/spring.yaml", history.id_of("group"), "prod")})
    runs = {"prod": history.DIGEST}
    moved = Standing(DRAFT, False, runs, moved=part)
    other = Standing("contoso/orders", False, {}, refused=part if fail else frozenset())
    return {f.code for f in check_groups([moved, other])}


def draft_file_deleted(fail: bool) -> set[str]:
    """The deleted file of a draft that runs in dev, or of one that ended."""
    standing = Standing(DRAFT, not fail, {"dev": history.DIGEST} if fail else {})
    return {f.code for f in check_deleted([standing], {tenant_path("acme")})}


def environment_file_deleted(fail: bool) -> set[str]:
    """An environment's file is gone while a draft runs there, or where nothing runs."""
    standing = Standing("acme/order-router", ended=False, runs={"prod-eu": history.DIGEST})
    paths = set(world_files()) | ({environment_path("prod-eu")} if not fail else set())
    return {finding.code for finding in check_environments([standing], paths)}


def tenant_file_deleted(fail: bool) -> set[str]:
    """The tenant's file deleted while its draft is open, or after it ended."""
    standing = Standing(DRAFT, not fail, {})
    return {f.code for f in check_deleted([standing], {draft_path(DRAFT)})}


def evidence_due(fail: bool) -> set[str]:
    """Checks of a patched source are due, and a run has no evidence of them, or has it."""
    status = history.sample_status().model_copy(update={"checks": ()})
    view = sample_view(status=status, provisioned=True)
    due = frozenset(effect.key for effect in plan_draft(view).effects)
    assert due
    step = plan_draft(view, Scope(evidence=frozenset() if fail else due))
    return {code for waiting in step.waiting for code, _ in waiting.reasons}


def _reported(**over: object) -> set[str]:
    """The codes against a report on the release that dev runs."""
    record = history.sample_status().promotion("dev")
    assert record is not None
    told = seen_of(DRAFT, record, **over)
    sighting = Sighting(told, record, record.overlay_tree)
    return {f.code for f in judge_report(sighting, sample_environment("dev"), CLOCK_S).findings}


def observation_from_future(fail: bool) -> set[str]:
    """An application was reconciled an hour from now, or now."""
    return _reported(observed_at=moment_of(CLOCK_S + (3600 if fail else 0)))


def observation_unknown_release(fail: bool) -> set[str]:
    """An application of a draft that was never promoted to prod, or of one that dev runs."""
    status = history.sample_status()
    record = status.promotion("dev")
    assert record is not None
    told = seen_of(DRAFT, record, environment="prod" if fail else "dev")
    environments = sample_snapshot().environments
    [found] = judge_all(status, {told: record.overlay_tree}, environments, CLOCK_S)
    return {finding.code for finding in found.findings}


def running_digest_differs(fail: bool) -> set[str]:
    """A synced release runs another digest, or the sealed one."""
    return _reported(**({"digest": f"sha256:{'9' * 64}"} if fail else {}))


def running_without_digest(fail: bool) -> set[str]:
    """A pod runs the primitive's image by tag, or all run it by digest."""
    tag = {"digest": None, "images": ["registry.example.com/tenant-acme/order-router:1"]}
    return _reported(**(tag if fail else {}))


def rollback_without_target(fail: bool) -> set[str]:
    """A release does badly where no earlier one has run healthy, or where one has."""
    status = history.sample_status()
    record = status.promotion("dev")
    assert record is not None
    fallback = Fallback("dev", CLOCK_S, None if fail else record.release)
    view = sample_view(status=status, provisioned=True)
    steps = plan_fallbacks(replace(view, fallbacks=(FallbackInput(fallback),)))
    waits = (waiting for step in steps if step for waiting in step.waiting)
    told = {code for waiting in waits for code, _ in waiting.reasons}
    return told - {ROLLBACK_NOT_DUE.id}  # the other says when it will be


def merge_pending(fail: bool) -> set[str]:
    """The pull request of an allowed promotion is in the merge queue, or not."""
    evidence = allowed_evidence("dev")
    overlay = evidence.overlay
    assert overlay is not None
    view = sample_view(status=evidence.status, provisioned=True)
    cause = history.cause_of(promotion_path(DRAFT, "dev"))
    due = PromotionInput(
        promotion=evidence.promotion,
        caused=Caused(cause, view.caused.time_s, evidence.authority),
        source_tree=evidence.source_tree,
        source_on_default=True,
        overlay=overlay,
        manifest_findings=(),
        chain_problem="",
        provenance=evidence.provenance,
        existing=Existing(history.id_of("begun overlay"), overlay.tree),
        is_queued=fail,
    )
    step = plan_promotion(view, due)
    assert step is not None
    return {code for waiting in step.waiting for code, _ in waiting.reasons}


def policy_case_unknown(fail: bool) -> set[str]:
    """A case of policy is approved by somebody whom policy does not know, or knows."""
    who = "release-manger-1" if fail else "release-manager-1"
    case = f"""apiVersion: pipeline.ameide.io/v1
kind: PolicyCases
cases:
  - name: Staging wants a release manager
    draft: {{tenant: acme}}
    request: {{environment: staging, by: acme-engineer-1, approvals: [{{by: {who}}}]}}
    now: 2026-12-01T10:00:00Z
    expect: {{decision: refused}}
"""
    _, found = try_cases({"staging.yaml": case.encode()}, (), sample_snapshot())
    return {finding.code for finding in found}


SCENARIOS: Mapping[str, Scenario] = {
    "policy-case-unknown": policy_case_unknown,
    "waiver-expired": waiver_expired,
    "rollback-without-target": rollback_without_target,
    "gitops-content-foreign": gitops_foreign,
    "gitops-overlay-missing": gitops_missing,
    "gitops-not-approved": gitops_not_approved,
    "gitops-environments-proposed": environments_proposed,
    "gitops-proposal-unfit": proposal_unfit,
    "overlay-file": overlay_file,
    "blocked-digest-runs": blocked_digest_runs,
    "group-half-applied": group_half_applied,
    "draft-file-deleted": draft_file_deleted,
    "environment-file-deleted": environment_file_deleted,
    "tenant-file-deleted": tenant_file_deleted,
    "path-not-a-file": path_not_a_file,
    "author-out-of-scope": author_out_of_scope,
    "policy-with-requests": policy_with_requests,
    "pusher-unknown": pusher_unknown,
    "authority-missing": authority_missing,
    "policy-without-authority": policy_without_authority,
    "evidence-due": evidence_due,
    "merge-pending": merge_pending,
    "observation-from-future": observation_from_future,
    "observation-unknown-release": observation_unknown_release,
    "running-digest-differs": running_digest_differs,
    "running-without-digest": running_without_digest,
    "stale-plan": planning.stale_plan,
    "namespace-shared-custom-code": shared_namespace,
    "environment-unknown": environment_unknown,
    "namespaces-clash": namespaces_clash,
    "draft-identity-changed": draft_changed,
    "patch-too-large": patch_too_large,
    "patch-base-stale": patch_stale,
    "patch-does-not-apply": patch_no_match,
    "patch-changes-nothing": patch_empty,
}
