"""The check of patches and of files in a pull request before it is merged, with the real tools."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from pipeline import api
from pipeline.documents import render_document
from pipeline.engine.judge import Judged
from pipeline.engine.opening import secret_hits
from pipeline.errors import Refused
from pipeline.forges.port import PullState
from pipeline.git.objects import MODE_SUBMODULE, MODE_SYMLINK, RefUpdate
from pipeline.models.outputs import ValidationReport
from pipeline.models.requests import WriteFile
from pipeline.render.comment import render_comment
from pipeline.render.report import validation_report
from pipeline.render.sarif import render_sarif
from pipeline.render.text import render_text
from pipeline.requests.layout import draft_path, patch_path
from pipeline.world.hydrate import Hydrator
from tests.support.command_line import call
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import _PERSON, CONTROL
from tests.support.samples import DRAFT
from tests.support.sources import leaked_settings
from tests.support.story import SOURCE, Story, patch_of, story_at

KEY = leaked_settings().split('"')[-2]


@pytest.fixture
def world(tmp_path: Path) -> Story:
    """A scaffolded draft, looked at with the real secret scan and the real rendering tools."""
    told = story_at("scaffolded", tmp_path / "world")
    told.use(scan_secrets=secret_hits, hydrator=Hydrator())
    return told


def judged(world: Story, content: bytes) -> Judged:
    """The judgement of a pull request of acme's agent that brings a patch."""
    number = world.propose({patch_path(DRAFT, "0001"): content}, AGENT_ID)
    return world.engine.judge.pull(number)


def codes(found: Judged) -> list[str]:
    return [finding.code for finding in found.findings]


def with_change(base: str, **change: object) -> bytes:
    return render_document(
        {
            "apiVersion": "pipeline.ameide.io/v1",
            "kind": "DraftPatch",
            "draft": DRAFT,
            "base_commit": base,
            "summary": "Change one file",
            "changes": [change],
        }
    )


def test_a_patch_that_applies_passes(world: Story) -> None:
    found = judged(world, patch_of(DRAFT, world.newest(), {f"{SOURCE}/routing.py": "QUICK = 1\n"}))
    assert found.findings == ()


@pytest.mark.parametrize("form", ["content", "content_base64"])
def test_a_credential_is_reported_by_kind_file_and_line_and_never_shown(
    form: str, world: Story
) -> None:
    text = leaked_settings()
    value = text if form == "content" else base64.b64encode(text.encode()).decode()
    path = f"{SOURCE}/partner_api.py"
    found = judged(world, with_change(world.newest(), op="write", path=path, **{form: value}))
    assert codes(found) == ["patch-secret"] and not found.passed
    [finding] = found.findings
    assert finding.message == f"`{path}` line 3 holds a credential: aws-access-token"
    assert finding.location.file == patch_path(DRAFT, "0001") and finding.location.line == 7
    report = ValidationReport.model_validate(
        {**validation_report(found.findings), "asked": found.asked}, strict=False
    )
    shown = [
        render_comment(report, found.previews),
        render_sarif(found.findings, found.sources),
        render_text(found.findings, found.sources),
        json.dumps(validation_report(found.findings)),
    ]
    assert all(KEY not in text and value not in text for text in shown)
    assert "revoke this credential (aws-access-token)" in shown[0]


def test_a_credential_that_only_the_patched_file_holds_is_found(world: Story) -> None:
    git = world.forge.open_repository("tenant-acme-controllers")
    head = world.newest()
    readme = git.read_object(f"{head}:primitives/order-router/README.md")
    assert readme is not None
    old = readme.content.decode().split("\n")[0]
    patch = with_change(head, op="replace", path="README.md", old=old, new=f'{old}\nkey = "{KEY}"')
    assert codes(judged(world, patch)) == ["patch-secret"]


