"""What one run may use: steps (requests to the model), tokens, and time spent working."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .definition import Budgets


class Exhausted(StrEnum):
    """The budget that ended a run."""

    STEPS = "steps-exhausted"
    TOKENS = "tokens-exhausted"
    TIME = "time-exhausted"


@dataclass(slots=True)
class Spending:
    """What a run has used so far. Waiting for a person costs no time."""

    budgets: Budgets
    steps: int = 0
    tokens: int = 0
    time_s: float = 0.0

    def before_step(self) -> Exhausted | None:
        """The budget that forbids another request to the model, if one does."""
        if self.steps >= self.budgets.steps:
            return Exhausted.STEPS
        return self.after_step()

    def after_step(self) -> Exhausted | None:
        """The budget that forbids to go on with what the model wants, if one does."""
        if self.tokens >= self.budgets.tokens:
            return Exhausted.TOKENS
        if self.time_left_s <= 0:
            return Exhausted.TIME
        return None

    @property
    def tokens_left(self) -> int:
        """How many tokens the run may still use."""
        return max(self.budgets.tokens - self.tokens, 0)

    @property
    def time_left_s(self) -> float:
        """How long the run may still work."""
        return self.budgets.wall_time_s - self.time_s
