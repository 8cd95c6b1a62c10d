"""Signed statements about images: what an environment asks for, and what people bring.

A statement is an in-toto statement in a DSSE envelope. A vulnerability report is one of a known
type, and so is a VEX document, which takes findings of a report out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.models.base import Identifier, Model
from pipeline.models.provenance import Verified

# The predicate of `cosign attest --type vuln`; its `scanner.result` is a SARIF 2.1.0 log.
SCAN_TYPE = "https://cosign.sigstore.dev/attestation/vuln/v1"
# The predicate of `cosign attest --type cyclonedx`; a VEX document is one with analyses.
VEX_TYPE = "https://cyclonedx.org/bom"

# The ratings of CVSS 3.1, section 5, in their order.
SeverityRating = Literal["none", "low", "medium", "high", "critical"]
SEVERITY_RATINGS: tuple[SeverityRating, ...] = ("none", "low", "medium", "high", "critical")
PredicateType = Annotated[
    str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(/[A-Za-z0-9._~-]+)*/?$", max_length=200)
]
SignerNames = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=20)]


class StatementPolicy(Model):
    """A statement that an image, or its source commit, needs: of which type, and by whom."""

    predicate_type: PredicateType
    # Any one of these signers of `environments/signers.yaml`.
    signers: SignerNames


class VulnerabilityPolicy(Model):
    """The vulnerability report that an image needs, and what it may find."""

    # The highest severity that a finding may have.
    highest: SeverityRating
    # For how many days after its scan a report counts.
    expires_after_days: int = Field(ge=1, le=365)
    signers: SignerNames
    # Whose VEX statements take findings out; without any, nobody's do.
    vex_signers: tuple[Identifier, ...] = Field((), max_length=20)


@dataclass(frozen=True, slots=True)
class BroughtStatement:
    """A statement on main: its request, and the result of verifying its bundle."""

    path: str
    blob: str
    verified: Verified
