"""The ports of building: what makes an image, and what sees to it that a source tree has one."""

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
    """One source tree that is to have an image, and where both lie."""

    repo: str
    folder: str
    commit: str
    tree: str
    files: Files
    image: str  # repository without tag or digest
    labels: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The tag under which the image is found again."""
        return source_tag(self.tree)


class Maker(Protocol):
    """Makes an image of a primitive's folder; nothing is stored, and no credential is needed."""

    @property
    def name(self) -> BuilderName:
        """The name that is recorded, and that an environment's policy may refuse."""

    def make(self, files: Files, labels: Mapping[str, str]) -> Image:
        """The image. Raises CouldNotCheck, OverBound for a build that takes too much."""


class Builder(Protocol):
    """Gives the one image of a source tree, with the signed statement of what it was built from."""

    def build(self, source: Source) -> BuildRecord:
        """The record of the image, found or built.

        A crash after the push leaves the image under the tag of its source tree, where the
        next call finds it, so a tree has one digest even if a build is not reproducible.
        Raises CouldNotCheck, OverBound for a build that takes too much.
        """


def source_of(item: BuildImage, files: Files) -> Source:
    """The source that a piece of work is to build."""
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
    """The tag under which the image of a source tree is found again."""
    return f"src-{source_tree}"
