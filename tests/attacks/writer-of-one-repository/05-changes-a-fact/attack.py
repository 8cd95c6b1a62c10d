"""The newest fact names another account as the one that approved."""

from __future__ import annotations

from tests.attacks.changes import Files
from tests.attacks.worlds import AttackWorld


def other_approver(world: AttackWorld, files: Files) -> None:
    """One number in one fact."""
    [path] = [p for p in files if p.endswith("-promoted.json") and b'"staging"' in files[p][1]]
    mode, content = files[path]
    changed = content.replace(b'"approved_by":[1501]', b'"approved_by":[1502]')
    assert changed != content
    files[path] = (mode, changed)
