"""The forge port: three protocols, and `Forge`, which is all of them.

`Repositories` has repositories, their refs and rules; `PullRequests` has pull requests, reviews and
merges; `ChecksAndEvents` has checks, comments, deployments, teams, pushes and events. A function
takes the one that it needs. Two implementations pass one contract-test suite (`tests/contract/`).
Every write is find-or-create or compare-and-swap, so repeating it after a lost reply changes
nothing. Actors are numeric user ids, since logins can be renamed and reused.
Repositories are named without the organisation; one forge object serves one organisation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pipeline.git.objects import GitObject, RefUpdate
from pipeline.models.base import Moment

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository


# The common part of all forges' pattern languages: plain characters, and `*` for any text.
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._/*-]*\Z")


class PullState(StrEnum):
    """The state of a pull request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class ReviewVerdict(StrEnum):
    """A reviewer's verdict on one revision."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes-requested"
    COMMENTED = "commented"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Review:
    """One review: by whom (numeric id), of which head commit, and its place in the order."""

    sequence: int
    user_id: int
    commit: str
    verdict: ReviewVerdict
    body: str = ""
    at: Moment | None = None  # by the forge's clock; None if older than this record


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request as the forge has it now. `merge_commit` is set once it is merged."""

    repo: str
    number: int
    title: str
    body: str
    head_branch: str
    head: str  # commit id of the newest revision
    base_branch: str
    author_id: int
    state: PullState
    url: str
    merge_commit: str | None = None
    merged_by: int | None = None
    merged_at: Moment | None = None  # by the forge's clock
    reviews: tuple[Review, ...] = ()
    is_queued: bool = False  # the forge will merge it once nothing blocks it


@dataclass(frozen=True, slots=True)
class Push:
    """One push to a branch: its new commit, and the account that the forge saw."""

    commit: str
    account: int


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on a pull request. `key` names a comment that a process keeps up to date."""

    author_id: int
    body: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check on a commit; a forge may require it for merging.

    `by` is the account that reported it, on GitHub the App.
    """

    name: str
    passed: bool
    title: str  # one line
    by: int


class DeploymentState(StrEnum):
    """How a deployment does, in the words that forges share."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment of a commit to an environment, for people to see; nothing is decided by it.

    `key` names it among those of its account on that commit. `state` is None until it has one that
    `DeploymentState` knows.
    """

    commit: str
    environment: str
    key: str
    state: DeploymentState | None


@dataclass(frozen=True, slots=True)
class DeploymentAsk:
    """A deployment to show. What is not its state is not changed once it is there."""

    commit: str
    environment: str
    key: str
    state: DeploymentState
    title: str  # one line
    comment: str  # on the state, one line
    link: str  # to what brought it, empty if that has no address on the web
    is_production: bool
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PullAsk:
    """A pull request to open: its branches, title and body."""

    head_branch: str
    base_branch: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class BranchRule:
    """Who may do what to branches that match `pattern`.

    The pattern covers the whole short branch name; `*` matches any text, slashes included, and
    nothing else is special (ValueError for other characters). `push` are the actors that may move
    the branch directly (create, fast-forward); None means anybody with access, an empty tuple means
    nobody. `merge` is the same for merging pull requests into it. `approvals` is how many distinct
    people other than the author must approve the final revision before a merge. Force-push is
    refused on every branch.
    """

    pattern: str
    push: tuple[int, ...] | None = None
    merge: tuple[int, ...] | None = None
    approvals: int = 0

    def __post_init__(self) -> None:
        if not _PATTERN.match(self.pattern):
            raise ValueError(f"{self.pattern!r} is not a branch pattern")


@dataclass(frozen=True, slots=True)
class RepoSpec:
    """The wanted repository: its first commit, its branch rules, and the teams that may write."""

    description: str
    default_branch: str
    # Objects of the first commit, ending with the root tree and the commit; made by
    # `pipeline.git.objects`, so the id is the same whoever creates the repository.
    initial_objects: tuple[GitObject, ...]
    initial_commit: str
    rules: tuple[BranchRule, ...]
    # Not used by a forge without teams: there the rules name people.
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepoView:
    """A repository as read: its default branch and all branch heads (short name → commit)."""

    repo: str
    default_branch: str
    branches: Mapping[str, str]

    @property
    def head(self) -> str | None:
        """The commit at the default branch, if it has one."""
        return self.branches.get(self.default_branch)


@dataclass(frozen=True, slots=True)
class Hosting:
    """The hosting of a repository, which decides what its forge offers."""

    server: str  # the forge's address
    is_public: bool
    plan: str  # the organisation's, in the forge's words; empty if this account may not see it


