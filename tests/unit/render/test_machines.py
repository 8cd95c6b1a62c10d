"""Findings for machines: the report, SARIF and workflow annotations."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from pipeline.diagnostics import Finding, Location, Severity
from pipeline.documents.rules import YAML_ANCHOR, YAML_TAG
from pipeline.render.github import render_github
from pipeline.render.json import render_json
from pipeline.render.report import validation_report
from pipeline.render.sarif import FINGERPRINT, render_sarif, sarif_log

FILE = "tenants/acme/tenant.yaml"
HOSTILE = "a\x1b[2K\r\n::error::b\u202e\u2028%0A"
ERROR = YAML_ANCHOR.finding("an anchor", Location(FILE, 2, 7))
WARNING = Finding("yaml-tag", "a tag", Location(FILE, 3), Severity.WARNING, "delete it")
NOTE = Finding("yaml-tag", "a tag", Location("x y/ü#.yaml"), Severity.NOTE)
ALL = (ERROR, WARNING, NOTE)

# What SARIF 2.1.0 requires of the parts that are written here.
SARIF_FORM = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/run"}},
    },
    "additionalProperties": False,
    "$defs": {
        "text": {
            "type": "object",
            "required": ["text"],
            "properties": {"text": {"type": "string", "minLength": 1}},
            "additionalProperties": False,
        },
        "level": {"enum": ["none", "note", "warning", "error"]},
        "run": {
            "type": "object",
            "required": ["tool", "results"],
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "properties": {
                        "driver": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "version": {"type": "string"},
                                "rules": {
                                    "type": "array",
                                    "uniqueItems": True,
                                    "items": {"$ref": "#/$defs/rule"},
                                },
                            },
                            "additionalProperties": False,
                        }
                    },
                    "additionalProperties": False,
                },
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
            "additionalProperties": False,
        },
        "rule": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "shortDescription": {"$ref": "#/$defs/text"},
                "fullDescription": {"$ref": "#/$defs/text"},
                "help": {"$ref": "#/$defs/text"},
                "defaultConfiguration": {
                    "type": "object",
                    "properties": {"level": {"$ref": "#/$defs/level"}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "result": {
            "type": "object",
            "required": ["message", "ruleId", "ruleIndex", "locations", "partialFingerprints"],
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"$ref": "#/$defs/level"},
                "message": {"$ref": "#/$defs/text"},
                "locations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "physicalLocation": {
                                "type": "object",
                                "required": ["artifactLocation"],
                                "properties": {
                                    "artifactLocation": {
                                        "type": "object",
                                        "properties": {
                                            "uri": {"type": "string", "format": "uri-reference"},
                                            "uriBaseId": {"type": "string"},
                                        },
                                        "additionalProperties": False,
                                    },
                                    "region": {
                                        "type": "object",
                                        "required": ["startLine"],
                                        "properties": {
                                            "startLine": {"type": "integer", "minimum": 1},
                                            "startColumn": {"type": "integer", "minimum": 1},
                                        },
                                        "additionalProperties": False,
                                    },
                                },
                                "additionalProperties": False,
                            }
                        },
                        "additionalProperties": False,
                    },
                },
                "partialFingerprints": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
            },
            "additionalProperties": False,
        },
    },
}


def fingerprints(findings: tuple[Finding, ...], sources: dict[str, str]) -> list[str]:
    run = json.loads(render_sarif(findings, sources))["runs"][0]
    return [result["partialFingerprints"][FINGERPRINT] for result in run["results"]]


def test_report_holds_everything() -> None:
    report = json.loads(render_json(validation_report(ALL)))
    assert (report["apiVersion"], report["kind"]) == ("pipeline.ameide.io/v1", "ValidationReport")
    assert report["verdict"] == "invalid"
    assert report["counts"] == {"error": 1, "warning": 1, "note": 1}
    assert report["findings"][0] == {
        "code": "yaml-anchor",
        "severity": "error",
        "message": "an anchor",
        "file": FILE,
        "line": 2,
        "column": 7,
        "why": YAML_ANCHOR.why,
        "help": YAML_ANCHOR.fix,
        "docs": "docs/rules.md#yaml-anchor",
    }
    assert report["findings"][1]["help"] == "delete it"
    assert report["findings"][1]["column"] is None
    assert validation_report([])["verdict"] == "valid"


@pytest.mark.parametrize("findings", [(), ALL, (ERROR, ERROR)])
def test_sarif_has_the_form_of_its_schema(findings: tuple[Finding, ...]) -> None:
    validator = jsonschema_rs.Draft202012Validator(SARIF_FORM, validate_formats=True)
    log = json.loads(render_sarif(findings))
    assert [str(error) for error in validator.iter_errors(log)] == []
    run = log["runs"][0]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    log["runs"][0]["results"] = [{"message": "not so"}]
    assert not validator.is_valid(log)


def test_sarif_says_what_the_findings_say() -> None:
    run = json.loads(json.dumps(sarif_log(ALL)))["runs"][0]
    first, second, third = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == FILE
    assert place["region"] == {"startLine": 2, "startColumn": 7}
    assert first["level"] == "error" and second["level"] == "warning" and third["level"] == "note"
    assert second["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}
    place = third["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "x%20y/%C3%BC%23.yaml" and "region" not in place
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["yaml-anchor", "yaml-tag"]


def test_fingerprints_survive_added_lines_and_differ_for_equal_findings() -> None:
    before = (
        YAML_TAG.finding("m", Location(FILE, 1, 4)),
        YAML_TAG.finding("m", Location(FILE, 2, 4)),
    )
    after = (
        YAML_TAG.finding("m", Location(FILE, 3, 4)),
        YAML_TAG.finding("m", Location(FILE, 4, 4)),
    )
    old = fingerprints(before, {FILE: "a: !t 1\nb: !t 1\n"})
    assert old == fingerprints(after, {FILE: "# x\n# y\na: !t 1\nb: !t 1\n"})
    assert len(set(old)) == 2
    assert len(set(fingerprints((before[0], before[0]), {}))) == 2
    assert old != fingerprints(before, {FILE: "a: !u 1\nb: !t 1\n"})


def test_annotations() -> None:
    first, second, third = render_github(ALL).splitlines()
    assert first == (
        f"::error file={FILE},line=2,col=7,title=yaml-anchor::an anchor%0Awhy: {YAML_ANCHOR.why}"
        f"%0Ahelp: {YAML_ANCHOR.fix}%0Adocs: docs/rules.md#yaml-anchor"
    )
    assert second.startswith(f"::warning file={FILE},line=3,title=yaml-tag::")
    assert third.startswith("::notice file=x y/ü#.yaml,title=yaml-tag::")


def test_untrusted_text_cannot_add_a_workflow_command() -> None:
    hostile = YAML_ANCHOR.finding(HOSTILE, Location("a,b:c%\n::stop::", 1, 1), help=HOSTILE)
    lines = render_github([hostile]).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=a%2Cb%3Ac%25<U+000A>%3A%3Astop%3A%3A,line=1,col=1,")
    assert "%250A" in lines[0] and "\x1b" not in lines[0] and "\u202e" not in lines[0]
    for text in (render_json(validation_report([hostile])), render_sarif([hostile])):
        assert text.isascii() and "\x1b" not in text and "\\u001b" not in text
        assert "\\u202e" not in text and "\\r" not in text
