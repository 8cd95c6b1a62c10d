"""A status lists the newest entries only; older ones are found in the facts, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.models.base import BlobId, CommitId, ImageDigest, TreeId
from pipeline.models.evidence import BuildRecord, CheckOutcome, CheckReport, CheckResult
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    Fact,
    FactBody,
    PatchApplied,
    PatchRefused,
    PromotionRefused,
    Reason,
)
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from pipeline.state.bounds import LISTED, is_bounded, requests_due
from pipeline.state.evidence import history_of, with_evidence
from pipeline.state.facts import (
    fact_path,
    fold,
    fold_one,
    is_fold_of,
    next_fact,
    older_folds,
    parse_chain,
    parse_status,
    status_bytes,
)
from tests.support import fact_history as history
from tests.support.samples import DRAFT

SCAFFOLDED = history.sample_facts()[:3]


def body_of(number: int, *, outcome: str = "applied", reasons: int = 1) -> FactBody:
    patch = f"{number:04d}"
    if outcome == "refused":
        told = tuple(Reason(code="patch-secret", message=f"line {n}") for n in range(reasons))
        return PatchRefused(patch=patch, reasons=told)
    return PatchApplied(
        patch=patch,
        branch="draft/order-router/0123456789ab",
        commit=CommitId(history.id_of(f"commit {number}")),
        tree=tree_of(number),
        pull_request=history.link("tenant-acme-controllers", 1),
    )


def tree_of(number: int) -> TreeId:
    return TreeId(history.id_of(f"tree {number}"))


def checks_of(number: int, summary: str = "passed") -> ChecksRecorded:
    result = CheckResult(
        name="lint", outcome=CheckOutcome.PASSED, tool="checker 1.0", summary=summary
    )
    commit = CommitId(history.id_of(f"commit {number}"))
    return ChecksRecorded(
        report=CheckReport(commit=commit, tree=tree_of(number), results=(result,))
    )


def build_of(number: int) -> Built:
    return Built(
        build=BuildRecord(
            source_commit=CommitId(history.id_of(f"commit {number}")),
            source_tree=tree_of(number),
            digest=ImageDigest(history.digest_of(f"image {number}")),
            builder="source-layout",
            image="registry.example.com/x",
            bundle="{}",
        )
    )


def extended(facts: Sequence[Fact], bodies: Sequence[tuple[str, FactBody]]) -> tuple[Fact, ...]:
    """The chain with facts of these bodies at its end; a revision's word gives another blob."""
    chain, status = list(facts), fold(facts)
    for request, body in bodies:
        path, _, word = request.partition("#")
        cause = history.cause_of(path)
        if word:
            cause = cause.model_copy(update={"blob": BlobId(history.id_of(f"{path} {word}"))})
        fact = next_fact(DRAFT, status, cause, body)
        status = fold_one(status, fact, lambda before=tuple(chain): before)
        chain.append(fact)
    return tuple(chain)


def patched(count: int, facts: Sequence[Fact] = SCAFFOLDED) -> tuple[Fact, ...]:
    numbers = range(1, count + 1)
    return extended(facts, [(patch_path(DRAFT, f"{n:04d}"), body_of(n)) for n in numbers])


def folded(facts: Sequence[Fact]) -> DraftStatus:
    status = fold(facts)
    assert status is not None
    return status


def asked_of(facts: Sequence[Fact]) -> dict[str, str]:
    """What main holds when all of it was dealt with."""
    return {f.cause.request: f.cause.blob for f in facts}


def no_facts() -> tuple[Fact, ...]:
    raise AssertionError("facts are read though the status tells")


def test_a_short_history_is_listed_whole() -> None:
    facts = patched(LISTED)
    *_, (unbounded, _) = older_folds(facts)
    assert folded(facts) == unbounded and folded(facts).earlier_patches is None
    assert b"earlier_patches" not in status_bytes(unbounded)


