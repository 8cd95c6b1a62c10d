"""What a change of policy decides otherwise, over every recorded decision.

Each decision is made again at its own time and with its own evidence, by the policy before the
change and by the one after it. One does not follow from another: a promotion to staging is judged
with dev as it was. Where the changed files concern a decision's environment and tenant in nothing,
both policies are the same to it, and it is not made again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from pipeline.characters import visible
from pipeline.control.parsed import PARSED
from pipeline.control.repo import read_request_blobs
from pipeline.diagnostics import Finding
from pipeline.errors import Refused
from pipeline.gate.authorise import Decision
from pipeline.git.repository import GitRepository
from pipeline.machine.parallel import run_shared
from pipeline.models.facts import (
    Built,
    Fact,
)
from pipeline.models.policy import ChangedDecision, Outcome, PolicyDiffDocument
from pipeline.models.requests import Request
from pipeline.models.run_report import DecisionReasonItem
from pipeline.policy.past import past_decisions
from pipeline.policy.recorded import (
    DECIDING,
    RecordedDraft,
    Sources,
    read_changed,
    read_recorded,
    read_sources,
)
from pipeline.policy.replay import PolicyOf, decide_by, without_fields, without_statements
from pipeline.requests.layout import environment_path, promotion_path, tenant_path
from pipeline.requests.snapshot import ReadRequest, Snapshot, snapshot_of
from pipeline.state.statuses import StateRefs
from pipeline.tools.bundlecheck import verify_bundles

# Fields of an environment whose change facts alone cannot follow, and what is not known then.
_FIELDS = (
    (("requires_default_branch",), "whether a source was on the default branch is not recorded"),
    (("statements", "vulnerabilities"), "which signed statements there were is not compared"),
    (("settings", "delivery", "cluster", "runtime"), "overlays are taken as they were rendered"),
)


@dataclass(frozen=True)
class PolicyPair:
    """The policies on both sides of a change, and the policy files that differ."""

    base: PolicyOf
    head: PolicyOf
    files: tuple[str, ...]
    is_signed: bool  # whether provenance is judged, since signers or what is asked differ
    left_out: tuple[str, ...]  # what differs and is not compared, in words

    @property
    def is_about_all(self) -> bool:
        """Whether a file differs that may concern any decision."""
        return any(path.count("/") == 1 for path in self.files)

    def concerns(self, paths: Iterable[str]) -> bool:
        """Whether what differs is about the environment or tenant of one of these requests."""
        if self.is_about_all:
            return True
        return any(path in self.files for request in paths for path in _policy_behind(request))


def _policy_behind(request: str) -> tuple[str, ...]:
    """The environment's and the tenant's file of a request."""
    parts = request.split("/")
    if parts[0] != "tenants" or len(parts) < 3:
        return (request,)
    behind = (tenant_path(parts[1]),)
    if len(parts) == 6 and parts[4] == "promotions":
        return (*behind, environment_path(parts[5].removesuffix(".yaml")))
    return behind


def is_policy(path: str) -> bool:
    """Whether a file of the control repo is policy that the gate reads."""
    if path.startswith("environments/"):
        return not path.startswith("environments/acknowledgements/")
    return path.startswith("tenants/") and path.count("/") == 2 and path.endswith("/tenant.yaml")


def read_policy(git: GitRepository, commit: str) -> Snapshot:
    """The policy at a commit or tree. Raises Refused with the findings if it is not valid."""
    blobs = {p: id for p, id in read_request_blobs(git, commit).items() if is_policy(p)}
    reads: list[ReadRequest] = []
    findings: list[Finding] = []
    for (path, id), item in zip(blobs.items(), git.read_objects(list(blobs.values())), strict=True):
        read, found = PARSED.parse(path, id, item.content if item else b"")
        findings += found
        reads += [read] if read else []
    if findings:
        raise Refused(f"the policy at {commit[:12]} is not valid", tuple(findings))
    return snapshot_of(commit, blobs, reads)


def read_policy_diff(
    git: GitRepository, base: str, head: str, *, state: StateRefs
) -> PolicyDiffDocument:
    """What the policy at `head` decides otherwise than that at `base`.

    `state` has the state branches, and main. Raises Refused if a policy is not
    valid, CouldNotCheck if a fact or a statement cannot be read.
    """
    pair = _pair(read_policy(git, base), read_policy(git, head))
    recorded = read_recorded(state.git, state.prefix)
    deciding = {one.draft: one.deciding() for one in recorded}
    count = sum(map(len, deciding.values()))
    if not pair.files:
        return _document(base, head, pair, count, ())
    facts = [fact for found in deciding.values() for fact in found]
    changed = {} if pair.is_about_all else read_changed(state.git, facts)
    named = [
        fact
        for fact in facts
        if pair.concerns((*changed.get(fact.cause.commit, ()), *_about(fact)))
    ]
    chosen: dict[str, set[int]] = {}
    for fact in named:
        chosen.setdefault(fact.draft, set()).add(fact.sequence)
    kept = [one for one in recorded if one.draft in chosen]
    drafts = [fact for one in kept for fact in one.accepted()]
    sources = read_sources(state.git, named, drafts, changed)
    if pair.is_signed:
        sides = [with_statements(side, kept) for side in (pair.base, pair.head)]
        pair = replace(pair, base=sides[0], head=sides[1])
    for repository in (git, state.git):
        repository.close()  # forks must not share its process
    weight = sum(len(one.facts) for one in kept)
    work = partial(_replay_all, pair, sources, chosen)
    return _document(base, head, pair, count, run_shared(work, kept, weight))


def _pair(base: Snapshot, head: Snapshot) -> PolicyPair:
    """Both policies; without provenance where both ask the same of the same signers."""
    # What only people read, such as a comment, decides nothing.
    files = sorted(p for p in {*base.blobs, *head.blobs} if _model(base, p) != _model(head, p))
    asked = [
        {name: one.provenance for name, one in side.environments.items()} for side in (base, head)
    ]
    names = asked[0].keys() & asked[1].keys()
    is_signed = base.signers != head.signers or any(asked[0][n] != asked[1][n] for n in names)
    # Facts name the statements that counted, not those that another policy would have asked for.
    sides = [without_statements(side) for side in (base, head)]
    if not is_signed:
        sides = [without_fields(side, provenance="unchecked") for side in sides]
    pair = (PolicyOf(sides[0]), PolicyOf(sides[1]))
    return PolicyPair(*pair, tuple(files), is_signed, tuple(_left_out(base, head)))


def _model(policy: Snapshot, path: str) -> Request | None:
    found = policy.requests.get(path)
    return found.model if found else None


def with_statements(policy: PolicyOf, recorded: Sequence[RecordedDraft]) -> PolicyOf:
    """The policy with every recorded statement verified by its signers. Raises CouldNotCheck."""
    bodies = [fact.body for one in recorded for fact in one.parsed()]
    found = [body.build.bundle for body in bodies if isinstance(body, Built)]
    bundles = [bundle for bundle in dict.fromkeys(found) if bundle]
    signers = policy.snapshot.signers
    if signers is None or not bundles:
        return policy
    verified = verify_bundles([(bundle, signers) for bundle in bundles])
    return PolicyOf(policy.snapshot, dict(zip(bundles, verified, strict=True)))


def _about(fact: Fact) -> tuple[str, ...]:
    """The requests that a decision is about: its cause, and the environment's own promotion."""
    body = fact.body
    assert isinstance(body, DECIDING)  # the caller chose
    return (fact.cause.request, promotion_path(fact.draft, body.environment))


