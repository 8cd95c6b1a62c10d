"""The states of a draft, and the stages of environments that lead to them (docs/model.md §8)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

Stage = Literal["dev", "staging", "prod"]
STAGES: tuple[Stage, ...] = ("dev", "staging", "prod")


class DraftState(StrEnum):
    """The states of a draft (docs/model.md §8), lowest first; folded from facts, never set."""

    PENDING = "PENDING"
    SCAFFOLDED = "SCAFFOLDED"
    IN_REVIEW = "IN_REVIEW"
    PROMOTED_DEV = "PROMOTED_DEV"
    PROMOTED_STAGING = "PROMOTED_STAGING"
    PROMOTED_PROD = "PROMOTED_PROD"
    REJECTED = "REJECTED"


STATE_OF_STAGE: Mapping[str, DraftState] = {
    "dev": DraftState.PROMOTED_DEV,
    "staging": DraftState.PROMOTED_STAGING,
    "prod": DraftState.PROMOTED_PROD,
}
_ORDER = tuple(DraftState)


def higher_state(one: DraftState, other: DraftState) -> DraftState:
    """The higher of two states."""
    return max(one, other, key=_ORDER.index)
