"""Histories that were recorded once, on a real server, must still replay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from changed_process import ChangedProcess
from temporalio.client import WorkflowHistory
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from process_${{ values.primitive_id | replace('-', '_') }}.interceptors import WorkerTenant
from process_${{ values.primitive_id | replace('-', '_') }}.payloads import data_converter
from process_${{ values.primitive_id | replace('-', '_') }}.workflow import Process

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def replay(path: Path, workflow: type) -> None:
    """Replays a history. Raises NondeterminismError when the workflow does something else."""

    async def story() -> None:
        replayer = Replayer(
            workflows=[workflow],
            data_converter=data_converter(),
            interceptors=[TracingInterceptor(), WorkerTenant()],
        )
        await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))

    asyncio.run(story())


def test_there_is_a_history_of_each_way_to_end() -> None:
    assert [path.stem for path in HISTORIES] == [
        "approved",
        "cancelled",
        "other-tenant",
        "step-failed",
        "temporal-cancelled",
    ]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_replays(path: Path) -> None:
    replay(path, Process)


def test_a_changed_workflow_does_not_replay() -> None:
    [path] = [path for path in HISTORIES if path.stem == "approved"]
    with pytest.raises(NondeterminismError):
        replay(path, ChangedProcess)
