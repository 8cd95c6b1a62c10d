"""`pipeline authority`: who may ask for a change of the control repo, and who must approve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.models.outputs import AuthorityRow


@click.command()
@click.argument("paths", nargs=-1)
@click.option(
    "--code-owners",
    is_flag=True,
    help="Print a CODEOWNERS file for these rules, as far as the format allows.",
)
@format_option("text", "json")
@pass_session
def authority(session: Session, paths: tuple[str, ...], code_owners: bool) -> int:
    """Show who may request a change of PATHS, and who must approve it.

    PATHS are existing or new files of the control repo; without any, all kinds of change are
    listed. Uses the policy at HEAD, as for a pull request.
    """
    if code_owners and paths:
        raise click.UsageError("--code-owners takes no paths")
    if code_owners:
        return _write_code_owners(session)
    from pipeline.gate.matters import TABLE
    from pipeline.models.outputs import AuthorityDocument, AuthorityRow

    if paths:
        rows = _rows_of(session, paths)
    else:
        rows = tuple(
            AuthorityRow(kind=r.kind, path=r.paths, asks=r.asks, approves=(r.approves,))
            for r in TABLE
        )
    document = AuthorityDocument(rows=rows)
    if session.is_json:
        session.write_document(document)
        return 0
    for row in document.rows:
        session.write(f"{row.path.replace('`', '')}\n")
        session.write(f"  is          {row.kind}\n")
        session.write(f"  asked by    {row.asks}\n")
        for line in row.approves:
            session.write(f"  approved by {line}\n")
    return 0


def _rows_of(session: Session, paths: tuple[str, ...]) -> tuple[AuthorityRow, ...]:
    from pipeline.control.checkout import find_checkout
    from pipeline.control.repo import read_sides
    from pipeline.gate.authority import describe_askers
    from pipeline.gate.matters import matters_of
    from pipeline.git.repository import GitRepository
    from pipeline.models.outputs import AuthorityRow

    git = GitRepository(find_checkout(session.directory.resolve()))
    head = git.resolve_commit("HEAD")
    (policy,) = read_sides(git, [head], paths)
    if policy.platform is None:
        raise UsageFault(
            "environments/platform.yaml is missing or invalid at HEAD, so no account is known",
            help="see `pipeline validate`",
        )
    return tuple(
        AuthorityRow(
            kind=matter.kind,
            path=matter.path,
            asks=describe_askers(matter),
            approves=tuple(
                f"{asked.count} of {' or '.join(asked.teams) or 'nobody'}"
                for asked in matter.approvals
            ),
        )
        for matter in matters_of(paths, policy, policy)
    )


def _write_code_owners(session: Session) -> int:
    from pipeline.control.checkout import find_checkout
    from pipeline.control.repo import read_worktree_snapshot
    from pipeline.render.code_owners import render_code_owners

    snapshot = read_worktree_snapshot(find_checkout(session.directory.resolve())).snapshot
    try:
        content = render_code_owners(snapshot)
    except ValueError as error:
        raise UsageFault(str(error), help="see `pipeline validate --worktree`") from error
    session.write(content.decode())
    return 0
