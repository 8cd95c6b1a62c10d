"""The report of rules, second half: rules that need tools or real repositories.

Each audit rule is broken in a copy of a finished story, by writing straight into a repository, past
every branch rule; kubeconform and gitleaks are the real ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.audit import verify
from pipeline.diagnostics import Verdict, verdict_of
from pipeline.engine.opening import secret_hits
from pipeline.git.objects import RefUpdate
from pipeline.git.repository import GitRepository
from pipeline.images.bounded import failed_build, run_build
from pipeline.images.port import Builder
from pipeline.requests.layout import patch_path
from pipeline.requests.snapshot import Snapshot
from pipeline.rules import load_rules
from pipeline.stages.patch import plan_patch
from pipeline.tools import gitleaks
from pipeline.tools.gitleaks import run_secret_scan
from pipeline.tools.kubeconform import run_kubeconform
from pipeline.tools.podcheck import run_podcheck
from pipeline.world.hydrate import Hydrator
from tests.support import (
    fact_history as history,
)
from tests.support import (
    finished_story as audit_world,
)
from tests.support import (
    patch_branch as patching,
)
from tests.support.bombs import nested_zip, zip_of
from tests.support.falsified import FALSIFIED, IN_PLACE, reset_to_first
from tests.support.finished_story import CODE, CONTROL, STATE, StoryWorld, patch_file, promote
from tests.support.rule_runners import RuleRun, needs_tools, run_manifest_example
from tests.support.samples import DRAFT, PATCH_BASE
from tests.support.story import patch_of, story_at
from tests.support.views import sample_view

RULES = {id: rule for id, rule in load_rules().items() if needs_tools(rule)}
Report = Callable[[str, tuple[str, ...], tuple[str, ...]], None]


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Reports the codes that a rule's failing and passing input gave; both must be right."""

    def told(id: str, fails: tuple[str, ...], passes: tuple[str, ...]) -> None:
        run = RuleRun(RULES[id], fails, passes)
        record_property("rule", run.row)
        assert run.problems == ()

    return told


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> StoryWorld:
    """A draft that went to production, told once."""
    return audit_world.tell_story(tmp_path_factory.mktemp("story") / "world")


@pytest.fixture(scope="module")
def true_codes(story: StoryWorld) -> tuple[str, ...]:
    """What an audit finds in the true story."""
    return codes_of_audit(story)


def _opened(world: StoryWorld, repo: str) -> GitRepository | None:
    return world.forge.open_repository(repo) if world.forge.path(repo).is_dir() else None


def codes_of_audit(world: StoryWorld, *, in_place: bool = False) -> tuple[str, ...]:
    """What an audit of fresh clones finds, or one of the forge's own repositories."""
    if in_place:
        report = verify(world.forge.open_repository(CONTROL), lambda repo: _opened(world, repo))
        world.forge.close()
    else:
        report = audit_world.audit(world)
    return tuple(sorted({finding.code for finding in report.findings}))


