"""What has run where: bounded in the status, whole in the facts, and known of older statuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.models.base import ImageDigest, Moment
from pipeline.models.evidence import Observation
from pipeline.models.facts import Fact, FactBody, Observed, Promoted
from pipeline.models.requests import EnvironmentName
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import draft_path, promotion_path
from pipeline.state.bounds import is_bounded
from pipeline.state.evidence import history_of, with_evidence
from pipeline.state.facts import (
    fold,
    fold_one,
    is_fold_of,
    next_fact,
    parse_status,
    status_bytes,
)
from pipeline.state.runs import LISTED_RUNS, lacks_runs, runs_of, without_runs
from tests.support import fact_history as history
from tests.support.samples import DRAFT

BUILT = history.sample_facts()[:-2]


def promoted(number: int, environment: EnvironmentName = "dev") -> Promoted:
    release = history.RELEASE.model_copy(
        update={
            "digest": history.digest_of(f"image {number}"),
            "source_tree": history.id_of(f"tree {number}"),
        }
    )
    body = history.promoted("dev", history.sample_status())
    return body.model_copy(update={"environment": environment, "release": release})


def observed(number: int, **changes: object) -> Observed:
    seen = Observation(
        environment="dev",
        draft=DRAFT,
        digest=ImageDigest(history.digest_of(f"image {number}")),
        health="Healthy",
        sync="Synced",
        revision=history.SOURCE_COMMIT,
    )
    return Observed(observation=seen.model_copy(update=changes))


def extended(bodies: Sequence[FactBody], facts: Sequence[Fact] = BUILT) -> tuple[Fact, ...]:
    chain, status = list(facts), fold(facts)
    for body in bodies:
        path = promotion_path(DRAFT, "dev") if isinstance(body, Promoted) else draft_path(DRAFT)
        fact = next_fact(DRAFT, status, history.cause_of(path), body)
        status = fold_one(status, fact)
        chain.append(fact)
    return tuple(chain)


def folded(facts: Sequence[Fact]) -> DraftStatus:
    status = fold(facts)
    assert status is not None
    return status


def test_each_promotion_begins_a_run() -> None:
    facts = extended([promoted(1), promoted(1, "staging"), promoted(2)])
    first = len(BUILT) + 1
    told = [(r.environment, r.release.digest, r.fact) for r in folded(facts).runs]
    assert told == [
        ("dev", history.digest_of("image 1"), first),
        ("staging", history.digest_of("image 1"), first + 1),
        ("dev", history.digest_of("image 2"), first + 2),
    ]


def test_a_status_lists_the_newest_runs_of_each_environment_and_facts_have_the_others() -> None:
    count = LISTED_RUNS + 5
    bodies = [promoted(1, "staging"), *(promoted(n) for n in range(1, count + 1))]
    facts = extended(bodies)
    status = folded(facts)
    ran = [r.release.digest for r in status.runs_in(["dev"])]
    assert ran == [history.digest_of(f"image {n}") for n in range(6, count + 1)]
    assert len(status.runs_in(["staging"])) == 1 and is_bounded(status)
    assert len(runs_of(facts)) == count + 1

    old = with_evidence(status, history_of(facts, promoted(2).release.source_tree))
    assert [r.release.digest for r in old.runs_in(["dev"])][:2] == [
        history.digest_of("image 2"),
        history.digest_of("image 6"),
    ]
    unknown = with_evidence(status, history_of(facts, history.id_of("no tree")))
    assert unknown.runs == status.runs


@pytest.mark.parametrize(
    ("bodies", "healthy"),
    [
        ([promoted(1)], [False]),
        ([promoted(1), observed(1)], [True]),
        ([promoted(1), observed(1, health="Degraded")], [False]),
        ([promoted(1), observed(1, sync="OutOfSync")], [False]),
        ([promoted(1), observed(2)], [False]),
        ([promoted(1), observed(1, environment="staging")], [False]),
        ([promoted(1), observed(1), observed(1, health="Degraded")], [True]),
        # What was seen of the image that ran before is nothing about the one that runs.
        ([promoted(1), promoted(2), observed(1)], [False, False]),
        # The same image once more may have other settings.
        ([promoted(1), observed(1), promoted(1)], [True, False]),
    ],
)
def test_a_run_was_healthy_if_exactly_it_was_seen_so(
    bodies: list[FactBody], healthy: list[bool]
) -> None:
    assert [run.was_healthy for run in folded(extended(bodies)).runs] == healthy


def at(hour: int) -> Moment:
    return f"2026-12-01T{hour:02d}:00:00Z"


def timed(number: int, hour: int, environment: EnvironmentName = "dev") -> Promoted:
    return promoted(number, environment).model_copy(update={"merged_at": at(hour)})


def test_a_run_lasts_from_its_merge_to_the_next_one_there() -> None:
    facts = extended([timed(1, 1), timed(1, 2, "staging"), timed(2, 3)])
    assert [(r.since, r.until) for r in folded(facts).runs] == [
        (at(1), at(3)),
        (at(2), None),
        (at(3), None),
    ]


def test_a_run_without_a_merge_of_a_known_time_begins_when_it_was_decided() -> None:
    undated = promoted(2).model_copy(update={"merged_at": None})
    facts = extended([timed(1, 1), undated])
    for moment in (at(4), None):
        told = facts[-1].model_copy(update={"decided_at": moment})
        earlier, later = folded((*facts[:-1], told)).runs
        assert (earlier.until, later.since) == (moment, moment)


@pytest.mark.parametrize(
    ("seen", "since"),
    [
        ([(1, {})], 1),
        ([(1, {}), (2, {"message": "scaled"})], 1),
        ([(1, {}), (2, {"health": "Degraded"})], None),
        ([(1, {}), (2, {"health": "Unknown"}), (3, {})], 3),
        ([(1, {}), (2, {"sync": "OutOfSync"}), (3, {})], 3),
        ([(1, {}), (2, {"environment": "staging", "health": "Degraded"})], 1),
    ],
)
def test_health_is_counted_from_when_it_was_seen_without_a_break(
    seen: list[tuple[int, dict[str, str]]], since: int | None
) -> None:
    bodies = [observed(1, observed_at=at(hour), **changes) for hour, changes in seen]
    (run,) = folded(extended([promoted(1), *bodies])).runs
    assert (run.was_healthy, run.healthy_since) == (True, at(since) if since else None)


def test_a_status_of_a_tool_without_runs_is_a_fold_and_is_folded_anew() -> None:
    facts = extended([promoted(1), promoted(2)])
    older = parse_status(status_bytes(without_runs(folded(facts))))
    assert lacks_runs(older) and not lacks_runs(folded(facts))
    assert is_fold_of(older, facts) and is_fold_of(folded(facts), facts)
    assert b"runs:" not in status_bytes(older)
    more = extended([promoted(3)], facts)[-1]
    assert fold_one(older, more, lambda: facts) == fold((*facts, more))
    # The gate knows what ran from the facts.
    assert (
        with_evidence(older, history_of(facts, promoted(1).release.source_tree)).runs
        == folded(facts).runs
    )


def test_a_status_without_promotions_has_the_same_bytes_in_both_forms() -> None:
    status = folded(BUILT)
    assert status_bytes(status) == status_bytes(without_runs(status)) and not lacks_runs(status)
