"""Findings as one document of kind `ValidationReport`, for scripts and agents. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Severity, verdict_of
from pipeline.models.base import API_VERSION


def validation_report(findings: Sequence[Finding]) -> dict[str, object]:
    """The report as plain values: verdict, counts by severity, every finding in the order given."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ValidationReport",
        "verdict": str(verdict_of(list(findings))),
        "counts": {
            str(severity): sum(f.severity is severity for f in findings) for severity in Severity
        },
        "findings": [finding_values(finding) for finding in findings],
    }


def finding_values(finding: Finding) -> dict[str, object]:
    """One finding as plain values."""
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "message": visible(finding.message),
        "file": visible(finding.location.file),
        "line": finding.location.line,
        "column": finding.location.column,
        "why": finding.why,
        "help": visible(finding.fix),
        "docs": finding.docs,
    }
