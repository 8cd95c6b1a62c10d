"""The local forge: bare repositories in a folder, with rules, pull requests and reviews in git.

Layout: `<root>/<organisation>/<repo>.git`. A repository's journal (`pipeline.forges.local.journal`)
moves by compare-and-swap together with the branches that an operation moves, in one ref
transaction, so a crash leaves an operation done or not done. Plain `git push` by people goes
through a `pre-receive` hook that keeps protected branches and the journal closed.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.forges.composed import ComposedForge
from pipeline.forges.local.checks_and_events import LocalChecksAndEvents
from pipeline.forges.local.pull_requests import LocalPullRequests
from pipeline.forges.local.repositories import LocalRepositories
from pipeline.forges.local.store import LocalStore
from pipeline.machine.clock import Clock, read_clock


class LocalForge(ComposedForge):
    """A forge of bare repositories below `root`; see `pipeline.forges.port.Forge`.

    `clock` says when reviews are given and pull requests merged.
    """

    def __init__(self, root: Path, organisation: str, clock: Clock = read_clock) -> None:
        self.store = LocalStore(root, organisation)
        super().__init__(
            LocalRepositories(self.store),
            LocalPullRequests(self.store, clock),
            LocalChecksAndEvents(self.store),
        )

    @property
    def root(self) -> Path:
        """The folder of all organisations."""
        return self.store.root

    @property
    def organisation(self) -> str:
        """The organisation whose repositories these are."""
        return self.store.organisation

    def path(self, repo: str) -> Path:
        """Where a repository lies. Raises NotFound for a name that could be a path."""
        return self.store.path(repo)
