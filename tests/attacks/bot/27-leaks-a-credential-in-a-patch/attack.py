"""A patch with what looks like a key; put together here, so that no scan of this file finds it."""

from __future__ import annotations

from tests.attacks.changes import CHANGES, Files
from tests.attacks.worlds import AttackWorld


def leak(world: AttackWorld, files: Files) -> None:
    """An access key and its secret, in a file of settings."""
    key, secret = "AKIA" + "Z7QWERTYUIOPASD2", "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYzQwErTyUiOp"
    content = f'AWS_ACCESS_KEY_ID = "{key}"\nAWS_SECRET_ACCESS_KEY = "{secret}"\n'
    CHANGES["patch"](world, files, {"files": {"src/settings.py": content}})
