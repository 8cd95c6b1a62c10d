"""The local forge of a checkout's `origin`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.forges.local.address import find_origin
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.opening import OpenedForge


def open_at(address: str, top: Path, environment: Mapping[str, str]) -> OpenedForge:
    """The forge of the folder in the address. Raises UsageFault."""
    origin = find_origin(address, top, environment)
    return OpenedForge(LocalForge(origin.root, origin.organisation), origin.repo)
