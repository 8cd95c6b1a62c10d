"""The demo tells its story to the end and arrives at the same trees as before.

`run_demo` is what `make demo` runs, so each command is given as a user would give it and each exit
code is the expected one. The demo tells the longest story, so its trees are the ones that are kept.
Every other test tells a story of its own (`tests/support/`). Only the checks are a double: they
have tests of their own.

An earlier version wrote `tests/golden/kept-world/trees.txt`: a tree that differs is a change of
facts, overlays, code or pull requests, which CHANGELOG.md must name. To write it anew:
`PIPELINE_KEEP_WORLD=1 .venv/bin/python -m pytest tests/integration/test_kept_world.py`.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console

from pipeline.cli.main import main
from pipeline.demo.main import MARKER, DemoBroke, Teller, clear, run_demo
from pipeline.demo.setting import LocalSetting, read_sample_files
from pipeline.engine import opening
from pipeline.errors import UsageFault
from tests.conftest import KEEP_WORLD, ROOT
from tests.support.command_line import passing_checks, refs
from worlds.control_repo import START_TIME_S

KEPT = ROOT / "tests" / "golden" / "kept-world" / "trees.txt"


def test_the_demo_ends_in_the_same_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    monkeypatch.setenv("PIPELINE_SIGNING_KEY_FILE", str(path))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(START_TIME_S))
    monkeypatch.setattr(opening, "check_runner", passing_checks)
    world, told = tmp_path / "world", io.StringIO()
    run_demo(world, main, Console(file=told, width=100))
    found = "".join(f"{r} {tree}\n" for r, tree in sorted(refs(world / "control", "tree").items()))
    if KEEP_WORLD:
        KEPT.write_text(found)
    assert found == KEPT.read_text()
    lines = told.getvalue().splitlines()
    assert lines.count("  (exit code 1, as it must be)") == 10
    # Of the first release in three environments, and of the second one in its waiver.
    *first, second = [line for line in lines if line.startswith("digest: sha256:")]
    assert len(first) == 3 and len(set(first)) == 1 and second not in first
    assert (world / MARKER).exists() and (world / "clones" / "control").is_dir()


def test_an_unexpected_exit_code_ends_the_demo(tmp_path: Path) -> None:
    setting = LocalSetting(tmp_path, "shown", read_sample_files())
    teller = Teller(tmp_path, "shown", setting, Console(file=io.StringIO()), lambda arguments: 4)
    with pytest.raises(DemoBroke, match=r"`pipeline validate` ended with 4, expected 0"):
        teller.run(("validate",))


def test_the_demo_deletes_only_a_demo_s_folder(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("x")
    with pytest.raises(UsageFault, match="the demo did not make"):
        clear(mine)
    assert (mine / "notes.txt").read_text() == "x"
    (mine / MARKER).write_text("")
    clear(mine)
    assert not mine.exists()
