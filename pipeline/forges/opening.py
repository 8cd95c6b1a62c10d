"""Opens the forge of an address: the only place that chooses among forges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pipeline.forges.port import Forge

_ON_SERVERS = ("https://", "http://")
# Prefixes of addresses, and the module whose `open_at` opens such a forge; the first match counts.
# By name, since importing the local one takes 18 ms and GitHub's 35, and few commands need both.
FORGES: tuple[tuple[tuple[str, ...], str], ...] = (
    (_ON_SERVERS, "pipeline.forges.github.opening"),
    (("",), "pipeline.forges.local.opening"),
)


@dataclass(frozen=True, slots=True)
class OpenedForge:
    """A forge, and the name in it of the repository at the address."""

    forge: Forge
    repo: str


class Opener(Protocol):
    """The interface of each module in FORGES."""

    def open_at(self, address: str, top: Path, environment: Mapping[str, str]) -> OpenedForge:
        """The forge that an address lies in, which is the `origin` of the checkout at `top`, with
        the credential of the environment. Raises UsageFault."""


def is_remote(address: str) -> bool:
    """Whether an address belongs to a forge on a server rather than on this machine."""
    return address.startswith(_ON_SERVERS)


def open_forge(address: str, top: Path, environment: Mapping[str, str]) -> OpenedForge:
    """The forge of the remote `origin` of the checkout at `top`. Raises UsageFault."""
    name = next(name for beginnings, name in FORGES if address.startswith(beginnings))
    return cast("Opener", import_module(name)).open_at(address, top, environment)
