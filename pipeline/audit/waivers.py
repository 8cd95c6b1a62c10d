"""Reads the waivers behind a promotion again: what each waives, and whether it was on main.

As for the promotion request, the fact says who opened, pushed and reviewed a waiver, recorded from
the forge. The waiver itself, and the policy before it, come from the clone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audit.authority import authority_of_waiver
from pipeline.audit.cases import FactCase
from pipeline.audit.policy import MainLine
from pipeline.gate.waivers import Grant
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.facts import Cause, Promoted, UsedWaiver
from pipeline.models.requests import Waiver


def grants_of(case: FactCase) -> Iterator[Grant]:
    """The waivers that the fact names and that were on main when it was decided."""
    body, main = case.fact.body, case.audit.main
    if not isinstance(body, Promoted):
        return
    for used in body.waived:
        waiver = main.request(used.request, used.blob) if _stood(case, main, used) else None
        if isinstance(waiver, Waiver):
            actor = used.brought.author if used.brought else 0
            cause = Cause(
                request=used.request,
                commit=used.commit,
                blob=used.blob,
                run=case.fact.cause.run,
                actor=actor,
                brought=used.brought,
            )
            yield Grant(waiver, cause, authority_of_waiver(main, used, case.before))


def _stood(case: FactCase, main: MainLine, used: UsedWaiver) -> bool:
    """Whether main has the waiver at that commit, and no later commit removed it in time."""
    at = main.position.get(used.commit)
    if at is None or main.blob_at(used.commit, used.request) != used.blob:
        return False
    for commit in main.line[at + 1 :]:
        if main.blob_at(commit, used.request) != used.blob:
            gone_s = case.audit.control.commit(commit).committer.time_s
            return gone_s > case.decided_s - CLOCK_SKEW_S
    return True
