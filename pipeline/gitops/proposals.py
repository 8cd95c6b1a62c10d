"""What people may propose in a GitOps repository: README, code owners, never what runs. Pure.

Only the pipeline moves the default branch there. It merges a person's pull request if that changes
nothing below `environments/`, adds only plain files, and has the authority that
`pipeline.gate.authority` requires: one owner of the repository asks, another approves.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.forges.port import PullRequest, Push
from pipeline.gate.authority import Revision, judge
from pipeline.gate.matters import gitops_matters
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE
from pipeline.gitops.sealed import ROOT
from pipeline.models.requests import Platform

MAX_FILES = 100
# One plain part of a path, except git's own files, which change the content of a checkout.
_PLAIN = re.compile(r"(?!\.git(?!hub\Z))[A-Za-z0-9._][A-Za-z0-9._ +@-]{0,99}\Z", re.IGNORECASE)


def _proposal(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


GITOPS_ENVIRONMENTS_PROPOSED = _proposal(
    "gitops-environments-proposed",
    "Nobody proposes changes to `environments/` in a GitOps repository.",
    "what lies there runs, and only promotions write it",
    "close the pull request; use `pipeline promote request`, or change the chart with a patch",
    "a person's pull request into a GitOps repository changes `environments/prod/…`",
    "it changes `README.md`",
)
GITOPS_PROPOSAL_UNFIT = _proposal(
    "gitops-proposal-unfit",
    "Proposals in a GitOps repository are a few plain files.",
    "links, submodules and Git's own files change what a delivery tool checks out",
    "remove them from the pull request; rebase it if it conflicts",
    "a person's pull request brings a link, or `.gitattributes`",
    "it changes `README.md`",
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A person's open pull request: what merging it would change, and who made it.

    `changes` maps paths to mode and id after the merge, None for deleted ones. `problem` says why
    they are unknown. `committers` are the accounts that its commits name.
    """

    pull: PullRequest
    changes: Mapping[str, tuple[int, str] | None]
    problem: str = ""
    pushes: tuple[Push, ...] = ()
    committers: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """The pull request as the `review` commands take it."""
        return f"{self.pull.repo}#{self.pull.number}"


def check_proposal(
    proposal: Proposal, owners: tuple[str, ...], people: Platform
) -> tuple[Finding, ...]:
    """Why the pipeline does not merge a proposal; empty if it does.

    `owners` are the repository's teams, `people` the platform limited to the forge's teams.
    """
    found = tuple(_check_content(proposal))
    if found:
        return found
    pull, at = proposal.pull, Location(proposal.name)
    revision = Revision(
        head=pull.head,
        author=pull.author_id,
        pushers=frozenset(push.account for push in proposal.pushes),
        is_pusher_known=any(p.commit == pull.head and p.account for p in proposal.pushes),
        reviews=pull.reviews,
        committers=proposal.committers,
    )
    authority = judge(gitops_matters(sorted(proposal.changes), owners), revision, people)
    return tuple(Finding(reason.code, reason.message, at) for reason in authority.reasons)


def is_plain(path: str) -> bool:
    """Whether people may propose a file at this path."""
    return all(_PLAIN.match(part) for part in path.split("/"))


def is_below_root(path: str) -> bool:
    """Whether a path is at or below `environments/`, in any spelling that a disk may equate."""
    return unicodedata.normalize("NFKC", path.split("/")[0]).casefold() == ROOT


def _check_content(proposal: Proposal) -> Iterator[Finding]:
    at = Location(proposal.name)
    for path in sorted(proposal.changes):
        if is_below_root(path):
            yield GITOPS_ENVIRONMENTS_PROPOSED.finding(f"it changes `{visible(path)}`", at)
            return
    if proposal.problem or not proposal.changes:
        # An empty change needs no approval, yet its commits would enter history.
        yield GITOPS_PROPOSAL_UNFIT.finding(proposal.problem or "it changes nothing", at)
    for path, entry in sorted(proposal.changes.items()):
        if not is_plain(path):
            yield GITOPS_PROPOSAL_UNFIT.finding(f"`{visible(path)}` is not a plain path", at)
        elif entry is not None and entry[0] not in (MODE_FILE, MODE_EXECUTABLE):
            yield GITOPS_PROPOSAL_UNFIT.finding(
                f"`{path}` is not a file: its mode is {entry[0]:06o}", at
            )
