"""`pipeline catalog`: writes the portal's catalogue from the control repo."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.session import Session, format_option, pass_session


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to write.  [default: service_catalog/ of the control checkout]",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file is out of date.")
@format_option("text", "json")
@pass_session
def catalog(session: Session, out: Path | None, check: bool) -> int:
    """Write the portal's catalogue of tenants, teams, systems and repositories.

    Generated from the requests in the work tree. Files of removed tenants are deleted, other files
    are left alone.
    """
    from pipeline.control.checkout import find_checkout
    from pipeline.control.repo import read_worktree_snapshot
    from pipeline.errors import UsageFault
    from pipeline.models.outputs import CatalogueFiles
    from pipeline.render.catalogue import FOLDER, render_catalogue

    top = find_checkout(session.directory.resolve())
    reading = read_worktree_snapshot(top)
    platform = reading.snapshot.platform
    if platform is None or any(f.severity == "error" for f in reading.findings):
        raise UsageFault(
            "a request or policy file is invalid, so the catalogue would lack something",
            help="`pipeline validate --worktree` says what",
        )
    folder = out or top / FOLDER
    wanted = render_catalogue(reading.snapshot, platform)
    there = {path: folder / path for path in wanted}
    gone = [
        path for path in sorted((folder / "tenants").glob("*.yaml")) if path not in there.values()
    ]
    stale = [
        name
        for name, path in there.items()
        if not path.is_file() or path.read_bytes() != wanted[name]
    ]
    if not check:
        for name in stale:
            there[name].parent.mkdir(parents=True, exist_ok=True)
            there[name].write_bytes(wanted[name])
        for path in gone:
            path.unlink()
    removed = [f"tenants/{path.name}" for path in gone]
    if session.is_json:
        session.write_document(
            CatalogueFiles(
                folder=str(folder),
                files=tuple(sorted(wanted)),
                changed=tuple(stale),
                removed=tuple(removed),
            )
        )
    else:
        word = "stale" if check else "wrote"
        session.write("".join(f"{word:<8} {name}\n" for name in stale))
        session.write(
            "".join(f"{'surplus' if check else 'removed':<8} {name}\n" for name in removed)
        )
        session.write(
            f"✓ {len(wanted)} files in {folder}\n" if not (check and (stale or gone)) else ""
        )
    return 1 if check and (stale or gone) else 0
