"""The one gate: every write to an environment passes `authorise` (docs/model.md §10).

Pure: a request, its release, the policy at the base commit, evidence and the draft's status go
in; allowed, or reasons with stable codes, come out. A clause is a function of the evidence;
a new rule is one more clause. A reason is *final* if only a new revision of the request (or
another release) can change it; otherwise the promotion waits and the next run judges it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline import names
from pipeline.diagnostics import Finding
from pipeline.gate import rules as rule
from pipeline.gate.approvals import clause_approval_age, clause_separation, counting
from pipeline.gate.authority import Authority
from pipeline.gate.groups import Companion, clause_group
from pipeline.gate.holds import clause_lane, clause_stop, clause_windows
from pipeline.gate.provenance import provenance_problem
from pipeline.gate.ran import runs_of_release
from pipeline.gate.reasons import DecisionReason as DecisionReason
from pipeline.gate.rollback import (
    clause_automatic,
    clause_goes_further,
    clause_hold,
    clause_lift,
    clause_rollback,
)
from pipeline.gate.soak import clause_soak
from pipeline.gate.statements import (
    Counting,
    clause_statements,
    clause_vulnerabilities,
    counting_statements,
    digest_of_evidence,
)
from pipeline.gate.waivers import Asked, Grant, Waived, without_waived
from pipeline.models.base import seconds_of
from pipeline.models.evidence import CheckOutcome
from pipeline.models.provenance import Claim, Verified
from pipeline.models.requests import (
    CodeOrigin,
    Environment,
    Halt,
    Platform,
    Promotion,
    RiskTier,
    Signers,
)
from pipeline.models.statements import BroughtStatement
from pipeline.models.status import DraftState, DraftStatus, RunRecord
from pipeline.releases.overlays import Overlay, has_runtime


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a decision rests on."""

    promotion: Promotion
    environment: Environment
    platform: Platform
    blocked_digests: frozenset[str]
    status: DraftStatus
    source_tree: str | None  # of the primitive's folder at the requested commit
    source_on_default: bool
    overlay: Overlay | None  # rendered now from the release; None before it is built
    manifest_findings: tuple[Finding, ...]
    authority: Authority  # over this revision of the request
    tier: RiskTier  # the higher of the tier at acceptance and the tier now
    now_s: int  # the moment of the decision, in seconds since the epoch
    known_for_s: Mapping[str, int] = field(default_factory=dict)  # by environment before
    chain_problem: str = ""  # why the draft's facts do not add up; empty if they do
    signers: Signers | None = None
    provenance: Verified | None = None  # verified provenance of the source tree's image
    statements: tuple[BroughtStatement, ...] = ()  # the draft's, where the environment asks for any
    stops: tuple[Halt, ...] = ()  # what is stopped now
    waivers: tuple[Grant, ...] = ()  # the draft's waivers on main now
    source_authors: frozenset[int] | None = None  # who wrote the source; None where unknown
    by_people: bool = True  # whether only people opened and pushed the request
    asked_s: int | None = None  # when it came to main; None for one not made yet
    automatic: bool = False  # whether policy rolls back by itself
    retires: bool = False  # whether main asks to retire the draft
    group: tuple[Companion, ...] = ()  # the other members of its release group


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed if there is no reason against; `approved_by` are the people whose approval counts."""

    draft: str
    environment: str
    reasons: tuple[DecisionReason, ...]
    approved_by: tuple[int, ...]
    waived: tuple[Waived, ...] = ()
    stated: tuple[Counting, ...] = ()  # the signed statements that it rests on

    @property
    def allowed(self) -> bool:
        """Whether the overlay may be written."""
        return not self.reasons

    @property
    def refused(self) -> bool:
        """Whether this revision of the request can never be carried out."""
        return any(r.final for r in self.reasons)

    @property
    def verdict(self) -> Literal["allowed", "waits", "refused"]:
        """The decision in one word."""
        if self.allowed:
            return "allowed"
        return "refused" if self.refused else "waits"


Clause = Callable[[Evidence], Iterator[DecisionReason]]


def _final(rule_id: str, message: str) -> DecisionReason:
    return DecisionReason(rule_id, message, final=True)


def _waits(rule_id: str, message: str) -> DecisionReason:
    return DecisionReason(rule_id, message, final=False)


def clause_draft_alive(e: Evidence) -> Iterator[DecisionReason]:
    """The draft was neither rejected nor retired."""
    if e.status.state is DraftState.REJECTED:
        yield _final(rule.DRAFT_ENDED.id, f"{e.status.id} has ended")
    elif e.retires:
        yield _final(rule.DRAFT_ENDED.id, f"{e.status.id} is being retired")


def clause_chain(e: Evidence) -> Iterator[DecisionReason]:
    """The draft's facts add up."""
    if e.chain_problem:
        yield _waits(rule.STATE_TAMPERED.id, e.chain_problem)


