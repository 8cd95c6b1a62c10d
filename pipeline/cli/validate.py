"""`pipeline validate`: judges the requests of a commit or of the work tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import FORMATS, Session, dump, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.control.repo import SnapshotReading
    from pipeline.diagnostics import Finding
    from pipeline.git.repository import GitRepository
    from pipeline.models.outputs import AskedItem


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--since", metavar="REV", help="Only requests that changed since this revision.")
@click.option("--commit", metavar="REV", help="The revision to validate.  [default: HEAD]")
@click.option(
    "--author",
    type=int,
    metavar="ID",
    help="Account id of the pull request's author: bots may only change drafts of their tenants.",
)
@click.option(
    "--worktree", is_flag=True, help="Validate the files in the work tree, committed or not."
)
@format_option(*FORMATS)
@pass_session
def validate(
    session: Session,
    paths: tuple[str, ...],
    since: str | None,
    commit: str | None,
    author: int | None,
    worktree: bool,
) -> int:
    """Validate requests; show every finding with its position and fix.

    PATHS are files or folders of the control repo; by default all requests. What they depend on is
    read too. Exit code: 0 valid, 1 invalid, 4 could not check.
    """
    _check_options(paths, since, commit, author, worktree=worktree)
    from pipeline.control.checkout import find_checkout
    from pipeline.diagnostics import Verdict, verdict_of
    from pipeline.engine.judge_patches import without_secrets
    from pipeline.git.repository import GitRepository
    from pipeline.machine.clock import read_clock
    from pipeline.stages.validate import check_requests
    from pipeline.templates import LazyTemplates

    top = find_checkout(session.directory.resolve())
    git = GitRepository(top)
    wanted = tuple(_request_path(top, path) for path in paths)
    revision = "" if worktree else git.resolve_commit(commit or "HEAD")
    reading = _read(top, git, revision, since, wanted)
    changed = git.diff_names(git.resolve_commit(since), revision) if since and revision else ()
    found = check_requests(
        reading.reads,
        reading.findings,
        reading.snapshot,
        LazyTemplates(),
        asked=changed,
        now_s=read_clock(),
    )
    if author is not None and since:
        from pipeline.world.revisions import check_asker

        base = git.resolve_commit(since)
        found = (*found, *check_asker(git, author, base, revision, changed))
    if since and revision:
        found = (*found, *_secrets(git, revision, changed, reading))
    if revision and not commit and not wanted:
        from pipeline.state.statuses import read_deleted

        found = (*found, *read_deleted(git, revision, reading.snapshot.blobs))
    if wanted:
        found = tuple(f for f in found if _is_below(f.location.file, wanted))
    sources = without_secrets(_sources(git, revision, reading, found), found)
    asked: tuple[AskedItem, ...] = ()
    if session.format == "json" and since and changed:
        asked = _asked(git, since, revision, changed, reading)
    _write(session, found, sources, reading, asked)
    verdict = verdict_of(found)
    return {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.COULD_NOT_CHECK: 4}[verdict]


def _check_options(
    paths: tuple[str, ...],
    since: str | None,
    commit: str | None,
    author: int | None,
    *,
    worktree: bool,
) -> None:
    """Raise UsageError for options that do not go together."""
    if worktree and (since or commit):
        raise click.UsageError("--worktree goes with neither --since nor --commit")
    if paths and since:
        raise click.UsageError("name either paths or --since")
    if author is not None and not since:
        raise click.UsageError("--author goes with --since")


def _asked(
    git: GitRepository, since: str, revision: str, changed: Sequence[str], reading: SnapshotReading
) -> tuple[AskedItem, ...]:
    """What the changed files ask for."""
    from pipeline.engine.judge import read_before
    from pipeline.engine.judge_patches import read_changed_files
    from pipeline.requests.asked import asked_of

    now = read_changed_files(git, revision, changed)
    before = read_before(git, git.resolve_commit(since), changed, now)
    return asked_of(changed, reading.snapshot, before)


def _read(
    top: Path, git: GitRepository, revision: str, since: str | None, wanted: Sequence[str]
) -> SnapshotReading:
    from pipeline.control.repo import read_request_blobs, read_snapshot, read_worktree_snapshot

    if not revision:
        reading = read_worktree_snapshot(top)
        known: Mapping[str, str] = reading.snapshot.blobs
    elif since:
        return read_snapshot(git, revision, since=git.resolve_commit(since))
    elif not wanted:
        return read_snapshot(git, revision)
    else:
        known = read_request_blobs(git, revision)
        chosen = [p for p in known if _is_below(p, wanted)]
        reading = read_snapshot(git, revision, paths=chosen)
    for path in wanted:
        if not any(_is_below(p, (path,)) for p in known):
            raise UsageFault(
                f"there is no request at `{path}`",
                help="paths count from the top of the control repo; "
                "--worktree sees files that are not committed yet",
            )
    return reading


def _secrets(
    git: GitRepository, revision: str, changed: Sequence[str], reading: SnapshotReading
) -> tuple[Finding, ...]:
    """Credentials in changed files; `pipeline comment` also searches the results of patches."""
    from pipeline.engine.judge_patches import patches_of, read_changed_files, read_written_secrets
    from pipeline.engine.opening import secret_hits

    files = read_changed_files(git, revision, changed)
    return read_written_secrets(secret_hits, patches_of(reading.reads, changed), files)


def _request_path(top: Path, given: str) -> str:
    """A path in the control repo, from one relative to its top or to the current folder."""
    path = Path(given)
    here = path if path.is_absolute() else Path.cwd() / path
    if path.is_absolute() or here.exists():
        whole = here.resolve()
        if whole == top:
            return ""
        if whole.is_relative_to(top):
            return whole.relative_to(top).as_posix()
    if path.is_absolute() or ".." in path.parts:
        raise UsageFault(f"`{given}` is not in the control repo")
    return path.as_posix().rstrip("/")


def _is_below(path: str, wanted: Sequence[str]) -> bool:
    return any(not w or path == w or path.startswith(f"{w}/") for w in wanted)


def _sources(
    git: GitRepository, revision: str, reading: SnapshotReading, found: Sequence[Finding]
) -> dict[str, str]:
    """The text of every file that a finding points to."""
    contents = dict(reading.sources)
    named = [p for p in {f.location.file: 0 for f in found} if p not in contents]
    if revision and named:
        for path, item in zip(
            named, git.read_objects([f"{revision}:{p}" for p in named]), strict=True
        ):
            if item is not None:
                contents[path] = item.content
    return {path: content.decode("utf-8", "replace") for path, content in contents.items()}


def _write(
    session: Session,
    found: Sequence[Finding],
    sources: Mapping[str, str],
    reading: SnapshotReading,
    asked: Sequence[AskedItem],
) -> None:
    from pipeline.render.github import render_github
    from pipeline.render.report import validation_report
    from pipeline.render.sarif import render_sarif
    from pipeline.render.text import render_summary, render_terminal

    if session.format == "json":
        items = [dump(item) for item in asked]
        session.write_document({**validation_report(found), "asked": items})
    elif session.format == "sarif":
        session.write(render_sarif(found, sources))
    elif session.format == "github":
        session.write(render_github(found))
    else:
        session.write(render_terminal(found, sources, colour=session.colour))
        mark = "✗" if any(f.severity == "error" for f in found) else "✓"
        gap = "\n" if found else ""
        session.write(f"{gap}{mark} {len(reading.reads)} requests, {render_summary(found)}\n")
