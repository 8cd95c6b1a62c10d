"""An MCP tool server as a process: streamable HTTP, tokens required, every call recorded.

Started as `python agent_tool_server.py PORT CALLS_FILE` by the Python of the rendered agent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

port, calls = int(sys.argv[1]), Path(sys.argv[2])
server: MCPServer[Any] = MCPServer("orders")


def note(context: Context[Any], tool: str, **arguments: object) -> None:
    """Writes the call down, with the tenant of the token that came with it."""
    headers = context.headers or {}
    token = headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    line = {"tool": tool, "tenant": claims["tenant_id"], "subject": claims["sub"], **arguments}
    with calls.open("a") as file:
        file.write(json.dumps(line) + "\n")


@server.tool()
def find_order(order_id: str, context: Context[Any]) -> dict[str, str]:
    """The order with this id."""
    note(context, "find_order", order_id=order_id)
    return {"id": order_id, "state": "open"}


@server.tool()
def cancel_order(order_id: str, context: Context[Any]) -> str:
    """Cancels an order."""
    note(context, "cancel_order", order_id=order_id)
    return f"order {order_id} is cancelled"


@server.tool()
def delete_everything(context: Context[Any]) -> str:
    """What no agent was given."""
    note(context, "delete_everything")
    return "everything is gone"


class Authorised(BaseHTTPMiddleware):
    """Lets nobody in without a token."""

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return JSONResponse({"error": "no token"}, 401)
        return await call_next(request)


app = server.streamable_http_app()
app.add_middleware(Authorised)
uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