class Repositories(Protocol):
    """The repositories of one organisation: their content, and who may change it."""

    def close(self) -> None:
        """End all running processes."""

    def cost(self) -> str:
        """The calls that this process made to the forge, in one line; empty if calls are free."""

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None if there is none with that name."""

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        """The branch rules that `ensure_repo` set. Raises NotFound."""

    def read_environment(self, repo: str, name: str) -> tuple[str, ...]:
        """The branches whose workflows get an environment's secrets, as patterns; `*` is any.

        Raises NotFound if there is no such environment, ForgeRefused without permission.
        """

    def read_hosting(self, repo: str) -> Hosting | None:
        """The repository's hosting; None for a forge without plans. Raises NotFound."""

    def read_signed_branches(self, repo: str, branches: Collection[str]) -> Mapping[str, bool]:
        """The branches among these that accept only signed commits → whether this account may push
        unsigned ones anyway. Branches need not exist. Raises NotFound."""

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        """Repository → text that changes with any of its branches or pull requests, cheap to get.

        A missing repository has one too; one that cannot be read is left out.
        """

    def open_repository(self, repo: str) -> GitRepository:
        """A git repository with the objects of `repo`; its branches are at least as new as the last
        view that this forge returned. Raises NotFound."""

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or fully created; rules are updated to `spec`.

        Raises ForgeRefused if one with that name exists with another first commit.
        """

    def ensure_rules(
        self, repo: str, rules: tuple[BranchRule, ...], *, teams: tuple[str, ...] = ()
    ) -> None:
        """Give the repository exactly these rules, and let these teams write to it.

        Raises NotFound, ForgeRefused for a missing team.
        """

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        """Store objects, then move all refs at once, each by compare-and-swap.

        Raises StalePlan if a ref is not at `old` (a ref already at `new` is fine),
        ForgeRefused if a rule forbids it; nothing moves then.
        """


class PullRequests(Protocol):
    """Pull requests: opened, read with their reviews, reviewed, merged and closed."""

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        """The pull request of `head_branch` into `base_branch`, found (open, merged or closed)
        or created; title and body of an open one of the same author are updated in place."""

    def open_pulls(
        self, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        """The result of `open_pull` for each, in order; at the cost of one if the forge can.

        Raises what `open_pull` raises; some may be open by then.
        """

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests with their reviews, by number."""

    def read_open_pulls(self, repo: str, *, base_branch: str) -> tuple[PullRequest, ...]:
        """The open pull requests into a branch from the repository's own branches, by number."""

    def read_pull(self, repo: str, number: int) -> PullRequest:
        """One pull request. Raises NotFound."""

    def read_pulls_of_branches(
        self, repo: str, heads: Collection[str], *, base_branch: str
    ) -> Mapping[str, PullRequest]:
        """Branch → the pull request from it into `base_branch` that `open_pull` would find."""

    def read_pulls_of_commits(
        self, repo: str, commits: Collection[str]
    ) -> Mapping[str, PullRequest]:
        """Commit → the merged pull request whose merge put it on its base branch."""

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        """The recorded review of `commit`; repeating the actor's newest review changes nothing.

        A merged pull request can still be approved late: its head is frozen. Raises StalePlan if
        the head has moved, ForgeRefused for an author's approval of their own work and for a pull
        request that was closed without a merge.
        """

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit on the base branch; already merged at that head is success.

        `time_s` dates it, except on a forge that dates merges itself.

        Raises StalePlan if the head is not `expected_head` or the merge conflicts, ForgeRefused if
        a rule forbids it or the pull request is closed, MergePending if the forge will merge it
        later: it is in a merge queue, or waits for a required check.
        """

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request; a closed one is left as it is.

        Raises ForgeRefused for an account that neither opened it nor may merge it.
        """


class ChecksAndEvents(Protocol):
    """Checks, comments, deployments, team members, pushes, and events."""

    @property
    def account(self) -> int | None:
        """The account of this process's credential; None if the forge needs none."""

    def read_team(self, team: str) -> frozenset[int] | None:
        """The numbers of a team's members, empty for a missing team; None if the forge has no
        teams, so that only the platform file lists them."""

    def read_pushes(self, repo: str, branch: str) -> tuple[Push, ...]:
        """The pushes to a branch, oldest first, even if it was deleted.

        A local forge records them for branches that anybody may push; pushes past it, with plain
        git, are not recorded. Raises NotFound.
        """

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments on a pull request, oldest first. Raises NotFound."""

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """Set the actor's one comment with that key to `body`: updated in place, or created.

        `key` consists of lower-case letters and `-`. Comments of other accounts are not touched.
        """

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The newest check on a commit for each name and author, by name."""

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        """Set the actor's check with that name on a commit; repeating it changes nothing.

        `name` consists of lower-case letters and `-`. Checks of other accounts are not touched.
        Raises ForgeRefused if only Apps may write checks and the actor is none.
        """

    def read_required_checks(self, repo: str, branch: str) -> Mapping[str, int | None]:
        """The checks required to merge into a branch → who must report each: this process's
        account, 0 for another one, or None for anybody. Raises NotFound."""

    @property
    def shows_deployments(self) -> bool:
        """Whether people see deployments on this forge. Else none is read and none written."""

    def read_deployments(self, repo: str, commits: Collection[str]) -> tuple[Deployment, ...]:
        """This account's deployments of these commits, each key once. Raises NotFound."""

    def write_deployment(self, repo: str, asked: DeploymentAsk, *, actor: int) -> None:
        """Show a deployment in its state: found by its key, or created; repeating it changes
        nothing. Those of other accounts are not touched.

        Raises NotFound, ForgeRefused for a commit that is not there.
        """

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Send an event to the repository's workflows, if the forge runs any; it may get lost or
        arrive twice."""


class Forge(Repositories, PullRequests, ChecksAndEvents, Protocol):
    """All the pipeline needs of a forge. Raises NotFound, ForgeRefused, StalePlan, GitFailed."""
