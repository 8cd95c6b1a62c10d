"""A control repo for tests: policy and requests in one first commit, on a local forge.

Date and identity of that commit are fixed, so the same files always give the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from pipeline.documents import render_document
from pipeline.engine.opening import workspace_key
from pipeline.forges.control_rules import control_rules
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import RepoSpec
from pipeline.git.objects import MODE_FILE, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.images.signing import SigningKey
from pipeline.models.requests import Platform
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import PLATFORM_PATH, SIGNERS_PATH

START_TIME_S = 1_767_225_600  # 2026-01-01T00:00:00Z
CLOCK_S = START_TIME_S + 300  # what every clock of a story says
SETUP = Signature(
    "platform-engineer-1", "1101+platform-engineer-1@users.noreply.pipeline.invalid", START_TIME_S
)


def still_clock() -> int:
    """The clock of stories: it stands still, so that the same story gives the same facts."""
    return CLOCK_S


_NO_SIGNERS = b"apiVersion: pipeline.ameide.io/v1\nkind: Signers\nsigners: []\n"


def create_control(root: Path, files: Mapping[str, bytes]) -> Path:
    """A checkout at `root/control` of a control repo with these files, on a forge at `root/forge`.

    The workspace's key is a trusted signer.
    """
    read, _ = parse_request(PLATFORM_PATH, files[PLATFORM_PATH])
    assert read is not None and isinstance(read.model, Platform)
    platform = read.model
    forge = LocalForge(root / "forge", platform.organisation, still_clock)
    name = platform.repos.control
    forge.ensure_repo(name, control_spec(platform, trusting_workspace(root, files)))
    GitRepository.clone(str(forge.path(name)), root / "control").close()
    forge.close()
    return root / "control"


def control_spec(platform: Platform, files: Mapping[str, bytes]) -> RepoSpec:
    """The spec of a control repo with `files` in its first commit."""
    objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    commit = commit_object(objects[-1].id, [], "Begin\n", SETUP, SETUP)
    return RepoSpec(
        description="Requests and policy",
        default_branch="main",
        initial_objects=(*objects, commit),
        initial_commit=commit.id,
        rules=control_rules(platform),
    )


def trusting_workspace(root: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, with the key of the workspace at `root` among the signers; made on first use."""
    path = workspace_key(root / "forge")
    key = SigningKey.read(path) if path.exists() else SigningKey.create(path)
    document = yaml.safe_load(files.get(SIGNERS_PATH, _NO_SIGNERS))
    document["signers"].append({"name": "workspace", "public_key": key.public_key})
    return {**files, SIGNERS_PATH: render_document(document)}
