"""How examples of rules and the folders of `tests/refusals` are run, by their subject.

A subject without a runner fails its tests: add a runner for each new kind of example.
`tests/integration/test_rules_with_tools.py` runs rules that need tools or repositories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.checks.dockerfile import scan_dockerfile
from pipeline.delivery.reports import parse_report
from pipeline.diagnostics import Finding, Location, Rule, Subject
from pipeline.documents import parse_document
from pipeline.releases.rules import Target, check_objects
from tests.support.bindings import bound_of
from tests.support.patch_branch import patch_findings
from tests.support.promotion_evidence import decision_findings
from tests.support.rule_scenarios import SCENARIOS
from tests.support.samples import findings_of
from tests.support.saved_plans import findings_of_plan
from tests.support.tampering import findings_of_tampering

# From an example's text to what was found in it.
ExampleRunner = Callable[[str], tuple[Finding, ...]]
# From a folder with an input to what was found in it.
FolderRunner = Callable[[Path], tuple[Finding, ...]]

_FILE_LINE = b"# file: "
MANIFEST_TARGET = Target("overlay", bound_of())
# Rules that only a tool or real repositories can break; the rest is pure.
NEEDS_TOOLS = (
    *("audit-", "manifest-schema", "manifest-not-", "manifest-pod-"),
    *("patch-secret", "patch-not-", "patch-over-", "source-over-", "build-over-", "build-failed"),
)


def bytes_of_example(example: str) -> bytes:
    """The bytes of an example: UTF-8, or escapes for raw bytes after `bytes:`."""
    if not example.startswith("bytes:"):
        return example.encode("utf-8")
    return example.removeprefix("bytes:").encode("utf-8").decode("unicode_escape").encode("latin-1")


def path_of_example(content: bytes) -> str:
    """The path in the first line, `# file: …`."""
    first = content.split(b"\n", 1)[0]
    assert first.startswith(_FILE_LINE), "the first line of an example names its file"
    return first.removeprefix(_FILE_LINE).decode("utf-8")


def run_document_example(example: str) -> tuple[Finding, ...]:
    """Findings of the strict reader."""
    return parse_document("example.yaml", bytes_of_example(example)).findings


def run_request_example(example: str) -> tuple[Finding, ...]:
    """Findings about the file once it is added to the samples."""
    content = example.encode("utf-8")
    return findings_of(path_of_example(content), content)


def run_patch_example(example: str) -> tuple[Finding, ...]:
    """Findings about the patch, or about its effect on the sample branch."""
    return patch_findings(example.encode("utf-8"))


def run_dockerfile_example(example: str) -> tuple[Finding, ...]:
    """Findings in the Dockerfile: lines of a place, a code and a message."""
    lines = [line.split(" ", 2) for line in scan_dockerfile(example.encode("utf-8"))]
    return tuple(Finding(code, message, Location(place)) for place, code, message in lines)


def run_manifest_example(example: str) -> tuple[Finding, ...]:
    """Findings in rendered objects of `acme/order-router` in dev."""
    objects = [item for item in yaml.safe_load_all(example) if item is not None]
    return tuple(check_objects(objects, MANIFEST_TARGET))


def run_report_example(example: str) -> tuple[Finding, ...]:
    """What is found in a delivery tool's report."""
    return parse_report("report", bytes_of_example(example), "2026-12-01T10:53:00Z").findings


def run_document_folder(folder: Path) -> tuple[Finding, ...]:
    """Findings of the strict reader in `input.yaml`, or in the bytes of `input.bin`."""
    raw = folder / "input.bin"
    path = raw if raw.exists() else folder / "input.yaml"
    return parse_document(path.name, path.read_bytes()).findings


def run_request_folder(folder: Path) -> tuple[Finding, ...]:
    """Findings about `input.yaml` in the samples, and about `setting.yaml` if there is one."""
    content = (folder / "input.yaml").read_bytes()
    setting = folder / "setting.yaml"
    also = {}
    if setting.exists():
        also[path_of_example(setting.read_bytes())] = setting.read_bytes()
    return findings_of(path_of_example(content), content, **also)


