"""The workflow run of this process, from GitHub Actions' environment variables.

Source: GitHub, "Store information in variables" (default environment variables).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import UsageFault


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A run: its workflow's id, as provenance names the builder, and the run's own address."""

    builder: str
    invocation: str  # empty if the environment lacks it


def workflow_run(environment: Mapping[str, str]) -> WorkflowRun:
    """The run in the environment variables. Raises UsageFault if there is none."""
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
