"""`pipeline statement`: signed statements about images, such as scans and change tickets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import asking_options, bring, require_asking_options
from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.models.base import ImageDigest, Moment

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def statement() -> None:
    """Sign a statement about an image, or bring one that others signed."""


@statement.command()
@click.argument("draft", metavar="DRAFT")
@click.argument("file", type=_FILE)
@click.option("--name", default="", help="Name of the request.  [default: from its content]")
@asking_options
@format_option("text", "json")
@pass_session
def add(
    session: Session,
    draft: str,
    file: Path,
    name: str,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request that a signed statement about DRAFT's image is taken into the control repo.

    FILE is a Sigstore bundle, as `actions/attest`, `cosign attest-blob --bundle` and `pipeline
    statement sign` write it. The gate reads it for environments that ask for statements.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style

    request = api.add_statement(session.engine(), draft, _content(file), file=str(file), name=name)
    document = bring(session, request, account=account, replace=replace)
    if session.is_json:
        session.write_document(document)
    else:
        headline = f"a statement about {draft}\n{request.body.rstrip()}"
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0


@statement.command()
@click.argument("file", type=_FILE)
@click.option("--digest", required=True, metavar="DIGEST", help="The image: `sha256:…`.")
@click.option(
    "--type",
    "kind",
    required=True,
    metavar="TYPE",
    help="`scan` (FILE is SARIF), `vex` (CycloneDX), or the URI of a predicate type.",
)
@click.option("--scanned-at", metavar="TIME", help="When the scan ended: `2026-12-01T10:00:00Z`.")
@click.option(
    "--key", type=_FILE, required=True, help="Private key, as `pipeline signing-key` makes one."
)
@pass_session
def sign(
    session: Session,
    file: Path,
    digest: str,
    kind: str,
    scanned_at: str | None,
    key: Path,
) -> int:
    """Print a signed statement about an image, with the JSON in FILE as its predicate.

    `pipeline statement add` brings it. FILE is checked first.
    """
    from pipeline.images.signing import SigningKey
    from pipeline.images.stating import statement_of_file
    from pipeline.models.statements import SCAN_TYPE, VEX_TYPE

    type = {"scan": SCAN_TYPE, "vex": VEX_TYPE}.get(kind, kind)
    if (type == SCAN_TYPE) != (scanned_at is not None):
        raise UsageFault("`--scanned-at` goes with `--type scan`, and only with it")
    content = statement_of_file(
        str(file), _content(file), _digest(digest), _type(type), _moment(scanned_at)
    )
    session.write(SigningKey.read(key).sign(content) + "\n")
    return 0


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageFault(f"`{file}` cannot be read: {error.strerror}") from error


def _digest(text: str) -> ImageDigest:
    from pydantic import TypeAdapter

    from pipeline.models.base import ImageDigestField

    try:
        found: ImageDigest = TypeAdapter(ImageDigestField).validate_python(text)
    except ValueError:
        raise UsageFault(f"`{text}` is no digest", help="it is `sha256:` and 64 digits") from None
    return found


def _type(text: str) -> str:
    from pydantic import TypeAdapter

    from pipeline.models.statements import PredicateType

    try:
        return TypeAdapter(PredicateType).validate_python(text)
    except ValueError:
        help = "`scan`, `vex`, or a URI such as `https://example.com/change-ticket/v1`"
        raise UsageFault(f"`{text}` is no predicate type", help=help) from None


def _moment(text: str | None) -> Moment | None:
    from pipeline.cli.promote import seconds_of_option
    from pipeline.models.base import moment_of

    return moment_of(seconds_of_option(text)) if text else None
