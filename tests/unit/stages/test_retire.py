"""Retirement: the last environment goes first, one at a time, and then the draft ends."""

from __future__ import annotations

from dataclasses import replace

from pipeline.forges.port import PullRequest, PullState
from pipeline.gate.authority import FOUNDING, Authority, AuthorityReason
from pipeline.models.draft_state import DraftState
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import ClosePull, CommitFolder, describe
from pipeline.plan.view import Caused, DraftView, Existing, Retiring
from pipeline.requests.layout import retirement_path
from pipeline.stages.order import plan_draft
from tests.support import fact_history as history
from tests.support.samples import DRAFT, sample_environment
from tests.support.views import repo_view, sample_view

REASON = "The new router took over"
BASE = history.id_of("main of the overlays")
CODE, GITOPS = "tenant-acme-controllers", "tenant-acme-gitops"


def retiring(
    status: DraftStatus, authority: Authority = FOUNDING, state: PullState = PullState.MERGED
) -> DraftView:
    """The draft, which runs in dev and staging, with a request to retire it."""
    cause = history.cause_of(retirement_path(DRAFT))
    view = sample_view(DRAFT, status, provisioned=True)
    return replace(
        view,
        gitops=repo_view(GITOPS, main=BASE),
        target=repo_view(CODE, main=history.id_of("main of the code")),
        pull=draft_pull(state),
        retirement=Retiring(Caused(cause, 1_767_225_700, authority), REASON, gitops_base=BASE),
    )


def draft_pull(state: PullState) -> PullRequest:
    return PullRequest(
        repo=CODE,
        number=1,
        title="Add a primitive",
        body="",
        head_branch="draft/order-router/0123456789ab",
        head=history.SOURCE_COMMIT,
        base_branch="main",
        author_id=1001,
        state=state,
        url="https://forge.example.com/1",
    )


def test_the_last_environment_goes_first_and_alone() -> None:
    step = plan_draft(retiring(history.sample_status()))
    commit, pull, merge = step.effects
    assert isinstance(commit, CommitFolder) and commit.folder_tree is None and not commit.entries
    assert describe(commit).startswith("take environments/staging/order-router out of")
    assert (pull.kind, merge.kind) == ("open-pull", "merge-pull")
    [fact] = step.facts
    assert fact.type == "retired" and fact.known["environment"] == "staging"
    assert fact.cause.request == retirement_path(DRAFT)


def test_one_that_policy_no_longer_has_goes_before_all_others() -> None:
    view = retiring(history.sample_status())
    left = {name: e for name, e in view.environments.items() if name != "dev"}
    [fact] = plan_draft(replace(view, environments=left)).facts
    assert fact.known["environment"] == "dev"


def test_begun_work_is_found_again() -> None:
    view = retiring(history.sample_status())
    assert view.retirement is not None
    begun = Existing(history.id_of("removal"), None)
    found = replace(view, retirement=replace(view.retirement, existing=begun))
    pull, merge = plan_draft(found).effects
    assert pull.kind == "open-pull" and merge.kind == "merge-pull"
    assert getattr(merge, "expected_head", "") == begun.commit


def test_an_owner_approves_where_the_environment_asks_for_it() -> None:
    view = retiring(history.sample_status())
    assert view.retirement is not None
    manual = sample_environment("staging").model_copy(update={"merge": "manual"})
    view = replace(view, environments={**view.environments, "staging": manual})
    assert [e.kind for e in plan_draft(view).effects] == ["commit-folder", "open-pull"]
    opened = replace(draft_pull(PullState.OPEN), repo=GITOPS, number=9)
    begun = Existing(history.id_of("removal"), None)
    waits = replace(view, retirement=replace(view.retirement, existing=begun, pull=opened))
    step = plan_draft(waits)
    assert not step.effects
    assert [code for code, _ in step.waiting[0].reasons] == ["gitops-not-approved"]


def test_without_authority_it_waits_and_the_draft_goes_on() -> None:
    reason = AuthorityReason("approval-missing", "1 missing", retirement_path(DRAFT), final=False)
    step = plan_draft(retiring(history.sample_status(), Authority((reason,))))
    assert not step.effects and not step.facts
    [waiting] = step.waiting
    assert waiting.request == retirement_path(DRAFT)
    assert waiting.reasons == (("approval-missing", "1 missing"),)


def test_a_draft_that_runs_nowhere_ends_and_its_pull_request_is_closed() -> None:
    nowhere = history.sample_status().model_copy(update={"promotions": ()})
    step = plan_draft(retiring(nowhere, state=PullState.OPEN))
    [close] = step.effects
    assert isinstance(close, ClosePull) and close.number == 1
    assert describe(close) == f"close pull request {CODE}#1"
    [fact] = step.facts
    assert (fact.type, fact.known) == ("rejected", {"reason": f"retired: {REASON}"})
    assert plan_draft(retiring(nowhere)).effects == ()
    ended = nowhere.model_copy(update={"state": DraftState.REJECTED})
    assert not plan_draft(retiring(ended)).facts
