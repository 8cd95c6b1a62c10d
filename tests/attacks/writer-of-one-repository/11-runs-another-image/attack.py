"""The overlay names another image."""

from __future__ import annotations

import re

from tests.attacks.changes import Files
from tests.attacks.worlds import AttackWorld


def other_digest(world: AttackWorld, files: Files) -> None:
    """Every digest of staging's overlay becomes another one."""
    changed = 0
    for path, (mode, content) in files.items():
        if path.startswith("environments/staging/"):
            other = re.sub(rb"sha256:[0-9a-f]{64}", b"sha256:" + b"1" * 64, content)
            changed += other != content
            files[path] = (mode, other)
    assert changed
