"""Facts: the chain refuses any changed byte; the fold reaches exactly the documented states."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from pipeline.models.base import CommitId, canonical_json
from pipeline.models.facts import (
    Accepted,
    FactBody,
    Observed,
    PatchApplied,
    PatchRefused,
    PromotionRefused,
    Reason,
    Rejected,
)
from pipeline.models.status import DraftState, DraftStatus
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from pipeline.state.facts import (
    BrokenChain,
    FactFile,
    fact_bytes,
    fact_path,
    fold,
    fold_one,
    hash_of,
    next_fact,
    parse_chain,
    parse_status,
    status_bytes,
)
from tests.support import fact_history as history
from tests.support.deliveries import observation
from tests.support.samples import DRAFT

FACTS = history.sample_facts()
FILES = history.fact_files(FACTS)


def test_canonical_json_has_one_form() -> None:
    assert (
        canonical_json({"b": [1, None], "a": "ä\u2028"})
        == '{"a":"ä\u2028","b":[1,null]}\n'.encode()
    )
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_a_chain_reads_back_as_it_was_written() -> None:
    assert parse_chain(DRAFT, FILES) == FACTS
    assert parse_chain(DRAFT, FILES[::-1]) == FACTS
    assert parse_chain(DRAFT, ()) == ()


def test_each_fact_names_the_hash_of_the_one_before() -> None:
    assert FACTS[0].previous == ""
    for before, after in zip(FILES, FACTS[1:], strict=False):
        assert after.previous == hash_of(before.content)


def test_every_changed_bit_is_noticed() -> None:
    # A change shows in the fact itself or in the next one; of the newest, in the status.
    status = history.sample_status()
    for index, file in enumerate(FILES):
        for position in range(len(file.content)):
            content = bytearray(file.content)
            content[position] ^= 1
            changed = dataclasses.replace(file, content=bytes(content))
            try:
                facts = parse_chain(DRAFT, [*FILES[:index], changed, *FILES[index + 1 : index + 2]])
            except BrokenChain as broken:
                assert broken.file in {file.path, FILES[min(index + 1, len(FILES) - 1)].path}
                continue
            folded = fold(facts)
            assert index == len(FILES) - 1 and folded != status, f"{file.path} byte {position}"


def _with(index: int, **changes: object) -> list[FactFile]:
    files = list(FILES)
    fact = json.loads(files[index].content)
    files[index] = dataclasses.replace(files[index], content=canonical_json({**fact, **changes}))
    return files


TAMPERED: dict[str, tuple[Callable[[], list[FactFile]], str]] = {
    "not json": (lambda: [dataclasses.replace(FILES[0], content=b"{")], "is not a fact"),
    "unknown field": (lambda: _with(0, extra=1), "is not a fact"),
    "a number as text": (lambda: _with(0, sequence="1"), "is not a fact"),
    "a space": (
        lambda: [dataclasses.replace(FILES[0], content=FILES[0].content.replace(b":", b": ", 1))],
        "not canonical",
    ),
    "no line break": (
        lambda: [dataclasses.replace(FILES[0], content=FILES[0].content.rstrip())],
        "not canonical",
    ),
    "another draft": (lambda: _with(0, draft="acme/other"), "belongs to acme/other"),
    "another sequence": (lambda: _with(1, sequence=3), "sequence 3 where 2 is due"),
    "a gap": (lambda: [FILES[0], *FILES[2:]], "sequence 3 where 2 is due"),
    "the first one missing": (lambda: list(FILES[1:]), "sequence 2 where 1 is due"),
    "another file name": (
        lambda: [dataclasses.replace(FILES[0], path=FILES[0].path.replace("accepted", "built"))],
        "file name",
    ),
    "another fact before": (lambda: _with(1, previous="sha256:" + "0" * 64), "the fact before it"),
    "nothing before": (lambda: _with(1, previous=""), "names nothing as the fact before it"),
    "something before the first": (
        lambda: _with(0, previous="sha256:" + "0" * 64),
        "that is none",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_broken_chain_says_what_does_not_fit(name: str) -> None:
    files, message = TAMPERED[name]
    with pytest.raises(BrokenChain, match=message) as caught:
        parse_chain(DRAFT, files())
    assert caught.value.file.startswith("drafts/order-router/facts/")


def test_the_fold_gives_the_whole_status() -> None:
    status = history.sample_status()
    assert status.state is DraftState.PROMOTED_STAGING
    assert status.facts == len(FACTS) and status.newest_fact == hash_of(FILES[-1].content)
    assert status.head == history.SOURCE_COMMIT and status.head_tree == history.SOURCE_TREE
    assert [p.environment for p in status.promotions] == ["dev", "staging"]
    staging = status.promotion("staging")
    assert staging is not None and staging.approved_by == history.RELEASE_MANAGERS[:1]
    assert staging.fact == len(FACTS)
    assert status.requests == {
        path: history.cause_of(path).blob
        for path in (
            draft_path(DRAFT),
            patch_path(DRAFT, "0001"),
            promotion_path(DRAFT, "dev"),
            promotion_path(DRAFT, "staging"),
        )
    }


def test_the_fold_of_no_facts_is_no_status() -> None:
    assert fold(()) is None


def test_folding_one_by_one_gives_the_same() -> None:
    status: DraftStatus | None = None
    states = []
    for fact in FACTS:
        status = fold_one(status, fact)
        states.append(status.state)
    assert status == history.sample_status()
    assert list(dict.fromkeys(states)) == [
        DraftState.PENDING,
        DraftState.SCAFFOLDED,
        DraftState.IN_REVIEW,
        DraftState.PROMOTED_DEV,
        DraftState.PROMOTED_STAGING,
    ]


def test_a_first_fact_must_be_the_acceptance() -> None:
    first = next_fact(DRAFT, None, history.cause_of("x"), Rejected(reason="closed"))
    with pytest.raises(BrokenChain, match="first fact must be `accepted`"):
        fold([first])


def _after(body: FactBody, request: str = "tenants/acme/x") -> DraftStatus:
    status = history.sample_status()
    return fold_one(status, next_fact(DRAFT, status, history.cause_of(request), body))


def test_rejection_ends_a_draft_for_good() -> None:
    status = _after(Rejected(reason="closed"))
    assert status.state is DraftState.REJECTED
    again = next_fact(
        DRAFT, status, history.cause_of("x"), history.promoted("prod", history.sample_status())
    )
    assert fold_one(status, again).state is DraftState.REJECTED


def test_a_refused_patch_keeps_its_reasons_and_moves_no_head() -> None:
    reason = Reason(code="patch-secret", message="line 3")
    status = _after(PatchRefused(patch="0002", reasons=(reason,)))
    assert [(p.patch, p.outcome) for p in status.patches] == [
        ("0001", "applied"),
        ("0002", "refused"),
    ]
    assert status.patches[1].reasons == (reason,)
    assert status.head == history.SOURCE_COMMIT and status.state is DraftState.PROMOTED_STAGING


def test_a_promotion_clears_the_refusal_before_it() -> None:
    reason = Reason(code="environment-order", message="staging has not run it")
    refused = _after(PromotionRefused(environment="prod", reasons=(reason,)))
    assert [r.environment for r in refused.refused_promotions] == ["prod"]
    body = history.promoted("prod", history.sample_status())
    promoted = fold_one(refused, next_fact(DRAFT, refused, history.cause_of("x"), body))
    assert promoted.refused_promotions == () and promoted.state is DraftState.PROMOTED_PROD


def test_a_later_promotion_to_dev_keeps_the_state() -> None:
    status = _after(history.promoted("dev", history.sample_status()))
    assert status.state is DraftState.PROMOTED_STAGING
    assert [p.environment for p in status.promotions] == ["dev", "staging"]


def test_an_observation_is_kept_with_its_promotion() -> None:
    seen = observation("staging", revision=history.id_of("merge in staging"))
    status = _after(Observed(observation=seen), "tenants/acme/observed")
    staging, dev = status.promotion("staging"), status.promotion("dev")
    assert staging is not None and staging.observation == seen
    assert dev is not None and dev.observation is None
    assert "tenants/acme/observed" not in status.requests


def test_accepting_a_new_revision_updates_only_what_may_change() -> None:
    body = history.accepted().model_copy(update={"risk_tier": "HIGH", "target_repo": "elsewhere"})
    assert isinstance(body, Accepted)
    status = _after(body)
    assert status.risk_tier == "HIGH"
    assert status.target_repo == "tenant-acme-controllers"
    assert status.state is DraftState.PROMOTED_STAGING


def test_a_second_patch_with_the_same_number_replaces_the_first() -> None:
    before = history.sample_status()
    body = PatchApplied(
        patch="0001",
        branch=before.branch_name,
        commit=CommitId(history.id_of("again")),
        tree=history.SOURCE_TREE,
        pull_request=history.link("tenant-acme-controllers", 1),
    )
    assert [(p.patch, p.commit) for p in _after(body).patches] == [("0001", history.id_of("again"))]


def test_a_status_reads_back_as_it_was_written() -> None:
    status = history.sample_status()
    content = status_bytes(status)
    assert parse_status(content) == status
    assert status_bytes(parse_status(content)) == content
    assert content.startswith(b"# The fold of the facts")


def test_status_bytes_do_not_depend_on_a_fact_s_key_order() -> None:
    first = FACTS[0]
    assert isinstance(first.body, Accepted)
    turned = dict(reversed(first.body.target_namespaces.items()))
    body = first.body.model_copy(update={"target_namespaces": turned})
    other = first.model_copy(update={"body": body})
    assert fact_bytes(other) == fact_bytes(first)
    assert status_bytes(fold_one(None, other)) == status_bytes(fold_one(None, first))


def test_file_names_sort_in_the_order_of_the_facts() -> None:
    paths = [fact_path("x", n, "accepted") for n in (1, 2, 10, 100, 99_999, 999_999)]
    assert paths == sorted(paths)
