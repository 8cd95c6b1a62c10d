"""Audit: proof from clones alone that what runs was asked for, built once and approved.

`verify` reads a clone of the control repo and clones of the repositories that facts name; it
asks no forge and trusts no status. It checks the chain and fold of every draft, that every
overlay on a GitOps default branch is a recorded promotion and the other way round, that one
source tree has one digest, that a trusted signer stated what each image was built from, that
causes and sources are there, and that nobody else wrote to what the pipeline owns (design §2).
Facts vouch for each other across repositories: a commit's `Fact:` trailer names a hash that must
be in the chain, so a rewritten state branch shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.control import MAIN, read_snapshot
from pipeline.diagnostics import Finding, Location, Verdict, sort_findings, verdict_of
from pipeline.errors import CouldNotCheck
from pipeline.facts import (
    BrokenChain,
    FactFile,
    fact_bytes,
    fact_path,
    fold,
    hash_of,
    parse_chain,
    status_bytes,
    status_path,
)
from pipeline.gitcli import GitRepository
from pipeline.models.evidence import BuildRecord
from pipeline.models.facts import (
    Built,
    Fact,
    PatchApplied,
    Promoted,
    Scaffolded,
)
from pipeline.models.requests import CodeOrigin, Platform, Signers
from pipeline.models.status import DraftStatus
from pipeline.names import gitops_repo, primitive_folder
from pipeline.provenance import Claim, provenance_problem
from pipeline.rules import audit as rule
from pipeline.snapshot import Snapshot
from pipeline.stages.scaffold import PIPELINE_EMAIL
from pipeline.tools.bundlecheck import verify_bundles

_ORIGIN = "refs/remotes/origin/"
OpenRepository = Callable[[str], GitRepository | None]


@dataclass(frozen=True)
class Chain:
    """One draft as its state branch records it."""

    draft: str
    branch: str
    facts: tuple[Fact, ...]
    status: DraftStatus
    hashes: frozenset[str]

    def location(self, fact: Fact) -> Location:
        """Where a fact lies, for a finding that names it."""
        path = fact_path(self.status.primitive_id, fact.sequence, fact.body.type)
        return Location(f"{self.branch}:{path}")


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified and what was found."""

    findings: tuple[Finding, ...]
    drafts: int
    facts: int
    overlays: int
    repositories: int

    @property
    def verdict(self) -> Verdict:
        """Valid only if everything could be read and added up."""
        return verdict_of(self.findings)


@dataclass
class _Audit:
    control: GitRepository
    open_repository: OpenRepository
    platform: Platform
    snapshot: Snapshot
    main: frozenset[str]  # every commit of main: an object that only another branch holds is none
    findings: list[Finding] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    # Overlay folders of drafts whose chain is broken: that is the finding, not what follows.
    unreadable: set[str] = field(default_factory=set)
    facts: int = 0
    overlays: int = 0
    policies: dict[str, Snapshot] = field(default_factory=dict)


def read_branches(git: GitRepository) -> dict[str, str]:
    """Branch → head: local branches, and above them what a clone last saw of its origin."""
    local = {n.removeprefix("refs/heads/"): id for n, id in git.read_refs(("refs/heads/",)).items()}
    remote = git.read_refs((_ORIGIN,))
    seen = {n.removeprefix(_ORIGIN): id for n, id in remote.items() if not n.endswith("/HEAD")}
    return {**local, **seen}


def read_strayed(git: GitRepository) -> dict[str, str]:
    """Branch → local head of those that hold commits which origin, as last seen, does not.

    Somebody committed in this clone, or origin was put back or rewritten since it was made.
    """
    strayed = {}
    for ref, head in git.read_refs(("refs/heads/",)).items():
        branch = ref.removeprefix("refs/heads/")
        seen = git.resolve(_ORIGIN + branch)
        if seen is not None and seen != head and not git.is_ancestor(head, seen):
            strayed[branch] = head
    return strayed


def _check_strayed(repo: str, strayed: Mapping[str, str]) -> Iterator[Finding]:
    for branch, head in strayed.items():
        yield rule.FOREIGN_COMMIT.finding(
            f"`{branch}` at {head[:12]} holds commits that origin does not have: they were made "
            "in this clone, or origin was rewritten since",
            Location(f"{repo}:{branch}"),
        )