def test_the_size_of_a_status_does_not_grow_with_the_history() -> None:
    bodies = [
        (request, body)
        for n in range(1, 61)
        for request, body in (
            (patch_path(DRAFT, f"{n:04d}"), body_of(n)),
            (draft_path(DRAFT), checks_of(n)),
            (promotion_path(DRAFT, "dev"), build_of(n)),
        )
    ]
    sizes = [len(status_bytes(folded(extended(SCAFFOLDED, bodies[: 3 * n])))) for n in (20, 40, 60)]
    # Some numbers have a digit more.
    assert max(sizes) - min(sizes) < 100
    status = folded(extended(SCAFFOLDED, bodies))
    assert [p.patch for p in status.patches] == [f"{n:04d}" for n in range(51, 61)]
    assert [c.tree for c in status.checks] == [tree_of(n) for n in range(51, 61)]
    assert [b.source_tree for b in status.builds] == [tree_of(n) for n in range(51, 61)]
    earlier = status.earlier_patches
    assert earlier is not None and (earlier.count, earlier.applied) == (50, 50)
    assert parse_status(status_bytes(status)) == status


def test_reasons_are_listed_up_to_a_number() -> None:
    refused = body_of(1, outcome="refused", reasons=3 * LISTED)
    told = tuple(Reason(code="environment-order", message=str(n)) for n in range(3 * LISTED))
    facts = extended(
        SCAFFOLDED,
        [
            (patch_path(DRAFT, "0001"), refused),
            (promotion_path(DRAFT, "dev"), PromotionRefused(environment="dev", reasons=told)),
        ],
    )
    status = folded(facts)
    assert len(status.patches[0].reasons) == len(status.refused_promotions[0].reasons) == LISTED


def test_folding_one_by_one_gives_the_same_in_any_order_of_patches() -> None:
    numbers = [*range(5, 40), 2, 3, 41, 1, 7, 40, 4]
    words = ["applied", "refused"]
    facts = extended(
        SCAFFOLDED,
        [
            (patch_path(DRAFT, f"{n:04d}") + "#x" * (n == 7), body_of(n, outcome=words[n % 2]))
            for n in numbers
        ],
    )
    status: DraftStatus | None = None
    for position, fact in enumerate(facts):
        status = fold_one(
            status and parse_status(status_bytes(status)), fact, lambda at=position: facts[:at]
        )
    assert status == fold(facts) and status is not None and status.earlier_patches is not None
    # The same patches in the order of their numbers, of the same content.
    in_order = extended(
        SCAFFOLDED,
        [
            (patch_path(DRAFT, f"{n:04d}") + "#x" * (n == 7), body_of(n, outcome=words[n % 2]))
            for n in range(1, 42)
        ],
    )
    assert folded(in_order).earlier_patches == status.earlier_patches
    assert (status.earlier_patches.count, status.earlier_patches.applied) == (31, 15)


def test_a_patch_below_the_listed_ones_needs_older_facts() -> None:
    facts = patched(3 * LISTED)
    again = extended(facts, [(patch_path(DRAFT, "0001") + "#again", body_of(1))])
    with pytest.raises(ValueError, match="rests on all facts"):
        fold_one(folded(facts), again[-1])


def test_a_finished_request_is_not_due_and_reads_no_fact() -> None:
    facts = patched(5 * LISTED)
    assert requests_due(folded(facts), asked_of(facts), no_facts) == frozenset()
    assert requests_due(None, {"a": "1"}, no_facts) == {"a"}


def test_a_new_request_is_due_and_reads_no_fact() -> None:
    facts, new = patched(5 * LISTED), patch_path(DRAFT, f"{5 * LISTED + 1:04d}")
    promotion = promotion_path(DRAFT, "dev")
    asked = {**asked_of(facts), new: "1" * 40, promotion: "2" * 40}
    assert requests_due(folded(facts), asked, no_facts) == {new, promotion}


@pytest.mark.parametrize("number", [1, 7, 4 * LISTED])
def test_a_changed_unlisted_patch_is_due_until_it_is_judged(number: int) -> None:
    facts, path = patched(5 * LISTED), patch_path(DRAFT, f"{number:04d}")
    again = extended(facts, [(f"{path}#again", body_of(number))])
    asked = asked_of(again)
    assert requests_due(folded(facts), asked, lambda: facts) == {path}
    assert requests_due(folded(again), asked, no_facts) == frozenset()


