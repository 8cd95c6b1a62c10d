"""Who may change which files of the control repo by pull request (design §2, §4). Pure.

The author is the number of the account that the forge names, never what a commit says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.models.requests import Platform

AUTHOR_OUT_OF_SCOPE = register(
    Rule(
        "author-out-of-scope",
        "A bot's pull request changes drafts of its own tenants and nothing else.",
        "an agent asks for drafts; policy, owners, workflows and other tenants are for people",
        "have a person change it, or leave it out of the bot's pull request",
        Subject.SCENARIO,
        "acme's agent changes a draft of contoso, or a workflow",
        "acme's agent changes a draft of acme",
    )
)
_DRAFT_FILE = re.compile(r"tenants/([^/]+)/drafts/[^/]+/.+\Z", re.DOTALL)


def check_author(platform: Platform, author: int, paths: Iterable[str]) -> Iterable[Finding]:
    """A finding for each changed path that is not the author's to change.

    `platform` is that of the base: what a pull request changes does not widen what its author may.
    People, known or not, are held by reviews and branch rules.
    """
    account = platform.account(author)
    if account is None or account.kind == "person":
        return
    for path in paths:
        match = _DRAFT_FILE.match(path)
        if match is None or match[1] not in account.tenants:
            what = f"`{account.login}` may not change `{path}`"
            yield AUTHOR_OUT_OF_SCOPE.finding(what, Location(path))
