"""Other people's code reads what we write: GitPython reads git, ruamel.yaml reads YAML.

Our own readers and writers could agree on a mistake. GitPython has its own parsers of refs, trees
and commits, and ruamel.yaml its own of YAML 1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from git import Commit, Repo, Tree
from ruamel.yaml import YAML

from pipeline.crds import definition_file
from pipeline.crds.kinds import KINDS
from pipeline.documents import parse_document, render_document
from pipeline.git.repository import GitRepository
from pipeline.publish.schemas import SCHEMAS, schema_of
from pipeline.publish.starter import starter_files
from pipeline.render.catalogue import render_catalogue
from pipeline.requests.layout import REQUEST_ROOTS
from pipeline.state.facts import parse_chain, parse_status
from pipeline.state.store import read_fact_files
from tests.conftest import ROOT
from tests.golden.generated import ANSWERS, starter_parts
from tests.support.finished_story import CODE, CONTROL, GITOPS, StoryWorld, audit, tell_story
from tests.support.samples import DRAFT, sample_platform, sample_snapshot

STATE, PRIMITIVE = "state/acme", "order-router"
REPOS = (CONTROL, CODE, GITOPS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> StoryWorld:
    """`acme/order-router` went from a draft to production."""
    return tell_story(tmp_path_factory.mktemp("read") / "world")


def opened(world: StoryWorld, name: str) -> Repo:
    """A repository of the forge, as GitPython reads it."""
    return Repo(world.forge.path(name))


def files_of(tree: Tree) -> dict[str, tuple[int, bytes]]:
    """Path → mode and content of every file below a tree."""
    return {
        str(Path(blob.path).relative_to(tree.path or ".")): (blob.mode, blob.data_stream.read())
        for blob in tree.traverse()
        if blob.type == "blob"
    }


# -- git, by GitPython -----------------------------------------------------------------------


@pytest.mark.parametrize("name", REPOS)
def test_gitpython_reads_every_ref_commit_tree_and_file_alike(world: StoryWorld, name: str) -> None:
    ours = world.forge.open_repository(name)
    with opened(world, name) as repo:
        heads = {f"refs/heads/{head.name}": head.commit for head in repo.heads}
        assert {ref: commit.hexsha for ref, commit in heads.items()} == ours.read_refs(
            sorted(heads)
        )
        seen = 0
        for head in heads.values():
            theirs = [*repo.iter_commits(head)]
            assert {c.hexsha for c in theirs} == set(ours.list_new_commits([head.hexsha]))
            for commit in theirs:
                seen += 1
                check_commit(ours, commit)
            assert files_of(head.tree) == ours.read_files(head.hexsha)
        assert seen > 3


def check_commit(ours: GitRepository, theirs: Commit) -> None:
    read = ours.read_commit(theirs.hexsha)
    assert read.tree == theirs.tree.hexsha
    assert read.parents == tuple(parent.hexsha for parent in theirs.parents)
    assert read.message == theirs.message
    for mine, other, time_s in (
        (read.author, theirs.author, theirs.authored_date),
        (read.committer, theirs.committer, theirs.committed_date),
    ):
        assert (mine.name, mine.email, mine.time_s) == (other.name, other.email, time_s)


def test_an_audit_rests_on_the_facts_that_gitpython_reads(world: StoryWorld) -> None:
    with opened(world, CONTROL) as repo:
        tree = repo.heads[STATE].commit.tree / "drafts" / PRIMITIVE
        stored = files_of(tree)
    control = world.forge.open_repository(CONTROL)
    head = control.resolve(f"refs/heads/{STATE}")
    assert head is not None
    found = read_fact_files(control, head, PRIMITIVE)
    facts = {f"facts/{Path(file.path).name}": file.content for file in found}
    assert facts == {p: content for p, (_, content) in stored.items() if p.startswith("facts/")}
    chain = parse_chain(DRAFT, found)
    status = parse_status(stored["status.yaml"][1])
    assert (status.state, status.id) == ("PROMOTED_PROD", DRAFT)
    for fact, (_, content) in zip(chain, (stored[p] for p in sorted(facts)), strict=True):
        read = YAML(typ="safe", pure=True).load(content.decode())
        assert (read["sequence"], read["draft"]) == (fact.sequence, DRAFT)
        assert read["body"]["type"] == fact.body.type

    report = audit(world)
    assert report.findings == () and report.facts == len(facts)
    # Each promoted overlay is the tree that GitPython finds on main of the GitOps repository.
    with opened(world, GITOPS) as repo:
        main = repo.heads["main"].commit.tree
        promoted = {p.environment: p.overlay_tree for p in status.promotions}
        on_main = {e: (main / "environments" / e / PRIMITIVE).hexsha for e in promoted}
    assert on_main == promoted and len(promoted) == report.overlays == 3


# -- YAML, by ruamel.yaml ----------------------------------------------------------------------


def stored_yaml(world: StoryWorld) -> Iterator[tuple[str, bytes]]:
    """Every YAML file on every branch of every repository of the finished story."""
    for name in REPOS:
        with opened(world, name) as repo:
            for head in repo.heads:
                for path, (_, content) in files_of(head.commit.tree).items():
                    # Templates of charts are no YAML before they are rendered.
                    if path.endswith((".yaml", ".yml")) and "/templates/" not in path:
                        yield f"{name}:{head.name}:{path}", content


def emitted_yaml() -> Iterator[tuple[str, bytes]]:
    """YAML that is written for others: a new control repo, catalogue, CRDs, schemas as YAML."""
    for path, content in starter_files(ANSWERS, starter_parts()).items():
        if path.endswith(".yaml"):
            yield f"init:{path}", content
    for path, content in render_catalogue(sample_snapshot(), sample_platform()).items():
        yield f"catalogue:{path}", content
    for kind in KINDS:
        yield f"crd:{kind.kind}", definition_file(kind)
    for kind in SCHEMAS:
        yield f"schema:{kind}", render_document(schema_of(kind))
    for root in REQUEST_ROOTS:
        for file in sorted((ROOT / root).rglob("*.yaml")):
            yield file.relative_to(ROOT).as_posix(), file.read_bytes()


def check_by_ruamel(name: str, content: bytes) -> None:
    """Each document of a file has for ruamel.yaml, in YAML 1.2, the value that it has for us."""
    theirs = [*YAML(typ="safe", pure=True).load_all(content.decode())]
    parts = content.decode().split("\n---\n")
    ours = [parse_document(name, part.encode() + b"\n") for part in parts]
    assert all(document.ok for document in ours), name
    assert [repr(document.value) for document in ours] == [repr(value) for value in theirs], name


def test_ruamel_reads_all_yaml_that_a_story_stores_alike(world: StoryWorld) -> None:
    found = dict(stored_yaml(world))
    kinds = {Path(name).name for name in found}
    assert {"status.yaml", "kustomization.yaml", "release.yaml", "draft.yaml"} <= kinds
    for content, name in {content: name for name, content in found.items()}.items():
        check_by_ruamel(name, content)


def test_ruamel_reads_all_generated_yaml_alike() -> None:
    found = dict(emitted_yaml())
    assert len(found) > 50 and any("workflows/" in name for name in found)
    for name, content in found.items():
        check_by_ruamel(name, content)
