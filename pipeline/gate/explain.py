"""Why a promotion may or may not pass: every clause of the gate, with its evidence. Pure.

The verdict is the gate's own: each clause gets the evidence that `authorise` gives it, and a clause
that returns no reason is met. `ROWS` adds what a reason lacks: the clause's subject, its evidence,
and who can change the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.diagnostics import RULES
from pipeline.gate.authorise import Clause, Evidence, clauses_for, left_by_waivers
from pipeline.gate.authority import Authority
from pipeline.gate.groups import Companion
from pipeline.gate.reasons import DecisionReason
from pipeline.gate.rules import APPROVAL_MISSING
from pipeline.gate.soak import describe_soaks
from pipeline.gate.statements import Counting, counting_statements
from pipeline.models.base import moment_of
from pipeline.models.evidence import CheckOutcome
from pipeline.models.requests import ApprovalPolicy
from pipeline.models.statements import SCAN_TYPE, VEX_TYPE
from pipeline.requests.layout import waiver_path

Tell = Callable[[Evidence], str]


@dataclass(frozen=True, slots=True)
class Row:
    """What `why` tells about one clause."""

    about: str
    evidence: Tell  # what the clause looks at
    who: Tell  # who can make it pass


@dataclass(frozen=True, slots=True)
class Answer:
    """One clause: whether it is met, its evidence, and what would make it pass."""

    clause: str
    about: str
    evidence: str
    reasons: tuple[DecisionReason, ...]
    who: str  # empty if it is met
    waiver: str = (
        ""  # where a reviewed waiver of its reasons may lie, if policy lets them be waived
    )
    is_assumed: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the clause has no reason against the promotion."""
        return not self.reasons

    @property
    def fixes(self) -> tuple[str, ...]:
        """The fix for each reason, from its rule, each once."""
        found = [RULES[reason.code].fix for reason in self.reasons if reason.code in RULES]
        return tuple(dict.fromkeys(found))

    @property
    def until_s(self) -> int | None:
        """The moment from which it passes by time alone; None if there is none."""
        return opens_at([self])


def name_of(clause: Clause) -> str:
    """The clause's name as people write it: `environment-order`."""
    return clause.__name__.removeprefix("clause_").replace("_", "-")


def explain_clauses(evidence: Evidence, assumed: Sequence[str] = ()) -> tuple[Answer, ...]:
    """The answers of all clauses, in the gate's order.

    Clauses named in `assumed` are taken as met. Raises KeyError for a name that no clause has.
    """
    for name in assumed:
        ROWS[name]  # an unknown name is a mistake
    clauses = clauses_for(evidence.promotion)
    return tuple(_answer(name_of(clause), clause, evidence, assumed) for clause in clauses)


def _answer(name: str, clause: Clause, evidence: Evidence, assumed: Sequence[str]) -> Answer:
    row = ROWS[name]
    if name in assumed:
        return Answer(name, row.about, "assumed", (), "", is_assumed=True)
    reasons, waived = left_by_waivers(evidence, tuple(clause(evidence)))
    told = "".join(f"; {w.rule} is waived by {w.grant.cause.request}" for w in waived)
    who = row.who(evidence) if reasons else ""
    waiver = _waiver(evidence, reasons) if reasons else ""
    return Answer(name, row.about, row.evidence(evidence) + told, reasons, who, waiver)


def _waiver(e: Evidence, reasons: Sequence[DecisionReason]) -> str:
    """Where a waiver for all of these reasons would lie; empty if policy allows none."""
    allowed = e.platform.waivers.rules if e.platform.waivers else ()
    if not all(reason.code in allowed for reason in reasons):
        return ""
    return waiver_path(e.status.id, "NAME")


def opens_at(answers: Sequence[Answer]) -> int | None:
    """The earliest moment at which all can pass by time alone; None if there is none."""
    reasons = [reason for answer in answers for reason in answer.reasons]
    if not reasons or any(reason.until_s is None for reason in reasons):
        return None
    return max(reason.until_s or 0 for reason in reasons)


def with_approvals(evidence: Evidence, count: int) -> Evidence:
    """The evidence as if `count` people from the required teams had approved."""
    authority = evidence.authority
    if any(policy.count > count for policy in authority.wanted):
        return evidence
    left = tuple(r for r in authority.reasons if r.code != APPROVAL_MISSING.id)
    return replace(evidence, authority=Authority(left, authority.approved_by, authority.wanted))


# -- what each clause looks at -------------------------------------------------------------


def _chain(e: Evidence) -> str:
    return f"{e.status.facts} facts, each with the hash of the one before"


def _source(e: Evidence) -> str:
    where = "on" if e.source_on_default else "not on"
    commit = e.promotion.release.source_commit[:12]
    return f"commit {commit} of {e.status.target_repo}, {where} the default branch"


