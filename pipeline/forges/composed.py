"""A forge composed of its three parts: every call goes to the part that implements it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.forges.port import (
    BranchRule,
    Check,
    ChecksAndEvents,
    Comment,
    Deployment,
    DeploymentAsk,
    Forge,
    Hosting,
    PullAsk,
    PullRequest,
    PullRequests,
    Push,
    Repositories,
    RepoSpec,
    RepoView,
    Review,
    ReviewVerdict,
)
from pipeline.git.objects import GitObject, RefUpdate

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository


class ComposedForge(Forge):
    """The three parts as one forge; the port documents each method."""

    def __init__(
        self,
        repositories: Repositories,
        pull_requests: PullRequests,
        checks_and_events: ChecksAndEvents,
    ) -> None:
        self.repositories = repositories
        self.pull_requests = pull_requests
        self.checks_and_events = checks_and_events

    # -- repositories ----------------------------------------------------------------------

    def close(self) -> None:
        self.repositories.close()

    def cost(self) -> str:
        return self.repositories.cost()

    def read_repo(self, repo: str) -> RepoView | None:
        return self.repositories.read_repo(repo)

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        return self.repositories.read_rules(repo)

    def read_environment(self, repo: str, name: str) -> tuple[str, ...]:
        return self.repositories.read_environment(repo, name)

    def read_hosting(self, repo: str) -> Hosting | None:
        return self.repositories.read_hosting(repo)

    def read_signed_branches(self, repo: str, branches: Collection[str]) -> Mapping[str, bool]:
        return self.repositories.read_signed_branches(repo, branches)

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        return self.repositories.read_fingerprints(repos)

    def open_repository(self, repo: str) -> GitRepository:
        return self.repositories.open_repository(repo)

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        return self.repositories.ensure_repo(repo, spec)

    def ensure_rules(
        self, repo: str, rules: tuple[BranchRule, ...], *, teams: tuple[str, ...] = ()
    ) -> None:
        self.repositories.ensure_rules(repo, rules, teams=teams)

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        self.repositories.push(repo, objects, updates, actor=actor)

    # -- pull requests ---------------------------------------------------------------------

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        return self.pull_requests.open_pull(
            repo,
            head_branch=head_branch,
            base_branch=base_branch,
            title=title,
            body=body,
            actor=actor,
        )

    def open_pulls(
        self, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        return self.pull_requests.open_pulls(repo, asked, actor=actor)

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        return self.pull_requests.read_pulls(repo)

    def read_open_pulls(self, repo: str, *, base_branch: str) -> tuple[PullRequest, ...]:
        return self.pull_requests.read_open_pulls(repo, base_branch=base_branch)

    def read_pull(self, repo: str, number: int) -> PullRequest:
        return self.pull_requests.read_pull(repo, number)

    def read_pulls_of_branches(
        self, repo: str, heads: Collection[str], *, base_branch: str
    ) -> Mapping[str, PullRequest]:
        return self.pull_requests.read_pulls_of_branches(repo, heads, base_branch=base_branch)

    def read_pulls_of_commits(
        self, repo: str, commits: Collection[str]
    ) -> Mapping[str, PullRequest]:
        return self.pull_requests.read_pulls_of_commits(repo, commits)

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        return self.pull_requests.submit_review(
            repo, number, commit=commit, verdict=verdict, body=body, actor=actor
        )

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        return self.pull_requests.merge_pull(
            repo, number, expected_head=expected_head, message=message, time_s=time_s, actor=actor
        )

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        self.pull_requests.close_pull(repo, number, actor=actor)

    # -- checks and events -----------------------------------------------------------------

    @property
    def account(self) -> int | None:
        return self.checks_and_events.account

    def read_team(self, team: str) -> frozenset[int] | None:
        return self.checks_and_events.read_team(team)

    def read_pushes(self, repo: str, branch: str) -> tuple[Push, ...]:
        return self.checks_and_events.read_pushes(repo, branch)

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        return self.checks_and_events.read_comments(repo, number)

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        self.checks_and_events.write_comment(repo, number, key=key, body=body, actor=actor)

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        return self.checks_and_events.read_checks(repo, commit)

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        self.checks_and_events.write_check(
            repo, commit, name=name, passed=passed, title=title, actor=actor
        )

    def read_required_checks(self, repo: str, branch: str) -> Mapping[str, int | None]:
        return self.checks_and_events.read_required_checks(repo, branch)

    @property
    def shows_deployments(self) -> bool:
        return self.checks_and_events.shows_deployments

    def read_deployments(self, repo: str, commits: Collection[str]) -> tuple[Deployment, ...]:
        return self.checks_and_events.read_deployments(repo, commits)

    def write_deployment(self, repo: str, asked: DeploymentAsk, *, actor: int) -> None:
        self.checks_and_events.write_deployment(repo, asked, actor=actor)

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        self.checks_and_events.dispatch(repo, event, actor=actor)
