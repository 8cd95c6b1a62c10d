"""The contract of pull requests: open, review, merge and close them, on every forge."""

from __future__ import annotations

import time

import pytest

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.branch_rules import check_merge
from pipeline.forges.port import BranchRule, Forge, PullRequest, PullState, Push, ReviewVerdict
from pipeline.models.base import moment_of
from tests.support.forge_contract import (
    AUTHOR,
    PIPELINE,
    REPO,
    REVIEWER,
    RULES,
    SECOND,
    START,
    STRANGER,
    approve,
    head_of,
    merge,
    open_pull,
    push,
    spec_of,
)

# -- opening pull requests ----------------------------------------------------------------


def test_a_pull_request_is_opened_and_read(forge: Forge) -> None:
    pull = open_pull(forge)
    assert pull.number >= 1
    assert (pull.repo, pull.title, pull.body, pull.state) == (REPO, "One", "Why", PullState.OPEN)
    assert (pull.head_branch, pull.base_branch, pull.author_id) == ("draft/one", "main", AUTHOR)
    assert pull.head == head_of(forge, "draft/one")
    assert (pull.merge_commit, pull.merged_by, pull.reviews) == (None, None, ())
    assert forge.read_pull(REPO, pull.number) == pull
    assert forge.read_pulls(REPO) == (pull,)


def test_opening_again_finds_the_pull_request_and_its_author_may_reword_it(forge: Forge) -> None:
    pull = open_pull(forge)
    assert open_pull(forge) == pull
    reworded = forge.open_pull(
        REPO, head_branch="draft/one", base_branch="main", title="New", body="X", actor=AUTHOR
    )
    assert (reworded.number, reworded.title, reworded.body) == (pull.number, "New", "X")
    other = forge.open_pull(
        REPO, head_branch="draft/one", base_branch="main", title="Mine", body="", actor=STRANGER
    )
    assert other == reworded, "nobody rewords or takes over the pull request of another"
    assert forge.read_pulls(REPO) == (reworded,)


def test_pull_requests_are_numbered_in_order(forge: Forge) -> None:
    pulls = [open_pull(forge, f"draft/{n}") for n in range(3)]
    assert len({pull.number for pull in pulls}) == 3
    assert forge.read_pulls(REPO) == tuple(sorted(pulls, key=lambda p: p.number))


def test_pull_requests_are_found_by_their_branches(forge: Forge) -> None:
    pulls = {f"draft/{n}": open_pull(forge, f"draft/{n}") for n in range(3)}
    push(forge, "release", {"b": b"1"}, None)
    elsewhere = forge.open_pull(
        REPO, head_branch="draft/0", base_branch="release", title="Elsewhere", body="", actor=AUTHOR
    )
    heads = ["draft/2", "draft/0", "draft/none", "draft/0"]
    found = forge.read_pulls_of_branches(REPO, heads, base_branch="main")
    assert found == {head: pulls[head] for head in heads[:2]}
    found = forge.read_pulls_of_branches(REPO, heads, base_branch="release")
    assert found == {"draft/0": elsewhere}
    forge.close_pull(REPO, elsewhere.number, actor=AUTHOR)
    [closed] = forge.read_pulls_of_branches(REPO, heads, base_branch="release").values()
    assert closed.state is PullState.CLOSED
    assert forge.read_pulls_of_branches(REPO, [], base_branch="main") == {}


def test_a_pull_request_needs_two_existing_branches(forge: Forge) -> None:
    push(forge, "draft/one", {"a": b"1"}, None)
    for head, base in (("draft/none", "main"), ("draft/one", "none")):
        with pytest.raises(NotFound):
            forge.open_pull(
                REPO, head_branch=head, base_branch=base, title="", body="", actor=AUTHOR
            )
    with pytest.raises(ForgeRefused):
        forge.open_pull(
            REPO, head_branch="main", base_branch="main", title="", body="", actor=AUTHOR
        )
    assert forge.read_pulls(REPO) == ()


