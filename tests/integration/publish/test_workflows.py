"""The workflows carry the story by themselves and judge pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.machine.clock import read_clock
from pipeline.models.base import moment_of
from pipeline.models.status import PromotionRecord
from pipeline.publish.starter import NOTIFICATIONS_PATH
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path
from pipeline.sandbox.apparmor import render_profile
from pipeline.sandbox.run import bubblewrap
from tests.conftest import ROOT
from tests.support.argocd_server import TOKEN, serve_argocd
from tests.support.cluster_objects import application
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import CODE, CONTROL
from tests.support.notifications import sent_for
from tests.support.samples import DRAFT
from tests.support.sweep import PLATFORM_ENGINEER_ID, ask, ask_for_drafts
from tests.support.workflow_control import Actions, open_actions
from tests.support.workflows import WorkflowRun
from worlds.github_server.merge_queue import form_groups, group_of, merge_groups
from worlds.github_server.state import Repository, Ruleset
from worlds.github_setting import APP_ID


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
    ask(world, DRAFT, "dev", ENGINEER_ID)
    world.close()
    # A push to main starts all three; the build asks for the promotion that waited for it.
    runs = [actions.run(workflow) for workflow in ("scaffold", "build", "promote")]
    check_who_may_make_user_namespaces(runs)
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
    what_runs_is_told(actions, status.promotions[0])


def what_runs_is_told(actions: Actions, promotion: PromotionRecord) -> None:
    """An event of Argo CD's is recorded, and what it answers to whoever asks it."""
    assert {job.result for job in actions.run("observe", "schedule").jobs} == {"skipped"}
    now = moment_of(read_clock())
    image = f"registry.example.com/tenant-acme/order-router@{promotion.release.digest}"
    app = application(
        "acme--order-router--dev",
        path=promotion.overlay_folder,
        images=(image,),
        status={
            "reconciledAt": now,
            "health": {"status": "Healthy", "lastTransitionTime": now},
            "sync": {"revision": promotion.gitops_commit},
            "operationState": {"finishedAt": now},
        },
    )
    event = sent_for((ROOT / NOTIFICATIONS_PATH).read_bytes(), app)
    payload = {"action": event["event_type"], "client_payload": event["client_payload"]}
    actions.run("observe", "repository_dispatch", **payload)
    assert seen_in_dev(actions) == "Healthy"
    app["status"]["health"]["status"] = "Degraded"
    with serve_argocd([app]) as argocd:
        variables = {
            **actions.runner.variables,
            "PIPELINE_ARGOCD_URL": argocd.url,
            "PIPELINE_OBSERVED_ENVIRONMENTS": "dev prod",
        }
        secrets = {**actions.runner.environments["pipeline"], "PIPELINE_ARGOCD_TOKEN": TOKEN}
        environments = {**actions.runner.environments, "pipeline": secrets}
        asking = replace(actions.runner, variables=variables, environments=environments)
        run = asking.run("observe", "schedule", {})
    assert run.result == "success", run.log
    assert seen_in_dev(actions) == "Degraded"


def seen_in_dev(actions: Actions) -> str:
    """How the release in dev does, as facts have it."""
    world = actions.open()
    promotion = world.engine.status(DRAFT).promotion("dev")
    world.close()
    assert promotion is not None and promotion.observation is not None
    return promotion.observation.health


def check_who_may_make_user_namespaces(runs: list[WorkflowRun]) -> None:
    """Only jobs with a sandbox load a profile, and it is for the sandbox's program alone."""
    loaded = {(job.job, job.apparmor) for run in runs for job in run.jobs if job.apparmor}
    assert loaded == {("perform", render_profile(bubblewrap().path.resolve()))}


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


def approve(actions: Actions, number: int, user: int) -> None:
    """Have somebody approve the newest revision of a pull request."""
    world = actions.open()
    world.approve(CONTROL, number, user)
    world.close()


def tell(actions: Actions, number: int, event: str = "pull_request") -> set[str]:
    """The run of `comment` once a pull request was judged; the codes that code scanning shows."""
    head = actions.server.repository("ameide", CONTROL).pulls[number].head
    ended = {"event": event, "head_sha": head, "pull_requests": [{"number": number}]}
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


def test_an_allowed_pull_request_passes_the_gate(actions: Actions) -> None:
    run = judged(actions, GOOD)
    assert run.result == "success", run.log
    assert tell(actions, newest(actions)) == set()
    assert checks(actions) == {"judged": "failure"}, "nobody has approved it"
    approve(actions, newest(actions), ENGINEER_ID)
    assert tell(actions, newest(actions), "pull_request_review") == set()
    assert checks(actions) == {"judged": "success"}
    [comment] = comments(actions)
    assert "✓ 1 request, nothing against them" in comment
    assert "code goes to: `tenant-acme-controllers`" in comment


