"""A run ends at its budgets, with the reason."""

from __future__ import annotations

from conftest import make_definition

from agent_${{ values.primitive_id | replace('-', '_') }}.budget import Exhausted, Spending

FIND = [("find_order", {"order_id": "17"})]


def budgets(**changes):
    return {"steps": 5, "tokens": 1000, "wallTimeS": 30, **changes}


def test_steps_end_a_run(make_world):
    world = make_world(FIND, budgets=budgets(steps=3))
    answer = world.say(world.open())
    assert answer.json == {"status": "stopped", "reason": "steps-exhausted"}
    assert len(world.script.seen) == 3


def test_tokens_end_a_run_before_another_tool_is_called(make_world):
    world = make_world(FIND, tokens=400, budgets=budgets(tokens=1000))
    answer = world.say(world.open())
    assert answer.json == {"status": "stopped", "reason": "tokens-exhausted"}
    assert len(world.script.seen) == 3
    assert len(world.calls) == 2


def test_time_ends_a_run_in_the_middle_of_a_step(make_world):
    world = make_world(FIND, budgets=budgets(wallTimeS=0.2))
    world.script.delay_s = 30
    answer = world.say(world.open())
    assert answer.json == {"status": "stopped", "reason": "time-exhausted"}


def test_the_next_message_has_budgets_of_its_own(make_world):
    world = make_world(FIND, FIND, "Open.", budgets=budgets(steps=2))
    session = world.open()
    assert world.say(session).json["status"] == "stopped"
    assert world.say(session).json == {"status": "completed", "text": "Open."}


def test_every_call_of_a_stopped_run_has_an_answer(make_world):
    world = make_world(FIND, FIND, "Open.", tokens=1000)
    session = world.open()
    world.say(session)
    world.script.steps[:] = ["Open."]
    world.say(session)
    assert world.script.told == ["not carried out: tokens-exhausted"]


def test_waiting_for_a_person_costs_no_time(make_world):
    world = make_world(
        [("cancel_order", {"order_id": "17"})], "Cancelled.", budgets=budgets(wallTimeS=20)
    )
    session = world.open()
    waiting = world.say(session).json["confirmation"]
    world.now[0] += 59
    world.confirm(session, waiting)
    assert world.ask("GET", session).json["status"] == "completed"


def test_what_is_spent_before_a_confirmation_still_counts(make_world):
    world = make_world([("cancel_order", {"order_id": "17"})], budgets=budgets(steps=1))
    session = world.open()
    world.confirm(session, world.say(session).json["confirmation"])
    assert world.ask("GET", session).json == {"status": "stopped", "reason": "steps-exhausted"}


def test_working_time_is_added_up():
    spending = Spending(make_definition().budgets, time_s=30.0)
    assert spending.after_step() is Exhausted.TIME
    assert spending.time_left_s == 0
