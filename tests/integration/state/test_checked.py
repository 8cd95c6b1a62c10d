"""A chain checked with and without what is remembered of it: the same answer, and less to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.machine.cache import cache_dir
from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import BuildRecord, Observation
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    Fact,
    FactBody,
    Observed,
    PatchApplied,
    Promoted,
    Provisioned,
    Release,
)
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from pipeline.state import checked, facts
from pipeline.state.checked import read_checked_chain
from pipeline.state.evidence import history_of
from pipeline.state.facts import fold, next_fact, status_path
from pipeline.state.facts import status_bytes as written
from pipeline.state.runs import without_runs
from tests.support import fact_history as history
from tests.support.samples import DRAFT

PRIMITIVE = "order-router"
BY = Signature("pipeline", "pipeline@example.com", 0)
Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def small_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few facts fill a folder here, and the cache is the test's own."""
    monkeypatch.setattr(facts, "_IN_FACTS", 4)
    monkeypatch.setattr(facts, "_IN_FOLDER", 5)
    monkeypatch.setattr("pipeline.state.bounds.LISTED", 2)
    monkeypatch.setattr("pipeline.state.runs.LISTED_RUNS", 2)
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))


@dataclass
class Branch:
    """A state branch with one draft on it, in a repository of its own."""

    git: GitRepository

    def write(self, files: Files) -> str:
        """The commit that holds exactly these files."""
        objects = objects_of_files({path: (MODE_FILE, c) for path, c in files.items()})
        commit = commit_object(objects[-1].id, [], "Record\n", BY, BY)
        self.git.write_objects([*objects, commit])
        self.git.update_refs([RefUpdate(f"refs/heads/{commit.id}", None, commit.id)])
        return commit.id

    def record(self, chain: Sequence[Fact]) -> str:
        """The commit with these facts."""
        return self.write({file.path: file.content for file in history.fact_files(chain)})


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    git = GitRepository.init_bare(tmp_path / "control.git")
    yield Branch(git)
    git.close()


def tree_of(number: int) -> TreeId:
    return TreeId(history.id_of(f"tree {number}"))


def _patch(number: int) -> Iterator[tuple[str, FactBody]]:
    commit = CommitId(history.id_of(f"commit {number}"))
    link = history.link("tenant-acme-controllers", 1)
    yield (
        patch_path(DRAFT, f"{number:04d}"),
        PatchApplied(
            patch=f"{number:04d}",
            branch="draft/order-router/0",
            commit=commit,
            tree=tree_of(number),
            pull_request=link,
        ),
    )
    report = history.report("lint").model_copy(update={"commit": commit, "tree": tree_of(number)})
    yield draft_path(DRAFT), ChecksRecorded(report=report)


def _promotion(number: int) -> Iterator[tuple[str, FactBody]]:
    release = Release(
        source_commit=CommitId(history.id_of(f"commit {number}")),
        source_tree=tree_of(number),
        digest=history.digest_of(f"image {number}"),
        base_tree=history.RELEASE.base_tree,
    )
    path = promotion_path(DRAFT, "dev")
    yield (
        path,
        Built(
            build=BuildRecord(
                source_commit=release.source_commit,
                source_tree=release.source_tree,
                digest=release.digest,
                builder="source-layout",
                image="registry.example.com/ameide/tenant-acme/order-router",
                bundle=f"statement {number}",
            )
        ),
    )
    promoted = history.promoted("dev", history.sample_status())
    yield path, promoted.model_copy(update={"release": release})
    seen = Observation(
        environment="dev", draft=DRAFT, digest=release.digest, health="Healthy", sync="Synced"
    )
    yield draft_path(DRAFT), Observed(observation=seen)


def bodies() -> Iterator[tuple[str, FactBody]]:
    """What happens to a draft: patches, and each second of them goes to dev."""
    yield draft_path(DRAFT), history.accepted()
    yield draft_path(DRAFT), Provisioned(repos=("a", "b"))
    for number in range(1, 8):
        yield from _patch(number)
        if number % 2:
            yield from _promotion(number)


CHAIN = history.chain_of(list(bodies()))


def status_of(chain: Sequence[Fact]) -> DraftStatus:
    status = fold(chain)
    assert status is not None
    return status


def remembered() -> int:
    """How many chains are remembered."""
    return sum(path.is_file() for path in (cache_dir() / "chain").rglob("*"))


def forget() -> None:
    for path in (cache_dir() / "chain").rglob("*"):
        if path.is_file():
            path.unlink()


def check(branch: Branch, chain: Sequence[Fact], head: str | None = None) -> None:
    """The chain is good, and tells of each tree what all facts tell."""
    found = read_checked_chain(branch.git, head or branch.record(chain), status_of(chain))
    assert found.problem == ""
    for number in range(9):
        assert found.of_tree(tree_of(number)) == history_of(chain, tree_of(number)), number


