"""Whether an image's signed provenance agrees with facts and policy. Pure.

`pipeline.tools.bundlecheck` verifies the signature and names the signer. Here the statement's
image, digest, source tree, builder and SBOM are compared with the draft's facts and the policy. One
that is missing, unreadable, by another signer or about something else is a reason against.
"""

from __future__ import annotations

from functools import lru_cache

from pydantic import ValidationError

from pipeline.diagnostics import Rule
from pipeline.gate import rules as rule
from pipeline.models.base import first_problem
from pipeline.models.provenance import Claim, Statement, Verified
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer

_SHA256 = "sha256:"


# A run decides on one image per environment, and the judge and the audit decide again; parsing was
# a quarter of a decision. A statement has some kilobytes.
@lru_cache(maxsize=256)
def parse_statement(statement: bytes) -> Statement:
    """The statement in signed bytes. Raises ValueError for anything else."""
    try:
        return Statement.model_validate_json(statement)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error


def provenance_problem(
    verified: Verified | None, claim: Claim, signers: Signers | None
) -> tuple[Rule, str] | None:
    """The rule and message for a build whose provenance does not prove its record; else None.

    `verified` is the result for its bundle; None if it has no bundle.
    """
    if signers is None:
        return (
            rule.PROVENANCE_FOREIGN,
            "there is no environments/signers.yaml, so nobody is trusted",
        )
    if verified is None:
        return rule.PROVENANCE_MISSING, "no signed statement says what the image was built from"
    if verified.unreadable:
        return rule.PROVENANCE_UNREADABLE, f"its statement cannot be read: {verified.problem}"
    if verified.problem:
        return rule.PROVENANCE_FOREIGN, f"nobody trusted signed its statement: {verified.problem}"
    signer = next((s for s in signers.signers if s.name == verified.signer), None)
    if signer is None:
        return rule.PROVENANCE_FOREIGN, f"`{verified.signer}` is none of environments/signers.yaml"
    if "provenance" not in signer.signs:
        return rule.PROVENANCE_FOREIGN, f"`{signer.name}` is a signer, but not of provenance"
    try:
        statement = parse_statement(verified.statement)
    except ValueError as error:
        return rule.PROVENANCE_UNREADABLE, f"its statement is not SLSA provenance: {error}"
    said = _differences(statement, claim, signer)
    return (rule.PROVENANCE_MISMATCH, said) if said else None


def _differences(statement: Statement, claim: Claim, signer: Signer) -> str:
    definition, details = statement.predicate.build_definition, statement.predicate.run_details
    subject, source = statement.subject[0], definition.external_parameters.source
    dependency, record = definition.resolved_dependencies[0], claim.record
    told = (
        ("image", subject.name, record.image),
        ("digest", _SHA256 + subject.digest.sha256, record.digest),
        ("repository", source.repository, claim.repo),
        ("repository", dependency.name, claim.repo),
        ("folder", source.folder, claim.folder),
        ("source tree", source.tree, record.source_tree),
        ("source tree", dependency.digest.git_tree, record.source_tree),
        ("builder", definition.internal_parameters.builder, record.builder),
        ("contents", _SHA256 + details.byproducts[0].digest.sha256, record.sbom or "none"),
        ("builder's id", details.builder.id, signer.builder_id),
    )
    for what, stated, expected in told:
        if stated != expected:
            return f"its statement is about another {what}: `{stated}`, not `{expected}`"
    return ""
