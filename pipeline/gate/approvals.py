"""Approvals that do not count: too old, or given by whoever wrote the source. Pure.

`pipeline.gate.authority` finds who approved. The clauses here check each approval against its
policy's limits on age and on authors. The authors of a source come from two places that clones have
too: the facts of its patches (who asked for each, and who pushed it), and the names in its commits
that are not the pipeline's own. A commit can name anybody; that can take approvals away, and never
adds one. Only the owners of the code can notice somebody who commits under another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.gate import rules as rule
from pipeline.gate.authority import Held
from pipeline.gate.reasons import DecisionReason, waits
from pipeline.git.commits import Commit, account_of_email
from pipeline.models.base import seconds_of
from pipeline.models.facts import Fact, PatchApplied

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # which lists these clauses

_DAY_S = 86_400


def clause_approval_age(e: Evidence) -> Iterator[DecisionReason]:
    """Enough approvals are not older than their policy lets them be."""
    for held in e.authority.held:
        days, kept = held.policy.expires_after_days, fresh(held, e.now_s)
        if days is not None and _breaks(held, kept):
            old = len(held.given) - len(kept)
            message = f"{old} of {len(held.given)} approvals are older than {days} days"
            yield waits(rule.APPROVAL_EXPIRED, message)


def clause_separation(e: Evidence) -> Iterator[DecisionReason]:
    """Enough approvals are of people who did not write the source, where policy asks for that."""
    for held in e.authority.held:
        if held.policy.separation is None:
            continue
        if e.source_authors is None:
            yield waits(rule.APPROVAL_BY_SOURCE_AUTHOR, "it is not known who wrote the source")
        elif _breaks(held, apart(held, e.source_authors)):
            who = ", ".join(str(user) for user in sorted(held.given.keys() & e.source_authors))
            yield waits(
                rule.APPROVAL_BY_SOURCE_AUTHOR,
                f"account {who} wrote the source, so {held.policy.count} others must approve",
            )


def counting(e: Evidence) -> tuple[int, ...]:
    """The people whose approval counts."""
    found: set[int] = set()
    for held in e.authority.held:
        found |= fresh(held, e.now_s) & apart(held, e.source_authors or frozenset())
    return tuple(sorted(found))


def fresh(held: Held, now_s: int) -> frozenset[int]:
    """Whose approval is not too old; one of an unknown time is, where there is a limit."""
    days = held.policy.expires_after_days
    if days is None:
        return frozenset(held.given)
    return frozenset(
        user
        for user, at in held.given.items()
        if at is not None and now_s < seconds_of(at) + days * _DAY_S
    )


def apart(held: Held, authors: frozenset[int]) -> frozenset[int]:
    """Whose approval is that of none of the authors, where policy asks for that."""
    return frozenset(held.given) - (authors if held.policy.separation else frozenset())


def _breaks(held: Held, kept: frozenset[int]) -> bool:
    """Whether it is enough with all approvals, and not with these: else it was said already."""
    given = frozenset(held.given)
    was_enough = not (held.is_short(given) or held.silent_teams(given))
    return was_enough and (held.is_short(kept) or bool(held.silent_teams(kept)))


def source_authors(facts: Iterable[Fact], commits: Iterable[Commit]) -> frozenset[int]:
    """The accounts that wrote a source: by the facts of its patches, and by its commits.

    Commits that merge others are left out, since whoever merges need not have written anything.
    """
    found: set[int] = set()
    for fact in facts:
        if isinstance(fact.body, PatchApplied):
            brought = fact.cause.brought
            found |= {fact.cause.actor, *((brought.author, *brought.pushers) if brought else ())}
    for commit in commits:
        if len(commit.parents) < 2:
            emails = (commit.author.email, commit.committer.email)
            found |= {id for email in emails if (id := account_of_email(email))}
    return frozenset(found)
