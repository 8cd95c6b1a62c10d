"""The port to model providers, on pydantic-ai: its messages, and one `Model` to send them to.

To add a provider: add its extra of `pydantic-ai-slim` in pyproject.toml, run `make lock`, and add a
branch to `open_model`. Tests hand in that library's TestModel or FunctionModel instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from .tool_functions import ToolSchema


class UnknownProvider(ValueError):
    """The model's provider is none that this agent has the library for."""


class LanguageModel(Protocol):
    """What the runtime asks of a model."""

    async def respond(
        self, messages: Sequence[ModelMessage], tools: Sequence[ToolSchema], max_tokens: int
    ) -> ModelResponse:
        """The model's next message. Raises pydantic_ai.exceptions.AgentRunError."""
        ...


class ProviderModel:
    """Any model that pydantic-ai can talk to."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def respond(
        self, messages: Sequence[ModelMessage], tools: Sequence[ToolSchema], max_tokens: int
    ) -> ModelResponse:
        """The model's next message, of at most `max_tokens`."""
        offered = [
            ToolDefinition(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=tool.parameters,
            )
            for tool in tools
        ]
        return await model_request(
            self._model,
            list(messages),
            model_settings=ModelSettings(max_tokens=max_tokens),
            model_request_parameters=ModelRequestParameters(function_tools=offered),
            instrument=False,
        )


def open_model(name: str, *, api_key: str, base_url: str = "") -> LanguageModel:
    """The model called `provider:model`. Raises UnknownProvider."""
    provider, _, model = name.partition(":")
    if provider == "anthropic" and model:
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return ProviderModel(
            AnthropicModel(
                model, provider=AnthropicProvider(api_key=api_key, base_url=base_url or None)
            )
        )
    raise UnknownProvider(f"model: there is no provider for {name!r}; `anthropic:` is known")
