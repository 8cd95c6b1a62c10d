"""A fresh local forge with a control repo in it, and a checkout of that: where a story starts.

The control repo's files are this repository's own `environments/` and `tenants/`. Its first
commit has a fixed date and identity, so every story starts from the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UsageFault
from pipeline.forges.local import LocalForge
from pipeline.forges.port import BranchRule, RepoSpec
from pipeline.gitcli import GitRepository
from pipeline.gitobjects import MODE_FILE, Signature, commit_object, objects_of_files
from pipeline.layout import PLATFORM_PATH, REQUEST_ROOTS
from pipeline.models.requests import Platform
from pipeline.snapshot import read_request

START_TIME_S = 1_767_225_600  # 2026-01-01T00:00:00Z
CHECKOUT = Path(__file__).resolve().parents[2]


def read_sample_files(top: Path = CHECKOUT) -> dict[str, bytes]:
    """Path → bytes of the sample control repo that this checkout holds. Raises UsageFault."""
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


def platform_of(files: Mapping[str, bytes]) -> Platform:
    """The platform that the files describe. Raises UsageFault when it is invalid."""
    read, findings = read_request(PLATFORM_PATH, files[PLATFORM_PATH])
    if findings or read is None or not isinstance(read.model, Platform):
        raise UsageFault(f"{PLATFORM_PATH} is invalid", help="see `pipeline validate`")
    return read.model


def control_rules(platform: Platform) -> tuple[BranchRule, ...]:
    """Who may do what in a control repo: people merge reviewed requests, the pipeline records."""
    people = tuple(sorted(a.id for a in platform.accounts if a.kind == "person"))
    return (
        BranchRule("main", push=(), merge=people, approvals=1),
        BranchRule("state/*", push=(platform.pipeline_account.id,)),
    )


def create_control(root: Path, files: Mapping[str, bytes]) -> LocalForge:
    """A local forge below `root` whose control repo holds `files` in its first commit."""
    platform = platform_of(files)
    forge = LocalForge(root / "forge", platform.organisation)
    objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    owner = next(a for a in platform.accounts if a.kind == "person")
    signature = Signature(
        owner.login, f"{owner.id}+{owner.login}@users.noreply.pipeline.invalid", START_TIME_S
    )
    message = "Set up the control repository\n"
    commit = commit_object(objects[-1].id, [], message, signature, signature)
    spec = RepoSpec(
        description=f"Requests and policy of {platform.platform}",
        default_branch="main",
        initial_objects=(*objects, commit),
        initial_commit=commit.id,
        rules=control_rules(platform),
    )
    forge.ensure_repo(platform.repos.control, spec)
    return forge


def create_setting(root: Path, files: Mapping[str, bytes]) -> LocalForge:
    """The same, with a checkout of the control repo at `root/control`."""
    forge = create_control(root, files)
    name = platform_of(files).repos.control
    GitRepository.clone(str(forge.path(name)), root / "control")
    return forge