def verify(control: GitRepository, open_repository: OpenRepository) -> AuditReport:
    """The report over a control clone and the clones that `open_repository` finds by name.

    Raises CouldNotCheck when the control repo has no main or no valid platform file.
    """
    branches = read_branches(control)
    if MAIN not in branches:
        raise CouldNotCheck("the control clone has no branch `main`")
    snapshot = read_snapshot(control, branches[MAIN], paths=()).snapshot
    if snapshot.platform is None:
        raise CouldNotCheck("environments/platform.yaml is missing or invalid on main")
    main = control.list_commits(branches[MAIN])
    audit = _Audit(control, open_repository, snapshot.platform, snapshot, main)
    strayed = read_strayed(control)
    audit.findings += _check_strayed("control", strayed)
    for branch, head in sorted(branches.items()):
        if branch.startswith("state/"):
            _verify_state_branch(audit, branch, head)
            if branch in strayed:
                # Judged too, so that the fact is named; what origin has stays what counts.
                aside = replace(audit, chains=[], facts=0)
                _verify_state_branch(aside, branch, strayed[branch])
    repositories = _verify_repositories(audit)
    for chain in audit.chains:
        audit.findings += _check_chain(audit, chain)
    audit.findings += _check_provenance(audit)
    return AuditReport(
        sort_findings(audit.findings), len(audit.chains), audit.facts, audit.overlays, repositories
    )


# -- state branches ----------------------------------------------------------------------


def _verify_state_branch(audit: _Audit, branch: str, head: str) -> None:
    tenant = branch.removeprefix("state/")
    by_draft: dict[str, list[FactFile]] = {}
    statuses: dict[str, bytes] = {}
    for path, (_, content) in sorted(audit.control.read_files(head, "").items()):
        parts = path.split("/")
        if len(parts) == 4 and parts[0] == "drafts" and parts[2] == "facts":
            by_draft.setdefault(parts[1], []).append(FactFile(path, content))
        elif len(parts) == 3 and parts[0] == "drafts" and parts[2] == "status.yaml":
            statuses[parts[1]] = content
        else:
            audit.findings.append(
                rule.STATE_FILE.finding(
                    f"`{path}` belongs to nothing", Location(f"{branch}:{path}")
                )
            )
    for primitive in sorted({*by_draft, *statuses}):
        chain = _read_chain(
            audit, branch, f"{tenant}/{primitive}", by_draft.get(primitive, []), statuses
        )
        if chain is not None:
            audit.chains.append(chain)
        else:
            audit.unreadable |= {primitive, f"{tenant}--{primitive}"}
    hashes = {c.draft: c.hashes for c in audit.chains if c.branch == branch}
    for commit in audit.control.log_commits(head, first_parent=True):
        if commit.author.email != PIPELINE_EMAIL or commit.committer.email != PIPELINE_EMAIL:
            audit.findings.append(
                rule.FOREIGN_COMMIT.finding(
                    f"commit {commit.id[:12]} by {commit.author.email} is on `{branch}`",
                    Location(branch),
                )
            )
        for name, value in commit.trailers:
            draft, _, fact = value.partition(" ")
            if name == "Fact" and draft in hashes and fact not in hashes[draft]:
                audit.findings.append(
                    rule.FACT_ANCHOR.finding(
                        f"commit {commit.id[:12]} recorded {fact}, "
                        f"which the chain of {draft} lacks",
                        Location(f"{branch}:{status_path(draft.split('/')[1])}"),
                    )
                )


def _read_chain(
    audit: _Audit,
    branch: str,
    draft: str,
    files: list[FactFile],
    statuses: Mapping[str, bytes],
) -> Chain | None:
    primitive = draft.split("/")[1]
    audit.facts += len(files)
    try:
        facts = parse_chain(draft, files)
        status = fold(facts)
    except BrokenChain as broken:
        audit.findings.append(
            rule.FACT_CHAIN.finding(broken.message, Location(f"{branch}:{broken.file}"))
        )
        return None
    at = Location(f"{branch}:{status_path(primitive)}")
    recorded = statuses.get(primitive)
    if status is None:
        audit.findings.append(rule.FACT_CHAIN.finding("there is a status without facts", at))
        return None
    if recorded != status_bytes(status):
        newest = fact_path(primitive, facts[-1].sequence, facts[-1].body.type)
        audit.findings.append(
            rule.STATUS_FOLD.finding(f"is not the fold of the facts up to {newest}", at)
        )
    hashes = frozenset(hash_of(fact_bytes(f)) for f in facts)
    return Chain(draft, branch, facts, status, hashes)


# -- repositories ------------------------------------------------------------------------


def _promotions(chains: Iterable[Chain]) -> Iterator[tuple[Chain, Fact, Promoted]]:
    for chain in chains:
        for fact in chain.facts:
            if isinstance(fact.body, Promoted):
                yield chain, fact, fact.body


def _verify_repositories(audit: _Audit) -> int:
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