def test_a_deleted_patch_makes_nothing_due() -> None:
    facts = patched(5 * LISTED)
    asked = asked_of(facts)
    del asked[patch_path(DRAFT, "0002")]
    assert requests_due(folded(facts), asked, lambda: facts) == frozenset()


def test_a_patch_with_a_low_number_that_comes_late_is_due() -> None:
    chain = [
        (patch_path(DRAFT, f"{n:04d}"), body_of(n)) for n in range(1, 5 * LISTED + 1) if n != 3
    ]
    facts, late = extended(SCAFFOLDED, chain), patch_path(DRAFT, "0003")
    asked = {**asked_of(facts), late: "1" * 40}
    assert requests_due(folded(facts), asked, lambda: facts) == {late}


def test_checks_and_build_of_any_source_are_found() -> None:
    bodies: list[tuple[str, FactBody]] = [(draft_path(DRAFT), checks_of(1, "first"))]
    bodies += [(promotion_path(DRAFT, "dev"), build_of(n)) for n in range(1, 31)]
    bodies += [(draft_path(DRAFT), checks_of(n)) for n in range(1, 31)]
    facts = extended(SCAFFOLDED, bodies)
    status = folded(facts)
    assert status.checks_of_tree(tree_of(1)) is None and status.build_of_tree(tree_of(1)) is None
    known = with_evidence(status, history_of(facts, tree_of(1)))
    report, build = known.checks_of_tree(tree_of(1)), known.build_of_tree(tree_of(1))
    assert report is not None and report.results[0].summary == "passed"
    assert build is not None and (build.digest, build.bundle) == (
        history.digest_of("image 1"),
        "",
    )
    assert with_evidence(status, history_of(facts, tree_of(30))) == status
    assert with_evidence(status, history_of(facts, tree_of(99))) == status


def test_an_applied_patch_is_known_after_any_number_of_refusals() -> None:
    numbers = range(2, 3 * LISTED)
    refused = [(patch_path(DRAFT, f"{n:04d}"), body_of(n, outcome="refused")) for n in numbers]
    assert folded(extended(patched(1), refused)).is_patched
    assert not folded(extended(SCAFFOLDED, refused)).is_patched


def test_an_older_status_that_lists_everything_is_valid_and_folded_anew() -> None:
    facts = patched(3 * LISTED)
    *_, (older, _) = older_folds(facts)
    assert not is_bounded(older) and older.earlier_patches is None
    assert is_fold_of(older, facts) and is_fold_of(folded(facts), facts)
    assert not is_fold_of(older.model_copy(update={"head": "0" * 40}), facts)
    assert not is_fold_of(folded(facts), facts[:-1])
    more = patched(1, facts)[-1]
    assert fold_one(parse_status(status_bytes(older)), more, lambda: facts) == fold((*facts, more))


def test_a_folder_holds_few_facts_and_paths_sort_like_facts() -> None:
    paths = [fact_path("x", n, "built") for n in range(1, 10_001)]
    assert paths == sorted(paths)
    assert paths[:2] == [
        "drafts/x/facts/000001-built.json",
        "drafts/x/facts/000002-built.json",
    ]
    assert paths[98:100] == [
        "drafts/x/facts/000099-built.json",
        "drafts/x/later-facts/000/000100/000100-built.json",
    ]
    assert paths[-1] == "drafts/x/later-facts/010/010000/010000-built.json"
    folders = [path.rpartition("/")[0] for path in paths]
    assert max(map(folders.count, set(folders))) == 99
    assert max(folders.count(f) for f in set(folders) if "later" in f) == 50


def test_facts_are_read_from_every_layout() -> None:
    facts = patched(120)
    files = history.fact_files(facts)
    assert parse_chain(DRAFT, files[::-1]) == facts
    older = [
        file.__class__(f"drafts/order-router/facts/{file.path.rpartition('/')[2]}", file.content)
        for file in files
    ]
    assert parse_chain(DRAFT, [*older[:110], *files[110:]]) == facts
    misplaced = files[-1].__class__(
        files[-1].path.replace("/000100/", "/000150/"), files[-1].content
    )
    with pytest.raises(ValueError, match="file name"):
        parse_chain(DRAFT, [*files[:-1], misplaced])
    with pytest.raises(ValueError, match="has sequence"):
        parse_chain(DRAFT, [*files, older[-1]])
