"""The table of fact types: every row, on an example of its type."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from pipeline.characters import visible
from pipeline.models.base import BlobId
from pipeline.models.evidence import Observation
from pipeline.models.facts import (
    FactBody,
    HoldLifted,
    Observed,
    PatchRefused,
    PromotionRefused,
    PromotionSuperseded,
    Reason,
    Rejected,
    Retired,
)
from pipeline.requests.kinds import KINDS
from pipeline.requests.layout import (
    draft_path,
    environment_path,
    group_path,
    patch_path,
    promotion_path,
    retirement_path,
)
from pipeline.state.fact_types import FACT_TYPES, ROWS, FactType, type_of
from pipeline.state.facts import fact_bytes, fold_one, next_fact, parse_chain, parse_status
from pipeline.state.facts import status_bytes as written
from tests.support import fact_history as history
from tests.support.samples import DRAFT

_BODIES = {fact.body.type: fact.body for fact in history.sample_facts()}
# Beside what happened to the sample draft.
_OTHERS: tuple[FactBody, ...] = (
    PatchRefused(patch="0002", reasons=(Reason(code="patch-secret", message="line 3"),)),
    PromotionRefused(
        environment="prod", reasons=(Reason(code="environment-order", message="not yet"),)
    ),
    Observed(
        observation=Observation(
            environment="dev",
            draft=DRAFT,
            digest=history.DIGEST,
            health="Healthy",
            sync="Synced",
            revision=history.SOURCE_COMMIT,
        )
    ),
    PromotionSuperseded(
        environment="prod", blob=BlobId(history.id_of("old")), commit=history.SOURCE_COMMIT
    ),
    HoldLifted(environment="prod", hold=9, approved_by=(1501, 1601)),
    Retired(
        environment="staging",
        overlay_folder="environments/staging/order-router",
        gitops_repo="tenant-acme-gitops",
        gitops_commit=history.SOURCE_COMMIT,
        pull_request=history.link("tenant-acme-gitops", 7),
    ),
    Rejected(reason="pull request 7 was closed without a merge"),
)
EXAMPLES: dict[str, Any] = _BODIES | {body.type: body for body in _OTHERS}
_PATHS = {
    "PrimitiveImplementationDraft": draft_path(DRAFT),
    "DraftPatch": patch_path(DRAFT, "0002"),
    "Promotion": promotion_path(DRAFT, "prod"),
    "ReleaseGroup": group_path("spring"),
    "Environment": environment_path("prod"),
    "Retirement": retirement_path(DRAFT),
}


def test_every_type_of_body_has_one_row_and_an_example() -> None:
    union, _ = get_args(FactBody)
    assert [row.body for row in ROWS] == list(get_args(union))
    assert len(FACT_TYPES) == len(ROWS)
    assert FACT_TYPES.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_folds_its_example_as_it_is_read_back(row: FactType[Any]) -> None:
    before, body = history.sample_status(), EXAMPLES[row.name]
    assert type_of(body) is row
    request = _PATHS[row.caused_by[-1]]
    fact = next_fact(DRAFT, before, history.cause_of(request), body)
    after = fold_one(before, fact)
    [file] = history.fact_files([fact])
    assert file.content == fact_bytes(fact)
    chain = parse_chain(DRAFT, history.fact_files((*history.sample_facts(), fact)))
    assert chain[-1] == fact
    assert parse_status(written(after)) == after
    assert (after.requests.get(request) == fact.cause.blob) == (
        row.settles_request or before.requests.get(request) == fact.cause.blob
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_its_example_in_one_line_and_names_requests(row: FactType[Any]) -> None:
    body = EXAMPLES[row.name]
    said = row.sentence(body)
    assert said and visible(said) == said
    assert row.caused_by and {*row.caused_by} <= {kind.name for kind in KINDS}
    # A patch and a promotion are called something, and a draft's own request is not.
    if row.request_name(body):
        assert not {"PrimitiveImplementationDraft"} & {*row.caused_by}
    for commit, tree in row.sources(body):
        assert len(commit) == len(tree) == 40
    reasons = row.reasons(body)
    assert reasons is None or reasons == body.reasons
