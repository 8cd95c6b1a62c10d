"""`pipeline observe`: compares reports of delivery tools with what was promoted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, complain, dump, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.delivery.reports import DeliveryReport, Observations
    from pipeline.models.base import Moment

STDIN = Path("-")


class ReportSource:
    """The source of a report, with its options."""

    def __init__(
        self,
        url: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        projects: Sequence[str],
    ) -> None:
        self.url, self.token_file = url, token_file
        self.ca_file, self.projects = ca_file, projects

    def read(self, source: str, now_s: int) -> tuple[DeliveryReport, Moment]:
        """The report, and its time. Raises UsageFault, CouldNotCheck, Refused."""
        from pipeline.delivery.argocd_api import ArgoCd, read_token
        from pipeline.delivery.reports import delivery_report_of
        from pipeline.models.base import moment_of

        if source != "argocd":
            if self.url or self.token_file or self.ca_file or self.projects:
                raise UsageFault("--url, --token-file, --ca-file and --project go with argocd")
            return read_report(Path(source), now_s)
        if self.url is None or self.token_file is None:
            raise UsageFault(
                "Argo CD is asked with --url and --token-file",
                help="`argocd account generate-token` gives a token",
            )
        argocd = ArgoCd(self.url, read_token(self.token_file), self.ca_file)
        read_at = moment_of(now_s)
        return delivery_report_of(
            self.url, argocd.read_applications(self.projects), read_at
        ), read_at


def read_report(file: Path, now_s: int) -> tuple[DeliveryReport, Moment]:
    """The report in a file, and its time: when the file was written, at the latest now.

    Raises UsageFault for an unreadable file, Refused for one without a usable report.
    """
    from pipeline.delivery.objects import MAX_BYTES
    from pipeline.delivery.reports import parse_report
    from pipeline.errors import Refused
    from pipeline.models.base import moment_of

    try:
        if file == STDIN:
            content, written_s = sys.stdin.buffer.read(MAX_BYTES + 1), now_s
        else:
            with file.open("rb") as handle:
                content, written_s = handle.read(MAX_BYTES + 1), int(file.stat().st_mtime)
    except OSError as error:
        raise UsageFault(f"`{file}` cannot be read: {error.strerror}") from error
    read_at = moment_of(min(written_s, now_s))
    report = parse_report("stdin" if file == STDIN else str(file), content, read_at)
    if report.findings and not (report.observations or report.foreign):
        raise Refused(f"`{file}` is refused", report.findings)
    return report, read_at


def _save(out: Path, document: Observations) -> None:
    import json

    try:
        out.write_text(json.dumps(dump(document), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageFault(f"`{out}` cannot be written: {error.strerror}") from error


@click.command()
@click.option(
    "--from",
    "source",
    required=True,
    metavar="argocd|FILE|-",
    help="Argo CD's API, or a file of objects or observations.",
)
@click.option("--url", metavar="URL", help="Where Argo CD is.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with a token of Argo CD.",
)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Certificates to trust in place of the usual ones.",
)
@click.option(
    "--project", "projects", multiple=True, metavar="NAME", help="Only this Argo CD project."
)
@click.option(
    "--env",
    "listed",
    multiple=True,
    envvar="PIPELINE_OBSERVED_ENVIRONMENTS",
    metavar="ENV",
    help="The source lists all of this environment: what it lacks is unknown.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the observations, for `pipeline run --observations`.",
)
@format_option("text", "json")
@pass_session
def observe(
    session: Session,
    source: str,
    url: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    projects: tuple[str, ...],
    listed: tuple[str, ...],
    out: Path | None,
) -> int:
    """Show what delivery tools say of what runs, beside what was promoted.

    A file holds what `kubectl get -o json` or `-o yaml` prints of Argo CD's Applications, or of
    Flux's Kustomizations, HelmReleases and Pods; or Observations. Nothing is recorded: `pipeline
    run --observations FILE` does that. Exit code 1 with findings, 4 if a source cannot be read.
    """
    from pipeline.delivery.reports import Observations
    from pipeline.render.observations import render_sightings
    from pipeline.render.style import Style
    from pipeline.render.text import render_text

    engine = session.engine()
    asked = ReportSource(url, token_file, ca_file, projects)
    report, read_at = asked.read(source, engine.tools.clock())
    found = engine.observe(report.observations, listed=listed, read_at=read_at)
    document = Observations(kind="Observations", observations=found.observations)
    if out is not None:
        _save(out, document)
    findings = (*report.findings, *(f for item in found.judged for f in item.findings))
    if session.is_json:
        session.write_document(document)
        complain(render_text(findings))
    else:
        session.write(
            render_sightings(found.judged, report.foreign, Style(session.colour))
            + (f"\n{render_text(findings)}" if findings else "")
            + (f"  saved    {out}\n  next     `pipeline run --observations {out}`\n" if out else "")
        )
    for failure in found.failures:
        session.note(f"error[{failure.code}]: {failure.subject}: {failure.message}")
    if found.failures:
        return 4
    return 1 if findings else 0
