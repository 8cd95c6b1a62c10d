"""`pipeline audit`: a draft's history, and its proof from clones alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault
from pipeline.models.base import Moment, digest_of

if TYPE_CHECKING:
    from pipeline.audit import OpenRepository
    from pipeline.git.repository import GitRepository


@click.group()
def audit() -> None:
    """Show a draft's history; prove all history from clones."""


@audit.command()
@click.argument("draft", metavar="DRAFT")
@format_option("text", "json")
@pass_session
def log(session: Session, draft: str) -> int:
    """Show a draft's facts in order, with the hash chain checked."""
    from pipeline.errors import Refused
    from pipeline.models.draft_id import parse_draft_id
    from pipeline.render.audit import render_log
    from pipeline.render.style import Style
    from pipeline.state.facts import BrokenChain

    try:
        facts = session.engine().facts(parse_draft_id(draft))
    except BrokenChain as broken:
        raise Refused(
            str(broken), help="`pipeline audit verify` shows all that is wrong"
        ) from broken
    if session.is_json:
        from pipeline.models.outputs import AuditLog

        session.write_document(AuditLog(draft=draft, facts=facts))
    else:
        session.write(render_log(draft, facts, Style(session.colour)))
    return 0


@audit.command()
@click.option(
    "--clones",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with clones of the repositories in the facts.  [default: the local forge]",
)
@click.option("--full", is_flag=True, help="Verify everything again.")
@click.option("--no-remember", is_flag=True, help="Don't write refs/verified/ to the clones.")
@format_option("text", "json", "sarif")
@pass_session
def verify(session: Session, clones: Path | None, full: bool, no_remember: bool) -> int:
    """Prove the whole history by recomputing every fact.

    The report ends with what was proved, and what rests on trust in whom. With --clones no forge is
    asked; the control clone is the one here (or at -C). Clones remember verified heads
    (refs/verified/): later heads must descend from them, and verified history is not read again by
    the same tool and policy. Exit code 0 if everything holds, 1 with unacknowledged findings, 4 if
    something could not be read.
    """
    from pipeline.audit import verify as verify_history
    from pipeline.diagnostics import Verdict
    from pipeline.render.audit import audit_report_document, render_audit_summary
    from pipeline.render.sarif import render_sarif
    from pipeline.render.style import Style
    from pipeline.render.text import render_terminal

    control, open_repository = _sources(session, clones)
    report = verify_history(control, open_repository, full=full, remember=not no_remember)
    if session.is_json:
        session.write_document(audit_report_document(report))
    elif session.format == "sarif":
        session.write(render_sarif(report.findings))
    else:
        session.write(render_terminal(report.findings, colour=session.colour))
        gap = "\n" if report.findings else ""
        session.write(gap + render_audit_summary(report, Style(session.colour)))
    return {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.COULD_NOT_CHECK: 4}[report.verdict]


@audit.command()
@click.option("--env", "environment", required=True, metavar="ENV", help="The environment.")
@click.option("--tenant", metavar="ID", help="Only this tenant's.")
@click.option("--since", metavar="DATE", help="All promotions since: `2026-12-01`, in UTC.")
@format_option("text", "json", "csv", "html")
@pass_session
def report(session: Session, environment: str, tenant: str | None, since: str | None) -> int:
    """Show who approved what an environment runs, when, and on which evidence.

    With --since, every promotion since that day rather than only what runs now. It reads facts;
    `pipeline audit verify` proves them. `--format html` writes a page that prints.
    """
    from pipeline.models.decisions import ApprovalsReport
    from pipeline.render.approvals import (
        promoted_items,
        render_approvals_csv,
        render_approvals_page,
        render_approvals_report,
    )
    from pipeline.render.style import Style

    engine = session.engine()
    snapshot = engine.snapshot()
    if environment not in snapshot.environments:
        known = ", ".join(f"`{name}`" for name in snapshot.environments)
        raise UsageFault(f"there is no environment `{environment}`", help=f"there are {known}")
    if tenant is not None and tenant not in snapshot.tenant_ids:
        raise UsageFault(f"there is no tenant `{tenant}`")
    moment = _day_of(since) if since else None
    statuses = [s for s in engine.statuses() if tenant in (None, s.tenant_id)]
    items = [
        item
        for status in statuses
        if status.promotion(environment)
        for item in promoted_items(
            status, engine.facts(status.id), environment, snapshot.platform, since=moment
        )
    ]
    document = ApprovalsReport(
        environment=environment,
        tenant=tenant,
        since=moment,
        control_commit=snapshot.commit,
        promotions=tuple(items),
    )
    match session.format:
        case "json":
            session.write_document(document)
        case "csv":
            session.write(render_approvals_csv(document))
        case "html":
            session.write(render_approvals_page(document))
        case _:
            session.write(render_approvals_report(document, Style(session.colour)))
    return 0