def test_a_credential_in_any_other_field_or_file_is_found(world: Story) -> None:
    draft = world.engine.control.open_repository().read_object(f"main:{draft_path(DRAFT)}")
    assert draft is not None
    changed = draft.content.replace(b"Routes orders", f"Routes orders with {KEY}".encode())
    assert changed != draft.content
    for files in (
        {draft_path(DRAFT): changed},
        {"docs/how-to.md": leaked_settings().encode()},
        {
            patch_path(DRAFT, "0001"): patch_of(DRAFT, world.newest(), {"a.md": "x"}).replace(
                b"summary: Write a.md", f"summary: Use {KEY}".encode()
            )
        },
    ):
        found = world.engine.judge.pull(world.propose(files, 1101))
        assert codes(found) == ["patch-secret"], files
        assert found.findings[0].location.file in files


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (
            {"op": "replace", "path": "README.md", "old": "none", "new": "x"},
            "patch-does-not-apply",
            8,
        ),
        ({"op": "delete", "path": "docs/none.md"}, "patch-does-not-apply", 8),
        ({"op": "write", "path": "README.md/x", "content": "x"}, "patch-does-not-apply", 7),
        ({"op": "write", "path": "readme.md", "content": "x"}, "patch-path-twice", 7),
    ],
)
def test_a_patch_that_does_not_apply_is_refused_at_its_place(
    change: dict[str, object], code: str, line: int, world: Story
) -> None:
    found = judged(world, with_change(world.newest(), **change))
    assert [(f.code, f.location.line) for f in found.findings] == [(code, line)]


def test_a_base_that_is_not_a_commit_is_refused(world: Story) -> None:
    git = world.forge.open_repository("tenant-acme-controllers")
    head = world.newest()
    tree = git.read_commit(head).tree
    blob = git.read_object(f"{head}:primitives/order-router/README.md")
    assert blob is not None
    for base in (tree, blob.id, "1a" * 20):
        found = judged(world, patch_of(DRAFT, base, {f"{SOURCE}/new.py": "x = 1\n"}))
        assert codes(found) == ["patch-base-stale"], base


def test_a_stale_patch_is_refused_before_it_is_merged(world: Story) -> None:
    base = world.newest()
    world.write("0001", f"{SOURCE}/routing.py", "QUICK = 1\n")
    world.go()
    number = world.propose(
        {patch_path(DRAFT, "0002"): patch_of(DRAFT, base, {f"{SOURCE}/routing.py": "x = 1\n"})},
        AGENT_ID,
    )
    assert codes(world.engine.judge.pull(number)) == ["patch-base-stale"]


def test_a_patch_of_a_draft_that_is_not_scaffolded_is_refused(world: Story) -> None:
    patch = patch_of("acme/nothing", "1a" * 20, {"x.py": "x = 1\n"})
    number = world.propose({patch_path("acme/nothing", "0001"): patch}, AGENT_ID)
    assert codes(world.engine.judge.pull(number)) == ["draft-missing", "patch-base-stale"]


def test_manifests_of_a_changed_chart_are_judged(world: Story) -> None:
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n"
    found = judged(world, patch_of(DRAFT, world.newest(), {"chart/templates/role.yaml": role}))
    assert codes(found) and all(code.startswith("manifest-") for code in codes(found))
    assert any("ClusterRole" in finding.message for finding in found.findings)
    assert all(f.location.file == patch_path(DRAFT, "0001") for f in found.findings)
    broken = patch_of(DRAFT, world.newest(), {"chart/templates/x.yaml": "{{ nosuch }}\n"})
    assert codes(judged(world, broken)) == ["manifest-not-rendered"]
    harmless = patch_of(DRAFT, world.newest(), {"chart/templates/x.yaml": "# nothing\n"})
    assert judged(world, harmless).findings == ()


def test_a_queued_commit_is_scanned_too(world: Story) -> None:
    content = patch_of(DRAFT, world.newest(), {f"{SOURCE}/partner_api.py": leaked_settings()})
    number = world.propose({patch_path(DRAFT, "0001"): content}, AGENT_ID)
    head = world.forge.read_pull(CONTROL, number).head  # main and one commit, as a queue makes it
    assert codes(world.engine.judge.queued(number, head)) == ["patch-secret"]


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("tenants/acme/tenant.yaml", MODE_SYMLINK),
        ("environments/dev/environment.yaml", MODE_SYMLINK),
        ("docs/policy.md", MODE_SYMLINK),
        ("vendor", MODE_SUBMODULE),
        ("tenants/acme/drafts/x", MODE_SUBMODULE),
    ],
)
def test_links_and_submodules_are_refused_under_any_path(
    path: str, mode: int, world: Story, tmp_path: Path
) -> None:
    number = world.propose({path: b"../contoso/tenant.yaml"}, 1101)
    pull = world.forge.read_pull(CONTROL, number)
    head = _with_mode(world, pull.head, path, mode)
    moved = RefUpdate(f"refs/heads/{pull.head_branch}", pull.head, head)
    world.forge.open_repository(CONTROL).update_refs([moved])
    found = world.engine.judge.pull(number)
    assert "path-not-a-file" in codes(found) and not found.passed
    assert path in {f.location.file for f in found.findings if f.code == "path-not-a-file"}
    checkout = world.engine.control.directory
    fetch = ["git", "-C", str(checkout), "fetch", "-q", str(world.forge.path(CONTROL)), head]
    subprocess.run(fetch, check=True)
    done = call(checkout, "validate", "--commit", head)
    assert done.exit_code == 1 and "path-not-a-file" in done.out


