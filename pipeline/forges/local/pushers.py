"""Who pushed branches that no rule closes, as a local forge's journal keeps it.

Branches whose rule says who may push need no record. What plain git pushes past the forge is in
none, since a hook cannot tell who pushes; whoever then opens the pull request takes it on.
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
    """The journal's files after `actor` pushed these updates; only those that change."""
    moved = {update.ref.removeprefix(HEADS): update.new for update in updates}
    return _files(git, journal, moved, actor, again=True)


def read_files_of_openings(
    git: GitRepository,
    journal: str,
    asked: Sequence[PullAsk],
    refs: Mapping[str, str],
    actor: int,
) -> Files:
    """The journal's files after `actor` opened these pull requests: those whose head nobody is
    known to have pushed are the actor's from here on."""
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
    """`again`: a commit that somebody else pushed is the actor's as well."""
    files: dict[str, File] = {}
    for branch, commit in heads.items():
        pushes, push = read_pushes(git, journal, branch), Push(commit, actor)
        known = push in pushes if again else commit in {p.commit for p in pushes}
        if not known:
            files |= push_files(branch, (*pushes, push))
    return files
