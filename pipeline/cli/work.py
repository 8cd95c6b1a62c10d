"""`pipeline due`, `perform` and `push`: checks and builds in separate jobs, between two runs.

`due` needs read access, `perform` no access at all, `predicate` and `push` access to the registry
and the right to attest; `pipeline run --evidence` records the results, with write access.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.runs import Shard, ShardType, stage_option
from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault
from pipeline.git.objects import Files

if TYPE_CHECKING:
    from pipeline.jobs.work import WorkEvidence
    from pipeline.models.evidence import BuildRecord
    from pipeline.plan.effects import BuildImage, Plan, RunChecks

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@stage_option
@click.option("--tenant", "tenants", multiple=True, metavar="ID", help="Only this tenant.")
@click.option("--shard", type=ShardType(), help="Only share I of N of the tenants.")
@click.option(
    "--out",
    type=_FOLDER,
    metavar="DIR",
    help="Write pending checks and builds, with their sources.",
)
@click.option(
    "--matrix",
    "matrices",
    multiple=True,
    type=click.Choice(("tenants", "work", "builds")),
    help="Print `NAME=` and a job matrix over these, on one line.",
)
@format_option("text", "json")
@pass_session
def due(
    session: Session,
    stages: tuple[str, ...],
    tenants: tuple[str, ...],
    shard: Shard | None,
    out: Path | None,
    matrices: tuple[str, ...],
) -> int:
    """List pending checks and builds per tenant and export their sources.

    Writes nothing to the forge and skips tenants known to be idle. Exit code 4 if a draft or tenant
    could not be read; with --matrix only if nothing else is due: otherwise the others get their
    jobs and that tenant's job fails.
    """
    from pipeline.characters import visible
    from pipeline.engine.opening import restrict
    from pipeline.jobs.work import build_matrix, due_work, tenant_matrix, work_matrix

    engine = restrict(session.engine(), stages, None)
    plan = engine.plan_due(tenants=tenants or None, shard=shard)
    work = due_work(plan)
    failures = [failure for tenant in plan.tenants for failure in tenant.failures]
    if out is not None:
        from pipeline.jobs.files import write_work

        work, unread = write_work(out, work, engine.forge)
        failures += unread
    warnings = [warning for tenant in plan.tenants for warning in tenant.warnings]
    for draft, code, message in (*failures, *warnings):
        session.note(f"  {draft}: {code}: {visible(message)}")
    jobs = {
        "tenants": tenant_matrix(plan),
        "work": work_matrix(work.items),
        "builds": build_matrix(work.items),
    }
    for name in matrices:
        session.write(f"{name}={json.dumps(jobs[name], separators=(',', ':'))}\n")
    if matrices:
        return 4 if failures and plan.is_empty else 0
    if session.is_json:
        session.write_document(work)
    else:
        session.write(_due_text(plan, out))
    return 4 if failures else 0


def _due_text(plan: Plan, out: Path | None) -> str:
    from pipeline.characters import visible
    from pipeline.plan.effects import describe

    if not plan.tenants:
        return "nothing is due\n"
    lines = []
    for tenant in plan.tenants:
        lines.append(f"{tenant.tenant}")
        lines += [f"  {visible(describe(effect))}" for effect in tenant.effects]
    if out is not None:
        lines.append(f"written  {out}")
        lines.append(f"next     `pipeline perform --work {out} --out evidence`")
    return "".join(f"{line}\n" for line in lines)


@click.command()
@click.option(
    "--work", type=_FOLDER, required=True, metavar="DIR", help="Folder that `pipeline due` wrote."
)
@click.option("--out", type=_FOLDER, required=True, metavar="DIR", help="Folder for the evidence.")
@click.option(
    "--key", "keys", multiple=True, help="Only the check or build with this key.  [default: all]"
)
@pass_session
def perform(session: Session, work: Path, out: Path, keys: tuple[str, ...]) -> int:
    """Run pending checks and builds, without credentials.

    Failed checks and builds over their limits are evidence too. Exit code 4 if one could not run.
    """
    from pipeline.errors import CouldNotCheck
    from pipeline.jobs.files import read_work, write_evidence
    from pipeline.plan.effects import describe

    items = {item.key: item for item in read_work(work).items}
    for key in keys:
        if key not in items:
            raise UsageFault(f"`{work}` has no work with the key `{key}`")
    failed = 0
    for key in keys or tuple(items):
        session.note(f"  {describe(items[key])}")
        try:
            evidence = _perform(items[key], work, out)
        except CouldNotCheck as error:
            session.write(f"{describe(items[key])}: {error.code}: {error.message}\n")
            failed += 1
            continue
        write_evidence(out, evidence)
        session.write(_evidence_text(evidence))
    return 4 if failed else 0


def _perform(item: RunChecks | BuildImage, work: Path, out: Path) -> WorkEvidence:
    from pipeline.engine.opening import check_runner
    from pipeline.errors import OverBound
    from pipeline.jobs.files import read_source
    from pipeline.jobs.work import WorkEvidence
    from pipeline.plan.effects import RunChecks
    from pipeline.stages.build import refused_build
    from pipeline.stages.checks import refused_report

    try:
        files = read_source(work, item.tree)
        if isinstance(item, RunChecks):
            return WorkEvidence(item=item, report=check_runner(item, files))
        return WorkEvidence(item=item, build=_build(item, files, out))
    except OverBound as error:
        if isinstance(item, RunChecks):
            return WorkEvidence(item=item, report=refused_report(item, error))
        return WorkEvidence(item=item, refused=refused_build(error))


def _build(item: BuildImage, files: Files, out: Path) -> BuildRecord:
    from pipeline.engine.opening import maker_of_machine
    from pipeline.images.port import source_tag
    from pipeline.images.sbom import sbom_of
    from pipeline.images.stores import LayoutStore
    from pipeline.jobs.files import IMAGE, images_folder
    from pipeline.models.base import CommitId, TreeId
    from pipeline.models.evidence import BuildRecord

    # An unreadable lock file is a refusal here; in the job that pushes it would be an error.
    sbom_of(files, image=item.image, tree=item.tree)
    maker = maker_of_machine()
    made = maker.make(files, item.labels)
    store = LayoutStore(images_folder(out, item.key))
    return BuildRecord(
        source_commit=CommitId(item.commit),
        source_tree=TreeId(item.tree),
        digest=store.write_image(IMAGE, source_tag(item.tree), made),
        builder=maker.name,
        image=item.image,
    )


def _evidence_text(evidence: WorkEvidence) -> str:
    if evidence.build is not None:
        said = f"built {evidence.build.digest}"
    elif evidence.refused is not None:
        said = f"refused {evidence.refused.code}: {evidence.refused.message}"
    elif evidence.report is not None:
        said = ", ".join(f"{r.name} {r.outcome}" for r in evidence.report.results)
    return f"{evidence.item.draft}  {said}\n"


_WORK = click.option(
    "--work", type=_FOLDER, required=True, metavar="DIR", help="Folder that `pipeline due` wrote."
)
_EVIDENCE = click.option(
    "--evidence",
    type=_FOLDER,
    required=True,
    metavar="DIR",
    help="Folder that `pipeline perform` wrote.",
)


@click.command()
@_WORK
@_EVIDENCE
@click.option("--key", required=True, help="Key of the build to attest.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="File for the predicate.",
)
@pass_session
def predicate(session: Session, work: Path, evidence: Path, key: str, out: Path) -> int:
    """Write the SLSA provenance predicate of a built image.

    Prints `name=` (image), `digest=` and `type=` (predicate type) for the attesting step; nothing
    for a refused build. The builder is the running workflow (GITHUB_WORKFLOW_REF).
    """
    from pipeline.forges.github.workflow_run import workflow_run
    from pipeline.images.provenance import predicate_of
    from pipeline.jobs.files import read_evidence, read_made
    from pipeline.models.provenance import PREDICATE_TYPE

    run = workflow_run(os.environ)
    for made in read_made(work, evidence, (key,)):
        stated = predicate_of(made.claim, run.builder, run.invocation)
        out.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")
        session.write(f"name={made.source.image}\ndigest={made.image.digest}\n")
        session.write(f"type={PREDICATE_TYPE}\n")
        return 0
    if read_evidence(evidence)[key].refused is not None:
        return 0
    raise UsageFault(f"`{evidence}` has no image with the key `{key}` that is due in `{work}`")


@click.command()
@_WORK
@_EVIDENCE
@click.option("--key", "keys", multiple=True, help="Only this build.  [default: all]")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="FILE",
    help="Attestation of this build, instead of signing here.",
)
@pass_session
def push(
    session: Session, work: Path, evidence: Path, keys: tuple[str, ...], bundle: Path | None
) -> int:
    """Push built images to the registry, each with its provenance and SBOM.

    An image that the registry already has for the same source is kept: a source has one image,
    ever. Every image needs provenance signed by a signer in environments/signers.yaml.
    """
    from pipeline.engine.opening import attest_here, forge_root, image_store
    from pipeline.images.attesting import Attest
    from pipeline.jobs.files import push_made, read_made
    from pipeline.tools.bundlecheck import verify_bundle

    if bundle is not None and len(keys) != 1:
        raise UsageFault("`--bundle` is for one build", help="name it with `--key`")
    engine = session.engine()
    snapshot = engine.snapshot()
    root = forge_root(engine.control)
    text = bundle.read_text(encoding="utf-8", errors="replace").strip() if bundle else ""
    attest: Attest | None = (lambda claim: text) if bundle else None
    store = image_store(snapshot, root)
    for made in read_made(work, evidence, keys):
        attest = attest or attest_here(snapshot, root)
        record = push_made(made, evidence, store, attest, snapshot.signers, verify_bundle)
        session.write(f"{record.image}@{record.digest}\n")
    return 0


@click.command("signing-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_session
def signing_key(session: Session, file: Path) -> int:
    """Create a signing key for provenance, or read FILE, and print its public part.

    Prints an entry for `environments/signers.yaml`. Workflows on GitHub need no key.
    """
    from pipeline.documents import render_document
    from pipeline.images.signing import SigningKey

    key = SigningKey.read(file) if file.exists() else SigningKey.create(file)
    entry = {"signers": [{"name": "workspace", "public_key": key.public_key}]}
    session.write(render_document(entry).decode())
    return 0
