"""Run a tool of ours over what tenants wrote: in the sandbox, with bounds.

A tool that goes over a bound, or dies of what it reads, raises OverBound: that is a refusal of its
input, and trying again would end the same way. Processor time ends before wall time does, so that
a busy machine is not taken for hostile input.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import CouldNotCheck, OverBound
from pipeline.machine.process import MAX_OUTPUT_BYTES, Completed
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import run_confined

# Programs in Go and Rust reserve far more addresses than they use memory.
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
    """What the tool answered, whatever its exit code.

    It starts in a folder that holds `files` (relative path → bytes); `shown` are paths of the host,
    by their absolute paths inside. `before` is a command that runs the tool as its arguments.
    Raises OverBound when the input is too much for it, CouldNotCheck when it can't be run.
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
