"""Which branches of a clone an audit checks."""

from __future__ import annotations

from pathlib import Path

from pipeline.audit import read_branches, verify
from pipeline.git.objects import RefUpdate
from pipeline.git.repository import GitRepository
from tests.support.finished_story import (
    CODE,
    CONTROL,
    GITOPS,
    StoryWorld,
    tell_story,
    write_commit,
)


def _clones(world: StoryWorld, folder: Path) -> dict[str, GitRepository]:
    return {
        name: GitRepository.clone(str(world.forge.path(name)), folder / name)
        for name in (CONTROL, CODE, GITOPS)
    }


def test_a_local_commit_is_judged_and_a_branch_behind_origin_is_not(tmp_path: Path) -> None:
    world = tell_story(tmp_path / "world")
    clones = _clones(world, tmp_path / "clones")
    gitops = clones[GITOPS]
    head = read_branches(gitops)["main"]
    assert verify(clones[CONTROL], clones.get).findings == ()

    first = gitops.read_commit(head).parents[0]
    gitops.update_refs([RefUpdate("refs/heads/main", head, first)])
    assert read_branches(gitops)["main"] == head
    assert verify(clones[CONTROL], clones.get).findings == ()

    files = gitops.read_files(head)
    path = "environments/prod/order-router/release.yaml"
    mode, content = files[path]
    files[path] = (mode, content.replace(b"prod", b"prob", 1))
    changed = write_commit(gitops, files, head, "Tidy up\n")
    gitops.update_refs([RefUpdate("refs/heads/main", first, changed)])
    found = {f.code for f in verify(clones[CONTROL], clones.get).findings}
    assert found == {"audit-overlay-tree", "audit-foreign-commit"}
    for git in clones.values():
        git.close()


def test_a_branch_that_origin_rewrote_is_found(tmp_path: Path) -> None:
    world = tell_story(tmp_path / "world")
    clones = _clones(world, tmp_path / "clones")
    gitops = clones[GITOPS]
    head = read_branches(gitops)["main"]
    old = gitops.read_commit(head)
    again = write_commit(gitops, gitops.read_files(head), old.parents[0], old.message)
    gitops.update_refs([RefUpdate("refs/remotes/origin/main", head, again)])
    assert read_branches(gitops)["main"] == again
    messages = [f.message for f in verify(clones[CONTROL], clones.get).findings]
    assert any("holds commits that origin does not have" in m for m in messages), messages
    for git in clones.values():
        git.close()
