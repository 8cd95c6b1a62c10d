"""The trial of test cases: each is decided by the gate and compared with what it expects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.characters import visible
from pipeline.diagnostics import Finding
from pipeline.models.policy import PolicyTestDocument, PolicyTestItem
from pipeline.models.run_report import DecisionReasonItem
from pipeline.policy.casefiles import CaseFile, check_case, parse_case_file, policy_of_case
from pipeline.policy.cases import decide_case
from pipeline.requests.snapshot import ReadRequest, Snapshot


def try_cases(
    files: Mapping[str, bytes], reads: Iterable[ReadRequest], policy: Snapshot
) -> tuple[PolicyTestDocument, tuple[Finding, ...]]:
    """The results of every case in these files, and findings about cases that are malformed.

    `reads` are the policy's files, which a case's own changes are laid over.
    """
    by_path = {read.path: read for read in reads}
    findings: list[Finding] = []
    items: list[PolicyTestItem] = []
    for path, content in sorted(files.items()):
        file, found = parse_case_file(path, content)
        findings += found
        for number in range(len(file.cases)):
            of_case, wrong = policy_of_case(file, number, by_path, policy)
            wrong = (*wrong, *(check_case(file, number, of_case) if not wrong else ()))
            findings += wrong
            if not wrong:
                items.append(_tried(file, number, of_case))
    passed = sum(item.passed for item in items)
    document = PolicyTestDocument(passed=passed, failed=len(items) - passed, cases=tuple(items))
    return document, tuple(findings)


def _tried(file: CaseFile, number: int, policy: Snapshot) -> PolicyTestItem:
    """One case, decided and compared."""
    case = file.cases[number]
    decision = decide_case(case, policy)
    assert decision is not None  # `check_case` found platform and tenant
    wanted = case.expect.reasons
    codes = {reason.code for reason in decision.reasons}
    is_same = decision.verdict == case.expect.decision
    return PolicyTestItem(
        file=file.document.file,
        line=file.at(number).line or 1,
        name=visible(case.name),
        passed=is_same and (wanted is None or set(wanted) == codes),
        expected=case.expect.decision,
        expected_reasons=wanted,
        found=decision.verdict,
        reasons=tuple(
            DecisionReasonItem(code=r.code, message=visible(r.message), final=r.final)
            for r in decision.reasons
        ),
    )


def read_case_files(folder: Path) -> dict[str, bytes]:
    """Path → bytes of every `.yaml` file below a folder, but symbolic links."""
    found = sorted(p for p in folder.rglob("*.yaml") if p.is_file() and not p.is_symlink())
    return {path.as_posix(): path.read_bytes() for path in found}
