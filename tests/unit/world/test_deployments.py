from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import cast

import pytest

from pipeline.errors import Failure, ForgeRefused, NotFound
from pipeline.forges.github.client import Unavailable
from pipeline.forges.port import ChecksAndEvents, Deployment, DeploymentState
from pipeline.models.base import key_of
from pipeline.plan.effects import Receipt, ShowDeployment
from pipeline.world.deployments import MOST_SHOWN, Deployments, Showing

STATE = DeploymentState.IN_PROGRESS


@dataclass
class Shown:
    """A forge of which nothing is asked but deployments."""

    there: dict[str, Deployment] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    shows_deployments: bool = True

    def read_deployments(self, repo: str, commits: Collection[str]) -> tuple[Deployment, ...]:
        self.asked.append((repo, frozenset(commits)))
        if self.error:
            raise self.error
        return tuple(d for d in self.there.values() if d.commit in commits)


def deployments(forge: Shown) -> Deployments:
    return Deployments(cast(ChecksAndEvents, forge))


def wanted(number: int = 1, repo: str = "code", state: DeploymentState = STATE) -> ShowDeployment:
    name = f"acme/order-router#{number}"
    return ShowDeployment(
        key=key_of(repo, name, state),
        draft="acme/order-router",
        repo=repo,
        commit=f"{number:040x}",
        environment="dev",
        name=name,
        state=state,
        title="Order router",
        comment="",
        link="",
        is_production=False,
        details={},
    )


def there(of: ShowDeployment, state: DeploymentState | None = None) -> Deployment:
    return Deployment(of.commit, of.environment, of.name, state or of.state)


def receipt(*shown: ShowDeployment, warnings: tuple[Failure, ...] = ()) -> Receipt:
    return Receipt(applied=tuple((one.key, one.kind) for one in shown), warnings=warnings)


def test_what_is_not_there_is_shown_and_not_asked_for_again() -> None:
    forge, one = Shown(), wanted()
    known = deployments(forge)
    assert known.read_due([one]) == Showing((one,), (), is_settled=False)
    known.learn([one], receipt(one))
    assert known.read_due([one]) == Showing()
    assert len(forge.asked) == 1
    later = wanted(state=DeploymentState.SUCCESS)
    assert known.read_due([later]).effects == (later,)


def test_what_is_there_is_settled_with_one_question_per_repository() -> None:
    several = [wanted(1), wanted(2), wanted(3, repo="platform")]
    forge = Shown({one.name: there(one) for one in several})
    known = deployments(forge)
    for _ in range(2):
        assert known.read_due(several) == Showing()
    assert [repo for repo, _ in forge.asked] == ["code", "platform"]


def test_a_right_that_is_missing_is_said_once_and_nothing_waits_for_it() -> None:
    forge = Shown(error=ForgeRefused("GitHub does not allow it"))
    known = deployments(forge)
    showing = known.read_due([wanted()])
    assert showing.effects == () and showing.is_settled
    assert showing.warnings == (("code", "forge-refused", "GitHub does not allow it"),)
    assert not known.are_shown


@pytest.mark.parametrize("error", [Unavailable("no answer"), ValueError("a bug")])
def test_what_could_not_be_read_is_left_to_the_next_run(error: Exception) -> None:
    forge = Shown(error=error)
    known = deployments(forge)
    first, again = known.read_due([wanted()]), known.read_due([wanted()])
    assert first.effects == () and not first.is_settled
    assert [warning.subject for warning in first.warnings] == ["code"]
    assert again == Showing((), (), is_settled=False) and len(forge.asked) == 1
    assert known.are_shown


def test_a_repository_that_is_gone_stops_no_other() -> None:
    forge = Shown(error=NotFound("no such repository"))
    known = deployments(forge)
    assert known.read_due([wanted()]).is_settled
    forge.error = None
    other = wanted(2, repo="platform")
    assert known.read_due([wanted(), other]).effects == (other,)


@pytest.mark.parametrize(
    ("code", "is_settled"), [("forge-refused", True), ("github-unanswered", False)]
)
def test_a_write_that_failed_is_not_tried_again_by_this_run(code: str, is_settled: bool) -> None:
    known, one = deployments(Shown()), wanted()
    known.read_due([one])
    known.learn([one], receipt(warnings=(Failure(one.draft, code, ""),)))
    assert known.read_due([one]) == Showing((), (), is_settled=is_settled)


def test_a_run_shows_no_more_than_its_share_of_github_s_limits() -> None:
    several = [wanted(number) for number in range(MOST_SHOWN + 2)]
    known = deployments(Shown())
    showing = known.read_due(several)
    assert showing.effects == tuple(several[:MOST_SHOWN])
    known.learn(showing.effects, receipt(*showing.effects))
    assert known.read_due(several) == Showing((), (), is_settled=False)


def test_a_forge_that_shows_none_is_not_asked() -> None:
    assert not deployments(Shown(shows_deployments=False)).are_shown
