"""`pipeline policy`: the gates in force, and what a change of policy would decide otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.gate.in_force import PolicyFiles


_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """Show the gates in force, test them, and compare policies."""


@policy.command(name="explain")
@click.option("--env", "environment", metavar="ENV", help="Only this environment.")
@format_option("text", "json")
@pass_session
def explain_policy(session: Session, environment: str | None) -> int:
    """Show what each environment asks of a promotion, with the file and line that say so.

    Uses the policy at HEAD of this checkout, and the time of now.
    """
    from pipeline.control.checkout import find_checkout
    from pipeline.control.repo import read_snapshot
    from pipeline.gate.in_force import gates_of
    from pipeline.git.repository import GitRepository
    from pipeline.machine.clock import read_clock
    from pipeline.models.decisions import PolicyDocument
    from pipeline.render.policy import policy_document, render_policy
    from pipeline.render.style import Style

    git = GitRepository(find_checkout(session.directory.resolve()))
    commit = git.resolve_commit("HEAD")
    reading = read_snapshot(git, commit)
    names = list(reading.snapshot.environments)
    if environment is not None and environment not in names:
        known = ", ".join(f"`{name}`" for name in names)
        raise UsageFault(f"there is no environment `{environment}`", help=f"there are {known}")
    files = _files_of(reading.reads)
    now_s = read_clock()
    chosen = [environment] if environment is not None else names
    gates = {name: gates_of(files, name, now_s) for name in chosen}
    document: PolicyDocument = policy_document(commit, now_s, gates)
    if session.is_json:
        session.write_document(document)
    else:
        session.write(render_policy(document, Style(session.colour)))
    return 0


@policy.command(name="test")
@click.argument("folder", metavar="[DIR]", default="policy-tests", type=_FOLDER)
@format_option("text", "json")
@pass_session
def try_policy(session: Session, folder: Path) -> int:
    """Run the test cases in DIR against the policy in the work tree.

    Each case gives facts in short form and the decision that it expects; `pipeline schema
    PolicyCases` prints the form, docs/gate.md tells it. Exit code: 0 if every decision is the one
    expected, 1 if one is not or a case is malformed, 2 if there is no case.
    """
    from pipeline.control.checkout import find_checkout
    from pipeline.control.repo import read_worktree_snapshot
    from pipeline.errors import Refused
    from pipeline.policy.differences import is_policy
    from pipeline.policy.trial import read_case_files, try_cases
    from pipeline.render.policy_tests import render_policy_tests
    from pipeline.render.requests import finding_items
    from pipeline.render.style import Style
    from pipeline.render.text import render_terminal

    top = find_checkout(session.directory.resolve())
    files = read_case_files(folder if folder.is_absolute() else session.directory / folder)
    if not files:
        raise UsageFault(
            f"no case lies below `{folder}`", help="docs/gate.md shows how to write one"
        )
    reading = read_worktree_snapshot(top)
    broken = tuple(f for f in reading.findings if is_policy(f.location.file))
    if broken:
        raise Refused("the policy is not valid", broken)
    report, findings = try_cases(files, reading.reads, reading.snapshot)
    if session.is_json:
        session.write_document(report.model_copy(update={"findings": finding_items(findings)}))
    else:
        sources = {path: content.decode("utf-8", "replace") for path, content in files.items()}
        session.write(render_terminal(findings, sources, colour=session.colour))
        session.write(render_policy_tests(report, Style(session.colour)))
    return 1 if report.failed or findings else 0


@policy.command(name="diff")
@click.argument("base", metavar="BASE")
@click.argument("head", metavar="HEAD", default="HEAD")
@format_option("text", "json", "markdown")
@pass_session
def diff_policy(session: Session, base: str, head: str) -> int:
    """Show what the policy at HEAD would have decided otherwise than the one at BASE.

    Makes every recorded decision again, at its own time and with its own evidence, by both
    policies. Reads the control repository alone: what a chart renders to is taken as it was.
    """
    from pipeline.control.checkout import find_checkout
    from pipeline.control.reading import open_state
    from pipeline.git.repository import GitRepository
    from pipeline.policy.differences import read_policy_diff
    from pipeline.render.policy_diff import render_policy_diff, render_policy_diff_markdown
    from pipeline.render.style import Style

    git = GitRepository(find_checkout(session.directory.resolve()))
    state = open_state(session.directory)
    commits = [git.resolve_commit(revision) for revision in (base, head)]
    found = read_policy_diff(git, *commits, state=state)
    if session.is_json:
        session.write_document(found)
    elif session.format == "markdown":
        session.write(render_policy_diff_markdown(found))
    else:
        session.write(render_policy_diff(found, Style(session.colour)))
    return 0


def _files_of(reads: tuple[object, ...]) -> PolicyFiles:
    from pipeline.gate.in_force import PolicyFiles
    from pipeline.requests.snapshot import ReadRequest

    valid = [r for r in reads if isinstance(r, ReadRequest) and r.model is not None]
    platform = next((r for r in valid if r.meaning.kind == "Platform"), None)
    if platform is None:
        raise UsageFault(
            "there is no valid environments/platform.yaml", help="`pipeline validate` says why"
        )
    return PolicyFiles(
        platform=platform,
        environments=tuple(r for r in valid if r.meaning.kind == "Environment"),
        stop=next((r for r in valid if r.meaning.kind == "Stop"), None),
    )
