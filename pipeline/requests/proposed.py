"""A request that is proposed: the file that a pull request to the control repo would bring."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Finding


@dataclass(frozen=True, slots=True)
class ProposedRequest:
    """A request file that is valid as far as anybody can tell before it is merged."""

    draft: str  # empty for a request about none, such as policy
    kind: str
    path: str  # in the control repo
    content: bytes
    title: str  # of its pull request
    body: str
    findings: tuple[Finding, ...] = ()  # warnings and notes; errors are raised as Refused
    edits: bytes | None = None  # the file of main that this is an edit of

    @property
    def subject(self) -> str:
        """What its branch is named after: the draft, or the name of the file."""
        return self.draft or self.path.rpartition("/")[2].removesuffix(".yaml")
