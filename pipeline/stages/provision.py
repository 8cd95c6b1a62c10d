"""Provision: create both repositories of a tenant when its first draft is accepted. Pure.

Only the pipeline creates them, with rules and owners (docs/model.md §11). The first commit is the
same in every run, so two racing runs create one repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.models.base import key_of
from pipeline.models.facts import Accepted, Provisioned
from pipeline.models.requests import Platform, TeamName, Tenant
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Content, EnsureRepo, EnsureRules, FactEntry, PlannedRule
from pipeline.plan.view import DraftView, Step, owners_of
from pipeline.render.catalogue import render_repository_entry

FIRST_COMMIT_TIME_S = 0


def repository_rules(
    platform: Platform, owners: tuple[TeamName, ...], *, gitops: bool
) -> tuple[PlannedRule, ...]:
    """The branch rules: the pipeline writes its branches, owners merge code, nobody else may.

    The default branch of a GitOps repository is what runs, so only the pipeline moves it; people
    propose changes there through `pipeline.gitops.proposals`.
    """
    pipeline = platform.pipeline_account.id
    if gitops:
        return (
            PlannedRule(pattern="main", push=(), merge=(pipeline,)),
            PlannedRule(pattern="promote/*", push=(pipeline,)),
            PlannedRule(pattern="restore/*", push=(pipeline,)),
        )
    people = tuple(sorted(platform.members(owners)))
    return (
        PlannedRule(pattern="main", push=(), merge=people, approvals=1),
        PlannedRule(pattern="draft/*", push=(pipeline,)),
    )


def rules_key(platform: Platform, owners: tuple[TeamName, ...]) -> str:
    """A key over the branch rules of a code and a GitOps repository with these owners."""
    both = [repository_rules(platform, owners, gitops=gitops) for gitops in (False, True)]
    return key_of(
        "rules", owners, [rule.model_dump(mode="json") for rules in both for rule in rules]
    )


def rules_wanted(
    platform: Platform, tenants: Mapping[str, Tenant], statuses: Iterable[DraftStatus]
) -> dict[str, tuple[PlannedRule, ...]]:
    """Repository → its required branch rules, for every repository that facts record."""
    wanted: dict[str, tuple[PlannedRule, ...]] = {}
    for status in statuses:
        tenant = tenants.get(status.tenant_id)
        if tenant is None:
            continue
        owners = owners_of(platform, tenant, status.code_origin)
        for repo in status.repos:
            gitops = repo == status.gitops_repo
            wanted[repo] = repository_rules(platform, owners, gitops=gitops)
    return wanted


def keepers(statuses: Iterable[DraftStatus]) -> frozenset[str]:
    """The drafts that record branch rules: the first by id for each pair of repositories."""
    first: dict[tuple[str, ...], str] = {}
    for status in sorted(statuses, key=lambda s: s.id):
        if status.repos:
            first.setdefault(status.repos, status.id)
    return frozenset(first.values())


def plan_rules(view: DraftView, repo: str, *, gitops: bool) -> EnsureRules:
    """The effect that updates the branch rules of one of the two repositories."""
    return EnsureRules(
        key=key_of("rules", repo, rules_key(view.platform, view.owners)),
        draft=view.id,
        repo=repo,
        rules=repository_rules(view.platform, view.owners, gitops=gitops),
        owners=view.owners,
    )


def plan_repository(view: DraftView, repo: str, *, gitops: bool) -> EnsureRepo:
    """The effect that creates one of the two repositories."""
    platform_owned = not repo.startswith("tenant-")
    whom = (
        f"the platform {view.platform.platform}"
        if platform_owned
        else f"tenant {view.tenant.tenant_id}"
    )
    owners = view.owners
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
        rules=repository_rules(view.platform, owners, gitops=gitops),
        owners=owners,
    )


def accepted_fact(view: DraftView) -> FactEntry:
    """The fact that a draft's request is merged and valid, with the names derived from it."""
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
        target_namespaces=view.namespaces,
        environments=tuple(view.environments),
    )
    return entry_of(view, body)


def entry_of(view: DraftView, body: Accepted | Provisioned) -> FactEntry:
    """A fact caused by the draft's own request, with nothing left for effects to fill in."""
    known = body.model_dump(mode="json")
    return FactEntry(draft=view.id, cause=view.caused.cause, type=known.pop("type"), known=known)


def plan_provision(view: DraftView) -> Step | None:
    """The repositories and the facts of acceptance; None if all of it has happened."""
    facts: list[FactEntry] = []
    if view.is_new_revision:
        facts.append(accepted_fact(view))
    repos = (view.target_repo, view.gitops_repo)
    key = rules_key(view.platform, view.owners)
    provisioned = entry_of(view, Provisioned(repos=repos, rules=key))
    if view.status is not None and view.status.repos == repos:
        if not view.keeps_rules or view.status.rules == key:
            return Step(facts=tuple(facts)) if facts else None
        rules = (
            plan_rules(view, view.target_repo, gitops=False),
            plan_rules(view, view.gitops_repo, gitops=True),
        )
        return Step(effects=rules, facts=(*facts, provisioned))
    facts.append(provisioned)
    effects = (
        plan_repository(view, view.target_repo, gitops=False),
        plan_repository(view, view.gitops_repo, gitops=True),
    )
    return Step(effects=effects, facts=tuple(facts))
