"""Facts as files of a state branch."""

from __future__ import annotations

from pipeline.git.repository import GitRepository
from pipeline.state.facts import FactFile, facts_folder, later_facts_folder


def read_fact_files(git: GitRepository, head: str, primitive: str) -> tuple[FactFile, ...]:
    """The stored facts of one draft at a state commit, in order."""
    return tuple(
        FactFile(f"{folder}/{path}", content)
        for folder in (facts_folder(primitive), later_facts_folder(primitive))
        for path, (_, content) in sorted(git.read_files(head, folder).items())
    )
