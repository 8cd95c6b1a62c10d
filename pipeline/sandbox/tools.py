"""Runs our tools on tenants' files: in the sandbox, with bounds.

A tool that exceeds a bound, or crashes on its input, raises OverBound: that is a refusal of the
input, and a retry would end the same way. The bound on processor time comes before that on wall
time, so that a busy machine is not taken for hostile input.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import CouldNotCheck, OverBound
from pipeline.machine.process import MAX_OUTPUT_BYTES, Completed
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import run_confined

# Go and Rust programs reserve far more addresses than they use memory.
TOOL_LIMITS = Limits(
    cpu_s=60,
    wall_s=600,
    memory_bytes=768 * 1024**2,
    processes=512,
    output_bytes=MAX_OUTPUT_BYTES,
    address_space_bytes=64 * 1024**3,
)
SETTINGS_FOLDER = "/settings"

_TOOLS_FOLDER = "/tools"
_ENV = {
    "HOME": "/tmp",
    "LC_ALL": "C",
    "PATH": "/usr/bin:/bin",
    "TMPDIR": "/tmp",
    "TZ": "UTC",
}
_NOT_EXECUTABLE, _NOT_THERE = 126, 127  # POSIX, "Exit Status for Commands"


def run_tool_confined(
    program: Path,
    arguments: Sequence[str],
    *,
    files: Mapping[str, bytes],
    before: Sequence[str] = (),
    shown: Mapping[str, Path] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    limits: Limits = TOOL_LIMITS,
) -> Completed:
    """The tool's result, whatever its exit code.

    It starts in a folder with `files` (relative path → bytes); `shown` maps absolute paths inside
    to host paths. `before` is a command that runs the tool as its arguments. Raises OverBound if
    the input exceeds a bound, CouldNotCheck if the tool can't be run.
    """
    name = program.name
    inside = f"{_TOOLS_FOLDER}/{name}"
    ended = run_confined(
        (*before, inside, *arguments),
        readonly=[(program.resolve(), inside), *((p, at) for at, p in (shown or {}).items())],
        files={path: (0o100644, content) for path, content in files.items()},
        env={**_ENV, **(env or {})},
        limits=limits,
        stdin=stdin,
        merged=False,
    )
    if ended.limit_hit is not None:
        raise OverBound(ended.limit_hit, f"{name} was stopped at the limit of {ended.limit_hit}")
    if ended.exit_code < 0 and ended.exit_code != -signal.SIGKILL:
        raise OverBound("crash", f"{name} died of its input ({_signal_name(-ended.exit_code)})")
    if ended.exit_code in (-signal.SIGKILL, _NOT_EXECUTABLE, _NOT_THERE):
        said = ended.errors.decode("utf-8", "replace").strip()[-300:]
        raise CouldNotCheck(
            f"{name} could not be run in the sandbox: {said or ended.exit_code}",
            help="see `pipeline doctor`",
        )
    return Completed(ended.exit_code, ended.output, ended.errors)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
