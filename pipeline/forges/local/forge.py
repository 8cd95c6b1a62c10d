"""The local forge: bare repositories in a folder, with rules, pull requests and reviews in git.

Layout: `<root>/<organisation>/<repo>.git`. A repository's journal (`pipeline.forges.local.journal`)
moves by compare-and-swap together with an operation's branches, in one ref transaction, so after a
crash an operation is either done or not done. A `pre-receive` hook closes protected branches and
the journal to people's plain `git push`.
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

    `clock` gives the times of reviews and merges.
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
        """The organisation that owns these repositories."""
        return self.store.organisation

    def path(self, repo: str) -> Path:
        """The folder of a repository. Raises NotFound for an invalid name."""
        return self.store.path(repo)
