"""Argo CD's API: the Applications that a token may see, in one request.

`GET /api/v1/applications` answers with an ApplicationList; `projects` narrows it (Argo CD,
`server/application/application.proto`). The answer's `fields` cannot name the revision, so whole
objects are read. The token is sent only to the given address: no redirect is followed, no proxy or
`.netrc` of the environment is used, and without TLS only this machine is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.characters import visible
from pipeline.delivery.argocd import API_VERSION, KIND
from pipeline.delivery.objects import MAX_BYTES, Object, parse_json_object
from pipeline.errors import CouldNotCheck, UsageFault

if TYPE_CHECKING:
    import requests

TIMEOUT_S = 30  # for a connection, and between two parts of an answer
DEADLINE_S = 120  # for a whole answer
_CHUNK_BYTES = 256 * 1024
_MAX_TOKEN_BYTES = 16 * 1024
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ArgoCd:
    """The address of Argo CD's API, and the token for it."""

    url: str
    token: str
    ca_file: Path | None = None
    max_bytes: int = MAX_BYTES
    clock: Callable[[], float] = time.monotonic

    def read_applications(self, projects: Sequence[str] = ()) -> tuple[Object, ...]:
        """The Applications of these projects, or of all projects, each as an object.

        Raises CouldNotCheck without a complete answer, UsageFault for an invalid address.
        """
        # 67 ms; nothing else in this command uses HTTP.
        import requests

        address = f"{checked_url(self.url)}/api/v1/applications"
        with requests.Session() as session:
            session.trust_env = False
            try:
                with session.get(
                    address,
                    params=[("projects", project) for project in projects],
                    headers={
                        "Authorization": f"Bearer {self.token}",
                        "Accept": "application/json",
                        "Accept-Encoding": "identity",
                    },
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                    stream=True,
                    verify=str(self.ca_file) if self.ca_file else True,
                ) as answer:
                    content = self._content_of(answer)
            except (requests.RequestException, OSError) as error:
                raise CouldNotCheck(
                    f"Argo CD at {self.url} cannot be reached: {_why(error)}",
                    help="check --url, and --ca-file for a certificate of your own authority",
                ) from error
        return _applications_of(content)

    def _content_of(self, answer: requests.Response) -> bytes:
        """The body of a successful answer, within the bounds. Raises CouldNotCheck."""
        status = answer.status_code
        if status in (401, 403):
            raise CouldNotCheck(
                f"Argo CD refuses the token ({status})",
                help="an account with `applications, get, */*, allow` in Argo CD's RBAC needs one",
            )
        if 300 <= status < 400:
            raise CouldNotCheck(
                f"{self.url} answers with a redirect, which is not followed ({status})",
                help="give the address that Argo CD itself is at",
            )
        if status != 200:
            raise CouldNotCheck(f"Argo CD at {self.url} answers with status {status}")
        content, ends = bytearray(), self.clock() + DEADLINE_S
        for chunk in answer.iter_content(_CHUNK_BYTES):
            content += chunk
            if len(content) > self.max_bytes:
                raise CouldNotCheck(
                    f"Argo CD's answer has more than {self.max_bytes:,} bytes",
                    help="ask for some projects at a time: --project NAME",
                )
            if self.clock() > ends:
                raise CouldNotCheck(f"Argo CD's answer took longer than {DEADLINE_S} s")
        return bytes(content)


def checked_url(url: str) -> str:
    """The address without its last slash. Raises UsageFault if no token may be sent there."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment:
        raise UsageFault(f"`{url}` is not Argo CD's address", help="write https://HOST")
    if parts.username or parts.password:
        raise UsageFault("an address holds no password", help="put a token into --token-file")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise UsageFault(
            f"`{url}` is not encrypted, so the token is not sent",
            help="write https://; only this machine is asked without",
        )
    return url.rstrip("/")


def read_token(file: Path) -> str:
    """The token in a file. Raises UsageFault if there is none."""
    try:
        with file.open("rb") as handle:
            content = handle.read(_MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise UsageFault(f"`{file}` cannot be read: {error.strerror}") from error
    token = content.strip()
    if not token or len(content) > _MAX_TOKEN_BYTES or not all(32 < byte < 127 for byte in token):
        raise UsageFault(f"`{file}` holds no token", help="one line, as Argo CD gave it")
    return token.decode("ascii")


def _applications_of(content: bytes) -> tuple[Object, ...]:
    """The items of an ApplicationList, which lack their kind. Raises CouldNotCheck."""
    try:
        answer = parse_json_object(content)
        if "items" not in answer or not isinstance(answer.get("metadata"), dict):
            raise ValueError("it is not a list of applications")
        items = [] if answer["items"] is None else answer["items"]
        if not isinstance(items, list):
            raise ValueError("its items are not a list")
        found: list[Object] = []
        for item in items:
            if not isinstance(item, dict):
                raise ValueError("an item is not an object")
            found.append({"apiVersion": API_VERSION, "kind": KIND, **item})
    except ValueError as error:
        raise CouldNotCheck(
            f"Argo CD's answer cannot be read: {visible(str(error))}",
            help="check --url: its API is below /api/v1",
        ) from error
    return tuple(found)


def _why(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    reason = getattr(cause, "reason", None) or cause
    return visible(" ".join(str(reason).split()))[:200] or type(error).__name__
