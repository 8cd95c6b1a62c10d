"""What the platform relies on: health, readiness, metrics, logs, request ids."""

from __future__ import annotations

import io
import json
import logging

from conftest import Client

from domain_${{ values.primitive_id | replace('-', '_') }} import entities, logs


def test_health_needs_no_token(world):
    answer = Client(world.client.app)("GET", "/healthz")
    assert (answer.status, answer.json["status"]) == (200, "ok")


def test_it_is_ready_with_storage_and_keys(world):
    assert world.client("GET", "/readyz").status == 200


def test_without_keys_it_is_not_ready_and_lets_nobody_in(make_world, path):
    world = make_world(TOKEN_KEYS="", TOKEN_ISSUER="")
    answer = world.client("GET", "/readyz")
    assert (answer.status, answer.json) == (503, {"storage": True, "keys": False})
    assert world.client("GET", path).status == 401


def test_without_storage_it_is_not_ready(world, tmp_path):
    for file in tmp_path.glob("test.db*"):
        file.unlink()
    (tmp_path / "test.db").mkdir()
    assert world.client("GET", "/readyz").json == {"storage": False, "keys": True}


def test_metrics_count_by_route_and_never_by_id(world, path):
    where = world.client("POST", path, {"name": "a"}).headers["location"]
    world.client("GET", where)
    world.client("GET", "/anything")
    text = world.client("GET", "/metrics").body.decode()
    route = f"{path}/{'{record_id}'}"
    assert f'http_requests_total{chr(123)}method="GET",route="{route}",status="200"' in text
    assert 'route="unmatched",status="404"' in text
    assert where.rsplit("/", 1)[-1] not in text


def test_a_log_line_names_primitive_tenant_and_request(world, path):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter("test"))
    logger = logging.getLogger("requests")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        world.client("GET", path, headers={"X-Request-Id": "request-1"})
    finally:
        logger.removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert line["primitive"] == entities.PRIMITIVE
    assert (line["tenant"], line["request_id"]) == ("north", "request-1")
    assert (line["route"], line["status"], line["environment"]) == (path, 200, "test")


def test_a_malformed_request_id_is_replaced(world):
    sent = world.client("GET", "/healthz", headers={"X-Request-Id": "a b"})
    assert sent.headers["x-request-id"] != "a b"


def test_a_failure_inside_says_nothing_outside(world, path):
    world.repository.for_tenant = None
    answer = world.client("GET", path)
    assert (answer.status, answer.json) == (500, {"title": "internal error", "status": 500})


def test_a_wrong_method_is_refused_as_a_problem(world, path):
    answer = world.client("PATCH", path)
    assert answer.status == 405
    assert answer.headers["content-type"] == "application/problem+json"
