"""Submits a proposed request to the control repo: into a checkout, or as a pull request.

A submission is made from bytes in memory, under an account that the platform lists: it touches no
work tree, and the author needs no Git credential. It is find-or-create: submitting twice gives one
branch and one pull request.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.control.repo import MAIN, Control, read_snapshot_of
from pipeline.errors import CouldNotCheck, Refused, UsageFault
from pipeline.forges.port import PullRequest
from pipeline.gate.authority import may_ask
from pipeline.gate.matters import groups_among, matters_of, members_of, paths_behind
from pipeline.git.commits import render_trailers
from pipeline.git.objects import (
    MODE_FILE,
    RefUpdate,
    Signature,
    TreeEntry,
    blob_id,
    commit_object,
    git_object,
    graft,
    tree_object,
)
from pipeline.git.repository import GitRepository, read_parents
from pipeline.models.base import key_of
from pipeline.models.requests import Account, Platform
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import PLATFORM_PATH
from pipeline.requests.proposed import ProposedRequest
from pipeline.requests.snapshot import snapshot_of

EMAIL_DOMAIN = "users.noreply.pipeline.invalid"
_STEP_S = 60
_MAX_BRANCHES = 9


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted request: its pull request, or None if it is already on main."""

    request: ProposedRequest
    pull: PullRequest | None


def find_account(platform: Platform, who: str) -> Account:
    """The account with this login or numeric id. Raises UsageFault."""
    for account in platform.accounts:
        if who in (str(account.id), account.login):
            return account
    raise UsageFault(
        f"the platform knows no account `{who}`",
        help="accounts are listed in environments/platform.yaml",
    )


def write_request(
    top: Path, request: ProposedRequest, *, replace: bool = False
) -> Literal["written", "unchanged"]:
    """Whether the request's file in the checkout at `top` was written or already the same.

    Raises UsageFault if there is a different file than the one the request edits and `replace` is
    not set, or if the path leads out of the checkout.
    """
    target = top / request.path
    existing = next(p for p in (target.parent, *target.parent.parents) if p.exists())
    if not existing.resolve().is_relative_to(top.resolve()) or target.is_symlink():
        raise UsageFault(f"`{request.path}` leads out of the checkout through a link")
    if target.exists():
        if not target.is_file():
            raise UsageFault(f"`{request.path}` is there and is not a file")
        there = target.read_bytes()
        if there == request.content:
            return "unchanged"
        if not replace and there != request.edits:
            raise UsageFault(
                f"`{request.path}` is there already and says something else",
                help="--replace writes over it, --submit asks from main instead",
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".request-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(request.content)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    return "written"


def submit_request(control: Control, request: ProposedRequest, account: Account) -> Submission:
    """The request's pull request, found or opened by `account`.

    Raises Refused if the account may not ask for the request's tenant.
    """
    git = control.open_repository()
    head = control.head()
    require_may_ask(git, head, request, account)
    there = git.read_object(f"{head}:{request.path}")
    if there is not None and there.content == request.content:
        return Submission(request, None)
    # A patch's number is not part of the key: the same patch is the same request.
    before = there.id if there and request.kind != "DraftPatch" else ""
    key = key_of("request", request.draft, request.kind, blob_id(request.content), before)
    branch = _own_branch(control, request, account, head, key)
    pull = control.forge.open_pull(
        control.control_repo,
        head_branch=branch,
        base_branch=MAIN,
        title=request.title,
        body=request.body,
        actor=account.id,
    )
    return Submission(request, pull)


def require_may_ask(
    git: GitRepository, head: str, request: ProposedRequest, account: Account
) -> None:
    """Raise Refused if the account may not ask for this, by main's policy."""
    if account.kind == "pipeline":
        raise Refused(
            f"`{account.login}` carries requests out and makes none",
            help="submit as a person or a bot of the tenant",
        )
    read = parse_request(request.path, request.content)[0]
    proposed = snapshot_of(head, {}, [read] if read else [])
    groups = groups_among([request.path])
    named = members_of(groups, proposed, read_snapshot_of(git, head, groups))
    base = read_snapshot_of(git, head, paths_behind((request.path, *named)))
    if base.platform is None:
        raise CouldNotCheck(f"`{PLATFORM_PATH}` of main cannot be read, so no account is known")
    problem = may_ask(base.platform, account.id, matters_of([request.path], base, proposed))
    if problem:
        raise Refused(problem, help="docs/authority.md lists who may ask for what")


def _own_branch(
    control: Control, request: ProposedRequest, account: Account, head: str, key: str
) -> str:
    """The branch with only this request, pushed only by the account.

    Anybody who can push can take a branch name first, so a branch with any other content is left
    alone and the next name is used.
    """
    git, forge, repo = control.open_repository(), control.forge, control.control_repo
    view = forge.read_repo(repo)
    branches = view.branches if view else {}
    for number in range(1, _MAX_BRANCHES + 1):
        mark = "" if number == 1 else f"-{number}"
        branch = f"request/{request.subject.replace('/', '-')}-{key[:12]}{mark}"
        if branch not in branches:
            _push(control, request, account, head, branch, key)
            return branch
        pushers = {push.account for push in forge.read_pushes(repo, branch)}
        if pushers == {account.id} and _holds_only(git, branches[branch], head, request):
            return branch
    raise Refused(
        f"{_MAX_BRANCHES} branches for this request hold something else",
        help=f"look at who pushed `request/{request.subject.replace('/', '-')}-{key[:12]}…`",
    )


def _holds_only(git: GitRepository, commit: str, main: str, request: ProposedRequest) -> bool:
    """Whether the commit adds only this request to some commit of main."""
    parents = git.read_commit(commit).parents
    if len(parents) != 1 or not git.is_ancestor(parents[0], main):
        return False
    there = git.read_object(f"{commit}:{request.path}")
    changed = git.diff_names(parents[0], commit)
    return there is not None and there.content == request.content and changed == (request.path,)


def _push(
    control: Control, request: ProposedRequest, account: Account, head: str, branch: str, key: str
) -> None:
    git = control.open_repository()
    folder, _, name = request.path.rpartition("/")
    entries = {e.name: e for e in git.read_tree(f"{head}:{folder}") or ()}
    blob = git_object("blob", request.content)
    entries[name] = TreeEntry(MODE_FILE, name, blob.id)
    tree = tree_object(entries.values())
    above = graft(read_parents(git, head, folder), folder, tree.id)
    # Dated from its parent, so that the same request on the same parent is the same commit.
    time_s = git.read_commit(head).committer.time_s + _STEP_S
    signature = Signature(account.login, f"{account.id}@{EMAIL_DOMAIN}", time_s)
    about = (("Draft", request.draft),) if request.draft else ()
    trailers = render_trailers((*about, ("Key", key)))
    message = f"{request.title}\n\n{trailers}"
    commit = commit_object(above[-1].id, [head], message, signature, signature)
    control.forge.push(
        control.control_repo,
        [blob, tree, *above, commit],
        (RefUpdate(f"refs/heads/{branch}", None, commit.id),),
        actor=account.id,
    )