@pytest.mark.parametrize("id", sorted({*FALSIFIED, *IN_PLACE}))
def test_an_audit_rule_fails_on_a_falsified_story_and_passes_on_the_true_one(
    id: str,
    story: StoryWorld,
    true_codes: tuple[str, ...],
    tmp_path: Path,
    report: Report,
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    {**FALSIFIED, **IN_PLACE}[id](false)
    found = codes_of_audit(false, in_place=id in IN_PLACE)
    report(id, found, true_codes)


@pytest.mark.parametrize("id", ["manifest-schema", "manifest-not-checked", "manifest-pod-security"])
def test_a_rule_of_a_tool_fails_and_passes(id: str, report: Report) -> None:
    def codes(example: str) -> tuple[str, ...]:
        found = run_manifest_example(example)
        found += run_kubeconform(example.encode(), file="overlay")
        found += run_podcheck([*yaml.safe_load_all(example)], file="overlay")
        return tuple(sorted({finding.code for finding in found}))

    report(id, codes(RULES[id].fails), codes(RULES[id].passes))


def test_a_patch_with_a_credential_is_refused(report: Report) -> None:
    def codes(line: str) -> tuple[str, ...]:
        change = {"op": "write", "path": "src/settings.py", "content": line}
        patch = patching.patch_of(
            json.dumps(
                {
                    "apiVersion": "pipeline.ameide.io/v1",
                    "kind": "DraftPatch",
                    "draft": DRAFT,
                    "base_commit": PATCH_BASE,
                    "summary": "Settings",
                    "changes": [change],
                }
            ).encode()
        )
        hits = run_secret_scan({"src/settings.py": line.encode()})
        lines = tuple(f"`{hit.path}` line {hit.line}: {hit.rule}" for hit in hits)
        due = replace(patching.patch_input(patch), secrets=lines)
        view = sample_view(status=history.sample_status(), provisioned=True)
        step = plan_patch(replace(view, patch=due))
        assert step is not None
        reasons = [r for fact in step.facts for r in fact.known.get("reasons", ())]
        return tuple(sorted({reason["code"] for reason in reasons}))

    # Made of parts, so that no scan of this repository finds it.
    leak = f'KEY = "{"AKIA" + "Q3EGRTLXPWN7Y2KD"}"\n'
    report("patch-secret", codes(leak), codes('KEY = os.environ["KEY"]\n'))


def test_a_chart_that_does_not_render_is_refused(
    story: StoryWorld, tmp_path: Path, report: Report
) -> None:
    def codes(name: str, content: str) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        world.use(hydrator=Hydrator())  # the real helm, kustomize and kubeconform
        patch_file(world, "0002", "chart/templates/extra.yaml", content)
        promote(world, "dev", history.ENGINEER_ID)
        refused = world.engine.status(DRAFT).refused_promotions
        return tuple(sorted({reason.code for item in refused for reason in item.reasons}))

    report(
        "manifest-not-rendered", codes("fails", "{{ nosuch }}\n"), codes("passes", "# nothing\n")
    )


def test_a_patch_that_cannot_be_scanned_is_refused(
    story: StoryWorld,
    tmp_path: Path,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gitleaks, "LIMITS", replace(gitleaks.LIMITS, cpu_s=2))

    def codes(name: str, content: bytes) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        world.use(scan_secrets=lambda files: secret_hits({**files, "a.zip": content}))
        patch_file(world, "0002", "docs/notes.md", "An archive lies beside it.\n")
        record = world.engine.status(DRAFT).patches[-1]
        return tuple(sorted({reason.code for reason in record.reasons}))

    fine = zip_of({"notes.txt": b"nothing secret\n"})
    report("patch-over-bound", codes("fails", nested_zip()), codes("passes", fine))


def test_a_source_that_cannot_be_written_is_refused(
    story: StoryWorld, tmp_path: Path, report: Report
) -> None:
    def codes(name: str, path: str) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        git = world.forge.open_repository(audit_world.CODE)
        files = git.read_files(world.engine.status(DRAFT).head)
        files[f"primitives/order-router/{path}"] = (0o100644, b"")
        commit = audit_world.write_commit(git, files, None, "More\n")
        proposal = world.engine.propose_promotion(
            DRAFT, "dev", source_commit=commit, reason="Try it"
        )
        found = {r.code for r in proposal.decision.reasons}
        return tuple(sorted(found & {"source-over-bound"}))

    report("source-over-bound", codes("fails", "x" * 256), codes("passes", "x" * 255))


def codes_of_build(folder: Path, build: Callable[[], None]) -> tuple[str, ...]:
    """The reasons that a request for dev is refused for when its image is built so."""

    def make_builder(snapshot: Snapshot) -> Builder:
        build()
        return audit_world.one_builder(snapshot)

    world = story_at("patched", folder)
    world.use(make_builder=make_builder)
    world.take_over()
    world.ask(DRAFT, "dev", history.ENGINEER_ID)
    world.go()
    refused = world.engine.status(DRAFT).refused_promotions
    world.close()
    return tuple(sorted({reason.code for each in refused for reason in each.reasons}))


def test_a_build_that_does_not_end_is_refused(tmp_path: Path, report: Report) -> None:
    def build(seconds: int, timeout_s: float) -> None:
        run_build(["/bin/sleep", str(seconds)], {}, timeout_s=timeout_s)

    fails = codes_of_build(tmp_path / "fails", lambda: build(600, 0.1))
    report("build-over-bound", fails, codes_of_build(tmp_path / "passes", lambda: build(0, 60)))


def test_a_build_that_fails_is_refused(tmp_path: Path, report: Report) -> None:
    def build(program: str) -> None:
        if run_build([program], {}).exit_code:
            raise failed_build("buildah bud", b'building at STEP "RUN false": exit status 1')

    fails = codes_of_build(tmp_path / "fails", lambda: build("/bin/false"))
    report("build-failed", fails, codes_of_build(tmp_path / "passes", lambda: build("/bin/true")))


def test_a_patch_of_a_repository_that_is_not_there_could_not_be_judged(
    story: StoryWorld, tmp_path: Path, report: Report
) -> None:
    def codes(name: str, *, gone: bool) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        head = world.engine.status(DRAFT).head
        patch = patch_of(DRAFT, head, {"docs/routing.md": "# Routing\n"})
        number = world.propose({patch_path(DRAFT, "0009"): patch}, history.AGENT_ID)
        if gone:
            shutil.move(world.forge.path(CODE), tmp_path / "gone")
        found = world.engine.judge.pull(number).findings
        assert verdict_of(found) is (Verdict.COULD_NOT_CHECK if gone else Verdict.VALID)
        return tuple(sorted({finding.code for finding in found}))

    report("patch-not-judged", codes("fails", gone=True), codes("passes", gone=False))


def test_every_rule_that_needs_tools_is_run_here() -> None:
    others = {
        "manifest-schema",
        "manifest-not-checked",
        "manifest-not-rendered",
        "manifest-pod-security",
        "build-failed",
        "build-over-bound",
        "patch-over-bound",
        "patch-not-judged",
        "patch-secret",
        "source-over-bound",
    }
    assert {*FALSIFIED, *IN_PLACE, *others} == set(RULES)


def test_a_request_that_only_another_branch_still_holds_is_not_on_main(
    story: StoryWorld, tmp_path: Path
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    git = GitRepository(false.forge.path(CONTROL))
    head = git.resolve("refs/heads/main")
    assert head is not None
    git.update_refs([RefUpdate("refs/heads/kept", None, head)])
    git.close()
    reset_to_first(false, CONTROL, "main")
    assert "audit-cause-missing" in codes_of_audit(false)
    found = [f for f in audit_world.audit(false).findings if f.code == "audit-cause-missing"]
    assert len(found) == len(story.engine.facts(DRAFT))


def test_overlays_are_audited_even_without_a_state_branch(
    story: StoryWorld, tmp_path: Path
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    (false.forge.path(CONTROL) / "refs" / "heads" / STATE).unlink()
    assert {"audit-draft-lost", "audit-foreign-commit", "audit-overlay-without-fact"} <= set(
        codes_of_audit(false)
    )
