"""Flux's Kustomizations and HelmReleases, and pods beside them, as observations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster_objects import (
    CHART,
    DIGEST,
    IMAGE,
    LABELS,
    OTHER_DIGEST,
    READ_AT,
    REVISION,
    helm_release,
    kustomization,
    pod,
    ready,
)
from tests.unit.delivery.test_argocd import observation, report


def test_a_kustomization_that_waits_tells_health_and_revision() -> None:
    seen = observation(kustomization())
    assert (seen.draft, seen.environment) == ("acme/order-router", "prod")
    assert (seen.health, seen.sync, seen.revision) == ("Healthy", "Synced", REVISION)
    assert (seen.digest, seen.images) == (None, ())
    assert seen.observed_at == "2026-12-01T10:51:00Z"
    assert seen.is_healthy_as(DIGEST)


def test_without_a_history_it_was_seen_when_it_was_read() -> None:
    assert observation(kustomization(status={"history": None})).observed_at == READ_AT


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"spec": {"wait": False}}, "it waits for no health: set `wait: true`"),
        ({"metadata": {"generation": 4}}, "generation 4 was not observed yet"),
        ({"status": {"observedGeneration": None}}, "generation 3 was not observed yet"),
        (
            {"spec": {"images": [{"name": "x", "newTag": "1"}], "postBuild": {"substitute": {}}}},
            "it changes what lies in Git by `images`, `postBuild`",
        ),
    ],
)
def test_ready_that_is_of_another_thing_is_unknown(over: dict[str, Any], said: str) -> None:
    seen = observation(kustomization(**over))
    assert (seen.health, seen.message) == ("Unknown", said)


def test_health_checks_count_as_waiting() -> None:
    checks = [{"kind": "Deployment", "name": "order-router", "namespace": "x"}]
    assert observation(kustomization(spec={"wait": False, "healthChecks": checks})).health == (
        "Healthy"
    )


@pytest.mark.parametrize(
    ("condition", "health", "sync"),
    [
        (ready("True", "ReconciliationSucceeded"), "Healthy", "Synced"),
        (ready("Unknown", "Progressing", "building"), "Progressing", "OutOfSync"),
        (ready("False", "DependencyNotReady"), "Progressing", "OutOfSync"),
        (ready("False", "HealthCheckFailed", "timeout"), "Degraded", "OutOfSync"),
        (ready("False", "BuildFailed", "no such file"), "Unknown", "OutOfSync"),
    ],
)
def test_each_reason_of_ready_has_its_meaning(
    condition: dict[str, Any], health: str, sync: str
) -> None:
    seen = observation(kustomization(status={"conditions": [condition]}))
    assert (seen.health, seen.sync, seen.message) == (health, sync, condition["message"])


def test_no_ready_and_two_of_them_are_unknown() -> None:
    for conditions in (None, [], [ready("True", "A"), ready("False", "B")]):
        seen = observation(kustomization(status={"conditions": conditions}))
        assert (seen.health, seen.sync) == ("Unknown", "Unknown")


def test_a_newer_attempt_is_not_what_was_applied() -> None:
    newer = {"lastAttemptedRevision": f"main@sha1:{'0' * 40}"}
    seen = observation(kustomization(status=newer))
    assert (seen.sync, seen.revision) == ("OutOfSync", REVISION)


@pytest.mark.parametrize("applied", ["main/4b1e4b1e", "v1@sha256:" + "ab" * 32, "latest", None])
def test_only_a_commit_is_a_revision(applied: str | None) -> None:
    status = {"lastAppliedRevision": applied, "lastAttemptedRevision": applied}
    assert observation(kustomization(status=status)).revision is None


def test_suspended_is_suspended() -> None:
    assert observation(kustomization(spec={"suspend": True})).health == "Suspended"
    assert observation(helm_release(spec={"suspend": True})).health == "Suspended"


def test_how_a_helm_release_does_only_its_pods_say() -> None:
    seen = observation(helm_release())
    assert (seen.health, seen.sync, seen.chart, seen.revision) == (
        *("Unknown", "Synced"),
        *(CHART, None),
    )
    assert seen.message == "how it does now only its pods say: list them too"
    [seen] = report(helm_release(), pod()).observations
    assert (seen.health, seen.sync, seen.chart, seen.digest) == (
        *("Healthy", "Synced"),
        *(CHART, DIGEST),
    )
    assert (seen.observed_at, seen.synced_at) == (READ_AT, "2026-12-01T08:59:00Z")


@pytest.mark.parametrize("version", ["1.0.0", f"1.0.0+{'0' * 12}", "1.0.0-tabc", None])
def test_only_the_pipelines_own_chart_says_what_it_is(version: str | None) -> None:
    history = [{"chartVersion": version, "status": "deployed"}]
    assert observation(helm_release(status={"history": history})).chart is None


@pytest.mark.parametrize(
    "status",
    [
        {"history": [{"chartVersion": f"1.0.0-t{CHART}", "status": "failed"}]},
        {"lastAttemptedRevision": "1.0.0-t" + "0" * 40},
        {"conditions": [ready("True", "A"), {"type": "Drifted", "status": "True"}]},
    ],
)
def test_a_helm_release_that_is_not_as_asked_is_out_of_sync(status: dict[str, Any]) -> None:
    assert observation(helm_release(status=status)).sync == "OutOfSync"


def test_values_change_what_lies_in_git() -> None:
    seen = observation(helm_release(spec={"values": {"replicas": 9}}))
    assert seen.message == "it changes what lies in Git by `values`"


def test_a_pod_that_is_not_ready_keeps_a_release_from_healthy() -> None:
    unready = pod("b", status={"conditions": [{"type": "Ready", "status": "False"}]})
    for flux in (kustomization(), helm_release()):
        [seen] = report(flux, pod("a"), unready).observations
        assert seen.health == "Progressing"
        assert seen.message.startswith("not ready: tenant-acme-prod-cust/b")


def test_pods_that_ended_say_nothing_and_those_that_end_need_not_be_ready() -> None:
    done = pod("job", f"{IMAGE}@{OTHER_DIGEST}", status={"phase": "Succeeded", "conditions": None})
    [seen] = report(kustomization(), pod(), done).observations
    assert (seen.health, seen.digest) == ("Healthy", DIGEST)
    ending = pod(
        "old",
        f"{IMAGE}@{OTHER_DIGEST}",
        metadata={"deletionTimestamp": READ_AT},
        status={"conditions": None},
    )
    [seen] = report(kustomization(), pod(), ending).observations
    assert (seen.health, len(seen.images)) == ("Healthy", 2)
    assert not seen.is_healthy_as(DIGEST)


def test_images_of_init_containers_count() -> None:
    init = pod(spec={"initContainers": [{"name": "init", "image": f"{IMAGE}:latest"}]})
    [seen] = report(kustomization(), init).observations
    assert f"{IMAGE}:latest" in seen.images


def test_a_listing_without_its_pods_says_that_nothing_runs() -> None:
    elsewhere = pod(metadata={"labels": {**LABELS, "ameide.io/environment": "dev"}})
    [seen] = report(kustomization(), elsewhere).observations
    assert (seen.health, seen.message.split(";")[0]) == (
        *("Unknown", "nothing of tenant-acme/order-router runs"),
    )


def test_a_pod_of_nobody_is_left_alone() -> None:
    plain = pod(metadata={"labels": None})
    assert report(plain).observations == ()
    assert report(plain).findings == ()
