"""The API: who gets in, whose sessions are whose, how many there are."""

from __future__ import annotations

import asyncio

import pytest
from conftest import ask, make_token


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "token-missing"),
        ("x", "token-malformed"),
        (make_token(aud="other"), "audience"),
        (make_token(iss="https://other.example.invalid"), "issuer"),
        (make_token(exp=1), "token-expired"),
        (make_token(tenant_id=None), "tenant-missing"),
    ],
    ids=["none", "malformed", "audience", "issuer", "expired", "tenant"],
)
def test_a_token_that_does_not_verify_opens_nothing(make_world, token, code):
    world = make_world("Hello.")
    answer = world.ask("POST", "/v1/sessions", token=token)
    assert (answer.status, answer.json["code"]) == (401, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_tenant_in_a_header_must_agree_with_the_token(make_world):
    world = make_world("Hello.")
    assert world.ask("POST", "/v1/sessions", x_tenant_id="north").status == 201
    assert world.ask("POST", "/v1/sessions", x_tenant_id="south").json["code"] == "tenant-mismatch"


@pytest.mark.parametrize(("subject", "tenant"), [("person-2", "north"), ("person-1", "south")])
def test_a_session_is_there_for_its_owner_alone(make_world, subject, tenant):
    world = make_world("Hello.")
    session, other = world.open(), make_token(subject, tenant)
    assert world.say(session, token=other).status == 404
    assert world.ask("GET", session, token=other).status == 404
    assert world.ask("DELETE", session, token=other).status == 404
    assert world.ask("GET", f"{session}/confirmations", token=other).status == 404
    assert world.say(session).json["text"] == "Hello."


def test_a_conversation_goes_on_where_it_was(make_world):
    world = make_world("One.", "Two.")
    session = world.open()
    world.say(session, "First")
    world.say(session, "Second")
    said = [str(part.content) for message in world.script.seen[-1] for part in message.parts]
    assert said == ["First", "One.", "Second"]


def test_sessions_are_bounded_and_closing_one_makes_room(make_world):
    world = make_world("Hello.", sessions=2)
    first = world.open()
    world.open()
    refused = world.ask("POST", "/v1/sessions")
    assert (refused.status, refused.headers["retry-after"]) == (429, "30")
    assert world.ask("DELETE", first).status == 204
    world.open()


def test_an_idle_session_is_forgotten(make_world):
    world = make_world("Hello.", sessions=1)
    session = world.open()
    world.now[0] += 601
    assert world.say(session).status == 404
    world.open()


def test_a_session_does_one_thing_at_a_time(make_world):
    world = make_world("Hello.")
    world.script.delay_s = 0.2
    session, token = world.open(), make_token()

    async def both() -> list[int]:
        one = ask(world.app, "POST", f"{session}/messages", {"text": "a"}, token=token)
        two = ask(world.app, "POST", f"{session}/messages", {"text": "b"}, token=token)
        return sorted(answer.status for answer in await asyncio.gather(one, two))

    assert asyncio.run(both()) == [200, 409]


def test_tenants_at_the_same_time_keep_apart(make_world):
    world = make_world([("find_order", {"order_id": "17"})], "Open.")
    world.script.steps = ["Hello."]
    tokens = [make_token(f"person-{n}", ("north", "south")[n % 2]) for n in range(6)]
    sessions = [world.open(token=token) for token in tokens]
    world.script.delay_s = 0.05

    async def all_at_once() -> None:
        asked = [
            ask(world.app, "POST", f"{session}/messages", {"text": f"I am {n}"}, token=tokens[n])
            for n, session in enumerate(sessions)
        ]
        assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 6

    asyncio.run(all_at_once())
    shown = [[part.content for m in seen for part in m.parts] for seen in world.script.seen]
    assert sorted(shown) == [[f"I am {n}"] for n in range(6)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        {},
        {"text": ""},
        {"text": 1},
        {"text": "x", "y": 1},
        {"text": "x" * 50_001},
    ],
)
def test_a_malformed_message_is_refused(make_world, body):
    world = make_world("Hello.")
    answer = world.ask("POST", f"{world.open()}/messages", body)
    assert (answer.status, answer.json["code"]) == (400, "body-invalid")


def test_a_body_that_is_too_large_is_refused(make_world):
    world = make_world("Hello.")
    answer = world.ask("POST", f"{world.open()}/messages", b"x" * (256 * 1024 + 1))
    assert answer.status == 413


def test_a_model_that_fails_stops_the_run_and_not_the_agent(make_world):
    from pydantic_ai.exceptions import ModelHTTPError

    world = make_world("Hello.")
    respond = world.runtime._model.respond

    async def fail(*arguments: object) -> None:
        raise ModelHTTPError(529, "model", "overloaded")

    world.runtime._model.respond = fail
    session = world.open()
    assert world.say(session).json == {"status": "stopped", "reason": "model-unavailable"}
    world.runtime._model.respond = respond
    assert world.say(session).json["text"] == "Hello."
