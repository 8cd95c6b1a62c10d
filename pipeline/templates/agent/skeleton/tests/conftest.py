"""What the tests share: a scripted model, tools of two kinds, tokens, and the agent over them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from mcp.server import MCPServer
from primitive_sdk.identity import IdentityVerifier, KeyUnknown
from primitive_sdk.outbound import TenantClient
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage
from starlette.applications import Starlette

from agent_${{ values.primitive_id | replace('-', '_') }}.audit import ToolCallEvent
from agent_${{ values.primitive_id | replace('-', '_') }}.definition import (
    AgentDefinition,
    Limits,
    granted_tools,
)
from agent_${{ values.primitive_id | replace('-', '_') }}.models import ProviderModel
from agent_${{ values.primitive_id | replace('-', '_') }}.routes import Api
from agent_${{ values.primitive_id | replace('-', '_') }}.runtime import AgentRuntime
from agent_${{ values.primitive_id | replace('-', '_') }}.sessions import SessionStore
from agent_${{ values.primitive_id | replace('-', '_') }}.tool_functions import ToolFailed, tool
from agent_${{ values.primitive_id | replace('-', '_') }}.tool_registry import ToolRegistry
from agent_${{ values.primitive_id | replace('-', '_') }}.tool_servers import ToolServer

ISSUER = "https://issuer.example.invalid/realms/one"
AUDIENCE = "agent"
KEY = ec.generate_private_key(ec.SECP256R1())
ROLE = "agent-confirmer"
REF = "agent-definition/under-test@1"
ALLOWED = ("find_order", "cancel_order", "count_stock", "break_down", "wait_long", "gone")

# One step of a scripted model: an answer, or calls of tools with their arguments.
Step = str | list[tuple[str, Any]]


def key_set() -> dict[str, object]:
    """The public half of KEY, as an issuer publishes it."""
    public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]}


class OneKey:
    """The issuer's only key."""

    async def key(self, key_id: str) -> jwt.PyJWK:
        if key_id != "one":
            raise KeyUnknown
        return jwt.PyJWK.from_dict(key_set()["keys"][0])


def make_token(
    subject: str = "person-1", tenant: str = "north", roles: Sequence[str] = (), **claims: object
) -> str:
    """A token as the issuer makes it; `claims` replace what it would hold."""
    now = int(time.time())
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "tenant_id": tenant}
    body |= {"iat": now, "exp": now + 300, "realm_access": {"roles": list(roles)}, **claims}
    return jwt.encode(body, KEY, "ES256", headers={"kid": "one"})


@dataclass
class Script:
    """A model that takes its steps one after the other and keeps what it was shown."""

    steps: list[Step]
    tokens: int = 10
    seen: list[list[ModelMessage]] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    delay_s: float = 0.0

    async def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.seen.append(list(messages))
        self.offered = [offered.name for offered in info.function_tools]
        await asyncio.sleep(self.delay_s)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        parts = [TextPart(step)] if isinstance(step, str) else [ToolCallPart(n, a) for n, a in step]
        usage = RequestUsage(input_tokens=self.tokens - 1, output_tokens=1)
        return ModelResponse(parts=parts, usage=usage)

    @property
    def told(self) -> list[str]:
        """What the tools answered, as the model saw it last."""
        parts = [part for message in self.seen[-1] for part in message.parts]
        return [str(part.content) for part in parts if part.part_kind == "tool-return"]


class Sink:
    """Keeps audit events."""

    def __init__(self) -> None:
        self.events: list[ToolCallEvent] = []

    def write(self, event: ToolCallEvent) -> None:
        self.events.append(event)

    @property
    def outcomes(self) -> list[tuple[str, str, str]]:
        return [(event.tool, str(event.outcome), event.reason) for event in self.events]


@dataclass(frozen=True)
class Answer:
    """A finished response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


async def ask(
    app: Starlette,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None,
    **headers: str,
) -> Answer:
    """The application's answer, without any socket."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        answer = await client.request(method, path, content=content, headers=sent)
        return Answer(answer.status_code, answer.headers, answer.content)


