"""A request that is proposed: the file that a pull request to the control repo would bring."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Finding


@dataclass(frozen=True, slots=True)
class ProposedRequest:
    """A request file that is valid as far as anybody can tell before it is merged."""

    draft: str
    kind: str
    path: str  # in the control repo
    content: bytes
    title: str  # of its pull request
    body: str
    findings: tuple[Finding, ...] = ()  # warnings and notes; errors are raised as Refused
