"""The embedded builder: the source tree itself as an image, reproducible bit for bit.

Recorded as `source-layout`. It needs no daemon and no base image, so the demo runs anywhere; an
environment that must run the service requires another builder (`builders`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipeline.git.objects import Files
from pipeline.images.oci import Image, image_of


class LayoutMaker:
    """Makes the source layout image of a folder."""

    name: Literal["source-layout"] = "source-layout"

    def make(self, files: Files, labels: Mapping[str, str]) -> Image:
        """The image."""
        return image_of(files, labels)
