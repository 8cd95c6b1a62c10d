"""Findings as workflow commands, which GitHub Actions shows as annotations. Pure.

GitHub shows ten annotations of each severity per step; the log has all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render_github(findings: Iterable[Finding]) -> str:
    """One `::error …::…` line for each finding, in the order given."""
    return "".join(_annotation(finding) + "\n" for finding in findings)


def _annotation(finding: Finding) -> str:
    location = finding.location
    properties = [("file", location.file)]
    if location.line is not None:
        properties.append(("line", str(location.line)))
        if location.column is not None:
            properties.append(("col", str(location.column)))
    properties.append(("title", finding.code))
    joined = ",".join(f"{name}={_property(value)}" for name, value in properties)
    lines = (
        visible(finding.message),
        f"why: {finding.why}",
        f"help: {visible(finding.fix)}",
        f"docs: {finding.docs}",
    )
    return f"::{_COMMANDS[finding.severity]} {joined}::{_text(chr(10).join(lines))}"


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _text(visible(text)).replace(":", "%3A").replace(",", "%2C")
