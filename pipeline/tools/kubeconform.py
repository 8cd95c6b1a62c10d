"""kubeconform: rendered objects against the schemas of one Kubernetes version, strictly.

A skipped or unchecked object gives a finding of a could-not-check rule, so it never counts as
valid.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from pipeline.diagnostics import Finding, Location
from pipeline.errors import CouldNotCheck, OverBound, Unrenderable
from pipeline.machine.process import Completed
from pipeline.machine.versions import find_tool, tools_dirs
from pipeline.sandbox.tools import run_tool_confined
from pipeline.tools.rules import MANIFEST_NOT_CHECKED, MANIFEST_SCHEMA

SCHEMA_VERSION = "1.34.0"  # prepared by `tools/kubeschemas.py`
# Schemas of the platform's own kinds: part of this package, made by `pipeline.crds`.
OWN_SCHEMAS = Path(__file__).resolve().parents[1] / "shared" / "crds" / "schemas"
_SCHEMAS, _OWN = "/schemas/kubernetes", "/schemas/own"  # where both are inside


def schema_folder() -> Path:
    """The folder of the prepared schemas. Raises CouldNotCheck."""
    for folder in tools_dirs():
        if (folder / "schemas").is_dir():
            return folder / "schemas"
    raise CouldNotCheck("the Kubernetes schemas are not prepared", help="run `make setup`")


def run_kubeconform(manifests: bytes, *, file: str) -> tuple[Finding, ...]:
    """One finding for each object that is invalid, skipped or could not be checked.

    Raises Unrenderable for manifests that exceed its bounds, CouldNotCheck if it fails.
    """
    if not manifests.strip():
        return (MANIFEST_NOT_CHECKED.finding("there is no object to check", Location(file)),)
    done = _run(manifests)
    try:
        answer = json.loads(done.stdout)
        resources = answer["resources"]
    except (ValueError, KeyError, TypeError) as error:
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise CouldNotCheck(f"kubeconform gave no answer: {said}") from error
    findings: list[Finding] = []
    for item in resources:
        label = f"{item.get('kind', '?')}/{item.get('name', '?')}"
        at = Location(f"{file}#{label}")
        match item.get("status"):
            case "statusValid":
                continue
            case "statusInvalid":
                errors = item.get("validationErrors") or [{"path": "", "msg": item.get("msg", "")}]
                for problem in errors:
                    where = problem.get("path") or "/"
                    findings.append(
                        MANIFEST_SCHEMA.finding(f"{label} at {where}: {problem.get('msg')}", at)
                    )
            case _:
                said = item.get("msg") or "skipped"
                findings.append(MANIFEST_NOT_CHECKED.finding(f"{label}: {said}", at))
    if done.exit_code not in (0, 1) or (done.exit_code == 1 and not findings):
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise CouldNotCheck(f"kubeconform ended with exit code {done.exit_code}: {said}")
    due = _count_documents(manifests)
    if not resources or len(resources) < due:
        findings.append(
            MANIFEST_NOT_CHECKED.finding(
                f"{len(resources)} of {due} objects were checked", Location(file)
            )
        )
    # It checks several objects at once and reports them in any order.
    return tuple(sorted(findings, key=lambda f: (f.location.file, f.code, f.message)))


def _run(manifests: bytes) -> Completed:
    versioned = "{{.NormalizedKubernetesVersion}}-standalone{{.StrictSuffix}}"
    kind = "{{.ResourceKind}}{{.KindSuffix}}.json"
    try:
        return run_tool_confined(
            find_tool("kubeconform"),
            (
                *("-strict", "-output", "json", "-verbose"),
                *("-kubernetes-version", SCHEMA_VERSION),
                *("-schema-location", f"{_SCHEMAS}/{versioned}/{kind}"),
                *("-schema-location", f"{_OWN}/{kind}", "-"),
            ),
            files={},
            stdin=manifests,
            shown={_SCHEMAS: schema_folder(), _OWN: OWN_SCHEMAS},
        )
    except OverBound as error:
        raise Unrenderable(f"the objects are too much to check: {error.message}") from error


def _count_documents(manifests: bytes) -> int:
    """The number of documents that are not empty; 0 for invalid YAML, which is reported as such."""
    try:
        nodes: list[yaml.Node | None] = list(yaml.compose_all(manifests, yaml.CBaseLoader))
    except yaml.YAMLError:
        return 0
    return sum(node is not None and node.value not in ("", "null", "~") for node in nodes)
