"""Facts as files of a state branch."""

from __future__ import annotations

from pipeline.git.repository import GitRepository
from pipeline.state.facts import FactFile


def read_fact_files(git: GitRepository, head: str, primitive: str) -> tuple[FactFile, ...]:
    """The stored facts of one draft at a state commit, in order."""
    folder = f"drafts/{primitive}/facts"
    files = git.read_files(head, folder)
    return tuple(
        FactFile(f"{folder}/{path}", content) for path, (_, content) in sorted(files.items())
    )
