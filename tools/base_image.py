"""Makes a base image for Python primitives from Debian packages, in an image storage of buildah.

    python3 tools/base_image.py STORAGE

Prints the image's reference by digest. Set `PIPELINE_BASE_STORAGE` to the storage (driver `vfs`)
and `PIPELINE_BASE_IMAGE` to the reference. Needs buildah and mmdebstrap, and root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

NAME = "localhost/primitive-base"
SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "libpython3-stdlib",
    "libstdc++6",
    "python-is-python3",
    "python3-minimal",
    "python3-pip",
)
LEFT_OUT = "path-exclude=/usr/share/{doc,man,locale,info}/*"
TIMEOUT_S = 900


def run(*command: str | Path) -> str:
    """The output of a command. Raises CalledProcessError; errors go to standard error."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S)
    return done.stdout.strip()


def make_base_image(storage: Path) -> str:
    """The reference, by digest, of the image made in the storage."""
    places = ("--root", storage, "--runroot", f"{storage}.run", "--storage-driver", "vfs")
    buildah = ("buildah", *places)
    with tempfile.TemporaryDirectory(prefix="base-image-") as folder:
        system = Path(folder) / "system.tar"
        included = f"--include={','.join(PACKAGES)}"
        options = ("--quiet", "--variant=essential", included, f"--dpkgopt={LEFT_OUT}")
        run("mmdebstrap", *options, SUITE, system)
        container = run(*buildah, "from", "scratch")
        run(*buildah, "add", "--quiet", container, system, "/")
        run(*buildah, "config", "--cmd", "python", container)
        image = run(*buildah, "commit", "--quiet", "--rm", container, f"{NAME}:{SUITE}")
    digest = run(*buildah, "inspect", "--type=image", "--format", "{{.FromImageDigest}}", image)
    return f"{NAME}@{digest}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(make_base_image(Path(sys.argv[1]).resolve()))
