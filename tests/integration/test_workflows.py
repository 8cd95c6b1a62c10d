"""The workflows tell the story by themselves, and judge pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.layout import draft_path
from pipeline.rules.identity import draft_example
from tests.audit_world import CODE, CONTROL
from tests.github_demo.setting import APP_ID
from tests.history import AGENT_ID, ENGINEER_ID
from tests.samples import DRAFT
from tests.sweep_world import ask_for_drafts
from tests.workflow_world import Actions, open_actions


@pytest.fixture
def actions(tmp_path: Path) -> Iterator[Actions]:
    with open_actions(tmp_path) as world:
        yield world


def test_the_workflows_bring_a_draft_into_dev(actions: Actions) -> None:
    world = actions.open()
    ask_for_drafts(world)
    world.close()
    actions.run("scaffold")
    actions.settle()

    world = actions.open()
    status = world.engine.status(DRAFT)
    assert status.pull_request is not None
    world.ask(DRAFT, "dev", ENGINEER_ID)
    world.close()
    # A push to main starts all three; the build asks for the promotion that waited for it.
    for workflow in ("scaffold", "build", "promote"):
        actions.run(workflow)
    ran = actions.settle()
    assert "build" in ran and "promote" in ran

    world = actions.open()
    status = world.engine.status(DRAFT)
    report = status.checks_of_tree(status.head_tree)
    assert report is not None and {"lint", "tests", "secrets"} <= report.passed
    assert [(p.environment, p.release.digest) for p in status.promotions] == [
        ("dev", status.builds[0].digest)
    ]
    assert len(actions.server.repository("ameide", CODE).pulls) == 1
    world.close()
    # Nothing is due any more, and no workflow finds anything to do.
    for workflow in ("scaffold", "promote", "build"):
        run = actions.run(workflow, "schedule")
        assert {job.result for job in run.jobs[1:]} == {"skipped"}


# -- pull requests -------------------------------------------------------------------------


def judged(actions: Actions, files: dict[str, bytes], author: int = AGENT_ID) -> Any:
    """The run of `validate` for a pull request of an account that brings these files."""
    world = actions.open()
    number = world.propose(files, author)
    world.close()
    return judge(actions, number, author)


def judge(actions: Actions, number: int, author: int) -> Any:
    """A run of `validate` for a pull request."""
    user = {"id": author}
    repository = actions.server.repository("ameide", CONTROL)
    base = repository.branch("main")
    head = {"repo": {"full_name": f"ameide/{CONTROL}"}}
    pull = {"number": number, "user": user, "base": {"sha": base}, "head": head}
    return actions.runner.run("validate", "pull_request", {"pull_request": pull})


def tell(actions: Actions, number: int) -> set[str]:
    """The run of `comment` once a pull request was judged; the codes that code scanning shows."""
    head = actions.server.repository("ameide", CONTROL).pulls[number].head
    ended = {"event": "pull_request", "head_sha": head, "pull_requests": [{"number": number}]}
    run = actions.run("comment", "workflow_run", workflow_run=ended)
    [log] = run.scanned.values()
    assert run.scanned.keys() == {(f"refs/pull/{number}/head", head)}
    return {result["ruleId"] for result in log["runs"][0]["results"]}


def newest(actions: Actions) -> int:
    """The number of the newest pull request."""
    return max(actions.server.repository("ameide", CONTROL).pulls)


def checks(actions: Actions) -> dict[str, str | None]:
    """Name → conclusion of the checks of the newest pull request's head, by the pipeline's App."""
    there = actions.server.repository("ameide", CONTROL)
    head = there.pulls[newest(actions)].head
    runs = [run for run in there.checks.values() if run.head == head and run.app.id == APP_ID]
    return {run.name: run.conclusion for run in runs}


GOOD = {draft_path(DRAFT): draft_example().encode()}


def test_a_pull_request_that_asks_rightly_passes_the_gate(actions: Actions) -> None:
    run = judged(actions, GOOD)
    assert run.result == "success", run.log
    assert tell(actions, newest(actions)) == set()
    assert checks(actions) == {"judged": "success"}
    [comment] = comments(actions)
    assert "✓ 1 request, nothing against them" in comment
    assert "code goes to: `tenant-acme-controllers`" in comment


def test_the_comment_is_one_and_follows_the_pull_request(actions: Actions) -> None:
    world = actions.open()
    number = world.propose(GOOD, AGENT_ID)
    pull = world.forge.read_pull(CONTROL, number)
    world.close()
    for _ in range(2):
        tell(actions, pull.number)
    [_] = comments(actions)
    assert len(actions.server.repository("ameide", CONTROL).checks) == 1


def comments(actions: Actions) -> list[str]:
    """What stands below the newest pull request."""
    found = actions.server.repository("ameide", CONTROL).comments.values()
    return [comment.body.partition("\n")[2] for comment in found]


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        (draft_path(DRAFT), draft_example().replace("order, route", ""), "draft-parameters"),
        (draft_path("contoso/inventory"), draft_example(), "author-out-of-scope"),
        ("tenants/acme/tenant.yaml", None, "author-out-of-scope"),
        (".github/workflows/validate.yaml", None, "author-out-of-scope"),
        ("tools/setup.py", "raise SystemExit(0)\n", "author-out-of-scope"),
    ],
)
def test_a_pull_request_that_oversteps_does_not(
    actions: Actions, path: str, content: str | None, code: str
) -> None:
    there = actions.server.repository("ameide", CONTROL)
    text = content if content is not None else there.git("show", f"main:{path}") + "\n# Seen.\n"
    run = judged(actions, {path: text.encode()})
    assert run.result == "failure" and code in run.log, run.log
    assert code in tell(actions, newest(actions))
    assert [code in comment for comment in comments(actions)] == [True]
    assert checks(actions) == {"judged": "failure"}
    assert [job.result for job in run.of("gate")] == ["failure"]


FORGED = """name: validate
on:
  pull_request:
permissions: {}
jobs:
  gate:
    name: gate
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {}
    steps:
      - name: Pass everything
        run: "true"
"""


def test_a_workflow_that_passes_everything_does_not_pass_the_app_s_judgement(
    actions: Actions,
) -> None:
    world = actions.open()
    path = ".github/workflows/validate.yaml"
    number = world.propose({path: FORGED.encode(), **GOOD}, AGENT_ID)
    world.close()
    run = judge(actions, number, AGENT_ID)
    assert run.result == "success" and [job.name for job in run.jobs] == ["gate"]
    tell(actions, number)
    assert checks(actions) == {"judged": "failure"}
    [comment] = comments(actions)
    assert "author-out-of-scope" in comment


def test_a_run_that_no_pull_request_of_this_repository_started_is_nothing(actions: Actions) -> None:
    for ended in ({"event": "push", "pull_requests": [{"number": 1}]}, {"event": "pull_request"}):
        head = {"head_sha": "0" * 40, "pull_requests": [], **ended}
        run = actions.run("comment", "workflow_run", workflow_run=head)
        assert [job.result for job in run.jobs] == ["skipped"]
