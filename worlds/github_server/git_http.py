"""Smart HTTP: `git-upload-pack` and `git-receive-pack` of the bare repositories.

Rulesets judge a push before git sees it; git itself then refuses a moved ref and a push that is not
a fast-forward. Source: git's gitprotocol-http and gitprotocol-pack.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worlds.github_server.calls import can_see
from worlds.github_server.rules import check_update, forward_only
from worlds.github_server.state import Repository, State, Token

_PATH = re.compile(
    r"/(?P<owner>[^/]+)/(?P<repo>[^/]+?)(?:\.git)?/"
    r"(?P<what>info/refs|git-upload-pack|git-receive-pack)\Z"
)
_NO_ID = "0" * 40
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class GitRequest:
    """One request to a repository's git."""

    repository: str
    owner: str
    what: str
    service: str

    @property
    def writes(self) -> bool:
        """Whether refs may move."""
        return self.what == "git-receive-pack"


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """Status, content type and bytes."""

    status: int
    type: str
    body: bytes


def parse_request(path: str, query: Mapping[str, str]) -> GitRequest | None:
    """The git request in a path; None for any other."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    service = query.get("service", "") if found["what"] == "info/refs" else found["what"]
    return GitRequest(found["repo"], found["owner"], found["what"], service)


def answer_git(
    state: State, request: GitRequest, token: Token | None, headers: Mapping[str, str], body: bytes
) -> GitAnswer:
    """git's answer; 401 and 404 as GitHub gives them."""
    repository = state.repository(request.owner, request.repository)
    if token is None:
        return GitAnswer(401, "text/plain", b"Authentication required")
    if repository is None or not can_see(state, token, repository):
        return GitAnswer(404, "text/plain", b"Repository not found.")
    level = "write" if request.service == "git-receive-pack" else "read"
    granted = None if token.permissions is None else token.permissions.get("contents", "")
    if granted is not None and granted != "write" and granted != level:
        said = f"Write access to repository not granted. ({level})"
        return GitAnswer(403, "text/plain", said.encode())
    if request.service not in ("git-upload-pack", "git-receive-pack"):
        return GitAnswer(403, "text/plain", b"dumb HTTP is not spoken here")
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
    }
    command = ["git", request.service.removeprefix("git-"), "--stateless-rpc"]
    if request.what == "info/refs":
        out = _run([*command, "--advertise-refs", str(repository.path)], b"", environment)
        head = f"# service={request.service}\n"
        first = f"{len(head) + 4:04x}{head}0000".encode()
        return GitAnswer(200, f"application/x-{request.service}-advertisement", first + out)
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    before: dict[str, str] = {}
    if request.writes:
        environment |= _judge(state, repository, token, body)
        before = repository.refs()
    out = _run([*command, str(repository.path)], body, environment)
    if request.writes and repository.refs() != before:
        state.after_refs_moved(repository, token.account)
    return GitAnswer(200, f"application/x-{request.service}-result", out)


def _run(command: list[str], body: bytes, environment: Mapping[str, str]) -> bytes:
    done = subprocess.run(
        command,
        input=body,
        capture_output=True,
        env=dict(environment),
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout


def _judge(state: State, repository: Repository, token: Token, body: bytes) -> Mapping[str, str]:
    """The input of a push's hook: the reasons against it, and refs that only move forward."""
    refused, forward = [], []
    for old, new, ref in _commands(body):
        before, after = (None if id == _NO_ID else id for id in (old, new))
        reason = check_update(state, repository, token, ref, before, after)
        if reason:
            refused.append(reason)
        if forward_only(state, repository, token, ref):
            forward.append(ref)
    return {"REFUSED": "\n".join(refused), "FORWARD_ONLY": " ".join(forward)}


def _commands(body: bytes) -> Iterator[tuple[str, str, str]]:
    """Old id, new id and ref of each command of a push."""
    at = 0
    while at + 4 <= len(body):
        length = int(body[at : at + 4], 16)
        if length == 0:
            return
        line = body[at + 4 : at + length].split(b"\0")[0].decode(errors="replace").rstrip("\n")
        at += length
        parts = line.split(" ", 2)
        if len(parts) == 3 and len(parts[0]) == 40:
            yield parts[0], parts[1], parts[2]
