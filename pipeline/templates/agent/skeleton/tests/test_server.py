"""The real process, started as in production, answers and stops when it is told to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import AUDIENCE, ISSUER, key_set, make_token

PACKAGE = "agent_${{ values.primitive_id | replace('-', '_') }}"
# Far more than it takes, for machines that have much else to do.
DEADLINE_S = 180


class Issuer(BaseHTTPRequestHandler):
    """Serves the keys."""

    def do_GET(self) -> None:
        body = json.dumps(key_set()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def jwks_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environ(jwks_url: str, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "TOKEN_JWKS_URL": jwks_url,
        "MODEL_API_KEY": "not-a-key",
        "TOOL_SERVERS": "tools=http://127.0.0.1:9/mcp",
        **more,
    }


def request(port: int, method: str, path: str, token: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if request(port, "GET", "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not become ready")


def test_it_starts_answers_and_stops(jwks_url, tmp_path):
    port, health = free_port(), free_port()
    variables = environ(jwks_url, PORT=str(port), HEALTH_PORT=str(health))
    command = [sys.executable, "-m", PACKAGE]
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE) as process:
        try:
            wait_until_ready(process, health)
            assert request(health, "GET", "/healthz")[0] == 200
            assert request(port, "POST", "/v1/sessions")[0] == 401
            status, body = request(port, "POST", "/v1/sessions", make_token())
            assert (status, json.loads(body)["definition"][:17]) == (201, "agent-definition/")
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    assert process.returncode == 0, logged


def start_badly(tmp_path, variables: dict[str, str]) -> str:
    result = subprocess.run(
        [sys.executable, "-m", PACKAGE],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert result.returncode == 2, result.stderr
    return result.stderr.decode()


def test_missing_settings_stop_the_start_and_are_all_named(tmp_path):
    known = environ("")
    variables = {name: known[name] for name in ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    told = start_badly(tmp_path, variables)
    for name in ("TOKEN_ISSUER", "TOKEN_AUDIENCE", "TOKEN_JWKS_URL", "MODEL_API_KEY"):
        assert name in told


def test_a_definition_of_another_agent_stops_the_start(tmp_path):
    path = tmp_path / "definition.json"
    budgets = {"steps": 1, "tokens": 1, "wallTimeS": 1}
    other = {"ref": "agent-definition/other-one@999999999", "instructions": ["x"]}
    path.write_text(json.dumps({**other, "riskTier": "HIGH", "budgets": budgets}))
    told = start_badly(tmp_path, environ("http://127.0.0.1:9/", DEFINITION_FILE=str(path)))
    assert "ref: `agent-definition/other-one@999999999`" in told
