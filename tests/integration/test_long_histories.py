"""Drafts with many facts: audited in old and new layouts; a new fact costs no more than before."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipeline.apply.facts import Told, record_facts
from pipeline.documents import render_document
from pipeline.git.objects import (
    MODE_FILE,
    RefUpdate,
    commit_object,
    objects_of_files,
)
from pipeline.models.base import moment_of
from pipeline.models.facts import Cause
from pipeline.models.status import DraftStatus
from pipeline.names import state_branch
from pipeline.plan.effects import AppendFacts, FactEntry
from pipeline.requests.layout import patch_path, promotion_path
from pipeline.state.bounds import is_bounded
from pipeline.state.facts import fold, parse_chain, parse_status, status_path
from pipeline.state.store import read_fact_files
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import audit
from tests.support.samples import DRAFT as STORY
from tests.support.story import patch_of, story_at
from worlds import PIPELINE, requests
from worlds.control import id_of
from worlds.control_repo import START_TIME_S
from worlds.history import Draft, History, Store

TENANT, PRIMITIVE = requests.tenant_name(0), requests.draft_name(0)
DRAFT = f"{TENANT}/{PRIMITIVE}"
REF = f"refs/heads/{state_branch(TENANT)}"
STATUS = status_path(PRIMITIVE)
BELOW = f"drafts/{PRIMITIVE}"


def begun(root: Path, *, is_older: bool) -> tuple[History, Store, Draft]:
    """A draft that is scaffolded."""
    world = History(root, 1, is_older=is_older)
    code, [draft] = world.begin(TENANT, [PRIMITIVE])
    return world, code, draft


def go_on(world: History, code: Store, draft: Draft, patches: int) -> None:
    """So many patches more, each checked, each fact by a commit of its own."""
    for _ in range(patches):
        world.patch(draft, code)
        world.publish(TENANT, [draft])
        world.check(draft)
        world.publish(TENANT, [draft])


def finished(world: History, code: Store) -> History:
    """Everything written, and a checkout of it."""
    code.finish()
    world.main.finish()
    world.check_out()
    return world


def verify(world: History) -> tuple[int, set[str]]:
    """The exit code of an audit from the beginning, and the codes of what it found."""
    fetch = ["git", "-C", str(world.root / "control"), "fetch", "-q", "origin"]
    subprocess.run(fetch, check=True)
    clones = str(next((world.root / "forge").iterdir()))
    command = [PIPELINE, "-C", str(world.root / "control"), "--format", "json"]
    done = subprocess.run(
        [*command, "audit", "verify", "--clones", clones, "--full"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    return done.returncode, {finding["code"] for finding in report["findings"]}


def change(world: History, path: str, content: bytes | None) -> None:
    """The pipeline's own hand changes one file of the state branch, or takes it out."""
    git = world.control
    head = git.resolve(REF)
    assert head is not None
    files = {p: found for p, (_, found) in git.read_files(head).items()}
    if content is None:
        del files[path]
    else:
        files[path] = content
    objects = objects_of_files({p: (MODE_FILE, found) for p, found in files.items()})
    signature = git.read_commit(head).committer
    commit = commit_object(objects[-1].id, [head], "Record facts\n", signature, signature)
    git.write_objects([*objects, commit])
    git.update_refs([RefUpdate(REF, head, commit.id)])


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> History:
    world, code, draft = begun(tmp_path_factory.mktemp("older"), is_older=True)
    go_on(world, code, draft, 52)
    return finished(world, code)


def test_a_history_is_audited_across_its_folders(tmp_path: Path) -> None:
    world, code, draft = begun(tmp_path, is_older=False)
    go_on(world, code, draft, 52)
    finished(world, code)
    files = world.control.read_files(REF, BELOW)
    assert "facts/000099-checks-recorded.json" in files
    assert "later-facts/000/000100/000107-checks-recorded.json" in files
    assert verify(world) == (0, set())

    change(world, f"{BELOW}/later-facts/notes.txt", b"x")
    assert verify(world) == (1, {"audit-state-file", "audit-fact-anchor"})
    later = f"{BELOW}/later-facts/000/000100/000107-checks-recorded.json"
    change(world, later, None)
    assert {"audit-state-history", "audit-state-file"} <= verify(world)[1]


