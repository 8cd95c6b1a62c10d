"""Repositories of a local forge: bare repositories with rules in journal and hook."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.branch_rules import check_push, is_open_to_all
from pipeline.forges.local.fingerprint import read_ref_fingerprint
from pipeline.forges.local.hook import write_hook
from pipeline.forges.local.journal import (
    JOURNAL_REF,
    Journal,
    read_journal,
    read_journal_commit,
)
from pipeline.forges.local.journal_writing import (
    FORGE_SIGNATURE,
    JOURNAL_TRIES,
    move_journal,
    too_busy,
    wait,
)
from pipeline.forges.local.pull_values import HEADS
from pipeline.forges.local.pushers import read_files_of_pushes
from pipeline.forges.local.store import LocalStore
from pipeline.forges.local.upkeep import keep_up
from pipeline.forges.port import BranchRule, RepoSpec, RepoView
from pipeline.git.commits import walk_back
from pipeline.git.objects import GitObject, RefUpdate, commit_object, objects_of_files
from pipeline.git.repository import GitRepository

_REFS = (HEADS, "refs/forge/")


class LocalRepositories:
    """The bare repositories of one organisation."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def close(self) -> None:
        """End the reading processes of all repositories."""
        self._store.close()

    def cost(self) -> str:
        """Empty: the forge is on this machine."""
        return ""

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None."""
        if not (self._store.path(repo) / "HEAD").exists():
            return None
        git = self._store.open_repository(repo)
        refs = git.read_refs(_REFS)
        return _view_of(repo, refs, read_journal(git, refs.get(JOURNAL_REF)))

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        """The rules in the journal. Raises NotFound."""
        return read_journal(self._store.open_repository(repo), JOURNAL_REF).rules

    def read_environment(self, repo: str, name: str) -> tuple[str, ...]:
        """Raise NotFound: a local forge runs no workflows."""
        raise NotFound(f"a local forge has no environment `{name}`")

    def read_hosting(self, repo: str) -> None:
        """None: a local forge has no plans. Raises NotFound."""
        self._store.open_repository(repo)

    def read_signed_branches(self, repo: str, branches: Collection[str]) -> Mapping[str, bool]:
        """Empty: a local forge requires no signatures. Raises NotFound."""
        self._store.open_repository(repo)
        return {}

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        """Repository → text that changes with any ref; the journal of pull requests is a ref."""
        found: dict[str, str] = {}
        for repo in repos:
            # Leave out a link or an unreadable repository; the others are not affected.
            with suppress(NotFound, OSError):
                path = self._store.path(repo)
                told = read_ref_fingerprint(path) if (path / "HEAD").exists() else "absent"
                if told is not None:
                    found[repo] = told
        return found

    def open_repository(self, repo: str) -> GitRepository:
        """The repository's git. Raises NotFound."""
        return self._store.open_repository(repo)

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or created by one rename; rules are updated."""
        path = self._store.path(repo)
        if not path.exists():
            self._create(path, spec)
        git = self._store.open_repository(repo)
        for attempt in range(JOURNAL_TRIES):
            refs = git.read_refs(_REFS)
            journal = read_journal(git, refs.get(JOURNAL_REF))
            if journal.initial_commit != spec.initial_commit:
                raise ForgeRefused(
                    f"`{repo}` exists with another first commit",
                    help="it was made by hand or by another version; move it away first",
                )
            write_hook(path, spec.rules)
            if journal.rules == spec.rules and journal.description == spec.description:
                return _view_of(repo, refs, journal)
            wanted = replace(journal, rules=spec.rules, description=spec.description)
            if move_journal(git, refs.get(JOURNAL_REF), wanted.files(), ()):
                return _view_of(repo, refs, wanted)
            wait(attempt)
        raise too_busy(repo, "change its rules")

    def ensure_rules(
        self, repo: str, rules: tuple[BranchRule, ...], *, teams: tuple[str, ...] = ()
    ) -> None:
        """Write the rules to the journal and to the hook for people's pushes."""
        git = self._store.open_repository(repo)
        write_hook(self._store.path(repo), rules)
        for attempt in range(JOURNAL_TRIES):
            head = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
            journal = read_journal(git, head)
            wanted = replace(journal, rules=rules)
            if wanted == journal or move_journal(git, head, wanted.files(), ()):
                return
            wait(attempt)
        raise too_busy(repo, "change its rules")

    def _create(self, path: Path, spec: RepoSpec) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
        try:
            git = GitRepository.init_bare(building, spec.default_branch)
            journal = Journal(
                spec.description, spec.default_branch, spec.initial_commit, spec.rules
            )
            objects = objects_of_files(journal.files())
            commit = commit_object(
                objects[-1].id, [], "Create the repository\n", FORGE_SIGNATURE, FORGE_SIGNATURE
            )
            git.write_objects([*spec.initial_objects, *objects, commit])
            git.update_refs(
                [
                    RefUpdate(f"refs/heads/{spec.default_branch}", None, spec.initial_commit),
                    RefUpdate(JOURNAL_REF, None, commit.id),
                ]
            )
            git.close()
            write_hook(building, spec.rules)
            building.chmod(0o755)
            try:
                building.rename(path)
            except OSError:
                # Another process created it in the meantime: fine if it is the same.
                if not (path / "HEAD").exists():
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        """Store objects, then move all refs at once; see the port."""
        git = self._store.open_repository(repo)
        rules = read_journal(git, JOURNAL_REF).rules
        for update in updates:
            reason = check_push(rules, update.ref, actor)
            if reason:
                raise ForgeRefused(f"{repo}: {reason}")
        made = {item.id: item for item in objects}
        git.write_objects(made.values())
        for update in updates:
            if update.old is not None and not _is_forward(git, made, update.old, update.new):
                raise ForgeRefused(f"{repo}: {update.ref} would lose commits")
        seen = [u for u in updates if is_open_to_all(rules, u.ref)]
        if not seen:
            git.update_refs(updates)
            keep_up(git)
        else:
            self._push_seen(git, repo, updates, seen, actor)

    def _push_seen(
        self,
        git: GitRepository,
        repo: str,
        updates: tuple[RefUpdate, ...],
        seen: Sequence[RefUpdate],
        actor: int,
    ) -> None:
        """Move refs, and record in the journal who moved those that anybody may move."""
        for attempt in range(JOURNAL_TRIES):
            journal = read_journal_commit(git, git.resolve_all([JOURNAL_REF]))
            files = read_files_of_pushes(git, journal, seen, actor)
            if not files:
                git.update_refs(updates)
                keep_up(git)
                return
            if move_journal(git, journal, files, updates):
                return
            now = git.resolve_all([update.ref for update in updates])
            for update in updates:
                if now.get(update.ref) not in (update.old, update.new):
                    raise StalePlan(f"{update.ref} moved")
            wait(attempt)
        raise too_busy(repo, "push")


def _view_of(repo: str, refs: Mapping[str, str], journal: Journal) -> RepoView:
    heads = {n.removeprefix(HEADS): id for n, id in refs.items() if n.startswith(HEADS)}
    return RepoView(repo, journal.default_branch, heads)


def _is_forward(git: GitRepository, made: Mapping[str, GitObject], old: str, new: str) -> bool:
    """Whether `new` descends from `old`; mostly known from the new commits, without git."""
    at = walk_back(made, new, old)
    return at == old or git.is_ancestor(old, at)
