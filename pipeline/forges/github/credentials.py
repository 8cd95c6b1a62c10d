"""Credentials for GitHub: a plain token, or tokens of an App's installation, renewed in time.

An installation token is requested only for the repositories and permissions that the caller names,
so a leaked one opens no more than that (GitHub, "Generating an installation access token").
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pipeline.errors import UsageFault

RENEW_BEFORE_S = 300
_JWT_LIFETIME_S = 540  # GitHub takes at most 600, and clocks differ


class TokenSource(Protocol):
    """The source of one account's tokens."""

    @property
    def app_id(self) -> int | None:
        """The id of the App, if this is an App's installation."""

    def token(self) -> str:
        """A token valid for some minutes."""

    def renew(self) -> bool:
        """Whether a new token is available after GitHub refused the last."""


@dataclass(slots=True)
class PlainToken:
    """A personal access token, or the token of a workflow run."""

    value: str = field(repr=False)
    app_id: int | None = None

    def token(self) -> str:
        """The token."""
        return self.value

    def renew(self) -> bool:
        """Never: there is only this one."""
        return False


@dataclass(frozen=True, slots=True)
class GitCredential:
    """The token for GitHub's git: HTTP basic authentication, for any account."""

    source: TokenSource

    def authorisation(self) -> str:
        """The value of the header `Authorization`."""
        pair = base64.b64encode(f"x-access-token:{self.source.token()}".encode()).decode()
        return f"Basic {pair}"

    def renew(self) -> bool:
        """Whether a new token is available."""
        return self.source.renew()


# Calls GitHub with an App's own JWT: method, path, JWT, body → the answer.
AskAsApp = Callable[[str, str, str, Mapping[str, object] | None], Mapping[str, object]]


@dataclass(slots=True)
class AppInstallation:
    """Tokens of an App's installation in one organisation.

    `repositories` and `permissions` narrow each token; None does not narrow. A permission in
    `optional` is asked for only if the installation grants it. `ask` is the client's call with a
    JWT, so this class does no HTTP.
    """

    app_id: int
    private_key: str = field(repr=False)
    organisation: str
    ask: AskAsApp = field(repr=False)
    repositories: Sequence[str] | None = None
    permissions: Mapping[str, str] | None = None
    optional: Collection[str] = ()
    clock: Callable[[], float] = time.time
    _installation: int | None = None
    _granted: Mapping[str, object] = field(default_factory=dict)
    _token: str = field(default="", repr=False)
    _good_until_s: float = 0

    def token(self) -> str:
        """A token valid for at least five minutes."""
        if self.clock() + RENEW_BEFORE_S >= self._good_until_s:
            self._fetch()
        return self._token

    def renew(self) -> bool:
        """Discard the token, so that the next one is new."""
        self._good_until_s = 0
        return True

    def _fetch(self) -> None:
        jwt = self._jwt()
        if self._installation is None:
            found = self.ask("GET", f"/orgs/{self.organisation}/installation", jwt, None)
            self._installation = int(str(found["id"]))
            granted = found["permissions"]
            self._granted = granted if isinstance(granted, dict) else {}
        body: dict[str, object] = {}
        if self.repositories is not None:
            body["repositories"] = list(self.repositories)
        if self.permissions is not None:
            body["permissions"] = self._permissions_of(self.permissions)
        path = f"/app/installations/{self._installation}/access_tokens"
        made = self.ask("POST", path, jwt, body)
        self._token = str(made["token"])
        self._good_until_s = datetime.fromisoformat(str(made["expires_at"])).timestamp()

    def _permissions_of(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        """Those that are granted, of the optional ones. Never none: that would mean all."""
        kept = {
            name: level
            for name, level in asked.items()
            if name not in self.optional or self._granted.get(name) in (level, "write")
        }
        return kept or dict(asked)

    def _jwt(self) -> str:
        # 67 ms: only an App signs.
        import jwt

        now = int(self.clock())
        claims = {"iat": now - 30, "exp": now + _JWT_LIFETIME_S, "iss": str(self.app_id)}
        try:
            return jwt.encode(claims, self.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise UsageFault(
                "the App's private key cannot be read",
                help="PIPELINE_APP_PRIVATE_KEY holds the PEM that GitHub gave for the App",
            ) from error
