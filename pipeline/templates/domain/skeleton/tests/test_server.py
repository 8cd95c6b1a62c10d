"""The real server, started as in production, answers and stops when it is told to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from conftest import ISSUER, KEY, key_set_of, make_token

PACKAGE = "domain_${{ values.primitive_id | replace('-', '_') }}"
DEADLINE_S = 30


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, so that the test needs no network."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect("s.sock")


def wait_for_start(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex("s.sock") == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the server did not start")


def get(target: str, headers: dict[str, str]) -> tuple[int, dict]:
    connection = SocketConnection("local")
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    try:
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_server_starts_answers_and_stops(tmp_path: Path, monkeypatch) -> None:
    # A socket's path is short by nature, so both sides work inside the folder.
    search = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    monkeypatch.chdir(tmp_path)
    environ = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": search,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOCKET": "s.sock",
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_KEYS": json.dumps(key_set_of(KEY)),
    }
    command = [sys.executable, "-m", PACKAGE]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)
    try:
        wait_for_start(process)
        assert get("/healthz", {})[0] == 200
        assert get("/readyz", {}) == (200, {"storage": True, "keys": True})
        listed = "/v1/${{ values.entities[0] }}"
        assert get(listed, {})[0] == 401
        assert get(listed, {"Authorization": f"Bearer {make_token()}"}) == (200, {"items": []})
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert all(json.loads(line)["primitive"] for line in output.splitlines())


def test_a_malformed_environment_stops_the_start(tmp_path: Path) -> None:
    search = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    result = subprocess.run(
        [sys.executable, "-m", PACKAGE],
        cwd=tmp_path,
        env={"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", "PORT": "many"},
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert result.returncode == 2
    assert b"PORT must be a whole number" in result.stderr
