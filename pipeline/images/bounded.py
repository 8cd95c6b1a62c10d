"""Runs a builder on a tenant's Dockerfile, within the time limit of a build."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import STEP, CouldNotCheck, OverBound, PipelineError
from pipeline.machine.process import MAX_OUTPUT_BYTES, Completed, run_bounded

BUILD_S = 3_000
# Builders' messages if the Dockerfile is at fault: buildah's for any step, BuildKit's for a failed
# command, a missing file and a syntax error. They do not match a base image that can't be fetched.
_AT_FAULT = re.compile(
    "building at STEP |did not complete successfully: exit code|failed to calculate checksum of ref"
    "|dockerfile parse error"
)


def run_build(
    argv: Sequence[str | Path], env: Mapping[str, str], timeout_s: float = 0
) -> Completed:
    """The builder's result, whatever its exit code; `timeout_s` is BUILD_S unless given.

    Raises OverBound for a build that takes longer or prints more than 32 MiB, CouldNotCheck if the
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


def failed_build(builder: str, stderr: bytes, help: str = "") -> PipelineError:
    """The error for a failed build: OverBound if the Dockerfile is at fault.

    Otherwise the machine, a registry or the network may be at fault, and it is CouldNotCheck.
    """
    said = stderr.decode("utf-8", "replace").strip().splitlines() or [""]
    message = f"{builder} failed: {said[-1][:300]}"
    if any(_AT_FAULT.search(line) for line in said):
        return OverBound(STEP, message, help=help)
    return CouldNotCheck(message, help=help)
