"""Drafts: causes, digests, approvals, and whose word there is on every image that ran."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.audit.reading import Audit, Chain, promotions
from pipeline.diagnostics import Finding
from pipeline.models.evidence import BuildRecord
from pipeline.models.facts import Built, Fact, Promoted
from pipeline.models.requests import Signers
from pipeline.names import primitive_folder
from pipeline.provenance import Claim, provenance_problem
from pipeline.rules import audit as rule
from pipeline.tools.bundlecheck import verify_bundles


def check_chain(audit: Audit, chain: Chain) -> Iterator[Finding]:
    """One digest a source tree, a request on main behind every fact, enough approvals."""
    yield from _check_digests(chain)
    for fact in chain.facts:
        yield from _check_cause(audit, chain, fact)
        if isinstance(fact.body, Promoted):
            yield from _check_approvals(audit, chain, fact, fact.body)


def _check_digests(chain: Chain) -> Iterator[Finding]:
    built = {
        f.body.build.source_tree: f.body.build.digest
        for f in chain.facts
        if isinstance(f.body, Built)
    }
    for _, fact, body in promotions([chain]):
        expected = built.get(body.release.source_tree)
        if body.release.digest != expected:
            yield rule.DIGEST_DIFFERS.finding(
                f"{body.environment} got {body.release.digest}, the source was built as {expected}",
                chain.location(fact),
            )


def _check_cause(audit: Audit, chain: Chain, fact: Fact) -> Iterator[Finding]:
    cause = fact.cause
    on_main = cause.commit in audit.main
    found = audit.control.read_object(f"{cause.commit}:{cause.request}") if on_main else None
    if found is None or found.id != cause.blob:
        yield rule.CAUSE_MISSING.finding(
            f"main has no {cause.request} at {cause.commit[:12]} with that content",
            chain.location(fact),
        )


def check_provenance(audit: Audit) -> Iterator[Finding]:
    """What ran was built from its source by somebody who was trusted when it was promoted."""
    asked: list[tuple[Chain, Fact, BuildRecord, Signers]] = []
    for chain, fact, body in promotions(audit.chains):
        policy = audit.policy_at(fact.cause.commit)
        environment = policy.environments.get(body.environment) if policy else None
        # Without signers no environment could ask for a statement.
        if policy is None or policy.signers is None or environment is None:
            continue
        build = _build_of(chain, body.release.source_tree)
        if build is not None and environment.provenance == "required":
            asked.append((chain, fact, build, policy.signers))
    bundles = [(build.bundle, signers) for _, _, build, signers in asked if build.bundle]
    found = iter(verify_bundles(bundles))
    for chain, fact, build, signers in asked:
        verified = next(found) if build.bundle else None
        status = chain.status
        claim = Claim(
            build.model_copy(update={"image": status.image}),
            status.target_repo,
            primitive_folder(status.instance),
        )
        problem = provenance_problem(verified, claim, signers)
        if problem is not None:
            yield rule.PROVENANCE_INVALID.finding(
                f"{problem[0].id}: {problem[1]}", chain.location(fact)
            )


def _build_of(chain: Chain, tree: str) -> BuildRecord | None:
    """The record of a source tree's image, with its statement."""
    for fact in chain.facts:
        if isinstance(fact.body, Built) and fact.body.build.source_tree == tree:
            return fact.body.build
    return None


def _check_approvals(audit: Audit, chain: Chain, fact: Fact, body: Promoted) -> Iterator[Finding]:
    commit = fact.cause.commit
    policy_then = audit.policy_at(commit)
    if policy_then is None:
        return
    environment = policy_then.environments.get(body.environment)
    platform = policy_then.platform
    if environment is None or platform is None:
        yield rule.APPROVALS_SHORT.finding(
            f"`{body.environment}` had no valid policy at {commit[:12]}", chain.location(fact)
        )
        return
    policy = environment.approval_for(chain.status.risk_tier)
    if policy is None:
        return
    people = set(body.approved_by) & platform.members(policy.teams) - {fact.cause.actor}
    if len(people) < policy.count:
        yield rule.APPROVALS_SHORT.finding(
            f"{len(people)} of {policy.count} approvals for {body.environment}",
            chain.location(fact),
        )
