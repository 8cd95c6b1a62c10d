"""Clauses of the gate that delay a promotion: lanes, stops, windows. Pure.

Their reasons wait, and name the moment at which time alone ends them, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.gate import rules as rule
from pipeline.gate.reasons import DecisionReason, refuses, waits
from pipeline.gate.windows import Closing, Passing, closings, next_change
from pipeline.models.base import moment_of
from pipeline.requests.drafts import LANE_NOT_OFFERED

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # it imports these clauses


def clause_lane(e: Evidence) -> Iterator[DecisionReason]:
    """The promotion's lane is the normal one, or one that the platform's policy lists.

    An automatic rollback needs no lane: nobody asks for it.
    """
    lane = e.promotion.lane
    if lane != "normal" and lane not in e.platform.lanes and not e.automatic:
        yield refuses(LANE_NOT_OFFERED, f"the platform's policy lists no lane `{lane}`")


def clause_stop(e: Evidence) -> Iterator[DecisionReason]:
    """No stop applies to the promotion, however far it has come."""
    for halt in e.stops:
        if halt.environments and e.environment.environment not in halt.environments:
            continue
        if halt.tenants and e.status.tenant_id not in halt.tenants:
            continue
        if e.promotion.lane not in halt.lanes:
            yield waits(rule.PROMOTION_STOPPED, f"stopped: {halt.reason}")


def clause_windows(e: Evidence) -> Iterator[DecisionReason]:
    """The platform's and the environment's windows let it pass at this moment."""
    levels = (e.platform.windows, e.environment.windows)
    if not any(levels):
        return
    subject = Passing(e.environment.environment, e.status.tenant_id, e.tier, e.promotion.lane)
    found = tuple(closings(levels, subject, e.now_s))
    if found:
        until_s = next_change(levels, subject, e.now_s)
        for closing in found:
            yield waits(rule.WINDOW_CLOSED, _closed(closing, until_s), until_s)


def _closed(closing: Closing, until_s: int | None) -> str:
    names = ", ".join(f"`{window.name}`" for window in closing.windows)
    if closing.effect == "deny":
        said = f"window {names} is closed: {closing.windows[0].reason}"
    else:
        said = f"no window that allows it lasts now: {names}"
    return said if until_s is None else f"{said}; promotions pass from {moment_of(until_s)} on"