def run_patch_folder(folder: Path) -> tuple[Finding, ...]:
    """Findings about the patch, or about its effect on the sample branch."""
    return patch_findings((folder / "input.yaml").read_bytes())


def run_decision_folder(folder: Path) -> tuple[Finding, ...]:
    """The gate's reasons against an allowed promotion to prod with the folder's changes."""
    return decision_findings((folder / "input.yaml").read_text(encoding="utf-8"))


def run_manifest_folder(folder: Path) -> tuple[Finding, ...]:
    """Findings in rendered objects of `acme/order-router` in dev."""
    return run_manifest_example((folder / "input.yaml").read_text(encoding="utf-8"))


def run_audit_folder(folder: Path) -> tuple[Finding, ...]:
    """Findings of an audit of a finished story after the folder's change."""
    return findings_of_tampering((folder / "input.yaml").read_text(encoding="utf-8"))


def run_plan_folder(folder: Path) -> tuple[Finding, ...]:
    """The error of applying a saved plan after the folder's change."""
    return findings_of_plan((folder / "input.yaml").read_text(encoding="utf-8"))


def run_report_folder(folder: Path) -> tuple[Finding, ...]:
    """What is found in a delivery tool's report, of text or of raw bytes."""
    raw = folder / "input.bin"
    path = raw if raw.exists() else folder / "input.yaml"
    return parse_report(path.name, path.read_bytes(), "2026-12-01T10:53:00Z").findings


EXAMPLE_RUNNERS: Mapping[Subject, ExampleRunner] = {
    Subject.DOCUMENT: run_document_example,
    Subject.REQUEST: run_request_example,
    Subject.PATCH: run_patch_example,
    Subject.DOCKERFILE: run_dockerfile_example,
    Subject.MANIFEST: run_manifest_example,
    Subject.REPORT: run_report_example,
    Subject.DECISION: decision_findings,
}

FOLDER_RUNNERS: Mapping[str, FolderRunner] = {
    "document": run_document_folder,
    "request": run_request_folder,
    "patch": run_patch_folder,
    "decision": run_decision_folder,
    "manifest": run_manifest_folder,
    "report": run_report_folder,
    "audit": run_audit_folder,
    "plan": run_plan_folder,
}


@dataclass(frozen=True, slots=True)
class RuleRun:
    """The codes that a rule's failing and passing input gave, sorted."""

    rule: Rule
    failing: tuple[str, ...]
    passing: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; empty if each input did what it should."""
        problems = []
        if self.rule.id not in self.failing:
            problems.append(f"the failing input gives {list(self.failing)}")
        if self.passing:
            problems.append(f"the passing input gives {list(self.passing)}")
        return tuple(problems)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Rule, subject, and the results of the failing and the passing input."""
        others = len(set(self.failing) - {self.rule.id})
        failing = self.rule.id if self.rule.id in self.failing else "-"
        more = f" (+{others})" if others else ""
        return (
            self.rule.id,
            self.rule.subject.value,
            failing + more,
            ", ".join(self.passing) or "clean",
        )


def needs_tools(rule: Rule) -> bool:
    """Whether a rule's inputs need tools or repositories."""
    return rule.id.startswith(NEEDS_TOOLS)


def run_rule(rule: Rule, runners: Mapping[Subject, ExampleRunner] = EXAMPLE_RUNNERS) -> RuleRun:
    """The results of a rule's two inputs. Raises LookupError for an unknown subject or scenario."""
    if rule.subject is Subject.SCENARIO:
        scenario = SCENARIOS[rule.id]
        return RuleRun(rule, tuple(sorted(scenario(True))), tuple(sorted(scenario(False))))
    runner = runners[rule.subject]
    return RuleRun(rule, _codes(runner(rule.fails)), _codes(runner(rule.passes)))


def _codes(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    return tuple(sorted({finding.code for finding in findings}))


def place_of(location: Location) -> str | None:
    """`line:column` of a finding in a file, None for one about a result."""
    return None if location.line is None else f"{location.line}:{location.column}"
