"""How long a release is to be watched in an environment before it goes on to the next."""

from __future__ import annotations

from pydantic import Field

from pipeline.models.base import Model
from pipeline.models.windows import FastLane


class Soak(Model):
    """How long a release must have been seen healthy in an environment before."""

    hours: int = Field(ge=1, le=720)
    # Lanes that need not wait for it.
    lanes: tuple[FastLane, ...] = ()

    @property
    def seconds(self) -> int:
        """The same in seconds."""
        return self.hours * 3600
