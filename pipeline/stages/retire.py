"""Retire: a primitive leaves its environments, last ones first, and its draft ends. Pure.

One environment after the other, each by a commit that takes out its overlay's folder and nothing
else. What still waited is refused first. Facts and history stay.
"""

from __future__ import annotations

from pipeline import names
from pipeline.forges.port import PullState
from pipeline.gitops.sealed import GITOPS_NOT_APPROVED
from pipeline.models.base import key_of
from pipeline.models.status import DraftState, PromotionRecord
from pipeline.plan.commits import CommitPlace, FolderFiles, commit_folder
from pipeline.plan.effects import (
    MERGED,
    ClosePull,
    CommitFolder,
    FactEntry,
    MergePull,
    OpenPull,
    Waiting,
)
from pipeline.plan.rules import MERGE_PENDING
from pipeline.plan.view import TOOL, Caused, DraftView, Retiring, Step, message_of
from pipeline.stages.promote import approval_problem


def retirement_key(caused: Caused) -> str:
    """The idempotency key of a retirement: this revision of its request, and the tool."""
    cause = caused.cause
    return key_of("retire", cause.request, cause.blob, cause.commit, TOOL)


def next_to_leave(view: DraftView) -> PromotionRecord | None:
    """What the primitive leaves next: the last environment of policy that runs it; before that,
    those that policy no longer has. None if it runs nowhere."""
    running = view.status.promotions if view.status else ()
    order = {name: at for at, name in enumerate(view.environments)}
    return max(running, key=lambda p: order.get(p.environment, len(order)), default=None)


def retirement_branch(view: DraftView, retiring: Retiring, environment: str) -> str:
    """The branch of the commit that takes the primitive out of an environment."""
    return names.promotion_branch(environment, view.instance, retirement_key(retiring.caused))


def plan_leave(view: DraftView) -> Step | None:
    """The removal of the next overlay, or what it waits for; None once the primitive runs nowhere.

    One that was merged before a crash gives only its fact.
    """
    retiring, record, gitops = view.retirement, next_to_leave(view), view.gitops
    if retiring is None or record is None or gitops is None or gitops.head is None:
        return None
    if view.gitops_findings and not retiring.merged:
        found = view.gitops_findings[0]
        return _waits(view, retiring, found.code, f"{found.location.file}: {found.message}")
    branch = retirement_branch(view, retiring, record.environment)
    commit = removal(view, retiring, record.overlay_folder)
    pull = OpenPull(
        key=key_of("pull", view.gitops_repo, branch),
        draft=view.id,
        repo=view.gitops_repo,
        branch=branch,
        base_branch=gitops.default_branch,
        title=_subject(view, record.environment),
        body=_body(view, retiring, record),
    )
    done = retiring.existing is not None
    head = retiring.existing.commit if retiring.existing else commit.commit
    merge = MergePull(
        key=key_of("merge", pull.repo, branch, head),
        draft=view.id,
        repo=pull.repo,
        branch=branch,
        base_branch=pull.base_branch,
        expected_head=head,
        message=message_of(
            f"Merge: {pull.title}", view, retiring.caused, retirement_key(retiring.caused)
        ),
    )
    opening = (pull,) if done else (commit, pull)
    waiting = _merge_waits(view, retiring, record.environment, branch)
    if waiting is not None:
        return waiting if done and retiring.pull else Step(effects=opening)
    fact = FactEntry(
        draft=view.id,
        cause=retiring.caused.cause,
        type="retired",
        known={
            "environment": record.environment,
            "overlay_folder": record.overlay_folder,
            "gitops_repo": view.gitops_repo,
        },
        outcomes={"pull_request": pull.key, MERGED: merge.key},
    )
    return Step(effects=(*opening, merge), facts=(fact,))


def _merge_waits(view: DraftView, retiring: Retiring, environment: str, branch: str) -> Step | None:
    """What the merge waits for: the forge's queue, or an owner where the environment asks."""
    if retiring.merged:
        return None
    if retiring.pull and retiring.pull.is_queued:
        return _waits(
            view, retiring, MERGE_PENDING.id, f"{view.gitops_repo}:{branch} is to be merged"
        )
    policy = view.environments.get(environment)
    if policy is None or policy.merge == "auto":
        return None
    problem = approval_problem(retiring.pull, retiring.owners) if retiring.pull else "is not open"
    number = retiring.pull.number if retiring.pull else 0
    if not problem:
        return None
    return _waits(view, retiring, GITOPS_NOT_APPROVED.id, f"{view.gitops_repo}#{number} {problem}")


def plan_end(view: DraftView) -> Step | None:
    """The end of a retired draft that runs nowhere any more: its pull request is closed, and a
    fact says why."""
    retiring, status = view.retirement, view.status
    if retiring is None or status is None or status.promotions:
        return None
    if status.state is DraftState.REJECTED:
        return None
    effects: tuple[ClosePull, ...] = ()
    if view.pull is not None and view.pull.state is PullState.OPEN:
        pull = view.pull
        close = ClosePull(
            key=key_of("close", pull.repo, pull.head_branch, pull.number),
            draft=view.id,
            repo=pull.repo,
            number=pull.number,
        )
        effects = (close,)
    fact = FactEntry(
        draft=view.id,
        cause=retiring.caused.cause,
        type="rejected",
        known={"reason": end_reason(retiring.reason)},
    )
    return Step(effects=effects, facts=(fact,))


def end_reason(reason: str) -> str:
    """Why a retired draft ended, as its last fact says it."""
    return f"retired: {reason}"


def plan_retirement_waits(view: DraftView) -> tuple[Waiting, ...]:
    """What a request to retire waits for, while the draft goes on as before."""
    retiring = view.retirement
    if retiring is None or view.retires:
        return ()
    reasons = tuple((r.code, r.message) for r in retiring.caused.authority.reasons)
    return (Waiting(draft=view.id, request=retiring.caused.cause.request, reasons=reasons),)


def removal(view: DraftView, retiring: Retiring, folder: str) -> CommitFolder:
    """The commit that takes an overlay's folder out."""
    environment = folder.split("/")[1]
    branch = retirement_branch(view, retiring, environment)
    expected = retiring.existing.commit if retiring.existing else None
    return commit_folder(
        view,
        retiring.caused,
        CommitPlace(
            view.gitops_repo, branch, retiring.gitops_base, expected, retiring.gitops_parents
        ),
        FolderFiles(folder, {}, {}),
        key=retirement_key(retiring.caused),
        subject=_subject(view, environment),
    )


def _subject(view: DraftView, environment: str) -> str:
    return f"Take {view.instance} out of {environment}"


def _waits(view: DraftView, retiring: Retiring, code: str, message: str) -> Step:
    request = retiring.caused.cause.request
    return Step(waiting=(Waiting(draft=view.id, request=request, reasons=((code, message),)),))


def _body(view: DraftView, retiring: Retiring, record: PromotionRecord) -> str:
    return (
        f"Draft `{view.id}` is retired: `{record.overlay_folder}` goes.\n\n"
        f"- ran `{view.image}@{record.release.digest}`\n"
        f"- asked for by `{retiring.caused.cause.request}`\n"
    )
