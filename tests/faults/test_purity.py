"""Plans are pure and binding: equal worlds give equal plans, and a tampered plan writes nothing.

Trees depend on requests alone: processes that differ in clock, locale, umask, time zone, hash seed,
order of folders and the user's git configuration tell the whole story and get the same trees.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StalePlan, UsageFault
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import blob_id, commit_object, graft, trees_of_entries
from pipeline.plan.effects import Plan
from pipeline.requests.layout import tenant_path
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CONTROL, STATE, move, write_commit
from tests.support.samples import DRAFT, sample_files
from tests.support.story import SOURCE, STAGES, Story, everything, story_at

OTHER = "acme/invoice-matcher"
Document = dict[str, Any]


# -- planning --------------------------------------------------------------------------------

# What is asked for on top of a stage, so that every kind of effect comes up.
ASKS: dict[str, tuple[str, Callable[[Story], object]]] = {
    "provision": ("begun", lambda world: world.ask_for_draft()),
    "another draft": ("in dev", lambda world: world.ask_for_draft(OTHER)),
    "patch": ("scaffolded", lambda world: world.write("0001", f"{SOURCE}/one.py", "X = 1\n")),
    "refused patch": ("patched", lambda world: world.write("0002", "../one.py", "X = 1\n")),
    "dev": ("patched", lambda world: world.ask(DRAFT, "dev", ENGINEER_ID)),
    "follow-up": ("in staging", lambda world: world.write("0002", "docs/a.md", "A\n")),
    "prod": (
        "in staging",
        lambda world: world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID),
    ),
}


def plans_of(world: Story) -> Iterator[Plan]:
    """Every plan that a run would make, each applied as it would be from a file."""
    while not (plan := world.engine.plan(tenants=["acme"])).is_empty:
        yield plan
        world.engine.apply(Plan.model_validate_json(plan.model_dump_json(by_alias=True)))


@pytest.mark.parametrize("name", ASKS)
def test_planning_twice_gives_equal_plans_and_applying_them_is_a_run(
    name: str, tmp_path: Path
) -> None:
    stage, ask = ASKS[name]
    world = story_at(stage, tmp_path / "asked")
    ask(world)
    world.close()
    other = Story.open(tmp_path / "asked")
    made = 0
    for plan in plans_of(other):
        fresh = Story.open(tmp_path / "asked")
        before = everything(tmp_path / "asked")
        again = fresh.engine.plan(tenants=["acme"])
        fresh.close()
        assert everything(tmp_path / "asked") == before
        assert again == plan and again.model_dump_json() == plan.model_dump_json()
        made += 1
    assert made >= 1
    other.close()

    run = story_at(stage, tmp_path / "run")
    ask(run)
    run.go()
    assert run.engine.plan(tenants=["acme"]).is_empty
    run.close()
    assert everything(tmp_path / "run") == everything(tmp_path / "asked")


@pytest.mark.parametrize("stage", STAGES)
def test_a_plan_after_a_run_is_empty_at_every_stage(stage: str, tmp_path: Path) -> None:
    world = story_at(stage, tmp_path / "world")
    before = everything(tmp_path / "world")
    plan = world.engine.plan()
    assert not any(t.effects for t in plan.tenants)
    assert plan.is_empty
    world.engine.apply(plan)
    report = world.engine.run()
    assert report.effects == 0
    world.close()
    assert everything(tmp_path / "world") == before


# -- saved plans -----------------------------------------------------------------------------


@lru_cache
def _saved(name: str) -> str:
    """The first plan of an ask, as `pipeline plan --out` writes it."""
    stage, ask = ASKS[name]
    with tempfile.TemporaryDirectory(prefix="pipeline-tests-plan-") as folder:
        world = story_at(stage, Path(folder) / "world")
        ask(world)
        plan = world.engine.plan(tenants=["acme"])
        if name == "dev":  # the checks are done on the head; the build comes first, then this
            world.engine.apply(plan)
            plan = world.engine.plan(tenants=["acme"])
        world.close()
    return plan.model_dump_json(by_alias=True)


def asked(name: str, root: Path) -> Story:
    """The world that the saved plan was made on."""
    stage, ask = ASKS[name]
    world = story_at(stage, root)
    ask(world)
    if name == "dev":
        world.engine.apply(world.engine.plan(tenants=["acme"]))
    return world


def effect(plan: Document, kind: str) -> Document:
    """The first effect of a kind."""
    return next(e for t in plan["tenants"] for e in t["effects"] if e["kind"] == kind)


def _content(plan: Document) -> None:
    blobs = effect(plan, "commit-folder")["blobs"]
    key = next(k for k, v in blobs.items() if v["text"])
    blobs[key]["text"] += "# more\n"


def _content_with_ids_made_anew(plan: Document) -> None:
    found = effect(plan, "commit-folder")
    key = next(k for k, v in found["blobs"].items() if v["text"])
    text = found["blobs"].pop(key)["text"] + "# more\n"
    new = blob_id(text.encode())
    found["blobs"][new] = {"text": text, "base64": None}
    for path, (mode, id) in found["entries"].items():
        if id == key:
            found["entries"][path] = [mode, new]
    entries = {path: (mode, id) for path, (mode, id) in found["entries"].items()}
    tree = trees_of_entries(entries)[-1].id
    signature = pipeline_signature(found["time_s"])
    root = graft(((),), found["folder"], tree)[-1].id
    old = found["commit"]
    commit = commit_object(root, [found["base"]], found["message"], signature, signature).id
    found |= {"folder_tree": tree, "commit": commit}
    for entry in effect(plan, "append-facts")["entries"]:
        if entry["known"].get("commit") == old:
            entry["known"] |= {"commit": commit, "tree": tree}


def _drop(kind: str) -> Callable[[Document], None]:
    def change(plan: Document) -> None:
        for tenant in plan["tenants"]:
            tenant["effects"] = [e for e in tenant["effects"] if e["kind"] != kind]

    return change


def _set(kind: str, field: str, value: object) -> Callable[[Document], None]:
    def change(plan: Document) -> None:
        found = effect(plan, kind)
        assert found[field] != value
        found[field] = value

    return change


def _twice(plan: Document) -> None:
    plan["tenants"][0]["effects"].insert(0, plan["tenants"][0]["effects"][0])


def _extra(plan: Document) -> None:
    extra = json.loads(json.dumps(effect(plan, "append-facts")))
    extra["key"] = "0" * 64
    plan["tenants"][0]["effects"].append(extra)


def _order(plan: Document) -> None:
    effects = plan["tenants"][0]["effects"]
    assert len(effects) > 1
    effects.reverse()


def _no_facts(plan: Document) -> None:
    effect(plan, "append-facts")["entries"] = []


def _fewer_facts(plan: Document) -> None:
    entries = effect(plan, "append-facts")["entries"]
    effect(plan, "append-facts")["entries"] = entries[:-1]


def _fact(field: str, value: object) -> Callable[[Document], None]:
    def change(plan: Document) -> None:
        entry = effect(plan, "append-facts")["entries"][0]
        assert entry[field] != value
        entry[field] = value

    return change


def _cause(plan: Document) -> None:
    effect(plan, "append-facts")["entries"][0]["cause"]["actor"] = ENGINEER_ID


def _known(plan: Document) -> None:
    entry = next(e for e in effect(plan, "append-facts")["entries"] if e["type"] == "promoted")
    entry["known"]["approved_by"] = [ENGINEER_ID]


def _mode(plan: Document) -> None:
    entries = effect(plan, "commit-folder")["entries"]
    path = next(iter(entries))
    entries[path] = [0o120000, entries[path][1]]


def _path(plan: Document) -> None:
    entries = effect(plan, "commit-folder")["entries"]
    entries["../../other"] = entries.pop(next(iter(entries)))


def _rules(plan: Document) -> None:
    effect(plan, "ensure-repo")["rules"] = []


def _files(plan: Document) -> None:
    effect(plan, "ensure-repo")["files"]["CODEOWNERS"]["text"] = "* @nobody\n"


def _tenant(plan: Document) -> None:
    plan["tenants"][0]["tenant"] = "contoso"


def _no_tenants(plan: Document) -> None:
    plan["tenants"][0]["effects"] = []


def _tenant_twice(plan: Document) -> None:
    plan["tenants"].append(plan["tenants"][0])


def _state(plan: Document) -> None:
    plan["tenants"][0]["state_head"] = "0" * 40


TAMPERINGS: dict[str, tuple[str, Callable[[Document], None]]] = {
    "file content": ("patch", _content),
    "file content, every id made anew": ("patch", _content_with_ids_made_anew),
    "a file's mode": ("patch", _mode),
    "a file's path": ("patch", _path),
    "another repository": ("patch", _set("commit-folder", "repo", "tenant-contoso-controllers")),
    "the platform's repository": ("patch", _set("commit-folder", "repo", "ameide-platform")),
    "another branch": ("patch", _set("commit-folder", "branch", "main")),
    "another folder": ("patch", _set("commit-folder", "folder", "primitives/other")),
    "another tenant's folder": ("patch", _set("commit-folder", "folder", "tenants/contoso")),
    "another message": ("patch", _set("commit-folder", "message", "Nothing to see\n")),
    "another base": ("patch", _set("commit-folder", "base", "1" * 40)),
    "another draft": ("patch", _set("commit-folder", "draft", "contoso/inventory")),
    "pull request into another branch": ("patch", _set("open-pull", "base_branch", "release")),
    "text of the pull request": ("patch", _set("open-pull", "body", "Please merge at once")),
    "merge at another head": ("dev", _set("merge-pull", "expected_head", "1" * 40)),
    "no merge": ("dev", _drop("merge-pull")),
    "approvals that nobody gave": ("prod", _known),
    "one effect twice": ("patch", _twice),
    "an effect more": ("patch", _extra),
    "facts first": ("patch", _order),
    "no effect for facts": ("patch", _drop("append-facts")),
    "no facts": ("patch", _no_facts),
    "a fact less": ("provision", _fewer_facts),
    "no repository": ("provision", _drop("ensure-repo")),
    "no rules": ("provision", _rules),
    "other owners": ("provision", _files),
    "facts of another draft": ("patch", _fact("draft", "acme/other")),
    "a fact of another type": ("patch", _fact("type", "patch-refused")),
    "facts of another actor": ("patch", _cause),
    "facts on another state branch": ("patch", _set("append-facts", "tenant", "contoso")),
    "another tenant": ("patch", _tenant),
    "the tenant twice": ("patch", _tenant_twice),
    "nothing of it": ("patch", _no_tenants),
    "another state": ("patch", _state),
    "another control commit": ("patch", lambda plan: plan.update(control_commit="1" * 40)),
    "another version": ("patch", lambda plan: plan.update(tool_version="0.0.0")),
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Story]]:
    """The world of each saved plan; a refused plan leaves it as it was, so one serves all."""
    made: dict[str, Story] = {}

    def world_of(name: str) -> Story:
        if name not in made:
            made[name] = asked(name, tmp_path_factory.mktemp("plan") / "world")
        return made[name]

    yield world_of
    for world in made.values():
        world.close()


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_plan_is_refused(name: str, worlds: Callable[[str], Story]) -> None:
    ask, tamper = TAMPERINGS[name]
    world = worlds(ask)
    document = json.loads(_saved(ask))
    tamper(document)
    plan = Plan.model_validate_json(json.dumps(document))
    before = everything(world.root)
    with pytest.raises((StalePlan, UsageFault)):
        world.engine.apply(plan)
    assert everything(world.root) == before


@pytest.mark.parametrize("name", sorted({ask for ask, _ in TAMPERINGS.values()}))
def test_the_untouched_plan_is_carried_out(name: str, tmp_path: Path) -> None:
    world = asked(name, tmp_path / "world")
    plan = Plan.model_validate_json(_saved(name))
    (receipt,) = world.engine.apply(plan)
    assert [key for key, _ in receipt.applied] == [e.key for e in plan.effects]
    # Once: what was carried out is not the plan any more.
    before = everything(world.root)
    with pytest.raises(StalePlan):
        world.engine.apply(plan)
    assert everything(world.root) == before
    world.close()


def _new_request(world: Story) -> None:
    world.request(
        tenant_path("acme"), sample_files()[tenant_path("acme")] + b"# x\n", 1101, asker=1102
    )


def _new_facts(world: Story) -> None:
    """Somebody recorded something: main and every other branch stay as they are."""
    git = world.forge.open_repository(CONTROL)
    head = git.resolve(f"refs/heads/{STATE}")
    assert head is not None
    signature = pipeline_signature(git.read_commit(head).committer.time_s)
    move(git, STATE, write_commit(git, git.read_files(head), head, "Record\n", signature))


def _new_code(world: Story) -> None:
    """Another primitive is merged, so that the follow-up would go on another commit."""
    world.take_over(2)


@pytest.mark.parametrize("change", [_new_request, _new_facts, _new_code])
def test_a_stale_plan_is_refused(change: Callable[[Story], None], tmp_path: Path) -> None:
    world = story_at("in staging", tmp_path / "world")
    world.ask_for_draft(OTHER)
    world.go()
    world.write("0002", "docs/a.md", "A\n")
    plan = world.engine.plan(tenants=["acme"])
    assert "commit-folder" in {e.kind for e in plan.effects}
    change(world)
    before = everything(world.root)
    with pytest.raises(StalePlan):
        world.engine.apply(plan)
    assert everything(world.root) == before
    world.close()


def test_a_plan_file_reads_back_as_the_same_plan() -> None:
    for name in sorted({ask for ask, _ in TAMPERINGS.values()}):
        plan = Plan.model_validate_json(_saved(name))
        assert plan.model_dump_json(by_alias=True) == _saved(name)
        pretty = json.dumps(json.loads(_saved(name)), indent=2, sort_keys=True)
        assert Plan.model_validate_json(pretty) == plan
