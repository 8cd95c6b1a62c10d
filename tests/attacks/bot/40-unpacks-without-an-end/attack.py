"""A patch that brings an archive of archives."""

from __future__ import annotations

import base64

from pipeline.documents import render_document
from pipeline.git.objects import MODE_FILE
from pipeline.requests.layout import patch_path
from tests.attacks.changes import Files, newest
from tests.attacks.worlds import AttackWorld
from tests.support.bombs import nested_zip
from tests.support.samples import DRAFT


def archives(world: AttackWorld, files: Files) -> None:
    """It is not text, so it comes in base64."""
    content = base64.b64encode(nested_zip()).decode()
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "DraftPatch",
        "draft": DRAFT,
        "base_commit": newest(world, DRAFT),
        "summary": "Add a fixture",
        "changes": [{"op": "write", "path": "tests/fixture.zip", "content_base64": content}],
    }
    files[patch_path(DRAFT, "0009")] = (MODE_FILE, render_document(value))
