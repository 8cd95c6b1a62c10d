"""Findings for people, plain or in colour, with the source line they point at.

Pure: `render_text` gives the plain form, `render_terminal` the same lines in colour.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_NO_SOURCES: Mapping[str, str] = {}
_WIDTH_MINIMUM = 40
_CARET = "^"


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a line and the style it has in colour."""

    text: str
    style: str = ""


_Line = tuple[_Part, ...]


def render_text(
    findings: Iterable[Finding],
    sources: Mapping[str, str] = _NO_SOURCES,
    *,
    width: int | None = None,
) -> str:
    """The findings as plain text, separated by blank lines; empty without findings.

    `sources` maps files to their text; if a finding's file is in it, the line is shown with a mark
    below the column. `width` folds sentences; None leaves each on one line.
    """
    blocks = [_lines_of(finding, sources, width) for finding in findings]
    return "\n".join(
        "".join("".join(part.text for part in line).rstrip() + "\n" for line in block)
        for block in blocks
    )


def render_terminal(
    findings: Iterable[Finding],
    sources: Mapping[str, str] = _NO_SOURCES,
    *,
    width: int = 100,
    colour: bool = True,
) -> str:
    """The same for a terminal of `width` columns; without `colour` it is `render_text`."""
    if not colour:
        return render_text(findings, sources, width=width)
    # 25 ms; only terminals with colour need it.
    from rich.console import Console
    from rich.text import Text

    console = Console(
        width=max(width, _WIDTH_MINIMUM),
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as capture:
        for number, finding in enumerate(findings):
            if number:
                console.print()
            for line in _lines_of(finding, sources, width):
                text = Text.assemble(*((part.text, part.style) for part in line))
                console.print(text, soft_wrap=True, highlight=False)
    return capture.get()


def render_summary(findings: Iterable[Finding]) -> str:
    """The number of findings, in words: `2 errors, 1 warning`, or `no findings`."""
    counts = dict.fromkeys(Severity, 0)
    for finding in findings:
        counts[finding.severity] += 1
    parts = [f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in counts.items() if n]
    return ", ".join(parts) or "no findings"


def _lines_of(finding: Finding, sources: Mapping[str, str], width: int | None) -> Iterator[_Line]:
    style = _STYLES[finding.severity]
    head = f"{finding.severity}[{visible(finding.code)}]"
    first, *others = _folded(f"{head}: {visible(finding.message)}", width, "  ")
    yield (_Part(first[: len(head)], style), _Part(first[len(head) :], "bold"))
    for line in others:
        yield (_Part(line, "bold"),)
    yield (_Part("  --> ", "blue"), _Part(visible(str(finding.location))))
    yield from _source_lines(finding, sources, width, style)
    for label, text in (("why", finding.why), ("help", finding.fix), ("docs", finding.docs)):
        start = f"  {label + ':':<5} "
        first, *others = _folded(start + visible(text), width, " " * len(start))
        yield (_Part(start, "blue"), _Part(first[len(start) :]))
        for line in others:
            yield (_Part(line),)


def _folded(text: str, width: int | None, indent: str) -> list[str]:
    if width is None:
        return [text]
    return textwrap.wrap(
        text,
        max(width, _WIDTH_MINIMUM),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )


def _source_lines(
    finding: Finding, sources: Mapping[str, str], width: int | None, style: str
) -> Iterator[_Line]:
    location = finding.location
    source = sources.get(location.file)
    if source is None or location.line is None:
        return
    lines = source.split("\n")
    if not 1 <= location.line <= len(lines):
        return
    number = str(location.line)
    margin = " " * (len(number) + 1)
    column = location.column or 1
    shown, offset = _window(lines[location.line - 1].removesuffix("\r"), column, width, margin)
    yield (_Part(f"{margin} |", "blue"),)
    yield (_Part(f" {number} | ", "blue"), _Part(shown))
    if location.column is not None:
        yield (_Part(f"{margin} | ", "blue"), _Part(" " * offset + _CARET, style))


def _window(line: str, column: int, width: int | None, margin: str) -> tuple[str, int]:
    """The part of a line around `column` that fits, and the number of cells before the column."""
    room = max((width or 160) - len(margin) - 3, _WIDTH_MINIMUM)
    line = line.replace("\t", " ")
    start, end = 0, len(line)
    if len(line) > room:
        start = max(0, min(column - 1 - room // 2, len(line) - room + 2))
        end = start + room - 2
    before, after = visible(line[start : column - 1]), visible(line[max(column - 1, start) : end])
    lead = "…" if start else ""
    tail = "…" if end < len(line) else ""
    return lead + before + after + tail, _cells(lead + before)


def _cells(text: str) -> int:
    """The number of terminal cells that `text` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
