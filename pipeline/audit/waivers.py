"""The waivers that a promotion rests on, read again: what each waives, and whether it stood.

Who opened, pushed and reviewed a waiver is what the fact recorded of the forge, as for its own
request; the waiver itself, and the policy before it, come from the clone.
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
    """The waivers that the fact names, as far as main had them when it was decided."""
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
    """Whether that commit brought the waiver, and no later one had taken it away by then."""
    at = main.position.get(used.commit)
    if at is None or main.blob_at(used.commit, used.request) != used.blob:
        return False
    for commit in main.line[at + 1 :]:
        if main.blob_at(commit, used.request) != used.blob:
            gone_s = case.audit.control.commit(commit).committer.time_s
            return gone_s > case.decided_s - CLOCK_SKEW_S
    return True
