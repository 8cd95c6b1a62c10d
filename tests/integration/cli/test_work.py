"""Checks and builds in separate jobs: the same story, and evidence that is refused."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from pipeline.engine.opening import open_engine
from tests.support.command_line import Ran, call, copy_world, refs
from tests.support.samples import DRAFT
from tests.support.story_by_commands import begin, prepare, quick_commands, steps, tell

ACME = ("--tenant", "acme")  # the story's runs are for acme alone


pytestmark = pytest.mark.usefixtures("quick")


def perform_due(control: Path, folder: Path) -> Path | None:
    """The evidence of what is due, from three calls; None when nothing is."""
    work, evidence = folder / "work", folder / "evidence"
    for path in (work, evidence):
        shutil.rmtree(path, ignore_errors=True)
    assert call(control, "due", *ACME, "--stage", "build", "--out", str(work)).exit_code == 0
    if not json.loads((work / "work.json").read_text())["items"]:
        return None
    assert call(None, "perform", "--work", str(work), "--out", str(evidence)).exit_code == 0
    assert call(control, "push", "--work", str(work), "--evidence", str(evidence)).exit_code == 0
    return evidence


def run_by_jobs(control: Path, folder: Path, *more: str) -> Ran:
    """One `run` as jobs do it, each with its own part; what the last of them says."""
    assert call(control, "run", *ACME, "--stage", "scaffold").exit_code == 0
    while True:
        evidence = perform_due(control, folder)
        if evidence is None:
            break
        built = call(control, "run", *ACME, "--stage", "build", "--evidence", str(evidence))
        assert built.exit_code == 0, built
    promoted = call(control, "run", *ACME, "--stage", "promote")
    return (
        call(control, "run", "--stage", "observe", *more) if "--observations" in more else promoted
    )


def test_separate_jobs_end_in_the_same_trees_as_one_run(tmp_path: Path) -> None:
    at_once = tell(tmp_path / "at-once")
    control = begin(tmp_path / "by-jobs")
    for step, commands in steps(control.parent / "work").items():
        prepare(control, step)
        for command in commands:
            if command[0] == "run":
                ran = run_by_jobs(control, tmp_path, *command[1:])
            else:
                ran = call(control, *command)
            assert ran.exit_code == 0, (command, ran)
    assert refs(control, "tree") == refs(at_once, "tree")
    assert call(control, "audit", "verify").exit_code == 0
    assert call(control, "due", *ACME).out == "nothing is due\n"


# -- evidence that is none -----------------------------------------------------------------


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world in which a patch was applied and its checks are due, with what `due` took out."""
    with quick_commands():
        root = tmp_path_factory.mktemp("checked")
        control = tell(root, until="apply patches")
        assert call(control, "run", "--stage", "scaffold").exit_code == 0
        work = root / "due"
        assert call(control, "due", "--out", str(work)).exit_code == 0
        done = call(None, "perform", "--work", str(work), "--out", str(root / "evidence"))
        assert done.exit_code == 0
    return control


@pytest.fixture
def world(checked: Path, tmp_path: Path) -> Path:
    return copy_world(checked, tmp_path / "world")


def facts(control: Path) -> int:
    return open_engine(control).status(DRAFT).facts


def evidence_file(control: Path) -> Path:
    [path] = (control.parent / "evidence").glob("*.json")
    return path


def recorded(control: Path) -> Ran:
    evidence = str(control.parent / "evidence")
    return call(control, "run", "--stage", "build", "--evidence", evidence)


def test_evidence_is_recorded_unchanged(world: Path) -> None:
    before = facts(world)
    ran = recorded(world)
    assert ran.exit_code == 0 and facts(world) == before + 1


def test_a_run_waits_for_missing_evidence(world: Path) -> None:
    before = facts(world)
    evidence_file(world).unlink()
    ran = recorded(world)
    assert ran.exit_code == 0 and facts(world) == before
    assert "evidence-due: no evidence yet: run lint, tests, secrets" in ran.out


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("report", "tree"), "0" * 40, "its report is for another source"),
        (("report", "results"), [], "its report is for other checks"),
        (("report",), None, "it holds no report of the checks"),
        (("item", "key"), "0" * 64, "its name is not the key of its work"),
        (("kind",), "Proof", "kind"),
        (("extra",), 1, "extra"),
    ],
)
def test_evidence_that_contradicts_itself_is_refused(
    world: Path, place: tuple[str, ...], value: object, said: str
) -> None:
    before = facts(world)
    path = evidence_file(world)
    document = json.loads(path.read_text())
    at = document
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    path.write_text(json.dumps(document))
    ran = recorded(world)
    assert ran.exit_code == 2 and said in ran.err
    assert facts(world) == before


@pytest.mark.parametrize("field", ["repo", "folder", "draft"])
def test_evidence_of_other_work_under_the_same_key_is_refused(world: Path, field: str) -> None:
    before = facts(world)
    path = evidence_file(world)
    document = json.loads(path.read_text())
    document["item"][field] = "acme/other"
    path.write_text(json.dumps(document))
    ran = recorded(world)
    assert ran.exit_code == 4 and "there is no evidence of the checks" in ran.out
    assert facts(world) == before


def test_a_link_among_the_evidence_is_not_followed(world: Path) -> None:
    path = evidence_file(world)
    elsewhere = world.parent / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    ran = recorded(world)
    assert ran.exit_code == 2 and "is a link" in ran.err


def test_another_source_is_not_checked(world: Path, tmp_path: Path) -> None:
    [source] = (world.parent / "due" / "sources").glob("*.tar")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("pyproject.toml")
        tar.addfile(entry, io.BytesIO(b""))
    source.write_bytes(packed.getvalue())
    out = tmp_path / "other"
    done = call(None, "perform", "--work", str(world.parent / "due"), "--out", str(out))
    assert done.exit_code == 4 and "was asked for" in done.out
    assert not list(out.glob("*.json"))


def test_an_image_that_is_missing_from_the_store_is_not_recorded(tmp_path: Path) -> None:
    control = tell(tmp_path / "world", until="dev")
    before = facts(control)
    work, evidence = tmp_path / "work", tmp_path / "evidence"
    assert call(control, "due", *ACME, "--out", str(work)).exit_code == 0
    performed = call(None, "perform", "--work", str(work), "--out", str(evidence))
    assert performed.exit_code == 0 and "built sha256:" in performed.out
    record = ("run", *ACME, "--stage", "build", "--evidence", str(evidence))
    ran = call(control, *record)
    assert ran.exit_code == 4 and "holds no image" in ran.out and facts(control) == before

    assert call(control, "push", "--work", str(work), "--evidence", str(evidence)).exit_code == 0
    assert call(control, *record).exit_code == 0 and facts(control) == before + 1


def test_a_matrix_names_tenants_and_work(world: Path) -> None:
    assert call(world, "due", "--matrix", "builds").out == "builds=[]\n"
    tenants, work = call(world, "due", "--matrix", "tenants", "--matrix", "work").out.splitlines()
    [tenant] = json.loads(tenants.removeprefix("tenants="))
    assert tenant == {"name": "acme", "option": "--tenant", "value": "acme"}
    [job] = json.loads(work.removeprefix("work="))
    key = evidence_file(world).stem
    assert job == {"key": key, "kind": "run-checks", "name": f"run-checks {DRAFT}"}
    due = call(world, "due", "--stage", "promote", "--matrix", "tenants")
    assert due.out == "tenants=[]\n"
