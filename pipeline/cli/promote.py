"""`pipeline promote request` and `pipeline why`: ask the gate before and after a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import asking_options, bring, require_asking_options
from pipeline.cli.session import Session, format_option, pass_session

if TYPE_CHECKING:
    from pipeline.api import ProposedPromotion
    from pipeline.gate.authorise import Decision
    from pipeline.models.decisions import DecisionDocument
    from pipeline.models.requests import Promotion
    from pipeline.models.status import DraftStatus, RunRecord
    from pipeline.models.windows import Lane
    from pipeline.plan.view import PromotionInput
    from pipeline.releases.overlays import Overlay


_lane_option = click.option(
    "--lane",
    type=click.Choice(["normal", "security", "rollback"]),
    default="normal",
    show_default=True,
    help="A fast lane passes the windows and stops that let it.",
)


@click.group()
def promote() -> None:
    """Request a release for an environment."""


@promote.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--env", "environment", required=True, metavar="ENV", help="Target environment.")
@click.option("--reason", required=True, help="One line: why now.")
@click.option("--commit", metavar="COMMIT", help="Source commit.  [default: what runs before it]")
@_lane_option
@click.option(
    "--stays",
    is_flag=True,
    help="Bots may not ask for this release in the environments after this one.",
)
@asking_options
@format_option("text", "json")
@pass_session
def request(
    session: Session,
    draft: str,
    environment: str,
    reason: str,
    commit: str | None,
    lane: Lane,
    stays: bool,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request a release for an environment, with digest and overlay tree pinned.

    The gate is asked first: if it can never allow the promotion, nothing is written.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api

    found = api.request_promotion(
        session.engine(),
        draft,
        environment,
        reason=reason,
        source_commit=commit,
        lane=lane,
        goes_further=not stays,
    )
    return show_proposed(session, draft, found, account=account, replace=replace)


@promote.command()
@click.argument("name", metavar="NAME")
@click.argument("drafts", metavar="DRAFT...", nargs=-1, required=True)
@click.option("--env", "environment", required=True, metavar="ENV", help="Target environment.")
@click.option("--reason", required=True, help="One line: why together, and why now.")
@_lane_option
@asking_options
@format_option("text", "json")
@pass_session
def group(
    session: Session,
    name: str,
    drafts: tuple[str, ...],
    environment: str,
    reason: str,
    lane: Lane,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request releases of several drafts together: all of them run, or none.

    It takes one pull request, which all who must approve any of the members approve. Each member
    waits until the gate allows every one of them.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style

    request = api.request_group(
        session.engine(), name, environment, drafts, reason=reason, lane=lane
    )
    document = bring(session, request, account=account, replace=replace)
    if session.is_json:
        session.write_document(document)
    else:
        headline = f"{environment} would run {', '.join(drafts)} together"
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0


def show_proposed(
    session: Session, draft: str, found: ProposedPromotion, *, account: str | None, replace: bool
) -> int:
    """Bring a promotion's request and show it with the gate's decision; the exit code."""
    from pipeline.render.requests import render_promotion, render_refusal
    from pipeline.render.style import Style

    style = Style(session.colour)
    proposal = found.proposal
    decision = _document(
        session, proposal.decision, proposal.promotion, proposal.overlay, requested=False
    )
    if found.request is None:
        if session.is_json:
            session.write_document(decision)
        else:
            session.write(render_refusal(decision, style))
        return 1
    document = bring(session, found.request, account=account, replace=replace, decision=decision)
    if session.is_json:
        session.write_document(document)
        return 0
    session.write(
        render_promotion(
            document,
            decision,
            folder=proposal.overlay.folder if proposal.overlay else "",
            added=proposal.lines_added,
            removed=proposal.lines_removed,
            known=_known(session, draft, decision, proposal.signer),
            style=style,
        )
    )
    return 0


@click.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--env", "environment", required=True, metavar="ENV", help="Where.")
@click.option(
    "--at", metavar="TIME", help="Judge at this moment: `2026-12-24T18:00:00Z`. Default: now."
)
@click.option(
    "--if",
    "assumed",
    multiple=True,
    metavar="NAME=VALUE",
    help="Assume something: `approvals=2`, or `CLAUSE=met`. Repeatable.",
)
@format_option("text", "json", "markdown")
@pass_session
def why(
    session: Session, draft: str, environment: str, at: str | None, assumed: tuple[str, ...]
) -> int:
    """Show whether a promotion is allowed: every clause of the gate, met or not, and by what.

    Asks the gate about the request on main, or about one that could be made now. For a clause that
    is not met it says what would make it pass, who can do that, and when time alone does. With
    --at, policy and facts are those of now. Exit code 0 if the promotion is allowed,
    or was carried out and runs.
    """
    from pipeline.gate.authorise import Decision
    from pipeline.gate.explain import explain_clauses, with_approvals
    from pipeline.models.draft_id import parse_draft_id
    from pipeline.render.decision import explained, render_decision, render_decision_markdown
    from pipeline.render.style import Style

    engine = session.engine()
    if at is not None:
        moment_s = seconds_of_option(at)
        engine = engine.using(clock=lambda: moment_s)
    approvals, clauses = _assumptions(assumed)
    evidence, due = engine.evidence(parse_draft_id(draft), environment)
    if approvals is not None:
        evidence = with_approvals(evidence, approvals)
    answers = explain_clauses(evidence, clauses)
    reasons = tuple(reason for answer in answers for reason in answer.reasons)
    people = evidence.authority.approved_by
    decision = Decision(evidence.status.id, environment, reasons, people)
    requested = due.caused.cause.run != "prospective"
    run = _carried_out(evidence.status, due) if requested else None
    document = explained(
        _document(session, decision, due.promotion, due.overlay, requested=requested),
        answers,
        evidence.now_s,
    ).model_copy(update={"runs_since": run.since if run else None})
    match session.format:
        case "json":
            session.write_document(document)
        case "markdown":
            session.write(render_decision_markdown(document))
        case _:
            session.write(render_decision(document, Style(session.colour)))
    return 0 if decision.allowed or document.runs_since else 1


def _carried_out(status: DraftStatus, due: PromotionInput) -> RunRecord | None:
    """The run that the request brought, if it is answered and that release still runs."""
    cause, promotion = due.caused.cause, due.promotion
    if status.requests.get(cause.request) != cause.blob:
        return None
    found = [r for r in status.runs if r.environment == promotion.environment and not r.until]
    return next((r for r in found if r.release.digest == promotion.release.digest), None)


def seconds_of_option(text: str) -> int:
    """Seconds since the epoch. Raises UsageFault if the text is no moment."""
    from pydantic import TypeAdapter

    from pipeline.errors import UsageFault
    from pipeline.models.base import Moment, seconds_of

    try:
        return seconds_of(TypeAdapter(Moment).validate_python(text))
    except ValueError:
        raise UsageFault(
            f"`{text}` is no moment", help="write it in UTC with seconds: `2026-12-24T18:00:00Z`"
        ) from None


def _assumptions(assumed: tuple[str, ...]) -> tuple[int | None, tuple[str, ...]]:
    """The number of approvals to assume, and the clauses to take as met. Raises UsageFault."""
    from pipeline.errors import UsageFault
    from pipeline.gate.explain import ROWS

    approvals: int | None = None
    clauses: list[str] = []
    for text in assumed:
        name, _, value = text.partition("=")
        if name == "approvals" and value.isascii() and value.isdigit():
            approvals = int(value)
        elif name in ROWS and value == "met":
            clauses.append(name)
        else:
            raise UsageFault(
                f"`{text}` is nothing to assume",
                help=f"`approvals=2`, or one of these with `=met`: {', '.join(ROWS)}",
            )
    return approvals, tuple(clauses)


def _document(
    session: Session,
    decision: Decision,
    promotion: Promotion,
    overlay: Overlay | None,
    *,
    requested: bool,
) -> DecisionDocument:
    from pipeline.models.draft_id import DraftId
    from pipeline.render.decision import decision_document

    engine = session.engine()
    snapshot = engine.snapshot()
    tier = engine.status(decision.draft).risk_tier
    environment = snapshot.environments.get(decision.environment)
    tenant = DraftId(decision.draft).tenant
    return decision_document(
        decision,
        promotion,
        overlay,
        requested=requested,
        risk_tier=tier,
        policy=environment.approval_for(tier, tenant) if environment else None,
    )


def _known(session: Session, draft: str, decision: DecisionDocument, signer: str) -> str:
    """What is known about the release: its builder and signer, where it runs, and its health."""
    from pipeline.models.facts import Built

    engine = session.engine()
    status = engine.status(draft)
    facts = []
    build = next((b for b in status.builds if b.digest == decision.digest), None)
    if build is None and decision.digest:
        # The status lists only the newest builds; facts hold all.
        bodies = (fact.body for fact in engine.facts(draft))
        built = (body.build for body in bodies if isinstance(body, Built))
        build = next((b for b in built if b.digest == decision.digest), None)
    if build is not None:
        facts.append(f"built by {build.builder}")
        if signer:
            facts.append(f"stated by {signer}")
    for promotion in status.promotions:
        if promotion.release.digest == decision.digest:
            seen = promotion.observation
            health = seen.health.lower() if seen else "runs"
            facts.append(f"{health} in {promotion.environment}")
    return f" ({', '.join(facts)})" if facts else ""
