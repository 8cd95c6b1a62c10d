"""Opens what `status` reads for a checkout: state branches and GitOps repositories.

Imports no models, so it is fast; a forge on a server is opened only if the checkout came from one.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.control.checkout import find_checkout, read_origin
from pipeline.errors import UsageFault
from pipeline.forges.opening import is_remote
from pipeline.git.repository import GitRepository
from pipeline.gitops.statuses import Open, Opened
from pipeline.state.statuses import StateRefs


def open_state(directory: Path) -> StateRefs:
    """The repository that state is read from, and the prefix of its branches' refs.

    The forge's own repository if the forge can be asked (on a server, with a credential), else what
    the clone last saw of its origin.
    """
    top = find_checkout(directory.resolve())
    git = GitRepository(top)
    try:
        if is_remote(git.remote_url("origin") or ""):
            # 178 ms: `status` needs none of the models.
            from pipeline.control.repo import open_control

            return StateRefs(open_control(directory).open_repository(), "refs/heads/")
        return StateRefs(GitRepository(read_origin(top, git).path), "refs/heads/")
    except UsageFault:
        return StateRefs(git, "refs/remotes/origin/")


def open_gitops(directory: Path) -> Open | None:
    """A function that opens GitOps repositories; None if the clone's forge cannot be reached."""
    top = find_checkout(directory.resolve())
    git = GitRepository(top)
    try:
        if is_remote(git.remote_url("origin") or ""):
            return _on_a_server(directory)
        origin = read_origin(top, git)
    except UsageFault:
        return None
    finally:
        git.close()

    def open_one(repo: str) -> Opened | None:
        path = origin.root / origin.organisation / f"{repo}.git"
        if path.is_symlink() or not (path / "HEAD").exists():
            return None
        found = GitRepository(path)
        head = found.resolve("refs/heads/main")
        return (found, head) if head else None

    return open_one


def _on_a_server(directory: Path) -> Open:
    # 178 ms: `status` needs none of the models.
    from pipeline.control.repo import open_control

    forge = open_control(directory).forge

    def open_one(repo: str) -> Opened | None:
        view = forge.read_repo(repo)
        return (forge.open_repository(repo), view.head) if view and view.head else None

    return open_one
