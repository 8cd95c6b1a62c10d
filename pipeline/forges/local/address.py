"""The parts of the address of a repository in a local forge; fast, opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageFault


@dataclass(frozen=True, slots=True)
class LocalOrigin:
    """The local forge that a checkout came from, and the control repo's name in it."""

    root: Path
    organisation: str
    repo: str

    @property
    def path(self) -> Path:
        """The control repo's bare repository."""
        return self.root / self.organisation / f"{self.repo}.git"


def find_origin(address: str, top: Path, environment: Mapping[str, str]) -> LocalOrigin:
    """The local forge of the remote `origin` of the checkout at `top`.

    A local forge is recognised by its layout `<root>/<organisation>/<repo>.git`; the variable
    PIPELINE_FORGE names the root if origin does not. Raises UsageFault.
    """
    path = Path(address.removeprefix("file://"))
    if not path.is_absolute():
        path = top / path
    if path.suffix != ".git" or not path.is_dir():
        raise UsageFault(
            f"origin `{address}` is not a repository of a local forge",
            help="a local forge keeps `<root>/<organisation>/<repo>.git`",
        )
    path = path.resolve()
    root = environment.get("PIPELINE_FORGE")
    return LocalOrigin(Path(root) if root else path.parent.parent, path.parent.name, path.stem)
