"""Promote: an allowed release becomes an overlay that the delivery tool syncs. Pure.

The image is the same everywhere; only GitOps configuration and policy differ by environment. The
request is the plan: the tree that it pins is written (docs/model.md §7.3).
"""

from __future__ import annotations

from dataclasses import replace

from pipeline import names
from pipeline.diagnostics import RULES
from pipeline.forges.approvals import count_approvals
from pipeline.forges.port import PullRequest
from pipeline.gate.authorise import Decision, DecisionReason, Evidence, authorise
from pipeline.gate.groups import decided_s, half_applied
from pipeline.gate.matters import higher_tier
from pipeline.gate.rollback import is_of_people
from pipeline.gate.rules import (
    BUILD_MISSING,
    CHECK_MISSING,
    GROUP_MEMBER_WAITS,
)
from pipeline.gate.standing import GROUP_HALF_APPLIED
from pipeline.git.objects import MODE_FILE, blob_id
from pipeline.gitops.sealed import GITOPS_NOT_APPROVED
from pipeline.models.base import BlobId, key_of, moment_of, seconds_of
from pipeline.models.evidence import CheckOutcome
from pipeline.models.facts import UsedStatement, UsedWaiver
from pipeline.plan.commits import CommitPlace, FolderFiles, commit_folder
from pipeline.plan.effects import (
    MERGED,
    CommitFolder,
    FactEntry,
    MergePull,
    OpenPull,
    Waiting,
)
from pipeline.plan.reached import state_reached
from pipeline.plan.rules import MERGE_PENDING
from pipeline.plan.view import (
    TOOL,
    Caused,
    DraftView,
    PromotionInput,
    Step,
    by_policy,
    message_of,
)
from pipeline.releases.overlays import Overlay
from pipeline.requests.drafts import ENVIRONMENT_UNKNOWN
from pipeline.requests.layout import environment_path
from pipeline.stages.build import plan_build
from pipeline.stages.checks import plan_checks


def evidence_of(view: DraftView, due: PromotionInput) -> Evidence:
    """The evidence for the decision on one promotion. Raises KeyError without a status."""
    status = due.status or view.status
    if status is None:
        raise KeyError(view.id)
    asked_at, environment = due.caused.cause.merged_at, view.environments[due.promotion.environment]
    before = (name for name in environment.promotes_from if name in view.environments)
    return Evidence(
        promotion=due.promotion,
        environment=environment,
        platform=view.platform,
        blocked_digests=view.blocked_digests,
        stops=view.stops,
        waivers=due.waivers,
        source_authors=due.source_authors,
        status=status,
        source_tree=due.source_tree,
        source_on_default=due.source_on_default,
        overlay=due.overlay,
        manifest_findings=due.manifest_findings,
        authority=due.caused.authority,
        tier=higher_tier(status.risk_tier, view.risk_tier),
        now_s=_decided_s(view, due),
        known_for_s={name: view.environments[name].known_for_s for name in before},
        chain_problem=due.chain_problem,
        signers=view.signers,
        provenance=due.provenance,
        statements=due.statements,
        by_people=is_of_people(due.caused.cause, view.platform),
        asked_s=seconds_of(asked_at) if asked_at else None,
        automatic=bool(due.observed),
        retires=view.retires,
        group=due.companions,
    )


def _decided_s(view: DraftView, due: PromotionInput) -> int:
    """The moment of the decision: now, or that of the merge if a crash came after it; for a
    member of a group, that of the group's first move."""
    merged_at = due.gitops_pull.merged_at if due.merged and due.gitops_pull else None
    earlier = [seconds_of(merged_at)] if merged_at else []
    group_s = decided_s(due.companions)
    earlier += [group_s] if group_s is not None else []
    return min([view.now_s, *earlier])


def promotion_key(due: PromotionInput) -> str:
    """The idempotency key of a promotion: this revision of its request, and the tool.

    An automatic rollback follows an observation instead of a request; policy caused it.

    The tree to be written is not part of the key: if policy changed after a crash, the begun work
    is found again and goes on, and one request never has two branches.
    """
    cause = due.caused.cause
    follows = (str(due.observed),) if due.observed else ()
    return key_of("promote", cause.request, cause.blob, cause.commit, TOOL, *follows)


