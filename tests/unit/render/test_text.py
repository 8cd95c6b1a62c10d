"""Findings as text for people."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from pipeline.diagnostics import Finding, Location, Severity
from pipeline.documents.rules import YAML_ANCHOR, YAML_BIDI_CHARACTER
from pipeline.render.style import wants_colour
from pipeline.render.text import render_summary, render_terminal, render_text

FILE = "tenants/acme/tenant.yaml"
HOSTILE = "a\x1b[2K\r\n::error::b\u202ec\u200b\x9b\u2028d"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def finding(line: int | None = 2, column: int | None = 7) -> Finding:
    return YAML_ANCHOR.finding("`&k` names this value", Location(FILE, line, column))


def test_a_finding_has_this_form() -> None:
    assert render_text([finding()], {FILE: "# head\nkind: &k Tenant\n"}) == (
        "error[yaml-anchor]: `&k` names this value\n"
        "  --> tenants/acme/tenant.yaml:2:7\n"
        "   |\n"
        " 2 | kind: &k Tenant\n"
        "   |       ^\n"
        f"  why:  {YAML_ANCHOR.why}\n"
        f"  help: {YAML_ANCHOR.fix}\n"
        "  docs: docs/rules.md#yaml-anchor\n"
    )


def test_without_source_or_line_there_is_no_source_line() -> None:
    assert "|" not in render_text([finding()])
    assert "|" not in render_text([finding(None, None)], {FILE: "kind: x\n"})
    assert "|" not in render_text([finding(9, 1)], {FILE: "kind: x\n"})
    assert "^" not in render_text([finding(1, None)], {FILE: "kind: x\n"})


def test_findings_are_separated_and_none_give_no_text() -> None:
    assert render_text([finding(), finding()]).count("\n\n") == 1
    assert render_text([]) == ""


def test_a_finding_s_own_help_replaces_the_rule_s() -> None:
    text = render_text([YAML_ANCHOR.finding("m", Location(FILE), help="do this")])
    assert "  help: do this\n" in text and YAML_ANCHOR.fix not in text


@pytest.mark.parametrize(
    ("line", "column", "before"),
    [
        ("ab\t&x", 4, "ab "),
        ("日本 &x", 4, "日本 "),
        ("e\u0301 &x", 4, "e\u0301 "),
        ("\u202e &x", 3, "<U+202E> "),
    ],
)
def test_the_mark_is_below_the_column(line: str, column: int, before: str) -> None:
    rows = render_text([finding(1, column)], {FILE: line}).splitlines()
    wide = sum(2 if ord(c) > 0x3000 else 0 if c == "\u0301" else 1 for c in before)
    assert rows[3].startswith(f" 1 | {before}&x")
    assert rows[4] == "   | " + " " * wide + "^"


@pytest.mark.parametrize("column", [1, 60, 500, 1000])
def test_long_lines_are_cut_around_the_column(column: int) -> None:
    line = "".join(chr(97 + i % 26) for i in range(1000))
    rows = render_text([finding(1, column)], {FILE: line}, width=60).splitlines()
    shown, mark = next((a, b) for a, b in pairwise(rows) if "^" in b)
    assert len(shown) <= 60
    assert shown[mark.index("^")] == line[column - 1]


def test_sentences_are_folded_to_the_width() -> None:
    text = render_text([finding()], width=50)
    assert all(len(row) <= 50 for row in text.splitlines())
    assert " ".join(text.split()) == " ".join(render_text([finding()]).split())


@pytest.mark.parametrize("colour", [True, False])
def test_untrusted_text_cannot_command_a_terminal(colour: bool) -> None:
    hostile = YAML_BIDI_CHARACTER.finding(HOSTILE, Location(HOSTILE, 1, 1), help=f"[red]{HOSTILE}")
    text = render_terminal([hostile], {HOSTILE: HOSTILE}, width=80, colour=colour)
    plain = ESCAPES.sub("", text)
    assert not set("\x1b\r\u202e\u200b\x9b\u2028") & set(plain)
    assert "<U+001B>" in plain and "[red]" in plain
    assert not any(row.startswith("::") for row in plain.splitlines())


def test_colour_changes_no_text() -> None:
    sources = {FILE: "# head\nkind: &k Tenant\n"}
    coloured = render_terminal([finding(), finding()], sources, width=72)
    assert "\x1b[1;31merror[yaml-anchor]" in coloured
    plain = "\n".join(row.rstrip() for row in ESCAPES.sub("", coloured).splitlines())
    assert plain + "\n" == render_text([finding(), finding()], sources, width=72)


@pytest.mark.parametrize(
    ("environment", "is_terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_opt_in(environment: dict[str, str], is_terminal: bool, wanted: bool) -> None:
    assert wants_colour(environment, is_terminal=is_terminal) is wanted


def test_summary_counts_by_severity() -> None:
    warning = Finding("yaml-anchor", "m", Location(FILE), Severity.WARNING)
    assert render_summary([finding(), warning, finding()]) == "2 errors, 1 warning"
    assert render_summary([]) == "no findings"
