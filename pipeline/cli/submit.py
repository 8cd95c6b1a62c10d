"""`pipeline submit`: a file of the checkout becomes a pull request."""

from __future__ import annotations

import click

from pipeline.cli.asking import bring
from pipeline.cli.session import Session, format_option, pass_session


@click.command()
@click.argument("path", metavar="PATH")
@click.option("--reason", required=True, help="One line: why; the pull request says it.")
@click.option(
    "--as",
    "account",
    required=True,
    metavar="ACCOUNT",
    help="Login or numeric id of the requesting account.",
)
@format_option("text", "json")
@pass_session
def submit(session: Session, path: str, reason: str, account: str) -> int:
    """Open a pull request with a request or policy file of the checkout.

    PATH is relative to the control repo, for example environments/stop.yaml. The file is taken as
    it lies in the checkout, committed or not, and validated first. Who may ask for it, and who must
    approve it, is the same as with a pull request made by hand (`pipeline authority PATH`).
    """
    from pipeline import api
    from pipeline.documents.rules import DOCUMENT_BYTES_MAXIMUM
    from pipeline.errors import UsageFault
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style

    engine = session.engine()
    top = engine.control.directory
    file = top / path
    if file.is_symlink() or not file.is_file() or not file.resolve().is_relative_to(top.resolve()):
        raise UsageFault(
            f"there is no file `{path}` in {top}", help="give a path relative to the control repo"
        )
    with file.open("rb") as opened:
        # One byte more than a request may have: validation refuses it, and says why.
        content = opened.read(DOCUMENT_BYTES_MAXIMUM + 1)
    request = api.propose_file(engine, path, content, reason=reason)
    document = bring(session, request, account=account, replace=False)
    if session.is_json:
        session.write_document(document)
    else:
        headline = f"main would have this {path}"
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0
