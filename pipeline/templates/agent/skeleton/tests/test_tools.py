"""Tools: which may be called, with what, and what the audit trail says of it."""

from __future__ import annotations

import asyncio
import sys

import pytest
from conftest import REF, World, make_token
from primitive_sdk.identity import Identity
from primitive_sdk.outbound import TenantClient
from primitive_sdk.tenancy import NoTenant, bound

from agent_${{ values.primitive_id | replace('-', '_') }} import (
    audit,
    tool_functions,
    tool_servers,
    tools,
)


def run(world: World) -> str:
    """The agent's answer to one message."""
    answer = world.say(world.open())
    assert answer.json["status"] == "completed", answer.json
    return answer.json["text"]


def test_an_allowed_tool_is_called_and_its_answer_reaches_the_model(make_world):
    world = make_world([("find_order", {"order_id": "17"})], "It is open.")
    assert run(world) == "It is open."
    assert world.calls == [("find_order", "17")]
    assert world.script.told == ['{"id": "17", "state": "open"}']
    assert world.sink.outcomes == [("find_order", "allowed", ""), ("find_order", "succeeded", "")]


def test_a_tool_of_a_server_is_called_by_the_protocol(make_world):
    world = make_world([("count_stock", {"article": "bolt"})], "Seven.")
    assert run(world) == "Seven."
    assert world.calls == [("count_stock", "bolt")]
    assert world.script.told == ['{"count": 7}']


@pytest.mark.parametrize("name", ["delete_everything", "no_such_tool", "", "find_order\n"])
def test_a_tool_outside_the_list_is_refused_and_audited(make_world, name):
    world = make_world([(name, {})], "I cannot.")
    run(world)
    assert world.calls == []
    assert world.sink.outcomes == [(name, "refused", "tool-not-allowed")]


def test_the_model_is_offered_what_may_be_called_and_nothing_else(make_world):
    world = make_world("Hello.")
    run(world)
    offered = ["break_down", "cancel_order", "count_stock", "find_order", "wait_long"]
    assert world.script.offered == offered


def test_a_tool_that_its_server_no_longer_offers_is_refused(make_world):
    world = make_world([("gone", {})], "I cannot.")
    run(world)
    assert world.sink.outcomes == [("gone", "refused", "tool-missing")]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "arguments-invalid"),
        ({"order_id": 17}, "arguments-invalid"),
        ({"order_id": "17", "tenant": "south"}, "arguments-invalid"),
        ('{"order_id": ', "arguments-malformed"),
        ("[]", "arguments-malformed"),
        ({"order_id": "x" * 100_001}, "arguments-too-large"),
    ],
)
def test_arguments_that_break_the_schema_are_refused(make_world, arguments, reason):
    world = make_world([("find_order", arguments)], "I cannot.")
    run(world)
    assert world.calls == []
    assert world.sink.outcomes == [("find_order", "refused", reason)]


def test_arguments_for_a_server_are_held_to_its_schema_before_they_leave(make_world):
    world = make_world([("count_stock", {"article": ["bolt"]})], "I cannot.")
    run(world)
    assert world.calls == []
    assert world.sink.outcomes == [("count_stock", "refused", "arguments-invalid")]


@pytest.mark.parametrize(
    ("how", "reason", "told"),
    [
        ("purpose", "tool-failed", "there is no such order"),
        ("mistake", "RuntimeError", "the tool failed"),
    ],
)
def test_a_failing_tool_is_audited_and_the_run_goes_on(make_world, how, reason, told):
    world = make_world([("break_down", {"how": how})], "Sorry.")
    assert run(world) == "Sorry."
    assert world.script.told == [told]
    assert world.sink.outcomes[-1] == ("break_down", "failed", reason)


def test_a_tool_that_takes_too_long_is_given_up(make_world):
    world = make_world([("wait_long", {})], "Sorry.")
    assert run(world) == "Sorry."
    assert world.script.told == ["the tool took longer than 0.2 s"]
    assert world.sink.outcomes[-1] == ("wait_long", "failed", "tool-failed")


def test_an_audit_event_names_who_what_and_how_long(make_world):
    world = make_world([("find_order", {"order_id": "17"})], "Open.")
    session = world.open(token=make_token("person-3", "south"))
    world.say(session, token=make_token("person-3", "south"))
    before, after = world.sink.events
    assert (after.tenant, after.subject, after.definition) == ("south", "person-3", REF)
    assert after.session == session.rsplit("/", 1)[-1]
    assert after.argument_hash == audit.hash_call("find_order", {"order_id": "17"})
    assert before.duration_ms is None
    assert after.duration_ms is not None


