"""Attack steps of someone with write access to a repository's folder, and steps of auditors.

A local forge trusts everyone who can write to its folder (docs/guarantees.md), so only an audit of
clones shows these attacks.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from pipeline.audit import AuditReport, verify
from pipeline.diagnostics import Verdict
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import Signature, commit_object, objects_of_files
from pipeline.git.process import git_environment
from pipeline.git.repository import GitRepository
from tests.attacks.changes import changed
from tests.attacks.steps import TIME_S, step
from tests.attacks.worlds import AttackWorld, account_of
from tests.support.finished_story import CONTROL, move


@step
def write_on_disk(world: AttackWorld, words: Any) -> None:
    """Change files at a branch's head: by one more commit of `as`, or with `amend: true` in place
    of the newest one, and `orphan: true` with no history at all. `as: pipeline` forges its name."""
    repo, branch = words.get("repo", CONTROL), words["branch"]
    git = GitRepository(world.story.forge.path(repo))
    head = git.resolve(f"refs/heads/{branch}") or git.resolve("refs/heads/main")
    assert head is not None
    old = git.read_commit(head)
    files = changed(world, git.read_files(head), words["changes"])
    objects = objects_of_files(files)
    parents = [head]
    message = words.get("message", "Tidy up")
    if words.get("amend"):
        parents, message = list(old.parents), old.message.rstrip("\n")
    if words.get("orphan"):
        parents = []
    if words["as"] == "pipeline":
        signature = pipeline_signature(old.committer.time_s)
    else:
        email = f"{account_of(words['as'])}+somebody@users.noreply.pipeline.invalid"
        signature = Signature("somebody", email, TIME_S)
    commit = commit_object(objects[-1].id, parents, f"{message}\n", signature, signature)
    git.write_objects([*objects, commit])
    move(git, branch, commit.id)
    git.close()


@step
def remember_ref(world: AttackWorld, words: Any) -> None:
    """Remember a branch's commit: `{repo, branch}`."""
    repo, branch = words.get("repo", CONTROL), words["branch"]
    found = world.git(repo).resolve(f"refs/heads/{branch}")
    assert found is not None
    world.kept[f"{repo} {branch}"] = found


@step
def put_back_ref(world: AttackWorld, words: Any) -> None:
    """Move a branch back to its remembered commit."""
    repo, branch = words.get("repo", CONTROL), words["branch"]
    git = GitRepository(world.story.forge.path(repo))
    move(git, branch, world.kept[f"{repo} {branch}"])
    git.close()


@step
def remove_repository(world: AttackWorld, words: Any) -> None:
    """Delete a repository, as its owner can."""
    world.story.close()
    path = world.story.forge.path(words)
    path.rename(path.with_suffix(".gone"))
    world.story = world.reopen()


def clone_all(world: AttackWorld, folder: Path) -> Path:
    """Clones of all repositories of the forge, as an auditor has them."""
    for bare in sorted((world.story.root / "forge" / "ameide").glob("*.git")):
        GitRepository.clone(str(bare), folder / bare.stem).close()
    return folder


def audit_clones(folder: Path) -> AuditReport:
    """Note the findings of an audit of clones."""
    gits = {path.name: GitRepository(path) for path in folder.iterdir()}
    report = verify(gits[CONTROL], gits.get)
    for git in gits.values():
        git.close()
    return report


@step
def clone(world: AttackWorld, words: Any) -> None:
    """An auditor clones everything now; the audit finds nothing."""
    world.clones = clone_all(world, world.scratch / "auditor")
    report = audit_clones(world.clones)
    assert report.verdict is Verdict.VALID, report.findings


@step
def fetch(world: AttackWorld, words: Any) -> None:
    """The auditor fetches into the clones."""
    assert world.clones is not None
    for path in sorted(world.clones.iterdir()):
        command = ["git", "-C", str(path), "fetch", "--quiet", "--force"]
        subprocess.run(command, env=git_environment("file"), check=True)


@step
def audit(world: AttackWorld, words: Any) -> None:
    """Audit fresh clones, or those that were made and fetched before."""
    folder = world.clones or clone_all(world, world.scratch / "audit")
    report = audit_clones(folder)
    for finding in report.findings:
        world.see("audit", finding.code, f"{finding.location}: {finding.message}")
