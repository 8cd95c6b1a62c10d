"""`pipeline promote request` and `pipeline why`: ask the gate before and after a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import asking_options, bring, require_asking_options
from pipeline.cli.session import Session, format_option, pass_session

if TYPE_CHECKING:
    from pipeline.gate.authorise import Decision
    from pipeline.models.outputs import DecisionDocument
    from pipeline.models.requests import Promotion
    from pipeline.models.windows import Lane
    from pipeline.releases.overlays import Overlay


@click.group()
def promote() -> None:
    """Request a release for an environment."""


@promote.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--env", "environment", required=True, metavar="ENV", help="Target environment.")
@click.option("--reason", required=True, help="One line: why now.")
@click.option("--commit", metavar="COMMIT", help="Source commit.  [default: what runs before it]")
@click.option(
    "--lane",
    type=click.Choice(["normal", "security", "rollback"]),
    default="normal",
    show_default=True,
    help="A fast lane passes the windows and stops that let it.",
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
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request a release for an environment, with digest and overlay tree pinned.

    The gate is asked first: if it can never allow the promotion, nothing is written.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.render.requests import render_promotion, render_refusal
    from pipeline.render.style import Style

    style = Style(session.colour)
    engine = session.engine()
    found = api.request_promotion(
        engine, draft, environment, reason=reason, source_commit=commit, lane=lane
    )
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
@format_option("text", "json")
@pass_session
def why(session: Session, draft: str, environment: str) -> int:
    """Show whether a promotion is allowed, with every reason against it.

    Asks the gate about the request on main, or about one that could be made now. Exit code 0 if it
    is allowed.
    """
    from pipeline.models.draft_id import parse_draft_id
    from pipeline.render.decision import render_decision
    from pipeline.render.style import Style

    decision, due = session.engine().decide(parse_draft_id(draft), environment)
    requested = due.caused.cause.run != "prospective"
    document = _document(session, decision, due.promotion, due.overlay, requested=requested)
    if session.is_json:
        session.write_document(document)
    else:
        session.write(render_decision(document, Style(session.colour)))
    return 0 if decision.allowed else 1


def _document(
    session: Session,
    decision: Decision,
    promotion: Promotion,
    overlay: Overlay | None,
    *,
    requested: bool,
) -> DecisionDocument:
    from pipeline.render.decision import decision_document

    engine = session.engine()
    snapshot = engine.snapshot()
    tier = engine.status(decision.draft).risk_tier
    environment = snapshot.environments.get(decision.environment)
    return decision_document(
        decision,
        promotion,
        overlay,
        requested=requested,
        risk_tier=tier,
        policy=environment.approval_for(tier, decision.draft.partition("/")[0])
        if environment
        else None,
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
