"""Counts the tokens that the model used, by tenant, as OpenTelemetry's GenAI conventions name it."""

from __future__ import annotations

from opentelemetry import metrics
from primitive_sdk.tenancy import tenant_attributes


class TokenMeter:
    """Measures `gen_ai.client.token.usage`, one value a request and kind of token."""

    def __init__(self, model: str) -> None:
        provider, _, name = model.partition(":")
        self._attributes = {"gen_ai.provider.name": provider, "gen_ai.request.model": name}
        self._histogram = metrics.get_meter(__name__).create_histogram(
            "gen_ai.client.token.usage", unit="{token}", description="Tokens of one request"
        )

    def count(self, input_tokens: int, output_tokens: int) -> None:
        """Adds what one request used, for the tenant whose request runs."""
        shared = {**self._attributes, **tenant_attributes()}
        self._histogram.record(input_tokens, {**shared, "gen_ai.token.type": "input"})
        self._histogram.record(output_tokens, {**shared, "gen_ai.token.type": "output"})
