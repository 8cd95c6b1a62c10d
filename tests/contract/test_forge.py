"""The contract of forges. No test here knows which forge it runs against.

A forge joins by a maker in `tests/support/forges.py`. Actors are numeric ids; the makers let the
forge act for each of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.port import BranchRule, Comment, Forge, PullState, RepoSpec
from pipeline.git.objects import MODE_FILE, RefUpdate, git_object
from tests.support.forge_contract import (
    AUTHOR,
    FIRST,
    PIPELINE,
    REPO,
    REVIEWER,
    RULES,
    SECOND,
    START,
    STRANGER,
    approve,
    commit_of,
    head_of,
    make,
    merge,
    open_pull,
    push,
    spec_of,
)

# -- repositories -----------------------------------------------------------------------


def test_a_missing_repository_reads_as_none(empty: Forge) -> None:
    assert empty.read_repo(REPO) is None
    with pytest.raises(NotFound):
        empty.open_repository(REPO)
    with pytest.raises(NotFound):
        empty.push(REPO, FIRST, (RefUpdate("refs/heads/x", None, START),), actor=AUTHOR)


def test_a_repository_is_created_complete(empty: Forge) -> None:
    view = empty.ensure_repo(REPO, spec_of())
    assert (view.repo, view.default_branch, view.head) == (REPO, "main", START)
    assert view.branches == {"main": START}
    assert empty.read_rules(REPO) == RULES
    assert empty.read_repo(REPO) == view
    git = empty.open_repository(REPO)
    assert git.read_files(START) == {"README": (MODE_FILE, b"first\n")}


def test_ensuring_a_repository_again_changes_nothing(forge: Forge) -> None:
    main = push(forge, "draft/one", {"a": b"a"}, None)
    before = forge.read_repo(REPO)
    assert forge.ensure_repo(REPO, spec_of()) == before
    assert head_of(forge, "draft/one") == main


def test_changed_rules_are_applied_and_pull_requests_stay(forge: Forge) -> None:
    pull = open_pull(forge)
    rules = (BranchRule("*", push=(SECOND,)),)
    forge.ensure_repo(REPO, spec_of(rules))
    assert forge.read_rules(REPO) == rules
    assert forge.read_pulls(REPO) == (pull,)
    with pytest.raises(ForgeRefused):
        push(forge, "draft/two", {"a": b"a"}, None)


def test_rules_can_be_changed_without_the_first_commit(forge: Forge) -> None:
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


def test_a_push_of_several_commits_is_a_fast_forward(forge: Forge) -> None:
    first = push(forge, "draft/one", {"a": b"1"}, None)
    two = commit_of({"a": b"2"}, first)
    three = commit_of({"a": b"3"}, two[-1].id)
    merged = commit_of({"a": b"3"}, START, three[-1].id)
    update = RefUpdate("refs/heads/draft/one", first, merged[-1].id)
    forge.push(REPO, [*two, *three, *merged], (update,), actor=AUTHOR)
    assert head_of(forge, "draft/one") == merged[-1].id


def test_a_repeated_push_succeeds_and_moves_nothing(forge: Forge) -> None:
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
def test_rules_decide_who_may_push_where(
    forge: Forge, branch: str, actor: int, allowed: bool
) -> None:
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


def test_one_forge_object_reads_what_another_wrote(
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


def test_file_content_may_be_any_bytes(forge: Forge) -> None:
    files = {"é/日本": b"\0\xff", "line\nbreak": b"", "big": b"x" * 300_000}
    commit = push(forge, "draft/one", files, None)
    read = forge.open_repository(REPO).read_files(commit)
    assert {path: content for path, (_, content) in read.items()} == files
    assert forge.open_repository(REPO).read_object(git_object("blob", b"").id) is not None


def test_an_event_is_sent_to_the_pipeline_s_own_repository(forge: Forge) -> None:
    forge.dispatch(REPO, "pipeline-build", actor=PIPELINE)
    forge.dispatch(REPO, "pipeline-build", actor=PIPELINE)
    with pytest.raises(NotFound):
        forge.dispatch("none", "pipeline-build", actor=PIPELINE)


def test_a_comment_with_a_key_is_updated_in_place(forge: Forge) -> None:
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


def test_the_newest_verdict_of_a_check_counts(forge: Forge) -> None:
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


def test_a_missing_team_has_no_members(forge: Forge) -> None:
    assert forge.read_team("nobody-s-team") in (None, frozenset())


def test_no_branch_requires_signatures_by_default(forge: Forge) -> None:
    assert forge.read_signed_branches(REPO, ("main", "state/not-there-yet")) == {}
    hosting = forge.read_hosting(REPO)
    assert hosting is None or not hosting.is_public
    for read in (forge.read_hosting, lambda repo: forge.read_signed_branches(repo, ("main",))):
        with pytest.raises(NotFound):
            read("none")
