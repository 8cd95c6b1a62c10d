"""The local forge: bare repositories in a folder, with rules, pull requests and reviews in git.

Layout: `<root>/<organisation>/<repo>.git`. A repository's journal (`pipeline.forges.local.journal`)
moves by compare-and-swap together with the branches that an operation moves, in one ref
transaction, so a crash leaves an operation done or not done. Plain `git push` by people goes
through a `pre-receive` hook that keeps protected branches and the journal closed.
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.branch_rules import (
    check_close,
    check_merge,
    check_push,
    is_open_to_all,
    newest_review,
)
from pipeline.forges.local.fingerprint import read_ref_fingerprint
from pipeline.forges.local.hook import write_hook
from pipeline.forges.local.journal import (
    JOURNAL_REF,
    Journal,
    check_files,
    comment_files,
    head_files,
    objects_over,
    pull_files,
    pull_folder,
    read_checks,
    read_comments,
    read_folders,
    read_journal,
    read_journal_commit,
    read_numbers,
    read_pull_folders,
    read_pushes,
)
from pipeline.forges.local.pulls import HEADS, at_head, new_pull, reworded
from pipeline.forges.local.pushers import read_files_of_openings, read_files_of_pushes
from pipeline.forges.local.upkeep import keep_up
from pipeline.forges.port import (
    BranchRule,
    Check,
    Comment,
    PullAsk,
    PullRequest,
    PullState,
    Push,
    RepoSpec,
    RepoView,
    Review,
    ReviewVerdict,
)
from pipeline.git.commits import walk_back
from pipeline.git.objects import (
    Files,
    GitObject,
    RefUpdate,
    Signature,
    commit_object,
    objects_of_files,
)
from pipeline.git.repository import GitRepository

_FORGE = Signature("local-forge", "local-forge@users.noreply.pipeline.invalid", 0)
# Each may keep two processes and their pipes; one that was closed begins them anew when used.
_OPEN_REPOSITORIES = 32
_JOURNAL_TRIES = 200
_FEW_BRANCHES = 20
_REFS = (HEADS, "refs/forge/")
_REPO_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")


class LocalForge:
    """A forge of bare repositories below `root`; see `pipeline.forges.port.Forge`."""

    def __init__(self, root: Path, organisation: str) -> None:
        if not _REPO_NAME.match(organisation):
            raise NotFound(f"`{organisation}` is no organisation name")
        self.root = root
        self.organisation = organisation
        self._open: dict[str, GitRepository] = {}
        # Folder tree id → pull request as it lies there. Trees never change, so it is never stale.
        self._parsed: dict[str, PullRequest] = {}

    def path(self, repo: str) -> Path:
        """Where a repository lies. Raises NotFound for a name that could be a path."""
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is no repository name")
        path = self.root / self.organisation / f"{repo}.git"
        if path.is_symlink():
            raise NotFound(f"`{repo}` is a link to somewhere else, and no repository of the forge")
        return path

    def open_repository(self, repo: str) -> GitRepository:
        """The repository's git, with its processes kept for a few repositories at a time.

        Raises NotFound.
        """
        path = self.path(repo)
        if not (path / "HEAD").exists():
            raise NotFound(f"the forge has no repository `{self.organisation}/{repo}`")
        git = self._open.pop(repo, None) or GitRepository(path)
        self._open[repo] = git  # the one used last comes last
        if len(self._open) > _OPEN_REPOSITORIES:
            oldest = next(iter(self._open))
            self._open.pop(oldest).close()
        return git

    def close(self) -> None:
        """End the reading processes of all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()

    @property
    def account(self) -> int | None:
        """None: anybody may be said to act."""
        return None

    def cost(self) -> str:
        """Nothing: it lies on this machine."""
        return ""

    def url(self, repo: str, number: int) -> str:
        """The address of a pull request, the same on every machine."""
        return f"local:{self.organisation}/{repo}#{number}"

    # -- repositories ------------------------------------------------------------------

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None."""
        if not (self.path(repo) / "HEAD").exists():
            return None
        git = self.open_repository(repo)
        refs = git.read_refs(_REFS)
        return _view_of(repo, refs, read_journal(git, refs.get(JOURNAL_REF)))

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        """The rules in the journal. Raises NotFound."""
        return read_journal(self.open_repository(repo), JOURNAL_REF).rules

    def read_required_checks(self, repo: str, branch: str) -> Mapping[str, int | None]:
        """None: whoever may merge in a local forge looks by themselves."""
        self.open_repository(repo)
        return {}

    def read_environment(self, repo: str, name: str) -> tuple[str, ...]:
        """Raises NotFound: no workflow is run here."""
        raise NotFound(f"a local forge has no environment `{name}`")

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        """Text that changes with any ref; the journal, and so every pull request, is one."""
        found: dict[str, str] = {}
        for repo in repos:
            # One that is a link or may not be read has none to give, and the others have theirs.
            with suppress(NotFound, OSError):
                path = self.path(repo)
                told = read_ref_fingerprint(path) if (path / "HEAD").exists() else "absent"
                if told is not None:
                    found[repo] = told
        return found

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or created whole by one rename; rules are brought in line."""
        path = self.path(repo)
        if not path.exists():
            self._create(path, spec)
        git = self.open_repository(repo)
        for attempt in range(_JOURNAL_TRIES):
            refs = git.read_refs(_REFS)
            journal = read_journal(git, refs.get(JOURNAL_REF))
            if journal.initial_commit != spec.initial_commit:
                raise ForgeRefused(
                    f"`{repo}` exists with another first commit",
                    help="it was made by hand or by another version; move it away first",
                )
            write_hook(path, spec.rules)
            if journal.rules == spec.rules and journal.description == spec.description:
                return _view_of(repo, refs, journal)
            wanted = replace(journal, rules=spec.rules, description=spec.description)
            if self._move_journal(git, refs.get(JOURNAL_REF), wanted.files(), ()):
                return _view_of(repo, refs, wanted)
            _wait(attempt)
        raise _too_busy(repo, "change its rules")

    def ensure_rules(
        self, repo: str, rules: tuple[BranchRule, ...], *, teams: tuple[str, ...] = ()
    ) -> None:
        """The rules, in the journal and in the hook that holds people's pushes."""
        git = self.open_repository(repo)
        write_hook(self.path(repo), rules)
        for attempt in range(_JOURNAL_TRIES):
            head = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
            journal = read_journal(git, head)
            wanted = replace(journal, rules=rules)
            if wanted == journal or self._move_journal(git, head, wanted.files(), ()):
                return
            _wait(attempt)
        raise _too_busy(repo, "change its rules")

    def _create(self, path: Path, spec: RepoSpec) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
        try:
            git = GitRepository.init_bare(building, spec.default_branch)
            journal = Journal(
                spec.description, spec.default_branch, spec.initial_commit, spec.rules
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
            write_hook(building, spec.rules)
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
        rules = read_journal(git, JOURNAL_REF).rules
        for update in updates:
            reason = check_push(rules, update.ref, actor)
            if reason:
                raise ForgeRefused(f"{repo}: {reason}")
        made = {item.id: item for item in objects}
        git.write_objects(made.values())
        for update in updates:
            if update.old is not None and not _is_forward(git, made, update.old, update.new):
                raise ForgeRefused(f"{repo}: {update.ref} would lose commits")
        seen = [u for u in updates if is_open_to_all(rules, u.ref)]
        if not seen:
            git.update_refs(updates)
            keep_up(git)
        else:
            self._push_seen(git, repo, updates, seen, actor)

    def _push_seen(
        self,
        git: GitRepository,
        repo: str,
        updates: tuple[RefUpdate, ...],
        seen: Sequence[RefUpdate],
        actor: int,
    ) -> None:
        """Move refs, and keep in the journal who moved those that anybody may."""
        for attempt in range(_JOURNAL_TRIES):
            journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
            files = read_files_of_pushes(git, journal, seen, actor)
            if not files:
                git.update_refs(updates)
                keep_up(git)
                return
            if self._move_journal(git, journal, files, updates):
                return
            now = git.resolve_all([update.ref for update in updates])
            for update in updates:
                if now.get(update.ref) not in (update.old, update.new):
                    raise StalePlan(f"{update.ref} moved")
            _wait(attempt)
        raise _too_busy(repo, "push")

    def read_pushes(self, repo: str, branch: str) -> tuple[Push, ...]:
        """The pushes in the journal."""
        git = self.open_repository(repo)
        journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
        return read_pushes(git, journal, branch)

    # -- pull requests -----------------------------------------------------------------

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        """The pull request of a branch, found or created."""
        [pull] = self.open_pulls(
            repo, [PullAsk(head_branch, base_branch, title, body)], actor=actor
        )
        return pull

    def open_pulls(
        self, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        """The pull request of each branch, found or created; all are written at once."""
        for ask in asked:
            if ask.head_branch == ask.base_branch:
                raise ForgeRefused(f"{repo}: `{ask.head_branch}` cannot be merged into itself")
        git = self.open_repository(repo)
        between = [(ask.head_branch, ask.base_branch) for ask in asked]
        branches = sorted({f"{HEADS}{branch}" for pair in between for branch in pair})
        for attempt in range(_JOURNAL_TRIES):
            refs = git.resolve_all([JOURNAL_REF, *branches])
            journal = read_journal_commit(git, refs)
            numbers, free = read_numbers(git, journal, between)
            found = {
                pair: at_head(self._read_at(git, journal, repo, number), refs)
                for pair, number in zip(between, numbers, strict=True)
                if number is not None
            }
            pulls = dict(found)
            for ask, pair in zip(asked, between, strict=True):
                if pair in pulls:
                    pulls[pair] = reworded(pulls[pair], ask, actor)
                    continue
                number = free + len(pulls) - len(found)
                url = self.url(repo, number)
                pulls[pair] = new_pull(repo, number, ask, refs, actor=actor, url=url)
            changed = [pull for pair, pull in pulls.items() if pull != found.get(pair)]
            files = {p: f for c in changed for p, f in {**pull_files(c), **head_files(c)}.items()}
            files |= read_files_of_openings(git, journal, asked, refs, actor)
            if not files or self._move_journal(git, journal, files, ()):
                return tuple(pulls[pair] for pair in between)
            _wait(attempt)
        raise _too_busy(repo, "open a pull request")

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests by number; a few reads of objects however many there are."""
        git = self.open_repository(repo)
        folders = read_folders(git, read_journal_commit(git, git.resolve_all([JOURNAL_REF])))
        new = [tree for tree in folders.values() if tree not in self._parsed]
        self._parsed |= read_pull_folders(git, new)
        pulls = [self._parsed[tree] for _, tree in sorted(folders.items())]
        follow = [f"{HEADS}{p.head_branch}" for p in pulls if p.state is PullState.OPEN]
        # One process for all branches costs what asking for some twenty does.
        few = len(follow) < _FEW_BRANCHES
        heads = git.resolve_all(follow) if few else git.read_refs((HEADS,))
        return tuple(at_head(pull, heads) for pull in pulls)

    def read_open_pulls(self, repo: str, *, base_branch: str) -> tuple[PullRequest, ...]:
        """Those in the journal that are open."""
        return tuple(
            pull
            for pull in self.read_pulls(repo)
            if pull.state is PullState.OPEN and pull.base_branch == base_branch
        )

    def read_pull(self, repo: str, number: int) -> PullRequest:
        """One pull request. Raises NotFound."""
        return self._read_one(self.open_repository(repo), repo, number)[1]

    def read_pulls_of_branches(
        self, repo: str, heads: Collection[str], *, base_branch: str
    ) -> Mapping[str, PullRequest]:
        """Branch → the pull request from it into `base_branch`."""
        wanted = set(heads)
        return {
            pull.head_branch: pull
            for pull in (self.read_pulls(repo) if wanted else ())
            if pull.base_branch == base_branch and pull.head_branch in wanted
        }

    def read_pulls_of_commits(
        self, repo: str, commits: Collection[str]
    ) -> Mapping[str, PullRequest]:
        """Commit → the merged pull request whose merge commit it is."""
        wanted = set(commits)
        return {
            pull.merge_commit: pull
            for pull in (self.read_pulls(repo) if wanted else ())
            if pull.merge_commit in wanted
        }

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit; base branch and journal move in one transaction."""
        git = self.open_repository(repo)
        for attempt in range(_JOURNAL_TRIES):
            journal, pull = self._read_one(git, repo, number)
            if pull.state is PullState.MERGED and pull.head == expected_head and pull.merge_commit:
                return pull.merge_commit
            if pull.head != expected_head:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, expected {expected_head[:12]}")
            if pull.state is not PullState.OPEN:
                raise ForgeRefused(f"{pull.url} is {pull.state}")
            reason = check_merge(read_journal(git, journal).rules, pull, actor)
            if reason:
                raise ForgeRefused(f"{pull.url}: {reason}")
            base_ref, head_ref = f"{HEADS}{pull.base_branch}", f"{HEADS}{pull.head_branch}"
            refs = git.resolve_all([base_ref, head_ref])
            if base_ref not in refs or head_ref not in refs:
                gone = pull.head_branch if base_ref in refs else pull.base_branch
                raise NotFound(f"{pull.url}: branch `{gone}` is gone")
            base = refs[base_ref]
            signature = Signature(
                f"account {actor}", f"{actor}@users.noreply.pipeline.invalid", time_s
            )
            tree = git.merge_tree(base, pull.head)
            commit = commit_object(tree, [base, pull.head], message, signature, signature)
            merged = replace(pull, state=PullState.MERGED, merge_commit=commit.id, merged_by=actor)
            moves = (
                RefUpdate(base_ref, base, commit.id),
                # Not moved, but held: what is merged is the head at this very moment.
                RefUpdate(head_ref, pull.head, pull.head),
            )
            if self._move_journal(git, journal, pull_files(merged), moves, extra=(commit,)):
                return commit.id
            _wait(attempt)
        raise _too_busy(repo, f"merge #{number}")

    def read_team(self, team: str) -> None:
        """None: there are no teams here."""

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments in the journal."""
        git = self.open_repository(repo)
        journal = self._read_one(git, repo, number)[0]
        return tuple(read_comments(git, journal, number))

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """The comment, in the journal."""
        git = self.open_repository(repo)
        comment = Comment(actor, body, key)
        for attempt in range(_JOURNAL_TRIES):
            journal = self._read_one(git, repo, number)[0]
            there = read_comments(git, journal, number)
            same = [n for n, c in enumerate(there) if (c.author_id, c.key) == (actor, key)]
            place = same[0] if same else len(there)
            files = comment_files(number, place, comment)
            if (same and there[place] == comment) or self._move_journal(git, journal, files, ()):
                return
            _wait(attempt)
        raise _too_busy(repo, f"comment on #{number}")

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The checks in the journal."""
        git = self.open_repository(repo)
        return read_checks(git, read_journal_commit(git, git.resolve_all([JOURNAL_REF])), commit)

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        """The check, in the journal."""
        git = self.open_repository(repo)
        if git.read_object(commit) is None:
            raise NotFound(f"{repo} has no commit {commit[:12]}")
        check = Check(name, passed, title, actor)
        for attempt in range(_JOURNAL_TRIES):
            journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
            there = read_checks(git, journal, commit)
            if check in there or self._move_journal(git, journal, check_files(commit, check), ()):
                return
            _wait(attempt)
        raise _too_busy(repo, f"record a check of {commit[:12]}")

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Nothing: no workflow waits here."""
        self.open_repository(repo)

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request."""

        rules = self.read_rules(repo)

        def change(pull: PullRequest) -> PullRequest:
            if pull.state is PullState.MERGED:
                raise ForgeRefused(f"{pull.url} is merged")
            reason = check_close(rules, pull, actor)
            if reason:
                raise ForgeRefused(f"{pull.url}: {reason}")
            return replace(pull, state=PullState.CLOSED)

        self._change_pull(repo, number, change)

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        """Record a review of the head commit."""

        def change(pull: PullRequest) -> PullRequest:
            review = Review(len(pull.reviews) + 1, actor, commit, verdict, body)
            before = newest_review(pull, actor)
            if before and replace(before, sequence=review.sequence) == review:
                return pull
            # What was merged is frozen, and can still be approved late; what was closed cannot.
            if pull.state is PullState.CLOSED:
                raise ForgeRefused(f"{pull.url} is closed, so it is not reviewed any more")
            if pull.head != commit:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, not at {commit[:12]}")
            if pull.author_id == actor and verdict is ReviewVerdict.APPROVED:
                raise ForgeRefused(f"{pull.url}: nobody approves their own pull request")
            return replace(pull, reviews=(*pull.reviews, review))

        review = newest_review(self._change_pull(repo, number, change), actor)
        if review is None:
            raise NotFound(f"{repo}#{number} lost the review of account {actor}")
        return review

    # -- the journal -------------------------------------------------------------------

    def _change_pull(
        self, repo: str, number: int, change: Callable[[PullRequest], PullRequest]
    ) -> PullRequest:
        """The pull request after a change, written unless it is as it was."""
        git = self.open_repository(repo)
        for attempt in range(_JOURNAL_TRIES):
            journal, pull = self._read_one(git, repo, number)
            changed = change(pull)
            if changed == pull or self._move_journal(git, journal, pull_files(changed), ()):
                return changed
            _wait(attempt)
        raise _too_busy(repo, "record a pull request")

    def _read_one(self, git: GitRepository, repo: str, number: int) -> tuple[str, PullRequest]:
        """The journal's commit, and a pull request as it has it, at its branch's head."""
        journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
        pull = self._read_at(git, journal, repo, number)
        return journal, at_head(pull, git.resolve_all([f"{HEADS}{pull.head_branch}"]))

    def _read_at(self, git: GitRepository, journal: str, repo: str, number: int) -> PullRequest:
        """A pull request as it lies in the journal at a commit. Raises NotFound."""
        folder = git.read_object(f"{journal}:{pull_folder(number)}")
        if folder is None:
            raise NotFound(f"{repo} has no pull request #{number}")
        if folder.id not in self._parsed:
            self._parsed |= read_pull_folders(git, [folder.id])
        return self._parsed[folder.id]

    def _move_journal(
        self,
        git: GitRepository,
        head: str | None,
        files: Files,
        moves: tuple[RefUpdate, ...],
        *,
        extra: tuple[GitObject, ...] = (),
    ) -> bool:
        """Whether the journal, with these files written over it, and `moves` moved together."""
        objects = [*extra, *objects_over(git, head, files)]
        commit = commit_object(
            objects[-1].id, [head] if head else [], "Record in the journal\n", _FORGE, _FORGE
        )
        git.write_objects([*objects, commit])
        try:
            git.update_refs([RefUpdate(JOURNAL_REF, head, commit.id), *moves])
        except StalePlan:
            return False
        keep_up(git)
        return True


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 10)))


def _too_busy(repo: str, doing: str) -> StalePlan:
    return StalePlan(
        f"{repo} is too busy to {doing}",
        help=f"run it again; if nothing else runs, a crash left a `.lock` file below its {HEADS} "
        f"or beside its {JOURNAL_REF}: remove that",
    )


def _view_of(repo: str, refs: Mapping[str, str], journal: Journal) -> RepoView:
    heads = {n.removeprefix(HEADS): id for n, id in refs.items() if n.startswith(HEADS)}
    return RepoView(repo, journal.default_branch, heads)


def _is_forward(git: GitRepository, made: Mapping[str, GitObject], old: str, new: str) -> bool:
    """Whether `new` holds `old`; mostly seen from the commits just made, without asking git."""
    at = walk_back(made, new, old)
    return at == old or git.is_ancestor(old, at)
