"""Checkouts for people, made by GitPython: clones, and a new control repo's first index.

Import this module only where a checkout is made: `import git` takes 75 ms on an idle core (86 ms of
processor time on a busy one, median of 9), as long as all of `pipeline --help`. All other reads and
writes use git's own plumbing (`pipeline.git.repository` has the figures).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import GitFailed
from pipeline.git.process import configured_environment

# Objects are copied, no template brings hooks, and no submodule is followed.
_CLONE = ("--quiet", "--no-local", "--template=", "--no-recurse-submodules")


def clone_checkout(source: str, path: Path) -> None:
    """Clone `source` (a path or an https address) to `path`, with a work tree.

    Other addresses of git (`ext::…`, `host:path`) are taken as paths. Raises GitFailed.
    """
    where = source if source.startswith("https://") else str(Path(source).absolute())
    path.parent.mkdir(parents=True, exist_ok=True)
    with _git(path.name, protocols="file:https"):
        from git import Repo  # 73 ms: most commands make no checkout

        # GitPython refuses `--template` as unsafe in a user's options; these are our own.
        Repo.clone_from(
            where, path.absolute(), multi_options=[*_CLONE], allow_unsafe_options=True
        ).close()


def begin_checkout(folder: Path, files: Collection[str], *, origin: str) -> bool:
    """Whether a repository was made in `folder`: with `files` staged, nothing committed, a branch
    `main` and the remote `origin`. An existing one is left alone. Raises GitFailed."""
    if (folder / ".git").exists():
        return False
    with _git(folder.name):
        from git import Repo  # 73 ms: most commands make no checkout

        begun = Repo.init(folder, allow_unsafe_options=True, initial_branch="main", template="")
        with begun as repo:
            repo.create_remote("origin", origin)
            repo.index.add(sorted(files))
    return True


@contextmanager
def _git(name: str, *, protocols: str = "") -> Iterator[None]:
    """Run GitPython in the environment of all our git processes; its errors become GitFailed.

    GitPython passes on the whole environment of its process, `GIT_DIR` included, so that is swapped
    meanwhile: only one thread at a time makes checkouts.
    """
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(configured_environment(protocols))
    try:
        yield
    except ImportError as missing:  # GitPython raises it if git is missing
        raise GitFailed("there is no `git` on PATH", help="install git 2.38 or newer") from missing
    except Exception as failed:
        from git.exc import GitError  # 73 ms, with GitPython

        if not isinstance(failed, (GitError, OSError, ValueError)):
            raise
        said = str(getattr(failed, "stderr", "") or failed).strip().splitlines()
        raise GitFailed(f"git failed in {name}: {said[-1] if said else failed}") from failed
    finally:
        os.environ.clear()
        os.environ.update(kept)