def test_records_of_older_tools_are_audited(older: History) -> None:
    files = older.control.read_files(REF, BELOW)
    assert "facts/000107-checks-recorded.json" in files
    assert not is_bounded(parse_status(files["status.yaml"][1]))
    assert verify(older) == (0, set())


def test_a_status_is_the_old_or_the_new_fold_and_nothing_between(tmp_path: Path) -> None:
    world, code, draft = begun(tmp_path, is_older=True)
    go_on(world, code, draft, 12)
    finished(world, code)
    content = world.control.read_files(REF)[STATUS][1]
    assert b'patch: "0001"' in content
    change(world, STATUS, content.replace(b'patch: "0001"', b'patch: "0013"'))
    assert "audit-status-fold" in verify(world)[1]


def test_a_state_branch_of_an_older_tool_is_continued(older: History) -> None:
    forge, control = older.forge, older.control
    head = control.resolve(REF)
    assert head is not None
    before = parse_status(control.read_files(head)[STATUS][1])
    new, failed = record_facts(
        _next_patch(older, before, head),
        forge,
        older.name,
        Told({}, moment_of(START_TIME_S)),
        actor=older.platform.pipeline_account.id,
        left_out=(),
    )
    assert not failed
    facts = parse_chain(DRAFT, read_fact_files(control, new, PRIMITIVE))
    status = parse_status(control.read_files(new)[STATUS][1])
    assert len(facts) == before.facts + 1 and status == fold(facts) and is_bounded(status)
    written = set(control.list_files(new, BELOW)) - set(control.list_files(head, BELOW))
    assert written == {f"later-facts/000/000100/{len(facts):06d}-patch-applied.json"}


def _next_patch(world: History, status: DraftStatus, head: str) -> AppendFacts:
    assert status.pull_request is not None
    cause = Cause.model_validate(
        {
            "request": patch_path(DRAFT, "0053"),
            "commit": id_of("main"),
            "blob": id_of("patch"),
            "run": "run-1",
            "actor": world.owner,
        }
    )
    known = {
        "patch": "0053",
        "branch": status.branch_name,
        "commit": id_of("commit"),
        "tree": id_of("tree"),
        "pull_request": status.pull_request.model_dump(mode="json"),
    }
    entry = FactEntry(draft=DRAFT, cause=cause, type="patch-applied", known=known)
    return AppendFacts(
        key=id_of("key") + "0" * 24,
        tenant=TENANT,
        expected=head,
        entries=(entry,),
        time_s=START_TIME_S,
    )


def test_a_source_that_the_status_no_longer_lists_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.bounds.LISTED", 1)
    world = story_at("in dev", tmp_path / "world")
    first = world.engine.status(STORY).promotions[0].release
    for number in ("0002", "0003"):
        world.write(number, f"docs/{number}.md", "more\n")
        world.go()
    world.ask(STORY, "dev", ENGINEER_ID)
    world.go()
    status = world.engine.status(STORY)
    assert status.promotions[0].release.digest != first.digest
    assert status.build_of_tree(first.source_tree) is None
    assert status.checks_of_tree(first.source_tree) is None

    proposal = world.engine.propose_promotion(
        STORY, "dev", source_commit=first.source_commit, reason="Back to what worked"
    )
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    kinds = world.kinds()
    world.request(promotion_path(STORY, "dev"), render_document(value), ENGINEER_ID)
    world.go()
    assert world.kinds() == [*kinds, "promoted"]
    assert world.engine.status(STORY).promotions[0].release.digest == first.digest
    assert audit(world).findings == ()
    world.close()


def test_a_patch_that_the_status_no_longer_lists_is_judged_once_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.bounds.LISTED", 1)
    world = story_at("patched", tmp_path / "world")
    base = world.newest()
    for number in ("0002", "0003"):
        world.write(number, f"docs/{number}.md", "more\n")
        world.go()
    assert world.engine.plan(tenants=["acme"]).is_empty
    content = patch_of(STORY, base, {"docs/again.md": "again\n"})
    world.request(patch_path(STORY, "0001"), content, ENGINEER_ID)
    world.go()
    facts = world.engine.facts(STORY)
    assert [f.cause.request for f in facts if f.body.type == "patch-applied"][-1] == patch_path(
        STORY, "0001"
    )
    earlier = world.engine.status(STORY).earlier_patches
    assert earlier is not None and (earlier.count, earlier.through) == (2, "0002")
    assert world.engine.plan(tenants=["acme"]).is_empty
    assert audit(world).findings == ()
    world.close()
