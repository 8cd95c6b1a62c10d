"""Real servers, one of each for a whole test run."""

from collections.abc import Iterator

import pytest

from tests.runtime.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres of this run. A machine without one fails the test: it is not skipped."""
    with postgres_server() as server:
        yield server
