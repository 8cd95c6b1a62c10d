"""The deployments that people are shown, as far as this process has read or written them.

Nothing is decided by them, so what was read or written once is not asked for again. A forge that
shows no deployments is never asked, nor is one again that refused: a right that is missing does not
come by asking. Reads that fail otherwise leave the tenant to the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.errors import Failure, ForgeRefused, NotFound, failure_of
from pipeline.forges.port import ChecksAndEvents, Deployment
from pipeline.plan.effects import Receipt, ShowDeployment
from pipeline.stages.deployments import is_due

# Deployments that one process shows at most. Each takes two of GitHub's 500 content-creating
# requests an hour, which promotions need too; the next run goes on.
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Showing:
    """What is to be shown, what could not be said, and whether all is shown that can be."""

    effects: tuple[ShowDeployment, ...] = ()
    warnings: tuple[Failure, ...] = ()
    is_settled: bool = True


@dataclass
class Deployments:
    """Deployments by repository and name; None for one that is not there."""

    forge: ChecksAndEvents
    left: int = MOST_SHOWN
    _known: dict[tuple[str, str], Deployment | None] = field(default_factory=dict)
    # Given up in this process: whether for good, or left to the next run.
    _given_up: dict[tuple[str, str], bool] = field(default_factory=dict)
    _is_refused: bool = False

    @property
    def are_shown(self) -> bool:
        """Whether it is worth asking what is to be shown."""
        return self.forge.shows_deployments and not self._is_refused

    def read_due(self, wanted: Sequence[ShowDeployment]) -> Showing:
        """What of the wanted deployments is to be shown now."""
        warnings: list[Failure] = []
        for repo in sorted({w.repo for w in wanted}):
            unknown = [w for w in wanted if w.repo == repo and self._may_be_due(w)]
            try:
                self._read(repo, unknown)
            except Exception as error:
                # Whatever it is, promotions go on.
                warnings.append(failure_of(repo, error))
                self._is_refused = isinstance(error, ForgeRefused)
                final = isinstance(error, ForgeRefused | NotFound)
                self._given_up |= {_place(w): final for w in unknown}
        due = [w for w in wanted if self._may_be_due(w)]
        waits = any(not self._given_up.get(_place(w), True) for w in wanted)
        return Showing(tuple(due[: self.left]), tuple(warnings), not (due or waits))

    def _may_be_due(self, wanted: ShowDeployment) -> bool:
        place = _place(wanted)
        if place in self._given_up:
            return False
        return place not in self._known or is_due(wanted, self._known[place])

    def _read(self, repo: str, unknown: Sequence[ShowDeployment]) -> None:
        commits = {w.commit for w in unknown}
        if not commits:
            return
        found = {d.key: d for d in self.forge.read_deployments(repo, commits)}
        for wanted in unknown:
            self._known[_place(wanted)] = found.get(wanted.name)

    def learn(self, planned: Sequence[ShowDeployment], receipt: Receipt) -> None:
        """Take in what was shown, and give up the rest: a refusal for good, else until later."""
        shown = {key for key, _ in receipt.applied}
        final = all(w.code in ("forge-refused", "not-found") for w in receipt.warnings)
        for one in planned:
            if one.key in shown:
                self.left -= 1
                there = Deployment(one.commit, one.environment, one.name, one.state)
                self._known[_place(one)] = there
            else:
                self._given_up[_place(one)] = final


def _place(wanted: ShowDeployment) -> tuple[str, str]:
    return wanted.repo, wanted.name
