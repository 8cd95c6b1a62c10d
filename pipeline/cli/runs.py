"""`pipeline plan`, `apply` and `run`: show and do the outstanding work of merged requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli.session import Session, dump, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.delivery.reports import DeliveryReport
    from pipeline.diagnostics import Finding
    from pipeline.models.run_report import RunReportDocument
    from pipeline.plan.effects import Plan

F = TypeVar("F", bound=Callable[..., Any])
Shard = tuple[int, int]
_SHARD = re.compile(r"([0-9]{1,5})/([0-9]{1,5})\Z")


class ShardType(click.ParamType[Shard]):
    """A shard `i/n`, counted from 1."""

    name = "i/n"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        """Index and count."""
        match = _SHARD.match(str(value))
        if match is None:
            self.fail(f"`{value}` is not like `1/4`", param, ctx)
        found = int(match[1]), int(match[2])
        if not 1 <= found[0] <= found[1] <= 10_000:
            self.fail(f"`{value}` is not a shard: the first number counts from 1", param, ctx)
        return found


def scope_options(function: F) -> F:
    """The options for tenants and observations."""
    for option in (
        click.option(
            "--observations",
            type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
            help="What delivery tools report: a file as `pipeline observe --from` takes it.",
        ),
        click.option("--shard", type=ShardType(), help="Only share I of N of the tenants."),
        click.option("--tenant", "tenants", multiple=True, metavar="ID", help="Only this tenant."),
    ):
        function = option(function)
    return function


def stage_option(function: F) -> F:
    """The option that limits a run to some stages."""
    return click.option(
        "--stage",
        "stages",
        type=click.Choice(("scaffold", "build", "promote", "observe")),
        multiple=True,
        help="Only this stage.  [default: all]",
    )(function)


def _report(session: Session, file: Path | None) -> DeliveryReport:
    from pipeline.cli.observe import read_report
    from pipeline.delivery.reports import DeliveryReport

    return (
        DeliveryReport() if file is None else read_report(file, session.engine().tools.clock())[0]
    )


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the plan, for `pipeline apply`.",
)
@scope_options
@format_option("text", "json")
@pass_session
def plan(
    session: Session,
    out: Path | None,
    tenants: tuple[str, ...],
    shard: Shard | None,
    observations: Path | None,
) -> int:
    """Show what a run would do now, without writing anything.

    Exit code 4 if a draft or tenant could not be read; the others are planned.
    """
    found = session.engine().plan(
        tenants=tenants or None,
        shard=shard,
        observations=_report(session, observations).observations,
    )
    if out is not None:
        _save(out, found)
    _write_plan(session, found)
    if out is not None and not session.is_json:
        session.write(f"  saved    {out}\n  next     `pipeline apply {out}`\n")
    return _plan_code(found)


def _plan_code(found: Plan) -> int:
    """The exit code: 4 if something could not be read and the plan lacks it."""
    return 4 if any(tenant.failures for tenant in found.tenants) else 0


def _save(out: Path, found: Plan) -> None:
    try:
        out.write_text(json.dumps(dump(found), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageFault(f"`{out}` cannot be written: {error.strerror}") from error


def _write_plan(session: Session, found: Plan) -> None:
    from pipeline.render.plan import render_plan
    from pipeline.render.style import Style

    if session.is_json:
        session.write_document(found)
    else:
        session.write(render_plan(found, Style(session.colour)))


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@format_option("text", "json")
@pass_session
def apply(session: Session, file: Path) -> int:
    """Apply a saved plan exactly, or refuse it as stale.

    Exit code 3, with nothing written, if something changed since the plan was made.
    """
    from pipeline.render.plan import RunSpan, run_report_document

    found = _read_plan(file)
    clock = session.engine().tools.clock
    began_s = clock()
    receipts = session.engine().apply(found, progress=session.note)
    waiting = [w for tenant in found.tenants for w in tenant.waiting]
    incidents = [i for tenant in found.tenants for i in tenant.incidents]
    failures = [f for receipt in receipts for f in receipt.failures]
    findings = session.engine().findings()
    document = run_report_document(
        receipts,
        waiting,
        failures,
        span=RunSpan(began_s, clock(), 1),
        invalid_requests=_count_invalid(findings),
        incidents=incidents,
    )
    return _write_report(session, document)


def _read_plan(file: Path) -> Plan:
    from pydantic import ValidationError

    from pipeline.models.base import first_problem
    from pipeline.plan.effects import Plan

    try:
        return Plan.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageFault(f"`{file}` cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UsageFault(
            f"`{file}` is not a saved plan: {first_problem(error)}",
            help=f"`pipeline plan --out {file}` makes one",
        ) from error


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
@stage_option
@click.option(
    "--then",
    "events",
    type=click.Choice(("scaffold", "build", "promote")),
    multiple=True,
    help="If something was done, start the workflow of this name.",
)
@click.option(
    "--evidence",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Don't run checks and builds; record the results of `pipeline perform` from here.",
)
@scope_options
@format_option("text", "json")
@pass_session
def run(
    session: Session,
    dry_run: bool,
    stages: tuple[str, ...],
    events: tuple[str, ...],
    evidence: Path | None,
    tenants: tuple[str, ...],
    shard: Shard | None,
    observations: Path | None,
) -> int:
    """Plan and apply until nothing is left to do.

    The next run retries what waits and resumes what failed. Exit code 4 if a tool or service
    failed, 1 if a GitOps repository differs from what was promoted or main breaks a rule.
    """
    from pipeline.engine.opening import restrict
    from pipeline.render.plan import RunSpan, run_report_document

    seen = _report(session, observations)
    engine = restrict(session.engine(), stages, evidence)
    if dry_run:
        found = engine.plan(tenants=tenants or None, shard=shard, observations=seen.observations)
        _write_plan(session, found)
        return _plan_code(found)
    report = engine.run(
        tenants=tenants or None,
        shard=shard,
        observations=seen.observations,
        progress=lambda line: session.note(f"  {line}"),
    )
    if report.effects:
        engine.dispatch([f"pipeline-{event}" for event in events])
    waiting = [w for tenant in sorted(report.waiting) for w in report.waiting[tenant]]
    if cost := engine.forge.cost():
        session.note(f"  {cost}")
    document = run_report_document(
        report.receipts,
        waiting,
        report.failures,
        span=RunSpan(report.began_s, report.ended_s, report.rounds),
        invalid_requests=_count_invalid(report.findings),
        incidents=[i for tenant in sorted(report.incidents) for i in report.incidents[tenant]],
        restored=report.restored,
        problems=[
            *report.policy,
            *seen.findings,
            *report.observed,
            *(f for tenant in sorted(report.standing) for f in report.standing[tenant]),
        ],
    )
    return _write_report(session, document)


def _count_invalid(findings: Sequence[Finding]) -> int:
    """The number of files on main that `validate` refuses."""
    return len({f.location.file for f in findings if f.severity == "error"})


def _write_report(session: Session, document: RunReportDocument) -> int:
    from pipeline.render.plan import render_run_report
    from pipeline.render.style import Style

    if session.is_json:
        session.write_document(document)
    else:
        session.write(render_run_report(document, Style(session.colour)))
    if document.failures:
        return 4
    stands = any(not incident.put_back for incident in document.incidents)
    return 1 if stands or document.problems else 0