def test_an_open_pull_request_follows_its_branch(forge: Forge) -> None:
    pull = open_pull(forge)
    newer = push(forge, "draft/one", {"a": b"2"}, pull.head)
    assert forge.read_pull(REPO, pull.number).head == newer


def test_pushers_of_a_branch_are_kept_in_order(forge: Forge) -> None:
    assert forge.read_pushes(REPO, "ask/one") == ()
    first = push(forge, "ask/one", {"one": b"1\n"}, None, actor=AUTHOR)
    second = push(forge, "ask/one", {"one": b"2\n"}, first, actor=STRANGER)
    push(forge, "ask/two", {"two": b"1\n"}, None, actor=REVIEWER)
    pushes = (Push(first, AUTHOR), Push(second, STRANGER))
    assert forge.read_pushes(REPO, "ask/one") == pushes
    forge.open_pull(
        REPO, head_branch="ask/one", base_branch="main", title="One", body="", actor=AUTHOR
    )
    assert forge.read_pushes(REPO, "ask/one") == pushes, (
        "what was seen needs nobody to stand for it"
    )


def test_reviews_and_merges_have_times(forge: Forge) -> None:
    pull = open_pull(forge)
    before = moment_of(int(time.time()))
    approve(forge, pull)
    [review] = forge.read_pull(REPO, pull.number).reviews
    assert forge.read_pull(REPO, pull.number).merged_at is None
    merge(forge, pull)
    merged = forge.read_pull(REPO, pull.number)
    after = moment_of(int(time.time()))
    assert review.at is not None and merged.merged_at is not None
    assert before <= review.at <= merged.merged_at <= after
    approve(forge, pull)
    assert forge.read_pull(REPO, pull.number).reviews == (review,), "said again, it is no news"


def test_an_unknown_number_is_not_found(forge: Forge) -> None:
    missing = 404
    with pytest.raises(NotFound):
        forge.read_pull(REPO, missing)
    with pytest.raises(NotFound):
        forge.close_pull(REPO, missing, actor=AUTHOR)
    with pytest.raises(NotFound):
        forge.merge_pull(REPO, missing, expected_head=START, message="", time_s=0, actor=PIPELINE)
    with pytest.raises(NotFound):
        forge.submit_review(
            REPO, missing, commit=START, verdict=ReviewVerdict.COMMENTED, body="", actor=AUTHOR
        )


# -- reviews ----------------------------------------------------------------------------


def test_reviews_are_kept_in_order_with_reviewer_and_verdict(forge: Forge) -> None:
    pull = open_pull(forge)
    given = [
        (REVIEWER, ReviewVerdict.CHANGES_REQUESTED, "Name it"),
        (SECOND, ReviewVerdict.COMMENTED, "é 日本"),
        (REVIEWER, ReviewVerdict.APPROVED, ""),
    ]
    for actor, verdict, body in given:
        review = forge.submit_review(
            REPO, pull.number, commit=pull.head, verdict=verdict, body=body, actor=actor
        )
        assert (review.user_id, review.verdict, review.body) == (actor, verdict, body)
    reviews = forge.read_pull(REPO, pull.number).reviews
    assert [(r.user_id, r.verdict, r.body) for r in reviews] == given
    assert [r.sequence for r in reviews] == sorted({r.sequence for r in reviews})
    assert {r.commit for r in reviews} == {pull.head}


def test_a_repeated_review_is_recorded_once(forge: Forge) -> None:
    pull = open_pull(forge)

    def review(actor: int) -> int:
        return forge.submit_review(
            REPO,
            pull.number,
            commit=pull.head,
            verdict=ReviewVerdict.APPROVED,
            body="Good",
            actor=actor,
        ).sequence

    first, other = review(REVIEWER), review(SECOND)
    assert review(REVIEWER) == first, "another's review in between makes no second one"
    assert review(SECOND) == other
    assert len(forge.read_pull(REPO, pull.number).reviews) == 2
    merge(forge, pull)
    assert review(REVIEWER) == first, "and neither does a merge"


def test_a_review_of_an_old_revision_is_stale(forge: Forge) -> None:
    pull = open_pull(forge)
    push(forge, "draft/one", {"a": b"2"}, pull.head)
    with pytest.raises(StalePlan):
        approve(forge, pull)
    assert forge.read_pull(REPO, pull.number).reviews == ()


