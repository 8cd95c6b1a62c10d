"""The real server, started as in production, answers and stops when it is told to."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import jwt
import pytest
from ameide.domain.v1 import entity_service_pb2 as api
from ameide.domain.v1 import entity_service_pb2_grpc as stubs
from conftest import DEADLINE_S, ISSUER, KEY, Refused, entities, make_token, package, server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc


class Keys(http.server.BaseHTTPRequestHandler):
    """The issuer's public keys."""

    def do_GET(self) -> None:
        public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        body = json.dumps({"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def issuer() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}/keys"
        served.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**changes: str) -> dict[str, str]:
    search = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": search,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKEN_ISSUER": ISSUER,
        "STORE": "memory",
        "RELAY_INTERVAL_S": "0.05",
        **changes,
    }


def ready(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_server_starts_answers_and_stops() -> None:
    port, health_port = free_port(), free_port()
    command = [sys.executable, "-m", package.__name__]
    with issuer() as keys:
        given = environment(
            TOKEN_JWKS_URL=keys, GRPC_ADDRESS=f"127.0.0.1:{port}", HEALTH_PORT=str(health_port)
        )
        process = subprocess.Popen(command, env=given, stderr=subprocess.PIPE)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(DEADLINE_S)
                asked = health_pb2.HealthCheckRequest(service=server.SERVICE)
                answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=DEADLINE_S)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
                request = api.CreateEntityRequest(
                    entity_type=entities.ENTITY_TYPES[0], entity=api.EntityDraft(name="a")
                )
                made = stubs.EntityServiceStub(channel).CreateEntity(
                    request,
                    metadata=[("authorization", f"Bearer {make_token()}")],
                    timeout=DEADLINE_S,
                )
                assert made.entity.version == 1
            assert ready(health_port) == 200
            process.send_signal(signal.SIGTERM)
            _, output = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0, output
    lines = [json.loads(line) for line in output.splitlines()]
    [call] = [line for line in lines if line["logger"] == "calls"]
    assert (call["rpc.method"], call["rpc.status"], call["tenant.id"]) == (
        "CreateEntity",
        "OK",
        "north",
    )
    [event] = [line for line in lines if line["logger"] == "events"]
    assert (event["entity_id"], event["tenant.id"]) == (made.entity.id, "north")
    assert "stopping" in [line["message"] for line in lines]


def test_a_malformed_environment_stops_the_start(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", package.__name__],
        cwd=tmp_path,
        env=environment(HEALTH_PORT="many"),
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert result.returncode == 2
    assert b"HEALTH_PORT is not a whole number" in result.stderr
    assert b"TOKEN_JWKS_URL is not set" in result.stderr


def list_services(world) -> list[str]:
    async def ask() -> list[str]:
        stub = reflection_pb2_grpc.ServerReflectionStub(world.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(
            iter([request]), metadata=world.client.metadata, timeout=DEADLINE_S
        )
        answer = await call.read()
        return [service.name for service in answer.list_services_response.service]

    return world.run(ask())


def test_reflection_is_off_unless_it_is_asked_for(make_world) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        list_services(make_world())
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert server.SERVICE in list_services(make_world(REFLECTION="true"))


def test_a_failure_inside_says_nothing_outside(world, kind, caplog) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    world.store.read = broken
    with pytest.raises(Refused) as refused:
        world.client.get(kind, "0b5c6f0e-6d0c-4f38-9a53-0c3c6d0e8a11")
    assert (refused.value.status, refused.value.details) == ("INTERNAL", "internal error")
    assert "a secret" in caplog.text
