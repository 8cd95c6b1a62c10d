"""What tenants say and get stays out of logs and audit events, unless the definition says so."""

from __future__ import annotations

import io
import logging

from conftest import Sink

from agent_${{ values.primitive_id | replace('-', '_') }} import audit

STEPS = [("find_order", {"order_id": "secret-17"})], "The secret answer."


def talk(make_world, **changes) -> tuple[str, Sink]:
    """All log lines of one talk, and the audit trail."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        world = make_world(*STEPS, **changes)
        world.say(world.open(), "My secret question")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    return stream.getvalue(), world.sink


def test_prompts_and_outputs_are_not_logged(make_world):
    logged, _ = talk(make_world)
    assert "secret question" not in logged
    assert "secret answer" not in logged


def test_arguments_are_not_in_audit_events(make_world):
    _, sink = talk(make_world)
    assert len(sink.events) == 2
    assert all(event.arguments is None for event in sink.events)
    assert "secret-17" not in str(sink.events)


def test_they_are_if_the_definition_says_so(make_world):
    logged, sink = talk(make_world, logPrompts=True)
    assert "My secret question" in logged
    assert "The secret answer." in logged
    assert sink.events[0].arguments == {"order_id": "secret-17"}


def test_what_a_broken_tool_says_does_not_reach_the_model(make_world):
    world = make_world([("break_down", {"how": "17"})], "Sorry.")
    world.say(world.open())
    assert "secret 17" not in str(world.script.seen)


def test_an_audit_line_is_json_on_one_line(tmp_path):
    path = tmp_path / "audit.jsonl"
    sink = audit.JsonLinesSink.open(str(path))
    event = audit.ToolCallEvent(
        primitive="p",
        definition="d",
        tenant="north",
        subject="person-1",
        session="s",
        run="r",
        tool="two\nlines",
        argument_hash="sha256:0",
        outcome=audit.CallOutcome.REFUSED,
        reason="tool-not-allowed",
    )
    sink.write(event)
    sink.write(event)
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert '"tool": "two\\nlines"' in lines[0]
    assert '"arguments"' not in lines[0]
    assert path.stat().st_mode & 0o777 == 0o600
