"""The story of the main job ends in the trees that it ended in before, in every repository.

`tests/golden/kept-world/trees.txt` was written by an earlier version: a tree that differs is a
change of facts, overlays, code or pull requests, which CHANGELOG.md has to name. To write it anew:
`PIPELINE_KEEP_WORLD=1 .venv/bin/python -m pytest tests/integration/test_kept_world.py`.
"""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import KEEP_WORLD, ROOT
from tests.support.command_line import refs, tell

KEPT = ROOT / "tests" / "golden" / "kept-world" / "trees.txt"


def test_the_story_ends_in_the_same_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    monkeypatch.setenv("PIPELINE_SIGNING_KEY_FILE", str(path))
    control = tell(tmp_path / "world")
    found = "".join(f"{ref} {tree}\n" for ref, tree in sorted(refs(control, "tree").items()))
    if KEEP_WORLD:
        KEPT.write_text(found)
    assert found == KEPT.read_text()
