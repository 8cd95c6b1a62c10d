"""What the platform decided for this primitive. A definition may narrow it, never widen it."""

from __future__ import annotations

from typing import Final, Literal

RiskTier = Literal["LOW", "MEDIUM", "HIGH"]

PRIMITIVE: Final = ${{ values.primitive_id | dump }}
DEFINITION_REF: Final = ${{ values.definition_ref | dump }}  # fmt: skip
DEFAULT_MODEL: Final = ${{ values.default_model | dump }}  # fmt: skip
RISK_TIER: Final[RiskTier] = ${{ values.risk_tier | dump }}
{%- if values.allowed_tools.length %}
ALLOWED_TOOLS: Final[tuple[str, ...]] = (
{%- for tool in values.allowed_tools %}
    ${{ tool | dump }},
{%- endfor %}
)
{%- else %}
ALLOWED_TOOLS: Final[tuple[str, ...]] = ()
{%- endif %}
