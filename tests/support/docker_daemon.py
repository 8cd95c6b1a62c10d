"""A Docker for tests: Debian's daemon in a folder, on a socket, with BuildKit's image.

It needs root and Debian's `docker.io`, which brings `runc`. `tools/setup.py image` built BuildKit
and buildx; no image is fetched. The daemon makes no network (the builder uses the host's), stops by
itself after a bound, and leaves nothing behind.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.machine.versions import find_tool
from tests.support.projects import TOOLS

BUILDKIT = TOOLS / "buildkit"
IMAGE = "localhost/buildkit:of-the-tests"
DRIVER_OPTIONS = f"image={IMAGE},network=host"
LIFETIME_S = 1800
START_S = 180


@dataclass(frozen=True)
class Docker:
    """A running daemon, and the folder of a `docker` with buildx."""

    host: str
    programs: Path

    def ask(self, *arguments: str, stdin: bytes = b"") -> str:
        """The client's output. Raises CalledProcessError."""
        command = [self.programs / "docker", "--host", self.host, *arguments]
        done = subprocess.run(command, input=stdin, check=True, capture_output=True, timeout=120)
        return done.stdout.decode()


@contextmanager
def serve_docker(folder: Path) -> Iterator[Docker]:
    """A running daemon with BuildKit's image, until the block ends."""
    daemon = shutil.which("dockerd")
    assert daemon, "install docker.io with the system's package manager"
    docker = Docker(f"unix://{folder / 'docker.sock'}", folder / "bin")
    write_programs(folder)
    command = [
        # What it mounts goes with its namespace.
        *("timeout", "--foreground", str(LIFETIME_S), "unshare", "--mount", "--"),
        *(daemon, "--host", docker.host),
        *("--data-root", folder / "data", "--exec-root", folder / "run"),
        *("--pidfile", folder / "pid", "--config-file", folder / "daemon.json"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(docker, process, folder / "log")
        docker.ask("import", "--change", 'ENTRYPOINT ["buildkitd"]', "-", IMAGE, stdin=system())
        yield docker
    finally:
        process.terminate()
        process.wait(START_S)


def write_programs(folder: Path) -> None:
    """Write the daemon's settings and the programs beside it."""
    (folder / "bin").mkdir()
    runtime = folder / "bin" / "runc-of-this-machine"
    wrapped = Path(__file__).with_name("runc_within_bounds.py")
    runc = shutil.which("runc")
    runtime.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{wrapped}" "{runc}" "$@"\n')
    plugins = folder / "client" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(BUILDKIT / "buildx")
    client = folder / "bin" / "docker"
    # A scrubbed environment has no home in which Docker would look for its plugins.
    client.write_text(
        f'#!/bin/sh\nDOCKER_CONFIG="{plugins.parent}" exec "{find_tool("docker")}" "$@"\n'
    )
    for program in (runtime, client):
        program.chmod(0o755)
    settings = {
        "storage-driver": "vfs",
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "default-runtime": "bounded",
        "runtimes": {"bounded": {"path": str(runtime)}},
    }
    (folder / "daemon.json").write_text(json.dumps(settings))


def wait_for(docker: Docker, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the daemon answers. Raises AssertionError with the daemon's output."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            docker.ask("version")
        except subprocess.CalledProcessError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"dockerd does not answer: {log.read_text()[-2000:]}")


def system() -> bytes:
    """BuildKit's programs as a container's root file system, in a tar."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", dereference=True) as tar:
        for name in ("buildkitd", "buildctl"):
            tar.add(BUILDKIT / name, f"usr/bin/{name}")
        runc = str(shutil.which("runc"))
        tar.add(runc, "usr/bin/runc")
        for library in libraries(runc):
            tar.add(library, library.lstrip("/"))
        for place in ("tmp", "run"):
            folder = tarfile.TarInfo(place)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
    return written.getvalue()


def libraries(program: str) -> list[str]:
    """The shared libraries that the program loads, and the loader."""
    told = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [word for line in told.splitlines() for word in line.split() if word.startswith("/")]
