"""The watchdog ends each process at its own deadline, and no other process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from pipeline.errors import GitFailed
from pipeline.git import process as gitprocess
from pipeline.git.watchdog import Watchdog


def waiting() -> subprocess.Popen[bytes]:
    """A process that only ends when it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_later_but_shorter_deadline_is_kept_too() -> None:
    watchdog = Watchdog()
    with waiting() as patient, waiting() as late:
        with watchdog.limit(patient, 600), watchdog.limit(late, 0.05):
            assert late.wait(timeout=60) == -signal.SIGKILL
            assert patient.poll() is None
        assert patient.communicate(b"\n")[0] == b""
        assert patient.returncode == 0


def test_a_process_is_left_alone_once_its_block_is_over() -> None:
    watchdog = Watchdog()
    with waiting() as process, waiting() as other:
        with watchdog.limit(process, 1):  # an empty block is left long before that
            pass
        with watchdog.limit(other, 1.2):
            other.wait(timeout=60)
        assert process.poll() is None
        process.communicate(b"\n")
        assert process.returncode == 0


def test_a_slow_git_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitprocess, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(
        gitprocess, "git_command", lambda *words: [sys.executable, "-c", "while True: pass"]
    )
    with pytest.raises(GitFailed, match=r"git show took over 0\.05 s in control"):
        gitprocess.run_git(["-C", "here", "show"], name="control")
