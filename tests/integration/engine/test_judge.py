"""The check of pull requests to the control repo before they are merged, on real repositories."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.documents import render_document
from pipeline.engine.judge import Judged
from pipeline.errors import CouldNotCheck, StalePlan
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import RepoView
from pipeline.models.outputs import ValidationReport
from pipeline.models.requests import EnvironmentName
from pipeline.render.comment import render_comment
from pipeline.render.report import validation_report
from pipeline.requests.layout import (
    SIGNERS_PATH,
    environment_path,
    patch_path,
    promotion_path,
    tenant_path,
)
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, PLATFORM_ENGINEERS, RELEASE_MANAGERS
from tests.support.finished_story import CODE, CONTROL, GITOPS
from tests.support.samples import DRAFT, sample_files
from tests.support.story import Story, patch_of, story_at


def proposed(world: Story, environment: EnvironmentName, **changes: object) -> int:
    """The number of an open pull request that asks to run the draft somewhere."""
    promotion = world.engine.propose_promotion(DRAFT, environment, reason="Peak season").promotion
    value = promotion.model_dump(mode="json", by_alias=True, exclude_none=True) | changes
    path = promotion_path(DRAFT, environment)
    return world.propose({path: render_document(value)}, RELEASE_MANAGERS[0])


def judged(world: Story, number: int) -> Judged:
    return world.engine.judge.pull(number)


def test_a_promotion_shows_the_release_and_who_signed_it(tmp_path: Path) -> None:
    world = story_at("in dev", tmp_path / "world")
    world.take_over()
    number = proposed(world, "staging")
    alone = judged(world, number)
    assert not alone.passed and [r.code for r in alone.authority.reasons] == ["approval-missing"]
    world.approve(CONTROL, number, RELEASE_MANAGERS[1])
    found = judged(world, number)
    assert found.passed and [item.kind for item in found.asked] == ["Promotion"]
    [preview] = found.previews
    status = world.engine.status(DRAFT)
    assert preview.digest == status.builds[0].digest and preview.running == ""
    assert preview.signer == "workspace" and preview.reasons == ()
    assert preview.namespace == "tenant-acme-staging-cust"
    files = {line for line in preview.diff if line.startswith("+++ ")}
    assert "+++ kustomization.yaml" in files and all(line != "--- /dev/null" for line in files)
    assert all(line.startswith(("+", "@@", "--- /dev/null")) for line in preview.diff)


def test_a_release_that_runs_already_has_no_difference(tmp_path: Path) -> None:
    world = story_at("in staging", tmp_path / "world")
    [preview] = judged(world, proposed(world, "staging", reason="Once more")).previews
    assert preview.digest == preview.running and preview.diff == ()


def test_reasons_against_a_promotion_are_shown_before_it_is_merged(tmp_path: Path) -> None:
    world = story_at("in dev", tmp_path / "world")
    [preview] = judged(world, proposed(world, "prod")).previews
    codes = {reason.code for reason in preview.reasons}
    assert {"environment-order", "source-not-on-default-branch"} <= codes
    assert "approval-missing" not in codes


def test_a_promotion_of_a_missing_draft_is_reported(tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Promotion",
        "draft": "acme/nothing",
        "environment": "dev",
        "release": {"source_commit": "1a" * 20},
        "reason": "Try",
    }
    path = promotion_path("acme/nothing", "dev")
    [preview] = judged(world, world.propose({path: render_document(value)}, ENGINEER_ID)).previews
    assert preview.problem.startswith("usage: there is no draft")


def test_a_bot_may_ask_for_its_own_tenant_only(tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    path = tenant_path("acme")
    number = world.propose({path: sample_files()[path] + b"# Seen.\n"}, AGENT_ID)
    found = judged(world, number)
    assert not found.passed and {f.code for f in found.findings} == {"author-out-of-scope"}


@pytest.mark.parametrize("path", [SIGNERS_PATH, "environments/prod/environment.yaml"])
def test_a_change_of_policy_is_judged_with_its_result(path: str, tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    broken = world.propose({path: b"apiVersion: pipeline.ameide.io/v1\nkind: Other\n"}, 1101)
    found = judged(world, broken)
    assert not found.passed and "request-kind" in {f.code for f in found.findings}


def test_a_pull_request_that_conflicts_is_not_judged(tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    path = tenant_path("acme")
    content = sample_files()[path]
    number = world.propose({path: content.replace(b"CC-1042", b"CC-1")}, 1101)
    world.request(path, content.replace(b"CC-1042", b"CC-2"), 1101)
    with pytest.raises(StalePlan, match="conflicts"):
        judged(world, number)


def test_a_pull_request_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it asks for, each repository is asked about once: authority, patches, and
    promotions are judged on the same main.
    """
    world = story_at("in dev", tmp_path / "world")
    world.take_over()
    changes: dict[str, bytes] = {}
    for environment in ("staging", "prod"):
        found = world.engine.propose_promotion(DRAFT, environment, reason="Peak season")
        value = found.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
        changes[promotion_path(DRAFT, environment)] = render_document(value)
    patch = patch_of(DRAFT, world.newest(), {"docs/routing.md": "# Routing\n"})
    number = world.propose({**changes, patch_path(DRAFT, "0002"): patch}, RELEASE_MANAGERS[0])
    read_repo, asked = LocalForge.read_repo, Counter[str]()

    def noted(forge: LocalForge, repo: str) -> RepoView | None:
        asked[repo] += 1
        return read_repo(forge, repo)

    monkeypatch.setattr(LocalForge, "read_repo", noted)
    assert len(judged(world, number).previews) == 2
    assert asked == {CONTROL: 1, CODE: 1, GITOPS: 1}