def promotion_branch_of(view: DraftView, due: PromotionInput) -> str:
    """The branch of a promotion's overlay in the GitOps repository."""
    return names.promotion_branch(due.promotion.environment, view.instance, promotion_key(due))


def plan_promotion(view: DraftView, due: PromotionInput) -> Step | None:
    """The next step of one due promotion: checks, then a build, then the overlay.

    A decision with a final reason gives the fact of refusal; one that waits gives `waiting`. A
    promotion already merged gives only its fact.
    """
    view = replace(view, status=due.status or view.status)
    if due.decided_by is not None:
        view = by_policy(view, due.decided_by)
    decision = decide(view, due)
    release = due.promotion.release
    if due.merged and not due.chain_problem:
        # It was allowed when it was opened, and it runs: record it, whatever policy says now.
        return _overlay_step(view, due, decision)
    if due.newer is not None:
        return _superseded(view, due, due.newer)
    if decision.refused:
        return _refusal(view, due, decision)
    if due.promotion.hold == "lifted" and decision.allowed:
        return _lifted(view, due, decision)
    if view.gitops_findings:
        # An approved overlay is not merged next to content that nobody approved.
        found = view.gitops_findings[0]
        more = len(view.gitops_findings) - 1
        said = f"{found.location.file}: {found.message}" + (f" (+{more})" if more else "")
        return _waits(view, due, found.code, said)
    if not decision.allowed:
        open_codes = {r.code for r in decision.reasons}
        if due.source_tree and CHECK_MISSING.id in open_codes:
            step = plan_checks(view, release.source_commit, due.source_tree, due.caused)
            if step:
                return step
        if (
            due.source_tree
            and BUILD_MISSING.id in open_codes
            and CHECK_MISSING.id not in open_codes
        ):
            step = plan_build(
                view, release.source_commit, due.source_tree, due.caused, due.promotion.environment
            )
            if step:
                return step
        reasons = tuple((r.code, r.message) for r in (*decision.reasons, *_halves(due)))
        waits = Waiting(draft=view.id, request=due.caused.cause.request, reasons=reasons)
        return Step(waiting=(waits,))
    return _overlay_step(view, due, decision)


def decide(view: DraftView, due: PromotionInput) -> Decision:
    """The gate's decision on one promotion; it refuses an environment that policy lacks.

    Raises KeyError without a status.
    """
    if due.promotion.environment in view.environments:
        return authorise(evidence_of(view, due))
    return _decision_without(view, due)


def _decision_without(view: DraftView, due: PromotionInput) -> Decision:
    """The decision on a promotion to an environment that policy no longer has."""
    name = due.promotion.environment
    gone = DecisionReason(
        ENVIRONMENT_UNKNOWN.id,
        f"`{name}` is no longer an environment: {environment_path(name)} was removed",
        final=True,
    )
    return Decision(view.id, name, (gone,), due.caused.authority.approved_by)


def _refusal(view: DraftView, due: PromotionInput, decision: Decision) -> Step:
    told = (*(r for r in decision.reasons if r.final), *_halves(due))
    reasons = [{"code": r.code, "message": r.message} for r in told]
    assert all(r["code"] in RULES for r in reasons)
    fact = FactEntry(
        draft=view.id,
        cause=due.caused.cause,
        type="promotion-refused",
        known={"environment": due.promotion.environment, "reasons": reasons},
    )
    return Step(facts=(fact,))


def _halves(due: PromotionInput) -> tuple[DecisionReason, ...]:
    """What is said beside a group's reasons once another member of it has moved."""
    said = half_applied(due.companions, due.promotion.environment)
    return (DecisionReason(GROUP_HALF_APPLIED.id, said, final=False),) if said else ()


def _superseded(view: DraftView, due: PromotionInput, newer: Caused) -> Step:
    older = due.caused.cause.request
    fact = FactEntry(
        draft=view.id,
        cause=newer.cause,
        type="promotion-superseded",
        known={
            "environment": due.promotion.environment,
            "blob": due.caused.cause.blob,
            "commit": due.caused.cause.commit,
            **({"request": older} if older != newer.cause.request else {}),
        },
    )
    return Step(facts=(fact,))


