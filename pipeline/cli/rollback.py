"""`pipeline rollback`, `pipeline hold` and `pipeline retire`: go back, go on, and take out."""

from __future__ import annotations

import click

from pipeline.cli.asking import asking_options, bring, require_asking_options
from pipeline.cli.promote import show_proposed
from pipeline.cli.session import Session, format_option, pass_session


@click.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--env", "environment", required=True, metavar="ENV", help="Where to go back.")
@click.option(
    "--to",
    default="",
    metavar="RELEASE",
    help="A digest, its beginning, or the number of the fact that promoted it.  "
    "[default: the newest earlier release that ran healthy there, else the newest earlier one]",
)
@click.option("--reason", required=True, help="One line: why now.")
@asking_options
@format_option("text", "json")
@pass_session
def rollback(
    session: Session,
    draft: str,
    environment: str,
    to: str,
    reason: str,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request an earlier release for an environment, in lane `rollback`.

    Once it is carried out it holds the environment: requests of bots wait until a person promotes
    again or lifts the hold.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api

    found = api.request_rollback(session.engine(), draft, environment, to=to, reason=reason)
    return show_proposed(session, draft, found, account=account, replace=replace)


@click.group()
def hold() -> None:
    """Let an environment go on after a rollback."""


@hold.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--env", "environment", required=True, metavar="ENV", help="The held environment.")
@click.option("--reason", required=True, help="One line: why now.")
@asking_options
@format_option("text", "json")
@pass_session
def lift(
    session: Session,
    draft: str,
    environment: str,
    reason: str,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request that bots may change again what runs in an environment.

    What runs there stays. A person has to ask, and the environment's teams approve it.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api

    found = api.lift_hold(session.engine(), draft, environment, reason=reason)
    return show_proposed(session, draft, found, account=account, replace=replace)


@click.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--reason", required=True, help="One line: why; the draft's last fact repeats it.")
@asking_options
@format_option("text", "json")
@pass_session
def retire(
    session: Session,
    draft: str,
    reason: str,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request that a primitive leaves all its environments and that its draft ends.

    It leaves the last environments first, one after the other. Requests that wait are refused. The
    code and all history stay.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style

    request = api.retire_draft(session.engine(), draft, reason=reason)
    document = bring(session, request, account=account, replace=replace)
    if session.is_json:
        session.write_document(document)
    else:
        headline = f"{draft} would leave all its environments"
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0
