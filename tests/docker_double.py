"""Stands in for `docker buildx`, which needs a daemon: takes its options, builds by buildah.

    docker_double.py NOTES buildx create|build|rm …

What it was asked, and with which environment, is a line of JSON in NOTES. Only what
`pipeline.builders.buildx` uses is known; any other option is an error, as it would be there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """The exit code of the command."""
    notes, arguments = Path(sys.argv[1]), sys.argv[2:]
    if arguments == ["--version"]:
        print("Docker version 28.0.0, build double")
        return 0
    with notes.open("a") as file:
        environment = sorted(os.environ)
        file.write(json.dumps({"arguments": arguments, "environment": environment}) + "\n")
    assert arguments[0] == "buildx", arguments
    command = argparse.ArgumentParser()
    verbs = command.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create")
    create.add_argument("--name", required=True)
    create.add_argument("--driver", choices=["docker-container"])
    remove = verbs.add_parser("rm")
    remove.add_argument("--force", required=True)
    build = verbs.add_parser("build")
    build.add_argument("--builder", required=True)
    build.add_argument("--file", required=True)
    build.add_argument("--platform", choices=["linux/amd64"])
    build.add_argument("--output", required=True)
    build.add_argument("--provenance", choices=["false"], required=True)
    build.add_argument("--sbom", choices=["false"], required=True)
    build.add_argument("--no-cache", action="store_true", required=True)
    build.add_argument("--progress", choices=["plain"])
    build.add_argument("--label", action="append", default=[])
    build.add_argument("--build-arg", action="append", default=[])
    build.add_argument("context")
    asked = command.parse_args(arguments[1:])
    return build_image(asked) if asked.verb == "build" else 0


def build_image(asked: argparse.Namespace) -> int:
    """Build as buildx was asked to."""
    told = dict(part.partition("=")[::2] for part in asked.output.split(","))
    assert told["type"] == "oci" and told["tar"] == "false", told
    assert os.environ["SOURCE_DATE_EPOCH"] == "0" and told["rewrite-timestamp"] == "true"
    with tempfile.TemporaryDirectory() as name:
        places = ["--root", f"{name}/storage", "--runroot", f"{name}/run"]
        buildah = ["buildah", *places, "--storage-driver", "vfs"]
        options = ["--isolation", "chroot", "--timestamp", "0", "--format", "oci", "--no-cache"]
        for label in asked.label:
            options += ["--label", label]
        for argument in asked.build_arg:
            options += ["--build-arg", argument]
        options += ["--file", asked.file, "--tag", "image"]
        for arguments in (
            ["bud", *options, asked.context],
            ["push", "--disable-compression", "image", f"oci:{told['dest']}:image"],
        ):
            done = subprocess.run([*buildah, *arguments], check=False, stdout=sys.stderr)
            if done.returncode != 0:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
