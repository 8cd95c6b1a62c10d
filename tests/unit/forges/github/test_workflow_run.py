"""The identity of a workflow run, from the variables that GitHub Actions sets."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageFault
from pipeline.forges.github.workflow_run import WorkflowRun, workflow_run

REFERENCE = "acme/control/.github/workflows/build.yaml@refs/heads/main"
RUN = {"GITHUB_WORKFLOW_REF": REFERENCE, "GITHUB_REPOSITORY": "acme/control", "GITHUB_RUN_ID": "7"}


def test_a_run_names_its_workflow_and_its_own_address() -> None:
    assert workflow_run(RUN) == WorkflowRun(
        f"https://github.com/{REFERENCE}", "https://github.com/acme/control/actions/runs/7"
    )


def test_a_self_hosted_server_is_named() -> None:
    run = workflow_run({**RUN, "GITHUB_SERVER_URL": "https://github.acme.example"})
    assert run.builder == f"https://github.acme.example/{REFERENCE}"
    assert run.invocation == "https://github.acme.example/acme/control/actions/runs/7"


@pytest.mark.parametrize("missing", ["GITHUB_REPOSITORY", "GITHUB_RUN_ID"])
def test_a_run_without_an_address_of_its_own_has_none(missing: str) -> None:
    assert workflow_run({k: v for k, v in RUN.items() if k != missing}).invocation == ""


def test_outside_of_a_workflow_there_is_no_run() -> None:
    with pytest.raises(UsageFault, match="this is not a workflow"):
        workflow_run({})
