"""Checks, comments and pushes in a local forge's journal; it has no teams and no workflows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pipeline.errors import NotFound
from pipeline.forges.local.journal import (
    JOURNAL_REF,
    check_files,
    comment_files,
    read_checks,
    read_comments,
    read_journal_commit,
    read_pushes,
)
from pipeline.forges.local.journal_writing import JOURNAL_TRIES, move_journal, too_busy, wait
from pipeline.forges.local.store import LocalStore
from pipeline.forges.port import Check, Comment, DeploymentAsk, Push


class LocalChecksAndEvents:
    """Checks, comments and pushes of one organisation's repositories."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    @property
    def account(self) -> int | None:
        """None: any account may be named as the actor."""
        return None

    def read_team(self, team: str) -> None:
        """None: there are no teams here."""

    def read_pushes(self, repo: str, branch: str) -> tuple[Push, ...]:
        """The pushes in the journal."""
        git = self._store.open_repository(repo)
        journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
        return read_pushes(git, journal, branch)

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments in the journal."""
        git = self._store.open_repository(repo)
        journal = self._store.read_pull(git, repo, number)[0]
        return tuple(read_comments(git, journal, number))

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """Write the comment to the journal."""
        git = self._store.open_repository(repo)
        comment = Comment(actor, body, key)
        for attempt in range(JOURNAL_TRIES):
            journal = self._store.read_pull(git, repo, number)[0]
            there = read_comments(git, journal, number)
            same = [n for n, c in enumerate(there) if (c.author_id, c.key) == (actor, key)]
            place = same[0] if same else len(there)
            files = comment_files(number, place, comment)
            if (same and there[place] == comment) or move_journal(git, journal, files, ()):
                return
            wait(attempt)
        raise too_busy(repo, f"comment on #{number}")

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The checks in the journal."""
        git = self._store.open_repository(repo)
        return read_checks(git, read_journal_commit(git, git.resolve_all([JOURNAL_REF])), commit)

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        """Write the check to the journal."""
        git = self._store.open_repository(repo)
        if git.read_object(commit) is None:
            raise NotFound(f"{repo} has no commit {commit[:12]}")
        check = Check(name, passed, title, actor)
        for attempt in range(JOURNAL_TRIES):
            journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
            there = read_checks(git, journal, commit)
            if check in there or move_journal(git, journal, check_files(commit, check), ()):
                return
            wait(attempt)
        raise too_busy(repo, f"record a check of {commit[:12]}")

    def read_required_checks(self, repo: str, branch: str) -> Mapping[str, int | None]:
        """Empty: people who merge in a local forge look at the checks themselves."""
        self._store.open_repository(repo)
        return {}

    @property
    def shows_deployments(self) -> bool:
        """False: nobody looks at a local forge to see what runs."""
        return False

    def read_deployments(self, repo: str, commits: Collection[str]) -> tuple[()]:
        """Empty. Raises NotFound."""
        self._store.open_repository(repo)
        return ()

    def write_deployment(self, repo: str, asked: DeploymentAsk, *, actor: int) -> None:
        """Do nothing. Raises NotFound."""
        self._store.open_repository(repo)

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Do nothing: a local forge runs no workflows."""
        self._store.open_repository(repo)
