"""A GitHub on 127.0.0.1: see README.md."""

from worlds.github_server.faults import Fault, Seen
from worlds.github_server.server import GitHubServer

__all__ = ["Fault", "GitHubServer", "Seen"]
