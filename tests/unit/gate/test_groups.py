"""What a release group says of members that moved, and how to undo it."""

from __future__ import annotations

from pipeline.gate.groups import Companion, decided_s, half_applied
from pipeline.gate.standing import InGroup, Standing, check_groups

MOVED = Companion("acme/router", moved_s=20)
EARLIER = Companion("acme/desk", moved_s=10)
WAITS = Companion("contoso/rating")
PART = InGroup("releases/spring.yaml", "c" * 40, "prod")
NEWER = InGroup("releases/spring.yaml", "d" * 40, "prod")


def test_the_first_move_decides_a_group() -> None:
    assert decided_s((WAITS,)) is None
    assert decided_s((MOVED, WAITS, EARLIER)) == 10


def test_what_moved_is_named_with_what_undoes_it() -> None:
    assert half_applied((WAITS,), "prod") == ""
    assert half_applied((MOVED, WAITS, EARLIER), "prod") == (
        "acme/router, acme/desk moved already; to undo it: `pipeline rollback acme/router "
        "--env prod` and `pipeline rollback acme/desk --env prod`"
    )


def test_a_group_is_half_applied_while_one_runs_and_another_was_refused() -> None:
    moved = Standing("acme/router", False, {}, moved=frozenset({PART}))
    refused = Standing("contoso/rating", False, {}, refused=frozenset({PART}))
    anew = Standing("contoso/rating", False, {}, refused=frozenset({NEWER}))
    assert [f.code for f in check_groups([moved, refused])] == ["group-half-applied"]
    assert list(check_groups([moved, anew])) == []
    assert list(check_groups([moved])) == list(check_groups([refused])) == []
    assert list(check_groups([moved, refused], {"fabrikam/desk"})) == []
    assert len(list(check_groups([moved, refused], {"contoso/rating"}))) == 1
