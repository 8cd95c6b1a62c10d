"""The template `agent`, run for real: its process, an MCP tool server, an issuer's tokens."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.golden_templates import AGENT
from tests.support.projects import locked_python, write_project

HERE = Path(__file__).parent
ISSUER, AUDIENCE = "https://issuer.example.invalid/realms/one", "order-helper"
ROLE = "agent-confirmer"
DEADLINE_S = 120
KEY, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
FIND: list[object] = [["find_order", {"order_id": "17"}]]
CANCEL: list[object] = [["cancel_order", {"order_id": "17"}]]


def make_token(
    subject: str = "person-1",
    tenant: str = "acme",
    *,
    roles: tuple[str, ...] = (),
    key: ec.EllipticCurvePrivateKey = KEY,
    **claims: object,
) -> str:
    """A token as the issuer would make it, but for what `key` and `claims` change."""
    now = int(time.time())
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "tenant_id": tenant}
    body |= {"iat": now, "exp": now + 300, "realm_access": {"roles": list(roles)}, **claims}
    return jwt.encode(body, key, "ES256", headers={"kid": "one"})


class Issuer(BaseHTTPRequestHandler):
    """Serves the issuer's public key."""

    def do_GET(self) -> None:
        public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        key = {**public, "kid": "one", "use": "sig", "alg": "ES256"}
        body = json.dumps({"keys": [key]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@dataclass(frozen=True)
class Answer:
    """A finished response."""

    status: int
    body: Any


@dataclass(frozen=True)
class Agent:
    """The running agent, and what it and its tool server wrote down."""

    process: subprocess.Popen[bytes]
    port: int
    audit: Path
    calls: Path

    def ask(self, method: str, path: str, body: object = None, token: str | None = "") -> Answer:
        headers = {} if token is None else {"authorization": f"Bearer {token or make_token()}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            content = b"" if body is None else json.dumps(body).encode()
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            read = answer.read()
            return Answer(answer.status, json.loads(read) if read else None)
        finally:
            connection.close()

    def say(self, *steps: object, token: str = "") -> tuple[str, Answer]:
        """A new session, and what follows from a message that tells the model these steps."""
        opened = self.ask("POST", "/v1/sessions", token=token)
        assert opened.status == 201, opened
        session = f"/v1/sessions/{opened.body['id']}"
        text = json.dumps(steps)
        return session, self.ask("POST", f"{session}/messages", {"text": text}, token)

    def audited(self, session: str) -> list[dict[str, Any]]:
        """The audit events of a session."""
        events = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [event for event in events if event["session"] == session.rsplit("/", 1)[-1]]

    def outcomes(self, session: str) -> list[tuple[str, str]]:
        return [(event["outcome"], event.get("reason", "")) for event in self.audited(session)]

    def served(self) -> list[dict[str, Any]]:
        """The calls that reached the tool server."""
        if not self.calls.exists():
            return []
        return [json.loads(line) for line in self.calls.read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(process: subprocess.Popen[bytes], port: int, path: str = "") -> None:
    """Returns once the process listens, and answers 200 at `path` if there is one."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                pass
            if not path:
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"it does not answer on port {port}")


def write_definition(path: Path) -> Path:
    """A definition that names one tool more than the template's input allows."""
    tools = [
        {"name": "find_order", "server": "orders", "sideEffects": False},
        {"name": "cancel_order", "server": "orders"},
        {"name": "delete_everything", "server": "orders", "sideEffects": False},
    ]
    definition = {
        "ref": "agent-definition/order-helper@3",
        "instructions": ["Help with orders."],
        "riskTier": "HIGH",
        "tools": tools,
        "budgets": {"steps": 4, "tokens": 100_000, "wallTimeS": 10},
    }
    path.write_text(json.dumps(definition))
    return path


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("agent")
    values = AGENT.values(
        primitive_id="order-helper",
        instance="order-helper",
        allowed_tools=["find_order", "cancel_order"],
    )
    project = write_project("agent", values, folder / "project")
    python = locked_python(project)
    calls, audit = folder / "calls.jsonl", folder / "audit.jsonl"
    port, health, tools_port = free_port(), free_port(), free_port()
    issuer = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{project / 'src'}{os.pathsep}{project / 'sdk'}",
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "TOKEN_JWKS_URL": f"http://127.0.0.1:{issuer.server_port}/keys",
        "MODEL_API_KEY": "not-a-key",
        "TOOL_SERVERS": f"orders=http://127.0.0.1:{tools_port}/mcp",
        "DEFINITION_FILE": str(write_definition(folder / "definition.json")),
        "AUDIT_FILE": str(audit),
        "MAX_PARALLEL_SESSIONS": "50",
        "PORT": str(port),
        "HEALTH_PORT": str(health),
    }
    with (folder / "log").open("wb") as log:
        processes = [
            subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
            for command in (
                [python, HERE / "agent_tool_server.py", str(tools_port), calls],
                [python, HERE / "agent_driver.py", "agent_order_helper"],
            )
        ]
        try:
            wait_for(processes[0], tools_port)
            wait_for(processes[1], health, "/readyz")
            yield Agent(processes[1], port, audit, calls)
        finally:
            for process in processes:
                process.kill()
                process.wait()
            issuer.shutdown()
            issuer.server_close()


def test_an_allowed_tool_of_the_server_is_called_as_the_tenant(agent: Agent) -> None:
    token = make_token("person-7", "acme")
    session, answer = agent.say(FIND, "what the tools said", token=token)
    assert answer.body == {"status": "completed", "text": '{"id": "17", "state": "open"}'}
    call = {"tool": "find_order", "tenant": "acme", "subject": "person-7", "order_id": "17"}
    assert call in agent.served()
    events = agent.audited(session)
    assert [event["outcome"] for event in events] == ["allowed", "succeeded"]
    assert all((e["tenant"], e["subject"]) == ("acme", "person-7") for e in events)
    assert all("arguments" not in event for event in events)


@pytest.mark.parametrize("tool", ["delete_everything", "no_such_tool"])
def test_a_tool_outside_the_list_is_refused_and_audited(agent: Agent, tool: str) -> None:
    session, answer = agent.say([[tool, {}]], "what the tools said")
    assert answer.body["text"] == f"there is no tool '{tool}' for this agent"
    assert agent.outcomes(session) == [("refused", "tool-not-allowed")]
    assert tool not in {call["tool"] for call in agent.served()}


@pytest.mark.parametrize("arguments", [{}, {"order_id": 17}, '{"order_id": '])
def test_arguments_that_break_the_schema_are_refused(agent: Agent, arguments: object) -> None:
    before = agent.served()
    session, answer = agent.say([["find_order", arguments]], "It does not fit.")
    assert answer.body["text"] == "It does not fit."
    [(outcome, reason)] = agent.outcomes(session)
    assert (outcome, reason[:9]) == ("refused", "arguments")
    assert agent.served() == before


def test_a_risky_tool_waits_for_a_second_person(agent: Agent) -> None:
    token = make_token("person-8", roles=(ROLE,))
    before = agent.served()
    session, answer = agent.say(CANCEL, "what the tools said", token=token)
    assert (answer.status, answer.body["status"]) == (202, "confirmation-required")
    waiting = answer.body["confirmation"]
    assert waiting["arguments"] == {"order_id": "17"}
    decision = {key: waiting[key] for key in ("id", "argumentHash")} | {"decision": "approve"}
    where = f"{session}/confirmations"
    # At HIGH the one who asked may not confirm, nor anybody without the role or of another tenant.
    assert agent.ask("POST", where, decision, token).status == 403
    assert agent.ask("POST", where, decision, make_token("person-9")).status == 404
    foreign = make_token("person-9", "contoso", roles=(ROLE,))
    assert agent.ask("POST", where, decision, foreign).status == 404
    confirmer = make_token("person-9", roles=(ROLE,))
    other = {**decision, "argumentHash": f"sha256:{'0' * 64}"}
    assert agent.ask("POST", where, other, confirmer).status == 409
    assert agent.served() == before
    assert agent.ask("POST", where, decision, confirmer).status == 200
    text = agent.ask("GET", session, token=token).body["text"]
    assert json.loads(text) == {"result": "order 17 is cancelled"}
    # It ran as the one who asked, and the trail names who let it.
    assert agent.served()[len(before) :] == [
        {"tool": "cancel_order", "tenant": "acme", "subject": "person-8", "order_id": "17"}
    ]
    assert [e["outcome"] for e in agent.audited(session)] == ["waiting", "allowed", "succeeded"]
    assert agent.audited(session)[1]["confirmed_by"] == "person-9"


def test_the_budget_of_steps_ends_a_run(agent: Agent) -> None:
    session, answer = agent.say(FIND)
    assert answer.body == {"status": "stopped", "reason": "steps-exhausted"}
    assert [e["outcome"] for e in agent.audited(session)] == ["allowed", "succeeded"] * 4


def test_the_budget_of_time_ends_a_run(agent: Agent) -> None:
    _, answer = agent.say("sleep")
    assert answer.body == {"status": "stopped", "reason": "time-exhausted"}


def test_two_tenants_at_once_reach_the_server_as_themselves(agent: Agent) -> None:
    def talk(number: int) -> None:
        tenant = ("acme", "contoso")[number % 2]
        calls = [["find_order", {"order_id": f"order-of-{tenant}-{number}"}]]
        agent.say(calls, "Done.", token=make_token(f"talker-{number}", tenant))

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    mine = [call for call in agent.served() if call["subject"].startswith("talker-")]
    assert len(mine) == 8
    for call in mine:
        number = call["subject"].removeprefix("talker-")
        assert call["order_id"] == f"order-of-{call['tenant']}-{number}"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (None, "token-missing"),
        ({"key": STRANGER}, "signature"),
        ({"exp": 1}, "token-expired"),
        ({"aud": "another"}, "audience"),
        ({"iss": "https://another.example.invalid"}, "issuer"),
        ({"tenant_id": None}, "tenant-missing"),
    ],
    ids=["none", "foreign key", "expired", "audience", "issuer", "tenant"],
)
def test_a_token_that_does_not_verify_is_refused(
    agent: Agent, changes: dict[str, Any] | None, code: str
) -> None:
    token = None if changes is None else make_token(**changes)
    answer = agent.ask("POST", "/v1/sessions", token=token)
    assert (answer.status, answer.body["code"]) == (401, code)


def test_a_session_of_another_tenant_does_not_exist(agent: Agent) -> None:
    session, _ = agent.say("Hello.")
    assert agent.ask("GET", session, token=make_token("person-1", "contoso")).status == 404


def test_the_agent_stops_on_a_signal(agent: Agent) -> None:
    # The last test of the module: the agent is gone afterwards.
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(DEADLINE_S) == 0
