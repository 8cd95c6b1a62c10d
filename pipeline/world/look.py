"""One look at the world, as of one commit of main, assembled from the parts that read it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.requests.snapshot import Snapshot
from pipeline.world.causes import Causes
from pipeline.world.drafts import Drafts
from pipeline.world.failures import Failures
from pipeline.world.gitops import GitopsRepositories
from pipeline.world.patches import Patches
from pipeline.world.policy_history import PolicyHistory
from pipeline.world.promotions import Promotions
from pipeline.world.releases import Releases
from pipeline.world.repositories import OpenRepositories
from pipeline.world.revisions import Revisions
from pipeline.world.states import States


@dataclass(frozen=True)
class World:
    """The outside world, each thing read once and only when asked for."""

    snapshot: Snapshot
    policy: PolicyHistory  # as of the snapshot's commit
    revisions: Revisions
    failures: Failures
    repositories: OpenRepositories
    states: States
    causes: Causes
    releases: Releases
    patches: Patches
    promotions: Promotions
    gitops: GitopsRepositories
    drafts: Drafts

    @property
    def now_s(self) -> int:
        """The moment of the plan, in seconds since the epoch."""
        return self.drafts.now_s

    def at(self, now_s: int) -> World:
        """The same world, planned for another moment."""
        return replace(self, drafts=replace(self.drafts, now_s=now_s))
