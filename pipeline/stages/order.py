"""Plan one draft, then one tenant: the stages in order, facts published last. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from pipeline.errors import Failure, failure_of
from pipeline.forges.port import PullState
from pipeline.gate.rules import DRAFT_IDENTITY_CHANGED
from pipeline.models.base import key_of
from pipeline.models.facts import Rejected
from pipeline.models.status import DraftState
from pipeline.plan.effects import (
    AppendFacts,
    Content,
    Effect,
    FactEntry,
    TenantPlan,
    Waiting,
    describe,
)
from pipeline.plan.rules import EVIDENCE_DUE
from pipeline.plan.view import EVERYTHING, DraftView, Scope, Stage, Step
from pipeline.stages.checks import plan_head_checks
from pipeline.stages.observe import plan_observe
from pipeline.stages.patch import plan_patch
from pipeline.stages.promote import plan_promotion
from pipeline.stages.provision import plan_provision
from pipeline.stages.retire import plan_end, plan_leave, plan_retirement_waits
from pipeline.stages.rollback import plan_begun_fallback, plan_fallbacks
from pipeline.stages.scaffold import plan_scaffold

# The order of effects within a stage.
EFFECT_ORDER = (
    "ensure-repo",
    "ensure-rules",
    "commit-folder",
    "restore-overlays",
    "open-pull",
    "merge-pull",
    "close-pull",
    "run-checks",
    "build-image",
)


def plan_rejection(view: DraftView) -> Step | None:
    """The fact that ends a draft whose pull request was closed without a merge."""
    status, pull = view.status, view.pull
    if status is None or pull is None or status.promotions:
        return None
    if pull.state is not PullState.CLOSED or status.state is DraftState.REJECTED:
        return None
    body = Rejected(reason=f"pull request {pull.url} was closed without a merge")
    known = body.model_dump(mode="json")
    known.pop("type")
    fact = FactEntry(draft=view.id, cause=view.caused.cause, type="rejected", known=known)
    return Step(facts=(fact,))


def plan_blocked(view: DraftView) -> Step | None:
    """The wait of a draft whose request changed the draft's identity or lacks authority.

    The whole draft waits until its request may be followed.
    """
    reasons: list[tuple[str, str]] = []
    if view.is_new_revision:
        reasons += [(reason.code, reason.message) for reason in view.caused.authority.reasons]
    status = view.status
    if status is not None:
        told = {
            "sku": (status.sku, view.tenant.sku),
            "code_origin": (status.code_origin, view.request.code_origin),
            "primitive_type": (status.primitive_type, view.request.primitive_type),
            "template_id": (status.template_id, view.request.template_id),
            "target_repo": (status.target_repo, view.target_repo),
        }
        for field, (then, now) in told.items():
            if then != now:
                message = f"`{field}` was `{then}` when the draft was accepted and is `{now}` now"
                reasons.append((DRAFT_IDENTITY_CHANGED.id, message))
    if not reasons:
        return None
    request = view.caused.cause.request
    return Step(waiting=(Waiting(draft=view.id, request=request, reasons=tuple(reasons)),))


_PLANNERS = (
    (Stage.SCAFFOLD, plan_scaffold),
    (Stage.SCAFFOLD, plan_rejection),
    (Stage.SCAFFOLD, plan_patch),
    (Stage.BUILD, plan_head_checks),
    (Stage.OBSERVE, plan_observe),
)
# Effects of tools belong to the build stage, whichever stage asks for them.
_BY_TOOLS = ("run-checks", "build-image")


def plan_draft(view: DraftView, scope: Scope = EVERYTHING) -> Step:
    """The step of the first stage that has something to do for a draft.

    One stage at a time, since each changes the input of the next and each commit names the fact
    before it; so an interrupted run and its successor give the same facts. If that stage is out of
    scope the step is empty: a run of that stage will do it.
    """
    stage, step = _plan_next(view)
    by_tools = [effect for effect in step.effects if effect.kind in _BY_TOOLS]
    if by_tools:
        stage = Stage.BUILD
    if stage not in scope.stages:
        return Step(waiting=step.waiting)
    if scope.evidence is None or all(effect.key in scope.evidence for effect in by_tools):
        return step
    reasons = tuple((EVIDENCE_DUE.id, f"no evidence yet: {describe(e)}") for e in by_tools)
    causes = [fact.cause.request for fact in step.facts]
    waits = Waiting(draft=view.id, request=(*causes, view.id)[0], reasons=reasons)
    return Step(waiting=(*step.waiting, waits))


def _plan_next(view: DraftView) -> tuple[Stage, Step]:
    blocked = plan_blocked(view)
    if blocked:
        return Stage.SCAFFOLD, blocked
    step = plan_provision(view)
    if step or view.status is None:
        return Stage.SCAFFOLD, step or Step()
    if view.status.state is DraftState.REJECTED:
        return Stage.SCAFFOLD, Step()
    if view.retires:
        return _plan_retirement(view)
    begun = plan_begun_fallback(view)
    if begun:
        return Stage.PROMOTE, begun
    waiting = [*plan_retirement_waits(view)]
    for stage, planner in _PLANNERS:
        step = planner(view)
        if step and (step.effects or step.facts):
            return stage, step
        if step:
            waiting += step.waiting
    promotions = (plan_promotion(view, due) for due in view.promotions)
    for step in chain(plan_fallbacks(view), promotions):
        if step and (step.effects or step.facts):
            return Stage.PROMOTE, step
        if step:
            waiting += step.waiting
    return Stage.PROMOTE, Step(waiting=tuple(waiting))


def _plan_retirement(view: DraftView) -> tuple[Stage, Step]:
    """The next step of a draft that is being retired: what waited is refused, then it leaves its
    environments one by one, and then it ends."""
    for due in view.promotions:
        step = plan_promotion(view, due)
        if step and step.facts:
            return Stage.PROMOTE, step
    leave = plan_leave(view)
    if leave:
        return Stage.PROMOTE, leave
    return Stage.SCAFFOLD, plan_end(view) or Step()


def plan_tenant(
    tenant: str,
    state_head: str | None,
    views: Sequence[DraftView],
    scope: Scope = EVERYTHING,
) -> TenantPlan:
    """The plan for one tenant: effects by kind and then by draft id, and all facts in one, last.

    Drafts do not depend on each other's effects, and effects of one kind are cheaper together.
    """
    effects: list[Effect] = []
    entries: list[FactEntry] = []
    waiting: list[Waiting] = []
    failures: list[Failure] = []
    ensured: set[str] = set()
    contents: dict[str, Content] = {}
    times = [0]
    for view in sorted(views, key=lambda v: v.id):
        try:
            step = plan_draft(view, scope)
        except Exception as error:
            # A draft that cannot be planned does not stop the others.
            failures.append(failure_of(view.id, error))
            continue
        for effect in step.effects:
            if effect.kind in ("ensure-repo", "ensure-rules"):
                if effect.key in ensured:
                    continue
                ensured.add(effect.key)
            effects.append(_sharing(effect, contents))
        entries += step.facts
        waiting += step.waiting
        if step.facts:
            times += [view.caused.time_s, *(_times(view))]
    effects.sort(key=lambda effect: EFFECT_ORDER.index(effect.kind))
    if entries:
        body = [e.model_dump(mode="json") for e in entries]
        effects.append(
            AppendFacts(
                key=key_of("facts", tenant, state_head, body),
                tenant=tenant,
                expected=state_head,
                entries=tuple(entries),
                time_s=max(times),
            )
        )
    return TenantPlan(
        tenant=tenant,
        state_head=state_head,
        effects=tuple(effects),
        waiting=tuple(waiting),
        failures=tuple(failures),
    )


def _sharing(effect: Effect, contents: dict[str, Content]) -> Effect:
    """The effect, sharing equal blobs with other effects: most files of a template are equal."""
    if effect.kind != "commit-folder":
        return effect
    shared = {id: contents.setdefault(id, content) for id, content in effect.blobs.items()}
    return effect.model_copy(update={"blobs": shared})


def _times(view: DraftView) -> list[int]:
    found = [due.caused.time_s for due in view.promotions]
    found += [item.due.caused.time_s for item in view.fallbacks if item.due]
    found += [view.retirement.caused.time_s] if view.retirement else []
    return [*found, view.patch.caused.time_s] if view.patch else found