def test_one_comment_follows_the_pull_request(actions: Actions) -> None:
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
def test_a_refused_pull_request_does_not_pass_the_gate(
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


def test_a_tampered_workflow_does_not_pass_the_app_s_check(
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


def test_a_run_from_elsewhere_is_ignored(actions: Actions) -> None:
    for ended in ({"event": "push", "pull_requests": [{"number": 1}]}, {"event": "pull_request"}):
        head = {"head_sha": "0" * 40, "pull_requests": [], **ended}
        run = actions.run("comment", "workflow_run", workflow_run=head)
        assert {job.result for job in run.jobs} == {"skipped"}


# -- a merge queue of the control repo -----------------------------------------------------


@dataclass
class Queue:
    """The control repo behind a merge queue that asks for the App's judgement."""

    actions: Actions

    def __post_init__(self) -> None:
        state, now = self.actions.server.state, self.actions.server.state.now()
        app = {"context": "judged", "integration_id": APP_ID}
        rules: list[dict[str, Any]] = [
            {"type": "merge_queue", "parameters": {}},
            {"type": "required_status_checks", "parameters": {"required_status_checks": [app]}},
        ]
        id = state.number()
        made = Ruleset(id, "queue", "active", [], ["refs/heads/main"], [], rules, now, now)
        self.repository.rulesets[id] = made

    @property
    def repository(self) -> Repository:
        return self.actions.server.repository("ameide", CONTROL)

    def add(self, files: dict[str, bytes], author: int, approver: int) -> int:
        """The number of a pull request that somebody approved and that waits in the queue."""
        world = self.actions.open()
        number = world.propose(files, author)
        world.approve(CONTROL, number, approver)
        world.close()
        self.repository.queue.append(number)
        return number

    def groups(self) -> dict[int, str]:
        """Pull request → the branch of its group."""
        return form_groups(self.actions.server.state, self.repository)

    def judge(self, ref: str) -> tuple[WorkflowRun, WorkflowRun]:
        """What `validate` says of a group, and then `comment`."""
        group = group_of(self.repository, ref)
        event = {"action": "checks_requested", "merge_group": group}
        validated = self.actions.runner.run("validate", "merge_group", event)
        ended = {
            "event": "merge_group",
            "head_branch": ref.removeprefix("refs/heads/"),
            "head_sha": group["head_sha"],
            "pull_requests": [],
        }
        return validated, self.actions.runner.run(
            "comment", "workflow_run", {"workflow_run": ended}
        )

    def merge(self, groups: dict[int, str]) -> list[int]:
        """The pull requests that the queue merges."""
        return merge_groups(self.actions.server.state, self.repository, groups)


def test_a_queued_commit_is_judged_on_top_of_the_commits_before_it(actions: Actions) -> None:
    queue = Queue(actions)
    path = "tenants/acme/tenant.yaml"
    text = queue.repository.git("show", f"main:{path}") + "\n# Seen.\n"
    numbers = [
        queue.add({path: text.encode()}, ENGINEER_ID, PLATFORM_ENGINEER_ID),
        queue.add(GOOD, AGENT_ID, ENGINEER_ID),
    ]
    groups = queue.groups()
    # The bot is not held to what a person changes before it.
    for ref in groups.values():
        for run in queue.judge(ref):
            assert run.result == "success", run.log
    assert comments(actions) == []
    assert queue.merge(groups) == numbers
    assert draft_path(DRAFT) in queue.repository.git("ls-tree", "-r", "--name-only", "main")


def test_a_refused_pull_request_leaves_the_queue(actions: Actions) -> None:
    queue = Queue(actions)
    path = draft_path("contoso/inventory")
    forged = {".github/workflows/validate.yaml": FORGED.replace("pull_request", "merge_group")}
    files = {path: draft_example().encode(), **{k: v.encode() for k, v in forged.items()}}
    numbers = [
        queue.add(files, AGENT_ID, ENGINEER_ID),
        queue.add(GOOD, AGENT_ID, ENGINEER_ID),
    ]
    groups = queue.groups()
    validated, judged = queue.judge(groups[numbers[0]])
    assert (validated.result, judged.result) == ("success", "success"), validated.log + judged.log
    [run] = queue.repository.checks.values()
    assert (run.name, run.conclusion, run.app.id) == ("judged", "failure", APP_ID)
    assert queue.merge(groups) == []
    # What was behind it is judged anew, without it.
    groups = queue.groups()
    assert list(groups) == numbers[1:]
    for ended in queue.judge(groups[numbers[1]]):
        assert ended.result == "success", ended.log
    assert queue.merge(groups) == numbers[1:]


def test_a_queued_commit_of_several_pull_requests_is_not_judged(actions: Actions) -> None:
    queue = Queue(actions)
    number = queue.add(GOOD, AGENT_ID, ENGINEER_ID)
    [ref] = queue.groups().values()
    repository = queue.repository
    # As a queue has it that rebases: what the second commit adds is not all that is merged.
    first = repository.git("rev-parse", ref)
    identity = ("-c", "user.name=GitHub", "-c", "user.email=noreply@github.com")
    tree = f"{ref}^{{tree}}"
    second = repository.git(*identity, "commit-tree", tree, "-p", first, "-m", "Second")
    repository.git("update-ref", ref, second)
    _, judged = queue.judge(ref)
    assert judged.result == "failure" and "merge or squash, not rebase" in judged.log
    assert not repository.checks
    assert queue.merge({number: ref}) == []
