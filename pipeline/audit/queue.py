"""Requests that were replaced while they waited, and holds that were lifted, computed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase
from pipeline.diagnostics import Finding
from pipeline.models.facts import HoldLifted, PromotionSuperseded
from pipeline.models.release_groups import promotion_in
from pipeline.models.requests import Promotion, Request
from pipeline.plan.view import PromotionInput
from pipeline.stages.promote import decide
from pipeline.state.fact_types import type_of


def check_superseded(case: FactCase) -> Iterator[Finding]:
    """A finding unless main had the replaced request before the newer one, unanswered."""
    body = case.fact.body
    if not isinstance(body, PromotionSuperseded) or not isinstance(case.request, Promotion):
        return
    main, cause = case.audit.main, case.fact.cause
    at = main.position.get(body.commit)
    problem = ""
    path = body.request or cause.request
    # Of two that came in one commit, the draft's own request replaces a group's.
    newest = main.position[cause.commit] - (path >= cause.request)
    if at is None or at > newest:
        problem = f"{body.commit[:12]} is not a commit of main before that of the newer request"
    elif main.blob_at(body.commit, path) != body.blob or (
        at > 0 and main.blob_at(main.line[at - 1], path) == body.blob
    ):
        problem = f"{body.commit[:12]} did not bring {path} with that content"
    elif body.request and not _asks_for(main.request(path, body.blob), case.fact.draft, body):
        problem = f"{path} does not ask for the draft in {body.environment}"
    elif any(_is_answer(case, fact_number, body) for fact_number in range(1, case.fact.sequence)):
        problem = f"the request of {body.commit[:12]} had its answer already"
    if problem:
        yield case.finding(rule.AUDIT_SUPERSEDED_DIFFERS, problem)
    else:
        case.audit.proves("replaced requests found on main, without an answer")


def _is_answer(case: FactCase, number: int, body: PromotionSuperseded) -> bool:
    """Whether an earlier fact answered the replaced request, or says already that it was."""
    path = body.request or case.fact.cause.request
    fact = case.chain.facts[number - 1]
    if isinstance(fact.body, PromotionSuperseded):
        told = (fact.body.environment, fact.body.commit, fact.body.request or fact.cause.request)
        return told == (body.environment, body.commit, path)
    is_of_request = fact.cause.request == path
    is_same = is_of_request and fact.cause.commit == body.commit
    return is_same and type_of(fact.body).settles_request


def _asks_for(request: Request | None, draft: str, body: PromotionSuperseded) -> bool:
    """Whether a request asks for this draft in the environment of the fact."""
    promotion = promotion_in(request, draft)
    told = (promotion.draft, promotion.environment) if promotion else None
    return told == (draft, body.environment)


def check_lifted(case: FactCase) -> Iterator[Finding]:
    """A finding unless the gate lets the hold be lifted again, and the fact names that hold."""
    body, promotion, before = case.fact.body, case.request, case.before
    if not isinstance(body, HoldLifted):
        return
    case.audit.decisions["made"] += 1
    if not isinstance(promotion, Promotion) or before is None:
        return
    problem = f"`{body.environment}` had no valid policy then"
    hold = before.hold(body.environment)
    for view in case.views():
        if body.environment not in view.environments:
            continue
        due = PromotionInput(promotion, view.caused, None, False, None, (), "")
        decision = decide(replace(view, status=before), due)
        if promotion.hold != "lifted":
            problem = "its request does not ask for it"
        elif decision.reasons:
            problem = f"{decision.reasons[0].code}: {decision.reasons[0].message}"
        elif hold is None or hold.fact != body.hold or decision.approved_by != body.approved_by:
            problem = "it names another hold, or other people than approved it"
        else:
            case.audit.proves("lifted holds decided again by the gate")
            case.audit.decisions["equal"] += 1
            return
    yield case.finding(rule.AUDIT_HOLD_DIFFERS, problem)
