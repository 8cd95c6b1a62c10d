"""Findings and rules: what was found, where, why it matters and how to fix it.

A `Rule` registers itself when its module is imported; `docs/rules.md`, `pipeline rules` and
`pipeline explain` read the registry `RULES`. A `Finding` is a value: all are collected, and the
renderers in `pipeline.render` show all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

RULE_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Severity(StrEnum):
    """How much a finding weighs; only `ERROR` makes a verdict invalid."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Verdict(StrEnum):
    """The three verdicts (docs/model.md §13); the last never counts as the first."""

    VALID = "valid"
    INVALID = "invalid"
    COULD_NOT_CHECK = "could-not-check"


class Subject(StrEnum):
    """What a rule judges, which decides how the test of rules runs its two examples."""

    DOCUMENT = "document"  # raw bytes of one request file
    REQUEST = "request"  # one request file laid over the sample control repo
    PATCH = "patch"  # a DraftPatch against the sample branch
    DOCKERFILE = "dockerfile"  # the Dockerfile of a primitive
    MANIFEST = "manifest"  # rendered Kubernetes manifests of the sample release
    REPORT = "report"  # a delivery tool's report on what runs
    DECISION = "decision"  # a promotion's evidence, changed from an allowed one
    SCENARIO = "scenario"  # needs a world (audit, plans, forge); the test builds it


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file: 1-based line and column, or the whole file if they are None."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.file]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `code` names a rule in `RULES`; `help` may replace the rule's fix.

    `commit` (`repository@id`) is the commit at fault, if the finding is about one.
    """

    code: str
    message: str
    location: Location
    severity: Severity = Severity.ERROR
    help: str = ""
    commit: str = ""

    @property
    def rule(self) -> Rule:
        """The rule this finding comes from."""
        return RULES[self.code]

    @property
    def why(self) -> str:
        """Why the rule exists, one sentence."""
        return self.rule.why

    @property
    def fix(self) -> str:
        """How to fix it: the finding's own help, else the rule's."""
        return self.help or self.rule.fix

    @property
    def docs(self) -> str:
        """The rule's documentation, relative to the repository."""
        return f"docs/rules.md#{self.code}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: stable id, what it requires, why, how to comply, and an example each way.

    The test of rules runs `fails` and `passes` as `subject` says; for `SCENARIO` they are sentences
    and the test holds the scenario.
    """

    id: str
    summary: str
    why: str
    fix: str
    subject: Subject
    fails: str
    passes: str
    severity: Severity = Severity.ERROR
    could_not_check: bool = False

    def finding(
        self, message: str, location: Location, *, help: str = "", commit: str = ""
    ) -> Finding:
        """A finding of this rule at `location`."""
        return Finding(self.id, message, location, self.severity, help, commit)


RULES: dict[str, Rule] = {}


def register(rule: Rule) -> Rule:
    """The same rule, now in `RULES`. Raises ValueError for a malformed or taken id."""
    if not RULE_ID.match(rule.id):
        raise ValueError(f"rule id is not kebab-case: {rule.id!r}")
    if rule.id in RULES:
        raise ValueError(f"rule id is taken: {rule.id!r}")
    RULES[rule.id] = rule
    return rule


def verdict_of(findings: tuple[Finding, ...] | list[Finding]) -> Verdict:
    """The verdict on findings: could-not-check if any check could not run, else by severity."""
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if any(RULES[f.code].could_not_check for f in errors):
        return Verdict.COULD_NOT_CHECK
    return Verdict.INVALID if errors else Verdict.VALID


def sort_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings sorted by file, line, column and code."""
    unique = dict.fromkeys(findings)
    return tuple(
        sorted(
            unique,
            key=lambda f: (
                f.location.file,
                f.location.line or 0,
                f.location.column or 0,
                f.code,
                f.message,
            ),
        )
    )
