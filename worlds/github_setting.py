"""The start of a story on GitHub: the sample platform's accounts, its App, its control repo."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipeline.forges.github.forge import GithubForge
from pipeline.forges.github.opening import GithubOrigin, open_github
from pipeline.git.process import run_git
from pipeline.models.requests import Platform
from worlds.control_repo import control_spec, trusting_workspace
from worlds.github_server import GitHubServer

APP_ID = 77
# The permissions of the pipeline's App.
PERMISSIONS = {
    "actions": "read",
    "administration": "write",
    "checks": "write",
    "contents": "write",
    "deployments": "write",
    "issues": "write",
    "members": "read",
    "metadata": "read",
    "organization_plan": "read",
    "pull_requests": "write",
}


@lru_cache(maxsize=1)
def app_key() -> tuple[str, str]:
    """A private key and its public key as PEM; made once, since that takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def add_pipeline_app(server: GitHubServer, organisation: str, bot_id: int) -> None:
    """Install the pipeline's App in an organisation."""
    server.add_app(
        APP_ID,
        "primitive-pipeline",
        bot_id=bot_id,
        public_key=app_key()[1],
        permissions=PERMISSIONS,
        organisation=organisation,
    )


class GithubSetting:
    """A GitHub with the sample platform's accounts, and a checkout of its control repo."""

    def __init__(self, server: GitHubServer, root: Path, platform: Platform) -> None:
        self.server = server
        self.organisation = platform.organisation
        self._platform = platform
        self._tokens: dict[str, str] = {}
        self._root = root

    def begin(self, files: Mapping[str, bytes], *, trusts_key: bool = True) -> Self:
        """This setting, after adding all accounts and a control repo with `files`.

        `trusts_key`: the workspace's key is a trusted signer.
        """
        if trusts_key:
            files = trusting_workspace(self._root, files)
        self.add_accounts()
        platform = self._platform
        forge = self.open_forge()
        forge.ensure_repo(platform.repos.control, control_spec(platform, files))
        forge.close()
        self.clone(platform.repos.control, self._root / "control")
        return self

    def add_accounts(self) -> None:
        """Add the organisation with its people, teams, bots and the App."""
        server, platform = self.server, self._platform
        server.add_organisation(platform.organisation)
        add_pipeline_app(server, platform.organisation, platform.pipeline_account.id)
        teams: dict[str, list[int]] = {}
        for account in platform.accounts:
            if account.kind == "pipeline":
                continue
            server.add_user(account.id, account.login, organisation=platform.organisation)
            for team in account.teams:
                teams.setdefault(team, []).append(account.id)
        for team, members in teams.items():
            server.add_team(platform.organisation, team, members)

    def _token(self, login: str) -> str:
        if login not in self._tokens:
            account = next(a for a in self._platform.accounts if a.login == login)
            self._tokens[login] = self.server.add_token(account.id)
        return self._tokens[login]

    def describe(self) -> str:
        """The address of the control repo, as the middle of a sentence."""
        return f"on a GitHub, {self.address('control')}"

    def address(self, repo: str) -> str:
        """What a user would clone."""
        return f"{self.server.url}/{self.organisation}/{repo}.git"

    def credential(self, login: str | None) -> tuple[str, Mapping[str, str]]:
        """The App's credential for the pipeline, a personal token for everybody else."""
        common = {
            "GITHUB_SERVER_URL": self.server.url,
            "PIPELINE_CACHE": str(self._root / "cache"),
            "GITHUB_TOKEN": "",
            "PIPELINE_APP_ID": "",
        }
        if login is None or login == self._platform.pipeline_account.login:
            app = {"PIPELINE_APP_ID": str(APP_ID), "PIPELINE_APP_PRIVATE_KEY": app_key()[0]}
            return "", common | app
        variable = login.upper().removesuffix("[BOT]").replace("-", "_")
        return f"GITHUB_TOKEN=${variable} ", common | {"GITHUB_TOKEN": self._token(login)}

    def open_forge(self, login: str | None = None) -> GithubForge:
        """The forge, acting as that account."""
        origin = GithubOrigin(self.server.url, self.organisation, "control")
        before = os.environ.get("PIPELINE_CACHE")
        os.environ["PIPELINE_CACHE"] = str(self._root / "cache")
        try:
            return open_github(origin, self.credential(login)[1])
        finally:
            if before is None:
                del os.environ["PIPELINE_CACHE"]
            else:
                os.environ["PIPELINE_CACHE"] = before

    def clone(self, repo: str, path: Path) -> None:
        """A clone as a person makes it, without a credential in its configuration."""
        token = self._token(next(a.login for a in self._platform.accounts if a.kind == "person"))
        pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        run_git(
            ["-C", str(path.parent), "clone", "-q", self.address(repo), path.name],
            name=repo,
            protocols="http",
            environment={
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"http.{self.server.url}/.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
            },
        )
