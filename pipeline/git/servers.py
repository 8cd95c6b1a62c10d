"""Long-running git processes: one that reads objects, one that moves refs.

Both start on first use, and again after a failure. The gain: a process costs 4 ms, an answer
0.1 ms; of the four processes for scaffolding one more draft, two are left. GitPython keeps a reader
too, but asks it for one object after the other and checks no content against its id;
`pipeline.git.repository` has the figures.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pipeline.errors import GitFailed
from pipeline.git.objects import GitObject, ObjectType, git_object
from pipeline.git.process import FULL_ID, NO_ID, TIMEOUT_S, start_git
from pipeline.git.watchdog import WATCHDOG

_FOUND = re.compile(rb"([0-9a-f]{40}) (commit|tree|blob|tag) ([0-9]+)\n\Z")
_TYPES: dict[bytes, ObjectType] = {b"commit": "commit", b"tree": "tree", b"blob": "blob"}
# The bytes that a pipe accepts at once on every system (PIPE_BUF); git has read earlier requests.
_PIPE_BYTES = 4096


class _Server:
    """One git process in a repository, started on first use and again after it ended."""

    def __init__(self, path: Path, *arguments: str, stderr: int = subprocess.DEVNULL) -> None:
        self.path = path
        self._arguments = arguments
        self._stderr = stderr
        self.process: subprocess.Popen[bytes] | None = None  # None: start one on the next use

    def running(self) -> subprocess.Popen[bytes]:
        """The process, started if none runs. Raises GitFailed."""
        if self.process is not None and self.process.poll() is not None:
            self.close()
        if self.process is None:
            self.process = start_git(self.path, *self._arguments, stderr=self._stderr)
            weakref.finalize(self, _end, self.process)
        return self.process

    def close(self) -> None:
        """End the process, if one runs."""
        if self.process is not None:
            _end(self.process)
            self.process = None


class ObjectReader:
    """One `git cat-file --batch` process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server = _Server(path, "cat-file", "--batch")

    def close(self) -> None:
        """End the process, if one runs."""
        self._server.close()

    def read(self, specs: Sequence[str]) -> list[GitObject | None]:
        """The objects with these names, in order; None for each missing one.

        One round trip for all. Every object's content is checked against its id. Raises GitFailed
        for a damaged object, after TIMEOUT_S, and for a name with a line break, which the protocol
        cannot express (list the tree above it instead).
        """
        if not specs:
            return []
        asked = [_line_of(spec) for spec in specs]
        process = self._server.running()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise GitFailed("git cat-file has no pipes")
        request = b"".join(asked)

        def send() -> None:
            try:
                stdin.write(request)
                stdin.flush()
            except (OSError, ValueError):
                return  # the reader below notices that the process is gone

        # Both sides write: without a second thread a large batch fills both pipes and stops.
        writer = threading.Thread(target=send, daemon=True) if len(request) > _PIPE_BYTES else None
        try:
            with WATCHDOG.limit(process, TIMEOUT_S):
                if writer:
                    writer.start()
                else:
                    send()
                return [_read_answer(stdout, spec, self.path.name) for spec in specs]
        except BaseException:
            # Answers of this batch may still be in the pipe and must not be read as others.
            process.kill()
            self._server.process = None
            raise
        finally:
            if writer:
                writer.join(timeout=TIMEOUT_S)
            if self._server.process is None:
                _end(process)


class RefWriter:
    """One `git update-ref --stdin` process; between transactions it holds no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Without --no-deref a symbolic ref would move the branch it points to.
        arguments = ("update-ref", "--no-deref", "--stdin", "-z")
        self._server = _Server(path, *arguments, stderr=subprocess.PIPE)

    def close(self) -> None:
        """End the process, if one runs."""
        self._server.close()

    def commit(self, transaction: bytes) -> None:
        """Run one transaction of NUL-ended lines, from `start` to `prepare` and `commit`.

        Raises GitFailed with git's reason if nothing was moved, or after TIMEOUT_S.
        """
        process = self._server.running()
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None  # made with pipes
        try:
            with WATCHDOG.limit(process, TIMEOUT_S):
                try:
                    stdin.write(transaction)
                    stdin.flush()
                except BrokenPipeError:
                    pass  # git prints the reason before it ends
                answers = [stdout.readline() for _ in range(3)]
            if answers == [b"start: ok\n", b"prepare: ok\n", b"commit: ok\n"]:
                return
            raise self._failure(process)
        except BaseException:
            self._server.process = None
            _end(process)
            raise

    def _failure(self, process: subprocess.Popen[bytes]) -> GitFailed:
        assert process.stderr is not None  # made with a pipe
        with contextlib.suppress(OSError):
            # Closing flushes input that git no longer read.
            if process.stdin is not None:
                process.stdin.close()
        said = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        code = process.wait()
        if code == -signal.SIGKILL and not said:
            return GitFailed(f"git update-ref took over {TIMEOUT_S} s in {self.path.name}")
        reasons = [line for line in said if line.startswith(("fatal: ", "error: "))] or said[-1:]
        reason = reasons[-1] if reasons else f"exit code {code}"
        return GitFailed(f"git update-ref failed in {self.path.name}: {reason}")


def _line_of(spec: str) -> bytes:
    # git takes a carriage return before a line feed as part of the line end.
    if "\n" in spec or spec.endswith("\r"):
        raise GitFailed(f"{spec!r} has a line break and cannot be asked for by name")
    try:
        line = spec.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        line = b""
    # An empty line, or a name that no ref or path can have, names nothing.
    return (line if line.strip() and b"\0" not in line else NO_ID.encode()) + b"\n"


def _read_answer(stdout: IO[bytes], spec: str, name: str) -> GitObject | None:
    header = stdout.readline()
    if not header.endswith(b"\n"):
        raise GitFailed(
            f"git cat-file ended while it read `{spec}` in {name}",
            help="`git fsck` in it says what is damaged",
        )
    found = _FOUND.match(header)
    if found is None:
        return None  # `… missing`, `… ambiguous`
    size_bytes = int(found[3])
    content = stdout.read(size_bytes)
    stdout.read(1)
    if found[2] not in _TYPES:
        return None
    made = git_object(_TYPES[found[2]], content)
    if made.id != found[1].decode() or (FULL_ID.match(spec) and made.id != spec):
        raise GitFailed(
            f"object {spec} in {name} is damaged", help="`git fsck` in it says what is damaged"
        )
    return made


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
    process.wait()
