"""`pipeline status`: where one draft, or every draft, stands. Imports no models, to be quick."""

from __future__ import annotations

import click

from pipeline.cli.session import Session, format_option, pass_session


@click.command()
@click.argument("draft", required=False, metavar="[DRAFT]")
@format_option("text", "json")
@pass_session
def status(session: Session, draft: str | None) -> int:
    """Show where one draft, or every draft, stands.

    States are a fold of facts: PENDING, SCAFFOLDED, IN_REVIEW, PROMOTED_DEV, PROMOTED_STAGING,
    PROMOTED_PROD, REJECTED.
    """
    return write_list(session, None) if draft is None else write_one(session, draft)


def write_one(session: Session, draft: str) -> int:
    """Write one draft's status."""
    from pipeline.errors import CouldNotCheck
    from pipeline.render.status import render_status
    from pipeline.render.style import Style
    from pipeline.status_reader import read_status_document

    document = read_status_document(session.directory, draft)
    if session.is_json:
        session.write_document(dict(document))
        return 0
    try:
        text = render_status(document, Style(session.colour))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CouldNotCheck(
            f"the status of `{draft}` is damaged", help="`pipeline audit verify` says where"
        ) from error
    session.write(text)
    return 0


def write_list(session: Session, tenant: str | None) -> int:
    """Write the statuses of all drafts, or of one tenant's."""
    from pipeline.errors import CouldNotCheck
    from pipeline.render.status import render_statuses
    from pipeline.render.style import Style
    from pipeline.status_reader import read_requested, read_status_documents

    found = read_status_documents(session.directory, tenant)
    requested = read_requested(session.directory, tenant)
    if session.is_json:
        known = {document["id"] for document in found}
        session.write_document(
            {
                "apiVersion": "pipeline.ameide.io/v1",
                "kind": "DraftStatusList",
                "items": [dict(document) for document in found],
                "requested": [draft for draft in requested if draft not in known],
            }
        )
        return 0
    try:
        text = render_statuses(found, requested, Style(session.colour))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CouldNotCheck(
            "a status is damaged", help="`pipeline audit verify` says which"
        ) from error
    session.write(text)
    return 0