def clause_source(e: Evidence) -> Iterator[DecisionReason]:
    """The source commit holds the primitive, and is on the default branch if the policy says so."""
    commit = e.promotion.release.source_commit
    if e.source_tree is None:
        yield _final(
            rule.SOURCE_UNKNOWN.id,
            f"{commit[:12]} is not a commit of {e.status.target_repo} with this primitive",
        )
    elif e.environment.requires_default_branch and not e.source_on_default:
        yield _waits(
            rule.SOURCE_NOT_ON_DEFAULT_BRANCH.id,
            f"the source at {commit[:12]} is not on the default branch of {e.status.target_repo}",
        )


def clause_environment_order(e: Evidence) -> Iterator[DecisionReason]:
    """The release has run in an earlier environment; it need not run there now.

    `clause_rollback` says where a rollback's release has run.
    """
    sources = e.environment.promotes_from
    if e.promotion.lane == "rollback":
        return
    if not sources:
        if e.environment.stage != "dev":
            where = e.environment.environment
            yield _final(rule.ENVIRONMENT_ORDER.id, f"no environment comes before {where}")
        return
    earlier, ran = e.status.runs_in(sources), _earlier_runs(e)
    wanted = e.promotion.release
    if not earlier:
        listed = " or ".join(sources)
        yield _final(rule.ENVIRONMENT_ORDER.id, f"{listed} has not run this primitive")
    elif not ran:
        newest = {run.environment: run.release.digest for run in earlier}
        shown = ", ".join(f"{s} runs {newest[s][:19]}…" for s in sources if s in newest)
        what = f"{wanted.digest[:19]}…" if wanted.digest else f"source {wanted.source_commit[:12]}"
        yield _final(rule.ENVIRONMENT_ORDER.id, f"{shown}; {' and '.join(newest)} never ran {what}")


def _earlier_runs(e: Evidence) -> tuple[RunRecord, ...]:
    """The runs of this release in earlier environments; before a rollback, in the same one."""
    here = (e.environment.environment,)
    return runs_of_release(
        e, here if e.promotion.lane == "rollback" else e.environment.promotes_from
    )


def clause_same_base(e: Evidence) -> Iterator[DecisionReason]:
    """The rendered base is one that an earlier environment ran, and not only the same image.

    `clause_environment_order` refuses a release that no earlier environment ran.
    """
    if e.overlay is None:
        return
    release = e.overlay.release
    ran = [run for run in _earlier_runs(e) if run.release.digest == release.digest]
    if ran and release.base_tree not in {run.release.base_tree for run in ran}:
        newest = {run.environment: run.release.base_tree for run in ran}
        shown = ", ".join(f"{name} ran base {base[:12]}" for name, base in newest.items())
        yield _final(
            rule.BASE_CHANGED.id, f"{shown}; the release renders to {release.base_tree[:12]}"
        )


def clause_same_digest(e: Evidence) -> Iterator[DecisionReason]:
    """The requested digest is the one image that was built from the source tree."""
    if e.source_tree is None:
        return
    build = e.status.build_of_tree(e.source_tree)
    wanted = e.promotion.release.digest
    if build is None:
        message = f"no image was built from source tree {e.source_tree[:12]} yet"
        if wanted:
            yield _final(rule.DIGEST_NOT_BUILT.id, message)
        else:
            yield _waits(rule.BUILD_MISSING.id, message)
    elif wanted and wanted != build.digest:
        yield _final(
            rule.DIGEST_NOT_BUILT.id,
            f"the source was built as {build.digest[:19]}…, the request asks for {wanted[:19]}…",
        )


def clause_builder(e: Evidence) -> Iterator[DecisionReason]:
    """The environment's policy allows the image's builder."""
    build = e.status.build_of_tree(e.source_tree) if e.source_tree else None
    if build and e.environment.builders and build.builder not in e.environment.builders:
        allowed = ", ".join(e.environment.builders)
        yield _final(
            rule.BUILDER_REFUSED.id, f"built by `{build.builder}`; allowed here: {allowed}"
        )


def clause_provenance(e: Evidence) -> Iterator[DecisionReason]:
    """A trusted signer states that the image was built from exactly this source tree."""
    build = e.status.build_of_tree(e.source_tree) if e.source_tree else None
    if build is None or e.environment.provenance == "unchecked":
        return
    if build.image != e.status.image:
        build = build.model_copy(update={"image": e.status.image})
    claim = Claim(build, e.status.target_repo, names.primitive_folder(e.status.instance))
    problem = provenance_problem(e.provenance, claim, e.signers)
    if problem is not None:
        yield _final(problem[0].id, problem[1])


def clause_blocked(e: Evidence) -> Iterator[DecisionReason]:
    """No environment runs a blocked digest."""
    build = e.status.build_of_tree(e.source_tree) if e.source_tree else None
    for digest in {d for d in (e.promotion.release.digest, build.digest if build else None) if d}:
        if digest in e.blocked_digests:
            yield _final("digest-blocked", f"{digest} is blocked")


