"""The report that a run reads: what may stand in it, and how it is read back."""

from __future__ import annotations

import json

import pytest

from pipeline.delivery.reports import (
    parse_observations,
    parse_report,
    render_observations,
)
from pipeline.models.base import API_VERSION
from pipeline.models.evidence import Observation
from tests.support.cluster_objects import (
    DIGEST,
    IMAGE,
    READ_AT,
    REVISION,
    application,
    helm_release,
    kustomization,
)
from tests.unit.delivery.test_argocd import report

HEAD = f"apiVersion: {API_VERSION}\nkind: Observations\n"


def test_a_report_reads_back_as_it_was_written() -> None:
    seen = report(
        application(images=(f"{IMAGE}:1",)),
        application("acme--x--dev", path="environments/dev/x"),
        application("by-hand", path="elsewhere"),
        kustomization(metadata={"name": "k"}, spec={"path": "environments/dev/y"}),
        helm_release(
            metadata={"name": "h"},
            spec={"chart": {"spec": {"chart": "environments/dev/z/chart"}}},
        ),
    ).observations
    assert len(seen) == 5
    content = render_observations(seen)
    assert parse_observations("report", content) == (seen, ())
    assert parse_report("report", content, READ_AT).observations == seen
    document = {"apiVersion": API_VERSION, "kind": "Observations"}
    dumped = [o.model_dump(mode="json") for o in seen]
    plain = json.dumps({**document, "observations": dumped}).encode()
    assert parse_observations("report", plain) == (seen, ())


def test_an_observation_of_an_older_tool_keeps_its_bytes() -> None:
    told = {
        "environment": "prod",
        "draft": "acme/order-router",
        "digest": DIGEST,
        "health": "Healthy",
        "sync": "Synced",
        "revision": REVISION,
        "message": "",
    }
    assert Observation.model_validate(told).model_dump(mode="json") == told


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (HEAD + "x: 1\n", "request-unknown-field", "report:3:1"),
        (HEAD + "observations: [{draft: a/b}]\n", "request-missing-field", "report:3:16"),
        (HEAD + "kind: Observations\n", "yaml-duplicate-key", "report:3:1"),
        ('{"kind": "Observations", "kind": "x"}', "report-malformed", "report"),
        ('{"kind": "Observations", "x": 1}', "request-unknown-field", "report:1:26"),
    ],
)
def test_a_forbidden_field_is_refused_with_its_place(content: str, code: str, place: str) -> None:
    found, findings = parse_observations("report", content.encode())
    assert found == ()
    assert (code, place) in [(f.code, str(f.location)) for f in findings]


def test_hostile_text_is_shown_escaped() -> None:
    seen = {
        "environment": "prod",
        "draft": "acme/order-router",
        "health": "Healthy",
        "sync": "Synced",
        "message": "\x1b[2K",
    }
    content = json.dumps(
        {"apiVersion": API_VERSION, "kind": "Observations", "observations": [seen]}
    )
    [one] = parse_observations("report", content.encode())[0]
    assert one.message == "<U+001B>[2K"


def test_more_than_people_write_is_read_as_json() -> None:
    seen = {"environment": "prod", "draft": "a/b", "health": "Healthy", "sync": "Synced"}
    document = {
        "apiVersion": API_VERSION,
        "kind": "Observations",
        "observations": [{**seen, "message": "x" * 400}] * 5_000,
    }
    found, findings = parse_observations("report", json.dumps(document).encode())
    assert (len(found), findings) == (5_000, ())
    document["observations"] = [{**seen, "message": "x" * 400, "sync": "?"}] * 5_000
    found, findings = parse_observations("report", json.dumps(document).encode())
    assert (found, [f.code for f in findings]) == ((), ["report-object-incomplete"])
