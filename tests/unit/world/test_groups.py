"""What became of a member of a release group, according to its facts."""

from __future__ import annotations

import pytest

from pipeline.gate.groups import Companion
from pipeline.models.base import BlobId, CommitId, moment_of
from pipeline.models.facts import (
    Fact,
    FactBody,
    PartOfGroup,
    Promoted,
    PromotionRefused,
    PromotionSuperseded,
    Reason,
)
from pipeline.requests.layout import group_path, promotion_path
from pipeline.world.groups import answer_in
from tests.support import fact_history as history
from tests.support.samples import DRAFT
from worlds.control_repo import CLOCK_S

PATH, BLOB = group_path("spring"), BlobId(history.id_of("group"))
OTHER = promotion_path(DRAFT, "prod")


def told(body: FactBody, request: str = PATH, blob: BlobId = BLOB) -> Fact:
    newest = history.sample_facts()[-1]
    cause = newest.cause.model_copy(update={"request": request, "blob": blob})
    return newest.model_copy(update={"cause": cause, "body": body})


def promoted(*, with_group: bool = True) -> Promoted:
    body = history.sample_facts()[-1].body
    assert isinstance(body, Promoted)
    part = PartOfGroup(name="spring", decided_at=moment_of(CLOCK_S)) if with_group else None
    return body.model_copy(update={"group": part})


REFUSED = PromotionRefused(
    environment="prod", reasons=(Reason(code="digest-blocked", message="it leaks"),)
)
REPLACED = PromotionSuperseded(
    environment="prod", blob=BLOB, commit=CommitId(history.id_of("older")), request=PATH
)
MOVED = Companion(DRAFT, moved_s=CLOCK_S)
ELSEWHERE = Companion(DRAFT, ended="was answered by another request")


@pytest.mark.parametrize(
    ("fact", "found"),
    [
        (told(promoted()), MOVED),
        (told(promoted(), blob=BlobId(history.id_of("older group"))), ELSEWHERE),
        (told(promoted(with_group=False), request=OTHER), ELSEWHERE),
        (told(REFUSED), Companion(DRAFT, ended="was refused: digest-blocked")),
        (told(REFUSED, request=OTHER), ELSEWHERE),
        (told(REPLACED, request=OTHER), Companion(DRAFT, ended=f"was replaced by {OTHER}")),
    ],
)
def test_the_newest_answer_to_this_revision_counts(fact: Fact, found: Companion) -> None:
    assert answer_in([*history.sample_facts(), fact], DRAFT, PATH, BLOB) == found


def test_a_member_that_moved_stays_so_whatever_it_runs_later() -> None:
    later = told(promoted(with_group=False), request=OTHER)
    assert answer_in([told(promoted()), later], DRAFT, PATH, BLOB) == MOVED
