"""The ports of building: a maker of images, and a builder that gives each source tree one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from pipeline.git.objects import Files
from pipeline.images.oci import Image
from pipeline.models.evidence import BuildRecord
from pipeline.plan.effects import BuildImage

BuilderName = Literal["source-layout", "buildah", "buildx"]


@dataclass(frozen=True, slots=True)
class Source:
    """One source tree to build, and the repositories of source and image."""

    repo: str
    folder: str
    commit: str
    tree: str
    files: Files
    image: str  # repository without tag or digest
    labels: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The tag that finds the image again."""
        return source_tag(self.tree)


class Maker(Protocol):
    """Makes an image of a primitive's folder; stores nothing, and needs no credential."""

    @property
    def name(self) -> BuilderName:
        """The recorded name, which an environment's policy may refuse."""

    def make(self, files: Files, labels: Mapping[str, str]) -> Image:
        """The image. Raises CouldNotCheck, OverBound for a build that exceeds a bound."""


class Builder(Protocol):
    """Gives the one image of a source tree, with signed provenance."""

    def build(self, source: Source) -> BuildRecord:
        """The record of the image, found or built.

        A crash after the push leaves the image under its source tree's tag, where the next call
        finds it, so a tree has one digest even if a build is not reproducible.
        Raises CouldNotCheck, OverBound for a build that exceeds a bound.
        """


def source_of(item: BuildImage, files: Files) -> Source:
    """The source of a piece of build work."""
    return Source(
        repo=item.repo,
        folder=item.folder,
        commit=item.commit,
        tree=item.tree,
        files=files,
        image=item.image,
        labels=item.labels,
    )


def source_tag(source_tree: str) -> str:
    """The tag that finds the image of a source tree again."""
    return f"src-{source_tree}"
