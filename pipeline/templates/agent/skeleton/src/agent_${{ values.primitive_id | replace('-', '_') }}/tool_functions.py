"""Tools that are Python functions of this process: `@tool` turns a typed function into one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError, validate_call


class ToolFailed(Exception):
    """The tool could not do it; the message is what the model is told."""


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """What the model sees of a tool, and what its arguments are held to."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function with its schema; pydantic converts the arguments to the annotated types."""

    schema: ToolSchema
    function: Callable[..., Awaitable[Any]]

    async def __call__(self, arguments: dict[str, Any]) -> Any:
        """What the function returns. Raises ToolFailed when an argument has no legal value."""
        try:
            return await self.function(**arguments)
        except ValidationError as error:
            reasons = [fault["msg"] for fault in error.errors(include_input=False)]
            raise ToolFailed("; ".join(reasons)) from error


def tool(function: Callable[..., Awaitable[Any]]) -> FunctionTool:
    """The tool that an async function is: its name, its docstring's first paragraph, its types."""
    if not function.__doc__:
        raise TypeError(f"{function.__name__} has no docstring to tell the model what it does")
    # For pydantic a function is a type; mypy does not know that.
    parameters = TypeAdapter(cast(Any, function)).json_schema()
    description = " ".join(function.__doc__.strip().split("\n\n")[0].split())
    schema = ToolSchema(function.__name__, description, parameters)
    return FunctionTool(schema, validate_call(function))
