"""The server: a GitHub on 127.0.0.1 that stops at the end of its `with` block.

    with GitHubServer(folder) as github:
        github.add_organisation("ameide")
        github.add_user(1101, "engineer")
        token = github.add_token(1101)
        ... github.api_url, github.url ...

Every answer is checked against GitHub's own description; a mismatch is recorded in `violations` and
answered with 500, and leaving the block raises.
"""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt

from worlds.github_server.calls import Problem
from worlds.github_server.faults import Fault, Faults, Seen
from worlds.github_server.handler import API, Handler, Http
from worlds.github_server.shapes import Shapes
from worlds.github_server.state import Account, App, Repository, State, Team, Token
from worlds.github_server.webhooks import Webhook

HOURLY_LIMIT = 15_000
STALE_READS = 4


class GitHubServer:
    """GitHub over one folder of bare repositories."""

    def __init__(self, folder: Path, *, validate: bool = True, delay_s: float = 0) -> None:
        self.state = State(folder)
        self.faults = Faults()
        self.violations: list[str] = []
        self.validate = validate
        self.delay_s = delay_s
        self.hourly_limit = HOURLY_LIMIT
        self._used: dict[str, int] = {}
        self.most_aliases: int | None = None  # repositories per query
        self.webhooks: list[Webhook] = []
        self._behind: State | None = None  # the state that stale reads see
        self._stale_reads = 0  # how many more reads are stale
        self._http = Http(("127.0.0.1", 0), Handler)
        self._http.github = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    # -- life --------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        if self.violations and type is None:
            raise AssertionError("\n".join(self.violations[:10]))

    @property
    def url(self) -> str:
        """The address of pages and git."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def api_url(self) -> str:
        """The address of the REST API; GraphQL is beside it, as on GitHub Enterprise Server."""
        return f"{self.url}{API}"

    @property
    def shapes(self) -> Shapes:
        """Builders of JSON with this server's addresses."""
        return Shapes(self.api_url, self.url)

    @property
    def log(self) -> list[Seen]:
        """All calls so far."""
        return self.faults.log

    # -- content -----------------------------------------------------------------------

    def add_organisation(self, login: str, id: int = 9001) -> Account:
        """A new organisation."""
        made = Account(id, login, "Organization")
        self.state.accounts[id] = made
        self.state.members[login] = set()
        return made

    def add_user(self, id: int, login: str, *, organisation: str | None = None) -> Account:
        """A new person, perhaps a member of an organisation."""
        made = Account(id, login)
        self.state.accounts[id] = made
        if organisation:
            self.state.members[organisation].add(id)
        return made

    def add_team(self, organisation: str, slug: str, members: list[int]) -> Team:
        """A new team."""
        made = Team(self.state.number(), slug, set(members))
        self.state.teams[organisation, slug] = made
        return made

    def add_token(self, user_id: int) -> str:
        """A token of a person, with all of their permissions."""
        return self.state.new_token(self.state.accounts[user_id]).value

    def add_app(
        self,
        id: int,
        slug: str,
        *,
        bot_id: int,
        public_key: str,
        permissions: Mapping[str, str],
        organisation: str,
    ) -> App:
        """A new app, installed in an organisation; `public_key` is PEM."""
        bot = Account(bot_id, f"{slug}[bot]", "Bot")
        self.state.accounts[bot_id] = bot
        made = App(id, slug, bot, public_key, dict(permissions), self.state.number(), organisation)
        self.state.apps[id] = made
        return made

    def repository(self, organisation: str, name: str) -> Repository:
        """A repository by its name. Raises KeyError."""
        return self.state.repositories[organisation.lower(), name.lower()]

    # -- answering ---------------------------------------------------------------------

    def begin(self, seen: Seen) -> tuple[int, Fault | None]:
        """The place of a call in the log, after adding it, and the fault for it."""
        with self.state.lock:
            numbered = replace(seen, number=len(self.log) + 1)
            self.log.append(numbered)
            return len(self.log) - 1, self.faults.hook(numbered)

    def end(self, place: int, **changes: Any) -> None:
        """Note in the log how a call ended."""
        with self.state.lock:
            self.log[place] = replace(self.log[place], **changes)

    def add_webhook(self, url: str, secret: bytes) -> Webhook:
        """A webhook that gets all events from now on."""
        made = Webhook(url, secret)
        made.observe(self.state, self.shapes)
        made.waiting.clear()
        self.webhooks.append(made)
        return made

    def observe(self) -> None:
        """Let the webhooks notice what was written."""
        for hook in self.webhooks:
            hook.observe(self.state, self.shapes)

    def fall_behind(self) -> None:
        """Let the next reads see the present state, whatever is written from now on."""
        folder = self.state.folder.parent / f"behind-{len(self.log)}"
        self.state.save(folder)
        self._behind, self._stale_reads = State.load(folder, folder / "again"), STALE_READS

    @contextmanager
    def seen_late(self) -> Iterator[None]:
        """Use the state before the last write within the block, if reads are stale."""
        behind, live = self._behind, self.state
        if behind is None or self._stale_reads == 0:
            yield
            return
        self._stale_reads -= 1
        self.state = behind
        try:
            yield
        finally:
            self.state = live

    def find_token(self, authorization: str) -> tuple[Token | None, App | None]:
        """The credential in a header. Raises Problem if it is invalid."""
        if not authorization:
            return None, None
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        if value.count(".") == 2:
            return None, self._app_of(value)
        token = self.state.tokens.get(value)
        if token is None or (token.expires_s or math.inf) <= self.state.clock():
            raise Problem(401, "Bad credentials")
        return token, None

    def _app_of(self, encoded: str) -> App:
        try:
            claimed = jwt.decode(encoded, options={"verify_signature": False})
            app = self.state.apps[int(claimed["iss"])]
            claims = jwt.decode(
                encoded,
                app.public_key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, KeyError, ValueError) as error:
            raise Problem(401, "A JSON web token could not be decoded") from error
        now = self.state.clock()
        if claims["exp"] - claims["iat"] > 660 or claims["exp"] < now or claims["iat"] > now + 60:
            raise Problem(401, "'Expiration time' claim ('exp') is too far in the future")
        return app

    def count(self, token: Token | None) -> dict[str, str]:
        """The headers of the hourly limit after one more call. Raises Problem if it is used up."""
        key = token.value if token else ""
        used = self._used.get(key, 0) + 1
        headers = {
            "x-ratelimit-limit": str(self.hourly_limit),
            "x-ratelimit-remaining": str(max(0, self.hourly_limit - used)),
            "x-ratelimit-used": str(min(used, self.hourly_limit)),
            "x-ratelimit-reset": str(int(self.state.clock()) + 1),
            "x-ratelimit-resource": "core",
        }
        if used > self.hourly_limit:
            raise Problem(403, "API rate limit exceeded", headers=headers)
        self._used[key] = used
        return headers

    def refresh_limit(self) -> None:
        """Start a new hour."""
        self._used.clear()
