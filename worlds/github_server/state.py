"""The server's state: accounts, tokens, repositories and everything below them.

Refs and objects are in bare repositories on disk, everything else in memory. Numbers come from one
counter, times from one clock that a test may set.
"""

from __future__ import annotations

import hashlib
import itertools
import pickle
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]
Permissions = Mapping[str, str]  # name → `read` or `write`
TOKEN_LIFETIME_S = 3600

_GIT_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_COMMITTER_NAME": "GitHub",
    "GIT_COMMITTER_EMAIL": "noreply@github.invalid",
    "GIT_AUTHOR_NAME": "GitHub",
    "GIT_AUTHOR_EMAIL": "noreply@github.invalid",
    "LC_ALL": "C",
    "TZ": "UTC",
}
# Runs for every push: applies the server's refusals, and protects branches that only move forward.
_HOOK = """#!/bin/sh
if [ -n "$REFUSED" ]; then printf '%s\\n' "$REFUSED" >&2; exit 1; fi
while read -r old new ref; do
    case " $FORWARD_ONLY " in *" $ref "*)
        case "$old$new" in *0000000000000000000000000000000000000000*) continue ;; esac
        if ! git merge-base --is-ancestor "$old" "$new"; then
            echo "GH013: Repository rule violations found for $ref: Cannot force-push" >&2
            exit 1
        fi ;;
    esac
done
"""


class GitError(Exception):
    """A git call of the server failed; the text is git's message."""


@dataclass(slots=True)
class Account:
    """A user, a bot of an app, or an organisation."""

    id: int
    login: str
    type: Literal["User", "Bot", "Organization"] = "User"


@dataclass(slots=True)
class Team:
    """A team of an organisation, with its members."""

    id: int
    slug: str
    members: set[int]


@dataclass(slots=True)
class App:
    """A GitHub App: its bot, its public key in PEM, and the permissions of its installation."""

    id: int
    slug: str
    bot: Account
    public_key: str
    permissions: dict[str, str]
    installation_id: int
    organisation: str


@dataclass(slots=True)
class Token:
    """A credential: its account and, for an installation, its narrowed rights."""

    value: str
    account: Account
    app: App | None = None
    permissions: Permissions | None = None  # None: all of the person's
    repositories: frozenset[str] | None = None  # names; None: all
    expires_s: float | None = None


@dataclass(slots=True)
class Review:
    """One review of a pull request."""

    id: int
    account: Account
    commit: str
    state: str  # APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED
    body: str
    submitted: str


@dataclass(slots=True)
class Activity:
    """One move of a branch, with its actor."""

    id: int
    account: Account
    ref: str
    before: str | None
    after: str | None
    type: str  # push, branch_creation, branch_deletion, force_push, pr_merge
    time: str


@dataclass(slots=True)
class Comment:
    """One comment of an issue or pull request."""

    id: int
    number: int
    account: Account
    body: str
    created: str
    updated: str


@dataclass(slots=True)
class CheckRun:
    """One check run, by an app."""

    id: int
    app: App
    name: str
    head: str
    status: str
    conclusion: str | None
    started: str
    completed: str | None
    title: str | None
    summary: str | None
    external_id: str
    details_url: str


@dataclass(slots=True)
class Pull:
    """One pull request."""

    id: int
    number: int
    account: Account
    title: str
    body: str | None
    head_branch: str
    head: str
    base_branch: str
    base: str
    created: str
    updated: str
    last_pusher: int
    state: str = "open"  # or closed
    closed: str | None = None
    merged: str | None = None
    merged_by: Account | None = None
    merge_commit: str | None = None
    reviews: list[Review] = field(default_factory=list)
    auto_merge_by: Account | None = None
    queued_by: Account | None = None


@dataclass(slots=True)
class DeploymentStatus:
    """One status of a deployment."""

    id: int
    creator: Account
    state: str
    description: str
    log_url: str
    created: str


@dataclass(slots=True)
class Deployment:
    """One deployment, with its statuses, the newest last."""

    id: int
    creator: Account
    commit: str
    ref: str
    environment: str
    payload: Json | str
    description: str
    is_production: bool
    is_transient: bool
    created: str
    statuses: list[DeploymentStatus] = field(default_factory=list)


@dataclass(slots=True)
class Ruleset:
    """One ruleset of a repository, as it was sent."""

    id: int
    name: str
    enforcement: str
    bypass_actors: list[Json]
    include: list[str]
    exclude: list[str]
    rules: list[Json]
    created: str
    updated: str


