"""A local forge after many writes: its contents stay whole and quick to read."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from pipeline.errors import GitFailed
from pipeline.forges.local import fingerprint, upkeep
from pipeline.forges.local.fingerprint import read_ref_fingerprint
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.local.journal import JOURNAL_REF, objects_over, pull_files
from pipeline.forges.port import PullAsk
from pipeline.git.objects import (
    MODE_FILE,
    GitObject,
    RefUpdate,
    commit_object,
    git_object,
    objects_of_files,
)
from pipeline.git.repository import GitRepository
from tests.integration.forges.local.test_forge import ROOT, RULES, SOMEBODY, START, spec_of

ACTOR = 1
MANY = 60  # files of a push that is kept as a pack


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[LocalForge]:
    made = LocalForge(tmp_path / "forge", "acme")
    made.ensure_repo("app", spec_of(*RULES))
    yield made
    made.close()


def push(forge: LocalForge, branch: str, files: int = MANY) -> str:
    """The commit of a push whose objects nothing else has."""
    contents = {f"{branch}/{n}": (MODE_FILE, f"{branch} {n}\n".encode()) for n in range(files)}
    objects = objects_of_files(contents)
    commit = commit_object(objects[-1].id, [START], f"{branch}\n", SOMEBODY, SOMEBODY)
    update = RefUpdate(f"refs/heads/{branch}", None, commit.id)
    forge.push("app", [*objects, commit], (update,), actor=ACTOR)
    return commit.id


def packs(forge: LocalForge) -> int:
    return len(list((forge.path("app") / "objects" / "pack").glob("*.pack")))


def loose_refs(forge: LocalForge) -> int:
    return sum(path.is_file() for path in (forge.path("app") / "refs").rglob("*"))


def check_whole(forge: LocalForge, heads: dict[str, str]) -> None:
    """Every branch stands where it was put, and git finds every object whole."""
    git = GitRepository(forge.path("app"))
    found = git.read_refs()
    assert {branch: found.get(f"refs/heads/{branch}") for branch in heads} == heads
    for branch, head in heads.items():
        assert len(git.read_files(head, branch)) == MANY
    git.close()
    command = ["git", "-C", str(forge.path("app")), "fsck", "--full", "--strict"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


# -- packing -------------------------------------------------------------------------------


def test_packs_and_refs_stay_few_and_nothing_is_lost(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_PACKS", 6)
    heads = {}
    for number in range(20):
        heads[f"draft/{number}"] = push(forge, f"draft/{number}")
        assert packs(forge) < 6
    assert loose_refs(forge) < 10
    check_whole(forge, heads)


def test_loose_objects_are_packed(forge: LocalForge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_LOOSE", 1)
    sampled = forge.path("app") / "objects" / upkeep._SAMPLE
    for number in range(2_000):
        push(forge, f"draft/{number}", files=1)
        if packs(forge):
            break
    assert packs(forge) == 1
    assert not sampled.exists()
    git = forge.open_repository("app")
    assert git.read_files(git.read_refs()[f"refs/heads/draft/{number}"])


def test_objects_without_a_ref_are_kept(forge: LocalForge) -> None:
    """A push stores its objects before it moves a ref: packing in between may not lose them."""
    git = forge.open_repository("app")
    loose = git_object("blob", b"of a small push that is under way\n")
    packed = objects_of_files({f"{n}": (MODE_FILE, f"under way {n}".encode()) for n in range(MANY)})
    git.write_objects([loose])
    git.write_objects(packed)
    push(forge, "draft/one")
    other = GitRepository(git.path)
    assert other.read_object(loose.id) == loose  # its reader runs while the files change
    other.pack_all()
    assert not list((git.path / "objects" / loose.id[:2]).glob("*"))
    for reader in (git, other, GitRepository(git.path)):
        assert reader.read_objects([loose.id, *(o.id for o in packed)]) == [loose, *packed]
        reader.close()


def test_one_process_packs_at_a_time(forge: LocalForge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_PACKS", 2)
    folder = os.open(forge.path("app") / "objects", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    heads = {f"draft/{n}": push(forge, f"draft/{n}") for n in range(4)}
    assert packs(forge) == 4
    os.close(folder)
    heads["draft/4"] = push(forge, "draft/4")
    assert packs(forge) == 1
    check_whole(forge, heads)


def test_a_push_succeeds_when_packing_fails(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(git: GitRepository) -> None:
        raise GitFailed("no space left")

    monkeypatch.setattr(upkeep, "_PACKS", 1)
    monkeypatch.setattr(GitRepository, "pack_all", fail)
    heads = {f"draft/{n}": push(forge, f"draft/{n}") for n in range(2)}
    check_whole(forge, heads)


PACKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pipeline.forges.local import upkeep
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import PullAsk
from tests.integration.forges.local.test_upkeep import push
upkeep._PACKS = 3
forge = LocalForge(Path(sys.argv[2]), "acme")
for number in range(6):
    branch = f"draft/{sys.argv[3]}-{number}"
    head = push(forge, branch)
    forge.open_pulls("app", [PullAsk(branch, "main", branch, "")], actor=1)
    print(branch, head)
"""


