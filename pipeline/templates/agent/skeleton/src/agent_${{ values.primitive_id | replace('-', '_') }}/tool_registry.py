"""The tools of a run: only what definition and platform both allow, each held to its schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from mcp import Client
from primitive_sdk.outbound import TenantClient
from referencing import Registry
from referencing.exceptions import Unresolvable

from .definition import ToolGrant
from .tool_functions import FunctionTool, ToolFailed, ToolSchema
from .tool_servers import ToolServer, call_server, connect, list_schemas

MAX_RESULT_CHARACTERS: Final = 20_000
MAX_ARGUMENT_CHARACTERS: Final = 100_000


class Refused(Exception):
    """The call may not happen. `code` is for the audit trail, the message for the model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class OpenTools:
    """The tools while a run is under way."""

    grants: Mapping[str, ToolGrant]
    schemas: Mapping[str, ToolSchema]
    functions: Mapping[str, FunctionTool]
    sessions: Mapping[str, Client]

    def check(self, name: str, arguments: Mapping[str, Any] | str) -> ToolGrant:
        """The grant of a call that may happen. Raises Refused.

        `arguments` is what the model sent: an object, or text that is none.
        """
        grant = self.grants.get(name)
        if grant is None:
            raise Refused("tool-not-allowed", f"there is no tool {name!r} for this agent")
        schema = self.schemas.get(name)
        if schema is None:
            raise Refused("tool-missing", f"the server does not offer {name!r} now")
        if isinstance(arguments, str):
            raise Refused("arguments-malformed", "the arguments are no JSON object")
        if len(json.dumps(arguments)) > MAX_ARGUMENT_CHARACTERS:
            raise Refused("arguments-too-large", "the arguments are too large")
        # An empty registry: a schema may refer to itself, never to another place.
        validator = Draft202012Validator(schema.parameters, registry=Registry())
        try:
            validator.check_schema(schema.parameters)
            faults = sorted(validator.iter_errors(arguments), key=lambda fault: fault.json_path)
        except (SchemaError, Unresolvable) as error:
            raise Refused("schema-unusable", f"the schema of {name!r} is unusable") from error
        if faults:
            told = "; ".join(f"{fault.json_path}: {fault.message[:200]}" for fault in faults[:5])
            raise Refused("arguments-invalid", f"the arguments do not fit the schema: {told}")
        return grant

    async def call(self, grant: ToolGrant, arguments: dict[str, Any]) -> str:
        """What the tool answers, as text of bounded length. Raises ToolFailed."""
        try:
            async with asyncio.timeout(grant.timeout_s) as limit:
                if grant.server is None:
                    answer = await self.functions[grant.name](arguments)
                else:
                    session = self.sessions[grant.server]
                    answer = await call_server(session, grant.name, arguments, grant.timeout_s)
        except TimeoutError as error:
            if not limit.expired():
                raise ToolFailed("the tool gave up waiting") from error
            raise ToolFailed(f"the tool took longer than {grant.timeout_s:g} s") from error
        text = answer if isinstance(answer, str) else json.dumps(answer, default=str)
        if len(text) > MAX_RESULT_CHARACTERS:
            return f"{text[:MAX_RESULT_CHARACTERS]}\n[cut at {MAX_RESULT_CHARACTERS} characters]"
        return text


class ToolRegistry:
    """Which tools there are, and where."""

    def __init__(
        self,
        grants: Mapping[str, ToolGrant],
        functions: Iterable[FunctionTool],
        servers: Mapping[str, ToolServer],
        client: TenantClient,
    ) -> None:
        self._grants = dict(grants)
        self._functions = {function.schema.name: function for function in functions}
        self._servers = servers
        self._client = client

    def problems(self) -> list[str]:
        """Why granted tools cannot be reached; checked at start."""
        found = []
        for grant in self._grants.values():
            if grant.server is None and grant.name not in self._functions:
                found.append(f"tools: `{grant.name}` is no tool of this process")
            elif grant.server is not None and grant.server not in self._servers:
                found.append(
                    f"tools: `{grant.name}` is on server `{grant.server}`, "
                    f"and TOOL_SERVERS has no such name"
                )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The tools that the agent may call, sorted."""
        return tuple(sorted(self._grants))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[OpenTools]:
        """The tools, with a connection to each server that a granted tool is on.

        Raises ServerUnavailable.
        """
        schemas = {
            name: self._functions[name].schema
            for name, grant in self._grants.items()
            if grant.server is None
        }
        sessions: dict[str, Client] = {}
        async with AsyncExitStack() as stack:
            for server in sorted({g.server for g in self._grants.values() if g.server is not None}):
                session = await stack.enter_async_context(
                    connect(self._servers[server], self._client)
                )
                sessions[server] = session
                offered = await list_schemas(session)
                schemas |= {
                    name: offered[name]
                    for name, grant in self._grants.items()
                    if grant.server == server and name in offered
                }
            yield OpenTools(self._grants, schemas, self._functions, sessions)
