"""Every permission of a workflow's job is needed: without it the story fails at that job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.delivery.reports import Observations
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path
from tests.conftest import ROOT
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, RELEASE_MANAGERS
from tests.support.finished_story import CODE, CONTROL
from tests.support.samples import DRAFT
from tests.support.sweep import ask, ask_for_drafts, observe_and_follow_up
from tests.support.workflow_control import Actions, open_actions
from tests.support.workflows import APP_PERMISSIONS, Withheld
from worlds.github_server.merge_queue import form_groups, group_of


def rights(workflow: str, *, optional: bool = False) -> Iterator[Withheld]:
    """Each right of each job, taken away or lowered by one level.

    Those that an App may lack are `optional`: without them a job does less, and says so.
    """
    path = ROOT / ".github" / "workflows" / f"{workflow}.yaml"
    for job, text in yaml.load(path.read_text(), Loader=yaml.BaseLoader)["jobs"].items():
        granted = [("token", name, level) for name, level in text["permissions"].items()]
        for step in text["steps"]:
            listed = step.get("env", {}).get(APP_PERMISSIONS, "")
            pairs = [word.partition("=") for word in listed.split(",") if word]
            granted += [("app", name, level) for name, _, level in pairs]
        chosen = [right for right in granted if right[2].endswith("?") == optional]
        for of, name, asked in chosen:
            level = asked.removesuffix("?")
            # GitHub gives every App `metadata`, and asking for nothing would mean all.
            yield Withheld(job, of, name, None)
            if level == "write":
                yield Withheld(job, of, name, "read")


def check(
    actions: Actions, workflow: str, event: str, jobs: tuple[str, ...] = (), **payload: Any
) -> int:
    """How many rights (of these jobs) were tried; fail if the workflow succeeds without one."""
    tried = 0
    for withheld in rights(workflow):
        if jobs and withheld.job not in jobs:
            continue
        run = actions.attempt(workflow, event, withheld, payload)
        assert run.result == "failure", f"{workflow} does not need {withheld}\n{run.log}"
        assert run.of(withheld.job)[0].result == "failure", f"{withheld} fails elsewhere\n{run.log}"
        tried += 1
    print(f"{workflow}: {tried} rights, each needed")
    return tried


def check_optional(
    actions: Actions, workflow: str, event: str, jobs: tuple[str, ...], **payload: Any
) -> int:
    """How many optional rights of these jobs were tried; fail if a job does not tell of one, or
    ends for lack of it."""
    tried = 0
    for withheld in rights(workflow, optional=True):
        if withheld.job not in jobs:
            continue
        run = actions.attempt(workflow, event, withheld, payload)
        assert run.result == "success", f"{workflow} ends without {withheld}\n{run.log}"
        told = "\n".join(job.log for job in run.of(withheld.job))
        assert "forge-refused: GitHub does not allow it" in told, f"{withheld}\n{told}"
        tried += 1
    print(f"{workflow}: {tried} rights, each told of")
    return tried


def check_queued(actions: Actions, number: int) -> int:
    """How many rights were tried of the jobs that judge what a merge queue would merge."""
    repository = actions.server.repository("ameide", CONTROL)
    repository.queue.append(number)
    [ref] = form_groups(actions.server.state, repository).values()
    group = group_of(repository, ref)
    tried = check(actions, "validate", "merge_group", merge_group=group)
    branch, commit = ref.removeprefix("refs/heads/"), group["head_sha"]
    ended = {"event": "merge_group", "head_branch": branch, "head_sha": commit}
    tried += check(actions, "comment", "workflow_run", ("queued",), workflow_run=ended)
    # Nothing is merged here: the story goes on without a queue.
    repository = actions.server.repository("ameide", CONTROL)
    repository.queue.clear()
    repository.git("update-ref", "-d", ref)
    return tried


@pytest.mark.workflows
def test_each_permission_of_each_job_is_needed(tmp_path: Path) -> None:
    with open_actions(tmp_path) as actions:
        world = actions.open()
        number = world.propose({draft_path(DRAFT): draft_example().encode()}, AGENT_ID)
        world.close()
        base = {"sha": actions.server.repository("ameide", CONTROL).branch("main")}
        pull = {"number": number, "user": {"id": AGENT_ID}, "base": base}
        tried = check(actions, "validate", "pull_request", pull_request=pull)
        ended = {"event": "pull_request", "pull_requests": [{"number": number}], "head_sha": ""}
        tried += check(actions, "comment", "workflow_run", ("comment",), workflow_run=ended)
        tried += check_queued(actions, number)

        world = actions.open()
        ask_for_drafts(world)
        world.close()
        tried += check(actions, "scaffold", "push")
        actions.run("scaffold")
        actions.settle()

        world = actions.open()
        ask(world, DRAFT, "dev", ENGINEER_ID)
        world.close()
        asked = {"action": "pipeline-build"}
        others = ("due", "perform", "record")
        tried += check(actions, "build", "repository_dispatch", others, **asked)
        actions.run("build", "repository_dispatch", **asked)
        tried += check(actions, "build", "repository_dispatch", ("push",), **asked)
        actions.run("build", "repository_dispatch", **asked)
        actions.run("promote", "schedule")

        # Staging asks for the approval of a team, whose members GitHub knows.
        world = actions.open()
        world.approve(CODE, 1, ENGINEER_ID)
        world.merge(CODE, 1, ENGINEER_ID)
        world.close()
        world = actions.open()
        ask(world, DRAFT, "staging", RELEASE_MANAGERS[0])
        world.close()
        tried += check(actions, "promote", "schedule")
        assert check_optional(actions, "promote", "schedule", ("run",)) == 2
        actions.run("promote", "schedule")
        # Nothing is due but what people are shown.
        deployments = actions.server.repository("ameide", CODE).deployments
        assert [one.environment for one in deployments.values()] == ["dev", "staging"]
        deployments.clear()
        assert check_optional(actions, "promote", "schedule", ("due",)) == 1
        run = actions.run("promote", "schedule")
        assert [job.result for job in run.jobs] == ["success", "success"]
        deployments = actions.server.repository("ameide", CODE).deployments
        assert [one.environment for one in deployments.values()] == ["dev", "staging"]

        world = actions.open()
        observations = observe_and_follow_up(world)
        world.close()
        report = Observations(kind="Observations", observations=observations)
        payload = report.model_dump(mode="json", by_alias=True)
        tried += check(actions, "observe", "repository_dispatch", client_payload=payload)
        asked = {"client_payload": payload}
        assert check_optional(actions, "observe", "repository_dispatch", ("run",), **asked) == 2
        assert tried >= 50
