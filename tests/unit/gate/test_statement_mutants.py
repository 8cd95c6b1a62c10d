"""Each condition on signed statements and vulnerability reports has a case that needs it.

A mutant loosens one condition; a case is what an environment asks for and what is on main, and the
codes of the reasons against. The clauses as a whole are in `test_gate_mutants.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import pytest

from pipeline.gate import authorise, statements
from pipeline.models.statements import BroughtStatement
from pipeline.requests.vulnerabilities import Scan, Stating, Vex
from tests.support import fact_history as history
from tests.support.promotion_evidence import case_of, evidence_of_case

Patch = Callable[[pytest.MonkeyPatch], None]

TICKET = "https://example.com/change-ticket/v1"


def _ticket(stated: str, signers: str = "board") -> str:
    """A promotion that needs a change ticket, with one statement on main."""
    asked = f"{{predicate_type: '{TICKET}', signers: [{signers}]}}"
    return f"{{asked_statements: [{asked}], stated: [{{type: '{TICKET}', {stated}}}]}}"


def _scanned(*stated: str, policy: str = "medium", more: str = "") -> str:
    """A promotion that needs a scan, with these statements on main."""
    listed = ", ".join(f"{{{each}}}" for each in stated)
    return f"{{vulnerabilities: {policy}, stated: [{listed}]{more}}}"


HOLE = "found: {CVE-2026-1234: 9.8}"
EXCUSED = "type: vex, by: security-team"
NOT_REACHED = "says: {CVE-2026-1234: {state: not_affected, justification: code_not_reachable}}"
OVER, UNSCANNED = (
    frozenset({"vulnerability-over-limit"}),
    frozenset({"vulnerability-report-missing"}),
)
NOON, ONE, TWO = (
    "at: '2026-12-02T12:00:00Z'",
    "at: '2026-12-01T01:00:00Z'",
    "at: '2026-12-01T02:00:00Z'",
)
AT_NOON = ", now: '2026-12-02T12:00:00Z'"


# What is asked for and there → the codes of the reasons against the promotion.
CASES: Mapping[str, frozenset[str]] = {
    _ticket("by: board"): frozenset(),
    _ticket("by: board, of: its source"): frozenset(),
    _ticket("by: board, of: another source"): frozenset({"statement-missing"}),
    _ticket("by: board, of: another image"): frozenset({"statement-missing"}),
    _ticket("by: board, signed: false"): frozenset({"statement-missing"}),
    _ticket("by: scanner"): frozenset({"statement-foreign"}),
    _ticket("by: builder", signers="builder"): frozenset({"statement-foreign"}),
    _scanned(): UNSCANNED,
    _scanned("by: scanner"): frozenset(),
    _scanned("by: scanner, of: another image"): UNSCANNED,
    # A scan of the source says nothing of what was built into the image.
    _scanned("by: scanner, of: its source"): UNSCANNED,
    _scanned("by: scanner, signed: false"): UNSCANNED,
    _scanned("by: board"): frozenset({"statement-foreign"}),
    _scanned("by: scanner, predicate: {}"): frozenset({"statement-unreadable"}),
    _scanned("by: board, predicate: {}"): frozenset({"statement-foreign"}),
    _scanned(f"by: scanner, {HOLE}"): OVER,
    _scanned(f"by: scanner, {HOLE}", policy="critical"): frozenset(),
    # The newest scan counts, whatever it found; nobody's scan of tomorrow does.
    _scanned(f"{HOLE}, {ONE}", TWO, more=AT_NOON): frozenset(),
    _scanned(ONE, f"{HOLE}, {TWO}", more=AT_NOON): OVER,
    _scanned(TWO, f"{HOLE}, {TWO}", more=AT_NOON): OVER,
    _scanned(f"{HOLE}, {ONE}", "at: '2026-12-03T00:00:00Z'", more=AT_NOON): OVER,
    _scanned("at: '2026-12-03T00:00:00Z'", more=AT_NOON): UNSCANNED,
    _scanned("at: '2026-11-25T12:00:01Z'", more=AT_NOON): frozenset(),
    _scanned("at: '2026-11-25T12:00:00Z'", more=AT_NOON): frozenset(
        {"vulnerability-report-expired"}
    ),
    # VEX: by whom policy names, with a reason, and by the newest word.
    _scanned(HOLE, f"{EXCUSED}, {NOT_REACHED}"): frozenset(),
    _scanned(HOLE, f"type: vex, by: scanner, {NOT_REACHED}"): OVER,
    _scanned(HOLE, f"{EXCUSED}, of: another image, {NOT_REACHED}"): OVER,
    _scanned(HOLE, f"{EXCUSED}, {NOT_REACHED.replace('234', '235')}"): OVER,
    _scanned(HOLE, f"{EXCUSED}, says: {{CVE-2026-1234: {{state: not_affected}}}}"): OVER,
    _scanned(HOLE, f"{EXCUSED}, says: {{CVE-2026-1234: {{state: in_triage}}}}"): OVER,
    _scanned(
        f"{HOLE}, {ONE}",
        f"{EXCUSED}, {ONE}, {NOT_REACHED}",
        f"{EXCUSED}, {TWO}, says: {{CVE-2026-1234: {{state: exploitable}}}}",
        more=AT_NOON,
    ): OVER,
    _scanned(
        f"{HOLE}, {ONE}",
        f"{EXCUSED}, {TWO}, {NOT_REACHED}",
        f"{EXCUSED}, {ONE}, says: {{CVE-2026-1234: {{state: exploitable}}}}",
        more=AT_NOON,
    ): frozenset(),
    _scanned(
        f"{HOLE}, {ONE}",
        f"{EXCUSED}, {NOT_REACHED}, at: '2026-12-03T00:00:00Z'",
        more=AT_NOON,
    ): OVER,
}


# -- mutants ---------------------------------------------------------------------------------


def _with_said(change: Callable[[statements.Counting], statements.Counting]) -> Patch:
    """A mutant that sees other contents in the statements that count."""
    real = statements._about

    def about(e: authorise.Evidence, type: str, signers: Collection[str]) -> statements.Sorted:
        found = real(e, type, signers)
        return replace(found, counting=tuple(map(change, found.counting)))

    return lambda patch: patch.setattr(statements, "_about", about)


def _timeless(counting: statements.Counting) -> statements.Counting:
    said = counting.said
    return (
        replace(counting, said=replace(said, finished_s=0)) if isinstance(said, Scan) else counting
    )


def _of_any_signer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements, "_accepted", lambda known, name, accepted: True)


def _of_builders(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements, "_accepted", lambda known, name, accepted: name in accepted)


def _of_any_image(patch: pytest.MonkeyPatch) -> None:
    real = statements._stating

    def stating(brought: BroughtStatement) -> Stating | None:
        found = real(brought)
        every = frozenset({history.DIGEST})
        return replace(found, subjects=found.subjects | every) if found else None

    patch.setattr(statements, "_stating", stating)


def _unsigned(patch: pytest.MonkeyPatch) -> None:
    real = statements._stating

    def stating(brought: BroughtStatement) -> Stating | None:
        problem = brought.verified.problem
        said = Stating(TICKET, frozenset({history.DIGEST}))
        return said if problem else real(brought)

    patch.setattr(statements, "_stating", stating)
    patch.setattr(
        statements, "_accepted", lambda known, name, accepted: not name or name in accepted
    )


def _first_scan(patch: pytest.MonkeyPatch) -> None:
    real = statements.newest_scan
    patch.setattr(statements, "newest_scan", lambda scans, now_s: real(scans[:1], now_s))


def _future_scans(patch: pytest.MonkeyPatch) -> None:
    real = statements.newest_scan
    patch.setattr(statements, "newest_scan", lambda scans, now_s: real(scans, now_s + 10**9))


def _no_vex(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statements, "taken_out", lambda e, policy: frozenset())


def _any_vex(patch: pytest.MonkeyPatch) -> None:
    """Whatever is said of a vulnerability takes it out."""

    def every(counting: statements.Counting) -> statements.Counting:
        said = counting.said
        if not isinstance(said, Vex):
            return counting
        return replace(counting, said=replace(said, takes_out=dict.fromkeys(said.takes_out, True)))

    _with_said(every)(patch)


def _tolerant(patch: pytest.MonkeyPatch) -> None:
    real = statements.above_limit
    patch.setattr(statements, "above_limit", lambda *told: real(*told)[1:])


MUTANTS: dict[str, Patch] = {
    "statements of any signer count": _of_any_signer,
    "signers of provenance sign statements": _of_builders,
    "statements about any image count": _of_any_image,
    "statements without a signature count": _unsigned,
    "scans are as new as one another": _with_said(_timeless),
    "the first scan counts": _first_scan,
    "scans of the future count": _future_scans,
    "VEX takes nothing out": _no_vex,
    "any VEX takes a finding out": _any_vex,
    "one finding above the limit is none": _tolerant,
}


# -- the tests -------------------------------------------------------------------------------


def _outcome(text: str) -> frozenset[str]:
    decision = authorise.authorise(evidence_of_case(case_of(text)))
    return frozenset(reason.code for reason in decision.reasons)


@pytest.mark.parametrize("text", CASES)
def test_each_case_gives_its_codes(text: str) -> None:
    assert _outcome(text) == CASES[text]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    MUTANTS[name](monkeypatch)
    killers = [text for text, codes in CASES.items() if _outcome(text) != codes]
    record_property("mutant", (name, len(killers)))
    assert killers, f"no case tells: {name}"