def _runs_before(e: Evidence) -> str:
    digest = e.promotion.release.digest
    names = [name for name in e.environment.promotes_from if digest]
    found = [
        f"{name} has run it" + (f" since {run.since}" if run.since else "")
        for name in names
        for run in e.status.runs
        if run.environment == name and run.release.digest == digest
    ]
    if found:
        return "; ".join(dict.fromkeys(found))
    if not e.environment.promotes_from:
        return f"{e.environment.environment} is the first environment"
    return f"no run of it in {' or '.join(e.environment.promotes_from)}"


def _base(e: Evidence) -> str:
    return f"base {e.overlay.release.base_tree[:12]}" if e.overlay else "nothing is rendered yet"


def _soak(e: Evidence) -> str:
    policy, lane = e.environment.soak, e.promotion.lane
    if policy is None:
        return f"{e.environment.environment} asks for none"
    return f"lane {lane} need not wait" if lane in policy.lanes else describe_soaks(e)


def _build(e: Evidence) -> str:
    build = e.status.build_of_tree(e.source_tree) if e.source_tree else None
    return f"{build.digest[:19]}… built by {build.builder}" if build else "no build of this source"


def _provenance(e: Evidence) -> str:
    if e.environment.provenance == "unchecked":
        return f"{e.environment.environment} requires none"
    return f"signed by `{e.provenance.signer}`" if e.provenance else "no signed statement"


def _statements(e: Evidence) -> str:
    wanted = e.environment.statements
    if not wanted:
        return f"{e.environment.environment} requires none"
    types = {policy.predicate_type for policy in wanted}
    found = [c for c in counting_statements(e) if c.type in types]
    return f"{len(types)} required; there {_listed_statements(found)}"


def _vulnerabilities(e: Evidence) -> str:
    policy = e.environment.vulnerabilities
    if policy is None:
        return f"{e.environment.environment} requires no report"
    found = [c for c in counting_statements(e) if c.type in (SCAN_TYPE, VEX_TYPE)]
    return f"at most {policy.highest}; there {_listed_statements(found)}"


def _listed_statements(found: Sequence[Counting]) -> str:
    told = [f"`{c.brought.path}` by `{c.brought.verified.signer}`" for c in found]
    return f"{'are' if told[1:] else 'is'} {', '.join(told) or 'none'}"


def _blocked(e: Evidence) -> str:
    return f"blocked digests: {len(e.blocked_digests)}"


def _checks(e: Evidence) -> str:
    required = e.environment.required_checks
    if not required:
        return f"{e.environment.environment} requires none"
    report = e.status.checks_of_tree(e.source_tree) if e.source_tree else None
    results = report.results if report else ()
    passed = [r.name for r in results if r.outcome is CheckOutcome.PASSED and r.name in required]
    return f"{len(passed)} of {len(required)} required checks passed: {', '.join(passed) or 'none'}"


def _namespace(e: Evidence) -> str:
    found = e.overlay.namespace if e.overlay else "nothing is rendered yet"
    return f"{found}, {len(e.manifest_findings)} findings in manifests"


def _overlay(e: Evidence) -> str:
    if e.overlay is None:
        return "nothing is rendered yet"
    pinned = e.promotion.overlay_tree
    return f"tree {e.overlay.tree[:12]}, {f'pinned {pinned[:12]}' if pinned else 'none pinned'}"


def _pinned(e: Evidence) -> str:
    told = [
        name
        for name, value in (
            ("digest", e.promotion.release.digest),
            ("overlay tree", e.promotion.overlay_tree),
        )
        if value
    ]
    return f"the request pins {' and '.join(told) or 'neither digest nor overlay tree'}"


def _windows(e: Evidence) -> str:
    count = len(e.platform.windows) + len(e.environment.windows)
    return f"windows: {count}, at {moment_of(e.now_s)}"


def _lane(e: Evidence) -> str:
    return f"lane {e.promotion.lane}"


def _automatic(e: Evidence) -> str:
    return "policy rolls back by itself" if e.automatic else "a request asks for it"


def _hold(e: Evidence) -> str:
    hold = e.status.hold(e.environment.environment)
    return f"held by the rollback of fact {hold.fact}" if hold else "no hold"


def _asked_by(e: Evidence) -> str:
    return "people alone asked" if e.by_people else "a bot asked"


def _person(e: Evidence) -> str:
    return "a person, with a new request"


def _authority(e: Evidence) -> str:
    if not e.authority.wanted:
        return "no approval is required"
    people = ", ".join(_logins(e, e.authority.approved_by)) or "nobody"
    return f"approved by {people}"


def _ages(e: Evidence) -> str:
    limits = {p.expires_after_days for p in e.authority.wanted if p.expires_after_days}
    if not limits:
        return "approvals do not expire"
    given = sorted(
        at or "at an unknown time" for held in e.authority.held for at in held.given.values()
    )
    return f"approvals count for {min(limits)} days; given {', '.join(given) or 'none'}"


