"""Statements in signed bytes: their subjects, and for scans and VEX documents what they say. Pure.

The bytes are hostile: they are bounded, no key comes twice in a mapping, and anything else than the
expected form raises ValueError with the field and the reason. Nothing is guessed in favour of an
image: what has no score is rated by its level, and an `error` without one is critical.

What a VEX statement says of a vulnerability holds for the whole image. Its `affects` is not
compared: reports do not name components by the same references.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from pydantic import ValidationError

from pipeline.characters import visible
from pipeline.models.base import first_problem
from pipeline.models.intoto import (
    ForeignModel,
    InTotoStatement,
    SarifLevel,
    SarifResult,
    SarifRule,
    SarifRun,
    ScanStatement,
    VexStatement,
)
from pipeline.models.statements import SCAN_TYPE, SEVERITY_RATINGS, VEX_TYPE, SeverityRating

MAX_STATEMENT_BYTES = 768 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
# The id at the beginning of a rule's id; grype appends the package's name.
_VULNERABILITY = re.compile(r"(CVE-[0-9]{4}-[0-9]{4,19}|GHSA(-[2-9a-z]{4}){3})(?=-|\Z)", re.I)
_SCORE = re.compile(r"(10|[0-9])(\.[0-9]{1,3})?\Z")
# A score without a severity of its own: scanners write 0.0 for an unknown one.
_OF_LEVEL: Mapping[SarifLevel, SeverityRating] = {
    "none": "none",
    "note": "low",
    "warning": "medium",
    "error": "critical",
}


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found: each vulnerability with its highest rating, and when the scan ended."""

    finished_s: int
    found: Mapping[str, SeverityRating]


@dataclass(frozen=True, slots=True)
class Vex:
    """What a VEX document says: when, and of each vulnerability whether it still counts."""

    written_s: int
    takes_out: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Stating:
    """A statement: its predicate type, what it is about, and what a scan or a VEX document says."""

    predicate_type: str
    subjects: frozenset[str]  # images by digest, source commits by id
    said: Scan | Vex | None = None
    problem: str = ""  # why a scan or a VEX document cannot be read


# Clauses and reviewers' comments ask about the same few statements again and again.
@lru_cache(maxsize=64)
def parse_stating(content: bytes) -> Stating:
    """The statement in signed bytes. Raises ValueError if it is none, or about nothing."""
    if len(content) > MAX_STATEMENT_BYTES:
        raise ValueError(f"it has {len(content):,} bytes; {MAX_STATEMENT_BYTES:,} are allowed")
    _require_plain(content)
    general = _parsed(InTotoStatement, content)
    subjects = frozenset((*_images(general), *_commits(general)))
    if not subjects:
        raise ValueError("none of its subjects has a `sha256` or a `gitCommit`")
    type = visible(general.predicate_type)
    try:
        said: Scan | Vex | None = None
        if type == SCAN_TYPE:
            said = _scan_of(_parsed(ScanStatement, content))
        elif type == VEX_TYPE:
            said = _vex_of(_parsed(VexStatement, content))
    except ValueError as error:
        return Stating(type, subjects, problem=str(error))
    return Stating(type, subjects, said)


def _images(statement: InTotoStatement) -> Iterator[str]:
    for subject in statement.subject:
        digest = subject.digest.get("sha256", "")
        if _SHA256.match(digest):
            yield f"sha256:{digest}"


def _commits(statement: InTotoStatement) -> Iterator[str]:
    for subject in statement.subject:
        commit = subject.digest.get("gitCommit", "")
        if _COMMIT.match(commit):
            yield commit


F = TypeVar("F", bound=ForeignModel)


def _parsed(model: type[F], content: bytes) -> F:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(visible(first_problem(error))) from error


def _require_plain(content: bytes) -> None:
    """Raise ValueError for JSON that two readers may take differently."""
    try:
        json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"`{visible(name[:80])}` stands twice in a mapping")
        found[name] = value
    return found


def _no_number(text: str) -> object:
    raise ValueError(f"`{text}` is no number of JSON")


def seconds_of_time(text: str) -> int:
    """Whole seconds since the epoch at a time of RFC 3339. Raises ValueError, or OverflowError."""
    without_fraction = re.sub(r"\.[0-9]+", "", text)
    return int(datetime.fromisoformat(without_fraction).timestamp())


def vulnerability_of(rule_id: str) -> str:
    """The vulnerability in a rule's id or a VEX entry's, in one spelling."""
    match = _VULNERABILITY.match(rule_id)
    return match[1].upper() if match else visible(rule_id)


# -- scans -----------------------------------------------------------------------------------


def _scan_of(statement: ScanStatement) -> Scan:
    found: dict[str, SeverityRating] = {}
    for run in statement.predicate.scanner.result.runs:
        for id, rating in _findings_of(run):
            found[id] = max(rating, found.get(id, "none"), key=SEVERITY_RATINGS.index)
    return Scan(_time(statement.predicate.metadata.finished), found)


def _time(text: str) -> int:
    try:
        return seconds_of_time(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"`{text}` is no time") from error


def _findings_of(run: SarifRun) -> Iterator[tuple[str, SeverityRating]]:
    driver = run.tool.driver.rules
    rules: dict[str, list[SarifRule]] = {}
    for component in (run.tool.driver, *run.tool.extensions):
        for rule in component.rules:
            rules.setdefault(rule.id, []).append(rule)
    for number, result in enumerate(run.results):
        if result.kind in ("pass", "notApplicable"):
            continue
        id = _rule_id(result, driver)
        if id is None:
            raise ValueError(f"result {number} names no rule")
        # Several rules of one id are all its rules: the most severe counts.
        ratings = [_rating(result, rule) for rule in rules.get(id, ())]
        ratings = ratings or [_OF_LEVEL[result.level or "warning"]]
        yield vulnerability_of(id), max(ratings, key=SEVERITY_RATINGS.index)


def _rule_id(result: SarifResult, rules: tuple[SarifRule, ...]) -> str | None:
    named = result.rule_id or result.rule.id
    if named is not None:
        return named
    index = result.rule.index if result.rule_index is None else result.rule_index
    return rules[index].id if index is not None and 0 <= index < len(rules) else None


def _rating(result: SarifResult, rule: SarifRule) -> SeverityRating:
    score = rule.properties.security_severity
    if score is not None:
        value = _score(score)
        if value > 0:
            return rating_of_score(value)
    return _OF_LEVEL[result.level or rule.default_configuration.level]


def _score(score: str | float) -> float:
    text = str(score).strip()
    if not _SCORE.match(text) or float(text) > 10:
        raise ValueError(f"`{visible(text[:40])}` is no score from 0.0 to 10.0")
    return float(text)


def rating_of_score(score: float) -> SeverityRating:
    """The rating of a score above 0, by CVSS 3.1, section 5."""
    if score >= 9:
        return "critical"
    if score >= 7:
        return "high"
    return "medium" if score >= 4 else "low"


# -- VEX -------------------------------------------------------------------------------------


def _vex_of(statement: VexStatement) -> Vex:
    told: dict[str, bool] = {}
    for entry in statement.predicate.vulnerabilities:
        if entry.analysis is not None:
            # Entries that differ, as for two components, leave it in.
            id = vulnerability_of(entry.id)
            told[id] = entry.analysis.takes_out and told.get(id, True)
    return Vex(_time(statement.predicate.metadata.timestamp), told)
