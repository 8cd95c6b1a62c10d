"""Promotions decided again by the same gate, over the overlay in the GitOps clone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline import names
from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase, commit_problem, folder_at, parents_at
from pipeline.audit.groups import companions_told
from pipeline.audit.objects import Objects
from pipeline.audit.reading import build_of
from pipeline.audit.statements import (
    commits_of_statements,
    count_statements,
    statements_of,
    statements_replaced_by,
)
from pipeline.audit.waivers import grants_of
from pipeline.diagnostics import Finding
from pipeline.forges.port import RepoView
from pipeline.gate import rules as decision_rule
from pipeline.gate.approvals import source_authors
from pipeline.gate.authorise import DecisionReason
from pipeline.gate.authority import FOUNDING
from pipeline.git.commits import Commit
from pipeline.git.objects import MODE_FILE, File, Files
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.base import moment_of
from pipeline.models.facts import Promoted, Release
from pipeline.models.provenance import Verified
from pipeline.models.requests import Environment, Promotion
from pipeline.plan.effects import CommitFolder
from pipeline.plan.reached import state_reached
from pipeline.plan.view import POLICY_TRAILER, DraftView, PromotionInput
from pipeline.releases.overlays import base_tree_of, render_overlay
from pipeline.stages.promote import decide, plan_promotion
from pipeline.stages.rollback import fallback_promotion, observation_of
from pipeline.state.evidence import history_of, with_all_runs, with_evidence
from pipeline.state.fact_types import told_state

# Code of the gate → the audit's own rule for it, if there is one.
_OWN_RULE = {
    decision_rule.APPROVAL_MISSING.id: rule.AUDIT_APPROVALS,
    decision_rule.APPROVAL_OTHER_REVISION.id: rule.AUDIT_APPROVALS,
    decision_rule.DIGEST_NOT_BUILT.id: rule.AUDIT_DIGEST_DIFFERS,
    decision_rule.BUILD_MISSING.id: rule.AUDIT_DIGEST_DIFFERS,
}
_BASE = "base/"
_OF_REQUEST = ("Draft", "Request", "Key")  # trailers
# Fields that a fact holds only where they are not as usual.
_WHERE_UNUSUAL = (
    *("policy", "waived", "stated"),
    *("lane", "goes_further", "automatic", "observed", "group"),
)


def check_place(case: FactCase) -> Iterator[Finding]:
    """A finding unless the overlay's commit and tree are on main of the derived repository."""
    body = case.fact.body
    if not isinstance(body, Promoted) or not case.is_caused:
        return
    gitops = case.gitops
    if gitops is None:
        return  # the repository's check reports it
    if body.gitops_repo != gitops.name:
        yield case.finding(
            rule.AUDIT_NAME_DIFFERS,
            f"nobody reads `{body.gitops_repo}` for it, but `{gitops.name}`",
        )
    if body.pull_request.repo != gitops.name:
        yield case.finding(
            rule.AUDIT_NAME_DIFFERS, f"its pull request is one of `{body.pull_request.repo}`"
        )
    folder = names.overlay_folder(body.environment, case.chain.status.instance)
    if body.overlay_folder != folder:
        yield case.finding(rule.AUDIT_NAME_DIFFERS, f"`{body.overlay_folder}` is not `{folder}`")
    on_main = body.gitops_commit in case.audit.line_of(gitops)
    if not on_main or folder_at(gitops, body.gitops_commit, folder) != body.overlay_tree:
        yield case.finding(
            rule.AUDIT_OVERLAY_MISSING,
            f"{gitops.name} has no commit {body.gitops_commit[:12]} on main with tree "
            f"{body.overlay_tree[:12]} at {folder}",
        )
        return
    gitops.read_whole(body.overlay_tree)
    case.audit.proves("overlays found whole on main")


