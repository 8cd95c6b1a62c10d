"""Run a builder over a Dockerfile that a tenant wrote, for as long as a build may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import OverBound
from pipeline.machine.process import MAX_OUTPUT_BYTES, Completed, run_bounded

BUILD_S = 3_000


def run_build(
    argv: Sequence[str | Path], env: Mapping[str, str], timeout_s: float = 0
) -> Completed:
    """What the builder said, whatever its exit code; `timeout_s` is BUILD_S unless given.

    Raises OverBound for a build that takes longer or says more than 32 MiB, CouldNotCheck when the
    builder can't be started.
    """
    seconds = timeout_s or BUILD_S
    ended = run_bounded(
        argv, stdin=b"", timeout_s=seconds, env=env, max_output_bytes=MAX_OUTPUT_BYTES
    )
    if ended.stopped_by == "time":
        raise OverBound("time", f"the build had not ended after {seconds:g} s and was stopped")
    if ended.stopped_by is not None:
        raise OverBound(
            ended.stopped_by, f"the build wrote more than {MAX_OUTPUT_BYTES:,} bytes of output"
        )
    return Completed(ended.exit_code, ended.stdout, ended.stderr)
