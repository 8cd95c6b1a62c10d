"""A GitHub on 127.0.0.1: see README.md."""

from tests.support.github_server.faults import Fault, Seen
from tests.support.github_server.server import GitHubServer

__all__ = ["Fault", "GitHubServer", "Seen"]
