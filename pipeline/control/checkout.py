"""Where a control checkout is and which local forge it came from; light, imports no models.

Every command opens the checkout here, `pipeline status` too, so it is read by one `git config` of
our own: measured in a fresh process, 3 ms against 79 ms by GitPython, 75 of them for its import.
That would be a third of what `status` may take (0.2 s). GitPython makes the checkouts
(`pipeline.git.checkouts`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository


@dataclass(frozen=True, slots=True)
class Origin:
    """The local forge that a checkout came from, and the control repo's name in it."""

    root: Path
    organisation: str
    repo: str

    @property
    def path(self) -> Path:
        """The control repo's bare repository."""
        return self.root / self.organisation / f"{self.repo}.git"


def find_checkout(directory: Path) -> Path:
    """The top of the control checkout that holds `directory`. Raises UsageFault."""
    for candidate in (directory, *directory.parents):
        if (candidate / ".git").exists() and (candidate / "environments").is_dir():
            return candidate
    raise UsageFault(
        f"{directory} is not inside a control repo",
        help="name one with -C: a git checkout with an `environments/` folder",
    )


def read_address(top: Path, git: GitRepository) -> str:
    """The address of the remote `origin` of a checkout. Raises UsageFault when it has none."""
    origin = git.remote_url("origin")
    if origin is None:
        raise UsageFault(
            f"{top} has no remote `origin`, so it belongs to no forge",
            help="clone the control repo from its forge; `pipeline demo` makes one to look at",
        )
    return origin


def is_remote(address: str) -> bool:
    """Whether an address is of a forge on a server, and not of one on this machine."""
    return address.startswith(("https://", "http://"))


def read_origin(top: Path, git: GitRepository) -> Origin:
    """The local forge that the remote `origin` of a checkout lies in. Raises UsageFault.

    A local forge is recognised by its layout `<root>/<organisation>/<repo>.git`; the variable
    PIPELINE_FORGE names the root when origin does not.
    """
    origin = read_address(top, git)
    path = Path(origin.removeprefix("file://"))
    if not path.is_absolute():
        path = top / path
    if path.suffix != ".git" or not path.is_dir():
        raise UsageFault(
            f"origin `{origin}` is no repository of a local forge",
            help="a local forge keeps `<root>/<organisation>/<repo>.git`",
        )
    path = path.resolve()
    root = os.environ.get("PIPELINE_FORGE")
    return Origin(Path(root) if root else path.parent.parent, path.parent.name, path.stem)
