"""An audit remembers what it verified: a rewritten tail shows, and nothing is verified twice."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.audit import AuditReport, verify
from pipeline.audit.memory import MEMORY_REF, read_verified
from pipeline.diagnostics import Verdict
from pipeline.documents import render_document
from pipeline.git.objects import MODE_FILE
from pipeline.git.repository import GitRepository
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE, rewrite
from tests.support.state_writer import PERSON, Forger
from tests.support.story import SOURCE, Story, story_at

REPOS = (CONTROL, CODE, GITOPS)


class Auditor:
    """Clones that are kept, and fetched into again and again."""

    def __init__(self, world: Story, folder: Path) -> None:
        self.world = world
        self.gits = {
            name: GitRepository.clone(str(world.forge.path(name)), folder / name) for name in REPOS
        }

    def fetch(self) -> None:
        """Fetch into every clone, as an auditor would."""
        for git in self.gits.values():
            command = ["git", "-C", str(git.path), "fetch", "-q", "origin"]
            subprocess.run(command, check=True)
            git.close()

    def audit(self, **options: bool) -> AuditReport:
        """What the audit of the clones says, which they remember."""
        return verify(self.gits[CONTROL], self.gits.get, **{"remember": True, **options})


@pytest.fixture
def auditor(tmp_path: Path) -> Iterator[Auditor]:
    world = story_at("in staging", tmp_path / "world")
    made = Auditor(world, tmp_path / "clones")
    yield made
    world.close()
    for git in made.gits.values():
        git.close()


def go_on(world: Story) -> None:
    """One patch more, on a branch of its own since people merged the first one."""
    world.write("0009", f"{SOURCE}/more.py", "MORE = 1\n")
    world.go()


def test_an_audit_leaves_the_heads_that_it_verified(auditor: Auditor) -> None:
    assert auditor.audit(remember=False).verdict is Verdict.VALID
    assert read_verified(auditor.gits[CONTROL]) == {}
    report = auditor.audit()
    assert report.remembered == 0
    for name, branch in ((CONTROL, "main"), (CONTROL, STATE), (CODE, "main"), (GITOPS, "main")):
        git = auditor.gits[name]
        head = git.resolve(f"refs/remotes/origin/{branch}")
        assert read_verified(git)[branch] == head
    again = auditor.audit()
    assert (again.facts, again.drafts, again.overlays) == (
        report.facts,
        report.drafts,
        report.overlays,
    )
    assert again.remembered == report.facts
    assert (again.proved, again.trusted) == (report.proved, report.trusted)


def test_a_later_audit_verifies_what_is_new_and_counts_everything(auditor: Auditor) -> None:
    before = auditor.audit()
    go_on(auditor.world)
    auditor.fetch()
    after = auditor.audit()
    assert after.remembered == before.facts < after.facts
    assert after.verdict is Verdict.VALID
    full = auditor.audit(full=True)
    assert full.remembered == 0
    assert (full.facts, full.drafts, full.overlays) == (after.facts, after.drafts, after.overlays)
    assert full.proved == after.proved
    assert full.trusted == after.trusted


@pytest.mark.parametrize(
    ("repo", "branch"), [(CONTROL, "main"), (CONTROL, STATE), (CODE, "main"), (GITOPS, "main")]
)
def test_a_rewritten_tail_is_found_after_a_fetch(auditor: Auditor, repo: str, branch: str) -> None:
    auditor.audit()
    rewrite(auditor.world, repo, branch, lambda files: None, keep_parents=False)
    auditor.fetch()
    for full in (False, True):
        report = auditor.audit(full=full)
        assert report.verdict is not Verdict.VALID
        found = [f for f in report.findings if f.code == "audit-history-rewritten"]
        assert [str(f.location) for f in found] == [f"{repo}:{branch}"]


def test_a_missing_state_branch_is_found(auditor: Auditor) -> None:
    auditor.audit()
    auditor.gits[CONTROL]._run("update-ref", "-d", f"refs/remotes/origin/{STATE}")
    report = auditor.audit()
    assert "audit-history-rewritten" in {f.code for f in report.findings}


def test_a_forgery_after_a_verified_head_is_found(auditor: Auditor) -> None:
    before = auditor.audit()
    go_on(auditor.world)
    rewrite(auditor.world, CONTROL, STATE, lambda files: files.update(notes=(MODE_FILE, b"x")))
    rewrite(auditor.world, GITOPS, "main", _edit_overlay, by_pipeline=False)
    auditor.fetch()
    report = auditor.audit()
    assert report.remembered == before.facts
    codes = {f.code for f in report.findings}
    assert {"audit-state-file", "audit-overlay-tree", "audit-foreign-commit"} <= codes
    # What has findings is not remembered: the next audit says the same.
    assert auditor.audit().findings == report.findings


def _edit_overlay(files: dict[str, tuple[int, bytes]]) -> None:
    path = "environments/staging/order-router/kustomization.yaml"
    files[path] = (MODE_FILE, files[path][1] + b"# quickly\n")


def test_a_record_of_another_policy_or_tool_does_not_count(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor.audit()
    monkeypatch.setattr("pipeline.audit.memory.tool_identity", lambda: "another")
    assert auditor.audit(remember=False).remembered == 0
    monkeypatch.undo()
    assert auditor.audit(remember=False).remembered > 0
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\ndigests:\n"
        f"  - {{digest: 'sha256:{'0' * 64}', reason: Leaks}}\n"
    )
    world = auditor.world
    rewrite(
        world,
        CONTROL,
        "main",
        lambda files: files.update(
            {"environments/blocked-digests.yaml": (MODE_FILE, text.encode())}
        ),
        by_pipeline=False,
    )
    auditor.fetch()
    assert auditor.audit(remember=False).remembered == 0


def test_a_record_without_its_refs_does_not_count(auditor: Auditor) -> None:
    auditor.audit()
    auditor.gits[CONTROL]._run("update-ref", "-d", f"refs/verified/{STATE}")
    report = auditor.audit()
    assert report.verdict is Verdict.VALID
    damaged = auditor.gits[CONTROL]
    blob = damaged.resolve(MEMORY_REF)
    assert blob is not None
    damaged._run("update-ref", "-d", MEMORY_REF)
    assert auditor.audit().remembered == 0


# -- acknowledging -----------------------------------------------------------------------------


def acknowledge(world: Story, **named: object) -> None:
    """Have an acknowledgement on main."""
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Acknowledgement",
        "acknowledgement": "by-hand",
        "repository": GITOPS,
        "reason": "An engineer tried a log level by hand",
        **named,
    }
    path = "environments/acknowledgements/by-hand.yaml"
    content = render_document(value)
    rewrite(
        world,
        CONTROL,
        "main",
        lambda files: files.update({path: (MODE_FILE, content)}),
        by_pipeline=False,
    )


def test_a_foreign_commit_is_settled_once_it_is_taken_back_and_acknowledged(
    auditor: Auditor,
) -> None:
    world, git = auditor.world, GitRepository(auditor.world.forge.path(GITOPS))
    path = "environments/staging/order-router/kustomization.yaml"
    sealed = git.read_files("refs/heads/main")[path]
    rewrite(world, GITOPS, "main", _edit_overlay, by_pipeline=False)
    first = git.resolve("refs/heads/main")
    acknowledge(world, commits=[first])
    auditor.fetch()
    # What lies there is not settled by words.
    codes = [f.code for f in auditor.audit().findings]
    assert codes == ["audit-overlay-tree"]
    rewrite(world, GITOPS, "main", lambda files: files.update({path: sealed}), by_pipeline=False)
    second = git.resolve("refs/heads/main")
    auditor.fetch()
    report = auditor.audit()
    # The one that took it back is as foreign; its help says what to name.
    assert [f.code for f in report.findings] == ["audit-foreign-commit"]
    assert str(second) in report.findings[0].fix
    acknowledge(world, commits=[first, second])
    auditor.fetch()
    for _ in range(2):  # the second time out of what the clones remember
        report = auditor.audit()
        assert report.findings == () and report.verdict is Verdict.VALID
        assert len(report.acknowledged) == 2
        assert {a.path for a in report.acknowledged} == {
            "environments/acknowledgements/by-hand.yaml"
        }
        assert all(PERSON.email in a.by for a in report.acknowledged)
    # It stays in the record only as long as the record has it.
    rewrite(
        world,
        CONTROL,
        "main",
        lambda files: files.pop("environments/acknowledgements/by-hand.yaml"),
        by_pipeline=False,
    )
    auditor.fetch()
    assert len(auditor.audit().findings) == 2
    git.close()


def test_a_commit_of_the_pipeline_that_puts_the_sealed_tree_back_needs_no_promotion(
    auditor: Auditor,
) -> None:
    world, git = auditor.world, GitRepository(auditor.world.forge.path(GITOPS))
    head = git.resolve("refs/heads/main")
    assert head is not None
    sealed = git.read_files(head)
    rewrite(world, GITOPS, "main", _edit_overlay, by_pipeline=False)
    foreign = git.resolve("refs/heads/main")
    assert foreign is not None
    forger = Forger.over(auditor.gits)
    auditor.fetch()
    message = f"Put staging back\n\nRestores: {foreign}\n"
    made = forger.commit(GITOPS, sealed, [foreign], message, forger.pipeline)
    forger.put(GITOPS, "main", made)
    acknowledge(world, commits=[foreign])
    subprocess.run(
        ["git", "-C", str(auditor.gits[CONTROL].path), "fetch", "-q", "origin"], check=True
    )
    auditor.gits[CONTROL].close()
    report = auditor.audit()
    assert report.findings == () and len(report.acknowledged) == 1
    # To put back anything else than what was sealed is not a restoring.
    other = {p: f for p, f in sealed.items() if not p.startswith("environments/dev/")}
    made = forger.commit(GITOPS, other, [made], message, forger.pipeline)
    forger.put(GITOPS, "main", made)
    codes = {f.code for f in auditor.audit().findings}
    assert codes == {"audit-foreign-commit", "audit-overlay-missing"}
    git.close()


def test_a_finding_about_a_fact_is_settled_unless_it_still_runs(auditor: Auditor) -> None:
    forger = Forger.over(auditor.gits)
    for git in auditor.gits.values():
        git._run("update-ref", "-d", "refs/heads/main")
    facts = forger.facts()
    staging = next(f for f in facts if getattr(f.body, "environment", "") == "staging")
    scaffold = facts[2]
    forger.retell_body(scaffold.sequence, branch="draft/order-router/other")
    found = [f for f in auditor.audit().findings if f.code == "audit-name-differs"]
    assert len(found) == 1
    at = found[0].location.file
    acknowledge(
        auditor.world, repository=CONTROL, findings=[{"code": "audit-name-differs", "at": at}]
    )
    forger.fetch_main(auditor.world)
    assert at in {a.finding.location.file for a in auditor.audit().acknowledged}
    assert staging.sequence > scaffold.sequence
