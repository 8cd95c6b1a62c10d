"""Git processes: fixed argument vectors, a scrubbed environment, one repository named exactly.

No hook, user or system configuration, system attributes, pager, prompt, replacement object or
foreign protocol takes part. The repository is named by `--git-dir`, so a damaged or missing one
is an error and never the next repository further up the folders.

A repository may be somebody else's clone, so what its own folder says is not believed either: no
object is fetched that it lacks (the `uploadpack` of its configuration would be run), and history
is read from the commits alone, without its grafts, its shallow marks and its commit-graph.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pipeline.errors import GitFailed
from pipeline.gitobjects import GitObject, ObjectType, git_object
from pipeline.watchdog import WATCHDOG

TIMEOUT_S = 120
FULL_ID = re.compile(r"[0-9a-f]{40}\Z")
_FOUND = re.compile(rb"([0-9a-f]{40}) (commit|tree|blob|tag) ([0-9]+)\n\Z")
_TYPES: dict[bytes, ObjectType] = {b"commit": "commit", b"tree": "tree", b"blob": "blob"}
NO_ID = "0" * 40
# What a pipe takes at once on every system (PIPE_BUF); all earlier requests have been read by git.
_PIPE_BYTES = 4096
_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.commitGraph=false",
    "core.quotePath=false",
    "core.logAllRefUpdates=false",
    "gc.auto=0",
    "log.showSignature=false",
    "maintenance.auto=false",
    "transfer.fsckObjects=true",
)


def git_environment(protocols: str = "") -> dict[str, str]:
    """The whole environment that git runs in; nothing is inherited but PATH.

    `protocols` are those that this call may use, as `file:https`; none for all but a clone.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_SHALLOW_FILE": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_AUTHOR_NAME": "primitive-pipeline",
        "GIT_AUTHOR_EMAIL": "primitive-pipeline@users.noreply.pipeline.invalid",
        "GIT_COMMITTER_NAME": "primitive-pipeline",
        "GIT_COMMITTER_EMAIL": "primitive-pipeline@users.noreply.pipeline.invalid",
    }


def git_command(*arguments: str) -> list[str]:
    """The argument vector of one git call, with the configuration that every call has."""
    command = ["git", "--no-pager", "--literal-pathspecs"]
    for setting in _CONFIG:
        command += ["-c", setting]
    return command + list(arguments)


def in_repository(path: Path) -> tuple[str, str, str]:
    """The options that make a call run in the repository at `path`, bare or with a work tree."""
    git_dir = ".git" if (path / ".git").exists() else "."
    return ("-C", str(path), f"--git-dir={git_dir}")


def run_git(
    arguments: Sequence[str],
    *,
    name: str,
    stdin: bytes = b"",
    accept: Sequence[int] = (0,),
    protocols: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """What one git call answered; `name` is what a message calls the repository.

    Raises GitFailed when git cannot run, takes too long or ends with another exit code.
    """
    # `-C`, a folder and perhaps `--git-dir` come first.
    called = next((a for a in arguments[2:] if not a.startswith("-")), "")
    try:
        done = _run(git_command(*arguments), stdin, git_environment(protocols))
    except FileNotFoundError as missing:
        raise GitFailed("there is no `git` on PATH", help="install git 2.38 or newer") from missing
    except subprocess.TimeoutExpired as expired:
        raise GitFailed(f"git {called} took over {TIMEOUT_S} s in {name}") from expired
    except (OSError, ValueError) as refused:
        # Arguments that no process can be given: a NUL, half a surrogate pair, too many bytes.
        raise GitFailed(f"git {called} cannot be started in {name}: {refused}") from refused
    if done.returncode not in accept:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        # Advice may follow what went wrong.
        reasons = [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines[-1:]
        said = reasons[-1] if reasons else f"exit code {done.returncode}"
        raise GitFailed(f"git {called} failed in {name}: {said}")
    return done


def _run(
    command: list[str], stdin: bytes, environment: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """The same as `subprocess.run` with a timeout, which polls for the end and so comes late."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        begun = time.monotonic()
        try:
            with WATCHDOG.limit(process, TIMEOUT_S):
                out, err = process.communicate(stdin or None)
        except BaseException:
            process.kill()
            raise
        if process.returncode == -signal.SIGKILL and time.monotonic() - begun >= TIMEOUT_S:
            raise subprocess.TimeoutExpired(command, TIMEOUT_S)
        return subprocess.CompletedProcess(command, process.returncode, out, err)


class ObjectReader:
    """One `git cat-file --batch` process, begun when first asked and again after a failure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process, if one runs."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def read(self, specs: Sequence[str]) -> list[GitObject | None]:
        """The objects that the names stand for, in order; None for each that is not there.

        One round trip for all. Every object's content is checked against its id. Raises
        GitFailed for a damaged object and for a name with a line break, which cannot be asked
        for here (list the tree above it instead). Raises GitFailed after TIMEOUT_S, too.
        """
        if not specs:
            return []
        asked = [_line_of(spec) for spec in specs]
        process = self._running()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise GitFailed("git cat-file has no pipes")
        request = b"".join(asked)

        def send() -> None:
            try:
                stdin.write(request)
                stdin.flush()
            except (OSError, ValueError):
                return  # the reader below sees the process gone

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
            # Answers of this batch may still be in the pipe: nobody may take them for others.
            process.kill()
            self._process = None
            raise
        finally:
            if writer:
                writer.join(timeout=TIMEOUT_S)
            if self._process is None:
                _end(process)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    git_command(*in_repository(self.path), "cat-file", "--batch"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=git_environment(),
                )
            except OSError as missing:
                raise GitFailed(
                    f"git cannot be started: {missing.strerror}", help="install git 2.38 or newer"
                ) from missing
            weakref.finalize(self, _end, self._process)
        return self._process


def _line_of(spec: str) -> bytes:
    # git takes a carriage return before the end of a line for a part of that end.
    if "\n" in spec or spec.endswith("\r"):
        raise GitFailed(f"{spec!r} has a line break and cannot be asked for by name")
    try:
        line = spec.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        line = b""
    # What no ref or path can be named stands for nothing, and neither does an empty line.
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
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
    process.wait()
