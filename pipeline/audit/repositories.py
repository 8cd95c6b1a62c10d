"""Code and GitOps repositories: all their content, and every commit that brought it.

Everything in a GitOps repository has an origin: the first commit is the one that provisioning
makes; a change of `environments/` is a recorded promotion or restores one; content outside came
with a merge that the pipeline made. What people merge into a code repository is theirs until a fact
names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.audit import rules as rule
from pipeline.audit.objects import Objects, Tree
from pipeline.audit.reading import Audit, Sealed
from pipeline.diagnostics import Finding, Location, Rule
from pipeline.git.commits import PIPELINE_EMAIL, Commit, account_of_email
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Promoted, Retired
from pipeline.names import overlay_folder, primitive_folder

ENVIRONMENTS_FOLDER = "environments"
# Trailers of the pipeline's commits on a GitOps main other than promotions.
RESTORES = "Restores"
PROPOSAL = "Proposal"
_NO_TREE: Tree = {}


@dataclass
class RepositoryCase:
    """One clone: its branches now, and the heads that earlier audits verified."""

    audit: Audit
    objects: Objects
    branches: Mapping[str, str]
    verified: Mapping[str, str] = field(default_factory=dict)
    is_gitops: bool = False

    @property
    def name(self) -> str:
        """The repository's name."""
        return self.objects.name

    @property
    def main(self) -> str | None:
        """The head of its default branch."""
        return self.branches.get("main")

    def at(self, path: str) -> Location:
        """A location in the repository."""
        return Location(f"{self.name}:{path}")

    @cached_property
    def line(self) -> list[Commit]:
        """The commits of main that no earlier audit verified, oldest first."""
        return self.objects.line(self.main, self.verified.get("main")) if self.main else []

    @cached_property
    def known(self) -> dict[str, tuple[str, str]]:
        """Commit → the overlay folder that it changed and its tree then, empty if taken out,
        by the facts of chains read now."""
        return {
            body.gitops_commit: (
                overlay_folder(body.environment, chain.status.instance),
                body.overlay_tree if isinstance(body, Promoted) else "",
            )
            for chain in self.audit.chains.values()
            for body in (fact.body for fact in chain.facts)
            if isinstance(body, Promoted | Retired) and chain.status.gitops_repo == self.name
        }


# -- the commits of a GitOps main, one by one ------------------------------------------------


def overlays_at(objects: Objects, commit: Commit) -> dict[str, tuple[int, str]]:
    """Path → mode and id of entries two levels below `environments/`, and of files above those."""
    found: dict[str, tuple[int, str]] = {}
    top = objects.tree(commit.tree).get(ENVIRONMENTS_FOLDER)
    if top is None:
        return found
    if not top.is_tree:
        return {ENVIRONMENTS_FOLDER: (top.mode, top.id)}
    for environment in objects.tree(top.id).values():
        path = f"{ENVIRONMENTS_FOLDER}/{environment.name}"
        if not environment.is_tree:
            found[path] = (environment.mode, environment.id)
            continue
        for entry in objects.tree(environment.id).values():
            found[f"{path}/{entry.name}"] = (entry.mode, entry.id)
    return found


def _environments_id(objects: Objects, commit: Commit) -> str:
    entry = objects.tree(commit.tree).get(ENVIRONMENTS_FOLDER)
    return entry.id if entry is not None else ""


def _changes(case: RepositoryCase, commit: Commit) -> dict[str, str]:
    """Overlay folder → its tree after the commit, for changed folders; empty if removed."""
    objects = case.objects
    parent = objects.commit(commit.parents[0]) if commit.parents else None
    if parent and _environments_id(objects, parent) == _environments_id(objects, commit):
        return {}
    before = overlays_at(objects, parent) if parent else {}
    now = overlays_at(objects, commit)
    return {p: now.get(p, (0, ""))[1] for p in {*before, *now} if before.get(p) != now.get(p)}


