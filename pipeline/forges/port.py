"""The forge port: three protocols, and `Forge`, which is all of them.

`Repositories` has repositories, their refs and rules, `PullRequests` has pull requests, reviews and
merges, `ChecksAndEvents` has what is said beside the code. A function asks for the one that it
needs. Two implementations meet them under one contract-test suite (`tests/contract/`).
Every write is find-or-create or compare-and-swap, so that repeating it after a lost reply
changes nothing. Actors are numeric user ids, since logins can be renamed and reused.
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


# What every forge's pattern language takes for the same: plain characters, and `*` for any text.
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._/*-]*\Z")


class PullState(StrEnum):
    """Where a pull request is in its life."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class ReviewVerdict(StrEnum):
    """What a reviewer said of one revision."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes-requested"
    COMMENTED = "commented"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Review:
    """One review: who (numeric id), of which head commit, in which order it was given."""

    sequence: int
    user_id: int
    commit: str
    verdict: ReviewVerdict
    body: str = ""
    at: Moment | None = None  # by the forge's clock; None for one of before it kept this


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
    is_queued: bool = False  # the forge merges it by itself, once nothing stands in the way


@dataclass(frozen=True, slots=True)
class Push:
    """One push of a branch: the commit that it moved to, and the account that the forge saw."""

    commit: str
    account: int


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment on a pull request. `key` names those that a process keeps up to date."""

    author_id: int
    body: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What somebody's check said of a commit; a forge may let nothing be merged without it.

    `by` is the account that said it, on GitHub the App.
    """

    name: str
    passed: bool
    title: str  # one line
    by: int


@dataclass(frozen=True, slots=True)
class PullAsk:
    """What a pull request that is to be opened says, and between which branches it is."""

    head_branch: str
    base_branch: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class BranchRule:
    """Who may do what to branches that match `pattern`.

    The pattern covers the whole short branch name; `*` in it stands for any text, slashes
    included, and nothing else is special (ValueError for other characters). `push` are the
    actors that may move the branch directly (create, fast-forward); None means anybody with
    access, an empty tuple means nobody. `merge` likewise for merging pull requests into it.
    `approvals` is how many distinct people other than the author must have approved the final
    revision before a merge. Force-push is refused on every branch.
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
    """What a repository must be: its first commit, its branch rules, which teams write to it."""

    description: str
    default_branch: str
    # Objects of the first commit, the root tree and the commit last but one and last; made by
    # `pipeline.git.objects`, so its id is the same whoever creates the repository.
    initial_objects: tuple[GitObject, ...]
    initial_commit: str
    rules: tuple[BranchRule, ...]
    # A forge that keeps no teams has nothing to do: there the rules name people.
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


class Repositories(Protocol):
    """The repositories of one organisation: what is in them, and who may change what."""

    def close(self) -> None:
        """End the processes that answer, those that run."""

    def cost(self) -> str:
        """What this process asked of the forge, in one line; empty where asking costs nothing."""

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None if there is none of that name."""

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        """The rules of its branches, as `ensure_repo` brought them in line. Raises NotFound."""

    def read_environment(self, repo: str, name: str) -> tuple[str, ...]:
        """The branches whose workflows are given an environment's secrets, as patterns; `*` is any.

        Raises NotFound where there is no such environment, ForgeRefused for lack of a right.
        """

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        """Repository → text that changes with any branch or pull request of it, cheap to get.

        A repository that is not there has one too; one that is left out has none to give.
        """

    def open_repository(self, repo: str) -> GitRepository:
        """A git repository to read objects of `repo` from; its branches are at least as new as
        the last view of it that this forge gave. Raises NotFound."""

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or created whole; rules are brought in line with `spec`.

        Raises ForgeRefused if one of that name exists with another first commit.
        """

    def ensure_rules(
        self, repo: str, rules: tuple[BranchRule, ...], *, teams: tuple[str, ...] = ()
    ) -> None:
        """The repository has exactly these rules, and these teams may write to it at least.

        Raises NotFound, ForgeRefused for a team that is not there.
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
        """For each, in order, what `open_pull` gives; at the cost of one where the forge can.

        Raises what `open_pull` raises; some may be open then.
        """

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests with their reviews, by number."""

    def read_open_pulls(self, repo: str, *, base_branch: str) -> tuple[PullRequest, ...]:
        """The open pull requests into a branch, of the repository's own branches, by number."""

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
        """Record a review of `commit`; the same as the actor's newest one changes nothing.

        A merged pull request can still be approved late: its head is frozen. Raises StalePlan
        if the head is another by now, ForgeRefused for an author's approval of their own work
        and for a pull request that was closed without a merge.
        """

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit on the base branch; already merged at that head is success.

        `time_s` dates it, except on a forge that dates merges itself.

        Raises StalePlan if the head is not `expected_head` or the merge conflicts,
        ForgeRefused if a rule or a closed pull request forbids it, MergePending where the forge
        merges it by itself later: it is in a merge queue, or waits for a required check.
        """

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request; one already closed is left as it is.

        Raises ForgeRefused for whoever neither opened it nor may merge it.
        """


class ChecksAndEvents(Protocol):
    """What is beside the code: checks, comments, who is in a team, who pushed, what starts."""

    @property
    def account(self) -> int | None:
        """The account whose credential this process holds; None where none is asked for."""

    def read_team(self, team: str) -> frozenset[int] | None:
        """The numbers of a team's members, none of a team that is not there; None where the forge
        keeps no teams, so that what the platform's own file says is all there is."""

    def read_pushes(self, repo: str, branch: str) -> tuple[Push, ...]:
        """Who moved a branch where, the oldest first, whether or not it is still there.

        A local forge keeps this for branches that no rule closes; what was pushed past it, with
        plain git, is not in it. Raises NotFound.
        """

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments on a pull request, the oldest first. Raises NotFound."""

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """The actor's one comment of that key says `body`: found and updated in place, or made.

        `key` is of small letters and `-`. Another account's comment of the same key is another.
        """

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The newest check of each name and author of a commit, by name."""

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        """The actor's check of that name and commit says this; saying it again changes nothing.

        `name` is of small letters and `-`. Another account's check of the same name is another.
        Raises ForgeRefused where only Apps may, and the actor is none.
        """

    def read_required_checks(self, repo: str, branch: str) -> Mapping[str, int | None]:
        """The checks without which nothing is merged into a branch, and who must say each: this
        process's account, 0 for another one, or None for anybody. Raises NotFound."""

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Start what waits for this event, if the forge starts anything: a hint, that may be lost
        or come twice."""


class Forge(Repositories, PullRequests, ChecksAndEvents, Protocol):
    """What the pipeline needs of a forge. Errors: NotFound, ForgeRefused, StalePlan, GitFailed."""