def _day_of(text: str) -> Moment:
    from datetime import date

    try:
        return f"{date.fromisoformat(text).isoformat()}T00:00:00Z"
    except ValueError:
        raise UsageFault(f"`{text}` is no day", help="write it as `2026-12-01`") from None


_FILE = click.Path(dir_okay=False, path_type=Path)


@audit.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--sbom", type=_FILE, metavar="FILE", help="Write the newest image's SBOM.")
@click.option("--bundle", type=_FILE, metavar="FILE", help="Write the newest image's provenance.")
@pass_session
def provenance(session: Session, draft: str, sbom: Path | None, bundle: Path | None) -> int:
    """Show the provenance of a draft's images, with signatures verified.

    --bundle writes a Sigstore bundle that other tools can verify; --sbom writes CycloneDX JSON from
    the image store, checked against the attested digest. Exit code 1 if provenance is missing or
    not trusted.
    """
    from pipeline.api import get_draft_status
    from pipeline.engine.opening import forge_root, image_store
    from pipeline.errors import NotFound
    from pipeline.images.attesting import read_stated
    from pipeline.models.draft_id import parse_draft_id
    from pipeline.models.facts import Built
    from pipeline.render.audit import render_provenance
    from pipeline.render.style import Style

    engine = session.engine()
    facts = engine.facts(parse_draft_id(draft))
    records = [fact.body.build for fact in facts if isinstance(fact.body, Built)]
    snapshot = engine.snapshot()
    status = get_draft_status(engine, draft)
    stated = [read_stated(record, status, snapshot.signers) for record in records]
    session.write(render_provenance(draft, stated, Style(session.colour)))
    if (sbom or bundle) and not records:
        raise NotFound(f"no image of `{draft}` was built yet")
    if bundle is not None:
        bundle.write_text(records[-1].bundle + "\n", encoding="utf-8")
    if sbom is not None:
        store = image_store(snapshot, forge_root(engine.control))
        attached = store.read_attached(records[-1].image, records[-1].digest)
        if attached is None or digest_of(attached.sbom) != records[-1].sbom:
            raise NotFound(f"the store lacks the contents of {records[-1].digest}")
        sbom.write_bytes(attached.sbom)
    return 1 if any(one.problem for one in stated) else 0


def _sources(session: Session, clones: Path | None) -> tuple[GitRepository, OpenRepository]:
    from pipeline.control.checkout import find_checkout
    from pipeline.errors import NotFound
    from pipeline.git.repository import GitRepository

    if clones is None:
        control = session.control()

        def open_in_forge(repo: str) -> GitRepository | None:
            try:
                return control.forge.open_repository(repo)
            except NotFound:
                return None

        return control.open_repository(), open_in_forge
    if not clones.is_dir():
        raise UsageFault(f"there is no folder `{clones}`", help="clone the repositories into it")

    def open_clone(repo: str) -> GitRepository | None:
        # The name comes from facts, which are not verified yet.
        if not repo or "/" in repo or "\\" in repo or repo.startswith("."):
            return None
        for path, head in ((clones / repo, ".git"), (clones / f"{repo}.git", "HEAD")):
            if (path / head).exists():
                return GitRepository(path)
        return None

    return GitRepository(find_checkout(session.directory.resolve())), open_clone
