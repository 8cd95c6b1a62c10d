"""Real servers, one of each per test run."""

import os
from collections.abc import Iterator

import pytest

from tests.runtime.keycloak import Realm, shared_keycloak
from tests.runtime.postgres import PostgresServer, postgres_server
from tools.keycloak import Keycloak


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres of this process. A machine without one fails the test: it is not skipped."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """The Keycloak of this run. A machine without one fails the test: it is not skipped."""
    folder = tmp_path_factory.getbasetemp()
    # Workers of a parallel run have a folder each, below one that they share.
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with shared_keycloak(shared) as running:
        yield running


@pytest.fixture(scope="session")
def realm(keycloak: Keycloak) -> Iterator[Realm]:
    """The realm of that Keycloak, with a client for tests."""
    made = Realm(keycloak)
    yield made
    made.close()
