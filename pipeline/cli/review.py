"""`pipeline review`: people open, review and merge pull requests of a local forge.

A local forge has no accounts to log in with: `--as` says who acts, by login or number, and the
forge's own rules decide what that account may do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import read_account, read_platform
from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault
from pipeline.machine.clock import read_clock

if TYPE_CHECKING:
    from pipeline.forges.port import PullRequest, ReviewVerdict
    from pipeline.models.outputs import PullRequestItem

_PULL = re.compile(r"(?P<repo>[a-z0-9][a-z0-9-]*)#(?P<number>[0-9]{1,9})\Z")

as_option = click.option(
    "--as", "account", required=True, metavar="ACCOUNT", help="Acting account: login or numeric id."
)
revision_option = click.option(
    "--revision",
    metavar="COMMIT",
    help="Reviewed head; refused if there is a newer one.  [default: the newest]",
)
body_option = click.option("--body", default="", help="Text of the review or pull request.")


def parse_pull_name(text: str) -> tuple[str, int]:
    """The repository and number in `REPO#N`. Raises UsageFault."""
    match = _PULL.match(text)
    if not match:
        raise UsageFault(f"`{text}` is not a pull request", help="write it as `control#3`")
    return match["repo"], int(match["number"])


def account_id(session: Session, name: str) -> int:
    """The number of an account that platform.yaml lists. Raises UsageFault."""
    return read_account(session, name).id


@click.group()
def review() -> None:
    """Open, review and merge pull requests of a local forge."""


@review.command("open")
@click.argument("repo")
@click.option("--head", "head_branch", required=True, help="Branch to merge.")
@click.option(
    "--base", "base_branch", default="main", show_default=True, help="Branch to merge into."
)
@click.option("--title", required=True, help="One line: what it changes.")
@body_option
@as_option
@format_option("text", "json")
@pass_session
def open_(
    session: Session,
    repo: str,
    head_branch: str,
    base_branch: str,
    title: str,
    body: str,
    account: str,
) -> int:
    """Open a pull request for a branch of REPO, or find the open one."""
    control = session.control()
    pull = control.forge.open_pull(
        repo,
        head_branch=head_branch,
        base_branch=base_branch,
        title=title,
        body=body,
        actor=account_id(session, account),
    )
    _show(session, pull, f"✓ {pull.repo}#{pull.number} is {pull.state}")
    return 0


@review.command("list")
@click.argument("repo", default="control")
@click.option("--all", "everything", is_flag=True, help="Include merged and closed ones.")
@format_option("text", "json")
@pass_session
def list_(session: Session, repo: str, everything: bool) -> int:
    """List the open pull requests of REPO."""
    from pipeline.forges.port import PullState

    control = session.control()
    pulls = [p for p in control.forge.read_pulls(repo) if everything or p.state is PullState.OPEN]
    if session.is_json:
        from pipeline.models.outputs import PullRequestList

        items = tuple(pull_item(session, p) for p in pulls)
        session.write_document(PullRequestList(repo=repo, items=items))
        return 0
    from pipeline.characters import visible

    for pull in pulls:
        session.write(f"{pull.repo}#{pull.number}  {pull.state:<7} {visible(pull.title)}\n")
    if not pulls:
        session.write(f"{repo} has no {'' if everything else 'open '}pull requests\n")
    return 0


@review.command("show")
@click.argument("pull")
@format_option("text", "json")
@pass_session
def show(session: Session, pull: str) -> int:
    """Show a pull request with its changed files and reviews."""
    control = session.control()
    repo, number = parse_pull_name(pull)
    found = control.forge.read_pull(repo, number)
    if session.is_json:
        session.write_document(pull_item(session, found))
        return 0
    from pipeline.characters import visible
    from pipeline.render.style import shown_moment

    git = control.forge.open_repository(repo)
    view = control.forge.read_repo(repo)
    base = view.branches.get(found.base_branch) if view else None
    start = git.merge_base(base, found.head) if base else None
    body = [visible(line) for line in found.body.rstrip().split("\n")]
    lines = [
        f"{pull}  {found.state}  {visible(found.title)}",
        f"  head {found.head}",
        *([f"  merged {shown_moment(found.merged_at)}"] if found.merged_at else []),
        "",
        *body,
        "",
    ]
    if found.merge_commit is None and start:
        lines += [f"  {visible(path)}" for path in git.diff_names(start, found.head)]
    lines += [
        f"  {shown_moment(r.at)}  account {r.user_id} {r.verdict} {r.commit[:12]}  "
        f"{visible(r.body)}".rstrip()
        for r in found.reviews
    ]
    session.write("\n".join(lines).rstrip() + "\n")
    return 0


def _read_at(session: Session, pull: str, revision: str | None) -> PullRequest:
    """The pull request, if its head is the revision that the reviewer read. Raises StalePlan."""
    from pipeline.errors import StalePlan

    repo, number = parse_pull_name(pull)
    found = session.control().forge.read_pull(repo, number)
    if revision is not None and (len(revision) < 7 or not found.head.startswith(revision)):
        raise StalePlan(
            f"{pull} is at {found.head[:12]}, not at {revision[:12]}",
            help=f"`pipeline review show {pull}` shows what is there now",
        )
    return found


def _review(
    session: Session,
    pull: str,
    account: str,
    body: str,
    verdict: ReviewVerdict,
    revision: str | None = None,
) -> None:
    control = session.control()
    repo, number = parse_pull_name(pull)
    found = _read_at(session, pull, revision)
    control.forge.submit_review(
        repo,
        number,
        commit=found.head,
        verdict=verdict,
        body=body,
        actor=account_id(session, account),
    )


def _merge(session: Session, pull: str, account: str, revision: str | None = None) -> str:
    control = session.control()
    repo, number = parse_pull_name(pull)
    found = _read_at(session, pull, revision)
    if repo == control.control_repo:
        _check_judged(session, number)
    return control.forge.merge_pull(
        repo,
        number,
        expected_head=found.head,
        message=f"Merge pull request #{number}: {found.title}\n",
        time_s=read_clock(),
        actor=account_id(session, account),
    )


def _check_judged(session: Session, number: int) -> None:
    """Raise Refused for a pull request of the control repo that may not be merged."""
    from pipeline.errors import Refused
    from pipeline.render.text import render_terminal

    judged = session.engine().judge.pull(number, with_previews=False)
    if judged.passed:
        return
    if judged.findings:
        session.note(render_terminal(judged.findings, judged.sources, colour=False))
    waits = [reason.message for reason in judged.authority.reasons if not reason.final]
    errors = [f for f in judged.findings if f.severity == "error"]
    told = [f"{f.code} at {f.location}" for f in errors]
    raise Refused(
        f"#{number} may not be merged: {'; '.join([*told, *waits])}",
        help="docs/authority.md lists who must approve what",
    )


@review.command("approve")
@click.argument("pull")
@as_option
@body_option
@revision_option
@click.option("--merge", is_flag=True, help="Also merge it.")
@format_option("text", "json")
@pass_session
def approve(
    session: Session, pull: str, account: str, body: str, revision: str | None, merge: bool
) -> int:
    """Approve the newest revision of PULL (`REPO#N`)."""
    from pipeline.forges.port import ReviewVerdict

    _review(session, pull, account, body, ReviewVerdict.APPROVED, revision)
    done = f"✓ {account} approved {pull}"
    if merge:
        done += f" and merged it as {_merge(session, pull, account, revision)[:12]}"
    _show_again(session, pull, done)
    return 0


@review.command("request-changes")
@click.argument("pull")
@as_option
@body_option
@format_option("text", "json")
@pass_session
def request_changes(session: Session, pull: str, account: str, body: str) -> int:
    """Request changes to PULL (`REPO#N`), which blocks its merge."""
    from pipeline.forges.port import ReviewVerdict

    _review(session, pull, account, body, ReviewVerdict.CHANGES_REQUESTED)
    _show_again(session, pull, f"✓ {account} asks for changes to {pull}")
    return 0


@review.command("dismiss")
@click.argument("pull")
@as_option
@body_option
@format_option("text", "json")
@pass_session
def dismiss(session: Session, pull: str, account: str, body: str) -> int:
    """Dismiss your own review of PULL (`REPO#N`)."""
    from pipeline.forges.port import ReviewVerdict

    _review(session, pull, account, body, ReviewVerdict.DISMISSED)
    _show_again(session, pull, f"✓ {account} took back the review of {pull}")
    return 0


@review.command("merge")
@click.argument("pull")
@as_option
@revision_option
@format_option("text", "json")
@pass_session
def merge(session: Session, pull: str, account: str, revision: str | None) -> int:
    """Merge PULL (`REPO#N`) at its newest revision, if the branch's rules allow it."""
    commit = _merge(session, pull, account, revision)
    _show_again(session, pull, f"✓ {account} merged {pull} as {commit[:12]}")
    return 0


