"""`pipeline comment`: tell a reviewer what a pull request asks for, in one comment."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.session import Session, pass_session
from pipeline.errors import Refused, UsageFault

MAX_REPORT_BYTES = 4 << 20


@click.command()
@click.argument("number", type=int, metavar="NUMBER")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="What `pipeline validate --format json` wrote of it.",
)
@click.option("--dry-run", is_flag=True, help="Print the comment and write nothing.")
@pass_session
def comment(session: Session, number: int, report: Path, dry_run: bool) -> int:
    """Tell a reviewer what a pull request asks for, in one comment.

    The comment on pull request NUMBER of the control repo is made, or updated in place. The report
    is read as its published schema says; nothing in it reaches the page but as text.
    """
    from pydantic import ValidationError

    from pipeline.models.base import first_problem
    from pipeline.models.outputs import ValidationReport
    from pipeline.render.comment import KEY, render_comment

    try:
        if report.stat().st_size > MAX_REPORT_BYTES:
            raise UsageFault(f"`{report}` is larger than any report")
        body = render_comment(ValidationReport.model_validate_json(report.read_bytes()))
    except OSError as error:
        raise UsageFault(f"`{report}` cannot be read: {error.strerror}") from error
    except ValidationError as error:
        told = f"`{report}` is no validation report: {first_problem(error)}"
        raise UsageFault(told) from error
    if dry_run:
        session.write(body)
        return 0
    engine = session.engine()
    actor = engine.forge.account
    if actor is None:
        platform = engine.reading(engine.control.head())[0].snapshot.platform
        if platform is None:
            raise Refused("environments/platform.yaml is missing or invalid")
        actor = platform.pipeline_account.id
    repo = engine.control.control_repo
    engine.forge.write_comment(repo, number, key=KEY, body=body, actor=actor)
    session.write(f"✓ {repo}#{number} has the comment\n")
    return 0
