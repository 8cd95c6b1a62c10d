"""Releases rendered as they would be written, with findings about them; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.diagnostics import Finding, Location
from pipeline.errors import OverBound, Unrenderable
from pipeline.git.objects import trees_of_entries
from pipeline.models.base import CommitId, ImageDigest, TreeId
from pipeline.models.evidence import BuildRecord
from pipeline.models.facts import Release
from pipeline.models.requests import Environment, Promotion
from pipeline.models.status import DraftStatus
from pipeline.plan.bounds import SOURCE_OVER_BOUND
from pipeline.plan.patches import Listing
from pipeline.plan.view import DraftView
from pipeline.releases.overlays import Overlay, base_tree_of, has_runtime, render_overlay
from pipeline.releases.rules import MANIFEST_NOT_RENDERED
from pipeline.sandbox.sources import require_bounded_source
from pipeline.world.hydrate import CHART, Hydrator
from pipeline.world.repositories import OpenRepositories

# Placeholder for the digest of an image that is not built yet.
UNBUILT = ImageDigest("sha256:" + "0" * 64)

Rendered = tuple[Overlay | None, tuple[Finding, ...]]  # an overlay, and the findings against it


@dataclass(frozen=True)
class _Source:
    """The source of a release: its image's record, its folder's tree, and its chart's files."""

    build: BuildRecord
    tree: str
    files: Mapping[str, bytes]  # path below the primitive's folder → bytes
    base: Mapping[str, bytes] | None = None  # if it was rendered before


@dataclass
class Releases:
    """Renders releases of drafts from the charts in their repositories.

    Each source is measured and its chart read once per look, for all its environments.
    """

    repositories: OpenRepositories
    hydrator: Hydrator
    # Keyed by repository and tree of the primitive's folder.
    _charts: dict[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    _too_much: dict[tuple[str, str], tuple[Finding, ...]] = field(default_factory=dict)

    def overlay(
        self,
        view: DraftView,
        promotion: Promotion,
        tree: str | None,
        sealed: Mapping[str, bytes] | None = None,
    ) -> Rendered:
        """The overlay of a promotion, rendered now; None before its image is built.

        `tree` is the tree of the primitive's folder at the requested commit. `sealed` is the base
        that the release once had, for a promotion that goes back to it.
        """
        status = view.status
        build = status.build_of_tree(tree) if status and tree else None
        environment = view.environments.get(promotion.environment)
        if status is None or tree is None or environment is None:
            return None, ()
        commit = promotion.release.source_commit
        too_much = self._read_too_much(view, commit, tree)
        if too_much or build is None:
            return None, too_much
        chart = {} if sealed is not None else self._read_chart(view, commit, tree)
        source = _Source(build, tree, chart, sealed)
        return self._rendered_or_not(view, status, environment, source)

    def chart_findings(
        self, view: DraftView, entries: Listing, blobs: Mapping[str, bytes]
    ) -> tuple[Finding, ...]:
        """Findings about the manifests of a folder that is neither built nor committed yet.

        They are rendered as its release would be, for the first environment, with a placeholder
        for the image's digest. `blobs` holds, by id, the blobs that the target repository lacks.
        """
        status = view.status
        environment = next(iter(view.environments.values()), None)
        if status is None or environment is None:
            return ()
        chart = {path: id for path, (_, id) in entries.items() if path.startswith(CHART)}
        there = [id for id in dict.fromkeys(chart.values()) if id not in blobs]
        found = self.repositories.git(view.target_repo).read_objects(there)
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
        return self._rendered_or_not(view, status, environment, _Source(build, tree, contents))[1]

    def _read_too_much(self, view: DraftView, commit: str, tree: str) -> tuple[Finding, ...]:
        """A finding if a source exceeds the bounds of sources."""
        key = (view.target_repo, tree)
        if key not in self._too_much:
            found: tuple[Finding, ...] = ()
            try:
                require_bounded_source(self.repositories.git(view.target_repo), commit, view.folder)
            except OverBound as error:
                at = Location(f"{view.target_repo}:{view.folder}")
                found = (SOURCE_OVER_BOUND.finding(error.message, at),)
            self._too_much[key] = found
        return self._too_much[key]

    def _read_chart(self, view: DraftView, commit: str, tree: str) -> Mapping[str, bytes]:
        """The chart files of a source."""
        key = (view.target_repo, tree)
        if key not in self._charts:
            git = self.repositories.git(view.target_repo)
            files = git.read_files(commit, f"{view.folder}/{CHART.rstrip('/')}")
            self._charts[key] = {f"{CHART}{path}": content for path, (_, content) in files.items()}
        return self._charts[key]

    def _rendered_or_not(
        self, view: DraftView, status: DraftStatus, environment: Environment, source: _Source
    ) -> Rendered:
        try:
            return self._rendered(view, status, environment, source)
        except Unrenderable as error:
            at = Location(f"{view.target_repo}:{view.folder}/chart")
            return None, (MANIFEST_NOT_RENDERED.finding(error.message, at),)

    def _rendered(
        self, view: DraftView, status: DraftStatus, environment: Environment, source: _Source
    ) -> Rendered:
        build = source.build
        base = source.base
        if base is None:
            base = self.hydrator.read_base(
                source.tree,
                source.files,
                release=view.instance,
                image=f"{view.image}@{build.digest}",
                kubernetes_version=view.platform.kubernetes_version,
            )
        # The record's own commit: another commit of the same tree is the same release.
        release = Release(
            source_commit=build.source_commit,
            source_tree=TreeId(source.tree),
            digest=build.digest,
            base_tree=base_tree_of(base),
        )
        overlay = render_overlay(status, view.tenant, view.platform, environment, release, base)
        if not has_runtime(overlay.files, environment.runtime):
            return overlay, ()  # nothing to build; `clause_runtime` refuses it
        return overlay, self.hydrator.read_findings(overlay, view.image)