def check_policy(case: FactCase) -> Iterator[Finding]:
    """Findings unless main had the policy that decided it, and had no newer one yet."""
    body, main = case.fact.body, case.audit.main
    if not isinstance(body, Promoted) or body.policy is None or not case.is_caused:
        return
    at = main.position.get(body.policy)
    if at is None or at < main.position[case.fact.cause.commit]:
        message = f"main has no commit {body.policy[:12]} since its request"
        yield case.finding(rule.AUDIT_POLICY_REPLACED, message)
        return
    newer = {
        "policy": main.replaced_by(body.policy, case.tenant),
        "statements": statements_replaced_by(case, body),
    }
    for what, commit in newer.items():
        since_s = case.audit.control.commit(commit).committer.time_s if commit else None
        if commit is not None and since_s is not None and since_s + CLOCK_SKEW_S < case.decided_s:
            message = (
                f"it was decided at {moment_of(case.decided_s)} by the {what} at "
                f"{body.policy[:12]}, which {commit[:12]} replaced at {moment_of(since_s)}"
            )
            yield case.finding(rule.AUDIT_POLICY_REPLACED, message)
            return
    case.audit.proves("promotions decided by the policy of their moment")


def check_decision(case: FactCase) -> Iterator[Finding]:
    """Findings unless the gate allows it again and the fact equals what gate and plan give."""
    body = case.fact.body
    if not isinstance(body, Promoted):
        return
    case.audit.decisions["made"] += 1
    promotion = _promotion_of(case, body)
    found = _overlay_there(case, body)
    if promotion is None or found is None or case.before is None:
        return  # the steps of causes and places report it
    reasons: tuple[DecisionReason, ...] = ()
    wrong: list[str] = []
    decided = False
    for view in views_of(case, promotion):
        due = due_of(case, view, promotion, found)
        if due is None or body.environment not in view.environments:
            continue
        decided = True
        decision = decide(view, due)
        if decision.reasons:
            reasons = reasons or decision.reasons
            continue
        differing = _differing(case, view, due, body)
        if "release" in differing and due.overlay is not None:
            yield from _check_digest(case, body, due.overlay.release)
        if not differing:
            _count(case)
            if body.waived:
                case.audit.proves("waivers held to their requests", len(body.waived))
            count_statements(case, body)
            return
        wrong = wrong or differing
    for reason in reasons if not wrong else ():
        told = _OWN_RULE.get(reason.code, rule.AUDIT_GATE)
        if reason.code.startswith("provenance-"):
            told = rule.AUDIT_PROVENANCE
        yield case.finding(told, f"{reason.code}: {reason.message}")
    if wrong:
        listed = ", ".join(f"`{name}`" for name in wrong)
        yield case.finding(
            rule.AUDIT_PROMOTION_DIFFERS, f"request, release and policy give another {listed}"
        )
    if not decided:
        yield case.finding(
            rule.AUDIT_APPROVALS,
            f"`{body.environment}` had no valid policy at {case.fact.cause.commit[:12]}",
        )


def _promotion_of(case: FactCase, body: Promoted) -> Promotion | None:
    """What was asked for: by the request, or by policy where it rolls back by itself."""
    if body.automatic and isinstance(case.request, Environment):
        return fallback_promotion(case.fact.draft, body.environment, body.release)
    return case.request if isinstance(case.request, Promotion) else None


def views_of(case: FactCase, promotion: Promotion) -> Iterator[DraftView]:
    """The views, with the promoted source's checks and build, however old."""
    body = case.fact.body
    policy = body.policy if isinstance(body, Promoted) else None
    sealed = case.view_by(policy) if policy else None
    # `check_policy` reports a commit that main lacks; any policy of main may then explain the fact.
    for view in [sealed] if sealed else case.views():
        code, status = case.code, view.status
        if isinstance(case.request, Environment):
            # The policy that rolls back by itself is the one that caused it.
            if view.environments.get(promotion.environment) != case.request:
                continue
            view = replace(view, caused=replace(view.caused, authority=FOUNDING))
        if status is not None and promotion.lane == "rollback":
            status = with_all_runs(status, case.chain.before(case.fact))
        if code is not None and status is not None:
            tree = folder_at(code, promotion.release.source_commit, view.folder)
            if tree is not None:
                status = with_evidence(status, history_of(case.chain.before(case.fact), tree))
        yield replace(view, status=status)


def _overlay_there(case: FactCase, body: Promoted) -> dict[str, File] | None:
    """The files of the overlay at its commit."""
    gitops = case.gitops
    folder = names.overlay_folder(body.environment, case.chain.status.instance)
    tree = folder_at(gitops, body.gitops_commit, folder) if gitops is not None else None
    return gitops.files(tree) if gitops is not None and tree is not None else None


