"""Times in facts: those in clones are compared, and the others must be consistent.

The times of decisions, reviews and observations are taken on trust. Times by two clocks may differ
by `CLOCK_SKEW_S` before they count as inconsistent.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase
from pipeline.diagnostics import Finding
from pipeline.git.commits import Commit
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.base import Moment, moment_of, seconds_of
from pipeline.models.facts import Observed, Promoted, Retired


def check_merge_times(case: FactCase) -> Iterator[Finding]:
    """Findings for merge times in a fact that differ from their commits."""
    cause, body = case.fact.cause, case.fact.body
    if case.is_caused:
        commit = case.audit.control.commit(cause.commit)
        yield from _check_date(case, "its request", cause.merged_at, commit)
    if isinstance(body, Promoted | Retired) and case.gitops is not None:
        merge = case.gitops.find_commit(body.gitops_commit)
        if merge is not None:
            yield from _check_date(case, "its overlay", body.merged_at, merge)


def _check_date(
    case: FactCase, what: str, told: Moment | None, commit: Commit
) -> Iterator[Finding]:
    if told is None and case.fact.decided_at is None:
        return  # an older tool recorded no times
    dated = moment_of(commit.committer.time_s)
    if told == dated:
        case.audit.proves("times of merges read again from their commits")
        return
    said = f"at {told}" if told else "at no time"
    yield case.finding(
        rule.AUDIT_MERGE_TIME_DIFFERS,
        f"{what} was merged {said}; commit {commit.id[:12]} is of {dated}",
    )


def check_time_order(case: FactCase) -> Iterator[Finding]:
    """Findings for a fact decided before its predecessor or its request, or after its merge."""
    fact, body = case.fact, case.fact.body
    earlier = case.chain.before(fact)
    previous = earlier[-1].decided_at if earlier else None
    if fact.decided_at is None:
        if previous is not None:
            message = f"it says no time, and the fact before it was decided at {previous}"
            yield case.finding(rule.AUDIT_TIME_ORDER, message)
        return
    case.audit.trusts("when a fact was decided", "the pipeline")
    if _is_after(previous, fact.decided_at):
        message = f"decided at {fact.decided_at}, and the fact before it at {previous}"
        yield case.finding(rule.AUDIT_TIME_ORDER, message)
    if _is_after(fact.cause.merged_at, fact.decided_at):
        message = f"decided at {fact.decided_at}; its request was merged at {fact.cause.merged_at}"
        yield case.finding(rule.AUDIT_TIME_ORDER, message)
    if isinstance(body, Promoted | Retired) and _is_after(fact.decided_at, body.merged_at):
        message = f"decided at {fact.decided_at}, and merged at {body.merged_at}"
        yield case.finding(rule.AUDIT_TIME_ORDER, message)


def check_told_times(case: FactCase) -> Iterator[Finding]:
    """Findings for reviews and observations that are later than the decision that uses them.

    A review may be later than the merge, for example a late approval; that is only noted.
    """
    fact, body = case.fact, case.fact.body
    if isinstance(body, Observed) and body.observation.observed_at is not None:
        seen = body.observation.observed_at
        case.audit.trusts("when a release was seen in its cluster", "the delivery tool")
        if _is_after(seen, fact.decided_at):
            message = f"seen at {seen}, and decided at {fact.decided_at}"
            yield case.finding(rule.AUDIT_EVIDENCE_LATER, message)
    for review in fact.cause.brought.reviews if fact.cause.brought else ():
        if review.at is None:
            continue
        case.audit.trusts("when a review was given", "the forge")
        who = f"account {review.account} reviewed it at {review.at}"
        if _is_after(review.at, fact.decided_at):
            message = f"{who}, and it was decided at {fact.decided_at}"
            yield case.finding(rule.AUDIT_EVIDENCE_LATER, message)
        if _is_after(review.at, fact.cause.merged_at):
            message = f"{who}; it was merged at {fact.cause.merged_at}"
            yield case.finding(rule.AUDIT_REVIEW_LATE, message)


def _is_after(one: Moment | None, other: Moment | None) -> bool:
    """Whether a moment is after another by more than two clocks may differ."""
    if one is None or other is None:
        return False
    return seconds_of(one) > seconds_of(other) + CLOCK_SKEW_S
