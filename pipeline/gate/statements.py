"""Clauses on signed statements: those that an environment asks for, and vulnerability scans. Pure.

A statement counts if its signature is verified, the environment accepts its signer, and one of its
subjects is the image that would run (or, for anything but scans and VEX, its source commit). Who
brought its file does not matter. Of the scans of an image the newest counts, whatever it found, and
of VEX statements the newest that mentions a vulnerability.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.diagnostics import Rule
from pipeline.gate import rules as rule
from pipeline.gate.reasons import DecisionReason, refuses, waits
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.base import moment_of
from pipeline.models.requests import Environment, Signers
from pipeline.models.statements import (
    SCAN_TYPE,
    SEVERITY_RATINGS,
    VEX_TYPE,
    BroughtStatement,
    SeverityRating,
    VulnerabilityPolicy,
)
from pipeline.requests.statements import STATEMENT_UNREADABLE
from pipeline.requests.vulnerabilities import Scan, Stating, Vex, parse_stating

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # which lists these clauses

_DAY_S = 86_400
_MOST_LISTED = 5


@dataclass(frozen=True, slots=True)
class Counting:
    """A statement that counts, and what it says."""

    brought: BroughtStatement
    type: str
    said: Scan | Vex | None


@dataclass(frozen=True, slots=True)
class Sorted:
    """The statements of one type about an image: those that count, and why others do not."""

    counting: tuple[Counting, ...]
    unaccepted: tuple[str, ...] = ()  # sentences
    unreadable: tuple[str, ...] = ()


def asks_for_statements(environment: Environment) -> bool:
    """Whether an environment asks for any signed statement."""
    return bool(environment.statements) or environment.vulnerabilities is not None


def clause_statements(e: Evidence) -> Iterator[DecisionReason]:
    """There is each statement that the environment asks for, by a signer that it accepts."""
    for policy in e.environment.statements:
        found = _about(e, policy.predicate_type, policy.signers)
        for problem in found.unreadable:
            yield waits(STATEMENT_UNREADABLE, problem)
        if not found.counting and not found.unreadable:
            what = f"no statement of type {policy.predicate_type} about it"
            yield _none(e, found, rule.STATEMENT_MISSING, what, policy.signers)


def clause_vulnerabilities(e: Evidence) -> Iterator[DecisionReason]:
    """The newest report on the image is recent and finds nothing above the limit."""
    policy = e.environment.vulnerabilities
    if policy is None:
        return
    found = _about(e, SCAN_TYPE, policy.signers)
    for problem in found.unreadable:
        yield waits(STATEMENT_UNREADABLE, problem)
    newest = newest_scan(found.counting, e.now_s)
    if newest is None:
        if not found.unreadable:
            told = "no scan of it up to now"
            yield _none(e, found, rule.VULNERABILITY_REPORT_MISSING, told, policy.signers)
        return
    until_s = newest.finished_s + policy.expires_after_days * _DAY_S
    if e.now_s >= until_s:
        told = f"its newest scan is of {moment_of(newest.finished_s)}, and counted until "
        yield waits(rule.VULNERABILITY_REPORT_EXPIRED, told + moment_of(until_s))
        return
    over = above_limit(newest.found, policy, taken_out(e, policy))
    if over:
        yield refuses(rule.VULNERABILITY_OVER_LIMIT, _told(over, policy.highest))


def _none(
    e: Evidence, found: Sorted, missing: Rule, what: str, signers: Collection[str]
) -> DecisionReason:
    """The reason where no statement counts: there is none, or only by others."""
    if found.unaccepted:
        return waits(rule.STATEMENT_FOREIGN, found.unaccepted[0])
    by = " or ".join(f"`{name}`" for name in signers)
    unknown = sum(bool(brought.verified.problem) for brought in e.statements)
    others = f"; {unknown} statements of the draft have no trusted signature" if unknown else ""
    return waits(missing, f"{what} is signed by {by}{others}")


def counting_statements(e: Evidence) -> tuple[Counting, ...]:
    """Every statement that the decision rests on, in the order of their paths."""
    found = [c for p in e.environment.statements for c in _of_type(e, p.predicate_type, p.signers)]
    policy = e.environment.vulnerabilities
    if policy is not None:
        scans = _of_type(e, SCAN_TYPE, policy.signers)
        newest = newest_scan(scans, e.now_s)
        at = newest.finished_s if newest else None
        found += [c for c in scans if isinstance(c.said, Scan) and c.said.finished_s == at]
        found += _of_type(e, VEX_TYPE, policy.vex_signers)
    by_path = {c.brought.path: c for c in found}
    return tuple(by_path[path] for path in sorted(by_path))


def _of_type(e: Evidence, type: str, signers: Collection[str]) -> tuple[Counting, ...]:
    return _about(e, type, signers).counting


def _about(e: Evidence, type: str, signers: Collection[str]) -> Sorted:
    """The statements of a type about the image, or for other types about its source commit."""
    counting, unaccepted, unreadable = [], [], []
    subjects = {digest_of_evidence(e)}
    if type not in (SCAN_TYPE, VEX_TYPE):
        subjects.add(e.promotion.release.source_commit)
    for brought in e.statements:
        signer = brought.verified.signer
        stating = _stating(brought)
        if stating is None or stating.predicate_type != type or not subjects & stating.subjects:
            continue
        if not _accepted(e.signers, signer, signers):
            unaccepted.append(f"`{brought.path}` is signed by `{signer}`, who is not accepted here")
        elif stating.problem:
            unreadable.append(f"`{brought.path}` cannot be read: {stating.problem}")
        else:
            counting.append(Counting(brought, type, stating.said))
    return Sorted(tuple(counting), tuple(unaccepted), tuple(unreadable))


def _stating(brought: BroughtStatement) -> Stating | None:
    """What a statement says; None if nobody trusted says it, or it is about nothing."""
    if brought.verified.problem:
        return None
    try:
        return parse_stating(brought.verified.statement)
    except ValueError:
        return None


def _accepted(known: Signers | None, name: str, accepted: Collection[str]) -> bool:
    """Whether a signer is one of statements, and one that the environment accepts."""
    signer = next((s for s in known.signers if s.name == name), None) if known else None
    return signer is not None and "statements" in signer.signs and name in accepted


def digest_of_evidence(e: Evidence) -> str | None:
    """The digest of the image that would run: the pinned one, else the built one."""
    build = e.status.build_of_tree(e.source_tree) if e.source_tree else None
    return e.promotion.release.digest or (build.digest if build else None)


# -- vulnerabilities -------------------------------------------------------------------------


def newest_scan(scans: Sequence[Counting], now_s: int) -> Scan | None:
    """The newest scan that is not of the future; of several of one moment, all that they found."""
    said = [c.said for c in scans if isinstance(c.said, Scan)]
    known = [scan for scan in said if scan.finished_s <= now_s + CLOCK_SKEW_S]
    if not known:
        return None
    at = max(scan.finished_s for scan in known)
    found: dict[str, SeverityRating] = {}
    for scan in known:
        if scan.finished_s == at:
            for id, rating in scan.found.items():
                found[id] = max(rating, found.get(id, "none"), key=SEVERITY_RATINGS.index)
    return Scan(at, found)


def taken_out(e: Evidence, policy: VulnerabilityPolicy) -> frozenset[str]:
    """The vulnerabilities that VEX statements take out, by the newest word on each."""
    told: dict[str, tuple[int, bool]] = {}
    for counting in _of_type(e, VEX_TYPE, policy.vex_signers):
        said = counting.said
        if not isinstance(said, Vex) or said.written_s > e.now_s + CLOCK_SKEW_S:
            continue
        for id, is_out in said.takes_out.items():
            at, before = told.get(id, (0, True))
            if said.written_s > at:
                told[id] = (said.written_s, is_out)
            elif said.written_s == at:
                told[id] = (at, is_out and before)
    return frozenset(id for id, (_, is_out) in told.items() if is_out)


def above_limit(
    found: Mapping[str, SeverityRating], policy: VulnerabilityPolicy, out: Collection[str]
) -> list[tuple[str, SeverityRating]]:
    """The vulnerabilities above the limit that are not taken out, the most severe first."""
    rank = SEVERITY_RATINGS.index
    over = [
        (id, rating)
        for id, rating in found.items()
        if rank(rating) > rank(policy.highest) and id not in out
    ]
    return sorted(over, key=lambda each: (-rank(each[1]), each[0]))


def _told(over: Sequence[tuple[str, SeverityRating]], highest: SeverityRating) -> str:
    listed = ", ".join(f"{id[:40]} ({rating})" for id, rating in over[:_MOST_LISTED])
    more = f" and {len(over) - _MOST_LISTED} more" if over[_MOST_LISTED:] else ""
    return f"{len(over)} above `{highest}`: {listed}{more}"
