"""Whether a draft rests, that is, only a new request could give it something to do."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from pipeline.errors import PipelineError
from pipeline.forges.port import PullState
from pipeline.gate.rollback import Fallback, fallback_of
from pipeline.models.status import DraftState, DraftStatus
from pipeline.plan.view import owners_of
from pipeline.requests.snapshot import Snapshot
from pipeline.stages.provision import rules_key
from pipeline.world.repositories import OpenRepositories


@dataclass(frozen=True)
class Rest:
    """Tells whether a draft rests, from its status, policy and its pull request."""

    snapshot: Snapshot
    repositories: OpenRepositories
    # The drafts that record the branch rules of their repositories.
    keepers: frozenset[str] = frozenset()

    def holds(self, status: DraftStatus | None) -> bool:
        """Whether only a new request could give this draft something to do."""
        if status is None or not _is_complete(status):
            return False
        if status.id in self.keepers and status.rules != self._rules_of(status):
            return False
        if self.fallbacks(status):
            return False
        if not _rests_on_pull(status):
            return True
        pull = self.repositories.pull_of_branch(status.target_repo, status.branch_name)
        return pull is None or pull.state is not PullState.CLOSED

    def fallbacks(self, status: DraftStatus | None) -> tuple[Fallback, ...]:
        """The automatic rollbacks of a draft that policy asks for, now or later."""
        if status is None or status.state is DraftState.REJECTED or not status.promotions:
            return ()
        blocked = self.snapshot.blocked_digests
        environments = self.snapshot.environments.values()
        found = (fallback_of(status, environment, blocked) for environment in environments)
        return tuple(fallback for fallback in found if fallback is not None)

    def read_ahead(self, statuses: Iterable[DraftStatus]) -> None:
        """Prefetch the pull requests that `holds` needs, in one query per repository."""
        branches: dict[str, list[str]] = {}
        for status in statuses:
            if _is_complete(status) and _rests_on_pull(status):
                branches.setdefault(status.target_repo, []).append(status.branch_name)
        for repo, wanted in branches.items():
            # On failure `holds` asks again, and then it is a failure of the draft.
            with suppress(PipelineError):
                self.repositories.read_pulls(repo, wanted)

    def _rules_of(self, status: DraftStatus) -> str:
        """The key of the branch rules that a draft's repositories must have by policy."""
        platform, tenant = self.snapshot.platform, self.snapshot.tenant(status.tenant_id)
        if platform is None or tenant is None:
            return status.rules
        return rules_key(platform, owners_of(platform, tenant, status.code_origin))


def _is_complete(status: DraftStatus) -> bool:
    """Whether a draft has its repositories and branch, and its head was checked if patched."""
    if not (status.repos and status.branch_name):
        return False
    return not status.is_patched or status.checks_of_tree(status.head_tree) is not None


def _rests_on_pull(status: DraftStatus) -> bool:
    """Whether closing the draft's pull request would end it."""
    return not status.promotions and status.state is not DraftState.REJECTED
