"""The embedded builder: the source tree itself as an image, reproducible bit for bit.

Recorded as `source-layout`. It needs no daemon and no base image, so the whole story runs
anywhere; an environment that must run the service asks for another builder (`builders`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipeline.builders.images import ImageStore
from pipeline.builders.port import source_tag
from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import BuildRecord
from pipeline.oci import image_of


class LayoutBuilder:
    """Builds the source layout image of a folder into a store."""

    name: Literal["source-layout"] = "source-layout"

    def __init__(self, store: ImageStore) -> None:
        self.store = store

    def build(
        self,
        files: Mapping[str, tuple[int, bytes]],
        *,
        image: str,
        source_commit: str,
        source_tree: str,
        labels: Mapping[str, str],
    ) -> BuildRecord:
        """The record of the image, found under its source tree's tag or built."""
        tag = source_tag(source_tree)
        digest = self.store.read_digest(image, tag)
        if digest is None:
            digest = self.store.write_image(image, tag, image_of(files, labels))
        return BuildRecord(
            source_commit=CommitId(source_commit),
            source_tree=TreeId(source_tree),
            digest=digest,
            builder=self.name,
            image=image,
        )
