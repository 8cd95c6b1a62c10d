"""HTTP to one forge's git: a credential, a kept connection, and retries after lost answers.

Nothing here knows the forge: the caller provides its name for errors (`Host`), the credential of
one account (`Credential`), and a counter of requests (`GitCost`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import CouldNotCheck, ForgeRefused, NotFound

if TYPE_CHECKING:
    import requests

TIMEOUT_S = 30
TRIES = 5


class Credential(Protocol):
    """The credential of one account, for HTTP."""

    def authorisation(self) -> str:
        """The value of the header `Authorization`, valid for some minutes."""

    def renew(self) -> bool:
        """Whether a new one is available after the forge refused the last."""


class GitCost(Protocol):
    """The counter of fetches, pushes and requests for refs."""

    git: int


@dataclass(frozen=True, slots=True)
class Host:
    """A forge's name in errors, the help when it refuses access, and the error raised when it does
    not answer."""

    name: str
    access_help: str
    unavailable: type[CouldNotCheck]


@dataclass
class Connection:
    """HTTP to one server's git for one account, kept open between requests."""

    host: Host
    credential: Credential
    cost: GitCost
    sleep: Callable[[float], None] = time.sleep
    _session: requests.Session | None = field(default=None, repr=False)

    def post(self, url: str, service: str, body: bytes, *, name: str, repeat: bool) -> bytes:
        """The answer to one request of git's protocol.

        Raises ConnectionError without an answer unless `repeat` is set, NotFound, ForgeRefused, and
        the host's own error for a forge that does not answer.
        """
        said = ""
        for number in range(TRIES):
            if number:
                self.sleep(0.2 * 2**number)
            try:
                status, answer = self.send(f"{url}/{service}", service, body)
            except ConnectionError as lost:
                if not repeat:
                    raise
                said = str(lost)
                continue
            if status == 200:
                return answer
            said = f"status {status}"
            if status == 401 and self.credential.renew():
                continue
            if status >= 500:
                if not repeat:
                    raise ConnectionError(said)
                continue
            if status == 404:
                raise NotFound(
                    f"{self.host.name} has no repository `{name}`, or the token may not see it"
                )
            raise ForgeRefused(
                f"{self.host.name} lets the token do no {service} with `{name}` ({status})",
                help=self.host.access_help,
            )
        raise self.host.unavailable(
            f"`{name}` cannot be reached on {self.host.name}: {said}",
            help="run it again: what happened is found",
        )

    def send(self, url: str, service: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of one request. Raises ConnectionError."""
        # 67 ms; never imported for a local forge.
        import requests

        self.cost.git += 1
        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = False
        try:
            answer = self._session.post(
                url,
                data=body,
                headers={
                    "Authorization": self.credential.authorisation(),
                    "Content-Type": f"application/x-{service}-request",
                    "Accept": f"application/x-{service}-result",
                    "Git-Protocol": "version=2",
                },
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except (requests.RequestException, OSError) as error:
            self._session = None
            raise ConnectionError(type(error).__name__) from error
        return answer.status_code, answer.content
