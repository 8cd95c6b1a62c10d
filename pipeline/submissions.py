"""Bringing a proposed request to the control repo: into a checkout, or as a pull request.

A submission is made from bytes in memory, under an account that the platform knows: no work tree
is touched, and whoever asks holds no Git credential. It is find-or-create, so that asking twice
gives one branch and one pull request (design §3).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.api import ProposedRequest
from pipeline.commits import render_trailers
from pipeline.control import MAIN, Control
from pipeline.errors import Refused, UsageFault
from pipeline.forges.port import PullRequest
from pipeline.gitobjects import (
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
from pipeline.models.requests import Account, Platform
from pipeline.plan import key_of
from pipeline.pushes import read_parents

EMAIL_DOMAIN = "users.noreply.pipeline.invalid"
_STEP_S = 60


@dataclass(frozen=True, slots=True)
class Submission:
    """Where a submitted request is: its pull request, or None when it is on main already."""

    request: ProposedRequest
    pull: PullRequest | None


def account_of(platform: Platform, who: str) -> Account:
    """The account of a login or a numeric id. Raises UsageFault."""
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
    """What became of the request's file in the checkout at `top`.

    Raises UsageFault when another file is there and `replace` is not asked for, or when the path
    leads out of the checkout.
    """
    target = top / request.path
    existing = next(p for p in (target.parent, *target.parent.parents) if p.exists())
    if not existing.resolve().is_relative_to(top.resolve()) or target.is_symlink():
        raise UsageFault(f"`{request.path}` leads out of the checkout through a link")
    if target.exists():
        if not target.is_file():
            raise UsageFault(f"`{request.path}` is there and is no file")
        if target.read_bytes() == request.content:
            return "unchanged"
        if not replace:
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

    Raises Refused when the account may not ask for the request's tenant.
    """
    check_may_ask(account, request.draft)
    git = control.open_repository()
    head = control.head()
    there = git.read_object(f"{head}:{request.path}")
    if there is not None and there.content == request.content:
        return Submission(request, None)
    # A patch's number is no part of the key: the same patch is the same request.
    before = there.id if there and request.kind != "DraftPatch" else ""
    key = key_of("request", request.draft, request.kind, blob_id(request.content), before)
    branch = f"request/{request.draft.replace('/', '-')}-{key[:12]}"
    view = control.forge.read_repo(control.control_repo)
    if view is None or branch not in view.branches:
        _push(control, request, account, head, branch, key)
    pull = control.forge.open_pull(
        control.control_repo,
        head_branch=branch,
        base_branch=MAIN,
        title=request.title,
        body=request.body,
        actor=account.id,
    )
    return Submission(request, pull)


def check_may_ask(account: Account, draft: str) -> None:
    """Nothing; raises Refused for an account that may not ask for the draft's tenant."""
    tenant = draft.split("/")[0]
    if account.kind == "pipeline":
        raise Refused(
            f"`{account.login}` carries requests out and makes none",
            help="submit as a person or a bot of the tenant",
        )
    if account.kind == "bot" and tenant not in account.tenants:
        raise Refused(
            f"`{account.login}` may not ask for tenant `{tenant}`",
            help="its account in environments/platform.yaml lists the tenants it may ask for",
        )


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
    # Dated from what it rests on, so that the same request at the same time is the same commit.
    time_s = git.read_commit(head).committer.time_s + _STEP_S
    signature = Signature(account.login, f"{account.id}@{EMAIL_DOMAIN}", time_s)
    trailers = render_trailers((("Draft", request.draft), ("Key", key)))
    message = f"{request.title}\n\n{trailers}"
    commit = commit_object(above[-1].id, [head], message, signature, signature)
    control.forge.push(
        control.control_repo,
        [blob, tree, *above, commit],
        (RefUpdate(f"refs/heads/{branch}", None, commit.id),),
        actor=account.id,
    )
