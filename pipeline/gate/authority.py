"""Authority: who may ask for a change, who must approve it, and what is missing. Pure.

Only `judge` decides it. The comment on a pull request, its required check, the merge, every run and
the audit call it with the same three things:

1. the *matters* of a change: one per changed path, made by `pipeline.gate.matters` from the policy
   at the change's base, never from the policy that the change brings;
2. the *revision*: who opened, pushed and committed it, and who reviewed it;
3. the *people*: the platform's accounts at the base.

The default is no: an account that the policy does not list may neither ask nor approve, and nobody
may ask for a path without an owner. Why one function: docs/adr/0010-one-authority-function.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.forges.approvals import Approvals, count_approvals
from pipeline.forges.port import Review
from pipeline.gate.rules import APPROVAL_MISSING, APPROVAL_OTHER_REVISION
from pipeline.models.base import Moment
from pipeline.models.requests import Account, ApprovalPolicy, Platform


def _authority(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


AUTHOR_OUT_OF_SCOPE = _authority(
    "author-out-of-scope",
    "Whoever opens or pushes a change may request every path in it.",
    "an approval can't give somebody the right to ask",
    "have somebody who may ask open it; docs/authority.md lists who may ask for what",
    "acme's agent changes a draft of contoso, or a workflow",
    "acme's agent changes a draft of acme",
)
POLICY_WITH_REQUESTS = _authority(
    "policy-with-requests",
    "A pull request changes policy or requests, never both.",
    "a request is judged by the policy before it, so reviewers must see them apart",
    "open one pull request for the policy, and after its merge one for the request",
    "one pull request lowers prod's approvals and asks for prod",
    "one pull request asks for prod",
)
PUSHER_UNKNOWN = _authority(
    "pusher-unknown",
    "The forge knows which account pushed the final revision.",
    "whoever pushed it could be the one who approves it",
    "push it again from an account, and have it approved again",
    "somebody moves the branch in the bare repository by hand",
    "the account that asks pushes the branch",
)
AUTHORITY_MISSING = _authority(
    "authority-missing",
    "A request reaches main through one pull request, by a merge or squash commit.",
    "otherwise nobody is known to have requested or approved it",
    "remove it from main, and open a pull request for it",
    "a draft is committed straight to main",
    "a draft's pull request is merged",
)


class MatterKind(StrEnum):
    """What a changed path is about; the rows of docs/authority.md."""

    POLICY = "policy"
    TENANT = "tenant"
    TENANT_CODE = "code of a tenant"
    PLATFORM_CODE = "code of the platform"
    PROMOTION = "promotion"
    GROUP = "release group"
    WAIVER = "waiver"
    REPOSITORY = "other file"
    GITOPS = "GitOps file"


# Policy judges requests, so one change may not bring both.
REQUESTS = frozenset(
    {
        MatterKind.TENANT_CODE,
        MatterKind.PLATFORM_CODE,
        MatterKind.PROMOTION,
        MatterKind.GROUP,
        MatterKind.WAIVER,
    }
)


@dataclass(frozen=True, slots=True)
class Matter:
    """One changed path: who may ask for it and who must approve it, by the policy at the base.

    `ask_teams` are teams whose people may ask, `ask_bots_of` the tenant whose bots may ("": no
    bot may). All of `approvals` must be met.
    """

    kind: MatterKind
    path: str
    ask_teams: tuple[str, ...]
    ask_bots_of: str
    approvals: tuple[ApprovalPolicy, ...]


@dataclass(frozen=True, slots=True)
class Revision:
    """The final revision of a change: who made it, and what reviewers said about it.

    `pushers` are all accounts that the forge saw push the branch; `committers` are those that the
    commits name. A commit can name anybody, so `committers` can only take approvals away.
    `is_pusher_known` says whether the forge knows who pushed `head`. `is_reviewed` is False if the
    merged content differs from `head`.
    """

    head: str
    author: int
    pushers: frozenset[int]
    is_pusher_known: bool
    reviews: tuple[Review, ...]
    committers: frozenset[int] = frozenset()
    is_reviewed: bool = True


@dataclass(frozen=True, slots=True)
class AuthorityReason:
    """One reason against a change. A final one needs a new pull request; others can be resolved."""

    code: str
    message: str
    path: str
    final: bool

    def finding(self) -> Finding:
        """This reason as a finding at its path."""
        return Finding(self.code, self.message, Location(self.path))


@dataclass(frozen=True, slots=True)
class Held:
    """What an approval policy asks for, and the approvals that there are: account → when."""

    path: str
    policy: ApprovalPolicy
    given: Mapping[int, Moment | None]
    of_teams: tuple[frozenset[int], ...]  # of each of the policy's teams

    def is_short(self, kept: Collection[int]) -> bool:
        """Whether these approvals alone are too few."""
        return len(self.given.keys() & set(kept)) < self.policy.count

    def silent_teams(self, kept: Collection[int]) -> tuple[str, ...]:
        """The teams that must give an approval, and gave none of these."""
        if not self.policy.asks_each_team:
            return ()
        teams = zip(self.policy.teams, self.of_teams, strict=True)
        return tuple(team for team, members in teams if members.isdisjoint(kept))


@dataclass(frozen=True, slots=True)
class Authority:
    """The verdict on a change: the reasons against it, and the people whose approval counts."""

    reasons: tuple[AuthorityReason, ...]
    approved_by: tuple[int, ...] = ()
    wanted: tuple[ApprovalPolicy, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the change may be merged and followed."""
        return not self.reasons


