"""Provision: both repositories of a tenant exist once its first draft is accepted. Pure.

Design §10: created with rules and owners, by the pipeline alone. The first commit is the same
whoever makes it, so two runs that race create one repository.
"""

from __future__ import annotations

from pipeline.models.facts import Accepted, Provisioned
from pipeline.plan import Content, EnsureRepo, FactEntry, Rule, key_of
from pipeline.render.catalogue import render_repository_entry
from pipeline.stages.view import DraftView, Step

FIRST_COMMIT_TIME_S = 0


def repository_rules(view: DraftView, *, gitops: bool) -> tuple[Rule, ...]:
    """Who may do what: the pipeline writes its branches, owners merge code, nobody else."""
    pipeline = view.platform.pipeline_account.id
    platform_owned = not view.target_repo.startswith("tenant-")
    owners = view.platform.owners if platform_owned else view.tenant.owners
    people = tuple(sorted(view.platform.members(owners)))
    if gitops:
        return (
            Rule(pattern="main", push=(), merge=tuple(sorted({pipeline, *people}))),
            Rule(pattern="promote/*", push=(pipeline,)),
        )
    return (
        Rule(pattern="main", push=(), merge=people, approvals=1),
        Rule(pattern="draft/*", push=(pipeline,)),
    )


def plan_repository(view: DraftView, repo: str, *, gitops: bool) -> EnsureRepo:
    """The effect that makes one of the two repositories exist."""
    platform_owned = not repo.startswith("tenant-")
    whom = (
        f"the platform {view.platform.platform}"
        if platform_owned
        else f"tenant {view.tenant.tenant_id}"
    )
    owners = view.platform.owners if platform_owned else view.tenant.owners
    listed = " ".join(f"@{view.platform.organisation}/{team}" for team in owners)
    if gitops:
        text = (
            f"# {repo}\n\nWhat runs for {whom}: one overlay for each environment and primitive\n"
            "under `environments/`. The pipeline writes here; every change rests on a request in\n"
            "the control repository, named in the commit's trailers.\n"
        )
        files = {"README.md": text, "CODEOWNERS": f"* {listed}\n"}
    else:
        text = (
            f"# {repo}\n\nPrimitives of {whom}, one folder each under `primitives/`.\n"
            "Agents change a draft's branch by patches; people review and merge it.\n"
        )
        files = {
            "README.md": text,
            "CODEOWNERS": f"* {listed}\n",
            "catalog-info.yaml": render_repository_entry(repo, whom),
        }
    return EnsureRepo(
        key=key_of("provision", repo),
        draft=view.id,
        repo=repo,
        description=f"{'Overlays' if gitops else 'Primitives'} of {whom}",
        files={path: Content(text=content) for path, content in sorted(files.items())},
        message=f"Create {repo}\n",
        time_s=FIRST_COMMIT_TIME_S,
        rules=repository_rules(view, gitops=gitops),
        owners=owners,
    )


def accepted_fact(view: DraftView) -> FactEntry:
    """The fact that a draft's request is merged and valid, with all that follows from it."""
    body = Accepted(
        tenant_id=view.request.tenant_id,
        primitive_id=view.request.primitive_id,
        primitive_type=view.request.primitive_type,
        template_id=view.request.template_id,
        template_digest=view.template.digest,  # type: ignore[arg-type]  # plain str there
        code_origin=view.request.code_origin,
        sku=view.tenant.sku,
        risk_tier=view.risk_tier,
        target_repo=view.target_repo,
        gitops_repo=view.gitops_repo,
        instance=view.instance,
        image=view.image,
        design_refs=view.request.design_refs,
        target_namespaces=view.namespaces,  # type: ignore[arg-type]  # keys are the environments
    )
    return entry_of(view, body)


def entry_of(view: DraftView, body: Accepted | Provisioned) -> FactEntry:
    """A fact that the draft's own request causes and that no effect has to fill in."""
    known = body.model_dump(mode="json")
    return FactEntry(draft=view.id, cause=view.caused.cause, type=known.pop("type"), known=known)


def plan_provision(view: DraftView) -> Step | None:
    """The repositories and the facts of acceptance; None when all of it has happened."""
    facts: list[FactEntry] = []
    if view.is_new_revision:
        facts.append(accepted_fact(view))
    repos = (view.target_repo, view.gitops_repo)
    if view.status is not None and view.status.repos == repos:
        return Step(facts=tuple(facts)) if facts else None
    facts.append(entry_of(view, Provisioned(repos=repos)))
    effects = (
        plan_repository(view, view.target_repo, gitops=False),
        plan_repository(view, view.gitops_repo, gitops=True),
    )
    return Step(effects=effects, facts=tuple(facts))
