"""The Python modules of the API are those of its proto files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_modules_are_fresh(tmp_path):
    pytest.importorskip("grpc_tools")
    command = [sys.executable, str(ROOT / "proto" / "generate.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert len(made) == 3 * len(list((ROOT / "proto").rglob("*.proto")))
    for path in made:
        committed = ROOT / "src" / path
        assert committed.read_text() == (tmp_path / path).read_text(), "run `make proto`"
