"""plan, apply, run, status, why and audit by the command line, on a story's world."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipeline.names import state_branch
from pipeline.plan.effects import Plan
from pipeline.state.facts import status_path
from pipeline.state.statuses import status_spec
from tests.integration.cli.test_basics import modules_after
from tests.support.command_line import call, copy_world, refs
from tests.support.samples import DRAFT
from tests.support.story_by_commands import AGENT

pytestmark = pytest.mark.usefixtures("quick")


# -- plan, apply, run --------------------------------------------------------------------


def test_planning_writes_nothing_and_repeats(fresh_world: Path) -> None:
    before = refs(fresh_world)
    first = call(fresh_world, "plan", "--format", "json")
    assert first.exit_code == 0 and first.document["kind"] == "Plan"
    assert call(fresh_world, "plan", "--format", "json").out == first.out
    assert call(fresh_world, "run", "--dry-run", "--format", "json").out == first.out
    text = call(fresh_world, "plan", "--tenant", "acme").out
    assert "ensure repository tenant-acme-controllers" in text
    assert "contoso" not in text
    assert refs(fresh_world) == before


def test_shards_cover_every_tenant_once(fresh_world: Path) -> None:
    def tenants(*arguments: str) -> list[str]:
        plan = Plan.model_validate_json(call(fresh_world, "plan", "--format=json", *arguments).out)
        return [t.tenant for t in plan.tenants]

    parts = [tenants("--shard", f"{i}/3") for i in (1, 2, 3)]
    assert sorted(t for part in parts for t in part) == tenants()


def test_a_saved_plan_is_applied_exactly_once(fresh_world: Path, tmp_path: Path) -> None:
    control = copy_world(fresh_world, tmp_path / "world")
    file = tmp_path / "plan.json"
    ran = call(control, "plan", "--tenant", "acme", "--out", str(file))
    assert ran.exit_code == 0 and f"`pipeline apply {file}`" in ran.out
    applied = call(control, "apply", str(file), "--format", "json")
    assert applied.exit_code == 0
    assert applied.document["effects"] == {"append-facts": 1, "ensure-repo": 2}
    before = refs(control)
    stale = call(control, "apply", str(file))
    assert stale.exit_code == 3 and stale.err.startswith("error[stale-plan]: ")
    assert call(control, "--format", "json", "apply", str(file)).document["code"] == "stale-plan"
    assert refs(control) == before


def test_a_tampered_plan_is_refused(fresh_world: Path, tmp_path: Path) -> None:
    control = copy_world(fresh_world, tmp_path / "world")
    before = refs(control)
    plan = call(control, "plan", "--tenant", "acme", "--format", "json").document
    file = tmp_path / "plan.json"
    tenants = plan["tenants"]
    assert isinstance(tenants, list)
    tenants[0]["effects"][0]["repo"] = "tenant-contoso-controllers"
    file.write_text(json.dumps(plan))
    assert call(control, "apply", str(file)).exit_code == 3
    for content in ("", "{}", "[]", "\x00", '{"kind": "Plan"}', json.dumps({**plan, "x": 1})):
        file.write_text(content)
        ran = call(control, "apply", str(file))
        assert ran.exit_code == 2 and "is not a saved plan" in ran.err
    assert call(control, "apply", str(tmp_path / "nothing")).exit_code == 2
    assert call(control, "plan", "--out", str(tmp_path)).exit_code == 2
    assert refs(control) == before


def test_running_again_does_nothing(told: Path) -> None:
    before = refs(told)
    ran = call(told, "run", "--tenant", "acme")
    said = "✓ nothing to do\n  ended    2026-01-01 00:00Z\n"
    assert (ran.exit_code, ran.out, ran.err) == (0, said, "")
    document = call(told, "run", "--tenant", "acme", "--format", "json").document
    assert (document["kind"], document["effects"]) == ("RunReport", {})
    assert call(told, "plan", "--tenant", "acme").out.startswith("✓ nothing to do for 1 tenant\n")
    assert refs(told) == before


def test_a_failing_tool_is_reported_and_exits_4(
    fresh_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.errors import CouldNotCheck

    def broken(*_: object) -> None:
        raise CouldNotCheck("the disk is full")

    control = copy_world(fresh_world, tmp_path / "world")
    monkeypatch.setattr("pipeline.apply.effects._ensure_repo", broken)
    ran = call(control, "run", "--tenant", "acme")
    assert ran.exit_code == 4
    assert "could-not-check: the disk is full" in ran.out
    monkeypatch.undo()
    assert call(control, "run", "--tenant", "acme").exit_code == 0


@pytest.mark.parametrize(
    "content", ["kind: Nothing\n", "&a\n", "kind: Observations\nx: 1\n", "\x00"]
)
def test_bad_observations_are_refused(fresh_world: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "observations.yaml"
    file.write_text(content)
    ran = call(fresh_world, "run", "--observations", str(file))
    assert ran.exit_code == 1 and "is refused" in ran.err
    assert call(fresh_world, "run", "--observations", str(tmp_path / "nothing")).exit_code == 2


# -- status, why -------------------------------------------------------------------------


def test_status_of_one_draft(told: Path) -> None:
    ran = call(told, "status", DRAFT)
    assert ran.exit_code == 0
    assert ran.out.startswith(f"{DRAFT}  PROMOTED_PROD\n")
    assert "0002 ✗ refused" in ran.out and "approved by 1501, 1601" in ran.out
    assert "Healthy" in ran.out
    assert call(told, "draft", "status", DRAFT).out == ran.out
    document = call(told, "status", DRAFT, "--format", "json").document
    assert (document["kind"], document["state"]) == ("DraftStatus", "PROMOTED_PROD")


def test_status_of_all_drafts(told: Path) -> None:
    ran = call(told, "status")
    rows = {line.split()[0]: line.split()[1] for line in ran.out.splitlines()}
    assert rows[DRAFT] == "PROMOTED_PROD" and rows["contoso/inventory"] == "(requested)"
    document = call(told, "status", "--format", "json").document
    items = document["items"]
    assert isinstance(items, list)
    assert {i["id"]: i["state"] for i in items}[DRAFT] == "PROMOTED_PROD"
    requested = document["requested"]
    assert isinstance(requested, list) and "contoso/inventory" in requested
    one = call(told, "draft", "list", "--tenant", "contoso").out
    assert "contoso/inventory" in one and "acme" not in one


def test_a_clone_alone_knows_every_status(told: Path, tmp_path: Path) -> None:
    origin = told.parent / "forge/ameide/control.git"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(origin), str(clone)], check=True)
    subprocess.run(
        ["git", "-C", str(clone), "remote", "set-url", "origin", "https://forge.invalid/x"],
        check=True,
    )
    alone, beside = (call(at, "status", DRAFT).out.splitlines() for at in (clone, told))
    differ = [(one, other) for one, other in zip(alone, beside, strict=True) if one != other]
    # What runs is shown beside a look at the GitOps repository only, and a clone has none.
    assert differ and all("was promoted to" in one for one, _ in differ)
    assert all(one.split()[0] in ("dev", "staging", "prod") for one, _ in differ)


def test_status_of_one_draft_imports_nothing_slow(told: Path) -> None:
    modules = modules_after("-C", str(told), "status", DRAFT)
    assert not {"pydantic", "rich", "jinja2", "git", "pipeline.engine.loop"} & modules


def test_the_quick_status_reader_uses_the_same_names() -> None:
    assert status_spec("acme", "order-router") == (
        state_branch("acme"),
        status_path("order-router"),
    )


def test_a_damaged_status_is_reported(told: Path, tmp_path: Path) -> None:
    control = copy_world(told, tmp_path / "world")
    repo = control.parent / "forge/ameide/control.git"

    def git(*arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", "-C", str(repo), "-c", "user.name=x", "-c", "user.email=x@y", *arguments],
            input=stdin,
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().strip()

    for content in (b"[", b"id: other/draft\n", b"id: acme/order-router\nstate: [1]\n"):
        blob = git("hash-object", "-w", "--stdin", stdin=content)
        tree = git("mktree", stdin=f"100644 blob {blob}\tstatus.yaml\n".encode())
        for name in ("order-router", "drafts"):
            tree = git("mktree", stdin=f"040000 tree {tree}\t{name}\n".encode())
        git("update-ref", "refs/heads/state/acme", git("commit-tree", "-m", "x", tree))
        ran = call(control, "status", DRAFT)
        assert ran.exit_code == 4 and "is damaged" in ran.err
        assert call(control, "status").exit_code == 4


def test_why_before_and_after(told: Path, fresh_world: Path, tmp_path: Path) -> None:
    ran = call(told, "why", DRAFT, "--env", "prod")
    assert ran.exit_code == 0 and " in prod: runs since 2026-01-01 " in ran.out
    assert "asked for again now: allowed" in ran.out
    document = call(told, "why", DRAFT, "--env", "prod", "--format", "json").document
    assert (document["kind"], document["verdict"]) == ("Decision", "allowed")
    assert (document["requested"], document["approved_by"]) == (True, [1501, 1601])
    assert str(document["runs_since"]).startswith("2026-01-01T")
    scaffolded = call(told, "why", "acme/shipment-tracker", "--env", "prod", "--format", "json")
    assert scaffolded.exit_code == 1
    refused = scaffolded.document
    assert (refused["verdict"], refused["requested"]) == ("refused", False)
    reasons = refused["reasons"]
    assert isinstance(reasons, list)
    assert "environment-order" in {r["code"] for r in reasons}
    text = call(told, "why", "acme/shipment-tracker", "--env", "prod").out
    assert "environment-order" in text and "before this one first" in text


# -- audit -------------------------------------------------------------------------------


def test_audit_log(told: Path) -> None:
    ran = call(told, "audit", "log", DRAFT)
    assert ran.exit_code == 0
    kinds = [line.split()[3] for line in ran.out.splitlines() if line[:6].strip().isdigit()]
    assert kinds[:3] == ["accepted", "provisioned", "scaffolded"]
    assert kinds.count("promoted") == 3
    document = call(told, "audit", "log", DRAFT, "--format", "json").document
    facts = document["facts"]
    assert isinstance(facts, list)
    assert [f["body"]["type"] for f in facts] == kinds


def clone_all(told: Path, target: Path) -> Path:
    for repo in sorted((told.parent / "forge/ameide").glob("*.git")):
        subprocess.run(["git", "clone", "-q", str(repo), str(target / repo.stem)], check=True)
    return target


def test_audit_verify_from_forge_and_from_clones(told: Path, tmp_path: Path) -> None:
    ran = call(told, "audit", "verify")
    assert ran.exit_code == 0 and ran.out.startswith("✓ verified: ")
    clones = clone_all(told, tmp_path / "clones")
    offline = call(clones / "control", "audit", "verify", "--clones", str(clones))
    assert (offline.exit_code, offline.out) == (0, ran.out)
    document = call(told, "audit", "verify", "--format", "json").document
    assert (document["kind"], document["verdict"]) == ("AuditReport", "valid")
    assert json.loads(call(told, "audit", "verify", "--format", "sarif").out)["version"] == "2.1.0"


def test_audit_verify_without_a_clone_does_not_pass(told: Path, tmp_path: Path) -> None:
    clones = clone_all(told, tmp_path / "clones")
    (clones / "tenant-acme-gitops").rename(tmp_path / "elsewhere")
    ran = call(clones / "control", "audit", "verify", "--clones", str(clones))
    assert ran.exit_code in (1, 4)
    assert "error[audit-repository-missing]" in ran.out and "✗ " in ran.out
    nowhere = call(told, "audit", "verify", "--clones", str(tmp_path / "nowhere"))
    assert nowhere.exit_code == 2


def test_audit_verify_without_policy_could_not_check(fresh_world: Path, tmp_path: Path) -> None:
    control = copy_world(fresh_world, tmp_path / "world")
    git = ["git", "-C", str(control), "-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run([*git, "rm", "-q", "environments/platform.yaml"], check=True)
    subprocess.run([*git, "commit", "-qm", "Remove the platform"], check=True)
    subprocess.run([*git, "update-ref", "refs/remotes/origin/main", "HEAD"], check=True)
    ran = call(control, "audit", "verify", "--clones", str(tmp_path))
    assert ran.exit_code == 4 and ran.err.startswith("error[could-not-check]: ")


def test_review_shows_what_people_said(told: Path) -> None:
    document = call(told, "review", "show", "control#6", "--format", "json").document
    reviews = document["reviews"]
    assert isinstance(reviews, list)
    assert [r["user"] for r in reviews] == ["release-manager-1", "security-reviewer-1"]
    assert (document["author"], document["state"]) == (AGENT, "merged")
    text = call(told, "review", "list", "control", "--all").out
    assert len(text.splitlines()) == 6
    listed = call(told, "review", "list", "control", "--all", "--format", "json").document
    assert listed["kind"] == "PullRequestList"