def _lifted(view: DraftView, due: PromotionInput, decision: Decision) -> Step:
    environment = due.promotion.environment
    hold = view.status.hold(environment) if view.status else None
    assert hold is not None  # `clause_lift` refuses it otherwise
    fact = FactEntry(
        draft=view.id,
        cause=due.caused.cause,
        type="hold-lifted",
        known={
            "environment": environment,
            "hold": hold.fact,
            "approved_by": list(decision.approved_by),
        },
    )
    return Step(facts=(fact,))


def _overlay_step(view: DraftView, due: PromotionInput, decision: Decision) -> Step | None:
    """The overlay's commit, pull request, merge and fact, or what the merge waits for."""
    overlay, status, gitops = due.overlay, view.status, view.gitops
    if overlay is None or status is None or gitops is None or gitops.head is None:
        return None
    branch = promotion_branch_of(view, due)
    commit = _overlay_commit(view, due, overlay, branch, due.gitops_base or gitops.head)
    pull = OpenPull(
        key=key_of("pull", view.gitops_repo, branch),
        draft=view.id,
        repo=view.gitops_repo,
        branch=branch,
        base_branch=gitops.default_branch,
        title=_subject(view, due, overlay),
        body=_promotion_body(view, due, decision),
    )
    found = due.existing
    done = found is not None and found.folder_tree == overlay.tree
    merge = _merge_of(view, due, pull, found.commit if found and done else commit.commit)
    opening = (pull,) if done else (commit, pull)
    if done and due.is_queued:
        return _waits(view, due, MERGE_PENDING.id, f"{view.gitops_repo}:{branch} is to be merged")
    problem = unmerged_problem(view, due)
    if problem and not (done and due.gitops_pull):
        return Step(effects=opening)
    if problem:
        return _waits(view, due, GITOPS_NOT_APPROVED.id, problem)
    others = [c for c in due.companions if c.unmerged and c.moved_s is None]
    if others and not due.merged and decided_s(due.companions) is None:
        said = f"{others[0].draft} waits to be merged: {others[0].unmerged}"
        return _waits(view, due, GROUP_MEMBER_WAITS.id, said)
    outcomes = {"pull_request": pull.key, MERGED: merge.key}
    fact = _promoted(view, due, decision, overlay, outcomes)
    return Step(effects=(*opening, merge), facts=(fact,))


def _subject(view: DraftView, due: PromotionInput, overlay: Overlay) -> str:
    return f"Run {view.instance} {overlay.release.digest[7:19]} in {due.promotion.environment}"


def _overlay_commit(
    view: DraftView, due: PromotionInput, overlay: Overlay, branch: str, base: str
) -> CommitFolder:
    entries = {path: (MODE_FILE, blob_id(content)) for path, content in overlay.files.items()}
    blobs = {entries[path][1]: content for path, content in overlay.files.items()}
    expected = due.existing.commit if due.existing else None
    return commit_folder(
        view,
        due.caused,
        CommitPlace(view.gitops_repo, branch, base, expected, due.gitops_parents),
        FolderFiles(overlay.folder, entries, blobs),
        key=promotion_key(due),
        subject=_subject(view, due, overlay),
    )


def _merge_of(view: DraftView, due: PromotionInput, pull: OpenPull, head: str) -> MergePull:
    return MergePull(
        key=key_of("merge", pull.repo, pull.branch, head),
        draft=view.id,
        repo=pull.repo,
        branch=pull.branch,
        base_branch=pull.base_branch,
        expected_head=head,
        message=message_of(
            f"Merge: {pull.title}", view, due.caused, promotion_key(due), policy=view.policy
        ),
    )


def _promoted(
    view: DraftView,
    due: PromotionInput,
    decision: Decision,
    overlay: Overlay,
    outcomes: dict[str, str],
) -> FactEntry:
    """The fact of a promotion; `outcomes` maps fields to the effects that fill them in."""
    status, environment = view.status, due.promotion.environment
    assert status is not None  # nothing is promoted before it is accepted
    report = status.checks_of_tree(overlay.release.source_tree)
    passed = [r.name for r in report.results if r.outcome is CheckOutcome.PASSED] if report else []
    state = state_reached(status, view.environments, environment, overlay.release)
    known: dict[str, object] = {"waived": _used(decision)} if decision.waived else {}
    if decision.stated:
        known["stated"] = _stated(decision)
    if view.policy and (due.decided_by or not due.merged):
        known["policy"] = view.policy
    return FactEntry(
        draft=view.id,
        cause=due.caused.cause,
        type="promoted",
        known=known
        | {
            "environment": environment,
            "namespace": overlay.namespace,
            "release": overlay.release.model_dump(mode="json"),
            "overlay_tree": overlay.tree,
            "overlay_folder": overlay.folder,
            "gitops_repo": view.gitops_repo,
            "approved_by": list(decision.approved_by),
            "checks": sorted(passed),
            "state": state.value,
            **told_of_lane(due, _decided_s(view, due)),
        },
        outcomes=outcomes,
    )


