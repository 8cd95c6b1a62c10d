"""Windows of time and lanes for promotions, as in policy files.

Times are wall-clock times in the window's zone; `pipeline.requests.windows` interprets them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.models.base import Identifier, Model
from pipeline.models.risk import RiskTier

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\r\n]*$")]
# The lane that a promotion requests. Windows and stops say which lanes they let pass.
Lane = Literal["normal", "security", "rollback"]
FastLane = Literal["security", "rollback"]
LocalTime = Annotated[
    str,
    StringConstraints(
        pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
    ),
]


class Window(Model):
    """One window: between two moments, or one that recurs (RFC 5545, section 3.3.10).

    A `deny` window is closed while it lasts. Where `allow` windows apply, promotions pass only
    while one of them lasts.
    """

    name: Identifier
    effect: Literal["deny", "allow"]
    # From the IANA Time Zone Database, such as `Europe/Berlin` or `UTC`.
    zone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]+$", max_length=50)]
    # Either: begins at `from` and ends just before `to`.
    from_: LocalTime | None = Field(None, alias="from")
    to: LocalTime | None = None
    # Or: begins at `dtstart` and at each recurrence, and lasts for `duration` each time.
    rrule: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    dtstart: LocalTime | None = None
    duration: Annotated[str, StringConstraints(min_length=1, max_length=30)] | None = None
    # Only for these; empty means for all.
    tenants: tuple[Identifier, ...] = ()
    risk_tiers: tuple[RiskTier, ...] = ()
    # Lanes that the window does not delay.
    lanes: tuple[FastLane, ...] = ()
    reason: Sentence


class PlatformWindow(Window):
    """A window that the platform sets, for some environments or for all."""

    environments: tuple[Identifier, ...] = ()
