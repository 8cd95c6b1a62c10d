"""Git processes: fixed argument vectors, a scrubbed environment, one repository named exactly.

Hooks, user and system configuration, system attributes, pager, prompts, replacement objects and
foreign protocols are switched off. `--git-dir` names the repository, so a damaged or missing one is
an error and git never takes a repository further up the folders.

A repository may be somebody else's clone, so its own folder is not trusted either: missing objects
are not fetched (that would run the `uploadpack` of its configuration), and history is read only
from commits, without its grafts, shallow marks and commit-graph.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import GitFailed
from pipeline.git.watchdog import WATCHDOG

TIMEOUT_S = 120
FULL_ID = re.compile(r"[0-9a-f]{40}\Z")
NO_ID = "0" * 40
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
    """The whole environment that git runs in; only PATH is inherited.

    `protocols` are those that this call may use, such as `file:https`; only a clone needs any.
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


def configured_environment(protocols: str = "") -> dict[str, str]:
    """The same with the configuration of every call, for callers that build their own command."""
    environment = git_environment(protocols) | {"GIT_CONFIG_COUNT": str(len(_CONFIG))}
    for number, setting in enumerate(_CONFIG):
        key, _, value = setting.partition("=")
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def git_command(*arguments: str) -> list[str]:
    """The argument vector of one git call, with the configuration of every call."""
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
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The result of one git call; `name` is the repository's name in messages.

    `environment` is added to that of every call, for example with a credential.

    Raises GitFailed if git cannot run, takes too long or ends with another exit code.
    """
    # `-C`, a folder and perhaps `--git-dir` come first.
    called = next((a for a in arguments[2:] if not a.startswith("-")), "")
    try:
        surrounding = git_environment(protocols) | dict(environment or {})
        done = _run(git_command(*arguments), stdin, surrounding)
    except FileNotFoundError as missing:
        raise GitFailed("there is no `git` on PATH", help="install git 2.38 or newer") from missing
    except subprocess.TimeoutExpired as expired:
        raise GitFailed(f"git {called} took over {TIMEOUT_S} s in {name}") from expired
    except (OSError, ValueError) as refused:
        # Arguments that no process accepts: a NUL, half a surrogate pair, too many bytes.
        raise GitFailed(f"git {called} cannot be started in {name}: {refused}") from refused
    if done.returncode not in accept:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        # Advice may follow the error.
        reasons = [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines[-1:]
        said = reasons[-1] if reasons else f"exit code {done.returncode}"
        raise GitFailed(f"git {called} failed in {name}: {said}")
    return done


def start_git(
    repository: Path,
    *arguments: str,
    stdin: int = subprocess.PIPE,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """A started git call in a repository, whose output is read from a pipe. Raises GitFailed."""
    try:
        return subprocess.Popen(
            git_command(*in_repository(repository), *arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=git_environment(),
        )
    except OSError as missing:
        raise GitFailed(
            f"git cannot be started: {missing.strerror}", help="install git 2.38 or newer"
        ) from missing


def _run(
    command: list[str], stdin: bytes, environment: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Like `subprocess.run` with a timeout, but without its polling, which notices the end late."""
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
