"""Whether every change of policy on main had authority, from the first commit on.

Each policy change is judged by the policy before it, so one change without authority could grant
itself any right. The first-parent history of main is walked once, oldest first; a change counts if
the policy before it counts and `pipeline.gate.authority` finds it complete. The files of a change
that does not count stay `pending` until it is approved after all or reverted. Nothing judged by a
policy with pending files is followed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.forges.port import PullRequest
from pipeline.git.history import NO_BLOB, Change, read_path_changes
from pipeline.git.repository import GitRepository
from pipeline.machine.cache import cache_key, read_cached, write_cached
from pipeline.machine.identity import tool_identity
from pipeline.world.revisions import Revisions

POLICY_WITHOUT_AUTHORITY = register(
    Rule(
        "policy-without-authority",
        "Every policy change on main was requested and approved by people who may.",
        "otherwise anybody could change the rules",
        "have its pull request approved after all, or restore the file",
        Subject.SCENARIO,
        "one engineer merges a lower number of approvals for prod past the branch rules",
        "the platform's owners ask for it and approve it",
    )
)
# The policy for requests: all of `environments/`, and each tenant's own file.
POLICY_PATHS = ("environments", ":(glob)tenants/*/tenant.yaml")
_KIND = "policy"
PullsOf = Callable[[Sequence[str]], Mapping[str, PullRequest | None]]


@dataclass(frozen=True, slots=True)
class Pending:
    """A policy file changed without authority: its last good blob, and the commit that changed
    it."""

    path: str
    good_blob: str  # all zeros if there was no such file
    commit: str
    why: str


@dataclass(frozen=True, slots=True)
class PolicyHistory:
    """The policy as of a commit of main.

    `windows` are the stretches of main with pending files: from a commit (inclusive) to another
    (exclusive), or to the end if that is empty.
    """

    head: str
    pending: tuple[Pending, ...] = ()
    windows: tuple[tuple[str, str], ...] = ()

    def findings(self) -> tuple[Finding, ...]:
        """One finding for each pending file."""
        return tuple(
            POLICY_WITHOUT_AUTHORITY.finding(
                f"commit {p.commit[:12]} changed it: {p.why}", Location(p.path)
            )
            for p in self.pending
        )

    def left_by(self, git: GitRepository, tree: str) -> tuple[Pending, ...]:
        """The pending files that a commit or tree does not restore."""
        found = git.read_objects([f"{tree}:{p.path}" for p in self.pending])
        return tuple(
            p
            for p, item in zip(self.pending, found, strict=True)
            if (item.id if item else NO_BLOB) != p.good_blob
        )

    def is_good_at(self, git: GitRepository, commit: str) -> bool:
        """Whether nothing was pending at a commit of main."""
        return not any(
            git.is_ancestor(begin, commit) and not (end and git.is_ancestor(end, commit))
            for begin, end in self.windows
        )


@dataclass
class Walk:
    """A walk over the history of policy, commit by commit."""

    pending: dict[str, Pending] = field(default_factory=dict)
    windows: list[tuple[str, str]] = field(default_factory=list)

    def take(self, commit: str, changes: Sequence[Change], reason: str) -> None:
        """Add one commit; `reason` says what its authority lacks, empty if nothing."""
        if not self.pending:
            if reason:
                self.pending = {c.path: Pending(c.path, c.old, commit, reason) for c in changes}
                self.windows.append((commit, ""))
            return
        for change in changes:
            known = self.pending.get(change.path)
            good = known.good_blob if known else change.old
            if change.new == good:
                self.pending.pop(change.path, None)
            else:
                why = "it rests on policy without authority"
                self.pending[change.path] = known or Pending(change.path, good, commit, why)
        if not self.pending:
            self.windows[-1] = (self.windows[-1][0], commit)

    def history(self, head: str) -> PolicyHistory:
        """The policy as of the last commit taken."""
        return PolicyHistory(head, tuple(self.pending.values()), tuple(self.windows))


def read_policy_history(
    git: GitRepository, revisions: Revisions, pulls_of: PullsOf, head: str
) -> PolicyHistory:
    """The policy history up to `head`, continued from a remembered earlier commit.

    `pulls_of` returns the merged pull requests of commits. Only a history without pending files is
    remembered, since a change without authority may still get it.
    """
    key = cache_key(tool_identity(), str(git.path))
    known = _read_known(git, key, head)
    if known and known.head == head:
        return known
    since = f"{known.head}..{head}" if known else head
    changes = read_path_changes(git.path, since, POLICY_PATHS)
    walk = Walk(windows=list(known.windows) if known else [])
    pulls = pulls_of([commit for commit, _ in changes])
    for commit, changed in changes:
        # While files are pending no approval counts: the policy that judged it does not count.
        lacks = "" if walk.pending else _read_lack(revisions, commit, changed, pulls.get(commit))
        walk.take(commit, changed, lacks)
    history = walk.history(head)
    if not history.pending:
        write_cached(_KIND, key, json.dumps([head, history.windows]).encode())
    return history


def _read_lack(
    revisions: Revisions, commit: str, changed: Sequence[Change], pull: PullRequest | None
) -> str:
    """What the authority of a commit lacks; empty if nothing."""
    brought = revisions.read_brought(commit, pull) if pull else None
    paths = [change.path for change in changed]
    found = revisions.read_authority(paths, commit, brought)
    return "; ".join(dict.fromkeys(reason.message for reason in found.reasons))


def _read_known(git: GitRepository, key: str, head: str) -> PolicyHistory | None:
    """The remembered history of this repository, if `head` descends from it."""
    try:
        commit, windows = json.loads(read_cached(_KIND, key) or b"null")
        known = PolicyHistory(str(commit), (), tuple((str(b), str(e)) for b, e in windows))
    except (ValueError, TypeError):
        return None  # absent or damaged
    there = git.read_object(known.head) is not None and git.is_ancestor(known.head, head)
    return known if there else None
