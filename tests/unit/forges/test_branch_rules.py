"""Branch rules decided as values, the journal's bytes, and pull requests read back from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import GitFailed
from pipeline.forges.branch_rules import (
    check_merge,
    check_push,
    newest_review,
    rules_of,
)
from pipeline.forges.local.journal import Journal, parse_pull, parse_repo, pull_files
from pipeline.forges.port import BranchRule, PullRequest, PullState, Review, ReviewVerdict

AUTHOR, ONE, TWO = 1, 2, 3
HEAD, OLD = "a" * 40, "b" * 40
APPROVED, CHANGES = ReviewVerdict.APPROVED, ReviewVerdict.CHANGES_REQUESTED
DISMISSED = ReviewVerdict.DISMISSED

PULL = PullRequest(
    repo="x",
    number=7,
    title="Tïtle",
    body="line\nline",
    head_branch="draft/one",
    head=HEAD,
    base_branch="main",
    author_id=AUTHOR,
    state=PullState.OPEN,
    url="local:acme/x#7",
)


def reviewed(*given: tuple[int, ReviewVerdict, str]) -> PullRequest:
    reviews = [Review(n, user, head, verdict) for n, (user, verdict, head) in enumerate(given, 1)]
    return replace(PULL, reviews=tuple(reviews))


@pytest.mark.parametrize(
    ("pattern", "branch", "matches"),
    [
        ("main", "main", True),
        ("main", "maintenance", False),
        ("main", "a/main", False),
        ("state/*", "state/a", True),
        ("state/*", "state/a/b", True),
        ("state/*", "state", False),
        ("state/*", "estate/a", False),
        ("*", "a/b/c", True),
        ("a.b", "axb", False),
        ("*/x", "a/b/x", True),
    ],
)
def test_a_pattern_covers_the_whole_name(pattern: str, branch: str, matches: bool) -> None:
    assert bool(rules_of([BranchRule(pattern)], branch)) is matches


@pytest.mark.parametrize(
    "pattern",
    ["", "a?", "[ab]", "[!a]", "a\\*", "a b", "a\nb", "-x", "/x", "é", "$(id)", "a|b", "{a,b}"],
)
def test_an_ambiguous_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a branch pattern"):
        BranchRule(pattern)


def test_every_matching_rule_applies() -> None:
    rules = [BranchRule("*", push=(ONE, TWO)), BranchRule("main", push=(ONE,))]
    assert check_push(rules, "refs/heads/main", ONE) is None
    assert check_push(rules, "refs/heads/main", TWO) is not None
    assert check_push(rules, "refs/heads/other", TWO) is None
    assert check_push([], "refs/heads/other", AUTHOR) is None
    assert check_push([], "refs/tags/x", AUTHOR) is not None


@pytest.mark.parametrize(
    ("reviews", "allowed"),
    [
        ([], False),
        ([(ONE, APPROVED, HEAD)], False),
        ([(ONE, APPROVED, HEAD), (ONE, APPROVED, HEAD)], False),
        ([(ONE, APPROVED, HEAD), (TWO, APPROVED, HEAD)], True),
        ([(ONE, APPROVED, HEAD), (TWO, APPROVED, OLD)], False),
        ([(ONE, APPROVED, HEAD), (AUTHOR, APPROVED, HEAD)], False),
        ([(ONE, APPROVED, HEAD), (TWO, APPROVED, HEAD), (9, CHANGES, HEAD)], False),
        ([(ONE, APPROVED, HEAD), (TWO, APPROVED, HEAD), (ONE, DISMISSED, HEAD)], False),
        ([(9, CHANGES, HEAD), (ONE, APPROVED, HEAD), (TWO, APPROVED, HEAD), (9, DISMISSED, HEAD)],
         True),
    ],
)  # fmt: skip
def test_a_merge_needs_two_approvals_of_the_head_and_no_objection(
    reviews: list[tuple[int, ReviewVerdict, str]], allowed: bool
) -> None:
    rules = [BranchRule("main", approvals=2)]
    assert (check_merge(rules, reviewed(*reviews), ONE) is None) is allowed


def test_the_right_to_merge_is_checked_first() -> None:
    rules = [BranchRule("main", merge=(ONE,))]
    assert check_merge(rules, PULL, ONE) is None
    assert check_merge(rules, PULL, TWO) == "account 3 may not merge into `main`"
    assert check_merge([BranchRule("main", merge=())], PULL, ONE) is not None
    assert check_merge([BranchRule("other", merge=())], PULL, ONE) is None


def test_an_account_s_newest_review_counts() -> None:
    pull = reviewed((ONE, CHANGES, HEAD), (TWO, APPROVED, HEAD), (ONE, APPROVED, HEAD))
    assert newest_review(pull, ONE) == pull.reviews[2]
    assert newest_review(pull, 9) is None


def test_a_pull_request_comes_back_from_its_files() -> None:
    pull = replace(
        reviewed((ONE, CHANGES, HEAD), (TWO, APPROVED, OLD)),
        state=PullState.MERGED,
        merge_commit=OLD,
        merged_by=TWO,
    )
    files = pull_files(pull)
    assert sorted(files) == [
        "pulls/000000/07/pull.json",
        "pulls/000000/07/reviews/0001.json",
        "pulls/000000/07/reviews/0002.json",
    ]
    own, *reviews = (files[path][1] for path in sorted(files))
    assert parse_pull(own, list(reversed(reviews))) == pull


def test_a_journal_comes_back_from_its_file() -> None:
    rules = (BranchRule("main", push=(), merge=(1, 2), approvals=2), BranchRule("*"))
    journal = Journal("Whät", "main", HEAD, rules)
    assert parse_repo(journal.files()["repo.json"][1]) == journal


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b'{"state": "open"}', b'{"state": "lost"}']
)
def test_a_damaged_journal_is_an_error_of_git(content: bytes) -> None:
    with pytest.raises(GitFailed, match="damaged"):
        parse_pull(content, [])
    with pytest.raises(GitFailed, match="damaged"):
        parse_repo(content)
