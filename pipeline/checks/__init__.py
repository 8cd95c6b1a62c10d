"""Checks of one primitive's folder at one exact commit: lint, tests, secrets, code scan.

Tenant code runs only for `tests`, and only in a sandbox (`pipeline.sandbox`). The tools' settings
are ours; a primitive's own configuration neither adds nor silences anything, except that lint
honours `noqa`. Reports are deterministic: the same bytes give the same report. A missing or failing
tool raises CouldNotCheck, and is never a pass.

A folder with a `package.json` is a Node project; any Python files in it are judged too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.git.objects import Files
from pipeline.checks import dockerfile, node, python
from pipeline.checks.results import (
    MAX_DETAIL_CHARACTERS,
    MAX_DETAILS,
    failed,
    result_of_findings,
)
from pipeline.errors import OverBound
from pipeline.machine.versions import read_tool
from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import CheckName, CheckReport, CheckResult
from pipeline.tools.gitleaks import run_secret_scan

__all__ = ["CHECKS", "MAX_DETAILS", "MAX_DETAIL_CHARACTERS", "Files", "run_checks"]


def run_lint(files: Files) -> CheckResult:
    """The linters' findings, by the platform's configuration."""
    tools, found = [], []
    if node.is_node_project(files):
        tools.append(f"biome {node.biome_version()}")
        found += node.run_biome(files, scan=False)
    if python.holds_python(files) or not tools:
        tools.append(f"ruff {python.ruff_version()}")
        found += python.run_ruff(files, scan=False)
    return result_of_findings("lint", ", ".join(tools), found, "lint error")


def run_code_scan(files: Files) -> CheckResult:
    """Findings of the linters' security rules, and unpinned inputs of the Dockerfile.

    No comment in the code silences them.
    """
    tools, found = [], []
    if dockerfile.DOCKERFILE in files:
        tools.append(f"dockerfile {dockerfile.VERSION}")
        found += dockerfile.scan_dockerfile(files[dockerfile.DOCKERFILE][1])
    if node.is_node_project(files):
        tools.append(f"biome-security {node.biome_version()}")
        found += node.run_biome(files, scan=True)
    if python.holds_python(files) or not node.is_node_project(files):
        tools.append(f"ruff-s {python.ruff_version()}")
        found += python.run_ruff(files, scan=True)
    return result_of_findings("code-scan", ", ".join(tools), found, "unsafe line")


def run_secrets(files: Files) -> CheckResult:
    """The places of credentials; the credentials themselves are not in the result."""
    hits = run_secret_scan({path: content for path, (_, content) in files.items()})
    found = [f"{hit.path}:{hit.line}:{hit.column}: {hit.rule}" for hit in hits]
    return result_of_findings("secrets", str(read_tool("gitleaks")), found, "likely credential")


def run_tests(files: Files) -> CheckResult:
    """The result of the primitive's own tests, in the sandbox."""
    if node.is_node_project(files):
        return node.run_node_tests(files)
    return python.run_python_tests(files)


CHECKS: Mapping[CheckName, Callable[[Files], CheckResult]] = {
    "lint": run_lint,
    "tests": run_tests,
    "secrets": run_secrets,
    "code-scan": run_code_scan,
}


def _bounded(name: CheckName, files: Files) -> CheckResult:
    """The result of one check; failed if the files exceed its tool's bounds."""
    try:
        return CHECKS[name](files)
    except OverBound as error:
        return failed(name, "sandbox", error.message)


def run_checks(files: Files, *, commit: str, tree: str, names: Sequence[CheckName]) -> CheckReport:
    """The report of the named checks on a primitive's folder, in the order of `CHECKS`.

    `files` is the folder's content; `commit` and `tree` are its ids, which only label the report.
    Raises CouldNotCheck.
    """
    results = tuple(_bounded(name, files) for name in CHECKS if name in names)
    return CheckReport(commit=CommitId(commit), tree=TreeId(tree), results=results)
