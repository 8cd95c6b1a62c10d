"""The statement that a build signs: which image it made, from which source, with what. Pure."""

from __future__ import annotations

import json

from pydantic import BaseModel

from pipeline.gate.provenance import _SHA256
from pipeline.models.base import ImageDigest, digest_of
from pipeline.models.evidence import BuildRecord
from pipeline.models.provenance import Claim, Predicate, Statement
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer, key_hint


def predicate_of(claim: Claim, builder_id: str, invocation: str = "") -> dict[str, object]:
    """The SLSA provenance of a build, as JSON values. Raises ValueError without an SBOM."""
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
    """The signer of provenance with this key, if there is one."""
    wanted = key_hint(public_key)
    for signer in signers.signers if signers else ():
        if signer.public_key is None or "provenance" not in signer.signs:
            continue
        if key_hint(signer.public_key) == wanted:
            return signer
    return None


def with_bundle(record: BuildRecord, bundle: str) -> BuildRecord:
    """The record with its signed provenance."""
    digest = ImageDigest(digest_of(bundle.encode()))
    return record.model_copy(update={"bundle": bundle, "provenance": digest})
