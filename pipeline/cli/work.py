"""`pipeline due`, `perform` and `push`: checks and builds in jobs of their own, between two runs.

`due` needs the right to read, `perform` none at all, `push` the registry's; `pipeline run
--evidence` records what came of it, with the right to write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.runs import Shard, ShardType, stage_option
from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.models.evidence import BuildRecord
    from pipeline.plan import BuildImage, Plan, RunChecks
    from pipeline.work import Evidence

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@stage_option
@click.option("--tenant", "tenants", multiple=True, metavar="ID", help="Only this tenant.")
@click.option("--shard", type=ShardType(), help="Only the i-th of n shares of the tenants.")
@click.option("--out", type=_FOLDER, metavar="DIR", help="Write checks and builds, with sources.")
@click.option(
    "--matrix",
    type=click.Choice(("tenants", "work")),
    help="Print the jobs of a matrix over these, on one line.",
)
@format_option("text", "json")
@pass_session
def due(
    session: Session,
    stages: tuple[str, ...],
    tenants: tuple[str, ...],
    shard: Shard | None,
    out: Path | None,
    matrix: str | None,
) -> int:
    """Say what is due, for which tenants, and take out what tools need.

    Nothing is written to the forge. Tenants that were seen to have nothing due are not looked at.
    """
    from pipeline.wiring import restrict
    from pipeline.work import due_work, tenant_matrix, work_matrix

    engine = session.engine()
    restrict(engine, stages, None)
    plan = engine.plan_due(tenants=tenants or None, shard=shard)
    work = due_work(plan)
    if out is not None:
        from pipeline.workfiles import write_work

        write_work(out, work, engine.forge)
    if matrix is not None:
        jobs = tenant_matrix(plan) if matrix == "tenants" else work_matrix(work.items)
        session.write(json.dumps(jobs, separators=(",", ":")) + "\n")
    elif session.is_json:
        session.write_document(work)
    else:
        session.write(_due_text(plan, out))
    return 0


def _due_text(plan: Plan, out: Path | None) -> str:
    from pipeline.characters import visible
    from pipeline.plan import describe

    if not plan.tenants:
        return "nothing is due\n"
    lines = []
    for tenant in plan.tenants:
        lines.append(f"{tenant.tenant}")
        lines += [f"  {visible(describe(effect))}" for effect in tenant.effects]
        lines += [f"  {draft}: {code}: {visible(said)}" for draft, code, said in tenant.failures]
    if out is not None:
        lines.append(f"written  {out}")
        lines.append(f"next     `pipeline perform --work {out} --out evidence`")
    return "".join(f"{line}\n" for line in lines)


@click.command()
@click.option("--work", type=_FOLDER, required=True, metavar="DIR", help="What `due` wrote.")
@click.option("--out", type=_FOLDER, required=True, metavar="DIR", help="Where evidence goes.")
@click.option("--key", "keys", multiple=True, help="Only this piece of work.  [default: all]")
@pass_session
def perform(session: Session, work: Path, out: Path, keys: tuple[str, ...]) -> int:
    """Perform checks and builds that are due, without any credential.

    A check that fails is evidence as well; the exit code is 4 if one could not be performed.
    """
    from pipeline.errors import CouldNotCheck
    from pipeline.plan import describe
    from pipeline.workfiles import read_work, write_evidence

    items = {item.key: item for item in read_work(work).items}
    for key in keys:
        if key not in items:
            raise UsageFault(f"`{work}` holds no work of the key `{key}`")
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


def _perform(item: RunChecks | BuildImage, work: Path, out: Path) -> Evidence:
    from pipeline.plan import RunChecks
    from pipeline.wiring import check_runner
    from pipeline.work import Evidence
    from pipeline.workfiles import read_source

    files = read_source(work, item.tree)
    if isinstance(item, RunChecks):
        return Evidence(item=item, report=check_runner(item, files))
    return Evidence(item=item, build=_build(item, files, out))


def _build(item: BuildImage, files: dict[str, tuple[int, bytes]], out: Path) -> BuildRecord:
    from pipeline.builders.images import LayoutStore
    from pipeline.wiring import builder_into
    from pipeline.workfiles import IMAGE, images_folder

    record = builder_into(LayoutStore(images_folder(out, item.key))).build(
        files,
        image=IMAGE,
        source_commit=item.commit,
        source_tree=item.tree,
        labels=item.labels,
    )
    return record.model_copy(update={"image": item.image})


def _evidence_text(evidence: Evidence) -> str:
    if evidence.report is None:
        said = f"built {evidence.build.digest}" if evidence.build else ""
    else:
        said = ", ".join(f"{r.name} {r.outcome}" for r in evidence.report.results)
    return f"{evidence.item.draft}  {said}\n"


@click.command()
@click.option("--evidence", type=_FOLDER, required=True, metavar="DIR", help="What was performed.")
@pass_session
def push(session: Session, evidence: Path) -> int:
    """Bring images that were built into the registry.

    An image that is there already for the same source wins: a source has one image, ever.
    """
    from pipeline.errors import Refused
    from pipeline.wiring import forge_root, image_store
    from pipeline.workfiles import push_images

    engine = session.engine()
    platform = engine.reading(engine.control.head())[0].snapshot.platform
    if platform is None:
        raise Refused("environments/platform.yaml is missing or invalid")
    for record in push_images(evidence, image_store(platform, forge_root(engine.control))):
        session.write(f"{record.image}@{record.digest}\n")
    return 0
