"""What still runs although main says otherwise, and the way out that is proposed."""

from __future__ import annotations

import pytest

from pipeline.gate.standing import Standing, check_blocked
from tests.support import fact_history as history
from tests.support.samples import DRAFT

BAD, GOOD = history.DIGEST, f"sha256:{'9' * 64}"


def standing(**earlier: str) -> Standing:
    """A draft whose bad image runs in dev and prod."""
    before = {environment: frozenset({digest}) for environment, digest in earlier.items()}
    return Standing(DRAFT, False, {"dev": BAD, "prod": BAD}, before)


@pytest.mark.parametrize(
    ("earlier", "help"),
    [
        (
            {"dev": GOOD, "prod": GOOD},
            f"go back: `pipeline rollback {DRAFT} --env dev` and "
            f"`pipeline rollback {DRAFT} --env prod`",
        ),
        (
            {"prod": GOOD},
            f"go back: `pipeline rollback {DRAFT} --env prod`; or promote a release built from "
            f"other source, from `pipeline promote request {DRAFT} --env dev` on",
        ),
        (
            {"prod": BAD},
            "promote a release built from other source, from "
            f"`pipeline promote request {DRAFT} --env dev` on",
        ),
    ],
)
def test_a_rollback_is_proposed_where_an_earlier_release_is_not_blocked(
    earlier: dict[str, str], help: str
) -> None:
    [found] = check_blocked([standing(**earlier)], {BAD: "It leaks"})
    assert found.help == help


def test_a_standing_read_plainly_equals_that_of_the_status() -> None:
    status = history.sample_status()
    told = status.model_dump(mode="json")
    assert Standing.of(told) == Standing.of_status(status) and status.promotions
