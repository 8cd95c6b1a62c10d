"""GitHub as a forge; see `pipeline.forges.port.Forge`.

On GitHub everybody acts with their own credential, so the port's `actor` must be the account of
this process's credential. GitHub's rules decide; the pure ones (`pipeline.forges.branch_rules`)
only explain a refusal. GitHub dates merges itself, so `time_s` is not used. A repository is as of
the last time its branches were read (`read_repo`).
"""

from __future__ import annotations

from pipeline.forges.composed import ComposedForge
from pipeline.forges.github.checks_and_events import GithubChecksAndEvents
from pipeline.forges.github.pull_requests import GithubPullRequests
from pipeline.forges.github.repositories import GithubRepositories
from pipeline.forges.github.session import GithubSession


class GithubForge(ComposedForge):
    """The repositories of one organisation on GitHub, as the account of a session sees them."""

    def __init__(self, session: GithubSession) -> None:
        repositories = GithubRepositories(session)
        super().__init__(
            repositories,
            GithubPullRequests(session, repositories),
            GithubChecksAndEvents(session),
        )
        self.session = session
