"""Deployments, on forges that show them: one a key, whose state is what was written last.

A forge that shows none reads none and does nothing when one is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.errors import ForgeRefused, NotFound
from pipeline.forges.port import Deployment, DeploymentAsk, DeploymentState, Forge
from tests.support.forge_contract import AUTHOR, PIPELINE, REPO, START, push

ASKED = DeploymentAsk(
    commit=START,
    environment="staging",
    key="acme/order-router#12",
    state=DeploymentState.IN_PROGRESS,
    title="acme/order-router sha256:5c5e499248cc",
    comment="promoted",
    link="https://github.example/acme/gitops/pull/3",
    is_production=False,
    details={"draft": "acme/order-router", "fact": "12"},
)


@pytest.fixture
def showing(forge: Forge) -> Iterator[Forge]:
    """A forge; whatever it shows, it refuses nothing that is there."""
    yield forge
    with pytest.raises(NotFound):
        forge.read_deployments("none", (START,))
    with pytest.raises(NotFound):
        forge.write_deployment("none", ASKED, actor=PIPELINE)


def shown(forge: Forge, *asked: DeploymentAsk) -> tuple[Deployment, ...]:
    """What is read once all of these were written, if the forge shows any."""
    told = (Deployment(a.commit, a.environment, a.key, a.state) for a in asked)
    return tuple(told) if forge.shows_deployments else ()


def test_nothing_is_shown_at_first(showing: Forge) -> None:
    assert showing.read_deployments(REPO, (START,)) == ()
    assert showing.read_deployments(REPO, ()) == ()
    assert showing.read_deployments(REPO, ("0" * 40,)) == ()


def test_a_deployment_is_made_once_and_its_state_moves(showing: Forge) -> None:
    for state in (DeploymentState.IN_PROGRESS, DeploymentState.SUCCESS, DeploymentState.INACTIVE):
        asked = replace(ASKED, state=state)
        for _ in range(2):
            showing.write_deployment(REPO, asked, actor=PIPELINE)
        assert showing.read_deployments(REPO, (START,)) == shown(showing, asked)


def test_others_of_the_environment_stay_as_they_are(showing: Forge) -> None:
    other = replace(ASKED, key="acme/inventory#4", state=DeploymentState.SUCCESS)
    further = replace(ASKED, environment="prod", is_production=True, key="acme/order-router#15")
    newer = replace(ASKED, commit=push(showing, "draft/one", {"a": b"a"}, None))
    for asked in (other, further, newer, replace(ASKED, state=DeploymentState.SUCCESS)):
        showing.write_deployment(REPO, asked, actor=PIPELINE)
    read = showing.read_deployments(REPO, (START, newer.commit))
    wanted = shown(showing, other, further, newer, replace(ASKED, state=DeploymentState.SUCCESS))
    assert set(read) == set(wanted) and len(read) == len(wanted)
    assert showing.read_deployments(REPO, (newer.commit,)) == shown(showing, newer)


def test_those_of_somebody_else_do_not_count(showing: Forge) -> None:
    forged = replace(ASKED, state=DeploymentState.SUCCESS)
    showing.write_deployment(REPO, forged, actor=AUTHOR)
    assert showing.read_deployments(REPO, (START,)) == ()
    showing.write_deployment(REPO, ASKED, actor=PIPELINE)
    assert showing.read_deployments(REPO, (START,)) == shown(showing, ASKED)


def test_a_commit_that_is_not_there_cannot_be_shown(forge: Forge) -> None:
    gone = replace(ASKED, commit="0" * 40)
    if not forge.shows_deployments:
        forge.write_deployment(REPO, gone, actor=PIPELINE)
        return
    with pytest.raises(ForgeRefused):
        forge.write_deployment(REPO, gone, actor=PIPELINE)
