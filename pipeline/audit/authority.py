"""Authority judged again by the policy at the base: who asked for a request and who approved it.

It calls the gate's own `pipeline.gate.authority.judge`. The changes of a request's pull request,
the policy before it and the committers come from the clone; who opened, pushed and reviewed it
comes from the fact, as the forge reported it.
"""

from __future__ import annotations

from collections.abc import Collection

from pipeline.audit.objects import Objects, changed_paths
from pipeline.audit.policy import MainLine
from pipeline.gate.authority import FOUNDING, Authority, judge, unbrought
from pipeline.gate.matters import groups_among, matters_of, members_of, paths_behind
from pipeline.git.commits import account_of_email
from pipeline.models.facts import Brought, Cause, Fact, HoldLifted, Promoted, UsedWaiver
from pipeline.models.requests import RiskTier
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import PLATFORM_PATH
from pipeline.requests.snapshot import Snapshot
from pipeline.world.revisions import revision_of


def authority_of(
    main: MainLine, fact: Fact, before: DraftStatus | None, now: Snapshot
) -> Authority:
    """The authority over the revision that caused a fact; `now` is the policy of the decision.

    Only approvals that the fact lists as counted count here: the forge's teams, which no clone has,
    may have excluded others.
    """
    body = fact.body
    approved_by = body.approved_by if isinstance(body, Promoted | HoldLifted) else None
    return _authority_over(main, fact.cause, approved_by, _tier(before), now)


def authority_of_waiver(main: MainLine, used: UsedWaiver, before: DraftStatus | None) -> Authority:
    """The authority over a waiver that a promotion rests on, by the policy before it."""
    return _authority_over(main, used, used.approved_by, _tier(before), None)


def _tier(before: DraftStatus | None) -> RiskTier:
    return before.risk_tier if before is not None else "LOW"


def _authority_over(
    main: MainLine,
    cause: Cause | UsedWaiver,
    approved_by: Collection[int] | None,
    tier: RiskTier,
    now: Snapshot | None,
) -> Authority:
    """The authority over a revision of a request; if `approved_by` is None, all approvals count."""
    commit = main.objects.commit(cause.commit)
    brought = cause.brought
    if not commit.parents:
        return FOUNDING
    if brought is None:
        return unbrought(cause.request, f"no pull request is recorded for {cause.commit[:12]}")
    parent = main.objects.commit(commit.parents[0])
    changed = changed_paths(main.objects, parent.tree, commit.tree)
    groups, sides = groups_among(changed), (parent.id, commit.id)
    named = members_of(groups, *(main.requests_at(side, groups) for side in sides))
    needed = paths_behind((*changed, *named))
    base = main.requests_at(parent.id, needed)
    proposed = main.requests_at(commit.id, needed)
    matters = matters_of(changed, base, proposed, now=now, tier=tier)
    if base.platform is None:
        return unbrought(PLATFORM_PATH, f"no account is known at the base {parent.id[:12]}")
    head = main.objects.find_commit(brought.head)
    revision = revision_of(
        _counted(brought, approved_by),
        committers=_committers(main.objects, brought) if head is not None else frozenset(),
        is_reviewed=head is None or main.blob_at(brought.head, cause.request) == cause.blob,
    )
    return judge(matters, revision, base.platform)


def _counted(brought: Brought, approved_by: Collection[int] | None) -> Brought:
    if approved_by is None:
        return brought
    kept = tuple(r for r in brought.reviews if r.verdict != "approved" or r.account in approved_by)
    return brought.model_copy(update={"reviews": kept})


def _committers(objects: Objects, brought: Brought) -> frozenset[int]:
    if objects.find_commit(brought.base) is None:
        return frozenset()
    newest = objects.commit(brought.head)
    # Most pull requests are one commit on top of main.
    alone = newest.parents == (brought.base,)
    commits = [newest] if alone else objects.history([brought.head], {brought.base})
    people = [person for c in commits for person in (c.author, c.committer)]
    return frozenset(id for p in people if (id := account_of_email(p.email)))