def clause_checks(e: Evidence) -> Iterator[DecisionReason]:
    """Every check that the environment requires passed on exactly this source tree."""
    if e.source_tree is None:
        return
    report = e.status.checks_of_tree(e.source_tree)
    results = {r.name: r for r in report.results} if report else {}
    if e.environment.stage != "dev" and not e.environment.required_checks:
        name = e.environment.environment
        yield _waits(rule.CHECK_MISSING.id, f"{name} requires no check, and 0 of 0 is none passed")
    for name in e.environment.required_checks:
        result = results.get(name)
        if result is None:
            yield _waits(rule.CHECK_MISSING.id, f"`{name}` has not run on this source")
        elif result.outcome is not CheckOutcome.PASSED:
            yield _final(rule.CHECK_FAILED.id, f"`{name}` failed: {result.summary}")


def clause_namespace(e: Evidence) -> Iterator[DecisionReason]:
    """Custom code stays out of shared namespaces; the overlay targets the right namespace."""
    env = e.environment.environment
    origin = e.status.code_origin
    expected = names.namespace(e.platform.platform, e.status.tenant_id, e.status.sku, origin, env)
    found = e.overlay.namespace if e.overlay else e.status.target_namespaces.get(env, expected)
    if origin is not CodeOrigin.PLATFORM and names.is_shared_namespace(e.platform.platform, found):
        yield _final(
            "namespace-shared-custom-code", f"code of origin `{origin}` may not run in `{found}`"
        )
    if found != expected:
        yield _final(rule.NAMESPACE_CHANGED.id, f"`{found}` is not `{expected}`")
    for finding in e.manifest_findings:
        yield _final(finding.code, finding.message)


def clause_runtime(e: Evidence) -> Iterator[DecisionReason]:
    """The release has the form that the environment runs: plain workloads or a custom resource."""
    if e.overlay and not has_runtime(e.overlay.files, e.environment.runtime):
        env, runtime = e.environment.environment, e.environment.runtime
        yield _final(
            rule.RUNTIME_NOT_OFFERED.id,
            f"{env} runs primitives by {runtime}; the chart has no such form",
        )


def clause_overlay(e: Evidence) -> Iterator[DecisionReason]:
    """The overlay to be written is, bit for bit, the one that the request pins."""
    pinned = e.promotion.overlay_tree
    if pinned and e.overlay and pinned != e.overlay.tree:
        yield _final(
            rule.OVERLAY_TREE_MISMATCH.id,
            f"the release renders to tree {e.overlay.tree[:12]}, the request pins {pinned[:12]}",
        )


def clause_pinned(e: Evidence) -> Iterator[DecisionReason]:
    """A request that needs approval names the digest and the tree that reviewers approve."""
    policy = e.environment.approval_for(e.tier, e.status.tenant_id)
    if policy and not e.automatic and not (e.promotion.release.digest and e.promotion.overlay_tree):
        yield _final("promotion-not-pinned", "approved requests pin digest and overlay tree")


def clause_authority(e: Evidence) -> Iterator[DecisionReason]:
    """The author may ask, and enough of the right people approved (`pipeline.gate.authority`)."""
    for reason in e.authority.reasons:
        yield DecisionReason(reason.code, reason.message, reason.final)


CLAUSES: tuple[Clause, ...] = (
    clause_draft_alive,
    clause_chain,
    clause_source,
    clause_environment_order,
    clause_same_base,
    clause_soak,
    clause_same_digest,
    clause_builder,
    clause_provenance,
    clause_statements,
    clause_vulnerabilities,
    clause_blocked,
    clause_checks,
    clause_namespace,
    clause_runtime,
    clause_overlay,
    clause_pinned,
    clause_lane,
    clause_stop,
    clause_windows,
    clause_rollback,
    clause_automatic,
    clause_hold,
    clause_goes_further,
    clause_authority,
    clause_approval_age,
    clause_separation,
    clause_group,
)
# Lifting a hold writes nothing, so it rests on people alone.
LIFT_CLAUSES: tuple[Clause, ...] = (
    clause_draft_alive,
    clause_chain,
    clause_lift,
    clause_hold,
    clause_authority,
    clause_approval_age,
)


def clauses_for(promotion: Promotion) -> tuple[Clause, ...]:
    """The clauses that a request has to meet."""
    return LIFT_CLAUSES if promotion.hold == "lifted" else CLAUSES


def authorise(evidence: Evidence) -> Decision:
    """The decision on one promotion, with all reasons against it in the order of the clauses."""
    clauses = clauses_for(evidence.promotion)
    reasons = tuple(reason for clause in clauses for reason in clause(evidence))
    reasons, waived = left_by_waivers(evidence, reasons)
    draft, environment = evidence.status.id, evidence.environment.environment
    stated = counting_statements(evidence) if evidence.statements else ()
    return Decision(draft, environment, reasons, counting(evidence), waived, stated)


def left_by_waivers(
    e: Evidence, reasons: tuple[DecisionReason, ...]
) -> tuple[tuple[DecisionReason, ...], tuple[Waived, ...]]:
    """The reasons that no waiver takes away, and the rules that are waived."""
    if not (reasons and e.waivers):
        return reasons, ()
    seen = e.status.decided_at
    latest_s = max(e.now_s, seconds_of(seen) if seen else 0)
    digest = digest_of_evidence(e)
    asked = Asked(e.status.id, e.environment.environment, digest, e.now_s, latest_s)
    return without_waived(reasons, e.waivers, e.platform.waivers, asked)
