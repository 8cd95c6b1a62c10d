"""Whole processes on a real Temporal server; skipped unless TEMPORAL_ADDRESS names one."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from conftest import TENANT
from stories import STORIES, Story, tell

from process_${{ values.primitive_id | replace('-', '_') }}.names import PRIMITIVE

ADDRESS = os.environ.get("TEMPORAL_ADDRESS", "")
NAMESPACE = os.environ.get("TEMPORAL_NAMESPACE", "default")

pytestmark = pytest.mark.skipif(not ADDRESS, reason="TEMPORAL_ADDRESS is not set")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_process_ends_as_it_should(story: Story) -> None:
    key = f"{story.name}-{time.time_ns()}"
    ended, history, platform = asyncio.run(tell(story, ADDRESS, NAMESPACE, key))
    assert history.workflow_id == f"{TENANT}/{PRIMITIVE}/{key}"
    assert (ended.state if ended is not None else None) == story.ends
    done = [path.rsplit("/", 1)[1] for _, method, path in platform.calls if method == "POST"]
    expected = {
        "approved": ["reserve", "charge", "dispatch"],
        "cancelled": ["reserve", "release"],
        "temporal-cancelled": ["reserve", "release"],
        "step-failed": ["reserve", "charge", "refund", "release"],
        "other-tenant": [],
    }
    assert done == expected[story.name]
    assert {tenant for tenant, _, _ in platform.calls} == {TENANT}
    assert len(set(platform.keys)) == len(platform.keys)
