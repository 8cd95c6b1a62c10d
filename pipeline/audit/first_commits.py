"""The first commit of a provisioned repository, made again from policy."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase
from pipeline.audit.reading import Audit
from pipeline.audit.repositories import RepositoryCase
from pipeline.diagnostics import Finding
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import MODE_FILE, commit_object, objects_of_files
from pipeline.models.facts import Provisioned
from pipeline.plan.effects import EnsureRepo
from pipeline.plan.view import DraftView
from pipeline.stages.provision import plan_repository


def check_first_commit(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for a repository whose first commit is not the one that provisioning makes."""
    if case.verified.get("main") or not case.line:
        return
    first, made = case.line[0], ""
    for view in _views(case.audit, case.name):
        planned = plan_repository(view, case.name, gitops=case.name == view.gitops_repo)
        made = first_commit_id(planned)
        if made == first.id:
            case.audit.proves("first commits made again bit for bit")
            return
    if made:
        yield rule.AUDIT_FOREIGN_COMMIT.finding(
            f"it began with commit {first.id[:12]} by {first.author.email}; "
            f"provisioning makes {made[:12]}",
            case.at("main"),
        )


def _views(audit: Audit, repo: str) -> Iterator[DraftView]:
    """The views a repository may have been provisioned from, for the drafts that share it, in the
    order of their requests."""
    found = []
    for chain in audit.chains.values():
        for fact in chain.new_facts:
            if isinstance(fact.body, Provisioned) and repo in fact.body.repos:
                at = audit.main.position.get(fact.cause.commit, -1)
                found.append((at, chain.draft, FactCase(audit, chain, fact, None)))
    for _, _, case in sorted(found, key=lambda item: item[:2]):
        yield from (v for v in case.views() if repo in (v.target_repo, v.gitops_repo))


def first_commit_id(planned: EnsureRepo) -> str:
    """The first commit that this effect gives a repository."""
    files = {path: (MODE_FILE, content.content) for path, content in planned.files.items()}
    signature = pipeline_signature(planned.time_s)
    root = objects_of_files(files)[-1].id
    return commit_object(root, [], planned.message, signature, signature).id
