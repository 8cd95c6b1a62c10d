"""Argo CD's Applications as observations: what is told, and what is about another thing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.delivery.reports import DeliveryReport, parse_report
from pipeline.models.evidence import Observation
from tests.support.cluster_objects import (
    DIGEST,
    GITOPS,
    IMAGE,
    OTHER_DIGEST,
    READ_AT,
    REVISION,
    application,
)


def report(*items: Any) -> DeliveryReport:
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    return parse_report("report", content.encode(), READ_AT)


def observation(item: Any) -> Observation:
    """The one observation of one application."""
    found = report(item)
    assert found.findings == ()
    [one] = found.observations
    return one


def test_an_application_tells_what_runs_how_and_since_when() -> None:
    assert observation(application()) == Observation(
        environment="prod",
        draft="acme/order-router",
        digest=DIGEST,
        health="Healthy",
        sync="Synced",
        revision=REVISION,
        observed_at="2026-12-01T10:52:00Z",
        synced_at="2026-12-01T10:49:30Z",
        application="Application argocd/acme--order-router--prod",
    )


def test_the_newest_time_that_it_tells_is_when_it_was_seen() -> None:
    def seen_at(**status: Any) -> str | None:
        return observation(application(status=status)).observed_at

    later = {"status": "Healthy", "lastTransitionTime": "2026-12-01T10:52:59Z"}
    assert seen_at(health=later) == "2026-12-01T10:52:59Z"
    assert seen_at(reconciledAt=None) == "2026-12-01T10:50:00Z"
    assert seen_at(reconciledAt="yesterday") == "2026-12-01T10:50:00Z"
    assert seen_at(reconciledAt="2026-02-30T10:52:00Z") == "2026-12-01T10:50:00Z"


def test_the_image_of_another_primitive_is_not_its_own() -> None:
    proxy = f"registry.example.com/mesh/proxy@{OTHER_DIGEST}"
    other = f"registry.example.com/ameide/tenant-acme/invoice-matcher@{OTHER_DIGEST}"
    seen = observation(application(images=(proxy, f"{IMAGE}@{DIGEST}", other)))
    assert (seen.digest, seen.images) == (DIGEST, ())


@pytest.mark.parametrize(
    ("images", "shown", "is_digested"),
    [
        ((f"{IMAGE}:1.2.3",), (f"{IMAGE}:1.2.3",), False),
        ((IMAGE,), (IMAGE,), False),
        ((f"{IMAGE}@sha256:ab",), (f"{IMAGE}@sha256:ab",), True),
        (
            (f"{IMAGE}@{OTHER_DIGEST}", f"{IMAGE}@{DIGEST}"),
            (f"{IMAGE}@{DIGEST}", f"{IMAGE}@{OTHER_DIGEST}"),
            True,
        ),
        ((f"{IMAGE}@{DIGEST}", f"{IMAGE}:1"), (f"{IMAGE}:1", f"{IMAGE}@{DIGEST}"), False),
    ],
)
def test_what_is_not_one_digest_is_told_image_by_image(
    images: tuple[str, ...], shown: tuple[str, ...], is_digested: bool
) -> None:
    seen = observation(application(images=images))
    assert (seen.digest, seen.images) == (None, tuple(sorted(shown)))
    assert all("@sha256:" in image for image in seen.images) is is_digested
    assert not seen.is_healthy_as(DIGEST)


def test_a_tag_beside_the_digest_is_still_the_digest() -> None:
    seen = observation(application(images=(f"{IMAGE}:1.2.3@{DIGEST}",)))
    assert (seen.digest, seen.images) == (DIGEST, ())


def test_where_nothing_of_it_runs_its_health_is_unknown() -> None:
    for images in ((), (f"registry.example.com/mesh/proxy@{DIGEST}",)):
        seen = observation(application(images=images))
        assert (seen.health, seen.digest) == ("Unknown", None)
        assert seen.message == "nothing of tenant-acme/order-router runs"


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (
            {"spec": {"source": {"kustomize": {"images": ["a=b"]}}}},
            "its source changes the overlay by `kustomize`",
        ),
        (
            {"spec": {"source": {"helm": {"values": "a: 1"}, "plugin": {"name": "x"}}}},
            "its source changes the overlay by `helm`, `plugin`",
        ),
        (
            {"status": {"sync": {"comparedTo": {"source": {"path": "environments/prod/x"}}}}},
            "its source was changed since it was compared",
        ),
        ({"status": {"operationState": None}}, "no sync operation of it has ended"),
        (
            {"status": {"operationState": {"phase": "Running", "finishedAt": None}}},
            "no sync operation of it has ended",
        ),
    ],
)
def test_health_that_is_of_another_thing_is_unknown(over: dict[str, Any], said: str) -> None:
    seen = observation(application(**over))
    assert (seen.health, seen.message) == ("Unknown", said)


def test_a_pinned_version_of_a_tool_changes_nothing() -> None:
    source = {"kustomize": {"version": "v5.8.2"}, "directory": {}}
    assert observation(application(spec={"source": source})).health == "Healthy"


@pytest.mark.parametrize("status", ["Progressing", "Degraded", "Missing", "Suspended", "Unknown"])
def test_health_and_sync_are_told_as_they_are(status: str) -> None:
    seen = observation(
        application(status={"health": {"status": status}, "sync": {"status": "OutOfSync"}})
    )
    assert (seen.health, seen.sync) == (status, "OutOfSync")


def test_words_that_nobody_knows_are_unknown() -> None:
    seen = observation(application(status={"health": {"status": "Fine"}, "sync": {"status": "Ok"}}))
    assert (seen.health, seen.sync) == ("Unknown", "Unknown")
    seen = observation(application(status=None))
    assert (seen.health, seen.sync, seen.revision, seen.observed_at) == (
        *("Unknown", "Unknown"),
        *(None, None),
    )


@pytest.mark.parametrize("revision", ["main", "v1.2.3", "4b1e4b1e", REVISION.upper(), ""])
def test_only_a_full_commit_is_a_revision(revision: str) -> None:
    assert observation(application(status={"sync": {"revision": revision}})).revision is None


def test_of_several_sources_there_is_no_one_revision() -> None:
    source = {"repoURL": GITOPS, "path": "environments/prod/order-router"}
    both = application(
        spec={"source": None, "sources": [source, source]},
        status={"sync": {"revisions": [REVISION, REVISION], "comparedTo": None}},
    )
    assert observation(both).revision is None
    one = application(
        spec={"source": None, "sources": [source]},
        status={"sync": {"revisions": [REVISION], "comparedTo": None, "revision": None}},
    )
    assert observation(one).revision == REVISION


def test_why_it_failed_is_told_on_one_line_that_commands_no_terminal() -> None:
    failed = application(
        status={
            "operationState": {"phase": "Failed", "message": "denied\nby \x1b[2Kpolicy\u202e"},
            "conditions": [
                {"type": "ComparisonError", "message": "no \u200bkustomization"},
                {"type": "OrphanedResourceWarning", "message": "3 orphans"},
            ],
        }
    )
    message = observation(failed).message
    assert message == "no <U+200B>kustomization; denied by <U+001B>[2Kpolicy<U+202E>"
    long = application(status={"operationState": {"phase": "Error", "message": "x" * 10_000}})
    assert len(observation(long).message) == 300


def test_two_applications_of_one_place_say_nothing() -> None:
    found = report(application(), application("second"))
    assert found.observations == ()
    [finding] = found.findings
    assert finding.code == "application-ambiguous"
    assert finding.message == (
        "2 applications run acme/order-router in prod: Application "
        "argocd/acme--order-router--prod, Application argocd/second"
    )


def test_one_that_runs_no_overlay_in_a_tenants_namespace_is_a_stranger() -> None:
    found = report(application("by-hand", path="elsewhere"))
    [seen] = found.observations
    assert (seen.draft, seen.application) == ("", "Application argocd/by-hand")
    assert [f.code for f in found.findings] == ["application-unplaced"]


def test_applications_of_others_are_counted_and_left_alone() -> None:
    destination = {"name": "in-cluster", "namespace": "cert-manager"}
    other = application("cert-manager", path="charts", spec={"destination": destination})
    found = report(application(), other)
    assert (len(found.observations), found.findings, found.foreign) == (1, (), 1)


def test_one_broken_object_hides_no_other() -> None:
    broken = application("second", status={"summary": {"images": [1]}})
    found = report(broken, application())
    assert [o.draft for o in found.observations] == ["acme/order-router"]
    [finding] = found.findings
    assert finding.code == "report-object-incomplete"
    assert str(finding.location) == "report#Application second"
    assert finding.message == "status.summary.images.0: Input should be a valid string"


def test_another_kind_is_a_finding() -> None:
    found = report({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "\x1b[1m"}})
    [finding] = found.findings
    assert finding.code == "report-kind-unknown"
    assert str(finding.location) == "report#Deployment <U+001B>[1m"
