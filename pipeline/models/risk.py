"""Risk tiers: how much harm a primitive could do. Approvals and windows depend on them."""

from __future__ import annotations

from typing import Literal

RiskTier = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
RISK_TIERS: tuple[RiskTier, ...] = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
