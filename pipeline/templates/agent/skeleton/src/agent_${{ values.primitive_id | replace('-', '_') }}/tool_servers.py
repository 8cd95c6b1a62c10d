"""Tools of other services, by the Model Context Protocol: streamable HTTP or a child process.

A connection is opened for one run and ends with it, so none is ever shared between tenants. HTTP
goes through the TenantClient, and so carries the identity that the run is bound to. A child
process gets nothing of this one's environment but what the SDK's short list allows.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent
from primitive_sdk.outbound import TenantClient

from .tool_functions import ToolFailed, ToolSchema

MAX_PAGES: Final = 20
CONNECT_TIMEOUT_S: Final = 10.0
_STDIO: Final = "stdio:"
# What belongs to one connection, and is wrong once the body is decoded and sent again.
_HOP: Final = frozenset({"host", "connection", "content-length", "content-encoding"}) | {
    "transfer-encoding",
    "accept-encoding",
}


class ServerUnavailable(Exception):
    """A tool server does not answer; the message names it."""


@dataclass(frozen=True, slots=True)
class ToolServer:
    """One server: a name of the definition, and where the environment says it is."""

    name: str
    where: str | StdioServerParameters | MCPServer[Any]

    @property
    def origin(self) -> str:
        """The origin that the tenant's token may go to; empty for a child process."""
        if not isinstance(self.where, str):
            return ""
        parts = urlsplit(self.where)
        return f"{parts.scheme}://{parts.netloc}"


def parse_servers(entries: Iterable[str]) -> dict[str, ToolServer]:
    """The servers of TOOL_SERVERS by name. Raises ValueError."""
    servers: dict[str, ToolServer] = {}
    for entry in entries:
        name, separator, where = entry.partition("=")
        if not separator or not name or name in servers:
            raise ValueError(
                f"TOOL_SERVERS: {name or entry!r} is no `name=address`, or twice there"
            )
        if where.startswith(_STDIO):
            command = shlex.split(where.removeprefix(_STDIO))
            if not command:
                raise ValueError(f"TOOL_SERVERS: {name} has no command")
            parameters = StdioServerParameters(command=command[0], args=command[1:])
            servers[name] = ToolServer(name, parameters)
        elif urlsplit(where).scheme in ("http", "https") and urlsplit(where).hostname:
            servers[name] = ToolServer(name, where)
        else:
            raise ValueError(f"TOOL_SERVERS: {name} is neither an http(s) address nor `stdio:`")
    return servers


class _TenantTransport(httpx2.AsyncBaseTransport):
    """Sends the MCP client's requests through the TenantClient."""

    def __init__(self, client: TenantClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            # The standing stream of notifications is optional (MCP, "Listening for Messages").
            return httpx2.Response(405, request=request)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        content = await request.aread()
        try:
            answer = await self._client.request(
                request.method, str(request.url), content=content, headers=headers, timeout=None
            )
        except httpx.HTTPError as error:
            raise httpx2.TransportError(type(error).__name__, request=request) from error
        kept = [(k, v) for k, v in answer.headers.multi_items() if k.lower() not in _HOP]
        return httpx2.Response(
            answer.status_code, headers=kept, content=answer.content, request=request
        )


@asynccontextmanager
async def connect(server: ToolServer, client: TenantClient) -> AsyncIterator[Client]:
    """A session with the server. Raises ServerUnavailable."""
    async with AsyncExitStack() as stack:
        try:
            if isinstance(server.where, str):
                http = httpx2.AsyncClient(transport=_TenantTransport(client))
                await stack.enter_async_context(http)
                transport = streamable_http_client(server.where, http_client=http)
                opened = Client(transport, read_timeout_seconds=CONNECT_TIMEOUT_S)
            else:
                opened = Client(server.where, read_timeout_seconds=CONNECT_TIMEOUT_S)
            session = await stack.enter_async_context(opened)
        except (OSError, MCPError, httpx2.HTTPError, TimeoutError, ExceptionGroup) as error:
            raise ServerUnavailable(f"tool server `{server.name}` does not answer") from error
        yield session


async def list_schemas(session: Client) -> Mapping[str, ToolSchema]:
    """What the server offers, by name. Raises ServerUnavailable."""
    found: dict[str, ToolSchema] = {}
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        try:
            page = await session.list_tools(cursor=cursor)
        except (OSError, MCPError, httpx2.HTTPError, TimeoutError) as error:
            raise ServerUnavailable("a tool server does not list its tools") from error
        for tool in page.tools:
            found[tool.name] = ToolSchema(tool.name, tool.description or "", tool.input_schema)
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


async def call_server(
    session: Client, tool: str, arguments: dict[str, Any], timeout_s: float
) -> Any:
    """What the tool answers: its structured content, else its text. Raises ToolFailed."""
    try:
        result = await session.call_tool(tool, arguments, read_timeout_seconds=timeout_s)
    except (OSError, MCPError, httpx2.HTTPError) as error:
        raise ToolFailed(f"the tool server failed: {type(error).__name__}") from error
    text = _text_of(result)
    if result.is_error:
        raise ToolFailed(text or "the tool failed")
    if result.structured_content is not None:
        return result.structured_content
    return text


def _text_of(result: CallToolResult) -> str:
    parts = [part.text for part in result.content if isinstance(part, TextContent)]
    if not parts and result.content:
        return json.dumps({"omitted": [part.type for part in result.content]})
    return "\n".join(parts)
