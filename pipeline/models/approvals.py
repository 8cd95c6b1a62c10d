"""How many people must approve something, of which teams, and whose approval does not count."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.models.base import Model

TeamName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)
]


class ApprovalPolicy(Model):
    """How many people must approve, and of which teams."""

    count: int = Field(ge=1, le=6)
    teams: tuple[TeamName, ...] = Field(min_length=1)
    # Whether each team must give one at least. If it is left out, each must where as many approvals
    # as teams are asked for.
    each_team: bool | None = None
    # Whose approval does not count: that of whoever wrote the source that is promoted.
    separation: Literal["source-authors"] | None = None
    # For how many days an approval counts; without it for ever.
    expires_after_days: int | None = Field(None, ge=1, le=365)

    @property
    def asks_each_team(self) -> bool:
        """Whether each team must give an approval."""
        return len(self.teams) <= self.count if self.each_team is None else self.each_team
