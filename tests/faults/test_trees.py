"""Trees depend on requests alone: not on the machine, its clock, the user or the user's git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.finished_story import CODE, GITOPS, STATE

_HOSTILE_CONFIG = """[user]
\tname = Somebody
\temail = somebody@example.com
[core]
\tautocrlf = true
\tfileMode = false
\tprecomposeUnicode = true
\tquotePath = false
\thooksPath = {hooks}
\tabbrev = 4
[init]
\tdefaultBranch = trunk
\ttemplateDir = {hooks}
[i18n]
\tcommitEncoding = ISO-8859-1
[commit]
\tgpgSign = true
[merge]
\trenames = false
\tconflictStyle = diff3
[diff]
\tnoprefix = true
\trenames = copies
[log]
\tshowSignature = true
[transfer]
\tfsckObjects = false
[extensions]
\tobjectFormat = sha256
"""

# Run before the story: what cannot be changed from outside the process.
_CLOCK = """
import time, datetime
real = time.time
time.time = lambda: real() + 400_000_000
time.time_ns = lambda: int(time.time() * 1e9)
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Later
"""
_BACKWARDS = """
import os
real_list, real_scan = os.listdir, os.scandir
os.listdir = lambda *a: sorted(real_list(*a), reverse=True)
class Backwards:
    def __init__(self, *a):
        with real_scan(*a) as found:
            self.items = iter(sorted(found, key=lambda e: e.name, reverse=True))
    def __iter__(self): return self.items
    def __next__(self): return next(self.items)
    def __enter__(self): return self
    def __exit__(self, *a): pass
    def close(self): pass
os.scandir = Backwards
"""


def told_in_a_process(
    root: Path, *, first: str = "", umask: int = 0o022, **environment: str
) -> dict[str, dict[str, str]]:
    """Trees and commits of every ref after the story was told by another process."""
    code = f"{first}\nimport sys; from pathlib import Path\n"
    code += "from tests.support.story import main; main(Path(sys.argv[1]))"
    told = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        umask=umask,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stderr.decode("utf-8", "replace")[-3000:]
    found: dict[str, dict[str, str]] = json.loads(told.stdout)
    return found


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the story leaves when nothing about the process is odd."""
    return told_in_a_process(tmp_path_factory.mktemp("ordinary") / "world", PYTHONHASHSEED="0")


def test_the_story_leaves_trees_in_every_repository(ordinary: dict[str, dict[str, str]]) -> None:
    repositories = {name.split(" ")[0] for name in ordinary["trees"]}
    assert repositories == {"control", CODE, GITOPS}
    assert f"control refs/heads/{STATE}" in ordinary["trees"]
    assert len(ordinary["trees"]) > 15


ODD: dict[str, dict[str, Any]] = {
    "clock": {"first": _CLOCK, "SOURCE_DATE_EPOCH": "1"},
    "locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LANGUAGE": "de"},
    "closed umask": {"umask": 0o077},
    "open umask": {"umask": 0o000},
    "order of folders": {"first": _BACKWARDS},
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "hash seed": {"PYTHONHASHSEED": "4242"},
    "git variables": {
        "GIT_AUTHOR_NAME": "Somebody",
        "GIT_AUTHOR_DATE": "1999-12-31T23:59:59",
        "GIT_COMMITTER_EMAIL": "somebody@example.com",
        "GIT_DIR": "/nonexistent",
        "GIT_INDEX_FILE": "/nonexistent/index",
        "GIT_DEFAULT_HASH": "sha256",
    },
}


@pytest.mark.parametrize("name", [*ODD, "git configuration"])
def test_trees_depend_on_nothing_but_requests(
    name: str, ordinary: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    if name == "git configuration":
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        for hook in ("post-checkout", "reference-transaction", "pre-receive", "post-update"):
            (hooks / hook).write_text("#!/bin/sh\nexit 1\n")
            (hooks / hook).chmod(0o755)
        (tmp_path / ".gitconfig").write_text(_HOSTILE_CONFIG.format(hooks=hooks))
        odd: dict[str, Any] = {
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
            "GIT_CONFIG_GLOBAL": str(tmp_path / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "0",
        }
    else:
        odd = ODD[name]
    found = told_in_a_process(tmp_path / "world", **odd)
    assert found["trees"] == ordinary["trees"]
    assert found["commits"] == ordinary["commits"]
