"""Scaffold: the rendered template in the right folder, and the same commit in every plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.git.commits import parse_trailers
from pipeline.git.objects import blob_id, trees_of_entries
from pipeline.plan.effects import CommitFolder, OpenPull
from pipeline.plan.view import DraftView, Existing, Step
from pipeline.stages.scaffold import plan_scaffold, scaffold_key, template_values
from tests.support import fact_history as history
from tests.support.samples import DRAFT
from tests.support.views import MAIN_HEAD, sample_view


def scaffold(view: DraftView) -> Step:
    """The scaffold that is due."""
    step = plan_scaffold(view)
    assert step is not None
    return step


def commit_of(step: Step) -> CommitFolder:
    """The one commit of a step."""
    (commit,) = [effect for effect in step.effects if isinstance(effect, CommitFolder)]
    return commit


def pull_of(step: Step) -> OpenPull:
    """The one pull request of a step."""
    (pull,) = [effect for effect in step.effects if isinstance(effect, OpenPull)]
    return pull


@pytest.mark.parametrize(
    ("draft", "repo", "folder"),
    [
        ("acme/order-router", "tenant-acme-controllers", "primitives/order-router"),
        ("contoso/inventory", "ameide-platform", "primitives/contoso--inventory"),
        ("fabrikam/inventory", "ameide-platform", "primitives/fabrikam--inventory"),
        ("platform/product-catalogue", "ameide-platform", "primitives/product-catalogue"),
    ],
)
def test_code_goes_to_its_own_folder_of_the_right_repository(
    draft: str, repo: str, folder: str
) -> None:
    step = scaffold(sample_view(draft, provisioned=True))
    commit, pull = commit_of(step), pull_of(step)
    assert (commit.repo, commit.folder) == (repo, folder)
    assert commit.base == MAIN_HEAD and commit.expected is None
    assert commit.branch.startswith(f"draft/{folder.removeprefix('primitives/')}/")
    assert (pull.repo, pull.branch, pull.base_branch) == (repo, commit.branch, "main")
    assert commit.entries and "chart/Chart.yaml" in commit.entries


def test_a_scaffold_is_planned_once_and_after_its_repository() -> None:
    assert plan_scaffold(sample_view()) is None
    accepted = sample_view(status=history.provisioned_status())
    assert plan_scaffold(accepted) is None
    assert plan_scaffold(sample_view(DRAFT, history.sample_status(), provisioned=True)) is None


def test_planned_ids_are_those_of_the_planned_bytes() -> None:
    commit = commit_of(scaffold(sample_view(provisioned=True)))
    for id, content in commit.blobs.items():
        assert blob_id(content.content) == id
    assert {id for _, id in commit.entries.values()} == set(commit.blobs)
    assert trees_of_entries(commit.entries)[-1].id == commit.folder_tree
    assert list(commit.entries) == sorted(commit.entries)


def test_planning_twice_gives_the_same_plan() -> None:
    assert scaffold(sample_view(provisioned=True)) == scaffold(sample_view(provisioned=True))


def test_the_order_of_parameters_does_not_matter() -> None:
    view = sample_view(provisioned=True)
    turned = dict(reversed(view.request.parameters.items()))
    other = replace(view, request=view.request.model_copy(update={"parameters": turned}))
    assert commit_of(scaffold(view)).folder_tree == commit_of(scaffold(other)).folder_tree


def test_the_commit_names_its_request() -> None:
    view = sample_view(provisioned=True)
    commit = commit_of(scaffold(view))
    cause = view.caused.cause
    assert parse_trailers(commit.message) == (
        ("Draft", DRAFT),
        ("Request", f"{cause.request}@{cause.commit}"),
        ("Key", scaffold_key(view)),
        ("Fact", history.provisioned_status().newest_fact),
    )
    assert commit.time_s == view.caused.time_s


def test_the_key_depends_on_request_and_template_alone() -> None:
    view = sample_view(provisioned=True)
    key = scaffold_key(view)
    cause = view.caused.cause
    later = replace(view, caused=replace(view.caused, time_s=1))
    elsewhere = replace(
        view, caused=replace(view.caused, cause=cause.model_copy(update={"run": "2"}))
    )
    assert scaffold_key(later) == key and scaffold_key(elsewhere) == key
    blob = cause.model_copy(update={"blob": history.id_of("another request")})
    assert scaffold_key(replace(view, caused=replace(view.caused, cause=blob))) != key
    other = replace(view.template, digest=history.id_of("another template"))
    assert scaffold_key(replace(view, template=other)) != key


def test_a_branch_of_an_interrupted_run_is_reused() -> None:
    view = sample_view(provisioned=True)
    whole = scaffold(view)
    found = Existing(history.id_of("found commit"), commit_of(whole).folder_tree)
    step = scaffold(replace(view, existing=found))
    assert step.effects == (pull_of(whole),)
    (fact,) = step.facts
    assert fact.known["commit"] == found.commit
    assert fact.known["tree"] == commit_of(whole).folder_tree


def test_a_branch_with_other_files_is_recorded_unchanged() -> None:
    """Policy changed after the run broke off: what was begun for this request is what counts."""
    other = Existing(history.id_of("found commit"), history.id_of("other files"))
    (fact,) = scaffold(replace(sample_view(provisioned=True), existing=other)).facts
    assert (fact.known["commit"], fact.known["tree"]) == (other.commit, other.folder_tree)


def test_the_fact_waits_for_the_pull_request() -> None:
    step = scaffold(sample_view(provisioned=True))
    (fact,) = step.facts
    assert fact.type == "scaffolded"
    assert fact.outcomes == {"pull_request": pull_of(step).key}


def test_parameters_cannot_override_the_draft() -> None:
    view = sample_view()
    hostile = {
        "tenant_id": "contoso",
        "image_repository": "elsewhere",
        "namespaces": {},
        **view.request.parameters,
    }
    other = replace(view, request=view.request.model_copy(update={"parameters": hostile}))
    assert template_values(other) == template_values(view)


def test_the_pull_request_shows_where_it_would_run() -> None:
    body = pull_of(scaffold(sample_view("contoso/inventory", provisioned=True))).body
    for environment in ("dev", "staging", "prod"):
        assert f"| {environment} | `tenant-contoso-{environment}-base` |" in body
