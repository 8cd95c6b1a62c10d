"""buildx: the primitive's own Dockerfile as an image, by BuildKit beside a Docker daemon.

Each image gets its own builder, removed afterwards with its caches, so no build sees what another
tenant's left behind; it holds no credential. `driver_options` are those of buildx's `--driver-opt`:
`image=NAME@sha256:…` pins BuildKit itself. Times are fixed and layers not compressed, so the result
depends only on the tree and on the images that it names by digest. `RUN` steps have a network,
since npm cannot get its packages otherwise; the lock files' hashes check what they fetch.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.errors import STEP, OverBound
from pipeline.git.objects import Files
from pipeline.images.bounded import failed_build, run_build
from pipeline.images.oci import Image
from pipeline.images.stores import image_from_layout
from pipeline.machine.process import Completed
from pipeline.machine.versions import find_tool
from pipeline.tools.folders import write_files

_WORDS_LINES = 12
_OUTPUT = "tar=false,rewrite-timestamp=true,compression=uncompressed,force-compression=true"


class BuildxMaker:
    """Makes a folder's image from its Dockerfile, with docker buildx."""

    name: Literal["buildx"] = "buildx"

    def __init__(
        self, build_arguments: Mapping[str, str] | None = None, *, driver_options: str = ""
    ) -> None:
        self.build_arguments = dict(build_arguments or {})
        self.driver_options = driver_options

    def make(self, files: Files, labels: Mapping[str, str]) -> Image:
        """The image."""
        if "Dockerfile" not in files:
            raise OverBound(STEP, "the primitive has no Dockerfile for buildx to build")
        with tempfile.TemporaryDirectory(prefix="pipeline-buildx-") as name:
            root, builder = Path(name), f"pipeline-{uuid.uuid4().hex[:12]}"
            executables = frozenset(path for path, (mode, _) in files.items() if mode & 0o111)
            write_files(root / "context", {p: c for p, (_, c) in files.items()}, executables)
            options = ["--driver-opt", self.driver_options] if self.driver_options else []
            _run(root, "create", "--name", builder, "--driver", "docker-container", *options)
            try:
                _run(root, "build", "--builder", builder, *self._options(root, labels))
            finally:
                _ask(root, "rm", "--force", builder)
            return image_from_layout(root / "layout")

    def _options(self, root: Path, labels: Mapping[str, str]) -> list[str]:
        options = ["--file", str(root / "context" / "Dockerfile"), "--platform", "linux/amd64"]
        options += ["--output", f"type=oci,dest={root / 'layout'},{_OUTPUT}"]
        # Provenance comes from the signer, not from within the build.
        options += ["--provenance=false", "--sbom=false", "--no-cache", "--progress", "plain"]
        for key, value in sorted(labels.items()):
            options += ["--label", f"{key}={value}"]
        for key, value in sorted(self.build_arguments.items()):
            options += ["--build-arg", f"{key}={value}"]
        return [*options, str(root / "context")]


def _ask(root: Path, *arguments: str) -> Completed:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "BUILDX_CONFIG": str(root / "buildx"),
        "SOURCE_DATE_EPOCH": "0",
    }
    if host := os.environ.get("DOCKER_HOST"):
        environment["DOCKER_HOST"] = host
    program = find_tool("docker")
    return run_build([program, "buildx", *arguments], environment)


def _run(root: Path, *arguments: str) -> None:
    done = _ask(root, *arguments)
    if done.exit_code != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise failed_build(f"buildx {arguments[0]}", done.stderr, _words_of_the_step(said))


def _words_of_the_step(said: list[str]) -> str:
    """The last lines of the failed step, which BuildKit repeats between two rules."""
    rules = [number for number, line in enumerate(said) if line == "------"]
    if len(rules) < 2:
        return ""
    return "\n".join(line[:300] for line in said[rules[0] + 1 : rules[1]][-_WORDS_LINES:])