def _used(decision: Decision) -> list[dict[str, object]]:
    """The waivers behind a decision, in the form of a fact."""
    found = []
    for waived in decision.waived:
        cause, authority = waived.grant.cause, waived.grant.authority
        used = UsedWaiver(
            rule=waived.rule,
            request=cause.request,
            commit=cause.commit,
            blob=cause.blob,
            brought=cause.brought,
            approved_by=authority.approved_by,
        )
        found.append(used.model_dump(mode="json"))
    return found


def _stated(decision: Decision) -> list[dict[str, object]]:
    """The statements behind a decision, in the form of a fact."""
    brought = [counting.brought for counting in decision.stated]
    return [
        UsedStatement(request=b.path, blob=BlobId(b.blob), signer=b.verified.signer).model_dump()
        for b in brought
    ]


def told_of_lane(due: PromotionInput, decided_at_s: int) -> dict[str, object]:
    """What a fact says of a promotion's lane and group, where that is not the usual."""
    told: dict[str, object] = {}
    if due.promotion.lane != "normal":
        told["lane"] = due.promotion.lane
    if not due.promotion.goes_further:
        told["goes_further"] = False
    if due.observed:
        told |= {"automatic": True, "observed": due.observed}
    if due.group:
        told["group"] = {"name": due.group, "decided_at": moment_of(decided_at_s)}
    return told


def _waits(view: DraftView, due: PromotionInput, code: str, message: str) -> Step:
    request = due.caused.cause.request
    return Step(waiting=(Waiting(draft=view.id, request=request, reasons=((code, message),)),))


def _promotion_body(view: DraftView, due: PromotionInput, decision: Decision) -> str:
    overlay = due.overlay
    assert overlay is not None
    people = ", ".join(str(user) for user in decision.approved_by) or "nobody had to"
    return (
        f"Draft `{view.id}` into `{overlay.namespace}`.\n\n"
        f"- image `{view.image}@{overlay.release.digest}`\n"
        f"- source commit `{overlay.release.source_commit}`\n"
        f"- overlay tree `{overlay.tree}`\n"
        f"- approved by (account ids): {people}\n"
        f"- asked for by `{due.caused.cause.request}`\n"
        + "".join(
            f"- stated by `{c.brought.verified.signer}`: `{c.brought.path}`\n"
            for c in decision.stated
        )
        + "".join(f"- waived: `{w.rule}` by `{w.grant.cause.request}`\n" for w in decision.waived)
    )


def unmerged_problem(view: DraftView, due: PromotionInput) -> str:
    """What the merge of an allowed promotion waits for where owners of the repository approve it;
    empty if nothing."""
    if due.merged or view.environments[due.promotion.environment].merge != "manual":
        return ""
    is_open = due.existing and due.overlay and due.existing.folder_tree == due.overlay.tree
    if not (is_open and due.gitops_pull):
        return f"{view.gitops_repo} has no pull request for it yet"
    problem = approval_problem(due.gitops_pull, due.owners)
    return f"{view.gitops_repo}#{due.gitops_pull.number} {problem}" if problem else ""


def approval_problem(pull: PullRequest, owners: frozenset[int]) -> str:
    """Why the pipeline does not merge its own pull request yet; empty once an owner approved its
    final revision and no owner asks for changes.
    """
    held = count_approvals(pull.reviews, pull.head, taking_part=(pull.author_id,)).of(owners)
    if held.objecting:
        return "has a reviewer who asks for changes"
    if not held.approving:
        return f"waits for an owner to approve revision {pull.head[:12]}"
    return ""
