"""How revisions of the control repo came about, and the authority over them.

Reads what `pipeline.gate.authority` judges: the pull request, who pushed and committed it, the
changed paths, and the policy at its base. What is read by commit id never changes, so it is kept
for the life of the process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.control.repo import read_sides, read_snapshot_of
from pipeline.diagnostics import Finding
from pipeline.errors import CouldNotCheck
from pipeline.forges.port import ChecksAndEvents, PullRequest, Push, Review, ReviewVerdict
from pipeline.gate.authority import (
    FOUNDING,
    Authority,
    Matter,
    Revision,
    judge,
    unbrought,
)
from pipeline.gate.matters import groups_among, matters_of, members_of, paths_behind
from pipeline.git.commits import account_of_email
from pipeline.git.history import read_changed_paths, read_new_commits
from pipeline.git.repository import GitRepository
from pipeline.models.base import CommitId
from pipeline.models.facts import Brought, GivenReview
from pipeline.models.requests import Platform, RiskTier
from pipeline.requests.layout import PLATFORM_PATH
from pipeline.requests.snapshot import Snapshot


class PolicyAt(Protocol):
    """Tells whether the policy at a commit of main had authority."""

    def is_good_at(self, git: GitRepository, commit: str) -> bool:
        """Whether none of the policy at a commit lacked authority."""


@dataclass
class RevisionCache:
    """What was read about commits; valid for every look."""

    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    policies: dict[tuple[str, tuple[str, ...]], Snapshot] = field(default_factory=dict)
    committers: dict[tuple[str, str], frozenset[int]] = field(default_factory=dict)


@dataclass
class Revisions:
    """Authority over revisions of requests, as of one look at the world."""

    forge: ChecksAndEvents
    control_repo: str
    control: GitRepository
    cache: RevisionCache
    policy: PolicyAt | None = None  # None while the policy history itself is read
    _teams: dict[str, frozenset[int] | None] = field(default_factory=dict)
    _pushes: dict[str, tuple[Push, ...]] = field(default_factory=dict)

    def read_changed(self, commits: Collection[str]) -> None:
        """Prefetch the changed paths of these commits with one process."""
        new = [commit for commit in dict.fromkeys(commits) if commit not in self.cache.changed]
        if new:
            self.cache.changed.update(read_changed_paths(self.control.path, new))

    def read_brought(self, commit: str, pull: PullRequest) -> Brought | None:
        """How a pull request was merged as this commit of main; None for a first commit."""
        parents = self.control.read_commit(commit).parents
        return self.brought_of(pull, parents[0]) if parents else None

    def brought_of(self, pull: PullRequest, base: str) -> Brought:
        """How a pull request is merged, or would be, onto this commit of main."""
        branch = pull.head_branch
        if branch not in self._pushes:
            self._pushes[branch] = self.forge.read_pushes(self.control_repo, branch)
        pushes = _pushes_until(self._pushes[branch], pull.head)
        return Brought(
            pull=pull.number,
            base=CommitId(base),
            head=CommitId(pull.head),
            author=pull.author_id,
            pushers=tuple(sorted({push.account for push in pushes})),
            is_pusher_known=pull.head in {push.commit for push in pushes if push.account},
            reviews=tuple(
                GivenReview(account=r.user_id, commit=r.commit, verdict=r.verdict.value, at=r.at)
                for r in sorted(pull.reviews, key=lambda r: r.sequence)
            ),
        )

    def read_members(self, teams: Collection[str]) -> Mapping[str, frozenset[int]]:
        """The members of each of these teams that exists on the forge."""
        found = {}
        for team in teams:
            if team not in self._teams:
                self._teams[team] = self.forge.read_team(team)
            members = self._teams[team]
            if members is not None:
                found[team] = members
        return found

    def read_authority(
        self,
        paths: Sequence[str],
        commit: str,
        brought: Brought | None,
        *,
        now: Snapshot | None = None,
        tier: RiskTier = "LOW",
    ) -> Authority:
        """The authority over what `commit` brought to main at these paths.

        All changes of its pull request count, not only these paths.
        """
        if not self.control.read_commit(commit).parents:
            return FOUNDING
        if brought is None:
            return unbrought(paths[0], f"no pull request brought it to main at {commit[:12]}")
        if self.policy and not self.policy.is_good_at(self.control, brought.base):
            return unbrought(
                paths[0], f"the policy at its base {brought.base[:12]} lacks authority"
            )
        self.read_changed([commit])
        changed = self.cache.changed.get(commit, ())
        base, proposed = self.sides_at(brought.base, commit, changed)
        matters = matters_of(changed, base, proposed, now=now, tier=tier)
        is_reviewed = all(self._is_same(path, brought.head, commit) for path in paths)
        return self.judge(matters, brought, base.platform, is_reviewed=is_reviewed)

    def judge(
        self,
        matters: Sequence[Matter],
        brought: Brought,
        people: Platform | None,
        *,
        is_reviewed: bool = True,
    ) -> Authority:
        """The authority over matters, taking the forge's own teams into account."""
        first = matters[0].path if matters else PLATFORM_PATH
        if people is None:
            why = f"`{PLATFORM_PATH}` is missing or invalid at the base {brought.base[:12]}"
            return unbrought(first, why)
        teams = {t for m in matters for policy in m.approvals for t in policy.teams}
        teams |= {team for matter in matters for team in matter.ask_teams}
        held = people.held_to(self.read_members(teams))
        return judge(matters, self.revision_of(brought, is_reviewed=is_reviewed), held)

    def revision_of(self, brought: Brought, *, is_reviewed: bool) -> Revision:
        """The revision for a change, as authority judges it."""
        return revision_of(
            brought,
            committers=self._committers(brought.base, brought.head),
            is_reviewed=is_reviewed,
        )

    def sides_at(self, base: str, proposed: str, changed: Sequence[str]) -> tuple[Snapshot, ...]:
        """The policy before and after a change of these paths, as far as authority over it needs
        it: that over a release group needs the policy of each member."""
        groups, commits = groups_among(changed), (base, proposed)
        named = members_of(groups, *(self.policy_at(c, groups) for c in commits)) if groups else ()
        return tuple(self.policy_at(commit, (*changed, *named)) for commit in commits)

    def policy_at(self, commit: str, changed: Sequence[str]) -> Snapshot:
        """The policy at a commit, as far as authority over these paths needs it."""
        needed = paths_behind(changed)
        key = (commit, needed)
        if key not in self.cache.policies:
            self.cache.policies[key] = read_snapshot_of(self.control, commit, needed)
        return self.cache.policies[key]

    def _committers(self, base: str, head: str) -> frozenset[int]:
        """The accounts named by the commits between base and head."""
        key = (base, head)
        if key not in self.cache.committers:
            self.cache.committers[key] = read_committers(self.control, base, head)
        return self.cache.committers[key]

    def _is_same(self, path: str, one: str, other: str) -> bool:
        first, second = self.control.read_objects([f"{one}:{path}", f"{other}:{path}"])
        return (first.id if first else None) == (second.id if second else None)


