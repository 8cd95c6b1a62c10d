"""The clause of groups: each member of a release group waits for all others. Pure.

A group is decided once. Until a member has moved, each waits for the others, and one that can never
move refuses all. The first merge settles the decision: the rest are judged as of that moment, so
what time alone closes (windows, ages of approvals) no longer stops them; what people changed since
(a stop, a blocked digest, policy) does. A member refused then leaves the group half-applied, and
that is said wherever the draft is shown (docs/adr/0017-release-groups.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.gate import rules as rule
from pipeline.gate.reasons import DecisionReason, refuses, waits

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # which lists this clause


@dataclass(frozen=True, slots=True)
class Companion:
    """Another member of a promotion's group, as far as it has come."""

    draft: str
    # The gate's reasons against it, as if it were alone.
    reasons: tuple[DecisionReason, ...] = ()
    # When its own decision was made, in seconds since the epoch; None until it has moved.
    moved_s: int | None = None
    # What ended its part of the group without a move; empty if nothing did.
    ended: str = ""
    # What its merge waits for, where an owner of the repository approves it.
    unmerged: str = ""


def clause_group(e: Evidence) -> Iterator[DecisionReason]:
    """All other members of its group are allowed too, or one has moved already."""
    if decided_s(e.group) is not None:
        return
    for other in e.group:
        if other.ended:
            yield refuses(rule.GROUP_MEMBER_REFUSED, f"{other.draft} {other.ended}")
            continue
        final = next((r for r in other.reasons if r.final), None)
        if final is not None:
            said = f"{other.draft} is refused: {final.code}: {final.message}"
            yield refuses(rule.GROUP_MEMBER_REFUSED, said)
        elif other.reasons:
            first, more = other.reasons[0], len(other.reasons) - 1
            said = f"{other.draft} waits: {first.code}: {first.message}"
            until_s = first.until_s if not more else None
            yield waits(rule.GROUP_MEMBER_WAITS, said + (f" (+{more})" if more else ""), until_s)


def decided_s(group: Iterable[Companion]) -> int | None:
    """The moment at which the group was decided: that of its first move; None before it."""
    return min((c.moved_s for c in group if c.moved_s is not None), default=None)


def half_applied(group: Iterable[Companion], environment: str) -> str:
    """What has moved of a group whose other member can't, and how to undo it; empty if nothing."""
    moved = [other.draft for other in group if other.moved_s is not None]
    undo = " and ".join(f"`pipeline rollback {draft} --env {environment}`" for draft in moved)
    return f"{', '.join(moved)} moved already; to undo it: {undo}" if moved else ""
