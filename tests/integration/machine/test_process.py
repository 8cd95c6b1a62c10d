"""Real child processes: their environment, their bounds, and the cache of results."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import CouldNotCheck
from pipeline.machine import versions
from pipeline.machine.cache import cache_dir, read_cached, write_cached
from pipeline.machine.process import run_bounded, run_tool


def run_python(code: str, **options: object) -> bytes:
    return run_tool([sys.executable, "-I", "-c", code], **options).stdout  # type: ignore[arg-type] # options are run_tool's own


def test_a_tool_inherits_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "from-the-caller")
    monkeypatch.setenv("HTTPS_PROXY", "http://from-the-caller")
    seen = run_python(
        "import os; print(*sorted(os.environ)); print(os.environ['HOME'])", env={"EXTRA": "1"}
    )
    names, home = seen.decode().splitlines()
    assert set(names.split()) - {"LC_CTYPE"} == {"EXTRA", "HOME", "LC_ALL", "PATH", "TMPDIR", "TZ"}
    assert home != os.environ.get("HOME")
    assert not Path(home).exists()


def test_input_larger_than_a_pipe_arrives_whole() -> None:
    sent = os.urandom(3_000_000)
    echo = "import sys,shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    assert run_python(echo, stdin=sent) == sent


def test_a_tool_that_does_not_read_its_input_still_answers() -> None:
    assert run_python("print('done')", stdin=b"x" * 3_000_000) == b"done\n"


def test_exit_codes_and_both_streams_come_back() -> None:
    done = run_tool(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_a_slow_tool_is_stopped_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid_file}; wait"
    for timeout_s in (1, 10, 60):  # a busy machine may stop it before it has started its child
        with pytest.raises(CouldNotCheck, match="stopped"):
            run_tool(["sh", "-c", script], timeout_s=timeout_s)
        if pid_file.exists() and pid_file.read_text():
            break
    assert not is_alive(int(pid_file.read_text()))


def test_children_that_outlive_their_leader_are_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    done = run_tool(["sh", "-c", f"sleep 600 & echo $! > {pid_file}; echo led"], timeout_s=120)
    assert done.stdout == b"led\n"
    assert not is_alive(int(pid_file.read_text()))


def is_alive(pid: int) -> bool:
    for _ in range(6000):  # a minute, for the kernel to end it
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.01)
    return True


def test_a_tool_that_closes_its_pipes_does_not_escape_the_time_limit() -> None:
    with pytest.raises(CouldNotCheck, match="stopped"):
        run_tool(["sh", "-c", "exec >&- 2>&-; sleep 60"], timeout_s=0.5)


def test_endless_output_is_stopped_at_the_bound() -> None:
    ended = run_bounded(["yes"], stdin=b"", timeout_s=120, env={}, max_output_bytes=100_000)
    assert ended.stopped_by == "output"
    assert len(ended.stdout) == 100_000


def test_a_missing_program_is_could_not_check() -> None:
    with pytest.raises(CouldNotCheck, match="cannot be started"):
        run_tool(["/nowhere/tool"])


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tools folder that is looked at first, with no other tool in reach."""
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIPELINE_TOOLS", str(tmp_path / "tools"))
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = tmp_path / "tools" / "bin"
    folder.mkdir(parents=True)
    return folder


def put_tool(folder: Path, name: str, version: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho called >> {folder}/calls\necho {version}\n")
    program.chmod(0o755)
    return program


def test_the_first_accepted_version_is_taken_and_asked_once(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tool(tools, "kustomize", "v4.0.0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    good = put_tool(elsewhere, "kustomize", "v5.6.1")
    monkeypatch.setenv("PATH", f"{elsewhere}:/usr/bin:/bin")
    assert versions.read_tool("kustomize") == versions.Tool("kustomize", good, "5.6.1")
    versions._read_tool.cache_clear()
    assert versions.find_tool("kustomize") == good
    assert (elsewhere / "calls").read_text() == "called\n"


def test_a_program_without_an_accepted_version_is_could_not_check(tools: Path) -> None:
    program = put_tool(tools, "helm", "v2.1.0")
    with pytest.raises(CouldNotCheck) as caught:
        versions.find_tool("helm")
    assert f"{program} is 2.1.0" in caught.value.message
    assert "make setup" in caught.value.help


def test_the_cache_returns_what_was_put_and_ignores_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    key = "ab" * 32
    assert read_cached("kind", key) is None
    write_cached("kind", key, b"content")
    assert read_cached("kind", key) == b"content"
    assert read_cached("other", key) is None
    [entry] = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    entry.write_bytes(entry.read_bytes()[:-1] + b"X")
    assert read_cached("kind", key) is None


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    write_cached("kind", "ab" * 32, b"content")
    assert read_cached("kind", "ab" * 32) is None


def test_the_cache_follows_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/primitive-pipeline")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/of-nobody")
    assert cache_dir() == Path("/home/of-nobody/.cache/primitive-pipeline")
