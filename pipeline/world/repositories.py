"""The forge's repositories as of one look; the forge is asked about each once, when needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.errors import CouldNotCheck, ForgeRefused, NotFound, PipelineError
from pipeline.forges.port import Forge, PullRequest, RepoView
from pipeline.git.repository import GitRepository
from pipeline.plan.view import Existing


@dataclass
class OpenRepositories:
    """The repositories of code and overlays, with the pull requests of their branches."""

    forge: Forge
    _views: dict[str, RepoView | None] = field(default_factory=dict)
    # Repositories that could not be read, with the error; each is tried once per look.
    _broken: dict[str, PipelineError] = field(default_factory=dict)
    # Repository → branch → its pull request.
    _pulls: dict[str, dict[str, PullRequest | None]] = field(default_factory=dict)
    _asked_for: set[str] = field(default_factory=set)

    def view(self, name: str) -> RepoView | None:
        """A repository as of this look. Raises the forge's error, also on later calls."""
        self._asked_for.add(name)
        if name not in self._views:
            with self._once(name):
                self._views[name] = self.forge.read_repo(name)
        return self._views[name]

    def git(self, name: str) -> GitRepository:
        """A repository's objects."""
        return self.forge.open_repository(name)

    @contextmanager
    def _once(self, repo: str) -> Iterator[None]:
        """Ask the forge about a repository, unless that failed before in this look."""
        if repo in self._broken:
            raise self._broken[repo]
        try:
            yield
        except (CouldNotCheck, ForgeRefused, NotFound) as error:
            self._broken[repo] = error
            raise

    @property
    def asked_for(self) -> frozenset[str]:
        """The repositories asked for since `forget_asked`, whether or not the forge was asked."""
        return frozenset(self._asked_for)

    def forget_asked(self) -> None:
        """Clear the record of which repositories were asked for."""
        self._asked_for.clear()

    def read_pulls(self, repo: str, branches: Collection[str]) -> None:
        """Prefetch the pull requests of these branches in one query."""
        self._asked_for.add(repo)
        known = self._pulls.setdefault(repo, {})
        new = [branch for branch in branches if branch not in known]
        view = self.view(repo) if new else None
        found: Mapping[str, PullRequest] = {}
        if view:
            with self._once(repo):
                found = self.forge.read_pulls_of_branches(
                    repo, new, base_branch=view.default_branch
                )
        known.update({branch: found.get(branch) for branch in new})

    def pull_of_branch(self, repo: str, branch: str) -> PullRequest | None:
        """The pull request of a branch into the default branch, as of this look."""
        self.read_pulls(repo, [branch])
        return self._pulls[repo][branch]

    def begun_branch(self, view: RepoView, branch: str, folder: str, key: str) -> Existing | None:
        """The branch that an interrupted run made for this key, if its head carries the key."""
        head = view.branches.get(branch)
        if head is None:
            return None
        git = self.git(view.repo)
        if ("Key", key) not in git.read_commit(head).trailers:
            return None
        tree = git.read_object(f"{head}:{folder}")
        return Existing(head, tree.id if tree else None)