def _possible_gitops_repos(audit: _Audit) -> set[str]:
    """Where overlays may lie though no fact says so any more: a state branch may be gone."""
    platform = audit.platform.platform
    return {
        gitops_repo(platform, tenant, origin)
        for tenant in audit.snapshot.tenant_ids
        for origin in (CodeOrigin.TENANT, CodeOrigin.PLATFORM)
    }


def _verify_sources(audit: _Audit, repo: str, git: GitRepository) -> None:
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


def _verify_overlays(audit: _Audit, repo: str, git: GitRepository) -> None:
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
    for chain, fact, body in _promotions(audit.chains):
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
    audit.findings += _check_strayed(repo, strayed)
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
    audit: _Audit,
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


# -- one draft ---------------------------------------------------------------------------


def _check_chain(audit: _Audit, chain: Chain) -> Iterator[Finding]:
    yield from _check_digests(chain)
    for fact in chain.facts:
        yield from _check_cause(audit, chain, fact)
        if isinstance(fact.body, Promoted):
            yield from _check_approvals(audit, chain, fact, fact.body)


def _check_digests(chain: Chain) -> Iterator[Finding]:
    built = {
        f.body.build.source_tree: f.body.build.digest
        for f in chain.facts
        if isinstance(f.body, Built)
    }
    for _, fact, body in _promotions([chain]):
        expected = built.get(body.release.source_tree)
        if body.release.digest != expected:
            yield rule.DIGEST_DIFFERS.finding(
                f"{body.environment} got {body.release.digest}, the source was built as {expected}",
                chain.location(fact),
            )


def _check_cause(audit: _Audit, chain: Chain, fact: Fact) -> Iterator[Finding]:
    cause = fact.cause
    on_main = cause.commit in audit.main
    found = audit.control.read_object(f"{cause.commit}:{cause.request}") if on_main else None
    if found is None or found.id != cause.blob:
        yield rule.CAUSE_MISSING.finding(
            f"main has no {cause.request} at {cause.commit[:12]} with that content",
            chain.location(fact),
        )


def _policy_at(audit: _Audit, commit: str) -> Snapshot | None:
    """The policy at a commit of the control repo; None where there is no such commit."""
    if commit not in audit.policies:
        if audit.control.read_object(commit) is None:
            return None
        audit.policies[commit] = read_snapshot(audit.control, commit, paths=()).snapshot
    return audit.policies[commit]


def _check_provenance(audit: _Audit) -> Iterator[Finding]:
    """What ran was built from its source by somebody who was trusted when it was promoted."""
    asked: list[tuple[Chain, Fact, BuildRecord, Signers]] = []
    for chain, fact, body in _promotions(audit.chains):
        policy = _policy_at(audit, fact.cause.commit)
        environment = policy.environments.get(body.environment) if policy else None
        # Without signers no environment could ask for a statement.
        if policy is None or policy.signers is None or environment is None:
            continue
        build = _build_of(chain, body.release.source_tree)
        if build is not None and environment.provenance == "required":
            asked.append((chain, fact, build, policy.signers))
    bundles = [(build.bundle, signers) for _, _, build, signers in asked if build.bundle]
    found = iter(verify_bundles(bundles))
    for chain, fact, build, signers in asked:
        verified = next(found) if build.bundle else None
        status = chain.status
        claim = Claim(
            build.model_copy(update={"image": status.image}),
            status.target_repo,
            primitive_folder(status.instance),
        )
        problem = provenance_problem(verified, claim, signers)
        if problem is not None:
            yield rule.PROVENANCE_INVALID.finding(
                f"{problem[0].id}: {problem[1]}", chain.location(fact)
            )


def _build_of(chain: Chain, tree: str) -> BuildRecord | None:
    """The record of a source tree's image, with its statement."""
    for fact in chain.facts:
        if isinstance(fact.body, Built) and fact.body.build.source_tree == tree:
            return fact.body.build
    return None


def _check_approvals(audit: _Audit, chain: Chain, fact: Fact, body: Promoted) -> Iterator[Finding]:
    commit = fact.cause.commit
    policy_then = _policy_at(audit, commit)
    if policy_then is None:
        return
    environment = policy_then.environments.get(body.environment)
    platform = policy_then.platform
    if environment is None or platform is None:
        yield rule.APPROVALS_SHORT.finding(
            f"`{body.environment}` had no valid policy at {commit[:12]}", chain.location(fact)
        )
        return
    policy = environment.approval_for(chain.status.risk_tier)
    if policy is None:
        return
    people = set(body.approved_by) & platform.members(policy.teams) - {fact.cause.actor}
    if len(people) < policy.count:
        yield rule.APPROVALS_SHORT.finding(
            f"{len(people)} of {policy.count} approvals for {body.environment}",
            chain.location(fact),
        )
