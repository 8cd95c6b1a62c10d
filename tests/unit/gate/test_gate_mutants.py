"""Each clause of the gate has a case that needs it.

A mutant removes a clause or loosens it; a case is a change of an allowed promotion and the codes of
the reasons against it. If no case tells a mutant from the real thing, nothing tests that clause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from pipeline.gate import approvals as gate_approvals
from pipeline.gate import authorise, authority, soak, waivers
from pipeline.gate.groups import Companion, clause_group
from pipeline.models.status import RunRecord
from tests.support.promotion_evidence import case_of, evidence_of_case

Patch = Callable[[pytest.MonkeyPatch], None]


# -- mutants ---------------------------------------------------------------------------------


def _without(clauses: Sequence[object], gone: object) -> tuple[object, ...]:
    return tuple(clause for clause in clauses if clause is not gone)


def _drop_gate(clause: object, patch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUSES", "LIFT_CLAUSES"):
        patch.setattr(authorise, name, _without(getattr(authorise, name), clause))


GATE_MUTANTS: dict[str, Patch] = {
    f"gate without {clause.__name__}": partial(_drop_gate, clause)
    for clause in (*authorise.CLAUSES, *authorise.LIFT_CLAUSES)
}


def _only_what_runs_now(patch: pytest.MonkeyPatch) -> None:
    real = authorise._earlier_runs

    def newest(e: authorise.Evidence) -> tuple[RunRecord, ...]:
        now = {run.environment: run.fact for run in e.status.runs}
        return tuple(run for run in real(e) if run.fact == now[run.environment])

    patch.setattr(authorise, "_earlier_runs", newest)


def _any_environment_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authorise, "_earlier_runs", lambda e: e.status.runs)


GATE_MUTANTS |= {
    "gate that asks what runs now": _only_what_runs_now,
    "gate that asks whether anything ran": _any_environment_before,
}
FREEZE = "{effect: deny, from: 2026-12-24T00:00:00, to: 2026-12-27T00:00:00}"
for _condition in waivers.CONDITIONS:
    GATE_MUTANTS[f"waivers without {_condition.__name__}"] = partial(
        lambda condition, patch: patch.setattr(
            waivers, "CONDITIONS", _without(waivers.CONDITIONS, condition)
        ),
        _condition,
    )


def _forgotten_moment(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authorise, "Asked", lambda *told: waivers.Asked(*told[:-1], told[-2]))


def _dateless(patch: pytest.MonkeyPatch) -> None:
    real = gate_approvals.fresh

    def fresh(held: authority.Held, now_s: int) -> frozenset[int]:
        return real(held, now_s) | {user for user, at in held.given.items() if at is None}

    patch.setattr(gate_approvals, "fresh", fresh)


def _unknown_authors(patch: pytest.MonkeyPatch) -> None:
    real = gate_approvals.clause_separation

    def clause_separation(e: authorise.Evidence) -> Iterator[authorise.DecisionReason]:
        return real(replace(e, source_authors=e.source_authors or frozenset()))

    clauses = (clause_separation if c is real else c for c in authorise.CLAUSES)
    patch.setattr(authorise, "CLAUSES", tuple(clauses))


def _each_team(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authority.Held, "silent_teams", lambda self, kept: ())


def _group(change: Callable[[Companion], Companion], patch: pytest.MonkeyPatch) -> None:
    """The clause of groups sees other members in another state."""

    def loosened(e: authorise.Evidence) -> Iterator[authorise.DecisionReason]:
        return clause_group(replace(e, group=tuple(change(c) for c in e.group)))

    clauses = (loosened if c is clause_group else c for c in authorise.CLAUSES)
    patch.setattr(authorise, "CLAUSES", tuple(clauses))


GATE_MUTANTS |= {
    "a group whose members only wait moves": partial(
        _group, lambda c: replace(c, reasons=tuple(r for r in c.reasons if r.final))
    ),
    "a group without its refused members moves": partial(
        _group, lambda c: replace(c, reasons=tuple(r for r in c.reasons if not r.final))
    ),
    "a group without its ended members moves": partial(_group, lambda c: replace(c, ended="")),
    "a group that began waits again": partial(_group, lambda c: replace(c, moved_s=None)),
}


def _any_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(soak, "seen_healthy_s", lambda run, known_for_s: 10**9)


def _any_gap(patch: pytest.MonkeyPatch) -> None:
    real = soak.seen_healthy_s
    patch.setattr(soak, "seen_healthy_s", lambda run, known_for_s: real(run, 10**9))


def _any_lane(patch: pytest.MonkeyPatch) -> None:
    real = soak.clause_soak

    def clause_soak(e: authorise.Evidence) -> Iterator[authorise.DecisionReason]:
        listed = e.environment.soak and e.environment.soak.lanes
        return iter(()) if listed else real(e)

    clauses = (clause_soak if c is real else c for c in authorise.CLAUSES)
    patch.setattr(authorise, "CLAUSES", tuple(clauses))


GATE_MUTANTS |= {
    "a release soaks by nothing": _any_time,
    "a release soaks unseen": _any_gap,
    "a soak that lets one lane pass lets all pass": _any_lane,
    "an approval of an unknown time counts for ever": _dateless,
    "unknown authors are none": _unknown_authors,
    "without an author's approval a team is missed by nobody": _each_team,
}
GATE_MUTANTS["a clock that goes back revives a waiver"] = _forgotten_moment


# -- cases ----------------------------------------------------------------------------------


def _waived(by: str = "{}", more: str = "", now: str = "2026-12-02T00:00:00Z") -> str:
    """A promotion whose checks failed, with a waiver of that."""
    return f"{{checks: [failed], now: {now}, waivers: [{by}]{more}}}"


# A day seen healthy in staging, as prod asks for it, with a gap as long as may be.
SOAKED = "{soak: {hours: 24}, seen: {from: 2026-11-30T10:00:00Z, to: 2026-12-01T10:00:00Z, gap: 6}}"
AUTHORS = "approvals: {count: 2, teams: [release-managers, security], separation: source-authors}"


def _aged(at: str) -> str:
    """A promotion one of whose approvals was given at a moment, where they count for a week."""
    policy = "{count: 2, teams: [release-managers, security], expires_after_days: 7}"
    reviews = f"[{{by: 1501, at: {at}}}, {{by: 1601, at: 2026-12-08T00:00:00Z}}]"
    return f"approvals: {policy}\nnow: 2026-12-09T00:00:00Z\nreviews: {reviews}\n"


# One thing that is wrong with an allowed promotion → the codes of the reasons against it.
GATE_CASES: Mapping[str, frozenset[str]] = {
    "{}": frozenset(),
    "state: REJECTED": frozenset({"draft-ended"}),
    "chain_problem: broken": frozenset({"state-tampered"}),
    "source_tree: null": frozenset({"source-unknown"}),
    "source_on_default: false": frozenset({"source-not-on-default-branch"}),
    "promotions: [dev]": frozenset({"environment-order"}),
    "running: other": frozenset({"environment-order"}),
    # Something newer runs in staging by now, and that has run nowhere before prod with this base.
    "running: newer": frozenset(),
    "{running: newer, base: other}": frozenset({"base-changed"}),
    "builds: []": frozenset({"digest-not-built"}),
    "builders: [buildah]": frozenset({"builder-refused"}),
    "provenance: of another key": frozenset({"provenance-foreign"}),
    "blocked: true": frozenset({"digest-blocked"}),
    "checks: [failed]": frozenset({"check-failed"}),
    "checks: []": frozenset({"check-missing"}),
    "namespace: tenant-acme-prod-base": frozenset({"namespace-changed"}),
    "runtime: operator": frozenset({"runtime-not-offered"}),
    "overlay_tree: other": frozenset({"overlay-tree-mismatch"}),
    "base: other": frozenset({"base-changed"}),
    "overlay_tree: null": frozenset({"promotion-not-pinned"}),
    "reviews: []": frozenset({"approval-missing"}),
    "author: 4711": frozenset({"author-out-of-scope"}),
    _waived(): frozenset(),
    _waived("{rule: check-missing}"): frozenset({"check-failed"}),
    _waived("{environment: staging}"): frozenset({"check-failed"}),
    _waived("{draft: acme/other}"): frozenset({"check-failed"}),
    _waived(f"{{digest: 'sha256:{'0' * 64}'}}"): frozenset({"check-failed"}),
    _waived("{approved: false}"): frozenset({"check-failed"}),
    _waived("{expires: 2026-12-30T00:00:00Z}"): frozenset({"check-failed"}),
    _waived(now="2026-11-30T23:59:59Z"): frozenset({"check-failed"}),
    _waived(now="2026-12-01T00:00:00Z"): frozenset(),
    _waived(now="2026-12-07T23:59:59Z"): frozenset(),
    _waived(now="2026-12-08T00:00:00Z"): frozenset({"check-failed"}),
    _waived(more=", newest_fact: 2026-12-07T23:59:59Z"): frozenset(),
    _waived(more=", newest_fact: 2026-12-08T00:00:00Z"): frozenset({"check-failed"}),
    _waived(more=", waivable: null"): frozenset({"check-failed"}),
    _waived(more=", waivable: {rules: [check-missing], longest_days: 14}"): frozenset(
        {"check-failed"}
    ),
    _waived(more=", waivable: {rules: [check-failed], longest_days: 6}"): frozenset(
        {"check-failed"}
    ),
    "now: 2026-12-02T00:00:00Z\nblocked: true\nwaivers: [{rule: digest-blocked}]\n"
    "waivable: {rules: [digest-blocked], longest_days: 14}": frozenset({"digest-blocked"}),
    f"{{{AUTHORS}, source_authors: [1201]}}": frozenset(),
    f"{{{AUTHORS}, source_authors: [1601]}}": frozenset({"approval-by-source-author"}),
    f"{{{AUTHORS}}}": frozenset({"approval-by-source-author"}),
    f"{{{AUTHORS}, source_authors: [1601], reviews: [1501, 1502, 1601]}}": frozenset(
        {"approval-by-source-author"}
    ),
    "source_authors: [1501, 1601]": frozenset(),
    _aged("2026-12-02T00:00:01Z"): frozenset(),
    _aged("2026-12-02T00:00:00Z"): frozenset({"approval-expired"}),
    _aged("null"): frozenset({"approval-expired"}),
    "asked_statements: [{predicate_type: 'https://example.com/a', signers: [board]}]": frozenset(
        {"statement-missing"}
    ),
    "vulnerabilities: medium": frozenset({"vulnerability-report-missing"}),
    "promotes_from: []": frozenset({"environment-order"}),
    "required_checks: []": frozenset({"check-missing"}),
    SOAKED: frozenset(),
    SOAKED.replace("10:00:00Z, gap", "09:59:59Z, gap"): frozenset({"soak-not-over"}),
    SOAKED.replace("gap: 6", "gap: 7"): frozenset({"soak-unknown"}),
    "{soak: {hours: 24}}": frozenset({"soak-unknown"}),
    "{soak: {hours: 24, lanes: [rollback]}, seen: {}}": frozenset({"soak-unknown"}),
    "stops: [{reason: Down}]": frozenset({"promotion-stopped"}),
    "lane: security": frozenset({"lane-not-offered"}),
    "{runs_here: [], lane: rollback, lanes: {rollback: [security]}}": frozenset(
        {"rollback-target"}
    ),
    "{automatic: true, runs_here: [this, other], health: Healthy}": frozenset({"rollback-not-due"}),
    "held: true": frozenset({"environment-held"}),
    "stays: true": frozenset({"release-stays"}),
    "lift: true": frozenset({"hold-absent"}),
    "retires: true": frozenset({"draft-ended"}),
    "group: {contoso/orders: allowed, contoso/rating: allowed}": frozenset(),
    "group: {contoso/orders: allowed, contoso/rating: waits}": frozenset({"group-member-waits"}),
    "group: {contoso/orders: refused, contoso/rating: allowed}": frozenset(
        {"group-member-refused"}
    ),
    "group: {contoso/orders: ended}": frozenset({"group-member-refused"}),
    # Decided once: from the first move on, each is judged by its own reasons.
    "group: {contoso/orders: waits, contoso/rating: moved}": frozenset(),
    "{group: {contoso/orders: moved}, stops: [{reason: Down}]}": frozenset({"promotion-stopped"}),
    f"{{windows: [{FREEZE}], now: 2026-12-24T12:00:00Z}}": frozenset({"window-closed"}),
}


def _gate_outcome(text: str) -> frozenset[str]:
    decision = authorise.authorise(evidence_of_case(case_of(text)))
    return frozenset(reason.code for reason in decision.reasons)


# -- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", GATE_CASES)
def test_each_case_of_the_gate_gives_its_codes(text: str) -> None:
    assert _gate_outcome(text) == GATE_CASES[text]


@pytest.mark.parametrize("name", GATE_MUTANTS)
def test_a_mutant_of_the_gate_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    GATE_MUTANTS[name](monkeypatch)
    killers = [text for text, codes in GATE_CASES.items() if _gate_outcome(text) != codes]
    record_property("mutant", (name, len(killers)))
    assert killers, f"no case tells: {name}"


def test_every_clause_has_a_mutant() -> None:
    clauses = (*authorise.CLAUSES, *authorise.LIFT_CLAUSES)
    wanted = {f"gate without {clause.__name__}" for clause in clauses}
    wanted |= {f"waivers without {condition.__name__}" for condition in waivers.CONDITIONS}
    assert wanted <= GATE_MUTANTS.keys()