@dataclass
class World:
    """An agent, the model's script, the calls that tools really got, and the audit trail."""

    app: Starlette
    runtime: AgentRuntime
    script: Script
    sink: Sink
    calls: list[tuple[str, str]]
    now: list[float]

    def ask(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        options.setdefault("token", make_token())
        return asyncio.run(ask(self.app, method, path, body, **options))

    def open(self, **options: Any) -> str:
        """The path of a new session."""
        answer = self.ask("POST", "/v1/sessions", **options)
        assert answer.status == 201, answer.body
        return answer.headers["location"]

    def say(self, session: str, text: str = "Do it", **options: Any) -> Answer:
        return self.ask("POST", f"{session}/messages", {"text": text}, **options)

    def confirm(
        self, session: str, waiting: Mapping[str, Any], decision: str = "approve", **options: Any
    ) -> Answer:
        options.setdefault("token", make_token("person-2", roles=[ROLE]))
        body = {"id": waiting["id"], "argumentHash": waiting["argumentHash"], "decision": decision}
        return self.ask("POST", f"{session}/confirmations", body, **options)


def make_server(calls: list[tuple[str, str]]) -> MCPServer[Any]:
    """A tool server in this process, spoken to by the real protocol."""
    server: MCPServer[Any] = MCPServer("stock")

    @server.tool()
    def count_stock(article: str) -> dict[str, int]:
        """How many there are."""
        calls.append(("count_stock", article))
        return {"count": 7}

    @server.tool()
    def delete_everything() -> str:
        """A tool that nobody allowed."""
        calls.append(("delete_everything", ""))
        return "done"

    return server


def make_definition(**changes: object) -> AgentDefinition:
    """The definition under test; `changes` are fields by their names in JSON."""
    names = (*ALLOWED, "delete_everything")
    on_server = ("count_stock", "gone", "delete_everything")
    tools = [
        {
            "name": name,
            "server": "stock" if name in on_server else None,
            "sideEffects": name == "cancel_order",
            "timeoutS": 0.2 if name == "wait_long" else 20.0,
        }
        for name in names
    ]
    budgets = {"steps": 5, "tokens": 1000, "wallTimeS": 30}
    whole = {
        "ref": REF,
        "instructions": ["Be brief."],
        "riskTier": "MEDIUM",
        "tools": tools,
        "budgets": budgets,
        **changes,
    }
    return AgentDefinition.model_validate_json(json.dumps(whole))


@pytest.fixture
def make_world() -> Callable[..., World]:
    """Makes an agent whose model takes the given steps; keywords change its definition."""

    def make(*steps: Step, sessions: int = 8, tokens: int = 10, **changes: object) -> World:
        calls: list[tuple[str, str]] = []

        @tool
        async def find_order(order_id: str) -> dict[str, str]:
            """The order with this id."""
            calls.append(("find_order", order_id))
            return {"id": order_id, "state": "open"}

        @tool
        async def cancel_order(order_id: str, times: int = 1) -> str:
            """Cancels the order."""
            calls.append(("cancel_order", order_id))
            return "cancelled"

        @tool
        async def break_down(how: str) -> str:
            """Fails, as told: on purpose or by mistake."""
            if how == "purpose":
                raise ToolFailed("there is no such order")
            raise RuntimeError(f"secret {how}")

        @tool
        async def wait_long() -> str:
            """Takes too long."""
            await asyncio.sleep(60)
            return "never"

        now = [1000.0]
        definition = make_definition(**changes)
        limits = Limits(REF, ALLOWED, "LOW")
        client = TenantClient(origins=())
        registry = ToolRegistry(
            granted_tools(definition, limits),
            (find_order, cancel_order, break_down, wait_long),
            {"stock": ToolServer("stock", make_server(calls))},
            client,
        )
        assert registry.problems() == []
        script, sink = Script(list(steps), tokens), Sink()
        runtime = AgentRuntime(
            definition,
            ProviderModel(FunctionModel(script)),
            registry,
            sink,
            confirmer_role=ROLE,
            confirmation_ttl_s=60,
            clock=lambda: now[0],
        )
        verifier = IdentityVerifier(issuer=ISSUER, audience=AUDIENCE, keys=OneKey())
        store = SessionStore(sessions, 600, clock=lambda: now[0])
        return World(Api(runtime, store, verifier, ROLE).app(), runtime, script, sink, calls, now)

    return make