def test_nobody_approves_their_own_pull_request(forge: Forge) -> None:
    pull = open_pull(forge)
    with pytest.raises(ForgeRefused):
        approve(forge, pull, AUTHOR)
    assert forge.read_pull(REPO, pull.number).reviews == ()


def test_a_closed_pull_request_cannot_be_reviewed(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    forge.close_pull(REPO, pull.number, actor=AUTHOR)
    with pytest.raises(ForgeRefused, match="closed"):
        approve(forge, pull, SECOND)


def test_a_merged_pull_request_can_still_be_approved_at_its_head(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    merge(forge, pull)
    approve(forge, pull, SECOND)
    found = forge.read_pull(REPO, pull.number)
    assert found.head == pull.head and SECOND in {r.user_id for r in found.reviews}


# -- merging ----------------------------------------------------------------------------


def test_a_merge_lands_on_the_base_branch(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    commit = merge(forge, pull)
    assert head_of(forge) == commit
    read = forge.open_repository(REPO).read_commit(commit)
    assert read.parents == (START, pull.head)
    assert read.message.strip() == "Merge"
    merged = forge.read_pull(REPO, pull.number)
    assert (merged.state, merged.merge_commit, merged.merged_by) == (
        PullState.MERGED,
        commit,
        PIPELINE,
    )
    commits = [commit, pull.head, START, commit]
    assert forge.read_pulls_of_commits(REPO, commits) == {commit: merged}
    assert forge.read_pulls_of_commits(REPO, ["0" * 40]) == {}
    assert forge.read_pulls_of_commits(REPO, []) == {}


def test_a_repeated_merge_is_success(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    commit = merge(forge, pull)
    assert merge(forge, pull) == commit
    assert merge(forge, pull, STRANGER) == commit, "nothing is done, so nobody is refused"
    assert head_of(forge) == commit


def test_a_merged_pull_request_keeps_its_merged_head(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    commit = merge(forge, pull)
    newer = push(forge, "draft/one", {"a": b"2"}, pull.head)
    assert forge.read_pull(REPO, pull.number).head == pull.head
    assert merge(forge, pull) == commit
    with pytest.raises(StalePlan):
        merge(forge, pull, head=newer)
    assert head_of(forge) == commit
    again = forge.open_pull(
        REPO, head_branch="draft/one", base_branch="main", title="T", body="B", actor=AUTHOR
    )
    assert again == forge.read_pull(REPO, pull.number), "found, not opened anew"


def test_a_merge_at_another_head_is_stale(forge: Forge) -> None:
    pull = open_pull(forge)
    newer = push(forge, "draft/one", {"a": b"2"}, pull.head)
    approve(forge, forge.read_pull(REPO, pull.number))
    with pytest.raises(StalePlan):
        merge(forge, pull)
    assert head_of(forge) == START
    assert forge.read_pull(REPO, pull.number).state is PullState.OPEN
    assert merge(forge, pull, head=newer) == head_of(forge)


def test_a_merge_after_the_base_moved_keeps_both_changes(forge: Forge) -> None:
    one = open_pull(forge, "draft/one", files={"README": b"first\n", "one": b"1"})
    two = open_pull(forge, "draft/two", files={"README": b"first\n", "two": b"2"})
    for pull in (one, two):
        approve(forge, pull)
    first = merge(forge, one)
    second = merge(forge, two)
    git = forge.open_repository(REPO)
    assert git.read_commit(second).parents == (first, two.head)
    assert git.read_files(second).keys() == {"README", "one", "two"}


def test_a_conflict_is_stale_and_nothing_moves(forge: Forge) -> None:
    one = open_pull(forge, "draft/one", files={"README": b"one\n"})
    two = open_pull(forge, "draft/two", files={"README": b"two\n"})
    for pull in (one, two):
        approve(forge, pull)
    merged = merge(forge, one)
    with pytest.raises(StalePlan):
        merge(forge, two)
    assert head_of(forge) == merged
    assert forge.read_pull(REPO, two.number).state is PullState.OPEN


def refuse_merge(forge: Forge, pull: PullRequest, match: str, actor: int = PIPELINE) -> None:
    with pytest.raises(ForgeRefused, match=match):
        merge(forge, pull, actor, head=forge.read_pull(REPO, pull.number).head)
    assert head_of(forge) == START
    assert forge.read_pull(REPO, pull.number).state is PullState.OPEN


def test_a_merge_needs_its_approvals(forge: Forge) -> None:
    pull = open_pull(forge)
    refuse_merge(forge, pull, "0 of 1 approvals")
    approve(forge, pull)
    refuse_merge(forge, pull, f"{STRANGER} may not merge", STRANGER)
    refuse_merge(forge, pull, f"{AUTHOR} may not merge", AUTHOR)
    assert merge(forge, pull, REVIEWER) == head_of(forge)


def test_an_approval_by_somebody_who_may_not_merge_does_not_count(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull, STRANGER)
    reason = check_merge(RULES, forge.read_pull(REPO, pull.number), PIPELINE)
    assert reason is not None and "0 of 1 approvals" in reason
    approve(forge, pull)
    assert check_merge(RULES, forge.read_pull(REPO, pull.number), PIPELINE) is None


def test_two_approvals_by_one_person_count_once(forge: Forge) -> None:
    forge.ensure_repo(REPO, spec_of((BranchRule("main", push=(), approvals=2),)))
    pull = open_pull(forge)
    approve(forge, pull)
    for body in ("again", "and again"):
        forge.submit_review(
            REPO,
            pull.number,
            commit=pull.head,
            verdict=ReviewVerdict.APPROVED,
            body=body,
            actor=REVIEWER,
        )
    refuse_merge(forge, pull, "1 of 2 approvals")
    approve(forge, pull, SECOND)
    merge(forge, pull)


def test_approvals_of_an_older_revision_do_not_count(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    push(forge, "draft/one", {"a": b"sneaked in"}, pull.head)
    refuse_merge(forge, pull, "0 of 1 approvals")
    approve(forge, forge.read_pull(REPO, pull.number), SECOND)
    merge(forge, pull, head=forge.read_pull(REPO, pull.number).head)


@pytest.mark.parametrize(
    ("verdict", "match"),
    [
        (ReviewVerdict.CHANGES_REQUESTED, "asks for changes"),
        (ReviewVerdict.DISMISSED, "0 of 1 approvals"),
    ],
)
def test_a_later_verdict_replaces_an_approval(
    forge: Forge, verdict: ReviewVerdict, match: str
) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    if verdict is ReviewVerdict.CHANGES_REQUESTED:
        approve(forge, pull, SECOND)
    forge.submit_review(
        REPO, pull.number, commit=pull.head, verdict=verdict, body="", actor=REVIEWER
    )
    refuse_merge(forge, pull, match)
    approve(forge, pull)
    merge(forge, pull)


def test_a_comment_keeps_the_approval(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    forge.submit_review(
        REPO,
        pull.number,
        commit=pull.head,
        verdict=ReviewVerdict.COMMENTED,
        body="Nice",
        actor=REVIEWER,
    )
    merge(forge, pull)


# -- closing ----------------------------------------------------------------------------


def test_a_closed_pull_request_is_found_and_cannot_be_merged(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    forge.close_pull(REPO, pull.number, actor=AUTHOR)
    forge.close_pull(REPO, pull.number, actor=AUTHOR)
    closed = forge.read_pull(REPO, pull.number)
    assert closed.state is PullState.CLOSED
    with pytest.raises(ForgeRefused, match="closed"):
        merge(forge, pull)
    assert head_of(forge) == START
    assert open_pull(forge) == closed


def test_a_merged_pull_request_cannot_be_closed(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    merge(forge, pull)
    with pytest.raises(ForgeRefused, match="merged"):
        forge.close_pull(REPO, pull.number, actor=AUTHOR)
    assert forge.read_pull(REPO, pull.number).state is PullState.MERGED
