"""The tools of this process. Add yours here; tools of other services come from MCP servers.

A tool that calls a service of the platform does so through the TenantClient that it is given: that
is the only way to the tenant's token, and it goes to the configured origins alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

from primitive_sdk.outbound import TenantClient
from pydantic import Field

from .tool_functions import FunctionTool, tool

Hours = Annotated[int, Field(ge=-12, le=14)]


def build_tools(client: TenantClient) -> tuple[FunctionTool, ...]:
    """The tools of this process; which of them the agent may call is not decided here."""
    del client  # until the first tool that calls a service

    @tool
    async def current_time(utc_offset_hours: Hours = 0) -> str:
        """The current date and time, in UTC or at the given offset from it in hours."""
        zone = timezone(timedelta(hours=utc_offset_hours))
        return datetime.now(UTC).astimezone(zone).isoformat(timespec="seconds")

    return (current_time,)
