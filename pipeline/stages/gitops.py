"""GitOps: keep each GitOps repository as promoted, and merge people's allowed proposals. Pure.

No request asks for this. The cause is a head that differs from the recorded facts, or a person's
pull request. So the effects name the repository instead of a draft, their commits carry `Restores:`
or `Proposal:`, and no fact is recorded: the next look sees the repository as it must be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline import names
from pipeline.diagnostics import Finding
from pipeline.git.commits import pipeline_signature, render_trailers
from pipeline.git.objects import TreeEntry, commit_object
from pipeline.gitops.proposals import Proposal, check_proposal
from pipeline.gitops.sealed import restored_objects
from pipeline.models.base import key_of
from pipeline.models.requests import Platform
from pipeline.plan.effects import (
    Effect,
    Incident,
    MergePull,
    OpenPull,
    RestoreOverlays,
    TenantPlan,
    Waiting,
)
from pipeline.plan.view import Step

_LATEST_S = 4_102_444_800  # the year 2100; a commit can claim any date


@dataclass(frozen=True, slots=True)
class GitopsView:
    """One GitOps repository as of one look."""

    repo: str
    default_branch: str
    head: str
    time_s: int  # of the head's commit
    root: tuple[TreeEntry, ...]  # of the head's tree
    branches: Mapping[str, str]
    findings: tuple[Finding, ...]  # what differs from what was promoted
    overlays: Mapping[str, str]  # folder → tree: everything that should be there
    restores: bool  # whether policy says so and all facts about it could be read
    unrecorded: bool = False  # whether the pipeline merged one of `overlays` without its fact yet
    proposals: tuple[Proposal, ...] = ()
    owners: tuple[str, ...] = ()  # teams
    people: Platform | None = None  # limited to the forge's teams


@dataclass(frozen=True, slots=True)
class GitopsStep(Step):
    """What to do in a GitOps repository, and what is wrong there."""

    incidents: tuple[Incident, ...] = ()


def plan_gitops(view: GitopsView) -> GitopsStep:
    """The restoration of the sealed trees, or else the merges of people's proposals."""
    incidents = incidents_of(view.repo, view.findings)
    if view.findings:
        back = _restoration(view) if view.restores else ()
        return GitopsStep(effects=back, incidents=incidents)
    effects: list[Effect] = []
    waiting: list[Waiting] = []
    for proposal in view.proposals if view.people else ():
        assert view.people is not None
        against = check_proposal(proposal, view.owners, view.people)
        if against:
            reasons = tuple((f.code, f.message) for f in against)
            waiting.append(Waiting(draft=view.repo, request=proposal.name, reasons=reasons))
        else:
            effects.append(_merge_of(view, proposal))
    return GitopsStep(effects=tuple(effects), waiting=tuple(waiting))


def with_gitops(plan: TenantPlan, views: Iterable[GitopsView]) -> TenantPlan:
    """A tenant's plan with the effects for its GitOps repositories.

    Effects for drafts come first; those for repositories do not depend on them.
    """
    steps = [plan_gitops(view) for view in views]
    facts = [e for e in plan.effects if e.kind == "append-facts"]
    others = [e for e in plan.effects if e.kind != "append-facts"]
    return plan.model_copy(
        update={
            "effects": (*others, *(e for step in steps for e in step.effects), *facts),
            "waiting": (*plan.waiting, *(w for step in steps for w in step.waiting)),
            "incidents": tuple(i for step in steps for i in step.incidents),
        }
    )


def incidents_of(repo: str, findings: Iterable[Finding]) -> tuple[Incident, ...]:
    """The findings about a repository, in the form of plans and reports."""
    return tuple(
        Incident(
            repo=repo,
            path=finding.location.file.partition(":")[2],
            code=finding.code,
            message=finding.message,
        )
        for finding in findings
    )


def _restoration(view: GitopsView) -> tuple[Effect, ...]:
    key = key_of("restore", view.repo, view.head, dict(view.overlays))
    branch = names.restore_branch(key)
    trailers = render_trailers((("Restores", view.head), ("Key", key)))
    subject = "Put back what was promoted"
    time_s = min(max(view.time_s, 0), _LATEST_S)
    message = f"{subject}\n\n{trailers}"
    tree = restored_objects(view.root, view.overlays)[-1].id
    signature = pipeline_signature(time_s)
    commit = commit_object(tree, [view.head], message, signature, signature)
    restore = RestoreOverlays(
        key=key,
        draft=view.repo,
        repo=view.repo,
        branch=branch,
        base=view.head,
        expected=view.branches.get(branch),
        overlays=dict(sorted(view.overlays.items())),
        commit=commit.id,
        message=message,
        time_s=time_s,
    )
    pull = OpenPull(
        key=key_of("pull", view.repo, branch),
        draft=view.repo,
        repo=view.repo,
        branch=branch,
        base_branch=view.default_branch,
        title=subject,
        body=_restoration_body(view),
    )
    merge = MergePull(
        key=key_of("merge", view.repo, branch, commit.id),
        draft=view.repo,
        repo=view.repo,
        branch=branch,
        base_branch=view.default_branch,
        expected_head=commit.id,
        message=f"Merge: {subject}\n\n{trailers}",
    )
    return restore, pull, merge


def _restoration_body(view: GitopsView) -> str:
    found = "".join(f"- `{i.path}`: {i.message}\n" for i in incidents_of(view.repo, view.findings))
    return (
        f"Commit `{view.head}` is not what was promoted:\n\n{found}\n"
        "`environments/` is set back to the overlays that `promoted` facts name. The foreign\n"
        "commit stays in history: find who wrote it, and how it came past the branch rules.\n"
    )


def _merge_of(view: GitopsView, proposal: Proposal) -> MergePull:
    pull = proposal.pull
    key = key_of("merge", view.repo, pull.head_branch, pull.head)
    name = proposal.name
    return MergePull(
        key=key,
        draft=view.repo,
        repo=view.repo,
        branch=pull.head_branch,
        base_branch=view.default_branch,
        expected_head=pull.head,
        message=f"Merge {name}\n\n{render_trailers((('Proposal', name), ('Key', key)))}",
        number=pull.number,
    )
