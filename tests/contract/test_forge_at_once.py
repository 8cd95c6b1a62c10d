"""The contract of opening several pull requests in one call."""

from __future__ import annotations

import pytest

from pipeline.errors import ForgeRefused, NotFound
from pipeline.forges.port import Forge, PullAsk, PullState
from tests.support.forge_contract import (
    AUTHOR,
    REPO,
    STRANGER,
    approve,
    head_of,
    merge,
    open_pull,
    push,
)


def ask(branch: str, title: str = "Several", base: str = "main") -> PullAsk:
    return PullAsk(branch, base, title, f"Body of {branch}")


def test_pull_requests_are_opened_in_the_order_of_the_call(forge: Forge) -> None:
    branches = ("draft/b", "draft/a", "draft/c")
    heads = {b: push(forge, b, {b.replace("/", "-"): b"1"}, None) for b in branches}
    pulls = forge.open_pulls(REPO, [ask(b) for b in branches], actor=AUTHOR)
    assert [(p.head_branch, p.head, p.title, p.body) for p in pulls] == [
        (b, heads[b], "Several", f"Body of {b}") for b in branches
    ]
    assert all(p.state is PullState.OPEN and p.author_id == AUTHOR for p in pulls)
    assert [p.number for p in pulls] == sorted({p.number for p in pulls})
    assert forge.read_pulls(REPO) == pulls


def test_open_pull_requests_are_found_among_new_ones(forge: Forge) -> None:
    first = open_pull(forge, "draft/one")
    merged = open_pull(forge, "draft/two")
    approve(forge, merged)
    merge(forge, merged)
    push(forge, "draft/new", {"new": b"1"}, None)
    asked = [ask("draft/new"), ask("draft/one", "Other"), ask("draft/two", "Too late")]
    new, one, two = forge.open_pulls(REPO, asked, actor=AUTHOR)
    assert (one.number, one.title) == (first.number, "Other")
    assert (two.number, two.title, two.state) == (merged.number, "One", PullState.MERGED)
    assert new.number not in (first.number, merged.number)
    assert forge.open_pulls(REPO, asked, actor=AUTHOR) == (new, one, two)
    # Somebody else's stay as they are.
    assert forge.open_pulls(REPO, [ask("draft/one", "Mine")], actor=STRANGER) == (one,)
    assert len(forge.read_pulls(REPO)) == 3


def test_a_pull_request_asked_for_twice_is_opened_once(forge: Forge) -> None:
    push(forge, "draft/one", {"a": b"1"}, None)
    first, second = forge.open_pulls(REPO, [ask("draft/one"), ask("draft/one")], actor=AUTHOR)
    assert first == second
    assert forge.read_pulls(REPO) == (first,)


def test_an_empty_call_opens_nothing(forge: Forge) -> None:
    assert forge.open_pulls(REPO, [], actor=AUTHOR) == ()
    assert forge.read_pulls(REPO) == ()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (ask("draft/none"), NotFound),
        (ask("draft/one", base="none"), NotFound),
        (ask("main"), ForgeRefused),
    ],
    ids=["no such branch", "no such base", "into itself"],
)
def test_an_invalid_pull_request_is_reported(
    forge: Forge, bad: PullAsk, error: type[Exception]
) -> None:
    push(forge, "draft/one", {"a": b"1"}, None)
    with pytest.raises(error):
        forge.open_pulls(REPO, [ask("draft/one"), bad], actor=AUTHOR)
    # Whether the good one is open by now is the forge's affair; asked for again, it is.
    [pull] = forge.open_pulls(REPO, [ask("draft/one")], actor=AUTHOR)
    assert pull.head == head_of(forge, "draft/one")
    assert forge.read_pulls(REPO) == (pull,)