def _with_mode(world: Story, commit: str, path: str, mode: int) -> str:
    """The id of the same commit with another mode at a path."""
    from pipeline.git.objects import commit_object, trees_of_entries

    git = world.forge.open_repository(CONTROL)
    entries = dict(git.list_files(commit))
    id = commit if mode == MODE_SUBMODULE else entries[path][1]
    entries[path] = (mode, id)
    trees = trees_of_entries(entries)
    parents = git.read_commit(commit).parents
    made = commit_object(trees[-1].id, list(parents), "Link\n", _PERSON, _PERSON)
    git.write_objects([*trees, made])
    return made.id


def test_the_python_api_refuses_a_credential_before_it_pushes(world: Story) -> None:
    change = WriteFile(op="write", path=f"{SOURCE}/partner_api.py", content=leaked_settings())
    before = world.forge.open_repository(CONTROL).read_refs(("refs/",))
    with pytest.raises(Refused) as refused:
        api.update_primitive_draft_files(world.engine, DRAFT, [change], summary="Read partners")
    assert [f.code for f in refused.value.findings] == ["patch-secret"]
    assert KEY not in str(refused.value) and KEY not in render_text(refused.value.findings)
    assert world.forge.open_repository(CONTROL).read_refs(("refs/",)) == before
    assert all(p.state is not PullState.OPEN for p in world.forge.read_pulls(CONTROL))
    clean = replace_content(change, "import os\n")
    assert api.update_primitive_draft_files(world.engine, DRAFT, [clean], summary="Read partners")


def replace_content(change: WriteFile, content: str) -> WriteFile:
    return change.model_copy(update={"content": content})


def test_a_release_needs_a_commit_as_its_source(tmp_path: Path) -> None:
    world = story_at("in dev", tmp_path / "world")
    git = world.forge.open_repository("tenant-acme-controllers")
    promotion = world.engine.propose_promotion(DRAFT, "dev", reason="Once more").promotion
    tree = git.read_commit(promotion.release.source_commit).tree
    release = promotion.release.model_copy(update={"source_commit": tree})
    asked = promotion.model_copy(update={"release": release})
    decision, due = world.engine.decide(DRAFT, "dev", asked)
    assert due.source_tree is None
    assert "source-unknown" in {r.code for r in decision.reasons if r.final}


@pytest.mark.parametrize("output", ["text", "json", "sarif", "github"])
def test_the_gate_without_any_credential_sees_what_a_patch_writes(
    output: str, world: Story
) -> None:
    encoded = base64.b64encode(leaked_settings().encode()).decode()
    patch = with_change(
        world.newest(), op="write", path=f"{SOURCE}/partner_api.py", content_base64=encoded
    )
    number = world.propose({patch_path(DRAFT, "0001"): patch}, AGENT_ID)
    head = world.forge.read_pull(CONTROL, number).head
    checkout = world.engine.control.directory
    fetch = ["git", "-C", str(checkout), "fetch", "-q", str(world.forge.path(CONTROL)), head]
    subprocess.run(fetch, check=True)
    arguments = ("validate", "--since", f"{head}~1", "--commit", head, "--format", output)
    ran = call(checkout, *arguments)
    assert ran.exit_code == 1 and "patch-secret" in ran.out and "aws-access-token" in ran.out
    assert KEY not in ran.out and encoded not in ran.out


def test_a_clean_change_passes_the_gate(world: Story) -> None:
    patch = patch_of(DRAFT, world.newest(), {f"{SOURCE}/routing.py": "QUICK = 1\n"})
    number = world.propose({patch_path(DRAFT, "0001"): patch, "docs/a.md": b"# A\n"}, ENGINEER_ID)
    head = world.forge.read_pull(CONTROL, number).head
    checkout = world.engine.control.directory
    fetch = ["git", "-C", str(checkout), "fetch", "-q", str(world.forge.path(CONTROL)), head]
    subprocess.run(fetch, check=True)
    ran = call(checkout, "validate", "--since", f"{head}~1", "--commit", head)
    assert ran.exit_code == 0, ran.out
