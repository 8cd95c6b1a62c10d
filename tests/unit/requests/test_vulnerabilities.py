"""Scans and VEX documents as tools print them: what is found, how it is rated, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pytest

from pipeline.models.base import ImageDigest, seconds_of
from pipeline.models.statements import SCAN_TYPE, VEX_TYPE
from pipeline.requests.vulnerabilities import (
    MAX_STATEMENT_BYTES,
    Scan,
    StatementProblem,
    Stating,
    Vex,
    parse_stating,
    vulnerability_of,
)
from tests.support.statement_evidence import sarif, scan, statement_bytes, vex

AT = "2026-12-01T10:00:00Z"
DIGEST = ImageDigest("sha256:" + "ab" * 32)
IMAGE = {"sha256": "ab" * 32}


def stating(predicate: object, type: str = SCAN_TYPE) -> Stating:
    return parse_stating(statement_bytes(IMAGE, type, predicate))


def scanned(log: Mapping[str, object]) -> Scan:
    """What a scan with this SARIF log found; raises its problem."""
    told = stating({**scan({}, AT), "scanner": {"result": log}})
    if told.problem is not None:
        raise told.problem
    assert isinstance(told.said, Scan)
    return told.said


def log(*results: object, rules: Iterable[object] = (), **more: object) -> dict[str, object]:
    driver = {"name": "grype", "rules": list(rules)}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results, **more}]}


def rule(id: str, score: object = None, level: str | None = None) -> dict[str, object]:
    found: dict[str, object] = {"id": id, "shortDescription": {"text": "x"}}
    if score is not None:
        found["properties"] = {"security-severity": score, "tags": ["security"]}
    if level is not None:
        found["defaultConfiguration"] = {"level": level}
    return found


@pytest.mark.parametrize(
    ("score", "rating"),
    [
        *(("0.1", "low"), ("3.9", "low"), ("4.0", "medium"), ("6.9", "medium"), ("7.0", "high")),
        *(
            ("8.9", "high"),
            ("9.0", "critical"),
            ("10.0", "critical"),
            (7.5, "high"),
            (9, "critical"),
        ),
    ],
)
def test_a_score_is_rated_as_cvss_does(score: object, rating: str) -> None:
    found = scanned(log({"ruleId": "CVE-2026-1234"}, rules=[rule("CVE-2026-1234", score)]))
    assert found.found == {"CVE-2026-1234": rating}


@pytest.mark.parametrize(
    ("result", "listed", "rating"),
    [
        ({"level": "note"}, rule("X"), "low"),
        ({"level": "none"}, rule("X"), "none"),
        ({}, rule("X", level="error"), "critical"),
        ({}, rule("X"), "medium"),
        ({}, rule("another"), "medium"),
        # Scanners write 0.0 for a severity that they do not know.
        ({"level": "error"}, rule("X", "0.0"), "critical"),
        ({"level": "note"}, rule("X", "9.8"), "critical"),
    ],
)
def test_without_a_score_the_level_rates(
    result: dict[str, object], listed: dict[str, object], rating: str
) -> None:
    assert scanned(log({"ruleId": "X", **result}, rules=[listed])).found == {"X": rating}


def test_a_result_may_name_its_rule_by_index_and_the_worst_of_a_name_counts() -> None:
    rules = [rule("CVE-2026-1234-liba", "5.0"), rule("CVE-2026-1234-libb", "9.8")]
    results = [{"ruleIndex": 0}, {"rule": {"index": 1}}, {"rule": {"id": "CVE-2026-9999"}}]
    assert scanned(log(*results, rules=rules)).found == {
        "CVE-2026-1234": "critical",
        "CVE-2026-9999": "medium",
    }
    twice = [rule("X", "1.0"), rule("X", "8.0")]
    assert scanned(log({"ruleId": "X"}, rules=twice)).found == {"X": "high"}


def test_only_what_the_tool_says_is_no_problem_is_left_out() -> None:
    results = [
        {"ruleId": "A", "kind": "pass"},
        {"ruleId": "B", "kind": "notApplicable"},
        {"ruleId": "C", "kind": "review"},
        {"ruleId": "D", "suppressions": [{"kind": "external", "status": "accepted"}]},
    ]
    assert set(scanned(log(*results)).found) == {"C", "D"}


def test_results_of_all_runs_count_and_none_is_a_scan_that_found_nothing() -> None:
    runs: list[object] = []
    for name in ("A", "B"):
        of_one = log({"ruleId": name})["runs"]
        assert isinstance(of_one, list)
        runs += of_one
    both = {"version": "2.1.0", "runs": runs}
    assert set(scanned(both).found) == {"A", "B"}
    assert scanned(log()).found == {}


@pytest.mark.parametrize(
    ("broken", "said", "at"),
    [
        ({"version": "2.1.0", "runs": []}, "at least 1 item", ("runs",)),
        ({"version": "2.0.0", "runs": []}, "2.1.0", ("version",)),
        ({"version": "2.1.0"}, "Field required", ("runs",)),
        (
            {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}}]},
            "Field required",
            ("runs", 0, "results"),
        ),
        (log(invocations=[{"executionSuccessful": False}]), "did not succeed", ("runs", 0)),
        (
            log(externalPropertyFileReferences={"results": [{"guid": "1"}]}),
            "in other files",
            ("runs", 0),
        ),
        (log({"message": {"text": "x"}}), "names no rule", ("runs", 0, "results", 0)),
        (log({"ruleIndex": 7}), "names no rule", ("runs", 0, "results", 0)),
        (log({"ruleIndex": -1}, rules=[rule("X")]), "names no rule", ("runs", 0, "results", 0)),
        (
            log({"ruleId": "X"}, rules=[rule("X", "11")]),
            "no score from 0.0 to 10.0",
            ("runs", 0, "results", 0),
        ),
        (
            log({"ruleId": "X"}, rules=[rule("X", "-1")]),
            "no score from 0.0 to 10.0",
            ("runs", 0, "results", 0),
        ),
        (
            log({"ruleId": "X", "level": "fatal"}),
            "'none', 'note'",
            ("runs", 0, "results", 0, "level"),
        ),
    ],
)
def test_a_log_that_is_not_whole_is_no_scan(
    broken: dict[str, object], said: str, at: tuple[object, ...]
) -> None:
    with pytest.raises(StatementProblem) as raised:
        scanned(broken)
    assert said in str(raised.value)
    assert raised.value.at == ("predicate", "scanner", "result", *at)


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        (AT, AT),
        ("2026-12-01T10:00:00.999999999Z", AT),
        ("2026-12-01T11:30:00+01:30", AT),
        ("2026-12-01T10:00:00", None),
        ("2026-13-01T10:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("yesterday", None),
    ],
)
def test_the_time_of_a_scan_is_one_of_rfc_3339(time: str, moment: str | None) -> None:
    told = stating(scan({}, time))
    if moment is None:
        assert told.said is None and told.problem is not None
    else:
        assert isinstance(told.said, Scan) and told.said.finished_s == seconds_of(moment)


@pytest.mark.parametrize(
    ("analysis", "is_out"),
    [
        ({"state": "not_affected", "justification": "code_not_reachable"}, True),
        ({"state": "not_affected", "detail": "trust us"}, False),
        ({"state": "not_affected"}, False),
        ({"state": "false_positive", "detail": "another package of that name"}, True),
        ({"state": "false_positive", "detail": "  "}, False),
        ({"state": "resolved", "justification": "code_not_present"}, True),
        ({"state": "resolved_with_pedigree", "detail": "patched by hand"}, True),
        ({"state": "exploitable", "justification": "code_not_present"}, False),
        ({"state": "in_triage", "detail": "soon"}, False),
    ],
)
def test_vex_takes_out_what_has_a_good_state_and_a_reason(
    analysis: dict[str, object], is_out: bool
) -> None:
    told = stating(vex({"CVE-2026-1234": analysis}, AT), VEX_TYPE)
    assert told.said == Vex(seconds_of(AT), {"CVE-2026-1234": is_out})


def test_entries_of_vex_that_differ_take_nothing_out_and_a_bill_of_materials_neither() -> None:
    good = {"state": "resolved", "detail": "updated"}
    document = vex({}, AT)
    document["vulnerabilities"] = [
        {"id": "cve-2026-1234", "analysis": good},
        {"id": "CVE-2026-1234", "analysis": {"state": "exploitable"}},
        {"id": "CVE-2026-2", "analysis": good},
        {"id": "CVE-2026-3"},
    ]
    told = stating(document, VEX_TYPE).said
    assert isinstance(told, Vex)
    assert told.takes_out == {"CVE-2026-1234": False, "CVE-2026-2": True}
    del document["vulnerabilities"]
    assert stating(document, VEX_TYPE).said == Vex(seconds_of(AT), {})
    for change in ({"specVersion": "1.4"}, {"bomFormat": "SPDX"}, {"metadata": {}}):
        assert stating({**document, **change}, VEX_TYPE).problem is not None


@pytest.mark.parametrize(
    ("id", "vulnerability"),
    [
        ("CVE-2026-1234", "CVE-2026-1234"),
        ("cve-2026-1234-libssl", "CVE-2026-1234"),
        ("CVE-2026-12345", "CVE-2026-12345"),
        ("CVE-2026-1234x", "CVE-2026-1234x"),
        ("GHSA-abcd-2345-wxyz-lodash", "GHSA-ABCD-2345-WXYZ"),
        ("DS002", "DS002"),
    ],
)
def test_a_rule_s_id_names_its_vulnerability(id: str, vulnerability: str) -> None:
    assert vulnerability_of(id) == vulnerability


def test_what_two_readers_may_take_differently_is_refused() -> None:
    good = statement_bytes(IMAGE, "https://example.com/change/v1", {})
    assert parse_stating(good).subjects == {DIGEST}
    twice = good.replace(b'"predicate": {}', b'"subject": [], "predicate": {}')
    for content in (
        twice,
        good.replace(b'"predicate": {}', b'"predicate": NaN'),
        good.replace(b"image", b"\xff"),
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"",
        good + b"x",
        good.replace(b"ab" * 32, b"AB" * 32),
        statement_bytes({"sha1": "ab" * 20}, "https://example.com/change/v1", {}),
        good.ljust(MAX_STATEMENT_BYTES + 1),
    ):
        with pytest.raises(StatementProblem):
            parse_stating(content)
    assert parse_stating(good.ljust(MAX_STATEMENT_BYTES)).subjects == {DIGEST}


def test_many_equal_keys_are_found_in_linear_time() -> None:
    pairs = ",".join(f'"k{n}":0' for n in range(50_000))
    with pytest.raises(StatementProblem, match="`k1` stands twice"):
        parse_stating(f'{{{pairs},"k1":0}}'.encode())


def test_a_log_of_a_whole_image_is_read() -> None:
    many = {f"CVE-2026-{n}": "5.0" for n in range(1_000, 3_000)}
    told = stating(scan(many, AT))
    assert isinstance(told.said, Scan) and len(told.said.found) == 2_000
    assert json.dumps(sarif(many))
