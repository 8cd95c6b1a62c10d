"""What the decision on a promotion rests on: its release rendered, whose word it is, what runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline import names
from pipeline.diagnostics import Finding, Location
from pipeline.errors import OverBound, Unrenderable
from pipeline.forges.port import PullState
from pipeline.git.objects import trees_of_entries
from pipeline.git.repository import GitRepository, read_parents
from pipeline.models.base import CommitId, ImageDigest, TreeId
from pipeline.models.evidence import BuildRecord
from pipeline.models.facts import Release
from pipeline.models.requests import Environment, Promotion
from pipeline.models.status import DraftStatus
from pipeline.plan.bounds import SOURCE_OVER_BOUND
from pipeline.plan.view import Caused, DraftView, Listing, PromotionInput
from pipeline.releases.overlays import (
    Overlay,
    base_tree_of,
    has_runtime,
    parse_overlay,
    render_overlay,
)
from pipeline.releases.rules import MANIFEST_NOT_RENDERED
from pipeline.requests.snapshot import LoadedRequest
from pipeline.sandbox.sources import check_source
from pipeline.stages.promote import promotion_key
from pipeline.state.bounds import with_evidence
from pipeline.world.hydrate import CHART
from pipeline.world.look import Sight

# Stands for the digest of an image that is not built yet.
UNBUILT = ImageDigest("sha256:" + "0" * 64)


class PromotionSight(Sight):
    """A look that also sees promotions."""

    def promotion(self, view: DraftView, loaded: LoadedRequest) -> PromotionInput:
        """Everything the decision on one promotion request rests on."""
        promotion = loaded.model
        assert isinstance(promotion, Promotion) and view.status
        caused = self.caused(loaded.path, loaded.blob, tier=view.status.risk_tier)
        return self.promotion_input(view, promotion, caused)

    def promotion_input(
        self,
        view: DraftView,
        promotion: Promotion,
        caused: Caused,
    ) -> PromotionInput:
        """The same for a request that may not be merged yet (`promote request`, `why`)."""
        status = view.status
        assert status is not None
        source_commit = promotion.release.source_commit
        git = self.git(view.target_repo)
        known = view.target is not None and git.has_commit(source_commit)
        source = git.read_object(f"{source_commit}:{view.folder}") if known else None
        tree = source.id if source and source.type == "tree" else None
        facts, chain_problem = self.chain(view.request.tenant_id, status)
        view = replace(view, status=with_evidence(status, facts, tree))
        overlay, findings = self._overlay(view, promotion, tree, git)
        due = PromotionInput(
            promotion=promotion,
            caused=caused,
            status=view.status,
            source_tree=tree,
            source_on_default=self._is_on_default(view, git, tree),
            overlay=overlay,
            manifest_findings=findings,
            chain_problem=chain_problem,
            provenance=self.provenance(facts, tree),
        )
        if view.gitops is None or view.gitops.head is None:
            return due
        gitops = self.git(view.gitops_repo)
        key = promotion_key(caused)
        branch = names.promotion_branch(promotion.environment, view.instance, key)
        folder = names.overlay_folder(promotion.environment, view.instance)
        existing = self._existing(view.gitops_repo, view.gitops, branch, folder, key)
        opened = self.pull_of_branch(view.gitops_repo, branch) if existing else None
        queued = opened is not None and opened.is_queued
        due = replace(due, existing=existing, gitops_pull=opened, is_queued=queued)
        if opened and view.environments[promotion.environment].merge == "manual":
            due = replace(due, owners=self.owners(view.platform, view.owners))
        if existing and opened and opened.state is PullState.MERGED:
            files = gitops.read_files(existing.commit, folder)
            there = parse_overlay(folder, {path: content for path, (_, content) in files.items()})
            return replace(due, overlay=there, manifest_findings=(), merged=True)
        if overlay is None:
            return due
        # Begun with another tree, before policy changed: the same branch goes on from there.
        begun = existing and existing.folder_tree != overlay.tree
        base = existing.commit if existing and begun else view.gitops.head
        return replace(due, gitops_base=base, gitops_parents=read_parents(gitops, base, folder))

    def _overlay(
        self, view: DraftView, promotion: Promotion, tree: str | None, git: GitRepository
    ) -> tuple[Overlay | None, tuple[Finding, ...]]:
        status = view.status
        build = status.build_of_tree(tree) if status and tree else None
        environment = view.environments.get(promotion.environment)
        if status is None or tree is None or environment is None:
            return None, ()
        try:
            check_source(git, promotion.release.source_commit, view.folder)
        except OverBound as error:
            at = Location(f"{view.target_repo}:{view.folder}")
            return None, (SOURCE_OVER_BOUND.finding(error.message, at),)
        if build is None:
            return None, ()
        files = git.read_files(promotion.release.source_commit, view.folder)
        contents = {path: content for path, (_, content) in files.items()}
        return self._rendered_or_not(view, status, environment, build, tree, contents)

    def chart_findings(
        self, view: DraftView, entries: Listing, blobs: Mapping[str, bytes]
    ) -> tuple[Finding, ...]:
        """What judges the manifests of a draft's folder that is not built, nor committed yet.

        They are rendered as its release would be, for the first environment, with a digest that
        stands for the image's. `blobs` holds by id what the target repository lacks.
        """
        status = view.status
        environment = next(iter(view.environments.values()), None)
        if status is None or environment is None:
            return ()
        chart = {path: id for path, (_, id) in entries.items() if path.startswith(CHART)}
        there = [id for id in dict.fromkeys(chart.values()) if id not in blobs]
        found = self.git(view.target_repo).read_objects(there)
        read = {id: item.content for id, item in zip(there, found, strict=True) if item}
        contents = {path: blobs.get(id, read.get(id, b"")) for path, id in chart.items()}
        tree = trees_of_entries(entries)[-1].id
        build = BuildRecord(
            source_commit=CommitId(status.head),
            source_tree=TreeId(tree),
            digest=UNBUILT,
            builder="source-layout",
            image=view.image,
        )
        return self._rendered_or_not(view, status, environment, build, tree, contents)[1]

    def _rendered_or_not(
        self,
        view: DraftView,
        status: DraftStatus,
        environment: Environment,
        build: BuildRecord,
        tree: str,
        files: Mapping[str, bytes],
    ) -> tuple[Overlay | None, tuple[Finding, ...]]:
        try:
            return self._rendered(view, status, environment, build, tree, files)
        except Unrenderable as error:
            at = Location(f"{view.target_repo}:{view.folder}/chart")
            return None, (MANIFEST_NOT_RENDERED.finding(error.message, at),)

    def _rendered(
        self,
        view: DraftView,
        status: DraftStatus,
        environment: Environment,
        build: BuildRecord,
        tree: str,
        files: Mapping[str, bytes],
    ) -> tuple[Overlay, tuple[Finding, ...]]:
        base = self.hydrator.read_base(
            tree,
            files,
            release=view.instance,
            image=f"{view.image}@{build.digest}",
            kubernetes_version=view.platform.kubernetes_version,
        )
        # The record's own commit: another commit of the same tree is the same release.
        release = Release(
            source_commit=build.source_commit,
            source_tree=TreeId(tree),
            digest=build.digest,
            base_tree=base_tree_of(base),
        )
        overlay = render_overlay(status, view.tenant, view.platform, environment, release, base)
        if not has_runtime(overlay.files, environment.runtime):
            return overlay, ()  # there is nothing to build; `clause_runtime` refuses it
        return overlay, self.hydrator.read_findings(overlay, view.image)

    def _is_on_default(self, view: DraftView, git: GitRepository, tree: str | None) -> bool:
        """Whether the source tree is the one on the target's default branch (design §6)."""
        if tree is None or view.target is None or view.target.head is None:
            return False
        found = git.read_object(f"{view.target.head}:{view.folder}")
        return found is not None and found.id == tree