def test_writers_and_packers_at_once_lose_nothing(forge: LocalForge) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PACKER, str(ROOT), str(forge.root), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(5)
    ]
    heads: dict[str, str] = {}
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        heads |= dict(line.split() for line in out.splitlines())
    assert len(heads) == 30
    check_whole(forge, heads)
    assert {p.head_branch: p.head for p in forge.read_pulls("app")} == heads
    assert [p.number for p in forge.read_pulls("app")] == list(range(1, 31))


# -- the fingerprint -----------------------------------------------------------------------


def test_the_fingerprint_changes_with_any_ref(forge: LocalForge) -> None:
    path = forge.path("app")
    seen = [read_ref_fingerprint(path)]
    push(forge, "draft/one")
    seen.append(read_ref_fingerprint(path))
    forge.open_pulls("app", [PullAsk("draft/one", "main", "One", "")], actor=ACTOR)
    seen.append(read_ref_fingerprint(path))
    assert len(set(seen)) == 3
    assert read_ref_fingerprint(path) == seen[-1]
    assert read_ref_fingerprint(path.with_name("none.git")) is None


def test_a_ref_that_is_being_packed_never_looks_missing(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = forge.path("app")
    git = forge.open_repository("app")
    git.pack_all()
    without = read_ref_fingerprint(path)
    push(forge, "draft/one")

    def packed_meanwhile(name: str, mode: str) -> IO[bytes]:
        if "/refs/" in name:
            git.pack_all()
        return open(name, mode)  # noqa: PTH123 # as it is called there

    monkeypatch.setattr(fingerprint, "open", packed_meanwhile, raising=False)
    assert read_ref_fingerprint(path) != without


# -- the journal ---------------------------------------------------------------------------


def push_many(forge: LocalForge, count: int) -> list[str]:
    """So many branches, pushed at once."""
    objects: list[GitObject] = []
    updates = []
    for number in range(count):
        made = objects_of_files({"file": (MODE_FILE, f"{number}".encode())})
        commit = commit_object(made[-1].id, [START], f"{number}\n", SOMEBODY, SOMEBODY)
        objects += [*made, commit]
        updates.append(RefUpdate(f"refs/heads/draft/{number:04d}", None, commit.id))
    forge.push("app", objects, tuple(updates), actor=ACTOR)
    return [update.ref.removeprefix("refs/heads/") for update in updates]


def test_hundreds_of_pull_requests_are_numbered_and_found(forge: LocalForge) -> None:
    branches = push_many(forge, 205)
    asked = [PullAsk(branch, "main", branch, "") for branch in branches]
    for start in range(0, len(asked), 70):
        forge.open_pulls("app", asked[start : start + 70], actor=ACTOR)
    pulls = forge.read_pulls("app")
    assert [(p.number, p.head_branch) for p in pulls] == list(enumerate(branches, start=1))
    for number in (1, 99, 100, 101, 199, 200, 205):
        ask = asked[number - 1]
        assert forge.read_pull("app", number) == pulls[number - 1]
        assert forge.open_pulls("app", [ask], actor=ACTOR) == (pulls[number - 1],)
    forge.close_pull("app", 100, actor=ACTOR)
    assert [p.number for p in forge.read_pulls("app") if p.state == "closed"] == [100]


def test_a_write_costs_the_same_however_long_the_journal_is(forge: LocalForge) -> None:
    branches = push_many(forge, 1_000)
    forge.open_pulls("app", [PullAsk(b, "main", b, "") for b in branches], actor=ACTOR)
    git = forge.open_repository("app")
    objects = objects_over(git, JOURNAL_REF, pull_files(forge.read_pull("app", 777)))
    assert len(objects) <= 8
    assert sum(len(item.content) for item in objects) < 16_000


def test_a_journal_of_another_format_is_reported_and_left_alone(forge: LocalForge) -> None:
    git = forge.open_repository("app")
    found = git.read_object(f"{JOURNAL_REF}:repo.json")
    assert found is not None
    value = json.loads(found.content)
    del value["format"]  # as the first format had it
    objects = objects_of_files({"repo.json": (MODE_FILE, json.dumps(value).encode())})
    commit = commit_object(objects[-1].id, [], "Old\n", SOMEBODY, SOMEBODY)
    git.write_objects([*objects, commit])
    git.update_refs([RefUpdate(JOURNAL_REF, git.resolve(JOURNAL_REF), commit.id)])
    push_to = RefUpdate("refs/heads/draft/one", None, START)
    for call in (
        lambda: forge.read_repo("app"),
        lambda: forge.ensure_repo("app", spec_of(*RULES)),
        lambda: forge.push("app", [], (push_to,), actor=ACTOR),
        lambda: forge.read_pulls("app"),
        lambda: forge.read_pull("app", 1),
        lambda: forge.open_pulls("app", [PullAsk("x", "main", "", "")], actor=ACTOR),
    ):
        with pytest.raises(GitFailed, match="format 1"):
            call()
    assert git.resolve(JOURNAL_REF) == commit.id
