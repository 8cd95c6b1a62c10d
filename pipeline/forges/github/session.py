"""One organisation on GitHub: the accounts that act, and their connections."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import ForgeRefused, NotFound
from pipeline.forges.github import queries
from pipeline.forges.github.client import GithubClient, Unavailable
from pipeline.forges.github.credentials import GitCredential
from pipeline.forges.http.connection import Connection, Host
from pipeline.forges.http.repository import RemoteRepository

_REPO_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
_HOST = Host("GitHub", "the App needs the permission `contents` on it", Unavailable)


@dataclass
class GithubSession:
    """One organisation on GitHub, as the account of `client` sees it.

    `others` holds clients of further accounts, for a process that plays several people.
    """

    organisation: str
    server_url: str
    client: GithubClient
    folder: Path  # of the local copies of repositories
    others: Mapping[int, GithubClient] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    _account: int | None = field(default=None, init=False)
    _connections: dict[int, Connection] = field(default_factory=dict, init=False)  # by client

    @property
    def account(self) -> int:
        """The number of the credential's account, read once."""
        if self._account is None:
            self._account = queries.account_of(self.client.query(queries.VIEWER)["viewer"])
        return self._account

    @property
    def apps(self) -> Mapping[int, int]:
        """Bot account → its App: rulesets name Apps by their own numbers."""
        source = self.client.source
        app = source.app_id if source else None
        return {} if app is None else {self.account: app}

    def path_of(self, repo: str) -> str:
        """The path of a repository in the REST API. Raises NotFound for an invalid name."""
        _check_name(repo)
        return f"/repos/{quote(self.organisation)}/{quote(repo)}"

    def client_of(self, actor: int) -> GithubClient:
        """The client that acts for an account. Raises ForgeRefused."""
        if actor in self.others:
            return self.others[actor]
        if actor != self.account:
            raise ForgeRefused(
                f"the credential here is of account {self.account}, not of {actor}",
                help="on GitHub everybody acts with their own: GITHUB_TOKEN holds it",
            )
        return self.client

    def remote(self, repo: str, client: GithubClient) -> RemoteRepository:
        """A repository for git, with the credential of `client`. Raises NotFound."""
        _check_name(repo)
        if client.source is None:
            raise NotFound(f"without a credential git sees no repository `{repo}`")
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

    def ask(self, text: str, repo: str, **variables: object) -> Mapping[str, Any]:
        """The repository's part of a query's data. Raises NotFound."""
        _check_name(repo)
        data = self.client.query(text, owner=self.organisation, name=repo, **variables)
        node: Mapping[str, Any] = data["repository"]
        return node


def _check_name(repo: str) -> None:
    if not _REPO_NAME.match(repo):
        raise NotFound(f"`{repo}` is not a repository name")