# The first commit of a repository comes before any policy.
FOUNDING = Authority(())


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one approval policy asks for, and which of its people ask for changes."""

    held: Held
    objecting: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Case:
    """The input of the clauses."""

    matters: Sequence[Matter]
    revision: Revision
    people: Platform
    asked: tuple[_Asked, ...]


Clause = Callable[[_Case], Iterator[AuthorityReason]]


def clause_askers(case: _Case) -> Iterator[AuthorityReason]:
    """The author and everybody who pushed may ask for every path."""
    for account_id in sorted({case.revision.author} | case.revision.pushers):
        account = case.people.account(account_id)
        for matter in case.matters:
            if not _may_ask(account, matter):
                message = _not_theirs(account, account_id, matter)
                yield AuthorityReason(AUTHOR_OUT_OF_SCOPE.id, message, matter.path, final=True)


def clause_apart(case: _Case) -> Iterator[AuthorityReason]:
    """Policy does not come together with what it judges."""
    policy = [m.path for m in case.matters if m.kind not in REQUESTS]
    requests = [m.path for m in case.matters if m.kind in REQUESTS]
    if policy and requests:
        message = f"`{policy[0]}` comes with the request `{requests[0]}`"
        yield AuthorityReason(POLICY_WITH_REQUESTS.id, message, policy[0], final=True)


def clause_pusher(case: _Case) -> Iterator[AuthorityReason]:
    """The forge knows who pushed what is approved."""
    if not case.revision.is_pusher_known:
        message = f"no account is known to have pushed revision {case.revision.head[:12]}"
        yield AuthorityReason(PUSHER_UNKNOWN.id, message, _first_path(case), final=False)


def clause_revision(case: _Case) -> Iterator[AuthorityReason]:
    """What was merged is what reviewers saw."""
    if not case.revision.is_reviewed:
        message = f"what was merged is not revision {case.revision.head[:12]}, which was reviewed"
        yield AuthorityReason(APPROVAL_OTHER_REVISION.id, message, _first_path(case), final=True)


def clause_count(case: _Case) -> Iterator[AuthorityReason]:
    """Enough distinct people from the required teams approved the final revision."""
    for asked in case.asked:
        held = asked.held
        if held.is_short(held.given):
            message = _missing(len(held.given), held.policy)
            yield AuthorityReason(APPROVAL_MISSING.id, message, held.path, final=False)


def clause_each_team(case: _Case) -> Iterator[AuthorityReason]:
    """Where each team must give an approval, each gave one."""
    for asked in case.asked:
        held = asked.held
        for team in () if held.is_short(held.given) else held.silent_teams(held.given):
            message = f"nobody from {team} approved"
            yield AuthorityReason(APPROVAL_MISSING.id, message, held.path, final=False)


def clause_objections(case: _Case) -> Iterator[AuthorityReason]:
    """Nobody whose approval would count asks for changes."""
    for asked in case.asked:
        if asked.objecting:
            message = f"{len(asked.objecting)} people ask for changes"
            yield AuthorityReason(APPROVAL_MISSING.id, message, asked.held.path, final=False)


CLAUSES: tuple[Clause, ...] = (
    clause_askers,
    clause_apart,
    clause_pusher,
    clause_revision,
    clause_count,
    clause_each_team,
    clause_objections,
)


def judge(matters: Sequence[Matter], revision: Revision, people: Platform) -> Authority:
    """Whether the change may be merged and followed, with all reasons against it.

    `people` are the accounts at the change's base, limited to the forge's teams
    (`Platform.held_to`) if it has any.
    """
    reviewed = count_approvals(
        revision.reviews, revision.head, taking_part=_taking_part(revision, people)
    )
    asked = tuple(_asked(path, policy, reviewed, people) for path, policy in _policies(matters))
    case = _Case(matters, revision, people, asked)
    reasons = tuple(dict.fromkeys(reason for clause in CLAUSES for reason in clause(case)))
    held = tuple(each.held for each in asked)
    approved_by = frozenset[int]().union(*(each.given for each in held))
    return Authority(reasons, tuple(sorted(approved_by)), tuple(h.policy for h in held), held)


def _asked(path: str, policy: ApprovalPolicy, reviewed: Approvals, people: Platform) -> _Asked:
    found = reviewed.of(people.members(policy.teams))
    members = (people.members((team,)) for team in policy.teams)
    return _Asked(
        Held(path, policy, found.given, tuple(m & found.approving for m in members)),
        found.objecting,
    )


def may_ask(people: Platform, account_id: int, matters: Iterable[Matter]) -> str:
    """Why the account may not ask for these; empty if it may."""
    account = people.account(account_id)
    for matter in matters:
        if not _may_ask(account, matter):
            return _not_theirs(account, account_id, matter)
    return ""


def unbrought(path: str, why: str) -> Authority:
    """The authority of a request that no pull request brought to main."""
    return Authority((AuthorityReason(AUTHORITY_MISSING.id, why, path, final=False),))


def unasked(matters: Sequence[Matter]) -> Authority:
    """The authority of a request not made yet: all approvals are missing."""
    reasons = tuple(
        AuthorityReason(APPROVAL_MISSING.id, _missing(0, policy), path, final=False)
        for path, policy in _policies(matters)
    )
    return Authority(reasons, wanted=tuple(policy for _, policy in _policies(matters)))


def _missing(count: int, policy: ApprovalPolicy) -> str:
    if not policy.teams:
        return "the policy at its base names nobody who may approve it"
    teams, missing = " or ".join(policy.teams), policy.count - count
    return f"{count} of {policy.count} approvals by {teams}; {missing} missing"


def _may_ask(account: Account | None, matter: Matter) -> bool:
    if account is None:
        return False
    match account.kind:
        case "person":
            return not set(account.teams).isdisjoint(matter.ask_teams)
        case "bot":
            return bool(matter.ask_bots_of) and matter.ask_bots_of in account.tenants
        case "pipeline":
            return False
    assert_never(account.kind)


def _not_theirs(account: Account | None, account_id: int, matter: Matter) -> str:
    who = f"`{account.login}`" if account else f"account {account_id}"
    return f"{who} may not ask for `{matter.path}`; that is for {describe_askers(matter)}"


def describe_askers(matter: Matter) -> str:
    """The text that names who may ask."""
    named = list(dict.fromkeys(matter.ask_teams))
    if matter.ask_bots_of:
        named.append(f"a bot of tenant {matter.ask_bots_of}")
    return " or ".join(named) or "nobody: the policy at its base knows no owner"


def _policies(matters: Iterable[Matter]) -> Iterator[tuple[str, ApprovalPolicy]]:
    """Each approval policy once, with the first path that needs it."""
    seen: set[ApprovalPolicy] = set()
    for matter in matters:
        for policy in matter.approvals:
            if policy not in seen:
                seen.add(policy)
                yield matter.path, policy


def _first_path(case: _Case) -> str:
    return case.matters[0].path if case.matters else ""


def _taking_part(revision: Revision, people: Platform) -> frozenset[int]:
    """Author, pushers, committers, and the people that bots among them act for."""
    made = {revision.author, *revision.pushers, *revision.committers}
    delegators = {d for id in made if (account := people.account(id)) for d in account.delegators}
    return frozenset(made | delegators)
