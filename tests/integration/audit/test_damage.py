"""Missing or damaged objects in a clone give *could not check*, never an audit that passes."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from pipeline.audit import STEP_NAMES, AuditReport, verify
from pipeline.audit.objects import tree_of
from pipeline.diagnostics import Verdict
from pipeline.errors import GitFailed
from pipeline.git.objects import GitObject, TreeEntry, git_object, tree_object
from pipeline.git.repository import GitRepository
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE
from tests.support.state_writer import told_story

Repositories = dict[str, GitRepository]


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    """The story's repositories themselves, all of whose objects are loose files."""
    world = told_story(tmp_path / "world")
    found = {name: GitRepository(world.forge.path(name)) for name in (CONTROL, CODE, GITOPS)}
    world.close()
    return found


def audit(repositories: Repositories, *without: str) -> AuditReport:
    for git in repositories.values():
        git.close()
    return verify(repositories[CONTROL], repositories.get, without=without)


def found(git: GitRepository, spec: str) -> GitObject:
    item = git.read_object(spec)
    assert item is not None, spec
    git.close()
    return item


def loose(git: GitRepository, id: str) -> Path:
    """The file of an object."""
    path = git.path / "objects" / id[:2] / id[2:]
    assert path.exists()
    path.chmod(0o644)
    return path


def put(git: GitRepository, id: str, item: GitObject) -> None:
    """Other bytes under an id, as well-formed as can be."""
    header = f"{item.type} {len(item.content)}\0".encode()
    loose(git, id).write_bytes(zlib.compress(header + item.content))


STATE_HEAD = f"refs/heads/{STATE}"
# What is taken away or changed: repository, and what names it.
OBJECTS = {
    "the root tree of the state branch": (CONTROL, f"{STATE_HEAD}^{{tree}}"),
    "the folder of all drafts": (CONTROL, f"{STATE_HEAD}:drafts"),
    "a draft's folder": (CONTROL, f"{STATE_HEAD}:drafts/order-router"),
    "a draft's facts": (CONTROL, f"{STATE_HEAD}:drafts/order-router/facts"),
    "a fact": (CONTROL, f"{STATE_HEAD}:drafts/order-router/facts/000005-checks-recorded.json"),
    "a commit of the state branch": (CONTROL, f"{STATE_HEAD}~3"),
    "the newest commit's root on main": (CONTROL, "refs/heads/main~2^{tree}"),
    "a request": (
        CONTROL,
        "refs/heads/main:tenants/acme/drafts/order-router/promotions/prod.yaml",
    ),
    "an environment's policy": (CONTROL, "refs/heads/main:environments/prod/environment.yaml"),
    "the root tree of the overlays": (GITOPS, "refs/heads/main^{tree}"),
    "an overlay": (GITOPS, "refs/heads/main:environments/prod/order-router"),
    "a manifest": (GITOPS, "refs/heads/main:environments/prod/order-router/base/service.yaml"),
    "the code's folder": (CODE, "refs/heads/main:primitives/order-router"),
    "a folder of the code": (CODE, "refs/heads/main:primitives/order-router/src"),
    "a file of the code": (
        CODE,
        "refs/heads/main:primitives/order-router/src/domain_order_router/routing.py",
    ),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_a_missing_object_is_could_not_check(repositories: Repositories, what: str) -> None:
    repo, spec = OBJECTS[what]
    git = repositories[repo]
    item = found(git, spec)
    loose(git, item.id).unlink()
    try:
        report = audit(repositories)
    except GitFailed:
        return  # the policy itself is gone: there is nothing to judge by
    assert report.verdict is Verdict.COULD_NOT_CHECK, report.findings
    named = [f for f in report.findings if f.code == "audit-object-missing"]
    assert any(item.id in f.message or item.type == "commit" for f in named), named


@pytest.mark.parametrize("what", [w for w in OBJECTS if "file" not in w])
def test_bytes_that_do_not_hash_to_their_id_are_could_not_check(
    repositories: Repositories, what: str
) -> None:
    """git itself walks such a tree without a word."""
    repo, spec = OBJECTS[what]
    git = repositories[repo]
    item = found(git, spec)
    if item.type == "tree":
        entries = list(tree_of(item.content).values())[:-1]
        other = tree_object([*entries, TreeEntry(0o100644, "zzz", item.id)])
    else:
        other = git_object(item.type, item.content.replace(b"a", b"b", 1))
    put(git, item.id, other)
    try:
        report = audit(repositories)
    except GitFailed:
        return
    assert report.verdict is Verdict.COULD_NOT_CHECK, report.findings


def test_a_step_that_is_left_out_lets_the_damage_pass(repositories: Repositories) -> None:
    """The mutant of the step `objects`: what cannot be read is then silently less to verify."""
    assert "objects" in STEP_NAMES
    git = repositories[CONTROL]
    loose(git, found(git, f"{STATE_HEAD}:drafts/order-router/facts").id).unlink()
    codes = {f.code for f in audit(repositories).findings}
    without = {f.code for f in audit(repositories, "objects").findings}
    assert "audit-object-missing" in codes - without


def test_a_missing_tree_is_not_an_empty_folder(
    repositories: Repositories,
) -> None:
    git = repositories[CONTROL]
    loose(git, found(git, f"{STATE_HEAD}:drafts").id).unlink()
    for folder in ("drafts", "drafts/order-router"):
        with pytest.raises(GitFailed, match="lacks object"):
            git.read_files(STATE_HEAD, folder)
    assert git.read_files(STATE_HEAD, "nothing") == {}
    loose(git, found(git, f"{STATE_HEAD}^{{tree}}").id).unlink()
    git.close()
    with pytest.raises(GitFailed, match="lacks object"):
        git.read_files(STATE_HEAD)


@pytest.mark.parametrize(
    "content",
    [
        b"100644 a",
        b"100644 a\0",
        b"x",
        b"100644 a\0" + b"0" * 20 + b"x",
        b"100644 a/b\0" + b"0" * 20,
    ],
)
def test_an_object_that_is_no_tree_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a tree"):
        tree_of(content)


def test_a_tree_with_a_repeated_name_is_refused() -> None:
    entry = b"100644 a\0" + b"0" * 20
    with pytest.raises(ValueError, match="twice"):
        tree_of(entry * 2)
