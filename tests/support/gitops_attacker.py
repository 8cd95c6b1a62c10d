"""What an attacker puts into a GitOps repository, past every rule or by a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.forges.port import PullRequest
from pipeline.git.objects import (
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    RefUpdate,
    Signature,
    commit_object,
    git_object,
    trees_of_entries,
)
from pipeline.git.repository import GitRepository
from pipeline.requests.layout import PLATFORM_PATH
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.story import Story, story_at
from tests.support.sweep import PLATFORM_ENGINEER_ID

SECOND_ENGINEER_ID, SECOND_PLATFORM_ENGINEER_ID, PIPELINE_ID = 1202, 1102, 1000
PROD = "environments/prod/order-router"
DEV = "environments/dev/order-router"
Files = dict[str, tuple[int, bytes]]
Attack = Callable[[Files], None]


def policy(world: Story, drift: str) -> None:
    """Set the platform's policy about drift."""
    git = world.forge.open_repository(CONTROL)
    there = git.read_object(f"refs/heads/main:{PLATFORM_PATH}")
    assert there is not None
    kept = [line for line in there.content.splitlines() if not line.startswith(b"gitops_drift")]
    content = b"\n".join(kept) + b"\n"
    world.request(
        PLATFORM_PATH,
        content + f"gitops_drift: {drift}\n".encode(),
        SECOND_PLATFORM_ENGINEER_ID,
        asker=PLATFORM_ENGINEER_ID,
    )


def commit_of(git: GitRepository, parent: str, change: Attack, user: int = ENGINEER_ID) -> str:
    """A person's commit on `parent`, with any mode; stored, and on no branch."""
    files = git.read_files(parent)
    change(files)
    blobs = {path: git_object("blob", content) for path, (_, content) in files.items()}
    entries = {
        path: (mode, content.decode() if mode == MODE_SUBMODULE else blobs[path].id)
        for path, (mode, content) in files.items()
    }
    trees = trees_of_entries(entries)
    me = Signature("somebody", f"{user}+somebody@users.noreply.pipeline.invalid", 1_767_226_500)
    commit = commit_object(trees[-1].id, [parent], "Tidy up\n", me, me)
    git.write_objects([*blobs.values(), *trees, commit])
    return commit.id


def force(world: Story, change: Attack, repo: str = GITOPS) -> str:
    """The commit that somebody pushed to main past every branch rule."""
    git = world.forge.open_repository(repo)
    main = git.resolve("refs/heads/main")
    assert main is not None
    foreign = commit_of(git, main, change)
    git.update_refs([RefUpdate("refs/heads/main", main, foreign)])
    return foreign


def tree_at_main(world: Story, repo: str = GITOPS) -> str:
    """The tree id of `environments/` as a delivery tool would check it out."""
    found = world.forge.open_repository(repo).read_object("refs/heads/main:environments")
    return found.id if found else ""


# -- what an attacker lays there ----------------------------------------------------------


def an_override_beside_an_overlay(files: Files) -> None:
    files[f"{PROD}/.argocd-source.yaml"] = (
        MODE_FILE,
        b"kustomize: {images: ['order-router=evil.example.com/x@sha256:0']}\n",
    )


def a_folder_with_prod_s_namespace(files: Files) -> None:
    text = b"resources: [pod.yaml]\nnamespace: tenant-acme-prod-cust\n"
    files["environments/dev/quick-fix/kustomization.yaml"] = (MODE_FILE, text)


def a_remote_base(files: Files) -> None:
    text = b"resources: ['https://forge.example.com/ameide/tenant-contoso-gitops//environments']\n"
    files[f"{PROD}/kustomization.yaml"] = (MODE_FILE, text)


def a_folder_named_like_the_platform_s(files: Files) -> None:
    files["environments/prod/contoso--inventory/kustomization.yaml"] = (MODE_FILE, b"{}\n")


def a_file_where_folders_are(files: Files) -> None:
    files["environments/kustomization.yaml"] = (MODE_FILE, b"resources: [prod]\n")


def a_mode(files: Files) -> None:
    path = f"{PROD}/kustomization.yaml"
    files[path] = (MODE_EXECUTABLE, files[path][1])


def a_link(files: Files) -> None:
    files[f"{PROD}/base/kustomization.yaml"] = (MODE_SYMLINK, b"../../../../README.md")


def a_submodule(files: Files) -> None:
    files["environments/prod/theirs"] = (MODE_SUBMODULE, b"1" * 40)


def an_overlay_gone(files: Files) -> None:
    for path in [p for p in files if p.startswith(f"{DEV}/")]:
        del files[path]


def everything_gone(files: Files) -> None:
    for path in [p for p in files if p.startswith("environments/")]:
        del files[path]


def the_root_a_link(files: Files) -> None:
    everything_gone(files)
    files["environments"] = (MODE_SYMLINK, b"elsewhere")


ATTACKS: Mapping[Attack, str] = {
    an_override_beside_an_overlay: f"{PROD}/.argocd-source.yaml",
    a_folder_with_prod_s_namespace: "environments/dev/quick-fix",
    a_remote_base: f"{PROD}/kustomization.yaml",
    a_folder_named_like_the_platform_s: "environments/prod/contoso--inventory",
    a_file_where_folders_are: "environments/kustomization.yaml",
    a_mode: f"{PROD}/kustomization.yaml",
    a_link: f"{PROD}/base/kustomization.yaml",
    a_submodule: "environments/prod/theirs",
    an_overlay_gone: DEV,
    everything_gone: PROD,
    the_root_a_link: "environments",
}


# Those that change what the overlay of prod is; `status DRAFT` looks at the draft's overlays alone.
OF_PROD = frozenset(
    {
        an_override_beside_an_overlay,
        a_remote_base,
        a_mode,
        a_link,
        everything_gone,
        the_root_a_link,
    }
)


def drifting(root: Path) -> Story:
    """A world in which acme's draft runs in prod and policy restores drift."""
    found = story_at("in prod", root)
    policy(found, "restore")
    found.go()
    return found


def opened(
    world: Story, change: Attack, user: int = ENGINEER_ID, branch: str = "readme", old: str = ""
) -> PullRequest:
    """A person's open pull request to a GitOps repository."""
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    commit = commit_of(git, old or main, change, user)
    update = RefUpdate(f"refs/heads/{branch}", git.resolve(f"refs/heads/{branch}"), commit)
    world.forge.push(GITOPS, [], (update,), actor=user)
    return world.forge.open_pull(
        GITOPS, head_branch=branch, base_branch="main", title="Tidy", body="", actor=user
    )
