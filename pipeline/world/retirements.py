"""The evidence for a retirement: who asked, and how far the next environment's removal is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.forges.port import PullState
from pipeline.git.repository import read_parents
from pipeline.models.requests import Retirement
from pipeline.plan.view import DraftView, Retiring
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.retire import next_to_leave, retirement_branch, retirement_key
from pipeline.world.causes import Causes
from pipeline.world.promotions import Promotions
from pipeline.world.repositories import OpenRepositories


@dataclass(frozen=True)
class Retirements:
    """Reads requests to retire drafts, and the removals begun for them."""

    repositories: OpenRepositories
    causes: Causes
    promotions: Promotions

    def of_request(self, view: DraftView, loaded: LoadedRequest) -> Retiring:
        """The retirement of a draft, with the removal from the next environment that it leaves."""
        request, status = loaded.model, view.status
        assert isinstance(request, Retirement) and status
        caused = self.causes.of(loaded.path, loaded.blob, tier=status.risk_tier)
        retiring = Retiring(caused, request.reason)
        record, gitops = next_to_leave(view), view.gitops
        if record is None or gitops is None or gitops.head is None:
            return retiring
        folder, key = record.overlay_folder, retirement_key(caused)
        branch = retirement_branch(view, retiring, record.environment)
        existing = self.repositories.begun_branch(gitops, branch, folder, key)
        pull = self.repositories.pull_of_branch(view.gitops_repo, branch) if existing else None
        git = self.repositories.git(view.gitops_repo)
        retiring = replace(
            retiring,
            gitops_base=gitops.head,
            gitops_parents=read_parents(git, gitops.head, folder),
            existing=existing,
            pull=pull,
            merged=pull is not None and pull.state is PullState.MERGED,
        )
        policy = view.environments.get(record.environment)
        if pull and policy is not None and policy.merge == "manual":
            owners = self.promotions.owners(view.platform, view.owners)
            retiring = replace(retiring, owners=owners)
        return retiring
