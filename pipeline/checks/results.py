"""Results of checks: one bounded, printable line of summary, and details worth reading. Pure.

A result is the same in every run on the same bytes: durations and addresses are left out, so a
check repeated after a crash gives the same fact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pipeline.characters import FORBIDDEN_IN_VALUE
from pipeline.models.evidence import CheckName, CheckOutcome, CheckResult


MAX_DETAILS = 20
MAX_DETAIL_CHARACTERS = 300
TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_DURATION = re.compile(r"\b\d+(?:\.\d+)?(?: ?(?:ms|s|us|µs)\b| seconds?\b)(?: \(\d+:\d\d:\d\d\))?")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


def passed(name: CheckName, tool: str, summary: str) -> CheckResult:
    """The result of a passed check."""
    return CheckResult(name=name, outcome=CheckOutcome.PASSED, tool=tool, summary=cleaned(summary))


def failed(name: CheckName, tool: str, summary: str, details: Iterable[str] = ()) -> CheckResult:
    """The result of a failed check, with the first of its details, each once."""
    kept = tuple(dict.fromkeys(cleaned(line) for line in details))
    if len(kept) > MAX_DETAILS:
        left = len(kept) - (MAX_DETAILS - 1)
        kept = (*kept[: MAX_DETAILS - 1], f"and {left} more")
    return CheckResult(
        name=name,
        outcome=CheckOutcome.FAILED,
        tool=tool,
        summary=cleaned(summary),
        details=kept,
    )


def result_of_findings(name: CheckName, tool: str, found: Sequence[str], noun: str) -> CheckResult:
    """The result of a tool that lists findings."""
    if not found:
        return passed(name, tool, f"no {noun} found")
    count = f"1 {noun}" if len(found) == 1 else f"{len(found)} {noun}s"
    return failed(name, tool, count, found)


def cleaned(text: str) -> str:
    """One bounded, printable line without parts that differ from run to run."""
    text = _ADDRESS.sub("0x…", _DURATION.sub("… s", text)).replace("\t", " ").replace("\n", " ")
    text = FORBIDDEN_IN_VALUE.sub("�", text)
    if len(text) > MAX_DETAIL_CHARACTERS:
        return text[: MAX_DETAIL_CHARACTERS - 1] + "…"
    return text
