"""A runner of the workflows in `.github/workflows/`, for tests; see README.md."""

from tests.workflows.runner import JobRun, Runner, WorkflowRun

__all__ = ["JobRun", "Runner", "WorkflowRun"]
