"""Approvals, counted: what reviewers hold of one revision. Pure.

`count_approvals` is the only place that reads verdicts out of reviews. Branch rules, the gate, the
merge of the pipeline's own pull requests and the audit each ask it, and then say how many
approvals they want, and whose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipeline.forges.port import Review, ReviewVerdict


@dataclass(frozen=True, slots=True)
class Approvals:
    """Account ids: who approves a revision, and who asks for changes to it."""

    approving: frozenset[int]
    objecting: frozenset[int]

    def of(self, people: Collection[int]) -> Approvals:
        """Those of these people alone."""
        return Approvals(self.approving.intersection(people), self.objecting.intersection(people))


def count_approvals(
    reviews: Iterable[Review], head: str, *, taking_part: Collection[int]
) -> Approvals:
    """What reviewers hold of `head`, each by their newest verdict on it.

    A comment is not a verdict, and a verdict on another revision takes back the one before it. The
    approval of an account in `taking_part` (author, pushers) does not count; its objection does.
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
