"""Finds the newest commit that changed each of many paths, in one walk of history."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import GitFailed
from pipeline.git.commits import Commit
from pipeline.git.process import FULL_ID, git_command, git_environment, in_repository, start_git
from pipeline.git.repository import GitRepository

_MARK = "commit "
NO_BLOB = "0" * 40
_NEWER, _ALL = 50, -1  # how many commits to list


def read_newest_touching(
    repository: Path, head: str, folder: str, paths: Collection[str]
) -> dict[str, str]:
    """Path → the newest commit on the first-parent line of `head` that changed it.

    All `paths` are at or below `folder`. The walk ends when all are found. A path that no commit
    changed is left out, and so is one that git would quote, which no request has. Raises GitFailed.
    """
    wanted = set(paths)
    found: dict[str, str] = {}
    process = start_git(
        repository,
        "log",
        "--first-parent",
        "--diff-merges=first-parent",
        "--no-renames",
        "--name-only",
        f"--format={_MARK}%H",
        "--end-of-options",
        head,
        "--",
        folder,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout is not None  # started with a pipe
    commit = ""
    with process, process.stdout as lines:
        for raw in lines:
            line = raw.decode("utf-8", "surrogateescape").rstrip("\n")
            if line.startswith(_MARK) and FULL_ID.match(line.removeprefix(_MARK)):
                commit = line.removeprefix(_MARK)
            elif line in wanted:
                found[line] = commit
                wanted.discard(line)
                if not wanted:
                    process.kill()
                    return found
    if process.returncode != 0:
        raise GitFailed(f"git log failed in {repository.name}")
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """One path changed by a commit: its blob before and after, `NO_BLOB` for none."""

    path: str
    old: str
    new: str


def read_changed_paths(repository: Path, commits: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Commit → the paths that differ from its first parent, with one process for all.

    A first commit changes all its paths. Raises GitFailed.
    """
    wanted = "".join(f"{commit}\n" for commit in commits).encode()
    found = dict(_read_log(repository, ["--no-walk=unsorted", "--stdin"], wanted))
    return {commit: tuple(c.path for c in found.get(commit, ())) for commit in commits}


def read_path_changes(
    repository: Path, revisions: str, pathspecs: Sequence[str]
) -> list[tuple[str, tuple[Change, ...]]]:
    """The commits of a first-parent line that changed these paths, oldest first.

    `revisions` is a commit, or `OLD..NEW`; a pathspec may be a pattern. Raises GitFailed.
    """
    options = ["--first-parent", "--reverse", "--end-of-options", revisions, "--", *pathspecs]
    return _read_log(repository, options, b"")


def _read_log(
    repository: Path, options: Sequence[str], stdin: bytes
) -> list[tuple[str, tuple[Change, ...]]]:
    command = git_command(
        *in_repository(repository),
        "log",
        "--diff-merges=first-parent",
        "--root",
        "--no-renames",
        "--raw",
        "--no-abbrev",
        "-z",
        f"--format={_MARK}%H",
        *options,
    )
    # Other calls take pathspecs literally, but these are our own and hold patterns.
    command.remove("--literal-pathspecs")
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=git_environment(), check=False
        )
    except OSError as missing:
        raise GitFailed(
            f"git cannot be started: {missing.strerror}", help="install git 2.38 or newer"
        ) from missing
    if done.returncode != 0:
        raise GitFailed(f"git log failed in {repository.name}")
    found: list[tuple[str, list[Change]]] = []
    tokens = iter(done.stdout.decode("utf-8", "surrogateescape").split("\0"))
    for token in tokens:
        # A change is two tokens, `:modes ids status` and the path, so no path is taken for a mark.
        told = token.lstrip("\n")
        if told.startswith(":"):
            _, _, old, new, _ = told.split(" ")
            found[-1][1].append(Change(next(tokens), old, new))
        elif told:
            found.append((told.removeprefix(_MARK), []))
    return [(commit, tuple(changes)) for commit, changes in found]


def read_was_tree(git: GitRepository, head: str, folder: str, tree: str) -> bool:
    """Whether a folder ever had this tree on the first-parent line that ends at `head`.

    The commit of a squash merge counts too; intermediate commits of a branch do not. Newer commits
    are checked first, since most requested trees are new.
    """
    newest = git.read_object(f"{head}:{folder}")
    if newest is not None and newest.id == tree:
        return True
    for limit in (_NEWER, _ALL):
        commits = git.commits_touching(head, folder, limit=limit)
        found = git.read_objects([f"{commit}:{folder}" for commit in commits])
        if any(item is not None and item.id == tree for item in found):
            return True
        if len(commits) < _NEWER:
            break
    return False


def read_new_commits(git: GitRepository, base: str, head: str) -> tuple[Commit, ...]:
    """The commits of `head` that `base` lacks; the usual single commit needs no process."""
    newest = git.read_commit(head)
    if newest.parents == (base,):
        return (newest,)
    return git.log_new_commits(base, head)


def read_folder_commits(
    git: GitRepository, folder: str, base: str | None, head: str
) -> tuple[Commit, ...]:
    """The commits of `head` that `base` lacks (without one all) and that changed a folder.

    Merges are left out: what they bring is in the commits that they merge.
    """
    seen = [base] if base and git.has_commit(base) else []
    commits = [git.read_commit(id) for id in git.list_new_commits([head], seen)]
    single = [commit for commit in commits if len(commit.parents) < 2]
    after = git.read_objects([f"{commit.id}:{folder}" for commit in single])
    before = git.read_objects([f"{(*commit.parents, NO_BLOB)[0]}:{folder}" for commit in single])
    return tuple(
        commit
        for commit, new, old in zip(single, after, before, strict=True)
        if (new.id if new else None) != (old.id if old else None)
    )