def test_a_chain_is_the_same_with_memory_and_without(branch: Branch) -> None:
    assert len(CHAIN) > 25
    for count in range(1, len(CHAIN) + 1):
        check(branch, CHAIN[:count])  # with what the shorter one left
        assert remembered() == (count > 4)
    heads = [branch.record(CHAIN[:count]) for count in range(1, len(CHAIN) + 1)]
    for count, head in reversed(list(enumerate(heads, start=1))):
        check(branch, CHAIN[:count], head)  # and with what a longer one left
        forget()
        check(branch, CHAIN[:count], head)


def test_what_was_checked_is_not_read_again(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, status = branch.record(CHAIN), status_of(CHAIN)
    folders: list[int] = []
    real = checked.parse_chain

    def noted(draft: str, files: Sequence[object], **options: object) -> object:
        folders.append(len(files))
        return real(draft, files, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(checked, "parse_chain", noted)
    read_checked_chain(branch.git, head, status)
    read_checked_chain(branch.git, head, status)
    newest = len(CHAIN) % 5 + 1
    assert folders == [len(CHAIN), newest]


def rechained(number: int, **changes: object) -> tuple[Fact, ...]:
    """The chain with a fact changed, and every hash after it made to fit."""
    told = CHAIN[number - 1].model_copy(update=changes)
    return history.refolded((*CHAIN[: number - 1], told, *CHAIN[number:]))[0]


def _files(chain: Sequence[Fact] = CHAIN) -> Files:
    return {file.path: file.content for file in history.fact_files(chain)}


def _path(number: int, chain: Sequence[Fact] = CHAIN) -> str:
    return history.fact_files(chain[number - 1 : number])[0].path


def one_byte(files: Files) -> None:
    path = _path(3)
    files[path] = files[path].replace(b'"run":"run-1"', b'"run":"run-2"')


def one_fact_less(files: Files) -> None:
    del files[_path(7)]


def one_fact_more(files: Files) -> None:
    files[_path(7).replace("000007", "000008")] = files[_path(7)]


def a_strange_file(files: Files) -> None:
    files[f"{_path(7)}.bak"] = b"x"


def a_file_for_a_folder(files: Files) -> None:
    files[f"drafts/{PRIMITIVE}/later-facts/000/000001"] = b"x"


def told_anew(files: Files) -> None:
    """The writer of an older fact makes all later ones fit; the status is as it was."""
    files.clear()
    files |= _files(rechained(6, cause=CHAIN[5].cause.model_copy(update={"run": "run-2"})))


@pytest.mark.parametrize(
    "change",
    [one_byte, one_fact_less, one_fact_more, a_strange_file, a_file_for_a_folder, told_anew],
)
def test_a_changed_older_fact_is_refused_though_the_chain_is_remembered(
    branch: Branch, change: Callable[[Files], None]
) -> None:
    check(branch, CHAIN)
    assert remembered() == 1
    files = _files()
    change(files)
    head, status = branch.write(files), status_of(CHAIN)
    problem = read_checked_chain(branch.git, head, status).problem
    assert problem
    forget()
    assert read_checked_chain(branch.git, head, status).problem == problem
    assert remembered() == 0, "what is wrong is not remembered"
    check(branch, CHAIN)


def test_a_status_that_is_not_the_fold_is_refused_though_the_chain_is_remembered(
    branch: Branch,
) -> None:
    check(branch, CHAIN)
    status = status_of(CHAIN).model_copy(update={"risk_tier": "LOW"})
    found = read_checked_chain(branch.git, branch.record(CHAIN), status)
    assert found.problem == f"{status_path(PRIMITIVE)} is not the fold"


def test_a_status_of_an_older_tool_is_taken_though_the_chain_is_remembered(branch: Branch) -> None:
    check(branch, CHAIN)
    older = without_runs(status_of(CHAIN))
    assert b"runs:" not in written(older)
    found = read_checked_chain(branch.git, branch.record(CHAIN), older)
    assert found.problem == ""
    assert found.of_tree(tree_of(1)) == history_of(CHAIN, tree_of(1))


def test_a_patch_that_comes_out_of_order_rests_on_all_facts(branch: Branch) -> None:
    check(branch, CHAIN)
    [(path, body), _] = _patch(0)
    late = next_fact(DRAFT, status_of(CHAIN), history.cause_of(path), body)
    chain = (*CHAIN, late)
    assert status_of(chain).earlier_patches is not None
    check(branch, chain)


def test_damaged_memory_and_that_of_another_tool_are_none(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(branch, CHAIN)
    [entry] = [path for path in (cache_dir() / "chain").rglob("*") if path.is_file()]
    entry.write_bytes(b"damaged")
    check(branch, CHAIN)
    monkeypatch.setattr(checked, "tool_identity", lambda: "another")
    check(branch, CHAIN)
    assert remembered() == 2


def test_a_promotion_is_known_by_its_newest_facts_alone(branch: Branch) -> None:
    """A run that was noted may be seen healthy by a fact that came later."""
    promoted = [fact.sequence for fact in CHAIN if isinstance(fact.body, Promoted)]
    for count in range(promoted[-1] - 1, len(CHAIN) + 1):
        check(branch, CHAIN[:count])
    runs = read_checked_chain(branch.git, branch.record(CHAIN), status_of(CHAIN))
    assert all(run.was_healthy for run in runs.of_tree(tree_of(1)).runs)