def _pushes_until(pushes: Sequence[Push], head: str) -> Sequence[Push]:
    """The pushes up to the last one that moved a branch to `head`; all if none did.

    Pushes to the branch after its pull request was merged do not count.
    """
    last = max((n for n, push in enumerate(pushes) if push.commit == head), default=len(pushes))
    return pushes[: last + 1]


def check_asker(
    git: GitRepository, author: int, base: str, proposed: str, changed: Sequence[str]
) -> tuple[Finding, ...]:
    """Findings for paths that `author` may not ask for by the policy at `base`; asks no forge.

    `proposed` is the commit or tree after the change. Raises CouldNotCheck if the base lists no
    accounts.
    """
    before, after = read_sides(git, [base, proposed], changed)
    if before.platform is None:
        raise CouldNotCheck(f"`{PLATFORM_PATH}` of the base cannot be read, so no account is known")
    matters = matters_of(changed, before, after)
    revision = Revision(proposed, author, frozenset(), True, ())
    found = judge(matters, revision, before.platform)
    return tuple(reason.finding() for reason in found.reasons if reason.final)


def read_committers(git: GitRepository, base: str, head: str) -> frozenset[int]:
    """The accounts named by a revision's commits: those of `head` that `base` lacks."""
    found: set[int] = set()
    for commit in read_new_commits(git, base, head):
        for person in (commit.author, commit.committer):
            account = account_of_email(person.email)
            if account:
                found.add(account)
    return frozenset(found)


def revision_of(
    brought: Brought, *, committers: frozenset[int], is_reviewed: bool = True
) -> Revision:
    """The revision that authority judges, from a fact and what clones hold. Pure."""
    return Revision(
        head=brought.head,
        author=brought.author,
        pushers=frozenset(brought.pushers),
        is_pusher_known=brought.is_pusher_known,
        reviews=tuple(
            Review(number, given.account, given.commit, ReviewVerdict(given.verdict), at=given.at)
            for number, given in enumerate(brought.reviews, start=1)
        ),
        committers=committers,
        is_reviewed=is_reviewed,
    )
