"""The builder port: one image per source tree, found again or built (design §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pipeline.models.evidence import BuildRecord


class Builder(Protocol):
    """Makes the image of a primitive's folder."""

    @property
    def name(self) -> str:
        """The name that is recorded, and that an environment's policy may refuse."""

    def build(
        self,
        files: Mapping[str, tuple[int, bytes]],
        *,
        image: str,
        source_commit: str,
        source_tree: str,
        labels: Mapping[str, str],
    ) -> BuildRecord:
        """The record of the image of `files` (path → git mode, content), found or built.

        A crash after the push leaves the image under the tag of its source tree, where the
        next call finds it, so a tree has one digest even if a build is not reproducible.
        Raises CouldNotCheck.
        """


def source_tag(source_tree: str) -> str:
    """The tag under which the image of a source tree is found again."""
    return f"src-{source_tree}"