def check_overlay_commits(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for commits that change overlays without promoting or restoring one."""
    if not case.is_gitops:
        return
    sealed = {
        folder: found.tree
        for (repo, folder), found in case.audit.sealed_before.items()
        if repo == case.name
    }
    for commit in case.line:
        promoted = case.known.get(commit.id)
        if promoted is not None:
            sealed[promoted[0]] = promoted[1]
        changed = _changes(case, commit)
        wrong = [
            path
            for path, tree in sorted(changed.items())
            if path.split("/")[2:3] not in [[name] for name in case.audit.unreadable]
            and (
                tree != sealed.get(path, "")
                or (promoted is None and not is_restoring(case.objects, commit))
                or (promoted is not None and path != promoted[0])
            )
        ]
        case.audit.proves("commits of GitOps repositories accounted for", not wrong)
        if wrong:
            yield rule.AUDIT_FOREIGN_COMMIT.finding(
                f"commit {commit.id[:12]} by {commit.author.email} changed "
                f"{wrong[0]} and belongs to no promotion",
                case.at(wrong[0]),
                commit=f"{case.name}@{commit.id}",
            )


def is_restoring(objects: Objects, commit: Commit) -> bool:
    """Whether a commit, or the one it merged, is a restoration by the pipeline."""
    merged = [objects.commit(commit.parents[-1])] if len(commit.parents) > 1 else []
    return any(
        c.author.email == PIPELINE_EMAIL and any(name == RESTORES for name, _ in c.trailers)
        for c in (commit, *merged)
    )


def check_other_commits(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for changes outside `environments/` that the pipeline did not merge."""
    if not case.is_gitops:
        return
    for commit in case.line:
        if not commit.parents:
            continue
        parent = case.objects.commit(commit.parents[0])
        before, now = case.objects.tree(parent.tree), case.objects.tree(commit.tree)
        changed = sorted(
            name
            for name in {*before, *now} - {ENVIRONMENTS_FOLDER}
            if before.get(name) != now.get(name)
        )
        if changed and not _is_proposal(case, commit):
            yield rule.AUDIT_FOREIGN_COMMIT.finding(
                f"commit {commit.id[:12]} by {commit.author.email} changed {changed[0]} "
                "and was not merged by the pipeline",
                case.at(changed[0]),
                commit=f"{case.name}@{commit.id}",
            )
        elif changed:
            case.audit.trusts("who proposed and approved what lies beside overlays", "the forge")


def _is_proposal(case: RepositoryCase, commit: Commit) -> bool:
    """Whether this commit is a merge of a person's proposal by the pipeline's account."""
    merged_by = account_of_email(commit.author.email)
    is_ours = merged_by == case.audit.platform.pipeline_account.id and len(commit.parents) == 2
    return is_ours and any(name == PROPOSAL for name, _ in commit.trailers)


def check_modes(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for links, submodules and other modes in a GitOps repository."""
    if not case.is_gitops or case.main is None:
        return
    root = case.objects.commit(case.main).tree
    for path, entry in sorted(case.objects.listing(root).items()):
        below = path.startswith(f"{ENVIRONMENTS_FOLDER}/")
        if entry.mode != MODE_FILE and (below or entry.mode != MODE_EXECUTABLE):
            yield rule.AUDIT_FILE_MODE.finding(
                f"`{path}` has mode {entry.mode:o}, which is not a plain file", case.at(path)
            )


# -- the present content ----------------------------------------------------------------------


def check_overlays(case: RepositoryCase) -> Iterator[Finding]:
    """Findings unless main holds exactly the newest promoted overlays."""
    if not case.is_gitops or case.main is None:
        return
    sealed = {f: s for (repo, f), s in case.audit.sealed.items() if repo == case.name}
    present = overlays_at(case.objects, case.objects.commit(case.main))
    case.audit.overlays += len(present)
    yield from compare_overlays(case, present, sealed)


def compare_overlays(
    case: RepositoryCase, present: Mapping[str, tuple[int, str]], sealed: Mapping[str, Sealed]
) -> Iterator[Finding]:
    """Findings for differences between the present overlays and those that facts sealed."""
    for folder, (_, tree) in sorted(present.items()):
        found = sealed.get(folder)
        if found is None and folder.rsplit("/", 1)[1] in case.audit.unreadable:
            continue
        if found is None:
            yield rule.AUDIT_OVERLAY_WITHOUT_FACT.finding(
                "no fact knows this overlay", case.at(folder)
            )
        elif tree != found.tree:
            yield rule.AUDIT_OVERLAY_TREE.finding(
                f"{case.name}:{folder} is tree {tree[:12]}, this fact recorded {found.tree[:12]}",
                found.location,
            )
    for folder, found in sorted(sealed.items()):
        if folder not in present:
            yield rule.AUDIT_OVERLAY_MISSING.finding(
                f"{case.name}:{folder} is gone", found.location
            )


def check_running_digests(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for running digests that today's policy blocks."""
    for (repo, folder), found in sorted(case.audit.sealed.items()):
        if repo == case.name and found.digest in case.audit.snapshot.blocked_digests:
            yield rule.AUDIT_DIGEST_BLOCKED.finding(
                f"{repo}:{folder} runs {found.digest}, which is blocked", found.location
            )


def check_trailers(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for the pipeline's commits whose `Fact:` is not in their draft's chain."""
    heads = [head for branch, head in sorted(case.branches.items())]
    seen = [head for head in case.verified.values() if case.objects.has(head)]
    for commit in case.objects.history(dict.fromkeys(heads), set(seen)):
        if commit.author.email != PIPELINE_EMAIL:
            continue
        trailers = dict(commit.trailers)
        draft, hash = DraftId(trailers.get("Draft", "")), trailers.get("Fact", "")
        if not draft or draft.primitive in case.audit.unreadable:
            continue
        chain = case.audit.chain_of(draft)
        if chain is None:
            yield _lost(case, commit, rule.AUDIT_DRAFT_LOST, f"draft `{draft}`, which has no facts")
        elif hash not in chain.hashes:
            yield _lost(
                case, commit, rule.AUDIT_FACT_ANCHOR, f"{hash}, which the chain of {draft} lacks"
            )
        else:
            case.audit.proves("commits that rest on a fact of their draft")


def _lost(case: RepositoryCase, commit: Commit, found: Rule, what: str) -> Finding:
    trailers = dict(commit.trailers)
    draft = DraftId(trailers.get("Draft", ""))
    chain = case.audit.chain_of(draft)
    at = chain.location(chain.facts[-1]) if chain else Location(f"state/{draft.tenant}")
    by = f"{case.name}@{commit.id}"
    return found.finding(f"{case.name}@{commit.id[:12]} rests on {what}", at, commit=by)


def check_folders(case: RepositoryCase) -> Iterator[Finding]:
    """Findings for primitives' folders on the default branch that belong to no draft."""
    if case.is_gitops or case.main is None:
        return
    entry = case.objects.at(case.main, primitive_folder("x").partition("/")[0])
    names = case.objects.tree(entry.id) if entry is not None and entry.is_tree else _NO_TREE
    known = case.audit.instances
    for name in sorted(names):
        if (case.name, name) not in known:
            yield rule.AUDIT_FOLDER_WITHOUT_DRAFT.finding(
                f"no draft put `{name}` there", case.at(primitive_folder(name))
            )
    if "main" not in case.verified:
        case.audit.trusts("what lies on the default branch of code beside drafts", "its owners")
