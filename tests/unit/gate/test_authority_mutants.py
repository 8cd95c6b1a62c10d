"""Each clause of authority and of the gate, and each row of matters, has a case that needs it.

A mutant removes one of them or loosens it; a case is a change of the sample world and the codes of
the reasons against it. If no case tells a mutant from the real thing, nothing tests that clause.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

import pytest

from pipeline.forges import approvals
from pipeline.forges.port import Review
from pipeline.gate import authority, matters
from pipeline.gate.authority import Matter, MatterKind, Revision
from pipeline.models.requests import (
    Account,
    ApprovalPolicy,
    CodeOrigin,
    Platform,
    Promotion,
    RiskTier,
)
from pipeline.models.windows import Lane
from pipeline.requests.snapshot import Snapshot
from tests.support.authority_cases import CASES

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


ASKED_BY_BOTS = (
    MatterKind.TENANT_CODE,
    MatterKind.PROMOTION,
    MatterKind.GROUP,
    MatterKind.WAIVER,
)
for _each in matters.TABLE:
    MUTANTS[f"{_each.kind}: anybody asks"] = partial(_row, _each.kind, _asked_by_all)
    MUTANTS[f"{_each.kind}: anybody approves"] = partial(_row, _each.kind, _approved_by_all)
    MUTANTS[f"{_each.kind}: nobody approves"] = partial(_row, _each.kind, _approved_by_nobody)
    if _each.kind not in ASKED_BY_BOTS:
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

    def by_today(path: str, sides: matters._Sides, *, lane: Lane | None = None) -> Matter:
        return real(path, replace(sides, policies=sides.policies[-1:]), lane=lane)

    patch.setattr(matters, "_matter", by_today)


@mutant("policy of then alone")
def _then(patch: pytest.MonkeyPatch) -> None:
    real = matters._matter

    def by_then(path: str, sides: matters._Sides, *, lane: Lane | None = None) -> Matter:
        return real(path, replace(sides, policies=sides.policies[:1]), lane=lane)

    patch.setattr(matters, "_matter", by_then)


def _members(
    pick: Callable[[tuple[Promotion, ...]], Iterable[Promotion]], patch: pytest.MonkeyPatch
) -> None:
    real = matters._promotions_of
    patch.setattr(
        matters, "_promotions_of", lambda paths, sides: pick(tuple(real(paths, tuple(sides))))
    )


MUTANTS |= {
    "a group's first member speaks for all": partial(_members, lambda found: found[:1]),
    "a group's last member speaks for all": partial(_members, lambda found: found[-1:]),
}


@mutant("a group's former members have no say")
def _former(patch: pytest.MonkeyPatch) -> None:
    real = matters._promotions_of
    patch.setattr(matters, "_promotions_of", lambda paths, sides: real(paths, tuple(sides)[-1:]))


@mutant("a group's lane is the normal one")
def _group_lane(patch: pytest.MonkeyPatch) -> None:
    real = matters._matter
    patch.setattr(matters, "_matter", lambda path, sides, *, lane=None: real(path, sides))


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


# -- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(CASES)))
def test_each_case_of_authority_gives_its_codes(number: int) -> None:
    assert CASES[number].found() == CASES[number].codes, CASES[number]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_authority_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    MUTANTS[name](monkeypatch)
    killers = [each for each in CASES if each.found() != each.codes]
    record_property("mutant", (name, len(killers)))
    assert killers, f"no case tells: {name}"


def test_every_clause_and_every_row_has_a_mutant() -> None:
    clauses = {f"authority without {clause.__name__}" for clause in authority.CLAUSES}
    assert clauses <= MUTANTS.keys()
    assert {row.kind for row in matters.TABLE} == set(MatterKind)
    for row in matters.TABLE:
        assert {f"{row.kind}: anybody asks", f"{row.kind}: anybody approves"} <= MUTANTS.keys()
