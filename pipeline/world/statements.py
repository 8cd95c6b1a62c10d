"""The signed statements of a draft on main, each verified: who signed it, and what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from pipeline.git.objects import parse_tree
from pipeline.git.repository import GitRepository
from pipeline.models.provenance import Verified
from pipeline.models.requests import Signers
from pipeline.models.statements import BroughtStatement
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
) -> tuple[BroughtStatement, ...]:
    """The statements about any of the subjects, of a draft at a commit of main.

    Without signers none is verified, and each has that as its problem. Raises CouldNotCheck.
    """
    folder = statements_folder(draft)
    tree = control.read_object(f"{commit}:{folder}")
    if tree is None or tree.type != "tree":
        return ()
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
    return tuple(brought)