def test_a_call_that_cannot_be_audited_does_not_happen(make_world):
    world = make_world([("find_order", {"order_id": "17"})], "Open.")

    def full(event: audit.ToolCallEvent) -> None:
        raise OSError("no space left")

    world.sink.write = full
    assert world.say(world.open()).status == 500
    assert world.calls == []


def test_a_long_answer_is_cut(make_world):
    world = make_world([("find_order", {"order_id": "y" * 30_000})], "Long.")
    run(world)
    assert world.script.told[0].endswith("[cut at 20000 characters]")


def test_equal_arguments_hash_equally_and_others_do_not():
    one = audit.hash_call("a", {"x": 1, "y": [2]})
    assert one == audit.hash_call("a", {"y": [2], "x": 1})
    assert len({one, audit.hash_call("b", {"x": 1, "y": [2]}), audit.hash_call("a", {"x": 1})}) == 3


def test_the_tools_of_this_package_have_schemas_and_work():
    for function in tools.build_tools(None):
        assert function.schema.parameters["type"] == "object"
        assert function.schema.parameters["additionalProperties"] is False
        assert function.schema.description
    [clock] = [f for f in tools.build_tools(None) if f.schema.name == "current_time"]
    assert asyncio.run(clock({"utc_offset_hours": 2})).endswith("+02:00")
    with pytest.raises(tool_functions.ToolFailed):
        asyncio.run(clock({"utc_offset_hours": 99}))


@pytest.mark.parametrize(
    "entry",
    ["tools", "=http://a.example.invalid", "tools=ftp://a", "tools=stdio:", "tools=http://"],
)
def test_a_malformed_server_is_refused(entry):
    with pytest.raises(ValueError, match="TOOL_SERVERS"):
        tool_servers.parse_servers([entry])


def test_a_server_is_an_address_or_a_command():
    servers = tool_servers.parse_servers(
        ["a=https://a.example.invalid:8443/mcp", "b=stdio:x -y 'z z'"]
    )
    assert servers["a"].origin == "https://a.example.invalid:8443"
    assert servers["b"].origin == ""
    assert servers["b"].where.args == ["-y", "z z"]


SERVER = """
import os
from mcp.server.mcpserver import MCPServer

server = MCPServer("child")


@server.tool()
def environment() -> list[str]:
    \"\"\"The names of what this process is told.\"\"\"
    return sorted(os.environ)


server.run()
"""


def test_a_server_may_be_a_child_process_that_learns_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_API_KEY", "secret")
    (tmp_path / "server.py").write_text(f"import sys\nsys.path[:] = {sys.path!r}\n{SERVER}")
    entry = f"child=stdio:{sys.executable} {tmp_path / 'server.py'}"
    [server] = tool_servers.parse_servers([entry]).values()

    async def talk():
        async with tool_servers.connect(server, None) as session:
            schemas = await tool_servers.list_schemas(session)
            return list(schemas), await tool_servers.call_server(session, "environment", {}, 60)

    offered, answer = asyncio.run(talk())
    assert offered == ["environment"]
    assert "MODEL_API_KEY" not in str(answer)
    assert "PATH" in str(answer)


def test_a_server_that_does_not_answer_is_named(tmp_path):
    [server] = tool_servers.parse_servers([f"child=stdio:{tmp_path / 'nowhere'}"]).values()

    async def talk():
        async with tool_servers.connect(server, None):
            raise AssertionError("it answered")

    with pytest.raises(tool_servers.ServerUnavailable, match="child"):
        asyncio.run(talk())


def test_neither_does_one_over_http():
    [server] = tool_servers.parse_servers(["far=http://127.0.0.1:9/mcp"]).values()

    async def talk():
        async with TenantClient([server.origin]) as client:
            async with tool_servers.connect(server, client):
                raise AssertionError("it answered")

    identity = Identity("person-1", "north", token="x")
    with bound(identity), pytest.raises(tool_servers.ServerUnavailable, match="far"):
        asyncio.run(talk())


def test_nothing_goes_to_a_server_outside_of_a_request():
    [server] = tool_servers.parse_servers(["far=http://127.0.0.1:9/mcp"]).values()

    async def talk():
        async with TenantClient([server.origin]) as client:
            await client.post("http://127.0.0.1:9/mcp")

    with pytest.raises(NoTenant):
        asyncio.run(talk())
