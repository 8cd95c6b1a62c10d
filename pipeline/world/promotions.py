"""The evidence for promotions: the rendered release, its provenance, and what runs now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from pipeline import names
from pipeline.forges.port import PullState, RepoView
from pipeline.gate.approvals import source_authors
from pipeline.gate.waivers import Grant
from pipeline.git.history import read_folder_commits, read_was_tree
from pipeline.git.repository import GitRepository, read_parents
from pipeline.models.facts import Built, Fact
from pipeline.models.provenance import Verified
from pipeline.models.requests import Platform, Promotion, Signers, Waiver
from pipeline.plan.view import Caused, DraftView, PromotionInput
from pipeline.releases.overlays import parse_overlay
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.promote import promotion_key
from pipeline.state.bounds import with_evidence
from pipeline.world.causes import Causes
from pipeline.world.releases import Releases
from pipeline.world.repositories import OpenRepositories
from pipeline.world.states import States

Verify = Callable[[str, str], Verified]  # bundle, signers as JSON


@dataclass(frozen=True)
class Promotions:
    """Evidence for promotions, both requested on main and hypothetical."""

    repositories: OpenRepositories
    states: States
    causes: Causes
    releases: Releases
    verify: Verify

    def of_request(self, view: DraftView, loaded: LoadedRequest) -> PromotionInput:
        """Everything the decision on one promotion request rests on."""
        promotion = loaded.model
        assert isinstance(promotion, Promotion) and view.status
        tier = view.status.risk_tier
        caused = self.causes.of(loaded.path, loaded.blob, tier=tier)
        due = self.of(view, promotion, caused)
        if due.merged and due.gitops_pull and due.gitops_pull.merged_at:
            # It was merged before a crash, so it rests on nothing that people said since.
            until = due.gitops_pull.merged_at
            caused = self.causes.of(loaded.path, loaded.blob, tier=tier, until=until)
            due = replace(due, caused=caused)
        return due

    def of(self, view: DraftView, promotion: Promotion, caused: Caused) -> PromotionInput:
        """Everything for the decision on a promotion that may not be merged yet."""
        status = view.status
        assert status is not None
        source_commit = promotion.release.source_commit
        git = self.repositories.git(view.target_repo)
        known = view.target is not None and git.has_commit(source_commit)
        source = git.read_object(f"{source_commit}:{view.folder}") if known else None
        tree = source.id if source and source.type == "tree" else None
        facts, chain_problem = self.states.chain(view.request.tenant_id, status)
        view = replace(view, status=with_evidence(status, facts, tree))
        overlay, findings = self.releases.overlay(view, promotion, tree)
        due = PromotionInput(
            promotion=promotion,
            caused=caused,
            status=view.status,
            source_tree=tree,
            source_on_default=_is_on_default(view, git, tree),
            overlay=overlay,
            manifest_findings=findings,
            chain_problem=chain_problem,
            waivers=self._waivers(view, promotion.environment),
            source_authors=self._source_authors(view, promotion, caused, facts) if tree else None,
            provenance=self._provenance(view.signers, facts, tree),
        )
        if view.gitops is None or view.gitops.head is None:
            return due
        return self._on_its_way(view, view.gitops, view.gitops.head, due)

    def _waivers(self, view: DraftView, environment: str) -> tuple[Grant, ...]:
        """The draft's waivers for an environment, each with the authority over it."""
        found = []
        tier = view.status.risk_tier if view.status else view.risk_tier
        for loaded in self.causes.snapshot.waivers_of(view.id):
            waiver = loaded.model
            if isinstance(waiver, Waiver) and waiver.environment == environment:
                caused = self.causes.of(loaded.path, loaded.blob, tier=tier)
                found.append(Grant(waiver, caused.cause, caused.authority))
        return tuple(found)

    def _source_authors(
        self, view: DraftView, promotion: Promotion, caused: Caused, facts: Iterable[Fact]
    ) -> frozenset[int] | None:
        """Who wrote what is new in a source, if any of its approvals asks for that."""
        if not any(policy.separation for policy in caused.authority.wanted):
            return None
        running = view.status.promotion(promotion.environment) if view.status else None
        base = running.release.source_commit if running else None
        git, head = self.repositories.git(view.target_repo), promotion.release.source_commit
        return source_authors(facts, read_folder_commits(git, view.folder, base, head))

    def _on_its_way(
        self, view: DraftView, gitops: RepoView, head: str, due: PromotionInput
    ) -> PromotionInput:
        """The input with the branch and pull request begun for it in the GitOps repository, whose
        main is at `head`.
        """
        environment, key = due.promotion.environment, promotion_key(due.caused)
        branch = names.promotion_branch(environment, view.instance, key)
        folder = names.overlay_folder(environment, view.instance)
        git = self.repositories.git(view.gitops_repo)
        existing = self.repositories.begun_branch(gitops, branch, folder, key)
        opened = self.repositories.pull_of_branch(view.gitops_repo, branch) if existing else None
        queued = opened is not None and opened.is_queued
        due = replace(due, existing=existing, gitops_pull=opened, is_queued=queued)
        policy = view.environments.get(environment)
        if opened and policy is not None and policy.merge == "manual":
            due = replace(due, owners=self._owners(view.platform, view.owners))
        if existing and opened and opened.state is PullState.MERGED:
            files = git.read_files(existing.commit, folder)
            there = parse_overlay(folder, {path: content for path, (_, content) in files.items()})
            return replace(due, overlay=there, manifest_findings=(), merged=True)
        if due.overlay is None:
            return due
        # Begun with another tree before policy changed: continue on the same branch.
        begun = existing and existing.folder_tree != due.overlay.tree
        base = existing.commit if existing and begun else head
        return replace(due, gitops_base=base, gitops_parents=read_parents(git, base, folder))

    def _owners(self, platform: Platform, teams: Collection[str]) -> frozenset[int]:
        """The people in any of these teams, both by policy and on the forge."""
        members = self.causes.revisions.read_members(teams)
        return platform.held_to(members).members(tuple(teams))

    def _provenance(
        self, signers: Signers | None, facts: Iterable[Fact], tree: str | None
    ) -> Verified | None:
        """The verified provenance of a source tree's image; None if no fact holds any.

        Raises CouldNotCheck.
        """
        bundles = [
            fact.body.build.bundle
            for fact in facts
            if isinstance(fact.body, Built) and fact.body.build.source_tree == tree
        ]
        if signers is None or not (bundles and bundles[-1]):
            return None
        return self.verify(bundles[-1], signers.model_dump_json(by_alias=True))


def _is_on_default(view: DraftView, git: GitRepository, tree: str | None) -> bool:
    """Whether the source tree is, or was, the one on the target's default branch."""
    if tree is None or view.target is None or view.target.head is None:
        return False
    return read_was_tree(git, view.target.head, view.folder, tree)
