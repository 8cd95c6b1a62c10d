"""The workflow run that this process is part of, as GitHub Actions tells it by the environment.

Source: GitHub, "Store information in variables" (default environment variables).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import UsageFault


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A run: the id of its workflow as provenance names a builder, and the run's own address."""

    builder: str
    invocation: str  # empty where the environment does not tell it


def workflow_run(environment: Mapping[str, str]) -> WorkflowRun:
    """The run that an environment tells of. Raises UsageFault where it tells of none."""
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    reference = environment.get("GITHUB_WORKFLOW_REF", "")
    if not reference:
        raise UsageFault(
            "this is not a workflow: GITHUB_WORKFLOW_REF is not set",
            help="elsewhere `pipeline push` signs by itself, with PIPELINE_SIGNING_KEY_FILE",
        )
    repository, run = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_RUN_ID", "")
    invocation = f"{server}/{repository}/actions/runs/{run}" if repository and run else ""
    return WorkflowRun(f"{server}/{reference}", invocation)
