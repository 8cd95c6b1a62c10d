"""A patch with what looks like a key; put together here, so that no scan of this file finds it."""

from __future__ import annotations

from tests.attacks.changes import CHANGES, Files
from tests.attacks.worlds import AttackWorld


def leak(world: AttackWorld, files: Files) -> None:
    """A private key, in a file of tests."""
    told = "PRIVATE KEY-----\n"
    content = f"-----BEGIN RSA {told}" + "MIIEpAIBAAKCAQEA7bq3" * 12 + f"\n-----END RSA {told}"
    CHANGES["patch"](world, files, {"files": {"tests/key.pem": content}})
