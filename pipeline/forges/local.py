"""The local forge: bare repositories in a folder, with rules, pull requests and reviews in git.

Layout: `<root>/<organisation>/<repo>.git`. A repository's journal (`pipeline.forges.journal`)
moves by compare-and-swap together with the branches that an operation moves, in one ref
transaction, so a crash leaves an operation done or not done. Plain `git push` by people goes
through a `pre-receive` hook that keeps protected branches and the journal closed.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.journal import (
    JOURNAL_REF,
    Journal,
    parse_pull,
    parse_repo,
    pull_files,
)
from pipeline.forges.port import (
    BranchRule,
    PullRequest,
    PullState,
    RefUpdate,
    RepoSpec,
    RepoView,
    Review,
    ReviewVerdict,
)
from pipeline.forges.rules import check_merge, check_push
from pipeline.gitcli import GitRepository
from pipeline.gitobjects import (
    MODE_TREE,
    GitObject,
    Signature,
    TreeEntry,
    commit_object,
    objects_of_files,
    parse_tree,
    tree_object,
)

_FORGE = Signature("local-forge", "local-forge@users.noreply.pipeline.invalid", 0)
_JOURNAL_TRIES = 200
_HOOK = """#!/bin/sh
# Closed to plain pushes: the journal, and branches whose rule says who may push.
zero=0000000000000000000000000000000000000000
while read -r old new ref; do
  case "$ref" in
    refs/heads/*) ;;
    *) echo "only branches can be pushed here, not $ref" >&2; exit 1 ;;
  esac
  while IFS= read -r pattern; do
    case "$ref" in
      refs/heads/$pattern) echo "$ref is protected: open a pull request" >&2; exit 1 ;;
    esac
  done < "$(dirname "$0")/protected"
  if [ "$new" = "$zero" ]; then echo "$ref: branches are not deleted here" >&2; exit 1; fi
done
exit 0
"""


class LocalForge:
    """A forge of bare repositories below `root`; see `pipeline.forges.port.Forge`."""

    def __init__(self, root: Path, organisation: str) -> None:
        self.root = root
        self.organisation = organisation
        self._open: dict[str, GitRepository] = {}

    def path(self, repo: str) -> Path:
        """Where a repository lies. Raises NotFound for a name that could be a path."""
        if not repo or repo.startswith((".", "-")) or "/" in repo or "\\" in repo:
            raise NotFound(f"`{repo}` is no repository name")
        return self.root / self.organisation / f"{repo}.git"

    def open_repository(self, repo: str) -> GitRepository:
        """The repository's git. Raises NotFound."""
        if repo not in self._open:
            if not (self.path(repo) / "HEAD").exists():
                raise NotFound(f"the forge has no repository `{self.organisation}/{repo}`")
            self._open[repo] = GitRepository(self.path(repo))
        return self._open[repo]

    def close(self) -> None:
        """End the reading processes of all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()

    def url(self, repo: str, number: int) -> str:
        """The address of a pull request, the same on every machine."""
        return f"local:{self.organisation}/{repo}#{number}"

    # -- repositories ------------------------------------------------------------------

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None."""
        if not (self.path(repo) / "HEAD").exists():
            return None
        git = self.open_repository(repo)
        refs = git.read_refs(("refs/heads/", "refs/forge/"))
        journal = self._read_journal_repo(git, refs.get(JOURNAL_REF))
        heads = {
            name.removeprefix("refs/heads/"): id
            for name, id in refs.items()
            if name.startswith("refs/heads/")
        }
        return RepoView(repo, journal.default_branch, heads, journal.rules)

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or created whole by one rename; rules are brought in line."""
        path = self.path(repo)
        if not path.exists():
            self._create(path, spec)
        git = self.open_repository(repo)
        for _ in range(_JOURNAL_TRIES):
            head = git.resolve(JOURNAL_REF)
            journal = self._read_journal_repo(git, head)
            if journal.initial_commit != spec.initial_commit:
                raise ForgeRefused(
                    f"`{repo}` exists with another first commit",
                    help="it was made by hand or by another version; move it away first",
                )
            if journal.rules == spec.rules and journal.description == spec.description:
                break
            wanted = replace(journal, rules=spec.rules, description=spec.description)
            _write_protected(path, spec.rules)
            files = {"repo.json": wanted.repo_files()["repo.json"]}
            if self._move_journal(git, head, files, ()):
                break
        view = self.read_repo(repo)
        if view is None:
            raise NotFound(f"`{repo}` vanished while it was set up")
        return view

    def _create(self, path: Path, spec: RepoSpec) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
        try:
            git = GitRepository.init_bare(building, spec.default_branch)
            journal = Journal(
                spec.description, spec.default_branch, spec.initial_commit, spec.rules, {}
            )
            objects = objects_of_files(journal.files())
            commit = commit_object(objects[-1].id, [], "Create the repository\n", _FORGE, _FORGE)
            git.write_objects([*spec.initial_objects, *objects, commit])
            git.update_refs(
                [
                    RefUpdate(f"refs/heads/{spec.default_branch}", None, spec.initial_commit),
                    RefUpdate(JOURNAL_REF, None, commit.id),
                ]
            )
            git.close()
            hooks = building / "hooks"
            hooks.mkdir(exist_ok=True)
            _write_protected(building, spec.rules)
            (hooks / "pre-receive").write_text(_HOOK)
            (hooks / "pre-receive").chmod(0o755)
            building.chmod(0o755)
            try:
                building.rename(path)
            except OSError:
                # Somebody else made it in the meantime: theirs is as good, if it is the same.
                if not (path / "HEAD").exists():
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)

    # -- refs --------------------------------------------------------------------------

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        """Store objects, then move all refs at once; see the port."""
        git = self.open_repository(repo)
        view = self.read_repo(repo)
        rules = view.rules if view else ()
        for update in updates:
            reason = check_push(rules, update.ref, actor)
            if reason:
                raise ForgeRefused(f"{repo}: {reason}")
        git.write_objects(objects)
        for update in updates:
            if update.old is not None and update.new != update.old:
                known = git.read_object(update.old)
                if known is not None and not git.is_ancestor(update.old, update.new):
                    raise ForgeRefused(f"{repo}: {update.ref} would lose commits")
        git.update_refs(updates)

    # -- pull requests -----------------------------------------------------------------

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        """The pull request of a branch, found or created."""

        def change(pulls: dict[int, PullRequest], heads: dict[str, str]) -> PullRequest:
            head = heads.get(head_branch)
            if base_branch not in heads:
                raise NotFound(f"{repo} has no branch `{base_branch}`")
            for pull in pulls.values():
                if pull.head_branch == head_branch and pull.base_branch == base_branch:
                    if pull.state is PullState.OPEN and pull.author_id == actor:
                        return replace(pull, title=title, body=body)
                    return pull
            if head is None:
                raise NotFound(f"{repo} has no branch `{head_branch}`")
            number = max(pulls, default=0) + 1
            return PullRequest(
                repo=repo,
                number=number,
                title=title,
                body=body,
                head_branch=head_branch,
                head=head,
                base_branch=base_branch,
                author_id=actor,
                state=PullState.OPEN,
                url=self.url(repo, number),
            )

        return self._change_pull(repo, change)

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests by number; two reads of objects however many there are."""
        git = self.open_repository(repo)
        refs = git.read_refs(("refs/heads/", "refs/forge/"))
        return tuple(self._read_pulls(git, refs).values())

    def read_pull(self, repo: str, number: int) -> PullRequest:
        """One pull request. Raises NotFound."""
        for pull in self.read_pulls(repo):
            if pull.number == number:
                return pull
        raise NotFound(f"{repo} has no pull request #{number}")

    def read_pull_of_commit(self, repo: str, commit: str) -> PullRequest | None:
        """The merged pull request whose merge commit this is."""
        return next((p for p in self.read_pulls(repo) if p.merge_commit == commit), None)

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit; base branch and journal move in one transaction."""
        git = self.open_repository(repo)
        for _ in range(_JOURNAL_TRIES):
            refs = git.read_refs(("refs/heads/", "refs/forge/"))
            pull = self._read_pulls(git, refs).get(number)
            if pull is None:
                raise NotFound(f"{repo} has no pull request #{number}")
            if pull.state is PullState.MERGED and pull.head == expected_head and pull.merge_commit:
                return pull.merge_commit
            if pull.state is not PullState.OPEN:
                raise ForgeRefused(f"{pull.url} is {pull.state}")
            if pull.head != expected_head:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, expected {expected_head[:12]}")
            rules = self._read_journal_repo(git, refs.get(JOURNAL_REF)).rules
            reason = check_merge(rules, pull, actor)
            if reason:
                raise ForgeRefused(f"{pull.url}: {reason}")
            base_ref = f"refs/heads/{pull.base_branch}"
            base = refs[base_ref]
            tree = git.merge_tree(base, pull.head)
            signature = Signature(
                f"account {actor}", f"{actor}@users.noreply.pipeline.invalid", time_s
            )
            commit = commit_object(tree, [base, pull.head], message, signature, signature)
            merged = replace(pull, state=PullState.MERGED, merge_commit=commit.id, merged_by=actor)
            git.write_objects([commit])
            if self._move_journal(
                git,
                refs.get(JOURNAL_REF),
                pull_files(merged),
                (RefUpdate(base_ref, base, commit.id),),
            ):
                return commit.id
        raise StalePlan(f"{repo} is too busy to merge #{number}")

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request."""

        def change(pulls: dict[int, PullRequest], heads: dict[str, str]) -> PullRequest:
            pull = pulls.get(number)
            if pull is None:
                raise NotFound(f"{repo} has no pull request #{number}")
            if pull.state is PullState.MERGED:
                raise ForgeRefused(f"{pull.url} is merged")
            return replace(pull, state=PullState.CLOSED)

        self._change_pull(repo, change)

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        """Record a review of the head commit."""

        def change(pulls: dict[int, PullRequest], heads: dict[str, str]) -> PullRequest:
            pull = pulls.get(number)
            if pull is None:
                raise NotFound(f"{repo} has no pull request #{number}")
            if pull.head != commit:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, not at {commit[:12]}")
            if pull.author_id == actor and verdict is ReviewVerdict.APPROVED:
                raise ForgeRefused(f"{pull.url}: nobody approves their own pull request")
            for review in pull.reviews:
                same = (review.user_id, review.commit, review.verdict, review.body)
                if same == (actor, commit, verdict, body) and review is pull.reviews[-1]:
                    return pull
            review = Review(len(pull.reviews) + 1, actor, commit, verdict, body)
            return replace(pull, reviews=(*pull.reviews, review))

        return self._change_pull(repo, change).reviews[-1]

    # -- the journal -------------------------------------------------------------------

    def _change_pull(
        self, repo: str, change: Callable[[dict[int, PullRequest], dict[str, str]], PullRequest]
    ) -> PullRequest:
        """The pull request after a change, written unless it is as it was."""
        git = self.open_repository(repo)
        for attempt in range(_JOURNAL_TRIES):
            refs = git.read_refs(("refs/heads/", "refs/forge/"))
            pulls = self._read_pulls(git, refs)
            heads = {n.removeprefix("refs/heads/"): i for n, i in refs.items()}
            changed = change(dict(pulls), heads)
            if pulls.get(changed.number) == changed:
                return changed
            if self._move_journal(git, refs.get(JOURNAL_REF), pull_files(changed), ()):
                return changed
            time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 10)))
        raise StalePlan(f"{repo} is too busy to record a pull request")

    def _read_journal_repo(self, git: GitRepository, head: str | None) -> Journal:
        found = git.read_object(f"{head}:repo.json") if head else None
        if found is None:
            raise NotFound(f"{git.path.name} is no repository of a local forge (no journal)")
        return parse_repo(found.content)

    def _read_pulls(self, git: GitRepository, refs: dict[str, str]) -> dict[int, PullRequest]:
        listing = git.list_files(refs.get(JOURNAL_REF, ""), "pulls") if JOURNAL_REF in refs else {}
        found = git.read_objects([id for _, id in listing.values()])
        grouped: dict[int, tuple[list[bytes], list[bytes]]] = {}
        for path, item in zip(listing, found, strict=True):
            if item is not None:
                own, reviews = grouped.setdefault(int(path.split("/")[0]), ([], []))
                (own if path.endswith("/pull.json") else reviews).append(item.content)
        pulls: dict[int, PullRequest] = {}
        for number, (own, reviews) in sorted(grouped.items()):
            pull = parse_pull(own[0], reviews)
            head = refs.get(f"refs/heads/{pull.head_branch}")
            if pull.state is PullState.OPEN and head:
                pull = replace(pull, head=head)
            pulls[number] = pull
        return pulls

    def _move_journal(
        self,
        git: GitRepository,
        head: str | None,
        files: dict[str, tuple[int, bytes]],
        updates: tuple[RefUpdate, ...],
    ) -> bool:
        """Whether the journal, with these files written over it, and `updates` moved together."""
        root = {e.name: e for e in git.read_tree(head) or ()} if head else {}
        objects: list[GitObject] = []
        own = {p: f for p, f in files.items() if "/" not in p}
        for made in objects_of_files(own)[:-1] if own else ():
            objects.append(made)
        if own:
            root |= {e.name: e for e in parse_tree(objects_of_files(own)[-1].content)}
        folders = {p.split("/")[1]: {} for p in files if p.startswith("pulls/")}  # type: dict[str, dict[str, tuple[int, bytes]]]
        for path, file in files.items():
            if path.startswith("pulls/"):
                _, number, rest = path.split("/", 2)
                folders[number][rest] = file
        if folders:
            pulls = {e.name: e for e in git.read_tree(f"{head}:pulls") or ()} if head else {}
            for number, inner in folders.items():
                made_tree = objects_of_files(inner)
                objects += made_tree
                pulls[number] = TreeEntry(MODE_TREE, number, made_tree[-1].id)
            pulls_tree = tree_object(pulls.values())
            objects.append(pulls_tree)
            root["pulls"] = TreeEntry(MODE_TREE, "pulls", pulls_tree.id)
        tree = tree_object(root.values())
        commit = commit_object(
            tree.id, [head] if head else [], "Record in the journal\n", _FORGE, _FORGE
        )
        git.write_objects([*objects, tree, commit])
        try:
            git.update_refs([RefUpdate(JOURNAL_REF, head, commit.id), *updates])
        except StalePlan:
            return False
        return True


def _write_protected(path: Path, rules: Iterable[BranchRule]) -> None:
    """The patterns that the hook keeps closed to plain pushes, one a line."""
    hooks = path / "hooks"
    hooks.mkdir(exist_ok=True)
    lines = sorted(r.pattern for r in rules if r.push is not None)
    staged = hooks / f"protected.{os.getpid()}"
    staged.write_text("".join(f"{line}\n" for line in lines))
    staged.replace(hooks / "protected")
