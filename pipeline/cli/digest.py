"""`pipeline digest`: blocks images."""

from __future__ import annotations

import click

from pipeline.cli.asking import asking_options, bring, require_asking_options
from pipeline.cli.session import Session, format_option, pass_session


@click.group()
def digest() -> None:
    """Ask that an image runs nowhere any more."""


@digest.command()
@click.argument("digest", metavar="DIGEST")
@click.option("--reason", required=True, help="One line: why; `pipeline status` repeats it.")
@asking_options
@format_option("text", "json")
@pass_session
def block(
    session: Session,
    digest: str,
    reason: str,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Ask that no environment runs the image DIGEST (sha256:…).

    The digest is added to environments/blocked-digests.yaml; comments and all other lines stay.
    Once it is merged, no promotion of the image is allowed, and `pipeline status` and the audit
    report where it still runs.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style, short_digest

    request = api.block_digest(session.engine(), digest, reason=reason)
    document = bring(session, request, account=account, replace=replace)
    if session.is_json:
        session.write_document(document)
    else:
        headline = f"no environment would run {short_digest(digest)} any more"
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0
