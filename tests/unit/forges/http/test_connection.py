"""How a connection handles a forge's answers: what it retries, and whose words it reports."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipeline.errors import CouldNotCheck, ForgeRefused, NotFound
from pipeline.forges.http.connection import TRIES, Connection, Host

SERVICE = "git-upload-pack"


class Silent(CouldNotCheck):
    """What the forge of these tests raises when it does not answer."""


@dataclass
class Password:
    """A credential that can be had anew so many times."""

    renewals: int = 0

    def authorisation(self) -> str:
        return f"Bearer {self.renewals}"

    def renew(self) -> bool:
        self.renewals -= 1
        return self.renewals >= 0


@dataclass
class Count:
    git: int = 0


class Scripted(Connection):
    """A connection whose server answers with these statuses, one after the other; 0 is none."""

    def __init__(self, *statuses: int, renewals: int = 0) -> None:
        host = Host("Somewhere", "ask for the right `read`", Silent)
        super().__init__(host, Password(renewals), Count())
        self.waits: list[float] = []
        self.sleep = self.waits.append
        self.statuses = list(statuses)

    def send(self, url: str, service: str, body: bytes) -> tuple[int, bytes]:
        assert (url, service) == (f"https://forge.example/app.git/{SERVICE}", SERVICE)
        status = self.statuses.pop(0)
        if status == 0:
            raise ConnectionError("Timeout")
        return status, b"refs"


def post(connection: Connection, *, repeat: bool = True) -> bytes:
    url = "https://forge.example/app.git"
    return connection.post(url, SERVICE, b"", name="acme/app", repeat=repeat)


@pytest.mark.parametrize("lost", [0, 500, 503])
def test_a_read_is_retried_with_growing_delays(lost: int) -> None:
    connection = Scripted(lost, lost, 200)
    assert post(connection) == b"refs"
    assert connection.waits == [0.4, 0.8]


@pytest.mark.parametrize("lost", [0, 500])
def test_a_write_is_sent_once(lost: int) -> None:
    connection = Scripted(lost, 200)
    with pytest.raises(ConnectionError):
        post(connection, repeat=False)
    assert connection.statuses == [200]


def test_a_refused_credential_is_renewed() -> None:
    assert post(Scripted(401, 200, renewals=1)) == b"refs"
    with pytest.raises(ForgeRefused):
        post(Scripted(401, 200))


def test_a_silent_forge_has_its_own_error() -> None:
    connection = Scripted(*[503] * TRIES)
    with pytest.raises(Silent, match="`acme/app` cannot be reached on Somewhere: status 503"):
        post(connection)
    assert connection.statuses == []


def test_a_refusal_quotes_the_forge() -> None:
    with pytest.raises(NotFound, match="Somewhere has no repository `acme/app`"):
        post(Scripted(404))
    with pytest.raises(ForgeRefused, match="Somewhere lets the token do no") as refused:
        post(Scripted(403))
    assert refused.value.help == "ask for the right `read`"
