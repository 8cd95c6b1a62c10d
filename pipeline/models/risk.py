"""How much harm a primitive could do: the tiers that approvals and windows go by."""

from __future__ import annotations

from typing import Literal

RiskTier = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
RISK_TIERS: tuple[RiskTier, ...] = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
