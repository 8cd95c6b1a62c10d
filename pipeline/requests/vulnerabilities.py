"""Statements in signed bytes: their subjects, and for scans and VEX documents what they say. Pure.

The bytes are hostile: they are bounded, no key comes twice in a mapping, and anything else than the
expected form raises StatementProblem with the field and the reason. Nothing is guessed in favour of
an image: what has no score is rated by its level, and an `error` without one is critical.

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

Path = tuple[str | int, ...]
_LOG: Path = ("predicate", "scanner", "result")
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


class StatementProblem(ValueError):
    """Why a statement cannot be read: the field at fault as a path from its root, or the line and
    column where it stops to be JSON.
    """

    def __init__(self, message: str, at: Path = (), place: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.at, self.place = at, place


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
    problem: StatementProblem | None = None  # why a scan or a VEX document cannot be read


# Clauses and reviewers' comments ask about the same few statements again and again.
@lru_cache(maxsize=64)
def parse_stating(content: bytes) -> Stating:
    """The statement in signed bytes. Raises StatementProblem if it is none, or about nothing."""
    require_plain(content)
    general = _parsed(InTotoStatement, content)
    subjects = frozenset((*_images(general), *_commits(general)))
    if not subjects:
        told = "none of its subjects has a `sha256` or a `gitCommit`"
        raise StatementProblem(told, ("subject",))
    type = visible(general.predicate_type)
    try:
        said: Scan | Vex | None = None
        if type == SCAN_TYPE:
            said = _scan_of(_parsed(ScanStatement, content))
        elif type == VEX_TYPE:
            said = _vex_of(_parsed(VexStatement, content))
    except StatementProblem as problem:
        return Stating(type, subjects, problem=problem)
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
        at = error.errors(include_url=False)[0]["loc"]
        raise StatementProblem(visible(first_problem(error)), at) from error


def require_plain(content: bytes, most_bytes: int = MAX_STATEMENT_BYTES) -> None:
    """Raise StatementProblem for what is too large, or no JSON that all readers take alike."""
    if len(content) > most_bytes:
        told = f"it has {len(content):,} bytes; {most_bytes:,} are allowed"
        raise StatementProblem(told)
    try:
        json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise StatementProblem("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        place = (error.lineno, error.colno)
        raise StatementProblem(f"it is not JSON: {error.msg}", place=place) from error
    except ValueError as error:
        raise StatementProblem(visible(str(error))) from error


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
    for number, run in enumerate(statement.predicate.scanner.result.runs):
        for id, rating in _findings_of(run, (*_LOG, "runs", number, "results")):
            found[id] = max(rating, found.get(id, "none"), key=SEVERITY_RATINGS.index)
    at = ("predicate", "metadata", "scanFinishedOn")
    return Scan(_time(statement.predicate.metadata.finished, at), found)


def _time(text: str, at: Path) -> int:
    try:
        return seconds_of_time(text)
    except (ValueError, OverflowError) as error:
        raise StatementProblem(f"`{text}` is no time", at) from error


def _findings_of(run: SarifRun, at: Path) -> Iterator[tuple[str, SeverityRating]]:
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
            raise StatementProblem(f"result {number} names no rule", (*at, number))
        # Several rules of one id are all its rules: the most severe counts.
        try:
            ratings = [_rating(result, rule) for rule in rules.get(id, ())]
        except ValueError as error:
            raise StatementProblem(str(error), (*at, number)) from error
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
    at = ("predicate", "metadata", "timestamp")
    return Vex(_time(statement.predicate.metadata.timestamp, at), told)