def test_a_missing_head_is_could_not_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = story_at("in dev", tmp_path / "world")
    number = proposed(world, "staging")
    pull = replace(world.forge.read_pull(CONTROL, number), head="1a" * 20)
    monkeypatch.setattr(type(world.forge), "read_pull", lambda self, repo, number: pull)
    with pytest.raises(CouldNotCheck, match="is not in this repository"):
        judged(world, number)


@pytest.mark.parametrize("commit", ["1a" * 20, "main", "main:environments/platform.yaml"])
def test_a_commit_that_no_queue_made_is_could_not_check(commit: str, tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    number = world.propose({tenant_path("acme"): sample_files()[tenant_path("acme")]}, AGENT_ID)
    with pytest.raises(CouldNotCheck, match="of the queue is not in this repository"):
        world.engine.judge.queued(number, commit)


def test_a_first_commit_cannot_be_judged(tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    number = world.propose({tenant_path("acme"): sample_files()[tenant_path("acme")]}, AGENT_ID)
    git = world.engine.control.open_repository()
    first = next(c.id for c in git.log_commits(world.engine.control.head()) if not c.parents)
    with pytest.raises(CouldNotCheck, match="neither main nor another"):
        world.engine.judge.queued(number, first)


def test_judging_writes_nothing(tmp_path: Path) -> None:
    from tests.support.story import everything

    world = story_at("in dev", tmp_path / "world")
    number = proposed(world, "staging")
    before = everything(tmp_path / "world")
    judged(world, number)
    assert everything(tmp_path / "world") == before
    assert world.forge.read_comments(CONTROL, number) == ()


def test_a_change_of_policy_shows_what_it_would_have_decided(tmp_path: Path) -> None:
    world = story_at("in staging", tmp_path / "world")
    path = environment_path("staging")
    more = sample_files()[path].replace(b"LOW: {count: 1,", b"LOW: {count: 2,")
    more = more.replace(b"MEDIUM: {count: 1,", b"MEDIUM: {count: 2,")
    found = judged(world, world.propose({path: more}, PLATFORM_ENGINEERS[0]))
    assert found.policy is not None and found.policy.files == (path,)
    [one] = found.policy.changed
    assert (one.environment, one.was, one.would_be) == ("staging", "allowed", "waits")
    report = ValidationReport.model_validate(
        {**validation_report(found.findings), "asked": found.asked}, strict=False
    )
    text = render_comment(report, found.previews, found.authority, found.policy)
    assert "**1 of 2 recorded decisions would be decided otherwise**" in text
    assert "| allowed | waits | `approval-missing: 1 of 2 approvals by release-managers" in text


def test_a_request_shows_no_comparison_of_policies(tmp_path: Path) -> None:
    world = story_at("in dev", tmp_path / "world")
    assert judged(world, proposed(world, "staging")).policy is None


def test_policy_that_cannot_be_compared_is_said(tmp_path: Path) -> None:
    world = story_at("in dev", tmp_path / "world")
    path = environment_path("prod")
    found = judged(world, world.propose({path: b"kind: Environment\n"}, PLATFORM_ENGINEERS[0]))
    assert found.policy is not None and "is not valid" in found.policy.problem
    assert not found.passed
