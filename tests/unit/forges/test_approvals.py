"""One function counts approvals, and no other code does."""

from __future__ import annotations

import ast
from pathlib import Path

import pipeline
from pipeline.forges.approvals import Approvals, count_approvals
from pipeline.forges.port import Review, ReviewVerdict

AUTHOR, ONE, TWO = 1, 2, 3
HEAD, OLD = "a" * 40, "b" * 40
APPROVED, CHANGES = ReviewVerdict.APPROVED, ReviewVerdict.CHANGES_REQUESTED
COMMENTED, DISMISSED = ReviewVerdict.COMMENTED, ReviewVerdict.DISMISSED


def counted(*given: tuple[int, ReviewVerdict, str]) -> tuple[set[int], set[int]]:
    """Who approves and who objects, whatever order the reviews come in."""
    reviews = [Review(n, user, head, verdict) for n, (user, verdict, head) in enumerate(given, 1)]
    found = count_approvals(reviews, HEAD, taking_part={AUTHOR})
    assert count_approvals(reversed(reviews), HEAD, taking_part={AUTHOR}) == found
    return set(found.approving), set(found.objecting)


def test_each_reviewer_s_newest_verdict_counts() -> None:
    assert counted((ONE, CHANGES, HEAD), (ONE, APPROVED, HEAD)) == ({ONE}, set())
    assert counted((ONE, APPROVED, HEAD), (ONE, CHANGES, HEAD)) == (set(), {ONE})
    assert counted((ONE, APPROVED, HEAD), (ONE, DISMISSED, HEAD)) == (set(), set())


def test_a_comment_keeps_the_approval() -> None:
    assert counted((ONE, APPROVED, HEAD), (ONE, COMMENTED, HEAD)) == ({ONE}, set())


def test_a_verdict_on_another_revision_does_not_count() -> None:
    assert counted((TWO, APPROVED, OLD)) == (set(), set())
    assert counted((ONE, CHANGES, HEAD), (ONE, APPROVED, OLD)) == (set(), set())


def test_an_author_may_object_but_not_approve() -> None:
    assert counted((AUTHOR, APPROVED, HEAD)) == (set(), set())
    assert counted((AUTHOR, CHANGES, HEAD)) == (set(), {AUTHOR})


def test_approvals_can_be_counted_for_some_people_alone() -> None:
    held = Approvals(frozenset({ONE, TWO}), frozenset({AUTHOR, ONE}))
    assert held.of((ONE, 9)) == Approvals(frozenset({ONE}), frozenset({ONE}))


def test_no_other_module_reads_verdicts() -> None:
    # Forges record verdicts, and `review` gives them; neither counts any.
    recording = {
        "cli/review.py",
        "forges/composed.py",
        "forges/github/pull_requests.py",
        "forges/github/queries.py",
        "forges/local/pull_requests.py",
        "forges/local/journal.py",
        "forges/port.py",
        "world/revisions.py",
    }
    root = Path(pipeline.__file__).parent
    naming = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if not path.is_relative_to(root / "templates")
        and any(
            isinstance(node, ast.Name) and node.id == "ReviewVerdict"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert naming == {"forges/approvals.py", *recording}
