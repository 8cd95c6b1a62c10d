"""Run a tool with nothing inherited: a scrubbed environment, bounds on time and output.

A tool sees PATH, a C locale, UTC and an empty home that is removed afterwards; no token, proxy
or configuration of the caller reaches it unless `env` names it. It runs in a session of its
own, and whatever it leaves behind is killed with it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pipeline.errors import CouldNotCheck

MAX_OUTPUT_BYTES = 32 * 1024 * 1024
_CHUNK = 64 * 1024
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Completed:
    """A tool that ended by itself; a negative exit code is the signal that ended it."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended; `stopped_by` names the bound that ended it, if one did."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    stopped_by: Literal["time", "output"] | None


def run_tool(
    argv: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
    timeout_s: float = 60,
    env: Mapping[str, str] | None = None,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
) -> Completed:
    """What the tool answered, whatever its exit code.

    `env` is added to the scrubbed environment. `max_output_bytes` bounds stdout and stderr
    together. Raises CouldNotCheck when the tool is missing or a bound ended it.
    """
    ended = run_bounded(
        argv,
        stdin=stdin,
        cwd=cwd,
        timeout_s=timeout_s,
        env=env or {},
        max_output_bytes=max_output_bytes,
    )
    name = Path(argv[0]).name
    if ended.stopped_by == "time":
        raise CouldNotCheck(
            f"{name} had not answered after {timeout_s:g} s and was stopped",
            help="run it again; if it stays slow, give it less to do at once",
        )
    if ended.stopped_by == "output":
        raise CouldNotCheck(
            f"{name} wrote more than {max_output_bytes} bytes and was stopped",
            help="give it less to do at once",
        )
    return Completed(ended.exit_code, ended.stdout, ended.stderr)


def run_bounded(
    argv: Sequence[str | Path],
    *,
    stdin: bytes,
    timeout_s: float,
    env: Mapping[str, str],
    max_output_bytes: int,
    cwd: Path | None = None,
) -> Ended:
    """How the process ended, a bound included. Raises CouldNotCheck when it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="pipeline-home-") as home:
        scrubbed = {
            "PATH": os.environ.get("PATH", _DEFAULT_PATH),
            "LC_ALL": "C",
            "TZ": "UTC",
            "HOME": home,
            "TMPDIR": home,
            **env,
        }
        try:
            process = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd or home,
                env=scrubbed,
                start_new_session=True,
            )
        except OSError as error:
            raise CouldNotCheck(
                f"{argv[0]} cannot be started: {error.strerror}", help="run `make setup`"
            ) from error
        return _converse(process, stdin, time.monotonic() + timeout_s, max_output_bytes)


def _converse(
    process: subprocess.Popen[bytes], stdin: bytes, deadline: float, max_output_bytes: int
) -> Ended:
    output: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    left_bytes = max_output_bytes
    stopped_by: Literal["time", "output"] | None = None
    to_write = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for name in output:
            selector.register(_stream(process, name), selectors.EVENT_READ, name)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
        killed = False
        while any(key.data != "stdin" for key in selector.get_map().values()):
            events = selector.select(min(0.1, max(0.0, deadline - time.monotonic())))
            for key, _ in events:
                if key.data == "stdin":
                    to_write = _write(key.fd, to_write)
                    if not to_write:
                        selector.unregister(key.fileobj)
                        _close(process.stdin)
                    continue
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif stopped_by is None:
                    output[key.data].append(chunk[:left_bytes])
                    left_bytes -= len(chunk)
                    if left_bytes < 0:
                        stopped_by = "output"
            if stopped_by is None and time.monotonic() >= deadline:
                stopped_by = "time"
            # What outlives its leader would hold the pipes open for ever.
            if not killed and (stopped_by or (not events and _has_exited(process.pid))):
                _kill_group(process.pid)
                killed = True
    for stream in (process.stdin, process.stdout, process.stderr):
        _close(stream)
    stopped_by = _await_exit(process, deadline) or stopped_by
    return Ended(process.wait(), b"".join(output["stdout"]), b"".join(output["stderr"]), stopped_by)


def _await_exit(process: subprocess.Popen[bytes], deadline: float) -> Literal["time"] | None:
    """Wait for a leader that closed its pipes; end what is left of its group."""
    stopped: Literal["time"] | None = None
    while not _has_exited(process.pid):
        if time.monotonic() >= deadline:
            stopped = "time"
            _kill_group(process.pid)
        time.sleep(0.005)
    # Not reaped yet, so the group's id cannot belong to anyone else.
    _kill_group(process.pid)
    return stopped


def _stream(process: subprocess.Popen[bytes], name: str) -> IO[bytes]:
    stream: IO[bytes] | None = process.stdout if name == "stdout" else process.stderr
    if stream is None:
        raise AssertionError(f"{name} is a pipe")
    return stream


def _write(fd: int, data: memoryview) -> memoryview:
    try:
        return data[os.write(fd, data[:_CHUNK]) :]
    except BrokenPipeError:
        return data[:0]  # it does not read its input to the end, which is its business


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with suppress(BrokenPipeError):
            stream.close()


def _has_exited(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
