"""Side effects wait for a person, and only for that exact call."""

from __future__ import annotations

import pytest
from conftest import ROLE, make_token

CANCEL = [("cancel_order", {"order_id": "17"})]


def waiting_in(answer):
    assert (answer.status, answer.json["status"]) == (202, "confirmation-required"), answer.json
    return answer.json["confirmation"]


def test_a_side_effect_waits_and_shows_what_it_would_do(make_world):
    world = make_world(CANCEL, "Cancelled.")
    waiting = waiting_in(world.say(world.open()))
    assert (waiting["tool"], waiting["arguments"]) == ("cancel_order", {"order_id": "17"})
    assert world.calls == []
    assert world.sink.outcomes == [("cancel_order", "waiting", "")]


def test_the_run_goes_on_once_a_person_confirms(make_world):
    world = make_world(CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    assert world.confirm(session, waiting).json == {"status": "decided"}
    assert world.calls == [("cancel_order", "17")]
    assert world.ask("GET", session).json == {"status": "completed", "text": "Cancelled."}
    allowed = world.sink.events[1]
    assert (allowed.subject, allowed.confirmed_by) == ("person-1", "person-2")


def test_a_refusal_by_a_person_reaches_the_model_and_the_trail(make_world):
    world = make_world(CANCEL, "As you wish.")
    session = world.open()
    world.confirm(session, waiting_in(world.say(session)), "deny")
    assert world.calls == []
    assert world.script.told == ["a person refused this call"]
    assert world.sink.outcomes[-1] == ("cancel_order", "denied", "")
    assert world.sink.events[-1].confirmed_by == "person-2"


def test_a_confirmation_counts_once(make_world):
    world = make_world(CANCEL, CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    world.confirm(session, waiting)
    assert world.confirm(session, waiting).status == 404
    assert world.calls == [("cancel_order", "17")]


def test_a_confirmation_is_for_one_call_of_several(make_world):
    world = make_world([*CANCEL, ("cancel_order", {"order_id": "18"})], "Cancelled.")
    session = world.open()
    first = waiting_in(world.say(session))
    world.confirm(session, first)
    second = world.ask("GET", f"{session}/confirmations").json["confirmations"][0]
    assert second["arguments"] == {"order_id": "18"}
    assert second["id"] != first["id"]
    assert world.calls == [("cancel_order", "17")]


def test_a_confirmation_of_other_arguments_does_not_count(make_world):
    world = make_world(CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    other = {**waiting, "argumentHash": "sha256:" + "0" * 64}
    answer = world.confirm(session, other)
    assert (answer.status, answer.json["code"]) == (409, "arguments-differ")
    assert world.calls == []


def test_a_late_confirmation_does_not_count(make_world):
    world = make_world(CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    world.now[0] += 60
    answer = world.confirm(session, waiting)
    assert (answer.status, answer.json["code"]) == (410, "expired")
    assert world.calls == []


def test_after_that_the_person_can_go_on(make_world):
    world = make_world(CANCEL, "What else?")
    session = world.open()
    waiting_in(world.say(session))
    assert world.say(session).status == 409
    world.now[0] += 60
    assert world.say(session, "Never mind").json["text"] == "What else?"
    assert world.script.told == ["not carried out: nobody confirmed it in time"]


@pytest.mark.parametrize(
    ("confirmer", "status"),
    [
        (make_token("person-2"), 404),
        (make_token("person-2", roles=["other"]), 404),
        (make_token("person-2", "south", [ROLE]), 404),
        (make_token("person-1"), 403),
    ],
    ids=["no role", "another role", "another tenant", "owner without role"],
)
def test_others_cannot_confirm(make_world, confirmer, status):
    world = make_world(CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    assert world.confirm(session, waiting, token=confirmer).status == status
    assert world.calls == []


def test_at_medium_the_owner_may_confirm_with_the_role(make_world):
    world = make_world(CANCEL, "Cancelled.")
    token = make_token(roles=[ROLE])
    session = world.open(token=token)
    waiting = waiting_in(world.say(session, token=token))
    answer = world.confirm(session, waiting, token=token)
    assert answer.json == {"status": "completed", "text": "Cancelled."}


def test_at_high_it_takes_a_second_person(make_world):
    world = make_world(CANCEL, "Cancelled.", riskTier="HIGH")
    token = make_token(roles=[ROLE])
    session = world.open(token=token)
    waiting = waiting_in(world.say(session, token=token))
    answer = world.confirm(session, waiting, token=token)
    assert (answer.status, answer.json["code"]) == (403, "second-person-needed")
    assert world.calls == []
    assert world.confirm(session, waiting).status == 200
    assert world.calls == [("cancel_order", "17")]


def test_at_low_nobody_is_asked(make_world):
    world = make_world(CANCEL, "Cancelled.", riskTier="LOW")
    assert world.say(world.open()).json["status"] == "completed"
    assert world.calls == [("cancel_order", "17")]


def test_a_confirmer_reads_what_waits_and_nothing_else(make_world):
    world = make_world(CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    token = make_token("person-2", roles=[ROLE])
    listed = world.ask("GET", f"{session}/confirmations", token=token)
    assert listed.json == {"confirmations": [waiting]}
    assert world.ask("GET", session, token=token).status == 404
    assert world.say(session, token=token).status == 404


def test_the_model_never_sees_the_id_of_a_confirmation(make_world):
    world = make_world(CANCEL, "Cancelled.")
    session = world.open()
    waiting = waiting_in(world.say(session))
    world.confirm(session, waiting)
    assert waiting["id"] not in str(world.script.seen)
