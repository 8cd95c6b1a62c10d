"""What people propose in a GitOps repository: read-me files, code owners, never what runs. Pure.

The pipeline alone moves the default branch there. A pull request of a person is merged by it when
it changes nothing below `environments/`, brings plain files only, and its people may: an owner of
the repository asked, and another one, who wrote none of it, approved the final revision.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.forges.port import PullRequest, ReviewVerdict
from pipeline.forges.rules import newest_verdicts
from pipeline.gitobjects import MODE_EXECUTABLE, MODE_FILE
from pipeline.gitops.sealed import ROOT

MAX_FILES = 100
# One plain part of a path, and not one of git's own files: those change what a checkout holds.
_PLAIN = re.compile(r"(?!\.git(?!hub\Z))[A-Za-z0-9._][A-Za-z0-9._ +@-]{0,99}\Z", re.IGNORECASE)


def _proposal(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


ENVIRONMENTS_PROPOSED = _proposal(
    "gitops-environments-proposed",
    "Nobody proposes what runs in a GitOps repository: it comes of promotions alone.",
    "what lies below `environments/` runs, and is rendered from a request that was approved",
    "close the pull request; ask with `pipeline promote request`, or change the chart by a patch",
    "a person's pull request into a GitOps repository changes `environments/prod/…`",
    "it changes `README.md`",
)
PROPOSAL_UNFIT = _proposal(
    "gitops-proposal-unfit",
    "What people propose in a GitOps repository are plain files, and few at a time.",
    "a link, a submodule or one of git's own files changes what a delivery tool checks out",
    "take them out of the pull request, or bring it up to date if it conflicts",
    "a person's pull request brings a link, or `.gitattributes`",
    "it changes `README.md`",
)
PROPOSAL_NOT_APPROVED = _proposal(
    "gitops-proposal-not-approved",
    "An owner asks for a change of a GitOps repository, and another owner approves it.",
    "the pipeline merges there by itself, so two people answer for what it merges",
    "have an owner who wrote none of it approve the final revision",
    "a person's pull request has no approval of another owner",
    "another owner approved its final revision",
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A person's open pull request, and what merging it would change.

    `changes` are paths with mode and id as they would be, None for what goes away. `problem` says
    why that cannot be told. `wrote` are the accounts that its commits name.
    """

    pull: PullRequest
    time_s: int  # of its newest commit
    changes: Mapping[str, tuple[int, str] | None]
    problem: str = ""
    wrote: frozenset[int] = frozenset()


def check_proposal(proposal: Proposal, owners: frozenset[int]) -> tuple[Finding, ...]:
    """Why the pipeline does not merge a proposal; empty when it does."""
    found = tuple(_check_content(proposal))
    if found:
        return found
    problem = authority_problem(proposal, owners)
    return (PROPOSAL_NOT_APPROVED.finding(problem, _at(proposal)),) if problem else ()


def authority_problem(proposal: Proposal, owners: frozenset[int]) -> str:
    """Why its people may not have it merged; empty when they may."""
    pull = proposal.pull
    if pull.author_id not in owners:
        return f"account {pull.author_id} is no owner of `{pull.repo}`, so it may not ask"
    verdicts = newest_verdicts(pull.reviews, pull.head)
    said = {user: verdict for user, verdict in verdicts.items() if user in owners}
    if ReviewVerdict.CHANGES_REQUESTED in said.values():
        return "an owner asks for changes"
    wrote = {pull.author_id, *proposal.wrote}
    if not any(v is ReviewVerdict.APPROVED and user not in wrote for user, v in said.items()):
        return f"no other owner approved revision {pull.head[:12]}"
    return ""


def is_plain(path: str) -> bool:
    """Whether people may propose a file at this path."""
    return all(_PLAIN.match(part) for part in path.split("/"))


def is_below_root(path: str) -> bool:
    """Whether a path lies at or below `environments/`, in any spelling that a disk takes for it."""
    return unicodedata.normalize("NFKC", path.split("/")[0]).casefold() == ROOT


def _check_content(proposal: Proposal) -> Iterator[Finding]:
    at = _at(proposal)
    for path in sorted(proposal.changes):
        if is_below_root(path):
            yield ENVIRONMENTS_PROPOSED.finding(f"it changes `{visible(path)}`", at)
            return
    if proposal.problem:
        yield PROPOSAL_UNFIT.finding(proposal.problem, at)
    for path, entry in sorted(proposal.changes.items()):
        if not is_plain(path):
            yield PROPOSAL_UNFIT.finding(f"`{visible(path)}` is no plain path", at)
        elif entry is not None and entry[0] not in (MODE_FILE, MODE_EXECUTABLE):
            yield PROPOSAL_UNFIT.finding(f"`{path}` is no file: its mode is {entry[0]:06o}", at)


def _at(proposal: Proposal) -> Location:
    return Location(f"{proposal.pull.repo}#{proposal.pull.number}")