@review.command("close")
@click.argument("pull")
@as_option
@format_option("text", "json")
@pass_session
def close(session: Session, pull: str, account: str) -> int:
    """Close PULL (`REPO#N`) without a merge."""
    control = session.control()
    repo, number = parse_pull_name(pull)
    control.forge.close_pull(repo, number, actor=account_id(session, account))
    _show_again(session, pull, f"✓ {account} closed {pull}")
    return 0


def pull_item(session: Session, pull: PullRequest) -> PullRequestItem:
    """A pull request as a JSON document."""
    from pipeline.models.outputs import PullRequestItem, ReviewItem

    platform = read_platform(session)

    def login(user: int) -> str:
        account = platform.account(user)
        return account.login if account else str(user)

    return PullRequestItem(
        name=f"{pull.repo}#{pull.number}",
        repo=pull.repo,
        number=pull.number,
        title=pull.title,
        body=pull.body,
        state=pull.state.value,
        author=login(pull.author_id),
        author_id=pull.author_id,
        head_branch=pull.head_branch,
        head=pull.head,
        base_branch=pull.base_branch,
        merge_commit=pull.merge_commit,
        merged_at=pull.merged_at,
        url=pull.url,
        reviews=tuple(
            ReviewItem(
                user=login(r.user_id),
                user_id=r.user_id,
                verdict=r.verdict.value,
                commit=r.commit,
                body=r.body,
                at=r.at,
            )
            for r in pull.reviews
        ),
    )


def _show_again(session: Session, pull: str, line: str) -> None:
    repo, number = parse_pull_name(pull)
    _show(session, session.control().forge.read_pull(repo, number), line)


def _show(session: Session, pull: PullRequest, line: str) -> None:
    if session.is_json:
        session.write_document(pull_item(session, pull))
    else:
        session.write(f"{line}\n")
