"""Counts approvals: the reviewers' verdicts on one revision. Pure.

Only `count_approvals` reads verdicts from reviews. Branch rules, the gate, the merge of the
pipeline's own pull requests and the audit call it, and then decide how many approvals they need,
and whose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.forges.port import Review, ReviewVerdict
from pipeline.models.base import Moment


@dataclass(frozen=True, slots=True)
class Approvals:
    """Ids of the accounts that approve a revision, and of those that ask for changes."""

    approving: frozenset[int]
    objecting: frozenset[int]
    given: Mapping[int, Moment | None] = field(default_factory=dict)  # when each approved

    def of(self, people: Collection[int]) -> Approvals:
        """Only the verdicts of these people."""
        return Approvals(
            self.approving.intersection(people),
            self.objecting.intersection(people),
            {user: at for user, at in self.given.items() if user in people},
        )


def count_approvals(
    reviews: Iterable[Review], head: str, *, taking_part: Collection[int]
) -> Approvals:
    """The reviewers' verdicts on `head`, each reviewer's newest.

    A comment is not a verdict, and a verdict on another revision revokes the one before it. An
    approval by an account in `taking_part` (author, pushers) does not count; its objection does.
    """
    newest: dict[int, Review] = {}
    for review in sorted(reviews, key=lambda r: r.sequence):
        if review.verdict is not ReviewVerdict.COMMENTED:
            newest[review.user_id] = review
    held = {user: r.verdict for user, r in newest.items() if r.commit == head}
    objecting = {user for user, said in held.items() if said is ReviewVerdict.CHANGES_REQUESTED}
    given = {
        user: newest[user].at
        for user, said in held.items()
        if said is ReviewVerdict.APPROVED and user not in taking_part
    }
    return Approvals(frozenset(given), frozenset(objecting), given)
