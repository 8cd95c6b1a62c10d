"""The local forge that a checkout's `origin` lies in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.forges.local.address import find_origin
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.opening import OpenedForge


def open_at(address: str, top: Path, environment: Mapping[str, str]) -> OpenedForge:
    """The forge of the folder that the address lies in. Raises UsageFault."""
    origin = find_origin(address, top, environment)
    return OpenedForge(LocalForge(origin.root, origin.organisation), origin.repo)
