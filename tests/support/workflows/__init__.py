"""A runner for the workflows in `.github/workflows/`, for tests; see README.md."""

from tests.support.workflows.runner import APP_PERMISSIONS, JobRun, Runner, Withheld, WorkflowRun

__all__ = ["APP_PERMISSIONS", "JobRun", "Runner", "Withheld", "WorkflowRun"]
