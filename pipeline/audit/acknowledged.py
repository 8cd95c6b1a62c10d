"""Acknowledged findings: a reviewed acknowledgement on main settles them for good.

Only history can be acknowledged: a commit, named by its full id, or a finding about a fact, named
by its code and place. Present content must be fixed instead, and so must a promotion that still
runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.audit.policy import MainLine
from pipeline.diagnostics import Finding
from pipeline.git.history import read_newest_touching
from pipeline.models.requests import Acknowledgement
from pipeline.requests.acknowledgements import ABOUT_COMMITS, ABOUT_FACTS
from pipeline.requests.snapshot import Snapshot

FOLDER = "environments/acknowledgements"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An acknowledged finding: where, by whom, and why."""

    finding: Finding
    path: str
    by: str  # the author of the commit that brought the acknowledgement to main
    reason: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """The findings still open, and those acknowledged."""

    open: tuple[Finding, ...]
    acknowledged: tuple[Acknowledged, ...]


def settle(
    findings: Iterable[Finding], running: frozenset[str], policy: Snapshot, main: MainLine
) -> Settlement:
    """The findings, split by the acknowledgements on main.

    `running` are the places of facts whose overlay is still the newest.
    """
    told = dict(_acknowledgements(policy))
    open_: list[Finding] = []
    acknowledged: list[Acknowledged] = []
    used: dict[str, list[Finding]] = {}
    for finding in findings:
        path = next((p for p, a in told.items() if _covers(a, finding, running)), None)
        if path is None:
            open_.append(_with_commit(finding))
        else:
            used.setdefault(path, []).append(finding)
    brought = read_newest_touching(main.objects.git.path, main.head, FOLDER, used) if used else {}
    for path, covered in used.items():
        commit = main.objects.commit(brought.get(path, main.head))
        by = f"{commit.author.name} <{commit.author.email}>"
        acknowledged += [Acknowledged(f, path, by, told[path].reason) for f in covered]
    return Settlement(tuple(open_), tuple(acknowledged))


def _with_commit(finding: Finding) -> Finding:
    """The finding, with the commit that an acknowledgement must name added to its help."""
    if not finding.commit:
        return finding
    repo, _, commit = finding.commit.rpartition("@")
    told = f"{finding.fix} (repository `{repo}`, commit {commit})"
    return replace(finding, help=told)


def _acknowledgements(policy: Snapshot) -> Iterator[tuple[str, Acknowledgement]]:
    for path, loaded in sorted(policy.requests.items()):
        if isinstance(loaded.model, Acknowledgement):
            yield path, loaded.model


def _covers(told: Acknowledgement, finding: Finding, running: frozenset[str]) -> bool:
    if finding.code in ABOUT_COMMITS and finding.commit:
        repo, _, commit = finding.commit.rpartition("@")
        return repo == told.repository and commit in told.commits
    if finding.code in ABOUT_FACTS and finding.location.file not in running:
        return any(f.code == finding.code and f.at == finding.location.file for f in told.findings)
    return False
