"""A fresh forge with a control repo, and a checkout of it: the start of a story.

The control repo's files are this repository's own `environments/` and `tenants/`. Its first
commit has a fixed date and identity, so every story starts from the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pipeline.documents import render_document
from pipeline.engine.opening import workspace_key
from pipeline.errors import UsageFault
from pipeline.forges.control_rules import control_rules
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import Forge, RepoSpec
from pipeline.git.objects import MODE_FILE, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.images.signing import SigningKey
from pipeline.models.base import API_VERSION
from pipeline.models.requests import Platform, Signers
from pipeline.models.signers import Signer
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import PLATFORM_PATH, REQUEST_ROOTS, SIGNERS_PATH

START_TIME_S = 1_767_225_600  # 2026-01-01T00:00:00Z
CHECKOUT = Path(__file__).resolve().parents[2]


def read_sample_files(top: Path = CHECKOUT) -> dict[str, bytes]:
    """Path → bytes of the sample control repo in this checkout. Raises UsageFault."""
    files = {
        path.relative_to(top).as_posix(): path.read_bytes()
        for root in REQUEST_ROOTS
        for path in sorted((top / root).rglob("*"))
        if path.is_file()
    }
    if PLATFORM_PATH not in files:
        raise UsageFault(
            "the sample control repo is not here",
            help="run the demo from a checkout of this project: `make demo`",
        )
    return files


def with_workspace_key(root: Path, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, with the workspace's key among the signers; the key is made if there is none."""
    path = workspace_key(root / "forge")
    key = SigningKey.read(path) if path.exists() else SigningKey.create(path)
    read, findings = parse_request(SIGNERS_PATH, files.get(SIGNERS_PATH, b""))
    known = read.model if read and not findings and isinstance(read.model, Signers) else None
    entry = Signer(name="workspace", public_key=key.public_key)
    signers = Signers(
        api_version=API_VERSION,
        kind="Signers",
        signers=(*(known.signers if known else ()), entry),
        trusted_roots=known.trusted_roots if known else (),
    )
    told = signers.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**files, SIGNERS_PATH: render_document(told)}


def platform_of(files: Mapping[str, bytes]) -> Platform:
    """The platform in the files. Raises UsageFault if it is invalid."""
    read, findings = parse_request(PLATFORM_PATH, files[PLATFORM_PATH])
    if findings or read is None or not isinstance(read.model, Platform):
        raise UsageFault(f"{PLATFORM_PATH} is invalid", help="see `pipeline validate`")
    return read.model


def control_spec(files: Mapping[str, bytes]) -> RepoSpec:
    """The spec of a control repo with `files` in its first commit."""
    platform = platform_of(files)
    objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    owner = next(a for a in platform.accounts if a.kind == "person")
    signature = Signature(
        owner.login, f"{owner.id}+{owner.login}@users.noreply.pipeline.invalid", START_TIME_S
    )
    message = "Set up the control repository\n"
    commit = commit_object(objects[-1].id, [], message, signature, signature)
    return RepoSpec(
        description=f"Requests and policy of {platform.platform}",
        default_branch="main",
        initial_objects=(*objects, commit),
        initial_commit=commit.id,
        rules=control_rules(platform),
    )


def create_control(root: Path, files: Mapping[str, bytes]) -> LocalForge:
    """A local forge below `root` with that control repo."""
    platform = platform_of(files)
    forge = LocalForge(root / "forge", platform.organisation)
    forge.ensure_repo(platform.repos.control, control_spec(with_workspace_key(root, files)))
    return forge


def create_setting(root: Path, files: Mapping[str, bytes]) -> LocalForge:
    """The forge, with a checkout of its control repo at `root/control`."""
    forge = create_control(root, files)
    name = platform_of(files).repos.control
    GitRepository.clone(str(forge.path(name)), root / "control")
    return forge


class DemoSetting(Protocol):
    """The demo's setting: a forge, and a checkout of its control repo."""

    def describe(self) -> str:
        """The place of the control repo, as the middle of a sentence."""

    def open_forge(self) -> Forge:
        """The forge, opened anew."""

    def address(self, repo: str) -> str:
        """The shown address that a user would clone."""

    def clone(self, repo: str, path: Path) -> None:
        """A clone of a repository at `path`."""

    def credential(self, login: str | None) -> tuple[str, Mapping[str, str]]:
        """The shown prefix of that account's commands (None: the pipeline's), and their
        environment."""


class LocalSetting:
    """A local forge below `root`, which needs no credentials."""

    def __init__(self, root: Path, shown_root: str, files: Mapping[str, bytes]) -> None:
        forge = create_setting(root, files)
        forge.close()
        self._root = forge.root
        self._organisation = forge.organisation
        self._shown = f"{shown_root}/forge/{forge.organisation}"

    def describe(self) -> str:
        """The bare repository of the control repo."""
        return f"in a local forge, {self._shown}/control.git"

    def open_forge(self) -> LocalForge:
        """The forge."""
        return LocalForge(self._root, self._organisation)

    def address(self, repo: str) -> str:
        """The path of a bare repository."""
        return f"{self._shown}/{repo}.git"

    def clone(self, repo: str, path: Path) -> None:
        """A clone of a bare repository."""
        GitRepository.clone(str(self.open_forge().path(repo)), path).close()

    def credential(self, login: str | None) -> tuple[str, Mapping[str, str]]:
        """Empty: anybody who may write to the folder may act."""
        return "", {}