def due_of(
    case: FactCase,
    view: DraftView,
    promotion: Promotion,
    there: Files | None,
    stated_at: str = "",
) -> PromotionInput | None:
    """The gate's input: release and overlay from the clones, approvals as recorded.

    `there` are the files of an overlay with the release's base; None if no clone has it.
    """
    environment = view.environments.get(promotion.environment)
    code, before = case.code, case.before
    if code is None or before is None:
        return None
    tree = folder_at(code, promotion.release.source_commit, view.folder)
    build = view.status.build_of_tree(tree) if tree and view.status else None
    overlay = None
    if build is not None and environment is not None and there is not None:
        base = {
            path.removeprefix(_BASE): content
            for path, (mode, content) in there.items()
            if path.startswith(_BASE) and mode == MODE_FILE
        }
        release = Release(
            source_commit=build.source_commit,
            source_tree=build.source_tree,
            digest=build.digest,
            base_tree=base_tree_of(base),
        )
        overlay = render_overlay(before, view.tenant, view.platform, environment, release, base)
    wanted = promotion.release
    named = (wanted.digest, wanted.source_commit, build.digest if build else None)
    commit = stated_at or commits_of_statements(case)[0]
    return PromotionInput(
        promotion=promotion,
        caused=view.caused,
        source_tree=tree,
        source_on_default=bool(tree) and tree in case.audit.trees_on_main(code, view.folder),
        overlay=overlay,
        manifest_findings=(),
        chain_problem="",
        observed=_observed(case, promotion.environment),
        provenance=_verified(case, view, tree),
        waivers=tuple(grants_of(case)),
        statements=statements_of(case, view, environment, [name for name in named if name], commit),
        source_authors=_source_authors(case, view, promotion, code) if tree else None,
        companions=companions_told(case.fact),
    )


def _source_authors(
    case: FactCase, view: DraftView, promotion: Promotion, code: Objects
) -> frozenset[int] | None:
    """Who wrote what is new in the source, if an approval asks for that; from facts and clone."""
    if not any(policy.separation for policy in view.caused.authority.wanted):
        return None
    running = view.status.promotion(promotion.environment) if view.status else None
    base = running.release.source_commit if running else None
    seen = {base} if base and code.find_commit(base) else set[str]()
    commits = [
        commit
        for commit in code.history([promotion.release.source_commit], seen)
        if len(commit.parents) < 2
        and folder_at(code, commit.id, view.folder)
        != (folder_at(code, commit.parents[0], view.folder) if commit.parents else None)
    ]
    case.audit.trusts("who wrote a source under which name", "those who pushed it")
    return source_authors(case.chain.before(case.fact), commits)


def _observed(case: FactCase, environment: str) -> int:
    """The observation that an automatic rollback follows; 0 for any other promotion."""
    if not isinstance(case.request, Environment):
        return 0
    return observation_of(case.chain.before(case.fact), environment)


def _verified(case: FactCase, view: DraftView, tree: str | None) -> Verified | None:
    built = build_of(case.chain, tree, case.fact.sequence) if tree else None
    if built is None or view.signers is None:
        return None
    return case.audit.verified(built.build.bundle, view.signers)


def _planned(view: DraftView, due: PromotionInput) -> tuple[dict[str, object], CommitFolder | None]:
    """What the stage records for an allowed promotion, and the commit it makes."""
    environment = view.environments[due.promotion.environment]
    # Whoever merged it, it was merged: a merge by hand is accepted here.
    merged = {
        **view.environments,
        environment.environment: environment.model_copy(update={"merge": "auto"}),
    }
    step = plan_promotion(replace(view, environments=merged), due)
    facts = step.facts if step else ()
    known = next((dict(f.known) for f in facts if f.type == "promoted"), {})
    effects = step.effects if step else ()
    return known, next((e for e in effects if isinstance(e, CommitFolder)), None)


def _with_gitops(view: DraftView, base: str) -> DraftView:
    return replace(view, gitops=RepoView(view.gitops_repo, "main", {"main": base}))


