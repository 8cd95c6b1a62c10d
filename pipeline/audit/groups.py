"""Release groups held to their moment: a promotion rests on its own decision, or on a member's that
moved before it.

What a group asks for is part of every other check: the case of a fact takes its draft's part out of
the group's file at the causing commit, and authority is that over all members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase
from pipeline.diagnostics import Finding
from pipeline.gate.groups import Companion
from pipeline.gate.rules import GROUP_MEMBER_REFUSED
from pipeline.gate.standing import GROUP_HALF_APPLIED
from pipeline.models.base import seconds_of
from pipeline.models.facts import Fact, Promoted
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.trust import Trust

_MEMBERS = Trust("how another member of a release group fared at that moment", "the pipeline")


def companions_told(fact: Fact) -> tuple[Companion, ...]:
    """The gate's evidence for a member of a group: it was decided when the fact says."""
    group = fact.body.group if isinstance(fact.body, Promoted) else None
    return (Companion(fact.draft, moved_s=seconds_of(group.decided_at)),) if group else ()


def check_group_decision(case: FactCase) -> Iterator[Finding]:
    """A finding unless some member of the group was decided at the moment that the fact names."""
    body, cause = case.fact.body, case.fact.cause
    if not isinstance(body, Promoted) or body.group is None:
        return
    group = case.audit.main.request(cause.request, cause.blob) if case.is_caused else None
    drafts = group.drafts if isinstance(group, ReleaseGroup) else ()
    chains = (case.audit.chain_of(draft) for draft in drafts if draft != case.fact.draft)
    facts = [case.fact, *(fact for chain in chains if chain for fact in chain.facts)]
    if not any(_decides(fact, case.fact, body) for fact in facts):
        yield case.finding(
            rule.AUDIT_GROUP_DIFFERS,
            f"no member of {cause.request} was decided at {body.group.decided_at}",
        )
        return
    case.audit.proves("members of release groups held to one decision")


def trust_in_members(case: FactCase, code: str) -> Trust | None:
    """Who is trusted for a refusal that other members caused; None where their facts deny it.

    Whether another one could never move was seen at that moment, and is in no clone; that all
    others have moved, or none has, is.
    """
    cause = case.fact.cause
    group = case.audit.main.request(cause.request, cause.blob) if case.is_caused else None
    if not isinstance(group, ReleaseGroup):
        return None
    others = [draft for draft in group.drafts if draft != case.fact.draft]
    chains = [case.audit.chain_of(draft) for draft in others]
    moved = [chain for chain in chains if chain and _has_moved(chain.facts, case.fact)]
    if code == GROUP_HALF_APPLIED.id:
        return _MEMBERS if moved else None
    is_refusal = code == GROUP_MEMBER_REFUSED.id and len(moved) < len(others)
    return _MEMBERS if is_refusal else None


def _has_moved(facts: Iterable[Fact], member: Fact) -> bool:
    """Whether a promotion of the same revision of the group is among the facts."""
    told = (member.cause.request, member.cause.blob)
    return any(
        isinstance(f.body, Promoted) and (f.cause.request, f.cause.blob) == told for f in facts
    )


def _decides(fact: Fact, member: Fact, body: Promoted) -> bool:
    """Whether a promotion of the same revision of the group was decided at the named moment."""
    if not isinstance(fact.body, Promoted) or body.group is None:
        return False
    is_of_group = (fact.cause.request, fact.cause.blob) == (member.cause.request, member.cause.blob)
    return is_of_group and fact.decided_at == body.group.decided_at