@dataclass(slots=True)
class Repository:
    """One repository: a bare one on disk, and the forge's data about it."""

    id: int
    owner: Account
    name: str
    path: Path
    description: str | None
    private: bool
    default_branch: str
    created: str
    pushed: str
    updated: str
    pulls: dict[int, Pull] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    checks: dict[int, CheckRun] = field(default_factory=dict)
    rulesets: dict[int, Ruleset] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    queue: list[int] = field(default_factory=list)
    dispatches: list[Json] = field(default_factory=list)
    teams: dict[str, str] = field(default_factory=dict)  # slug → permission
    # Environment → the branches that may use it; None: any.
    environments: dict[str, list[str] | None] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    seen_heads: dict[str, str] = field(default_factory=dict)  # as of the newest activity

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner.login}/{self.name}"

    def git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        accept: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """The output of a git call in the repository. Raises GitError."""
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=stdin,
            capture_output=True,
            env={**_GIT_ENVIRONMENT, **(environment or {})},
            check=False,
        )
        if done.returncode not in accept:
            raise GitError(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode(errors="replace").strip()

    def refs(self, prefix: str = "refs/heads/") -> dict[str, str]:
        """Full ref name → object id, sorted."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
        return dict(line.split(" ") for line in lines)

    def branch(self, name: str) -> str | None:
        """The commit of a branch."""
        found = self.git("rev-parse", "-q", "--verify", f"refs/heads/{name}", accept=(0, 1))
        return found or None

    def kind_of(self, id: str) -> str:
        """The type of an object; empty if it does not exist."""
        try:
            return self.git("cat-file", "-t", id)
        except GitError:
            return ""

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` descends from `old`."""
        try:
            self.git("merge-base", "--is-ancestor", old, new)
        except GitError:
            return False
        return True


class State:
    """The server's whole state. Every use holds `lock`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.accounts: dict[int, Account] = {}
        self.teams: dict[tuple[str, str], Team] = {}
        self.members: dict[str, set[int]] = {}
        self.plans: dict[str, str] = {}  # organisation → its paid plan; otherwise `free`
        self.apps: dict[int, App] = {}
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.clock: Callable[[], float] = time.time
        # Merges are dated by the clock or, for reproducible commits, from this time on.
        self.first_merge_s: int | None = None
        self._numbers = itertools.count(5_000_001)
        self._tokens = itertools.count(1)

    def save(self, folder: Path) -> None:
        """Save everything in `folder`, which must not exist yet."""
        shutil.copytree(self.folder, folder / "repositories", symlinks=True)
        kept = {name: value for name, value in vars(self).items() if name != "lock"}
        (folder / "state.pickle").write_bytes(pickle.dumps(kept))

    @classmethod
    def load(cls, saved: Path, folder: Path) -> State:
        """The state saved in `saved`, with the repositories copied to `folder`."""
        shutil.copytree(saved / "repositories", folder, symlinks=True)
        made = cls(folder)
        vars(made).update(pickle.loads((saved / "state.pickle").read_bytes()))
        made.folder = folder
        for repository in made.repositories.values():
            repository.path = folder / repository.owner.login / f"{repository.name}.git"
        return made

    def number(self) -> int:
        """A new id."""
        return next(self._numbers)

    def now(self) -> str:
        """The time as GitHub writes it; fixed if merges must be reproducible."""
        time_s = self.clock() if self.first_merge_s is None else self.first_merge_s
        return datetime.fromtimestamp(time_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def account_named(self, login: str) -> Account | None:
        """The account with this login, in any case."""
        wanted = login.lower()
        return next((a for a in self.accounts.values() if a.login.lower() == wanted), None)

    def new_token(self, account: Account, **fields: Any) -> Token:
        """A new credential of an account."""
        seed = f"{account.id} {next(self._tokens)}"
        kind = "ghs" if fields.get("app") else "ghp"
        value = f"{kind}_{hashlib.sha256(seed.encode()).hexdigest()[:36]}"
        token = Token(value, account, **fields)
        self.tokens[value] = token
        return token

    def repository(self, owner: str, name: str) -> Repository | None:
        """The repository with this name."""
        return self.repositories.get((owner.lower(), name.lower()))

    def create_repository(
        self, owner: Account, name: str, *, description: str | None = None, private: bool = True
    ) -> Repository:
        """A new, empty repository."""
        path = self.folder / owner.login / f"{name}.git"
        path.mkdir(parents=True)
        now = self.now()
        made = Repository(
            self.number(), owner, name, path, description, private, "main", now, now, now
        )
        made.git("init", "-q", "--bare", "--initial-branch=main", ".")
        for key, value in (
            ("uploadpack.allowReachableSHA1InWant", "true"),
            ("uploadpack.allowFilter", "true"),
            ("receive.advertiseAtomic", "true"),
            ("receive.denyDeletes", "false"),
            ("http.receivepack", "true"),
            ("gc.auto", "0"),
        ):
            made.git("config", key, value)
        hook = path / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        self.repositories[owner.login.lower(), name.lower()] = made
        return made

    def after_refs_moved(self, repository: Repository, account: Account, how: str = "push") -> None:
        """Move pull requests with their branches, and close those whose branch is gone.

        Each moved branch becomes an activity of the account.
        """
        heads = repository.refs()
        repository.pushed = now = self.now()
        self._note_activities(repository, account, heads, how)
        for pull in repository.pulls.values():
            if pull.state != "open":
                continue
            head = heads.get(f"refs/heads/{pull.head_branch}")
            if head is None or f"refs/heads/{pull.base_branch}" not in heads:
                pull.state, pull.closed, pull.updated = "closed", now, now
            elif head != pull.head:
                pull.head, pull.updated, pull.last_pusher = head, now, account.id
                repository.git("update-ref", f"refs/pull/{pull.number}/head", head)
                self._dismiss_stale(repository, pull)

    def _note_activities(
        self, repository: Repository, account: Account, heads: Mapping[str, str], how: str
    ) -> None:
        known = repository.seen_heads
        for ref in sorted({*known, *heads}):
            before, after = known.get(ref), heads.get(ref)
            if before == after:
                continue
            kind = how if before and after else "branch_creation" if after else "branch_deletion"
            if kind == "push" and before and not repository.is_ancestor(before, after or ""):
                kind = "force_push"
            repository.activities.append(
                Activity(next(self._numbers), account, ref, before, after, kind, self.now())
            )
        repository.seen_heads = dict(heads)

    def _dismiss_stale(self, repository: Repository, pull: Pull) -> None:
        from worlds.github_server.rules import review_parameters

        if review_parameters(self, repository, pull.base_branch)["dismiss_stale_reviews_on_push"]:
            for review in pull.reviews:
                if review.state == "APPROVED":
                    review.state = "DISMISSED"
