"""`pipeline status`: the status of one draft or of all drafts. Imports no models, so it is fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.session import Session, complain, format_option, pass_session

if TYPE_CHECKING:
    from pipeline.diagnostics import Finding
    from pipeline.errors import Failure
    from pipeline.render.status import Beside


@click.command()
@click.argument("draft", required=False, metavar="[DRAFT]")
@click.option(
    "--observations",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Show beside it what is wrong with what delivery tools report (`pipeline observe`).",
)
@format_option("text", "json")
@pass_session
def status(session: Session, draft: str | None, observations: Path | None) -> int:
    """Show the status of one draft, or of all drafts.

    States: PENDING, SCAFFOLDED, IN_REVIEW, PROMOTED_DEV, PROMOTED_STAGING, PROMOTED_PROD, REJECTED.
    The GitOps repositories are compared with what was promoted. Exit code 1 if they differ, a
    blocked digest runs or a live draft's file was deleted; 4 if a repository could not be read.
    """
    seen = _seen(session, observations)
    return write_list(session, None, seen) if draft is None else write_one(session, draft, seen)


def _seen(session: Session, observations: Path | None) -> Sequence[Finding]:
    """Findings about the observations in this file."""
    if observations is None:
        return ()
    from pipeline.cli.observe import read_report

    engine = session.engine()
    report, read_at = read_report(observations, engine.tools.clock())
    found = engine.observe(report.observations, listed=(), read_at=read_at)
    return (*report.findings, *(f for item in found.judged for f in item.findings))


def write_one(session: Session, draft: str, seen: Sequence[Finding] = ()) -> int:
    """Write one draft's status, and below it the findings `seen`."""
    from pipeline.control.reading import open_state
    from pipeline.errors import CouldNotCheck
    from pipeline.render.status import render_status
    from pipeline.render.style import Style
    from pipeline.render.text import render_text
    from pipeline.state.statuses import (
        read_environments,
        read_standing_findings,
        read_status_document,
    )

    state = open_state(session.directory)
    document = read_status_document(state, draft)
    try:
        found = _look(session, [document], whole=False)
        environments = read_environments(state)
        text = render_status(document, environments, found.beside, Style(session.colour))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CouldNotCheck(
            f"the status of `{draft}` is damaged", help="`pipeline audit verify` says where"
        ) from error
    wrong = tuple(dict.fromkeys((*read_standing_findings(state, [document]), *seen)))
    if session.is_json:
        session.write_document(dict(document))
        for line in found.lines:
            session.note(line)
        complain(render_text(wrong))
    else:
        session.write(_with(text, wrong))
    return found.exit_code or _exit_code(wrong)


def _exit_code(found: Sequence[Finding]) -> int:
    """The exit code: 1 for errors, 0 if there are only warnings."""
    return 1 if any(finding.severity == "error" for finding in found) else 0


def _with(text: str, found: Sequence[Finding]) -> str:
    """A status, and below it the findings about standing drafts."""
    from pipeline.render.text import render_text

    return f"{text}\n{render_text(found)}" if found else text


def write_list(session: Session, tenant: str | None, seen: Sequence[Finding] = ()) -> int:
    """Write the statuses of all drafts, or of one tenant's, and below them the findings `seen`."""
    from pipeline.control.reading import open_state
    from pipeline.errors import CouldNotCheck, Failure
    from pipeline.models.base import API_VERSION
    from pipeline.render.report import finding_values
    from pipeline.render.status import render_statuses
    from pipeline.render.style import Style
    from pipeline.state.statuses import (
        read_environments,
        read_requested,
        read_standing_findings,
        read_status_documents,
    )

    state = open_state(session.directory)
    documents, damaged = read_status_documents(state, tenant)
    requested = read_requested(state, tenant)
    said = "its status is damaged; `pipeline audit verify` says where"
    failures = [Failure(draft, CouldNotCheck.code, said) for draft in damaged]
    try:
        # An unreadable status may belong to any overlay, so unknown overlays are not foreign.
        found = _look(session, documents, whole=tenant is None and not damaged, failures=failures)
        known = {document["id"] for document in documents} | set(damaged)
        waiting = [draft for draft in requested if draft not in known]
        environments = read_environments(state)
        style = Style(session.colour)
        text = render_statuses(documents, environments, waiting, found.beside, style)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CouldNotCheck(
            "a status is damaged", help="`pipeline audit verify` says which"
        ) from error
    wrong = tuple(dict.fromkeys((*read_standing_findings(state, documents), *seen)))
    if session.is_json:
        session.write_document(
            {
                "apiVersion": API_VERSION,
                "kind": "DraftStatusList",
                "items": [dict(document) for document in documents],
                "requested": waiting,
                **found.document,
                "findings": [finding_values(finding) for finding in wrong],
            }
        )
    else:
        session.write(_with(text, wrong))
    return found.exit_code or _exit_code(wrong)


@dataclass(frozen=True)
class Looked:
    """The result of a look at GitOps repositories."""

    beside: Beside

    @property
    def exit_code(self) -> int:
        """4 if something could not be read, 1 if something differs from what was promoted."""
        if self.beside.failures:
            return 4
        return 1 if self.beside.incidents else 0

    @property
    def lines(self) -> Sequence[str]:
        """One line for each problem."""
        from pipeline.render.status import beside_lines

        return beside_lines(self.beside)

    @property
    def document(self) -> Mapping[str, object]:
        """The fields of a list's document."""
        names = ("repo", "path", "code", "message")
        return {
            "incidents": [
                {**dict(zip(names, incident, strict=True)), "put_back": False}
                for incident in self.beside.incidents
            ],
            "failures": [
                {"draft": subject, "code": code, "message": message}
                for subject, code, message in self.beside.failures
            ],
        }


def _look(
    session: Session,
    documents: Sequence[Mapping[str, Any]],
    *,
    whole: bool,
    failures: Sequence[Failure] = (),
) -> Looked:
    """The GitOps repositories of these drafts, compared with what was recorded."""
    from pipeline.control.reading import open_gitops
    from pipeline.errors import CouldNotCheck, Failure
    from pipeline.gitops.statuses import read_unsealed
    from pipeline.render.status import Beside

    open_one = open_gitops(session.directory)
    if open_one is None:
        return Looked(Beside(is_checked=False, failures=tuple(failures)))
    unsealed = read_unsealed(open_one, documents, whole=whole)
    unread = [Failure(r, CouldNotCheck.code, why) for r, why in unsealed.items() if why]
    foreign = [repo for repo, why in unsealed.items() if not why]
    incidents: list[tuple[str, str, str, str]] = []
    if foreign:
        # Only now the slow part: which paths differ, and whether only their fact is missing.
        found, unjudged = session.engine().reader.gitops_incidents(foreign)
        incidents = [(i.repo, i.path, i.code, i.message) for i in found]
        known = {failure.subject for failure in failures}
        unread += [failure for failure in unjudged if failure.subject not in known]
    return Looked(Beside(True, tuple(incidents), (*failures, *unread)))
