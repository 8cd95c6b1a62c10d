"""Short forms of what contract tests ask of a forge."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.forges.port import BranchRule, Forge, PullRequest, RepoSpec, ReviewVerdict
from pipeline.git.objects import (
    MODE_FILE,
    GitObject,
    RefUpdate,
    Signature,
    commit_object,
    objects_of_files,
)
from tests.support.forges import FORGES

PIPELINE, AUTHOR, REVIEWER, SECOND, STRANGER = 100, 1, 2, 3, 9
REPO = "order-router"
TIME_S = 1_700_000_000
SOMEBODY = Signature("Somebody", "somebody@example.com", TIME_S)
RULES = (
    BranchRule("main", push=(), merge=(PIPELINE, REVIEWER, SECOND), approvals=1),
    BranchRule("state/*", push=(PIPELINE,)),
)
Files = dict[str, bytes]


def commit_of(files: Files, *parents: str, message: str = "Commit\n") -> tuple[GitObject, ...]:
    """All objects of a commit; the commit is the last."""
    objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    return (*objects, commit_object(objects[-1].id, parents, message, SOMEBODY, SOMEBODY))


FIRST = commit_of({"README": b"first\n"})
START = FIRST[-1].id


def spec_of(rules: tuple[BranchRule, ...] = RULES, description: str = "Primitives") -> RepoSpec:
    return RepoSpec(description, "main", FIRST, START, rules)


def make(request: pytest.FixtureRequest, folder: Path) -> Forge:
    """A forge of the kind under test; the same folder gives the same forge."""
    maker = FORGES[request.node.callspec.params["empty"]]
    return maker(folder, PIPELINE, (AUTHOR, REVIEWER, SECOND, STRANGER))


def push(forge: Forge, branch: str, files: Files, old: str | None, *, actor: int = AUTHOR) -> str:
    """Commit `files` onto a branch that is at `old` (None: created from the first commit)."""
    objects = commit_of(files, old or START)
    update = RefUpdate(f"refs/heads/{branch}", old, objects[-1].id)
    forge.push(REPO, objects, (update,), actor=actor)
    return objects[-1].id


def open_pull(
    forge: Forge, branch: str = "draft/one", *, files: Files | None = None, title: str = "One"
) -> PullRequest:
    """A pull request of AUTHOR with one commit."""
    push(forge, branch, files or {"README": b"first\n", branch.replace("/", "-"): b"new\n"}, None)
    return forge.open_pull(
        REPO, head_branch=branch, base_branch="main", title=title, body="Why", actor=AUTHOR
    )


def approve(forge: Forge, pull: PullRequest, actor: int = REVIEWER) -> None:
    forge.submit_review(
        REPO, pull.number, commit=pull.head, verdict=ReviewVerdict.APPROVED, body="", actor=actor
    )


def merge(forge: Forge, pull: PullRequest, actor: int = PIPELINE, head: str | None = None) -> str:
    return forge.merge_pull(
        REPO,
        pull.number,
        expected_head=head or pull.head,
        message="Merge\n",
        time_s=TIME_S,
        actor=actor,
    )


def head_of(forge: Forge, branch: str = "main") -> str | None:
    view = forge.read_repo(REPO)
    assert view is not None
    return view.branches.get(branch)