def _differing(case: FactCase, view: DraftView, due: PromotionInput, body: Promoted) -> list[str]:
    """The fields of the fact that the stage would have recorded differently."""
    known, _ = _planned(_with_gitops(view, body.gitops_commit), due)
    told = body.model_dump(mode="json")
    if view.status is not None:
        # Older tools recorded no state; there the environment's name gives it.
        told["state"] = told_state(view.status, body).value
    names_told = dict.fromkeys((*known, *_WHERE_UNUSUAL))
    differing = [name for name in names_told if told.get(name) != known.get(name)]
    if differing == ["state"] and told["state"] in _states_since(case, body):
        return []
    return differing


def _states_since(case: FactCase, body: Promoted) -> set[str]:
    """The states that a promotion leads to, by each policy since its request was merged.

    A run that finds an overlay already merged records the state by its own policy.
    """
    return {
        state_reached(view.status, view.environments, body.environment, body.release).value
        for view in case.views()
        if view.status is not None
    }


def _check_digest(case: FactCase, body: Promoted, release: Release) -> Iterator[Finding]:
    if body.release.digest != release.digest:
        yield case.finding(
            rule.AUDIT_DIGEST_DIFFERS,
            f"{body.environment} got {body.release.digest}, "
            f"the source was built as {release.digest}",
        )


def _count(case: FactCase) -> None:
    audit = case.audit
    audit.decisions["equal"] += 1
    audit.proves("promotions decided again by the gate")
    audit.proves("overlays rendered again bit for bit")
    audit.trusts("that a chart renders to the base of its release", "the pipeline")
    audit.trusts("that manifests passed the rules of their time", "the pipeline")
    audit.trusts("which members of a team its forge had then", "the forge")


def check_merge_commit(case: FactCase) -> Iterator[Finding]:
    """A finding unless the pipeline made the overlay's commit on main for this same request."""
    body = case.fact.body
    promotion = _promotion_of(case, body) if isinstance(body, Promoted) else None
    if not isinstance(body, Promoted) or promotion is None:
        return
    gitops, there = case.gitops, _overlay_there(case, body)
    if gitops is None or there is None or case.before is None:
        return
    merge = gitops.commit(body.gitops_commit)
    made = gitops.commit(merge.parents[-1]) if len(merge.parents) > 1 else merge
    problem: str | None = "it has no parent"
    for view in views_of(case, promotion) if made.parents else ():
        due = due_of(case, view, promotion, there)
        if due is None or due.overlay is None or due.overlay.tree != body.overlay_tree:
            problem = "it is not the overlay of its release"
            continue
        problem = _merge_problem(case, gitops, view, due, (merge, made))
        if problem == "":
            return  # `check_decision` reports it
        if problem is None:
            case.audit.proves("commits of overlays made again bit for bit")
            return
    yield case.finding(
        rule.AUDIT_SOURCE_DIFFERS,
        f"commit {made.id[:12]} of {gitops.name} is not its overlay: {problem}",
    )


def _merge_problem(
    case: FactCase,
    gitops: Objects,
    view: DraftView,
    due: PromotionInput,
    commits: tuple[Commit, Commit],
) -> str | None:
    """How the commits differ from the plan; None if they do not, empty if the gate refuses."""
    merge, made = commits
    base = made.parents[0]
    overlay = due.overlay
    assert overlay is not None  # the caller checked
    parents = parents_at(gitops, base, overlay.folder)
    due = replace(due, gitops_base=base, gitops_parents=parents)
    planned = overlay_commit(_with_gitops(view, base), due)
    if planned is None:
        return ""
    problem = commit_problem(case, made, planned, parents)
    if problem is None and merge is not made:
        wanted = {name: dict(made.trailers)[name] for name in _OF_REQUEST}
        told = {n: v for n, v in merge.trailers if n in (*_OF_REQUEST, POLICY_TRAILER)}
        wanted |= {POLICY_TRAILER: view.policy} if view.policy else {}
        # A merge by hand has none of these trailers.
        if told and told != wanted:
            return f"its merge {merge.id[:12]} names another draft, request, key or policy"
    return problem


def overlay_commit(view: DraftView, due: PromotionInput) -> CommitFolder | None:
    """The commit that the stage plans for an overlay."""
    return _planned(view, due)[1]
