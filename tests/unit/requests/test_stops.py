"""Stops, as the control repo holds them: a file that nobody can read stops everything."""

from __future__ import annotations

import pytest

from pipeline.models.requests import Halt
from pipeline.requests.layout import STOP_PATH
from tests.support.samples import snapshot_and_findings, world_files

STOP = b"""apiVersion: pipeline.ameide.io/v1
kind: Stop
stops:
  - reason: The gateway drops requests
    environments: [prod]
    lanes: [rollback]
  - reason: The tenant asked for it
    tenants: [acme]
"""


def test_each_stop_is_read_with_what_it_is_for() -> None:
    assert snapshot_and_findings(world_files())[0].stops == ()
    snapshot, findings = snapshot_and_findings({**world_files(), STOP_PATH: STOP})
    assert findings == ()
    assert [(h.environments, h.tenants, h.lanes) for h in snapshot.stops] == [
        (("prod",), (), ("rollback",)),
        ((), ("acme",), ()),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"stops: []",
        b"apiVersion: pipeline.ameide.io/v1\nkind: Stop\nstops: []\n",
        STOP.replace(b"kind: Stop", b"kind: Tenant"),
        STOP.replace(b"lanes:", b"lane:"),
        STOP.replace(b"v1", b"v2"),
        b"\xff\xfe",
    ],
)
def test_a_file_that_cannot_be_read_stops_everything(content: bytes) -> None:
    snapshot, findings = snapshot_and_findings({**world_files(), STOP_PATH: content})
    assert {finding.location.file for finding in findings} == {STOP_PATH}
    assert snapshot.stops == (Halt(reason="`environments/stop.yaml` cannot be read"),)
