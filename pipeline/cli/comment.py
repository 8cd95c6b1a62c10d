"""`pipeline comment`: judges an open pull request and writes one comment for its reviewers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, pass_session
from pipeline.errors import Refused

if TYPE_CHECKING:
    from pipeline.engine.engine import Engine


@click.command()
@click.argument("number", type=int, metavar="NUMBER")
@click.option(
    "--check",
    metavar="NAME",
    help="Also publish the verdict as a check run with this name, so branch rules can require it.",
)
@click.option(
    "--sarif",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the findings as SARIF, for code scanning.",
)
@click.option(
    "--queued",
    metavar="COMMIT",
    help="Judge this merge queue commit: publish the check only, no comment.",
)
@click.option("--dry-run", is_flag=True, help="Print the comment and write nothing.")
@pass_session
def comment(
    session: Session,
    number: int,
    check: str | None,
    sarif: Path | None,
    queued: str | None,
    dry_run: bool,
) -> int:
    """Comment on a pull request: what it requests and what speaks against it.

    Creates or updates the comment on pull request NUMBER of the control repo: what merging it does,
    what a promotion changes, findings, who must approve. Judged by this version of the validator,
    whatever the pull request contains; its content is shown as text only.
    """
    from pipeline.models.outputs import ValidationReport
    from pipeline.render.comment import KEY, headline, render_comment
    from pipeline.render.report import validation_report
    from pipeline.render.sarif import render_sarif

    engine = session.engine()
    judge = engine.judge
    judged = judge.queued(number, queued) if queued else judge.pull(number)
    report = ValidationReport.model_validate(
        {**validation_report(judged.findings), "asked": judged.asked}, strict=False
    )
    body = render_comment(report, judged.previews, judged.authority, judged.policy)
    if sarif is not None:
        sarif.write_text(render_sarif(judged.findings, judged.sources), encoding="utf-8")
    if dry_run:
        session.write(body)
        return 0
    actor = _account(engine)
    repo = engine.control.control_repo
    if queued is None:
        engine.forge.write_comment(repo, number, key=KEY, body=body, actor=actor)
        session.write(f"✓ {repo}#{number} has the comment\n")
    if check is not None:
        commit, title = queued or judged.pull.head, headline(report, judged.authority)
        engine.forge.write_check(
            repo, commit, name=check, passed=judged.passed, title=title, actor=actor
        )
        told = "passed" if judged.passed else "failed"
        session.write(f"✓ `{check}` {told} at {commit[:12]}\n")
    return 0


def _account(engine: Engine) -> int:
    """The account that comments. Raises Refused if neither forge nor platform file names it."""
    if engine.forge.account is not None:
        return engine.forge.account
    platform = engine.snapshot().platform
    if platform is None:
        raise Refused("environments/platform.yaml is missing or invalid")
    return platform.pipeline_account.id
