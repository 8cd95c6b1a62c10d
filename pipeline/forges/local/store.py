"""The storage of a local forge: its bare repositories, kept open, and parsed pull requests."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import NotFound
from pipeline.forges.local.journal import (
    JOURNAL_REF,
    pull_folder,
    read_folders,
    read_journal_commit,
    read_pull_folders,
)
from pipeline.forges.local.pull_values import HEADS, at_head
from pipeline.forges.port import PullRequest, PullState
from pipeline.git.repository import GitRepository

# Each may keep two processes and their pipes; a closed one starts them again when used.
_MOST_OPEN = 32
_FEW_BRANCHES = 20
_REPO_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")


class LocalStore:
    """The bare repositories of one organisation below `root`: `<root>/<organisation>/<repo>.git`.

    `most_open` is how many repositories keep their processes at a time.
    """

    def __init__(self, root: Path, organisation: str, most_open: int = _MOST_OPEN) -> None:
        if not _REPO_NAME.match(organisation):
            raise NotFound(f"`{organisation}` is not an organisation name")
        self.root = root
        self.organisation = organisation
        self.most_open = most_open
        self._open: dict[str, GitRepository] = {}
        # Folder tree id → pull request in it. Trees never change, so it is never stale.
        self._parsed: dict[str, PullRequest] = {}

    def path(self, repo: str) -> Path:
        """The folder of a repository. Raises NotFound for an invalid name."""
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is not a repository name")
        path = self.root / self.organisation / f"{repo}.git"
        if path.is_symlink():
            raise NotFound(f"`{repo}` is a link to somewhere else, and no repository of the forge")
        return path

    def open_repository(self, repo: str) -> GitRepository:
        """The repository's git; a few repositories keep their processes. Raises NotFound."""
        path = self.path(repo)
        if not (path / "HEAD").exists():
            raise NotFound(f"the forge has no repository `{self.organisation}/{repo}`")
        git = self._open.pop(repo, None) or GitRepository(path)
        self._open[repo] = git  # the most recently used comes last
        if len(self._open) > self.most_open:
            oldest = next(iter(self._open))
            self._open.pop(oldest).close()
        return git

    @property
    def kept(self) -> tuple[str, ...]:
        """The repositories whose processes are kept, the most recently used last."""
        return tuple(self._open)

    def close(self) -> None:
        """End the reading processes of all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()

    def url(self, repo: str, number: int) -> str:
        """The address of a pull request, the same on every machine."""
        return f"local:{self.organisation}/{repo}#{number}"

    def read_pull(self, git: GitRepository, repo: str, number: int) -> tuple[str, PullRequest]:
        """The journal's commit, and one of its pull requests, at its branch's head."""
        journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
        pull = self.read_pull_at(git, journal, repo, number)
        return journal, at_head(pull, git.resolve_all([f"{HEADS}{pull.head_branch}"]))

    def read_pull_at(self, git: GitRepository, journal: str, repo: str, number: int) -> PullRequest:
        """A pull request in the journal at a commit. Raises NotFound."""
        folder = git.read_object(f"{journal}:{pull_folder(number)}")
        if folder is None:
            raise NotFound(f"{repo} has no pull request #{number}")
        if folder.id not in self._parsed:
            self._parsed |= read_pull_folders(git, [folder.id])
        return self._parsed[folder.id]

    def read_pulls(self, git: GitRepository) -> tuple[PullRequest, ...]:
        """All pull requests by number, in a few reads for any number."""
        folders = read_folders(git, read_journal_commit(git, git.resolve_all([JOURNAL_REF])))
        new = [tree for tree in folders.values() if tree not in self._parsed]
        self._parsed |= read_pull_folders(git, new)
        pulls = [self._parsed[tree] for _, tree in sorted(folders.items())]
        follow = [f"{HEADS}{p.head_branch}" for p in pulls if p.state is PullState.OPEN]
        # One process for all branches costs as much as asking for some twenty.
        few = len(follow) < _FEW_BRANCHES
        heads = git.resolve_all(follow) if few else git.read_refs((HEADS,))
        return tuple(at_head(pull, heads) for pull in pulls)
