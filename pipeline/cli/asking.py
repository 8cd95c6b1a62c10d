"""The shared parts of commands that request something: where the request goes, and the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from pipeline.cli.session import Session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.models.decisions import DecisionDocument
    from pipeline.models.outputs import RequestProposal
    from pipeline.models.requests import Account, Platform
    from pipeline.requests.proposed import ProposedRequest

F = TypeVar("F", bound=Callable[..., Any])


def asking_options(function: F) -> F:
    """The options `--submit`, `--as` and `--replace`."""
    for option in (
        click.option(
            "--replace", is_flag=True, help="Overwrite a different request in the checkout."
        ),
        click.option(
            "--as",
            "account",
            metavar="ACCOUNT",
            help="With --submit: login or numeric id of the requesting account.",
        ),
        click.option(
            "--submit",
            is_flag=True,
            help="Open a pull request instead of writing the file into the checkout.",
        ),
    ):
        function = option(function)
    return function


def require_asking_options(submit: bool, account: str | None, replace: bool) -> None:
    """Raise a usage error for options that do not go together."""
    if submit and not account:
        raise click.UsageError("--submit needs --as ACCOUNT")
    if account and not submit:
        raise click.UsageError("--as goes with --submit")
    if replace and submit:
        raise click.UsageError("--replace is about the checkout; --submit does not touch it")


def read_platform(session: Session) -> Platform:
    """The platform as of the control repo's main. Raises UsageFault."""
    from pipeline.control.repo import read_snapshot
    from pipeline.requests.layout import PLATFORM_PATH

    control = session.control()
    git = control.open_repository()
    platform = read_snapshot(git, control.head(), paths=(PLATFORM_PATH,)).snapshot.platform
    if platform is None:
        raise UsageFault("environments/platform.yaml is missing or invalid on main")
    return platform


def read_account(session: Session, who: str) -> Account:
    """The account with this login or numeric id. Raises UsageFault."""
    from pipeline.control.submit import find_account

    return find_account(read_platform(session), who)


def bring(
    session: Session,
    request: ProposedRequest,
    *,
    account: str | None,
    replace: bool,
    decision: DecisionDocument | None = None,
) -> RequestProposal:
    """The outcome of writing the request into the checkout, or submitting it as `account`."""
    from pipeline.control.submit import submit_request, write_request
    from pipeline.models.outputs import RequestProposal
    from pipeline.render.requests import finding_items, pull_name

    control = session.engine().control
    outcome: Literal["written", "unchanged", "submitted", "on-main"]
    name = state = None
    if account is None:
        outcome = write_request(control.directory, request, replace=replace)
    else:
        submission = submit_request(control, request, read_account(session, account))
        outcome = "on-main" if submission.pull is None else "submitted"
        if submission.pull is not None:
            name, state = pull_name(submission.pull), submission.pull.state.value
    return RequestProposal.model_validate(
        {
            "draft": request.draft,
            "path": request.path,
            "content": request.content.decode(),
            "findings": finding_items(request.findings),
            "outcome": outcome,
            "pull_request": name,
            "pull_request_state": state,
            "decision": decision,
        }
    )