def _authors(e: Evidence) -> str:
    if not any(policy.separation for policy in e.authority.wanted):
        return "authors of the source may approve"
    if e.source_authors is None:
        return "it is not known who wrote the source"
    return f"the source is by {', '.join(_logins(e, sorted(e.source_authors))) or 'nobody known'}"


def _group(e: Evidence) -> str:
    if not e.group:
        return "it is of no release group"
    told = [f"{other.draft} {_state_of(other)}" for other in e.group]
    return ", ".join(told)


def _state_of(other: Companion) -> str:
    if other.moved_s is not None:
        return f"moved as decided at {moment_of(other.moved_s)}"
    return other.ended or ("waits" if other.reasons else "is allowed")


def _members(e: Evidence) -> str:
    return "who can help the other members"


def _logins(e: Evidence, ids: Sequence[int]) -> list[str]:
    accounts = [(id, e.platform.account(id)) for id in ids]
    return [account.login if account else str(id) for id, account in accounts]


def _approvers(e: Evidence) -> str:
    return "; ".join(_team_of(e, policy) for policy in e.authority.wanted) or _asker(e)


def _team_of(e: Evidence, policy: ApprovalPolicy) -> str:
    people = e.platform.members(tuple(policy.teams)) - set(e.authority.approved_by)
    named = ", ".join(sorted(_logins(e, sorted(people)))) or "nobody is in them"
    return f"{' or '.join(policy.teams)} ({named})"


def _asker(e: Evidence) -> str:
    return "whoever asks, with a new request"


def _pipeline(e: Evidence) -> str:
    return "the pipeline: `pipeline run`"


def _code_owners(e: Evidence) -> str:
    return f"who may merge in {e.status.target_repo}"


def _platform_owners(e: Evidence) -> str:
    return f"the platform's owners: {', '.join(e.platform.owners)}"


def _observers(e: Evidence) -> str:
    return "nobody but time; whoever observes records how it does"


def _builders(e: Evidence) -> str:
    return "whoever builds: the build workflow"


def _signers(e: Evidence) -> str:
    names = dict.fromkeys(name for policy in e.environment.statements for name in policy.signers)
    return f"the signers {', '.join(names)}"


def _scanners(e: Evidence) -> str:
    policy = e.environment.vulnerabilities
    return f"who scans and signs: {', '.join(policy.signers)}" if policy else _asker(e)


ROWS: Mapping[str, Row] = {
    "draft-alive": Row("the draft is alive", lambda e: f"state {e.status.state}", _asker),
    "chain": Row("its facts add up", _chain, _platform_owners),
    "source": Row("its source is known, and merged where that is asked", _source, _code_owners),
    "environment-order": Row("it has run in an environment before", _runs_before, _asker),
    "same-base": Row("its manifests are those that ran before", _base, _asker),
    "soak": Row("it was seen healthy before for long enough", _soak, _observers),
    "same-digest": Row("the digest is the one image of its source", _build, _pipeline),
    "builder": Row("its builder is accepted", _build, _builders),
    "provenance": Row("its provenance is signed by a trusted signer", _provenance, _builders),
    "statements": Row("the signed statements that are asked for are there", _statements, _signers),
    "vulnerabilities": Row(
        "a recent scan finds nothing above the limit", _vulnerabilities, _scanners
    ),
    "blocked": Row("its digest is not blocked", _blocked, _platform_owners),
    "checks": Row("the required checks passed", _checks, _pipeline),
    "namespace": Row("it goes where such code may run", _namespace, _asker),
    "runtime": Row(
        "it has the form that runs there", lambda e: f"runtime {e.environment.runtime}", _asker
    ),
    "overlay": Row("it renders to the tree that was approved", _overlay, _asker),
    "pinned": Row("who approves sees digest and tree", _pinned, _asker),
    "lane": Row("its lane is offered", _lane, _platform_owners),
    "stop": Row("nothing is stopped", lambda e: f"stops: {len(e.stops)}", _platform_owners),
    "windows": Row("no window is closed", _windows, _platform_owners),
    "rollback": Row("a rollback goes back to what has run there", _lane, _asker),
    "automatic": Row("an automatic rollback is due by policy", _automatic, _platform_owners),
    "hold": Row("no rollback holds the environment", _hold, _person),
    "goes-further": Row("the release is not to stay where it is", _asked_by, _person),
    "lift": Row("the environment is held, and it names what runs there", _hold, _asker),
    "authority": Row("whoever asked may ask, and enough people approved", _authority, _approvers),
    "approval-age": Row("enough approvals have not expired", _ages, _approvers),
    "separation": Row("enough approve who did not write the source", _authors, _approvers),
    "group": Row("all members of its group are allowed", _group, _members),
}
