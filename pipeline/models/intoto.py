"""The forms of statements that other tools write: in-toto, cosign's scans, SARIF and CycloneDX VEX.

Field names are theirs. Unlike in our own files, unknown fields are allowed: the in-toto
specification asks consumers to ignore them, and every scanner adds some. Types are strict.

Sources: in-toto Attestation Framework, "Statement" v1; cosign, "Vulnerability Attestation Spec";
OASIS SARIF 2.1.0, sections 3.14, 3.27 and 3.49; CycloneDX 1.6, "Vulnerability analysis".
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
# RFC 3339, with or without a fraction of a second.
_Time = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
        r"(Z|[+-][0-9]{2}:[0-9]{2})$"
    ),
]


class ForeignModel(BaseModel):
    """A frozen model of another tool's document: unknown fields are left out, types are strict."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)


class SubjectDigests(ForeignModel):
    """A subject: an image by `sha256`, or a source commit by `gitCommit`."""

    digest: dict[str, str] = Field(min_length=1)


class InTotoStatement(ForeignModel):
    """A statement of any predicate type about its subjects."""

    type: Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"] = Field(
        alias="_type"
    )
    subject: tuple[SubjectDigests, ...] = Field(min_length=1, max_length=100)
    predicate_type: _Text = Field(alias="predicateType")


# -- SARIF -----------------------------------------------------------------------------------

SarifLevel = Literal["none", "note", "warning", "error"]


class SarifProperties(ForeignModel):
    """A rule's property bag; the score is a number of CVSS, most often as text."""

    security_severity: str | float | int | None = Field(None, alias="security-severity")


class SarifConfiguration(ForeignModel):
    """A rule's default configuration."""

    level: SarifLevel = "warning"


class SarifRule(ForeignModel):
    """A rule: for a scanner of images, one vulnerability."""

    id: _Text
    properties: SarifProperties = SarifProperties()
    default_configuration: SarifConfiguration = Field(
        SarifConfiguration(), alias="defaultConfiguration"
    )


class SarifComponent(ForeignModel):
    """The tool, or an extension of it."""

    name: _Text
    version: _Text | None = None
    rules: tuple[SarifRule, ...] = ()


class SarifTool(ForeignModel):
    """The tool that scanned, and its extensions."""

    driver: SarifComponent
    extensions: tuple[SarifComponent, ...] = ()


class SarifRuleReference(ForeignModel):
    """A result's reference to its rule, instead of `ruleId`."""

    id: _Text | None = None
    index: int | None = None


class SarifResult(ForeignModel):
    """One result; its `suppressions` are not read: only a VEX statement takes it out."""

    rule_id: _Text | None = Field(None, alias="ruleId")
    rule_index: int | None = Field(None, alias="ruleIndex")
    rule: SarifRuleReference = SarifRuleReference()
    kind: Literal["pass", "open", "informational", "notApplicable", "review", "fail"] = "fail"
    level: SarifLevel | None = None


class SarifInvocation(ForeignModel):
    """One call of the tool."""

    execution_successful: bool = Field(alias="executionSuccessful")


class SarifRun(ForeignModel):
    """One run. Without `results` it did not scan; with none in it, it found nothing."""

    tool: SarifTool
    results: tuple[SarifResult, ...]
    invocations: tuple[SarifInvocation, ...] = ()
    # Parts of a log in other files, which nobody signed here.
    elsewhere: dict[str, object] | None = Field(None, alias="externalPropertyFileReferences")

    @model_validator(mode="after")
    def _is_whole(self) -> SarifRun:
        if self.elsewhere:
            raise ValueError("parts of it are in other files")
        if not all(each.execution_successful for each in self.invocations):
            raise ValueError("the scan did not succeed")
        return self


class SarifLog(ForeignModel):
    """A SARIF 2.1.0 log."""

    version: Literal["2.1.0"]
    runs: tuple[SarifRun, ...] = Field(min_length=1, max_length=20)


class ScannerResult(ForeignModel):
    """The scanner's report."""

    result: SarifLog


class ScanTimes(ForeignModel):
    """When the scan ended."""

    finished: _Time = Field(alias="scanFinishedOn")


class ScanPredicate(ForeignModel):
    """A scan of an image."""

    scanner: ScannerResult
    metadata: ScanTimes


class ScanStatement(InTotoStatement):
    """A statement that an image was scanned, and what was found."""

    predicate: ScanPredicate


# -- CycloneDX VEX ---------------------------------------------------------------------------


class VexAnalysis(ForeignModel):
    """What people found out about a vulnerability."""

    state: Literal[
        "resolved",
        "resolved_with_pedigree",
        "exploitable",
        "in_triage",
        "false_positive",
        "not_affected",
    ]
    justification: (
        Literal[
            "code_not_present",
            "code_not_reachable",
            "requires_configuration",
            "requires_dependency",
            "requires_environment",
            "protected_by_compiler",
            "protected_at_runtime",
            "protected_at_perimeter",
            "protected_by_mitigating_control",
        ]
        | None
    ) = None
    detail: str = ""

    @property
    def takes_out(self) -> bool:
        """Whether the finding no longer counts: a good state, and a reason for it."""
        if self.state == "not_affected":
            return self.justification is not None
        good = ("resolved", "resolved_with_pedigree", "false_positive")
        return self.state in good and bool(self.justification or self.detail.strip())


class VexEntry(ForeignModel):
    """One vulnerability; without an analysis it says nothing."""

    id: _Text
    analysis: VexAnalysis | None = None


class VexMetadata(ForeignModel):
    """When the document was written."""

    timestamp: _Time


class VexPredicate(ForeignModel):
    """A CycloneDX document; a bill of materials without vulnerabilities takes nothing out."""

    form: Literal["CycloneDX"] = Field(alias="bomFormat")
    version: Literal["1.5", "1.6"] = Field(alias="specVersion")
    metadata: VexMetadata
    vulnerabilities: tuple[VexEntry, ...] = ()


class VexStatement(InTotoStatement):
    """A statement about what an image's vulnerabilities mean for it."""

    predicate: VexPredicate