# -- one draft ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """The results over some drafts."""

    changed: tuple[ChangedDecision, ...]
    replayed: int
    other_reasons: int
    sourceless: int  # refused requests whose source no fact tells


def _replay_all(
    pair: PolicyPair,
    sources: Sources,
    chosen: Mapping[str, Collection[int]],
    recorded: Sequence[RecordedDraft],
) -> _Part:
    """The decisions of some drafts, made again by both policies."""
    changed: list[ChangedDecision] = []
    replayed = other_reasons = sourceless = 0
    for one in recorded:
        for fact, past in past_decisions(one, sources, chosen[one.draft], is_signed=pair.is_signed):
            if past is None:
                sourceless += 1
                continue
            replayed += 1
            was, would_be = decide_by(past, pair.base), decide_by(past, pair.head)
            if _outcome(was) != _outcome(would_be):
                changed.append(_changed(fact, was, would_be))
            elif _codes(was) != _codes(would_be):
                other_reasons += 1
    return _Part(tuple(changed), replayed, other_reasons, sourceless)


def _outcome(decision: Decision | None) -> Outcome:
    return decision.verdict if decision else "undecided"


def _codes(decision: Decision | None) -> frozenset[str]:
    return frozenset(r.code for r in decision.reasons) if decision else frozenset()


def _changed(fact: Fact, was: Decision | None, would_be: Decision | None) -> ChangedDecision:
    body = fact.body
    assert isinstance(body, DECIDING)  # the caller chose
    recorded: dict[str, Literal["promoted", "refused", "lifted"]] = {
        "promoted": "promoted",
        "promotion-refused": "refused",
        "hold-lifted": "lifted",
    }
    alone = [
        reason
        for one, other in ((would_be, was), (was, would_be))
        for reason in (one.reasons if one else ())
        if reason.code not in _codes(other)
    ]
    return ChangedDecision(
        draft=fact.draft,
        environment=body.environment,
        fact=fact.sequence,
        recorded=recorded[body.type],
        at=fact.decided_at,
        was=_outcome(was),
        would_be=_outcome(would_be),
        reasons=tuple(
            DecisionReasonItem(code=r.code, message=visible(r.message), final=r.final)
            for r in alone
        ),
    )


# -- the whole --------------------------------------------------------------------------------


def _document(
    base: str, head: str, pair: PolicyPair, count: int, parts: Iterable[_Part]
) -> PolicyDiffDocument:
    found = tuple(parts)
    changed = sorted(
        (one for part in found for one in part.changed),
        key=lambda one: (one.at or "", one.draft, one.fact),
        reverse=True,
    )
    sourceless = sum(part.sourceless for part in found)
    return PolicyDiffDocument(
        base=base,
        head=head,
        files=pair.files,
        decisions=count,
        replayed=sum(part.replayed for part in found),
        changed=tuple(changed),
        other_reasons=sum(part.other_reasons for part in found),
        not_known=tuple(_not_known(pair, sourceless)),
    )


def _not_known(pair: PolicyPair, sourceless: int) -> Iterator[str]:
    """What the change may decide otherwise that the control repository does not show."""
    if sourceless:
        yield f"what {sourceless} refused requests asked for: no fact tells of their sources"
    yield from pair.left_out


def _left_out(base: Snapshot, head: Snapshot) -> Iterator[str]:
    """What differs between environments and cannot be compared, in words."""
    before, after = base.environments, head.environments
    for fields, told in _FIELDS:
        names = [
            name
            for name in before.keys() & after.keys()
            if any(getattr(before[name], f) != getattr(after[name], f) for f in fields)
        ]
        if names:
            yield f"{', '.join(sorted(names))}: {told}"
