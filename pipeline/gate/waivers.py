"""Which reasons against a promotion are waived, and by which waiver. Pure.

A waiver counts for one rule, one release and one environment of its draft, during its time, if its
request has authority. The platform's current policy says what may be waived and for how long; no
policy may waive a rule outside `WAIVABLE`. Time never goes back: once a fact of the draft was
decided after a waiver ended, a clock that goes back does not revive it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.gate.authority import Authority
from pipeline.gate.reasons import DecisionReason
from pipeline.models.base import seconds_of
from pipeline.models.facts import Cause
from pipeline.models.requests import Waiver, WaiverPolicy
from pipeline.requests.waivers import WAIVABLE, lifetime_problem


@dataclass(frozen=True, slots=True)
class Grant:
    """A waiver on main, the cause that brought it there, and the authority over it."""

    waiver: Waiver
    cause: Cause
    authority: Authority


@dataclass(frozen=True, slots=True)
class Waived:
    """A rule that was waived for a promotion, and the grant that waived it."""

    rule: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class Asked:
    """What is promoted, where and when: all that a waiver is compared with."""

    draft: str
    environment: str
    digest: str | None
    now_s: int
    latest_s: int  # the latest known moment: now, or when the newest fact was decided


Condition = Callable[[Grant, WaiverPolicy, Asked], bool]


def is_listed(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether the platform's policy lets the rule be waived."""
    return grant.waiver.rule in policy.rules


def is_waivable(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether any policy may waive the rule."""
    return grant.waiver.rule in WAIVABLE


def is_for_the_place(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether it is for this draft in this environment."""
    waiver = grant.waiver
    return (waiver.draft, waiver.environment) == (asked.draft, asked.environment)


def is_for_the_image(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether it is for this image and no other."""
    return grant.waiver.digest == asked.digest


def has_begun(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether its time has begun."""
    return seconds_of(grant.waiver.starts) <= asked.now_s


def has_not_ended(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether its time had not ended at the latest known moment."""
    return asked.latest_s < seconds_of(grant.waiver.expires)


def is_short(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether it lasts no longer than policy allows."""
    return not lifetime_problem(grant.waiver, policy)


def is_approved(grant: Grant, policy: WaiverPolicy, asked: Asked) -> bool:
    """Whether its authority is complete."""
    return grant.authority.is_complete


CONDITIONS: tuple[Condition, ...] = (
    is_listed,
    is_waivable,
    is_for_the_place,
    is_for_the_image,
    has_begun,
    has_not_ended,
    is_short,
    is_approved,
)


def without_waived(
    reasons: Iterable[DecisionReason],
    grants: Iterable[Grant],
    policy: WaiverPolicy | None,
    asked: Asked,
) -> tuple[tuple[DecisionReason, ...], tuple[Waived, ...]]:
    """The reasons that remain, and the waived rules, each once, with the first grant for it."""
    counting: dict[str, Grant] = {}
    if policy is not None:
        for grant in grants:
            if all(condition(grant, policy, asked) for condition in CONDITIONS):
                counting.setdefault(grant.waiver.rule, grant)
    if not counting:
        return tuple(reasons), ()
    standing, used = [], {}
    for reason in reasons:
        if reason.code in counting:
            used[reason.code] = Waived(reason.code, counting[reason.code])
        else:
            standing.append(reason)
    return tuple(standing), tuple(used.values())
