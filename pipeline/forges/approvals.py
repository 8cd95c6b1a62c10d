"""Counts approvals: the reviewers' verdicts on one revision. Pure.

Only `count_approvals` reads verdicts from reviews. Branch rules, the gate, the merge of the
pipeline's own pull requests and the audit call it, and then decide how many approvals they need,
and whose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipeline.forges.port import Review, ReviewVerdict


@dataclass(frozen=True, slots=True)
class Approvals:
    """Ids of the accounts that approve a revision, and of those that ask for changes."""

    approving: frozenset[int]
    objecting: frozenset[int]

    def of(self, people: Collection[int]) -> Approvals:
        """Only the verdicts of these people."""
        return Approvals(self.approving.intersection(people), self.objecting.intersection(people))


def count_approvals(
    reviews: Iterable[Review], head: str, *, taking_part: Collection[int]
) -> Approvals:
    """The reviewers' verdicts on `head`, each reviewer's newest.

    A comment is not a verdict, and a verdict on another revision revokes the one before it. An
    approval by an account in `taking_part` (author, pushers) does not count; its objection does.
    """
    newest: dict[int, ReviewVerdict] = {}
    for review in sorted(reviews, key=lambda r: r.sequence):
        if review.verdict is not ReviewVerdict.COMMENTED:
            newest[review.user_id] = (
                review.verdict if review.commit == head else ReviewVerdict.DISMISSED
            )
    approving = {user for user, held in newest.items() if held is ReviewVerdict.APPROVED}
    objecting = {user for user, held in newest.items() if held is ReviewVerdict.CHANGES_REQUESTED}
    return Approvals(frozenset(approving.difference(taking_part)), frozenset(objecting))
