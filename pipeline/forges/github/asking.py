"""What calls to GitHub share: who asks, in whose name, how a lost answer is made up for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import (
    ForgeRefused,
    NotFound,
    PipelineError,
)
from pipeline.forges.github import queries
from pipeline.forges.github.client import (
    GithubClient,
    Invalid,
    Unanswered,
    Unavailable,
)
from pipeline.forges.github.credentials import GitCredential
from pipeline.forges.http.connection import TRIES, Connection, Host
from pipeline.forges.http.repository import RemoteRepository
from pipeline.forges.port import (
    RepoView,
)
from pipeline.git.repository import GitRepository

_REPO_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
_HOST = Host("GitHub", "the App needs the permission `contents` on it", Unavailable)


@dataclass
class Asking:
    """One organisation on GitHub, as the account of `client` sees it.

    `others` holds clients of further accounts, for a process that plays several people.
    """

    organisation: str
    server_url: str
    client: GithubClient
    folder: Path  # where the copies of repositories are
    others: Mapping[int, GithubClient] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    _account: int | None = None
    _views: dict[str, RepoView] = field(default_factory=dict)
    _open: dict[str, GitRepository] = field(default_factory=dict)
    _connections: dict[int, Connection] = field(default_factory=dict)  # by client

    @property
    def account(self) -> int:
        """The number of the account whose credential this is, asked for once."""
        if self._account is None:
            self._account = queries.account_of(self.client.query(queries.VIEWER)["viewer"])
        return self._account

    def _path(self, repo: str) -> str:
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is no repository name")
        return f"/repos/{quote(self.organisation)}/{quote(repo)}"

    def _client(self, actor: int) -> GithubClient:
        """The client that acts for an account. Raises ForgeRefused."""
        if actor in self.others:
            return self.others[actor]
        if actor != self.account:
            raise ForgeRefused(
                f"the credential here is of account {self.account}, not of {actor}",
                help="on GitHub everybody acts with their own: GITHUB_TOKEN holds it",
            )
        return self.client

    def _remote(self, repo: str, client: GithubClient) -> RemoteRepository:
        if not _REPO_NAME.match(repo) or client.source is None:
            raise NotFound(f"`{repo}` is no repository name")
        key = id(client)
        if key not in self._connections:
            credential = GitCredential(client.source)
            self._connections[key] = Connection(_HOST, credential, client.cost)
        self._connections[key].sleep = self.sleep
        return RemoteRepository(
            path=self.folder / self.organisation / f"{repo}.git",
            url=f"{self.server_url}/{self.organisation}/{repo}.git",
            name=f"{self.organisation}/{repo}",
            connection=self._connections[key],
        )

    def _ask(self, text: str, repo: str, **variables: object) -> Mapping[str, Any]:
        """The repository's part of what a query gives. Raises NotFound."""
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is no repository name")
        data = self.client.query(text, owner=self.organisation, name=repo, **variables)
        node: Mapping[str, Any] = data["repository"]
        return node

    def _read_or_none(self, path: str) -> Any:
        try:
            return self.client.read(path)
        except NotFound:
            return None

    def _found_or_made(
        self, find: Callable[[], Any], make: Callable[[], Any], *, again: bool = False
    ) -> Any:
        """What `find` finds, before or after `make`; `again` takes it from `find` in any case.

        A lost answer and a clash with another run both end in a look. Raises what `make` raises
        when even then nothing is there.
        """
        failed: PipelineError | None = None
        for _ in range(TRIES):
            found = find()
            if found is not None:
                return found
            if isinstance(failed, Invalid):
                raise failed
            try:
                made = make()
            except (Unanswered, Invalid) as lost:
                failed = lost
                continue
            if not again:
                return made
        raise failed or Unavailable("GitHub does not show what it has just made")

    def _repeatedly(self, write: Callable[[], object]) -> None:
        """A write that may happen twice without harm. Raises Unanswered."""
        for number in range(TRIES):
            try:
                write()
                return
            except Unanswered:
                if number + 1 == TRIES:
                    raise
