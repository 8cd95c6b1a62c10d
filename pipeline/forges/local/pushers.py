"""The journal's record of who pushed branches that anybody may push.

Branches whose rule limits pushes need no record. Plain git pushes past the forge are not recorded,
since a hook cannot tell who pushes; the account that opens the pull request answers for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.forges.branch_rules import is_open_to_all
from pipeline.forges.local.journal import push_files, read_journal, read_pushes
from pipeline.forges.local.pull_values import HEADS
from pipeline.forges.port import PullAsk, Push
from pipeline.git.objects import File, Files, RefUpdate

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository


def read_files_of_pushes(
    git: GitRepository, journal: str, updates: Iterable[RefUpdate], actor: int
) -> Files:
    """The journal's changed files after `actor` pushed these updates."""
    moved = {update.ref.removeprefix(HEADS): update.new for update in updates}
    return _files(git, journal, moved, actor, again=True)


def read_files_of_openings(
    git: GitRepository,
    journal: str,
    asked: Sequence[PullAsk],
    refs: Mapping[str, str],
    actor: int,
) -> Files:
    """The journal's changed files after `actor` opened these pull requests: heads without a known
    pusher count as the actor's from now on."""
    rules = read_journal(git, journal).rules
    heads = {
        ask.head_branch: refs[ref]
        for ask in asked
        if (ref := f"{HEADS}{ask.head_branch}") in refs and is_open_to_all(rules, ref)
    }
    return _files(git, journal, heads, actor, again=False)


def _files(
    git: GitRepository, journal: str, heads: Mapping[str, str], actor: int, *, again: bool
) -> Files:
    """The changed files; with `again`, a commit that somebody else pushed is also the actor's."""
    files: dict[str, File] = {}
    for branch, commit in heads.items():
        pushes, push = read_pushes(git, journal, branch), Push(commit, actor)
        known = push in pushes if again else commit in {p.commit for p in pushes}
        if not known:
            files |= push_files(branch, (*pushes, push))
    return files
