"""Findings as SARIF 2.1.0, which code hosts show beside the lines they concern. Pure.

Source: OASIS "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pipeline import __version__
from pipeline.characters import visible
from pipeline.diagnostics import Finding, Rule

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
FINGERPRINT = "primitivePipeline/v1"
_NO_SOURCES: Mapping[str, str] = {}


def sarif_log(
    findings: Sequence[Finding], sources: Mapping[str, str] = _NO_SOURCES
) -> dict[str, object]:
    """The SARIF log as plain values: one run, with the broken rules sorted by id.

    `sources` maps files to their text. With it, a fingerprint depends on the line's text, and so
    stays the same when lines are added above.
    """
    rules = {finding.code: finding.rule for finding in findings}
    index_of = {code: index for index, code in enumerate(sorted(rules))}
    seen: Counter[str] = Counter()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Primitive Pipeline",
                        "version": __version__,
                        "rules": [_rule(rules[code]) for code in index_of],
                    }
                },
                # Columns count characters, not UTF-16 units, SARIF's default.
                "columnKind": "unicodeCodePoints",
                "results": [_result(f, index_of[f.code], sources, seen) for f in findings],
            }
        ],
    }


def render_sarif(findings: Sequence[Finding], sources: Mapping[str, str] = _NO_SOURCES) -> str:
    """The SARIF log as JSON text, ASCII only, with a line feed at the end."""
    return json.dumps(sarif_log(findings, sources), indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.fix} (docs/rules.md#{rule.id})"},
        "defaultConfiguration": {"level": str(rule.severity)},
    }


def _result(
    finding: Finding, rule_index: int, sources: Mapping[str, str], seen: Counter[str]
) -> dict[str, object]:
    location = finding.location
    physical: dict[str, object] = {
        "artifactLocation": {"uri": quote(visible(location.file)), "uriBaseId": "SRCROOT"}
    }
    if location.line is not None:
        region = {"startLine": location.line}
        if location.column is not None:
            region["startColumn"] = location.column
        physical["region"] = region
    return {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": str(finding.severity),
        "message": {"text": visible(f"{finding.message}. {finding.fix}")},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {FINGERPRINT: _fingerprint(finding, sources, seen)},
    }


def _fingerprint(finding: Finding, sources: Mapping[str, str], seen: Counter[str]) -> str:
    """A hash that identifies the finding in later runs, numbered among equal findings."""
    lines = sources.get(finding.location.file, "").split("\n")
    line = finding.location.line or 0
    text = lines[line - 1].strip() if 1 <= line <= len(lines) else ""
    subject = "\0".join((finding.code, finding.location.file, text or finding.message))
    seen[subject] += 1
    numbered = f"{subject}\0{seen[subject]}"
    return hashlib.sha256(numbered.encode("utf-8", "surrogatepass")).hexdigest()
