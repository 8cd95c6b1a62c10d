"""A proposed request: the file that a pull request to the control repo would add or change."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Finding


@dataclass(frozen=True, slots=True)
class ProposedRequest:
    """A request file, valid as far as can be told before it is merged."""

    draft: str  # empty for a request about no draft, such as policy
    kind: str
    path: str  # in the control repo
    content: bytes
    title: str  # of its pull request
    body: str
    findings: tuple[Finding, ...] = ()  # warnings and notes; errors are raised as Refused
    edits: bytes | None = None  # the file on main that this edits

    @property
    def subject(self) -> str:
        """The name for its branch: the draft's, or the file's."""
        return self.draft or self.path.rpartition("/")[2].removesuffix(".yaml")
