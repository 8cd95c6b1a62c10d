"""Findings for characters that no request may contain."""

from __future__ import annotations

import re

from pipeline.characters import (
    BIDI,
    CONTROL,
    FINDINGS_MAXIMUM,
    FORBIDDEN_IN_TEXT,
    INVISIBLE,
    LINE_SEPARATORS,
    SURROGATES,
    line_and_column,
    name_of_character,
)
from pipeline.diagnostics import Finding, Location, Rule
from pipeline.documents import rules

_KINDS: tuple[tuple[Rule, re.Pattern[str]], ...] = (
    (rules.YAML_CARRIAGE_RETURN, re.compile("\r")),
    (rules.YAML_LINE_SEPARATOR, re.compile(f"[{LINE_SEPARATORS}]")),
    (rules.YAML_BIDI_CHARACTER, re.compile(f"[{BIDI}]")),
    (rules.YAML_INVISIBLE_CHARACTER, re.compile(f"[{INVISIBLE}]")),
    (rules.YAML_SURROGATE, re.compile(f"[{SURROGATES}]")),
    (rules.YAML_CONTROL_CHARACTER, re.compile(f"[{CONTROL}]")),
)


def check_characters(file: str, text: str) -> list[Finding]:
    found = []
    for number, match in enumerate(FORBIDDEN_IN_TEXT.finditer(text)):
        if number == FINDINGS_MAXIMUM:
            break
        location = Location(file, *line_and_column(text, match.start()))
        found.append(character_finding(match.group(), location, "the text holds"))
    return found


def character_finding(character: str, location: Location, verb: str) -> Finding:
    rule = next(rule for rule, pattern in _KINDS if pattern.match(character))
    return rule.finding(f"{verb} {name_of_character(character)}", location)
