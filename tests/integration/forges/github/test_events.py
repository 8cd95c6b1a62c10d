"""The workflows, started by events alone: signed webhooks that come twice, late or never."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import CODE, CONTROL
from tests.support.samples import DRAFT
from tests.support.sweep import ask, ask_for_drafts
from tests.support.workflow_control import Actions, open_actions
from tests.support.workflows import WorkflowRun
from tests.support.workflows.events import Receiver, receiving
from worlds.github_server.merge_queue import form_groups
from worlds.github_server.webhooks import Event, Webhook

SECRET = b"shared with GitHub alone"
Told = tuple[Actions, Webhook, Receiver]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """A world whose events go to a receiver."""
    with open_actions(tmp_path) as actions, receiving(actions.runner, SECRET) as receiver:
        yield actions, actions.server.add_webhook(receiver.url, SECRET), receiver


def twice_and_shuffled(seed: int, events: Sequence[Event]) -> list[Event]:
    """Every event twice, in some other order."""
    several = [*events, *events]
    random.Random(seed).shuffle(several)
    return several


def settle(told: Told, seed: int) -> list[WorkflowRun]:
    """Deliver, every event twice and in an order by the seed, and run until nothing is left."""
    _, hook, receiver = told
    ran: list[WorkflowRun] = []
    while hook.waiting:
        here = [e for e in hook.waiting if e.payload["repository"]["full_name"] == "ameide/control"]
        # Of one burst a look sees all there is: what is asked for several times is asked once more.
        newest = list({(e.name, e.action): e for e in here}.values())
        hook.waiting = newest
        assert set(hook.deliver(lambda events: twice_and_shuffled(seed, events))) <= {204}
        ran += receiver.start()
        assert len(ran) < 80, [run.workflow for run in ran]
    for run in ran:
        assert run.result == "success", run.log
    return ran


def reach_dev(told: Told, seed: int) -> Actions:
    """The draft in dev, by events alone."""
    actions = told[0]
    world = actions.open()
    ask_for_drafts(world)
    world.close()
    settle(told, seed)
    world = actions.open()
    ask(world, DRAFT, "dev", ENGINEER_ID)
    world.close()
    settle(told, seed)
    return actions


def test_events_bring_a_draft_into_dev_however_they_come(told: Told) -> None:
    actions = reach_dev(told, seed=1)
    world = actions.open()
    status = world.engine.status(DRAFT)
    assert [p.environment for p in status.promotions] == ["dev"]
    assert len(actions.server.repository("ameide", CODE).pulls) == 1
    assert world.engine.plan(tenants=["acme"]).is_empty
    world.close()


def test_the_schedule_makes_up_for_a_lost_event(told: Told) -> None:
    actions, hook, _ = told
    world = actions.open()
    ask_for_drafts(world)
    world.close()
    hook.waiting.clear()
    actions.run("scaffold", "schedule")
    world = actions.open()
    assert world.engine.status(DRAFT).pull_request is not None
    world.close()


def test_a_delivery_without_github_s_signature_starts_nothing(told: Told) -> None:
    actions, hook, receiver = told
    world = actions.open()
    ask_for_drafts(world)
    world.close()
    event = next(e for e in hook.waiting if e.name == "push")
    assert hook.send(event, "sha256=" + "0" * 64) == 401
    assert hook.send(event, "") == 401
    forged = Webhook(receiver.url, b"guessed")
    assert forged.send(event) == 401
    assert receiver.refused == 3 and receiver.start() == []


def test_a_pull_request_is_judged_when_opened_and_when_pushed_to(told: Told) -> None:
    actions, hook, receiver = told
    world = actions.open()
    number = world.propose({draft_path(DRAFT): draft_example().encode()}, AGENT_ID)
    world.close()
    events = [(e.name, e.action) for e in hook.waiting]
    assert ("pull_request", "opened") in events
    assert set(hook.deliver()) == {204}
    [run] = receiver.start()
    assert (run.workflow, run.result) == ("validate", "success"), run.log
    repository = actions.server.repository("ameide", CONTROL)
    pull = repository.pulls[number]
    identity = ("-c", "user.name=Agent", "-c", "user.email=agent@example.com")
    tree = f"{pull.head}^{{tree}}"
    more = repository.git(*identity, "commit-tree", tree, "-p", pull.head, "-m", "Once more")
    repository.git("update-ref", f"refs/heads/{pull.head_branch}", more)
    actions.server.state.after_refs_moved(repository, pull.account)
    actions.server.observe()
    assert ("pull_request", "synchronize") in [(e.name, e.action) for e in hook.waiting]
    assert set(hook.deliver()) == {204}
    [run] = receiver.start()
    assert (run.workflow, run.result) == ("validate", "success"), run.log


def test_a_merge_group_is_judged_when_the_queue_asks(told: Told) -> None:
    actions, hook, receiver = told
    world = actions.open()
    number = world.propose({draft_path(DRAFT): draft_example().encode()}, AGENT_ID)
    world.close()
    hook.waiting.clear()
    repository = actions.server.repository("ameide", CONTROL)
    repository.queue.append(number)
    form_groups(actions.server.state, repository)
    actions.server.observe()
    assert ("merge_group", "checks_requested") in [(e.name, e.action) for e in hook.waiting]
    assert set(hook.deliver()) == {204}
    [run] = receiver.start()
    assert (run.workflow, run.result) == ("validate", "success"), run.log
