"""A rendered UI workspace, built by its own Makefile and run as its image runs it."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.projects import TOOLS, Values, draft_values

PREFIX = "/acme/order-desk"
USER_ID = 65532  # as in the Dockerfile
VALUES: Values = draft_values(
    "ui",
    primitive_id="order-desk",
    instance="order-desk",
    design_refs=[],
    namespaces={},
    owner="acme-engineers",
    description="What acme builds and runs on the platform, and how far each of it has come",
    host="workspace.example.invalid",
    path_prefix=PREFIX,
    scopes=["profile"],
)


def run_make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """What the project's own Makefile says, with Node and npm from this repository's tools."""
    node = (TOOLS / "bin" / "node").resolve()
    npm_cli = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    npm = programs / "npm"
    npm.write_text(f'#!/bin/sh\nexec "{node}" "{npm_cli}" "$@"\n')
    npm.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "npm_config_cache": str(TOOLS / "npm-cache"),
        "CI": "1",
    }
    return subprocess.run(
        ["make", *targets],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )


@dataclass(frozen=True)
class Workspace:
    """A server that runs; `log` is what it wrote."""

    origin: str
    log: Path

    @property
    def url(self) -> str:
        return f"{self.origin}{PREFIX}"


def settings_of(origin: str, api: str, issuer: str, jwks_url: str) -> dict[str, str]:
    """The environment of a server at `origin`."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return {
        "HOSTNAME": "127.0.0.1",
        "PORT": origin.rpartition(":")[2],
        "NODE_ENV": "production",
        "NEXT_TELEMETRY_DISABLED": "1",
        "PUBLIC_ORIGIN": origin,
        "PLATFORM_API_URL": api,
        "API_TIMEOUT_MS": "3000",
        "TOKEN_ISSUER": issuer,
        "TOKEN_AUDIENCE": "platform-api",
        "TOKEN_JWKS_URL": jwks_url,
        "OIDC_CLIENT_ID": "platform-ui",
        "ONLY_TENANT": "",
        "SESSION_KEYS": key.rstrip("="),
    }


def unprivileged(folder: Path) -> list[str]:
    """The start of a command that runs as the image's user, where this user may choose."""
    if os.getuid() != 0:
        return []
    for path in (folder, *folder.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            raise AssertionError(f"{path} cannot be read by others")
    user = str(USER_ID)
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs", "--"]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_command(bundle: Path) -> list[str]:
    """What the image's entry point runs."""
    node = str((TOOLS / "bin" / "node").resolve())
    return [*unprivileged(bundle), node, str(bundle / "server.js")]


@contextmanager
def running(bundle: Path, environment: Mapping[str, str], log: Path) -> Iterator[Workspace]:
    """The server, ready, until the block ends; stopping must be clean and quick."""
    origin = environment["PUBLIC_ORIGIN"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            server_command(bundle),
            cwd=bundle,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(process, f"{origin}{PREFIX}/readyz", log)
        yield Workspace(origin, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) in (0, 143), log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                assert response.status == 200
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"not ready in time: {log.read_text()}")


def copy_bundle(project: Path, target: Path) -> Path:
    """The bundle as the image holds it: readable by all, written by nobody but its owner."""
    shutil.copytree(project / ".next" / "standalone", target)
    target.chmod(0o755)
    return target


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(
    url: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes, list[str]]:
    """Status, headers, body and cookies of one request without any session."""
    request = urllib.request.Request(
        url, method=method, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    opener = urllib.request.build_opener(NoRedirects, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            status, found, body = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, found, body = error.code, error.headers, error.read()
    cookies = found.get_all("set-cookie") or []
    return status, {name.lower(): value for name, value in found.items()}, body, cookies
