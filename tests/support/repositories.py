"""Commits and branches of bare repositories, made and read by git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pipeline.git.objects import Signature, commit_object, objects_of_files
from pipeline.git.process import git_environment
from pipeline.git.repository import GitRepository

SOMEBODY = Signature("Somebody", "somebody@example.com", 1_700_000_000)
MAIN = "refs/heads/main"
Files = dict[str, tuple[int, bytes]]


def plain_git(path: Path, *arguments: str, stdin: bytes = b"") -> str:
    """The output of git itself, without the adapter."""
    done = subprocess.run(
        ["git", "-C", str(path), *arguments],
        input=stdin,
        capture_output=True,
        env=git_environment(),
        check=True,
    )
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def write_commit(git: GitRepository, files: Files, *parents: str, message: str = "Commit\n") -> str:
    objects = objects_of_files(files)
    commit = commit_object(objects[-1].id, parents, message, SOMEBODY, SOMEBODY)
    git.write_objects([*objects, commit])
    return commit.id
