"""Puts the agent together from its settings and serves it. Everything wrong is said at start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path

import uvicorn
from primitive_sdk.health import Health
from primitive_sdk.identity import IdentityVerifier, JwksKeys
from primitive_sdk.lifecycle import run_until_stopped
from primitive_sdk.outbound import TenantClient
from primitive_sdk.telemetry import start_telemetry

from .audit import JsonLinesSink
from .definition import AgentDefinition, InvalidDefinition, Limits, granted_tools, read_definition
from .models import LanguageModel, UnknownProvider, open_model
from .primitive import ALLOWED_TOOLS, DEFAULT_MODEL, DEFINITION_REF, PRIMITIVE, RISK_TIER
from .routes import Api
from .runtime import AgentRuntime
from .sessions import SessionStore
from .settings import Settings
from .token_meter import TokenMeter
from .tool_registry import ToolRegistry
from .tool_servers import parse_servers
from .tools import build_tools

LIMITS = Limits(DEFINITION_REF, ALLOWED_TOOLS, RISK_TIER)
# These libraries write requests, so prompts, into their debug logs.
_TALKATIVE = ("anthropic", "httpcore", "httpx", "httpcore2", "httpx2", "mcp", "pydantic_ai")


def definition_of(settings: Settings) -> AgentDefinition:
    """The definition that the settings name. Raises InvalidDefinition."""
    if settings.definition_file:
        return read_definition(Path(settings.definition_file), LIMITS)
    return read_definition(Path(str(files(__package__) / "definition.json")), LIMITS)


@contextlib.asynccontextmanager
async def assembled(
    settings: Settings, health: Health, model: LanguageModel | None = None
) -> AsyncIterator[Api]:
    """The agent's API; `model` stands in for the provider's, in tests.

    Raises InvalidDefinition when definition, tools and servers do not fit together.
    """
    definition = definition_of(settings)
    model_name = definition.model or DEFAULT_MODEL
    try:
        servers = parse_servers(settings.tool_servers)
        model = model or open_model(
            model_name, api_key=settings.model_api_key, base_url=settings.model_base_url
        )
    except (UnknownProvider, ValueError) as error:
        raise InvalidDefinition([str(error)]) from error
    grants = granted_tools(definition, LIMITS)
    origins = {server.origin for server in servers.values() if server.origin}
    async with (
        TenantClient(origins=(*settings.outbound_origins, *sorted(origins))) as client,
        JwksKeys(settings.token_jwks_url) as keys,
    ):
        registry = ToolRegistry(grants, build_tools(client), servers, client)
        problems = registry.problems()
        if problems:
            raise InvalidDefinition(problems)
        dropped = sorted({grant.name for grant in definition.tools} - grants.keys())
        if dropped:
            logging.getLogger(PRIMITIVE).warning(
                "the platform does not allow these tools of the definition: %s", ", ".join(dropped)
            )
        runtime = AgentRuntime(
            definition,
            model,
            registry,
            JsonLinesSink.open(settings.audit_file),
            confirmer_role=settings.confirmer_role,
            confirmation_ttl_s=settings.confirmation_ttl_s,
            meter=TokenMeter(model_name),
        )
        health.add("token-keys", keys.ping)
        verifier = IdentityVerifier(
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            keys=keys,
            only_tenant=settings.only_tenant,
        )
        sessions = SessionStore(settings.max_parallel_sessions, settings.session_idle_s)
        yield Api(runtime, sessions, verifier, settings.confirmer_role)


class _Server(uvicorn.Server):
    """uvicorn, with signals left to `run_until_stopped`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Changes nothing."""
        yield


async def serve(settings: Settings, model: LanguageModel | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what is under way. Raises InvalidDefinition."""

    async def until(stop: asyncio.Event) -> None:
        health = Health()
        async with assembled(settings, health, model) as api, health.serve(settings.health_port):
            config = uvicorn.Config(
                api.app(),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(int(settings.stop_timeout_s) - 2, 1),
            )
            server = _Server(config)
            serving = asyncio.create_task(server.serve())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            health.stop()
            server.should_exit = True
            await serving

    with start_telemetry(PRIMITIVE, endpoint=settings.otlp_endpoint, log_level=settings.log_level):
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        await run_until_stopped(until, stop_timeout_s=settings.stop_timeout_s)
