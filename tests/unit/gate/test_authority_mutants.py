"""Each clause of authority and of the gate, and each row of matters, has a case that needs it.

A mutant removes one of them or loosens it; a case is a change of the sample world and the codes of
the reasons against it. If no case tells a mutant from the real thing, nothing tests that clause.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from pipeline.forges import approvals
from pipeline.forges.port import Review
from pipeline.gate import approvals as gate_approvals
from pipeline.gate import authorise, authority, matters, statements, waivers
from pipeline.gate.authority import Matter, MatterKind, Revision
from pipeline.models.requests import (
    Account,
    ApprovalPolicy,
    CodeOrigin,
    Platform,
    RiskTier,
)
from pipeline.models.statements import BroughtStatement
from pipeline.models.status import RunRecord
from pipeline.requests.snapshot import Snapshot
from pipeline.requests.vulnerabilities import Scan, Stating, Vex
from tests.support import fact_history as history
from tests.support.authority_cases import CASES
from tests.support.promotion_evidence import case_of, evidence_of_case

# -- mutants ---------------------------------------------------------------------------------

Patch = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, Patch] = {}


def mutant(name: str) -> Callable[[Patch], Patch]:
    """Register a mutant under a name."""

    def keep(patch: Patch) -> Patch:
        assert name not in MUTANTS
        MUTANTS[name] = patch
        return patch

    return keep


def _without(clauses: Sequence[object], gone: object) -> tuple[object, ...]:
    return tuple(clause for clause in clauses if clause is not gone)


def _drop_authority(clause: object, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authority, "CLAUSES", _without(authority.CLAUSES, clause))


for _clause in authority.CLAUSES:
    MUTANTS[f"authority without {_clause.__name__}"] = partial(_drop_authority, _clause)


def _apart(*, without: str, patch: pytest.MonkeyPatch) -> None:
    real = authority._taking_part

    def taking_part(revision: Revision, people: Platform) -> frozenset[int]:
        listed = {
            "author": {revision.author},
            "pushers": set(revision.pushers),
            "committers": set(revision.committers),
        }
        asked = real(replace(revision, pushers=frozenset(), committers=frozenset()), people)
        listed["delegators"] = set(asked) - {revision.author}
        return frozenset().union(*(ids for name, ids in listed.items() if name != without))

    patch.setattr(authority, "_taking_part", taking_part)


for _who in ("author", "pushers", "committers", "delegators"):
    MUTANTS[f"approvers may be {_who}"] = lambda patch, who=_who: _apart(without=who, patch=patch)


def _may_ask(loose: Callable[[Account | None, Matter], bool], patch: pytest.MonkeyPatch) -> None:
    real = authority._may_ask
    patch.setattr(authority, "_may_ask", lambda a, m: real(a, m) or loose(a, m))


MUTANTS |= {
    "unlisted accounts ask": partial(_may_ask, lambda a, m: a is None),
    "bots ask for any tenant": partial(
        _may_ask, lambda a, m: a is not None and a.kind == "bot" and bool(m.ask_bots_of)
    ),
    "bots ask for anything": partial(_may_ask, lambda a, m: a is not None and a.kind == "bot"),
    "people ask for anything": partial(_may_ask, lambda a, m: a is not None and a.kind == "person"),
    "the pipeline asks": partial(_may_ask, lambda a, m: a is not None and a.kind == "pipeline"),
}


@mutant("bots approve")
def _bots_approve(patch: pytest.MonkeyPatch) -> None:
    def members(self: Platform, teams: tuple[str, ...]) -> frozenset[int]:
        return frozenset(a.id for a in self.accounts if set(a.teams) & set(teams))

    patch.setattr(Platform, "members", members)


@mutant("people of any team approve")
def _any_team(patch: pytest.MonkeyPatch) -> None:
    def members(self: Platform, teams: tuple[str, ...]) -> frozenset[int]:
        return frozenset(a.id for a in self.accounts if a.kind == "person")

    patch.setattr(Platform, "members", members)


@mutant("an approval of any revision counts")
def _any_revision(patch: pytest.MonkeyPatch) -> None:
    _change_reviews(patch, lambda review, head: replace(review, commit=head))


@mutant("the first word of a reviewer counts")
def _first_word(patch: pytest.MonkeyPatch) -> None:
    _change_reviews(patch, lambda review, _: replace(review, sequence=-review.sequence))


def _change_reviews(patch: pytest.MonkeyPatch, change: Callable[[Review, str], Review]) -> None:
    """Let the one function that counts approvals see other reviews."""
    real = approvals.count_approvals

    def counted(
        reviews: Iterable[Review], head: str, *, taking_part: Collection[int]
    ) -> approvals.Approvals:
        seen = [change(review, head) for review in reviews]
        return real(seen, head, taking_part=taking_part)

    patch.setattr(authority, "count_approvals", counted)


@mutant("one of several policies is enough")
def _one_policy(patch: pytest.MonkeyPatch) -> None:
    real = authority._policies
    patch.setattr(authority, "_policies", lambda listed: list(real(listed))[:1])


# -- rows of matters: who asks and who approves, each loosened ------------------------------


def _row(kind: MatterKind, loosen: Callable[[Matter], Matter], patch: pytest.MonkeyPatch) -> None:
    of_control, of_gitops = matters.matters_of, matters.gitops_matters

    def loosened(listed: Sequence[Matter]) -> tuple[Matter, ...]:
        return tuple(loosen(m) if m.kind is kind else m for m in listed)

    patch.setattr(matters, "matters_of", lambda *a, **k: loosened(of_control(*a, **k)))
    patch.setattr(matters, "gitops_matters", lambda *a: loosened(of_gitops(*a)))


EVERY_TEAM = (
    "platform-engineers",
    "acme-engineers",
    "contoso-engineers",
    "fabrikam-engineers",
    "release-managers",
    "security",
)


def _asked_by_all(matter: Matter) -> Matter:
    return replace(matter, ask_teams=EVERY_TEAM)


def _asked_by_bots(matter: Matter) -> Matter:
    return replace(matter, ask_bots_of=matter.ask_bots_of or "acme")


def _approved_by_all(matter: Matter) -> Matter:
    counts = [policy.count for policy in matter.approvals]
    anybody = ApprovalPolicy.model_construct(count=max(counts), teams=EVERY_TEAM)
    return replace(matter, approvals=(anybody,))


def _approved_by_nobody(matter: Matter) -> Matter:
    return replace(matter, approvals=())


for _each in matters.TABLE:
    MUTANTS[f"{_each.kind}: anybody asks"] = partial(_row, _each.kind, _asked_by_all)
    MUTANTS[f"{_each.kind}: anybody approves"] = partial(_row, _each.kind, _approved_by_all)
    MUTANTS[f"{_each.kind}: nobody approves"] = partial(_row, _each.kind, _approved_by_nobody)
    if _each.kind not in (MatterKind.TENANT_CODE, MatterKind.PROMOTION, MatterKind.WAIVER):
        MUTANTS[f"{_each.kind}: bots ask"] = partial(_row, _each.kind, _asked_by_bots)


def _kinds(kind: MatterKind, patch: pytest.MonkeyPatch) -> None:
    """What is a matter of this kind may come with anything."""
    patch.setattr(authority, "REQUESTS", authority.REQUESTS | {kind})


for _kind in (MatterKind.POLICY, MatterKind.TENANT, MatterKind.REPOSITORY):
    MUTANTS[f"{_kind} comes with requests"] = partial(_kinds, _kind)


@mutant("policy of the head")
def _head(patch: pytest.MonkeyPatch) -> None:
    real = matters.matters_of

    def by_head(
        paths: Iterable[str], base: Snapshot, proposed: Snapshot, **given: object
    ) -> tuple[Matter, ...]:
        return real(paths, proposed, proposed, **given)  # type: ignore[arg-type]  # passed on

    patch.setattr(matters, "matters_of", by_head)


@mutant("policy of today alone")
def _today(patch: pytest.MonkeyPatch) -> None:
    real = matters._matter

    def by_today(path: str, base: Snapshot, proposed: Snapshot, policies: object, tier: RiskTier):  # type: ignore[no-untyped-def]  # a matter
        return real(path, base, proposed, list(policies)[-1:], tier)  # type: ignore[call-overload]  # two of them

    patch.setattr(matters, "_matter", by_today)


@mutant("policy of then alone")
def _then(patch: pytest.MonkeyPatch) -> None:
    real = matters._matter

    def by_then(path: str, base: Snapshot, proposed: Snapshot, policies: object, tier: RiskTier):  # type: ignore[no-untyped-def]  # a matter
        return real(path, base, proposed, list(policies)[:1], tier)  # type: ignore[call-overload]  # two of them

    patch.setattr(matters, "_matter", by_then)


@mutant("tier of now alone")
def _tier_now(patch: pytest.MonkeyPatch) -> None:
    real = matters._approvals
    patch.setattr(matters, "_approvals", lambda d, e, policy, tier: real(d, e, policy, "LOW"))


@mutant("tier of then alone")
def _tier_then(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matters, "_tiers", lambda tenant, request: ())


@mutant("the lower tier")
def _lower_tier(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        matters, "higher_tier", lambda *tiers: min(tiers, key=("LOW", "MEDIUM", "HIGH").index)
    )


def _origin(
    pick: Callable[[tuple[Snapshot, ...]], Iterable[Snapshot]], patch: pytest.MonkeyPatch
) -> None:
    real = matters.is_of_platform
    patch.setattr(matters, "is_of_platform", lambda draft, *sides: real(draft, *pick(sides)))


MUTANTS |= {
    "origin as it was alone": partial(_origin, lambda sides: sides[:1]),
    "origin as it is asked alone": partial(_origin, lambda sides: sides[1:]),
}


@mutant("the reserved tenant's code is a tenant's")
def _reserved(patch: pytest.MonkeyPatch) -> None:
    def by_request(draft: str, *sides: Snapshot) -> bool:
        found = [side.draft(draft) for side in sides]
        return any(r is not None and r.code_origin is CodeOrigin.PLATFORM for r in found)

    patch.setattr(matters, "is_of_platform", by_request)


@mutant("an environment that is not there asks for nothing")
def _no_environment(patch: pytest.MonkeyPatch) -> None:
    real = matters._approvals

    def approvals(
        draft: str, environment: str, policy: Snapshot, tier: RiskTier
    ) -> ApprovalPolicy | None:
        there = environment in policy.environments
        return real(draft, environment, policy, tier) if there else None

    patch.setattr(matters, "_approvals", approvals)


NO_APPROVAL = ApprovalPolicy.model_construct(count=0, teams=())


@mutant("nobody vouches for a lane")
def _lanes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matters, "_of_lane", lambda lane, policy: NO_APPROVAL)


@mutant("a lane that is not listed asks for nobody")
def _unlisted_lane(patch: pytest.MonkeyPatch) -> None:
    real = matters._of_lane
    patch.setattr(
        matters,
        "_of_lane",
        lambda lane, policy: real(lane, policy) if policy.platform.lanes else NO_APPROVAL,
    )


# -- the gate --------------------------------------------------------------------------------


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


GATE_MUTANTS |= {
    "an approval of an unknown time counts for ever": _dateless,
    "unknown authors are none": _unknown_authors,
    "without an author's approval a team is missed by nobody": _each_team,
}


def _with_said(change: Callable[[statements.Counting], statements.Counting]) -> Patch:
    """A mutant that sees other contents in the statements that count."""
    real = statements._about

    def about(e: authorise.Evidence, *told: object) -> statements.Sorted:
        found = real(e, *told)  # type: ignore[arg-type]  # passed on
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


GATE_MUTANTS |= {
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
GATE_MUTANTS["a clock that goes back revives a waiver"] = _forgotten_moment


def _waived(by: str = "{}", more: str = "", now: str = "2026-12-02T00:00:00Z") -> str:
    """A promotion whose checks failed, with a waiver of that."""
    return f"{{checks: [failed], now: {now}, waivers: [{by}]{more}}}"


AUTHORS = "approvals: {count: 2, teams: [release-managers, security], separation: source-authors}"


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
    "promotes_from: []": frozenset({"environment-order"}),
    "required_checks: []": frozenset({"check-missing"}),
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
    f"{{windows: [{FREEZE}], now: 2026-12-24T12:00:00Z}}": frozenset({"window-closed"}),
}


def _gate_outcome(text: str) -> frozenset[str]:
    decision = authorise.authorise(evidence_of_case(case_of(text)))
    return frozenset(reason.code for reason in decision.reasons)


# -- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(CASES)))
def test_each_case_of_authority_gives_its_codes(number: int) -> None:
    assert CASES[number].found() == CASES[number].codes, CASES[number]


@pytest.mark.parametrize("text", GATE_CASES)
def test_each_case_of_the_gate_gives_its_codes(text: str) -> None:
    assert _gate_outcome(text) == GATE_CASES[text]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_authority_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    MUTANTS[name](monkeypatch)
    killers = [each for each in CASES if each.found() != each.codes]
    record_property("mutant", (name, len(killers)))
    assert killers, f"no case tells: {name}"


@pytest.mark.parametrize("name", GATE_MUTANTS)
def test_a_mutant_of_the_gate_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    GATE_MUTANTS[name](monkeypatch)
    killers = [text for text, codes in GATE_CASES.items() if _gate_outcome(text) != codes]
    record_property("mutant", (name, len(killers)))
    assert killers, f"no case tells: {name}"


def test_every_clause_and_every_row_has_a_mutant() -> None:
    clauses = {f"authority without {clause.__name__}" for clause in authority.CLAUSES}
    assert clauses <= MUTANTS.keys()
    clauses_of_gate = (*authorise.CLAUSES, *authorise.LIFT_CLAUSES)
    gate = {f"gate without {clause.__name__}" for clause in clauses_of_gate}
    gate |= {f"waivers without {condition.__name__}" for condition in waivers.CONDITIONS}
    assert gate <= GATE_MUTANTS.keys()
    assert {row.kind for row in matters.TABLE} == set(MatterKind)
    for row in matters.TABLE:
        assert {f"{row.kind}: anybody asks", f"{row.kind}: anybody approves"} <= MUTANTS.keys()
