"""A GitHub on 127.0.0.1: see README.md."""

from tests.github_server.faults import Fault, Seen
from tests.github_server.server import GitHubServer

__all__ = ["Fault", "GitHubServer", "Seen"]
