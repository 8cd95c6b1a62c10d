"""The first commit that provisioning gives a repository, made again from policy."""

from __future__ import annotations

from pipeline.audit.cases import FactCase
from pipeline.audit.reading import Audit
from pipeline.gitobjects import MODE_FILE, commit_object, objects_of_files
from pipeline.models.facts import Provisioned
from pipeline.plan import EnsureRepo
from pipeline.stages.provision import plan_repository
from pipeline.stages.scaffold import pipeline_signature


def first_commits_of(audit: Audit) -> dict[str, frozenset[str]]:
    """Repository → the ids that its first commit may have, by policy since a draft asked for it.

    Drafts share repositories, so the one that provisioned it is any of those that say so.
    """
    found: dict[str, set[str]] = {}
    for chain in audit.chains.values():
        for fact in chain.new_facts:
            if not isinstance(fact.body, Provisioned):
                continue
            for view in FactCase(audit, chain, fact, None).views():
                for repo, gitops in ((view.target_repo, False), (view.gitops_repo, True)):
                    planned = plan_repository(view, repo, gitops=gitops)
                    found.setdefault(repo, set()).add(first_commit_id(planned))
    return {repo: frozenset(ids) for repo, ids in found.items()}


def first_commit_id(planned: EnsureRepo) -> str:
    """The commit that carrying out the effect begins a repository with."""
    files = {path: (MODE_FILE, content.content) for path, content in planned.files.items()}
    signature = pipeline_signature(planned.time_s)
    root = objects_of_files(files)[-1].id
    return commit_object(root, [], planned.message, signature, signature).id
