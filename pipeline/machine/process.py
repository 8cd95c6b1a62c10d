"""Runs a tool with nothing inherited: a scrubbed environment, bounds on time and output.

A tool sees PATH, a C locale, UTC and an empty home that is removed afterwards; no token, proxy or
configuration of the caller reaches it unless `env` names it. It runs in its own session, and any
process that it leaves behind is killed.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import CouldNotCheck

MAX_OUTPUT_BYTES = 32 * 1024 * 1024
WATCH_INTERVAL_S = 0.05
_CHUNK = 64 * 1024
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Completed:
    """The result of a tool that ended by itself; a negative exit code is the signal's number."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a process; `stopped_by` names the bound that ended it: `time`, `output`, or one
    that a watch returned.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    stopped_by: str | None


# Called now and then while a process runs; returns the name of the bound it exceeded.
Watch = Callable[[], str | None]


def run_tool(
    argv: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
    timeout_s: float = 60,
    env: Mapping[str, str] | None = None,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
) -> Completed:
    """The tool's result, whatever its exit code.

    `env` is added to the scrubbed environment. `max_output_bytes` bounds stdout and stderr
    together. Raises CouldNotCheck if the tool is missing or a bound ended it.
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
    watch: Watch | None = None,
    pass_fds: Sequence[int] = (),
) -> Ended:
    """How the process ended, also by a bound. Raises CouldNotCheck if it cannot be started."""
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
                pass_fds=pass_fds,
            )
        except OSError as error:
            raise CouldNotCheck(
                f"{argv[0]} cannot be started: {error.strerror}", help="run `make setup`"
            ) from error
        bounds = _Bounds(time.monotonic() + timeout_s, max_output_bytes, watch)
        try:
            return _converse(process, stdin, bounds)
        except BaseException:
            _kill_group(process.pid)
            process.wait()
            raise


@dataclass
class _Bounds:
    """The remaining bounds of one process, and the first that it exceeded."""

    deadline: float
    left_bytes: int
    watch: Watch | None
    stopped_by: str | None = None
    _next_watch: float = 0.0

    def look(self) -> str | None:
        """The bound exceeded by now, if any."""
        now = time.monotonic()
        if self.stopped_by is None and now >= self.deadline:
            self.stopped_by = "time"
        if self.stopped_by is None and self.watch is not None and now >= self._next_watch:
            self.stopped_by = self.watch()
            # A slow watch is called less often.
            took = time.monotonic() - now
            self._next_watch = now + took + max(WATCH_INTERVAL_S, 4 * took)
        return self.stopped_by

    def keep(self, chunk: bytes) -> bytes:
        """The part of the output that may still be kept."""
        if self.stopped_by is not None:
            return b""
        kept = chunk[: self.left_bytes]
        self.left_bytes -= len(chunk)
        if self.left_bytes < 0:
            self.stopped_by = "output"
        return kept


def _converse(process: subprocess.Popen[bytes], stdin: bytes, bounds: _Bounds) -> Ended:
    output: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    to_write = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for name in output:
            selector.register(_stream(process, name), selectors.EVENT_READ, name)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
        killed = False
        while any(key.data != "stdin" for key in selector.get_map().values()):
            wait_s = min(WATCH_INTERVAL_S, max(0.0, bounds.deadline - time.monotonic()))
            events = selector.select(wait_s)
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
                output[key.data].append(bounds.keep(chunk))
            # Processes that outlive their leader would keep the pipes open for ever.
            if not killed and (bounds.look() or (not events and _has_exited(process.pid))):
                _kill_group(process.pid)
                killed = True
    for stream in (process.stdin, process.stdout, process.stderr):
        _close(stream)
    _await_exit(process, bounds)
    said, errors = b"".join(output["stdout"]), b"".join(output["stderr"])
    return Ended(process.wait(), said, errors, bounds.stopped_by)


def _await_exit(process: subprocess.Popen[bytes], bounds: _Bounds) -> None:
    """Wait for a leader that closed its pipes, and kill the rest of its group."""
    pause_s = 0.0005
    while not _has_exited(process.pid):
        if bounds.look():
            _kill_group(process.pid)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.005)
    # Not reaped yet, so the group's id cannot belong to anyone else.
    _kill_group(process.pid)


def _stream(process: subprocess.Popen[bytes], name: str) -> IO[bytes]:
    stream: IO[bytes] | None = process.stdout if name == "stdout" else process.stderr
    if stream is None:
        raise AssertionError(f"{name} is a pipe")
    return stream


def _write(fd: int, data: memoryview) -> memoryview:
    try:
        return data[os.write(fd, data[:_CHUNK]) :]
    except BrokenPipeError:
        return data[:0]  # a tool need not read all of its input


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with suppress(BrokenPipeError):
            stream.close()


def _has_exited(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
