"""Repositories of code and of overlays: what facts say is there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipeline.audit.reading import (
    Audit,
    Chain,
    check_strayed,
    promotions,
    read_branches,
    read_strayed,
)
from pipeline.control import MAIN
from pipeline.diagnostics import Finding, Location
from pipeline.gitcli import GitRepository
from pipeline.models.facts import Fact, PatchApplied, Promoted, Scaffolded
from pipeline.models.requests import CodeOrigin
from pipeline.names import gitops_repo, primitive_folder
from pipeline.rules import audit as rule


def verify_repositories(audit: Audit) -> int:
    """How many clones there were; what is wrong with them is added to the audit."""
    named = {repo for c in audit.chains for repo in c.status.repos}
    overlays = {c.status.gitops_repo for c in audit.chains} | _possible_gitops_repos(audit)
    found = 0
    for repo in sorted(named | overlays):
        git = audit.open_repository(repo)
        if git is None:
            # One that no fact names need not exist.
            if repo in named:
                audit.findings.append(
                    rule.REPOSITORY_MISSING.finding(
                        f"there is no clone of `{repo}`", Location(repo)
                    )
                )
            continue
        found += 1
        _verify_sources(audit, repo, git)
        if repo in overlays:
            _verify_overlays(audit, repo, git)
    return found


def _possible_gitops_repos(audit: Audit) -> set[str]:
    """Where overlays may lie though no fact says so any more: a state branch may be gone."""
    platform = audit.platform.platform
    return {
        gitops_repo(platform, tenant, origin)
        for tenant in audit.snapshot.tenant_ids
        for origin in (CodeOrigin.TENANT, CodeOrigin.PLATFORM)
    }


def _verify_sources(audit: Audit, repo: str, git: GitRepository) -> None:
    for chain in audit.chains:
        if chain.status.target_repo != repo:
            continue
        folder = primitive_folder(chain.status.instance)
        for fact in chain.facts:
            body = fact.body
            if not isinstance(body, Scaffolded | PatchApplied):
                continue
            tree = git.read_object(f"{body.commit}:{folder}")
            if tree is None or tree.id != body.tree:
                audit.findings.append(
                    rule.SOURCE_MISSING.finding(
                        f"{repo} lacks commit {body.commit[:12]} with tree {body.tree[:12]}",
                        chain.location(fact),
                    )
                )
                continue
            audit.findings += _check_anchor(chain, git, body.commit, repo, chain.location(fact))


def _check_anchor(
    chain: Chain, git: GitRepository, commit: str, repo: str, at: Location
) -> Iterator[Finding]:
    read = git.read_commit(commit)
    named = [value for name, value in read.trailers if name == "Fact"]
    if not named and len(read.parents) > 1:
        # A person's merge says nothing itself; what it merged was the pipeline's.
        named = [v for name, v in git.read_commit(read.parents[-1]).trailers if name == "Fact"]
    if not named:
        yield rule.FACT_ANCHOR.finding(f"{repo}@{commit[:12]} carries no `Fact:` trailer", at)
    for value in named:
        if value not in chain.hashes:
            yield rule.FACT_ANCHOR.finding(
                f"{repo}@{commit[:12]} rests on {value}, which the chain of {chain.draft} lacks", at
            )


def _verify_overlays(audit: Audit, repo: str, git: GitRepository) -> None:
    head = read_branches(git).get(MAIN)
    if head is None:
        audit.findings.append(
            rule.REPOSITORY_MISSING.finding(f"`{repo}` has no branch `main`", Location(repo))
        )
        return
    history = {c.id: c for c in git.log_commits(head, first_parent=True)}
    unreadable = [[name] for name in audit.unreadable]
    newest: dict[str, tuple[Chain, Fact, Promoted]] = {}
    known: set[str] = set()
    for chain, fact, body in promotions(audit.chains):
        if body.gitops_repo != repo:
            continue
        known.add(body.gitops_commit)
        newest[body.overlay_folder] = (chain, fact, body)
        at = chain.location(fact)
        tree = git.read_object(f"{body.gitops_commit}:{body.overlay_folder}")
        if body.gitops_commit not in history or tree is None or tree.id != body.overlay_tree:
            audit.findings.append(
                rule.OVERLAY_MISSING.finding(
                    f"{repo} has no commit {body.gitops_commit[:12]} on main with tree "
                    f"{body.overlay_tree[:12]} at {body.overlay_folder}",
                    at,
                )
            )
            continue
        audit.findings += _check_anchor(chain, git, body.gitops_commit, repo, at)
    _verify_present_overlays(audit, repo, git, head, newest)
    strayed = read_strayed(git)
    audit.findings += check_strayed(repo, strayed)
    if MAIN in strayed:
        aside = replace(audit, overlays=0)
        _verify_present_overlays(aside, repo, git, strayed[MAIN], newest)
    for commit in history.values():
        if commit.id in known or not commit.parents:
            continue
        changed = git.diff_names(commit.parents[0], commit.id, "environments")
        touched = [path for path in changed if path.split("/")[2:3] not in unreadable]
        if touched:
            audit.findings.append(
                rule.FOREIGN_COMMIT.finding(
                    f"commit {commit.id[:12]} by {commit.author.email} changed "
                    f"{touched[0]} and belongs to no promotion",
                    Location(f"{repo}:{touched[0]}"),
                )
            )


def _verify_present_overlays(
    audit: Audit,
    repo: str,
    git: GitRepository,
    head: str,
    newest: Mapping[str, tuple[Chain, Fact, Promoted]],
) -> None:
    present: dict[str, str] = {}
    for entry in git.read_tree(f"{head}:environments") or ():
        for inner in git.read_tree(f"{head}:environments/{entry.name}") or ():
            present[f"environments/{entry.name}/{inner.name}"] = inner.id
        if not entry.is_tree:
            present[f"environments/{entry.name}"] = entry.id
    audit.overlays += len(present)
    for folder, tree in sorted(present.items()):
        recorded = newest.get(folder)
        if recorded is None and folder.rsplit("/", 1)[1] in audit.unreadable:
            continue
        if recorded is None:
            audit.findings.append(
                rule.OVERLAY_UNKNOWN.finding(
                    "no fact knows this overlay", Location(f"{repo}:{folder}")
                )
            )
        elif tree != recorded[2].overlay_tree:
            chain, fact, body = recorded
            audit.findings.append(
                rule.OVERLAY_TREE.finding(
                    f"{repo}:{folder} is tree {tree[:12]}, this fact recorded "
                    f"{body.overlay_tree[:12]}",
                    chain.location(fact),
                )
            )
    for folder, (chain, fact, _) in sorted(newest.items()):
        if folder not in present:
            audit.findings.append(
                rule.OVERLAY_MISSING.finding(f"{repo}:{folder} is gone", chain.location(fact))
            )
