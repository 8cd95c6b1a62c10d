"""Provenance: what a build states of itself, and whether a signed statement says the same. Pure.

A statement is judged as verified bytes (`pipeline.tools.bundlecheck` says whose they are), and
only by what it says: image, digest, source tree, builder and list of contents are compared with
what the draft's facts and policy know. Whatever is missing, unreadable, of somebody else or about
something else is a reason against (design §7).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from pipeline.diagnostics import Rule
from pipeline.gate import rules as rule
from pipeline.images.oci import digest_of
from pipeline.models.base import ImageDigest, first_problem
from pipeline.models.evidence import BuildRecord
from pipeline.models.provenance import Predicate, Statement
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer, key_hint

_SHA256 = "sha256:"


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of verifying a bundle: whose it is and the signed bytes, or why it is nobody's."""

    signer: str = ""  # a signer's name
    statement: bytes = b""
    problem: str = ""
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a build states: from which folder of which source, by what, which image."""

    record: BuildRecord  # without a bundle
    repo: str
    folder: str


@dataclass(frozen=True, slots=True)
class Stated:
    """A recorded image, and whose word there is on it; or why nobody's counts."""

    record: BuildRecord
    signer: str
    problem: str


def predicate_of(claim: Claim, builder_id: str, invocation: str = "") -> dict[str, object]:
    """The SLSA provenance of a build, as JSON has it. Raises ValueError without an SBOM."""
    record = claim.record
    if record.sbom is None:
        raise ValueError("provenance names the list of the image's contents")
    details: dict[str, object] = {
        "builder": {"id": builder_id},
        "byproducts": [{"digest": {"sha256": record.sbom.removeprefix(_SHA256)}}],
    }
    if invocation:
        details["metadata"] = {"invocationId": invocation}
    predicate = Predicate.model_validate_json(
        json.dumps(
            {
                "buildDefinition": {
                    "externalParameters": {
                        "source": {
                            "repository": claim.repo,
                            "folder": claim.folder,
                            "tree": record.source_tree,
                        }
                    },
                    "internalParameters": {"builder": record.builder},
                    "resolvedDependencies": [
                        {
                            "name": claim.repo,
                            "digest": {
                                "gitCommit": record.source_commit,
                                "gitTree": record.source_tree,
                            },
                        }
                    ],
                },
                "runDetails": details,
            }
        )
    )
    return _told(predicate)


def statement_of(claim: Claim, builder_id: str, invocation: str = "") -> bytes:
    """The bytes to sign; equal claims give equal bytes."""
    digest = claim.record.digest.removeprefix(_SHA256)
    statement = Statement.model_validate_json(
        json.dumps(
            {
                "subject": [{"name": claim.record.image, "digest": {"sha256": digest}}],
                "predicate": predicate_of(claim, builder_id, invocation),
            }
        )
    )
    return json.dumps(_told(statement), sort_keys=True, separators=(",", ":")).encode()


def _told(model: BaseModel) -> dict[str, object]:
    told: dict[str, object] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return told


def signer_of_key(signers: Signers | None, public_key: str) -> Signer | None:
    """The signer whose key this is, if there is one."""
    wanted = key_hint(public_key)
    for signer in signers.signers if signers else ():
        if signer.public_key is not None and key_hint(signer.public_key) == wanted:
            return signer
    return None


def with_bundle(record: BuildRecord, bundle: str) -> BuildRecord:
    """The record with its signed statement."""
    digest = ImageDigest(digest_of(bundle.encode()))
    return record.model_copy(update={"bundle": bundle, "provenance": digest})


def parse_statement(statement: bytes) -> Statement:
    """The statement in signed bytes. Raises ValueError for anything else."""
    try:
        return Statement.model_validate_json(statement)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error


def provenance_problem(
    verified: Verified | None, claim: Claim, signers: Signers | None
) -> tuple[Rule, str] | None:
    """Why a build is not shown to be what its record claims: a rule and a message; or None.

    `verified` is what came of its bundle, None when there is none.
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
    try:
        statement = parse_statement(verified.statement)
    except ValueError as error:
        return rule.PROVENANCE_UNREADABLE, f"its statement is no SLSA provenance: {error}"
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
            return f"its statement is of another {what}: `{stated}`, not `{expected}`"
    return ""
