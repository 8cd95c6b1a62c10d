"""What every forge must do. A forge joins by a maker in `tests/support/forges.py`; no test here
knows which it is.

Actors are numeric ids; the makers see to it that the forge acts for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.branch_rules import check_merge
from pipeline.forges.port import (
    BranchRule,
    Comment,
    Forge,
    PullRequest,
    PullState,
    Push,
    RepoSpec,
    ReviewVerdict,
)
from pipeline.git.objects import (
    MODE_FILE,
    GitObject,
    RefUpdate,
    Signature,
    commit_object,
    git_object,
    objects_of_files,
)
from tests.support.forges import FORGES, stop_github

PIPELINE, AUTHOR, REVIEWER, SECOND, STRANGER = 100, 1, 2, 3, 9
REPO = "order-router"
TIME_S = 1_700_000_000
SOMEBODY = Signature("Somebody", "somebody@example.com", TIME_S)
RULES = (
    BranchRule("main", push=(), merge=(PIPELINE, REVIEWER, SECOND), approvals=1),
    BranchRule("state/*", push=(PIPELINE,)),
)
Files = dict[str, bytes]


def commit_of(files: Files, *parents: str, message: str = "Commit\n") -> tuple[GitObject, ...]:
    """All objects of a commit, which comes last."""
    objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    return (*objects, commit_object(objects[-1].id, parents, message, SOMEBODY, SOMEBODY))


FIRST = commit_of({"README": b"first\n"})
START = FIRST[-1].id


def spec_of(rules: tuple[BranchRule, ...] = RULES, description: str = "Primitives") -> RepoSpec:
    return RepoSpec(description, "main", FIRST, START, rules)


@pytest.fixture(params=FORGES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forge]:
    """A forge without repositories."""
    forge = make(request, tmp_path)
    yield forge
    forge.close()
    stop_github(tmp_path)


def make(request: pytest.FixtureRequest, folder: Path) -> Forge:
    """A forge of the kind that the test runs with; over one folder they are the same forge."""
    maker = FORGES[request.node.callspec.params["empty"]]
    return maker(folder, PIPELINE, (AUTHOR, REVIEWER, SECOND, STRANGER))


@pytest.fixture
def forge(empty: Forge) -> Forge:
    """A forge with one repository."""
    empty.ensure_repo(REPO, spec_of())
    return empty


def push(forge: Forge, branch: str, files: Files, old: str | None, *, actor: int = AUTHOR) -> str:
    """Commit `files` onto a branch that is at `old` (None: created from the first commit)."""
    objects = commit_of(files, old or START)
    update = RefUpdate(f"refs/heads/{branch}", old, objects[-1].id)
    forge.push(REPO, objects, (update,), actor=actor)
    return objects[-1].id


def open_pull(
    forge: Forge, branch: str = "draft/one", *, files: Files | None = None, title: str = "One"
) -> PullRequest:
    """A pull request of AUTHOR with one commit."""
    push(forge, branch, files or {"README": b"first\n", branch.replace("/", "-"): b"new\n"}, None)
    return forge.open_pull(
        REPO, head_branch=branch, base_branch="main", title=title, body="Why", actor=AUTHOR
    )


def approve(forge: Forge, pull: PullRequest, actor: int = REVIEWER) -> None:
    forge.submit_review(
        REPO, pull.number, commit=pull.head, verdict=ReviewVerdict.APPROVED, body="", actor=actor
    )


def merge(forge: Forge, pull: PullRequest, actor: int = PIPELINE, head: str | None = None) -> str:
    return forge.merge_pull(
        REPO,
        pull.number,
        expected_head=head or pull.head,
        message="Merge\n",
        time_s=TIME_S,
        actor=actor,
    )


def head_of(forge: Forge, branch: str = "main") -> str | None:
    view = forge.read_repo(REPO)
    assert view is not None
    return view.branches.get(branch)


# -- repositories -----------------------------------------------------------------------


def test_a_repository_that_is_not_there_is_none(empty: Forge) -> None:
    assert empty.read_repo(REPO) is None
    with pytest.raises(NotFound):
        empty.open_repository(REPO)
    with pytest.raises(NotFound):
        empty.push(REPO, FIRST, (RefUpdate("refs/heads/x", None, START),), actor=AUTHOR)


def test_a_repository_is_made_whole(empty: Forge) -> None:
    view = empty.ensure_repo(REPO, spec_of())
    assert (view.repo, view.default_branch, view.head) == (REPO, "main", START)
    assert view.branches == {"main": START}
    assert empty.read_rules(REPO) == RULES
    assert empty.read_repo(REPO) == view
    git = empty.open_repository(REPO)
    assert git.read_files(START) == {"README": (MODE_FILE, b"first\n")}


def test_ensuring_again_changes_nothing(forge: Forge) -> None:
    main = push(forge, "draft/one", {"a": b"a"}, None)
    before = forge.read_repo(REPO)
    assert forge.ensure_repo(REPO, spec_of()) == before
    assert head_of(forge, "draft/one") == main


def test_rules_are_brought_in_line_and_pull_requests_stay(forge: Forge) -> None:
    pull = open_pull(forge)
    rules = (BranchRule("*", push=(SECOND,)),)
    forge.ensure_repo(REPO, spec_of(rules))
    assert forge.read_rules(REPO) == rules
    assert forge.read_pulls(REPO) == (pull,)
    with pytest.raises(ForgeRefused):
        push(forge, "draft/two", {"a": b"a"}, None)


def test_rules_are_changed_without_the_first_commit(forge: Forge) -> None:
    pull = open_pull(forge)
    rules = (BranchRule("main", push=(), merge=(PIPELINE,)), BranchRule("draft/*", push=(SECOND,)))
    for _ in range(2):
        forge.ensure_rules(REPO, rules)
        assert forge.read_rules(REPO) == rules
    assert forge.read_pulls(REPO) == (pull,)
    with pytest.raises(ForgeRefused):
        push(forge, "draft/two", {"a": b"a"}, None)
    for person in (AUTHOR, REVIEWER):
        with pytest.raises(ForgeRefused):
            merge(forge, pull, actor=person)
    merge(forge, pull, actor=PIPELINE)
    with pytest.raises(NotFound):
        forge.ensure_rules("not-there", rules)


def test_a_repository_with_another_first_commit_is_not_taken_over(forge: Forge) -> None:
    other = commit_of({"README": b"another\n"})
    spec = RepoSpec("Primitives", "main", other, other[-1].id, RULES)
    before = forge.read_repo(REPO)
    with pytest.raises(ForgeRefused, match="another first commit"):
        forge.ensure_repo(REPO, spec)
    assert forge.read_repo(REPO) == before


# -- pushes -----------------------------------------------------------------------------


def test_a_push_creates_and_moves_branches(forge: Forge) -> None:
    first = push(forge, "draft/one", {"a": b"1"}, None)
    second = push(forge, "draft/one", {"a": b"2"}, first)
    assert head_of(forge, "draft/one") == second
    git = forge.open_repository(REPO)
    assert git.read_files(second) == {"a": (MODE_FILE, b"2")}
    assert git.read_commit(second).parents == (first,)


def test_a_push_of_several_commits_is_a_step_forward(forge: Forge) -> None:
    first = push(forge, "draft/one", {"a": b"1"}, None)
    two = commit_of({"a": b"2"}, first)
    three = commit_of({"a": b"3"}, two[-1].id)
    merged = commit_of({"a": b"3"}, START, three[-1].id)
    update = RefUpdate("refs/heads/draft/one", first, merged[-1].id)
    forge.push(REPO, [*two, *three, *merged], (update,), actor=AUTHOR)
    assert head_of(forge, "draft/one") == merged[-1].id


def test_a_repeated_push_is_done_already(forge: Forge) -> None:
    first = push(forge, "draft/one", {"a": b"1"}, None)
    assert push(forge, "draft/one", {"a": b"1"}, None) == first
    second = push(forge, "draft/one", {"a": b"2"}, first)
    assert push(forge, "draft/one", {"a": b"2"}, first) == second
    assert head_of(forge, "draft/one") == second


def test_a_push_from_an_old_head_is_stale_and_moves_nothing(forge: Forge) -> None:
    first = push(forge, "draft/one", {"a": b"1"}, None)
    second = push(forge, "draft/one", {"a": b"2"}, first)
    with pytest.raises(StalePlan):
        push(forge, "draft/one", {"a": b"3"}, first)
    with pytest.raises(StalePlan):
        push(forge, "draft/one", {"a": b"3"}, None)
    with pytest.raises(StalePlan):
        push(forge, "draft/none", {"a": b"3"}, first)
    assert head_of(forge, "draft/one") == second
    assert head_of(forge, "draft/none") is None


def test_all_branches_of_a_push_move_or_none(forge: Forge) -> None:
    one = push(forge, "draft/one", {"a": b"1"}, None)
    two = commit_of({"a": b"2"}, one)
    fresh = RefUpdate("refs/heads/draft/two", None, two[-1].id)
    with pytest.raises(StalePlan):
        lost = RefUpdate("refs/heads/draft/one", START, two[-1].id)
        forge.push(REPO, two, (fresh, lost), actor=AUTHOR)
    with pytest.raises(ForgeRefused):
        closed = RefUpdate("refs/heads/main", START, two[-1].id)
        forge.push(REPO, two, (fresh, closed), actor=AUTHOR)
    assert head_of(forge, "draft/two") is None
    assert head_of(forge) == START
    good = RefUpdate("refs/heads/draft/one", one, two[-1].id)
    forge.push(REPO, two, (fresh, good), actor=AUTHOR)
    assert head_of(forge, "draft/two") == head_of(forge, "draft/one") == two[-1].id


@pytest.mark.parametrize(
    ("branch", "actor", "allowed"),
    [
        ("main", AUTHOR, False),
        ("main", PIPELINE, False),
        ("state/acme", PIPELINE, True),
        ("state/acme", AUTHOR, False),
        ("state/a/b", AUTHOR, False),
        ("state/a/b", PIPELINE, True),
        ("statement", AUTHOR, True),
        ("draft/state/acme", AUTHOR, True),
        ("draft/one", STRANGER, True),
    ],
)
def test_rules_say_who_pushes_where(forge: Forge, branch: str, actor: int, allowed: bool) -> None:
    old = START if branch == "main" else None
    if allowed:
        assert push(forge, branch, {"a": b"1"}, old, actor=actor) == head_of(forge, branch)
    else:
        before = forge.read_repo(REPO)
        with pytest.raises(ForgeRefused, match=f"{actor}"):
            push(forge, branch, {"a": b"1"}, old, actor=actor)
        assert forge.read_repo(REPO) == before


@pytest.mark.parametrize("ref", ["refs/tags/v1", "refs/forge/journal", "refs/notes/x", "HEAD"])
def test_only_branches_are_pushed(forge: Forge, ref: str) -> None:
    with pytest.raises(ForgeRefused):
        forge.push(REPO, (), (RefUpdate(ref, None, START),), actor=PIPELINE)


def test_no_branch_loses_commits(forge: Forge) -> None:
    first = push(forge, "draft/one", {"a": b"1"}, None)
    second = push(forge, "draft/one", {"a": b"2"}, first)
    beside = commit_of({"a": b"3"}, first)
    for objects, new in (((), first), (beside, beside[-1].id), ((), START)):
        with pytest.raises(ForgeRefused, match="lose commits"):
            update = RefUpdate("refs/heads/draft/one", second, new)
            forge.push(REPO, objects, (update,), actor=AUTHOR)
    assert head_of(forge, "draft/one") == second


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


def test_opening_again_finds_it_and_its_author_may_reword_it(forge: Forge) -> None:
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


def test_pull_requests_have_numbers_of_their_own_in_order(forge: Forge) -> None:
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


def test_a_pull_request_needs_two_branches_that_are_there(forge: Forge) -> None:
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


def test_who_pushed_a_branch_is_kept_in_order(forge: Forge) -> None:
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


def test_a_number_that_is_not_there_is_not_found(forge: Forge) -> None:
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


def test_reviews_are_kept_in_order_with_who_and_what(forge: Forge) -> None:
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


def test_a_repeated_review_is_the_one_that_is_there(forge: Forge) -> None:
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


def test_nobody_approves_their_own(forge: Forge) -> None:
    pull = open_pull(forge)
    with pytest.raises(ForgeRefused):
        approve(forge, pull, AUTHOR)
    assert forge.read_pull(REPO, pull.number).reviews == ()


def test_what_was_closed_is_not_reviewed(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    forge.close_pull(REPO, pull.number, actor=AUTHOR)
    with pytest.raises(ForgeRefused, match="closed"):
        approve(forge, pull, SECOND)


def test_what_was_merged_can_be_approved_late_at_its_frozen_head(forge: Forge) -> None:
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


def test_a_merged_pull_request_stays_at_what_was_merged(forge: Forge) -> None:
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


def test_a_merge_over_a_base_that_moved_keeps_both(forge: Forge) -> None:
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


def test_who_may_not_merge_approves_nothing(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull, STRANGER)
    reason = check_merge(RULES, forge.read_pull(REPO, pull.number), PIPELINE)
    assert reason is not None and "0 of 1 approvals" in reason
    approve(forge, pull)
    assert check_merge(RULES, forge.read_pull(REPO, pull.number), PIPELINE) is None


def test_approvals_are_of_distinct_people(forge: Forge) -> None:
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
def test_a_later_word_takes_an_approval_back(
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


def test_a_comment_takes_nothing_back(forge: Forge) -> None:
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


def test_a_closed_pull_request_is_found_and_not_merged(forge: Forge) -> None:
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


def test_what_is_merged_is_not_closed(forge: Forge) -> None:
    pull = open_pull(forge)
    approve(forge, pull)
    merge(forge, pull)
    with pytest.raises(ForgeRefused, match="merged"):
        forge.close_pull(REPO, pull.number, actor=AUTHOR)
    assert forge.read_pull(REPO, pull.number).state is PullState.MERGED


def test_what_one_forge_object_wrote_another_reads(
    empty: Forge, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    empty.ensure_repo(REPO, spec_of())
    other = make(request, tmp_path)
    pull = open_pull(empty)
    assert other.read_pull(REPO, pull.number) == pull
    approve(other, pull)
    assert len(empty.read_pull(REPO, pull.number).reviews) == 1
    commit = merge(empty, pull)
    assert other.open_repository(REPO).read_object(commit) == empty.open_repository(
        REPO
    ).read_object(commit)
    assert other.read_pull(REPO, pull.number).state is PullState.MERGED


def test_content_may_be_anything(forge: Forge) -> None:
    files = {"é/日本": b"\0\xff", "line\nbreak": b"", "big": b"x" * 300_000}
    commit = push(forge, "draft/one", files, None)
    read = forge.open_repository(REPO).read_files(commit)
    assert {path: content for path, (_, content) in read.items()} == files
    assert forge.open_repository(REPO).read_object(git_object("blob", b"").id) is not None


def test_an_event_is_a_hint_to_the_pipeline_s_own_repository(forge: Forge) -> None:
    forge.dispatch(REPO, "pipeline-build", actor=PIPELINE)
    forge.dispatch(REPO, "pipeline-build", actor=PIPELINE)
    with pytest.raises(NotFound):
        forge.dispatch("none", "pipeline-build", actor=PIPELINE)


def test_a_comment_of_a_key_is_updated_in_place(forge: Forge) -> None:
    pull = open_pull(forge)
    assert forge.read_comments(REPO, pull.number) == ()

    def write(key: str, body: str, actor: int = PIPELINE) -> None:
        forge.write_comment(REPO, pull.number, key=key, body=body, actor=actor)

    write("summary", "First\n\n| a |\n|---|")
    write("notice", "Beside it")
    write("summary", "Somebody else's", AUTHOR)
    for _ in range(2):
        write("summary", "Second")
    assert forge.read_comments(REPO, pull.number) == (
        Comment(PIPELINE, "Second", "summary"),
        Comment(PIPELINE, "Beside it", "notice"),
        Comment(AUTHOR, "Somebody else's", "summary"),
    )
    assert forge.read_pull(REPO, pull.number) == pull
    with pytest.raises(NotFound):
        forge.write_comment(REPO, 99, key="summary", body="x", actor=PIPELINE)
    with pytest.raises(NotFound):
        forge.read_comments(REPO, 99)


def test_a_check_of_a_commit_says_what_was_said_last(forge: Forge) -> None:
    pull = open_pull(forge)
    assert forge.read_checks(REPO, pull.head) == ()

    def write(name: str, passed: bool, title: str) -> None:
        forge.write_check(REPO, pull.head, name=name, passed=passed, title=title, actor=PIPELINE)

    write("judged", False, "2 findings")
    write("other", True, "Beside it")
    for _ in range(2):
        write("judged", True, "Nothing against it")
    read = forge.read_checks(REPO, pull.head)
    assert [(check.name, check.passed, check.title) for check in read] == [
        ("judged", True, "Nothing against it"),
        ("other", True, "Beside it"),
    ]
    assert len({check.by for check in read}) == 1
    with pytest.raises(NotFound):
        forge.write_check("none", pull.head, name="judged", passed=True, title="x", actor=PIPELINE)


def test_a_team_that_is_not_there_has_no_members(forge: Forge) -> None:
    assert forge.read_team("nobody-s-team") in (None, frozenset())
