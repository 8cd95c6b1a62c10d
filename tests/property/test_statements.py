"""Signed statements are hostile bytes: any of them is read, or refused with a reason."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents import render_document
from pipeline.errors import UsageFault
from pipeline.models.statements import SCAN_TYPE, SEVERITY_RATINGS, VEX_TYPE
from pipeline.requests.layout import statement_path
from pipeline.requests.statements import told_of
from pipeline.requests.vulnerabilities import Scan, StatementProblem, Vex, parse_stating
from tests.support.samples import DRAFT, findings_of
from tests.support.statement_evidence import scan, statement_bytes, vex

IMAGE = {"sha256": "ab" * 32}
AT = "2026-12-01T10:00:00Z"
WORDS = """
    version runs tool driver name rules results ruleId ruleIndex rule id index level kind properties
    security-severity defaultConfiguration invocations executionSuccessful scanner result metadata
    scanFinishedOn timestamp bomFormat specVersion vulnerabilities analysis state justification
    detail externalPropertyFileReferences extensions
"""
NAMES = st.sampled_from(WORDS.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["2.1.0", "CycloneDX", "1.6", "not_affected", "error", AT, "9.8", "CVE-2026-1"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@st.composite
def nearly(draw: st.DrawFn, whole: object) -> object:
    """A document of the right form with one value somewhere in it replaced, or taken out."""
    made = json.loads(json.dumps(whole))
    place, last = made, None
    for _ in range(draw(st.integers(0, 9))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        last = (place, draw(st.sampled_from(keys)))
        if not isinstance(place[last[1]], dict | list):
            break
        place = place[last[1]]
    if last is None:
        return draw(VALUES)
    if draw(st.booleans()):
        last[0][last[1]] = draw(VALUES)
    else:
        del last[0][last[1]]
    return made


SCANNED = {"CVE-2026-1234": "9.8", "GHSA-abcd-2345-wxyz": "0.0"}
ANALYSIS = {"state": "not_affected", "justification": "code_not_present", "detail": "x"}


def judged(content: bytes) -> None:
    """Read a statement, and hold what it says to its bounds."""
    try:
        stating = parse_stating(content)
    except StatementProblem as problem:
        assert str(problem)
        return
    assert stating.subjects
    match stating.said:
        case Scan(found=found):
            assert set(found.values()) <= set(SEVERITY_RATINGS)
        case Vex(takes_out=takes_out):
            assert set(takes_out.values()) <= {True, False}
        case None:
            known = (SCAN_TYPE, VEX_TYPE)
            assert stating.predicate_type not in known or str(stating.problem)
    assert all(name for name, _ in told_of(stating))


@given(nearly(scan(SCANNED, AT)) | VALUES)
def test_any_scan_is_read_or_refused(predicate: object) -> None:
    judged(statement_bytes(IMAGE, SCAN_TYPE, predicate))


@given(nearly(vex({"CVE-2026-1234": ANALYSIS}, AT)) | VALUES)
def test_any_vex_is_read_or_refused(predicate: object) -> None:
    judged(statement_bytes(IMAGE, VEX_TYPE, predicate))


@given(nearly(json.loads(statement_bytes(IMAGE, SCAN_TYPE, scan(SCANNED, AT)))) | VALUES)
def test_any_statement_is_read_or_refused(statement: object) -> None:
    judged(json.dumps(statement).encode())


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 3))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int, cut: int) -> None:
    good = statement_bytes(IMAGE, SCAN_TYPE, scan(SCANNED, AT))
    judged(good[:at] + noise + good[at + cut :])
    judged(noise)


@given(st.text(max_size=100) | VALUES.map(json.dumps))
def test_any_bundle_is_a_finding_with_a_place(bundle: str) -> None:
    path = statement_path(DRAFT, "fuzzed")
    body = {"apiVersion": "pipeline.ameide.io/v1", "kind": "ExternalStatement", "draft": DRAFT}
    try:
        content = render_document({**body, "bundle": bundle})
    except UsageFault:
        return  # text that no request may hold
    found = findings_of(path, content)
    assert found and all(f.location.line for f in found)
