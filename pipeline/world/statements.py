"""The signed statements of a draft on main, each verified: who signed it, and what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from pipeline.git.objects import parse_tree
from pipeline.git.repository import GitRepository
from pipeline.models.base import Moment, seconds_of
from pipeline.models.provenance import Verified
from pipeline.models.requests import Signers
from pipeline.models.statements import NO_STATEMENTS, BroughtStatement, BroughtStatements
from pipeline.requests.layout import statements_folder
from pipeline.requests.statements import statements_about

Verify = Callable[[str, str], Verified]  # bundle, signers as JSON


def read_statements(
    control: GitRepository,
    commit: str,
    draft: str,
    subjects: Collection[str],
    signers: Signers | None,
    verify: Verify,
) -> BroughtStatements:
    """The statements about any of the subjects, of a draft at a commit of main.

    Without signers none is verified, and each has that as its problem. Raises CouldNotCheck.
    """
    folder = statements_folder(draft)
    tree = control.read_object(f"{commit}:{folder}")
    if tree is None or tree.type != "tree":
        return NO_STATEMENTS
    listed = {entry.name: entry.id for entry in parse_tree(tree.content) if not entry.is_tree}
    found = control.read_objects(list(listed.values()))
    contents = {
        f"{folder}/{name}": item.content
        for name, item in zip(listed, found, strict=True)
        if item is not None
    }
    blobs: Mapping[str, str] = {f"{folder}/{name}": id for name, id in listed.items()}
    trusted = signers.model_dump_json(by_alias=True) if signers else ""
    brought = []
    for path, statement in statements_about(contents, subjects):
        verified = Verified(problem="nobody is trusted")
        if signers is not None:
            verified = verify(statement.bundle, trusted)
        brought.append(BroughtStatement(path, blobs[path], verified))
    return BroughtStatements(tree.id, tuple(brought))


def commit_as_of(control: GitRepository, head: str, moment: Moment) -> str:
    """The newest commit of main's line that is not after a moment; its first one if all are."""
    line = control.list_line(head)
    for id in reversed(line):
        if control.read_commit(id).committer.time_s <= seconds_of(moment):
            return id
    return line[0]
