"""Argo CD's notification: the event that it sends is a report that a run reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from pipeline.delivery.reports import parse_report
from pipeline.publish.starter import NOTIFICATIONS_PATH
from tests.conftest import ROOT
from tests.support.cluster_objects import OTHER_DIGEST, READ_AT, application
from tests.support.notifications import sent_for, webhook_of

CONFIG = (ROOT / NOTIFICATIONS_PATH).read_bytes()
OBSERVE = yaml.load((ROOT / ".github/workflows/observe.yaml").read_text(), Loader=yaml.BaseLoader)


@pytest.mark.parametrize(
    "item",
    [
        application(),
        application(images=(f"registry.example.com/tenant-acme/order-router@{OTHER_DIGEST}",)),
        application(status={"operationState": None, "health": {"status": "Missing"}}),
        application(status={"operationState": {"phase": "Failed", "message": 'no "\n\\ x'}}),
        application(metadata={"annotations": {"ameide.io/draft": "acme/order-router"}}),
        application(
            spec={"source": None, "sources": [application()["spec"]["source"]]},
            status={"sync": {"revision": None, "revisions": ["4b1e" * 10], "comparedTo": None}},
        ),
        application("by-hand", path="elsewhere"),
    ],
)
def test_what_is_sent_says_what_the_application_says(item: dict[str, Any]) -> None:
    event = sent_for(CONFIG, item)
    assert event["event_type"] in OBSERVE["on"]["repository_dispatch"]["types"]
    payload = event["client_payload"]
    assert len(payload) <= 10
    sent = parse_report("event", json.dumps(payload).encode(), READ_AT)
    assert sent == parse_report("event", json.dumps(item).encode(), READ_AT)


def test_of_an_application_without_a_status_nothing_is_known() -> None:
    payload = sent_for(CONFIG, application(status=None))["client_payload"]
    [seen] = parse_report("event", json.dumps(payload).encode(), READ_AT).observations
    assert (seen.health, seen.sync, seen.observed_at) == ("Unknown", "Unknown", None)


def test_a_large_application_fits_into_an_event() -> None:
    large = application(
        metadata={"annotations": {"notified.notifications.argoproj.io": "x" * 200_000}},
        status={
            "operationState": {"phase": "Failed", "message": "x" * 100_000},
            "resources": [{"name": "x" * 1000}] * 200,
        },
    )
    assert len(json.dumps(sent_for(CONFIG, large))) < 4_000


def test_it_goes_to_the_control_repo_with_a_token_of_a_secret() -> None:
    data = yaml.safe_load(CONFIG)["data"]
    assert webhook_of(CONFIG)["path"] == "/repos/ameide/control/dispatches"
    service = yaml.safe_load(data["service.webhook.pipeline"])
    assert service["headers"][0] == {"name": "Authorization", "value": "Bearer $pipeline-token"}
    [subscription] = yaml.safe_load(data["subscriptions"])
    triggers = yaml.safe_load(data[f"trigger.{subscription['triggers'][0]}"])
    assert {name for trigger in triggers for name in trigger["send"]} == {"pipeline-observed"}
