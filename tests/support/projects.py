"""Projects as templates make them, and virtual environments of their lock files."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.templates import read_builtin_template
from pipeline.templating import TemplateFile, render_template

TOOLS = Path(__file__).resolve().parents[2] / ".tools"
TIMEOUT_S = 300


def render_project(template: str, values: Mapping[str, object]) -> dict[str, TemplateFile]:
    """The files of a project."""
    return render_template(read_builtin_template(template), values)


def write_project(template: str, values: Mapping[str, object], folder: Path) -> Path:
    """The folder, with the project's files in it."""
    for path, file in render_project(template, values).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
    return folder


def environment_of(lock: bytes) -> Path:
    """A virtual environment with a lock file's packages; made once, in `.tools/`."""
    key = hashlib.sha256(lock + sys.version.encode()).hexdigest()[:16]
    target = TOOLS / "template-environments" / key
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as alone:
        # Test processes that run at once wait for the one that makes it.
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not (target / "whole").exists():
            (target / "requirements.txt").write_bytes(lock)
            pip = [target / "bin" / "python", "-m", "pip", "-q", "install", "--require-hashes"]
            for command in (
                [sys.executable, "-m", "venv", target],
                [*pip, "-r", "requirements.txt"],
            ):
                subprocess.run(command, cwd=target, check=True, timeout=TIMEOUT_S)
            (target / "whole").touch()
    return target
