"""Run untrusted code with nothing of this machine in reach: no network, credentials or files.

Linux namespaces made by `pipeline.sandbox_launcher`: its own users, mounts, processes, network
(an own loopback only), IPC and host name. The root is the system's programs and libraries
read-only, the Python that runs this, the given read-only paths, and two empty folders in
memory, `/work` (the given files) and `/tmp`. No privilege survives, none can be regained. A
kernel that forbids this is could-not-check: nothing is ever run less confined.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import CouldNotCheck
from pipeline.tools.process import Ended, run_bounded

LAUNCHER = Path(__file__).with_name("sandbox_launcher.py")
_SETUP_S = 30
_HELP = (
    "run on Linux 5.12 or newer that allows user namespaces: user.max_user_namespaces above 0 and, "
    "where AppArmor restricts them, kernel.apparmor_restrict_unprivileged_userns=0; a container "
    "needs a seccomp profile that allows unshare and mount"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the code may use, all its processes together, before it is ended.

    `file_bytes` bounds one file and each of `/work` and `/tmp`; `processes` counts threads.
    """

    cpu_s: int = 300
    wall_s: int = 300
    memory_bytes: int = 1 << 30
    processes: int = 128
    output_bytes: int = 4 << 20
    file_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Confined:
    """How the code ended: exit code (negative: signal), its output, and the limit it hit.

    `limit_hit` is one of `wall`, `cpu`, `memory`, `processes`, `output`, `file-size`, or None.
    """

    exit_code: int
    output: bytes
    limit_hit: str | None


def run_confined(
    argv: Sequence[str],
    *,
    files: Mapping[str, tuple[int, bytes]] | None = None,
    readonly: Sequence[tuple[Path, str]] = (),
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Confined:
    """How `argv` ended, run in `/work`, which holds `files` (path → git mode, content).

    `readonly` are (host path, absolute path inside). `env` is added to a fixed environment.
    Raises CouldNotCheck when the sandbox cannot be made.
    """
    limits = limits or Limits()
    for _, inside in readonly:
        if not inside.startswith("/") or ".." in inside.split("/"):
            raise CouldNotCheck(f"`{inside}` is no absolute path inside the sandbox")
    mounts = [(str(host.resolve()), inside) for host, inside in readonly]
    python = Path(sys.base_prefix).resolve()
    if not python.is_relative_to("/usr"):
        mounts.append((str(python), str(python)))
    environment = {
        "PATH": f"{python}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **(env or {}),
    }
    with tempfile.TemporaryDirectory(prefix="pipeline-root-") as root:
        order = {
            "argv": list(argv),
            "env": environment,
            "limits": asdict(limits),
            "readonly": mounts,
            "root": str(Path(root).resolve()),
        }
        head = json.dumps(order).encode()
        ended = run_bounded(
            [sandbox_python(), "-I", "-S", LAUNCHER],
            stdin=struct.pack(">Q", len(head)) + head + _pack(files or {}),
            timeout_s=limits.wall_s + _SETUP_S,
            env={},
            max_output_bytes=limits.output_bytes,
        )
    return _read_verdict(ended)


def sandbox_python() -> str:
    """The path of the interpreter, the same inside and outside of the sandbox."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return str(Path(sys.base_prefix).resolve() / "bin" / f"python{version}")


def _pack(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, (mode, content) in sorted(files.items()):
            if any(part in {"", ".", ".."} for part in path.split("/")):
                raise CouldNotCheck(f"`{path}` is no plain relative path")
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if mode & 0o111 else 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _read_verdict(ended: Ended) -> Confined:
    if ended.stopped_by == "output":
        return Confined(-9, ended.stdout, "output")
    if ended.stopped_by == "time":
        return Confined(-9, ended.stdout, "wall")
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    try:
        verdict = json.loads(lines[-1])
        if "error" not in verdict:
            return Confined(int(verdict["exit"]), ended.stdout, verdict["limit"])
        said = str(verdict["error"])
    except (IndexError, ValueError, KeyError, TypeError):
        said = lines[-1] if lines else "it ended without a verdict"
    raise CouldNotCheck(f"the sandbox cannot be made: {said}", help=_HELP)
