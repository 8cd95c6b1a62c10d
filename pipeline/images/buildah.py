"""buildah: the primitive's own Dockerfile as an image, without a daemon or a network.

All of buildah runs in its own empty network namespace: its chroot isolation cannot remove the
network from `RUN` steps alone. Times are fixed and layers not compressed, so one tree gives one
digest. Base images come from `base_storage`, an image storage of the driver `vfs` that the build
job filled beforehand (`buildah --root DIR --storage-driver vfs pull`); it is only read. The image
is read from an OCI layout, so its digest is that of an index.

Packages pinned in `requirements.lock` are fetched beforehand, as wheels checked by hash, and given
to the build in a separate folder; the Dockerfile must accept pip's `PIP_FIND_LINKS` and
`PIP_NO_INDEX` as build arguments.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.errors import STEP, OverBound
from pipeline.git.objects import Files
from pipeline.images.bounded import failed_build, run_build
from pipeline.images.oci import Image
from pipeline.images.stores import image_from_layout
from pipeline.machine.versions import find_tool
from pipeline.sandbox.packages import LockRefused, parse_lock, read_wheels
from pipeline.tools.folders import write_files

LOCK_FILE = "requirements.lock"
_WHEELS_FOLDER = "/wheels"


def wheel_options(files: Files) -> list[str]:
    """Options that give a build the wheels of its lock file, and let pip look nowhere else."""
    if LOCK_FILE not in files:
        return []
    try:
        folder = read_wheels(parse_lock(files[LOCK_FILE][1]))
    except LockRefused as refused:
        raise OverBound(STEP, f"`{LOCK_FILE}` is refused: {refused.message}") from refused
    return [
        *("--volume", f"{folder}:{_WHEELS_FOLDER}:ro"),
        *("--build-arg", f"PIP_FIND_LINKS={_WHEELS_FOLDER}", "--build-arg", "PIP_NO_INDEX=1"),
    ]


class BuildahMaker:
    """Makes a folder's image from its Dockerfile, with buildah."""

    name: Literal["buildah"] = "buildah"

    def __init__(
        self,
        build_arguments: Mapping[str, str] | None = None,
        *,
        base_storage: Path | None = None,
    ) -> None:
        self.base_storage = base_storage
        self.build_arguments = dict(build_arguments or {})

    def make(self, files: Files, labels: Mapping[str, str]) -> Image:
        """The image."""
        if "Dockerfile" not in files:
            raise OverBound(STEP, "the primitive has no Dockerfile for buildah to build")
        with tempfile.TemporaryDirectory(prefix="pipeline-buildah-") as name:
            return image_from_layout(self._build(Path(name), files, labels))

    def _build(self, root: Path, files: Files, labels: Mapping[str, str]) -> Path:
        executables = frozenset(path for path, (mode, _) in files.items() if mode & 0o111)
        write_files(root / "context", {p: c for p, (_, c) in files.items()}, executables)
        storage = ["--root", str(root / "storage"), "--runroot", str(root / "run")]
        storage += ["--storage-driver", "vfs"]
        if self.base_storage is not None:
            storage += ["--storage-opt", f"vfs.imagestore={self.base_storage}"]
        options = ["--isolation", "chroot", "--timestamp", "0", "--pull=never"]
        # Named explicitly, since buildah prefers a `Containerfile`.
        options += ["--format", "oci", "--no-cache", "--file", str(root / "context/Dockerfile")]
        options += wheel_options(files)
        for key, value in sorted(labels.items()):
            options += ["--label", f"{key}={value}"]
        for key, value in sorted(self.build_arguments.items()):
            options += ["--build-arg", f"{key}={value}"]
        target = f"oci:{root / 'layout'}:image"
        program = find_tool("buildah")
        user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        offline = ["unshare", *user, "--net", "--"]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        for arguments in (
            ["bud", *options, "--tag", "image", str(root / "context")],
            ["push", "--disable-compression", "image", target],
        ):
            done = run_build([*offline, program, *storage, *arguments], environment)
            if done.exit_code != 0:
                raise failed_build(f"buildah {arguments[0]}", done.stderr)
        return root / "layout"
