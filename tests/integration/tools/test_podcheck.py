"""podcheck takes and refuses the same pods as Kubernetes' own admission.

The examples come with the Go module that podcheck is built from (`tools/podfixtures.py`): pods that
each break one rule of the standard, for every version of it, and pods that keep them all.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import CouldNotCheck
from pipeline.machine.process import run_tool
from pipeline.tools import podcheck
from pipeline.tools.podcheck import judge_pods, run_podcheck

FIXTURES = Path(__file__).resolve().parents[3] / ".tools" / "pod-security.json"
NEWEST = "v1.37"
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []}}


@cache
def fixtures() -> dict[str, dict[str, dict[str, str]]]:
    """Version → `pass` or `fail` → file name → YAML."""
    found: dict[str, dict[str, dict[str, str]]] = json.loads(FIXTURES.read_text(encoding="utf-8"))
    return found


def pods(version: str, verdict: str) -> dict[str, dict[str, Any]]:
    texts = fixtures()[version][verdict]
    return {name: yaml.load(text, yaml.CSafeLoader) for name, text in texts.items()}


def test_there_are_examples_of_every_version_and_both_verdicts() -> None:
    assert NEWEST in fixtures() and len(fixtures()) >= 38
    assert all(set(verdicts) == {"pass", "fail"} for verdicts in fixtures().values())
    count = sum(len(texts) for verdicts in fixtures().values() for texts in verdicts.values())
    assert count >= 2900


# Each process judges all pods of a version; one version in three, and the newest five, are enough
# to see every rule begin and end.
VERSIONS = sorted({f"v1.{minor}" for minor in (*range(0, 38, 3), *range(33, 38))})


@pytest.mark.parametrize("version", VERSIONS)
def test_our_verdicts_equal_those_of_kubernetes(version: str) -> None:
    good, bad = pods(version, "pass"), pods(version, "fail")
    verdicts = judge_pods([*good.values(), *bad.values()], version=version)
    assert {verdict.holds for verdict in verdicts} == {"pod"}
    refused = dict(zip([*good, *("fail " + name for name in bad)], verdicts, strict=True))
    assert [name for name in good if refused[name].problems] == []
    assert [name for name in bad if not refused[f"fail {name}"].problems] == []


def test_releases_are_checked_against_the_newest_version() -> None:
    """What `latest` refuses is what the newest version refuses, so no rule is waited for."""
    bad = [*pods(NEWEST, "fail").values()]
    assert judge_pods(bad) == judge_pods(bad, version=NEWEST)
    assert all(run_podcheck([pod], file="x") for pod in bad[:5])


def test_a_pod_in_any_workload_is_found() -> None:
    [bad] = [p for name, p in pods(NEWEST, "fail").items() if name == "hostports0.yaml"]
    template = {"metadata": {}, "spec": bad["spec"]}
    spec = {"selector": {"matchLabels": {}}, "template": template}
    job = {"spec": {"template": template}}
    for api, kind, body in (
        ("apps/v1", "Deployment", spec),
        ("apps/v1", "StatefulSet", {**spec, "serviceName": "a"}),
        ("batch/v1", "Job", job["spec"]),
        ("batch/v1", "CronJob", {"schedule": "* * * * *", "jobTemplate": job}),
    ):
        item = {"apiVersion": api, "kind": kind, "metadata": {"name": "a"}, "spec": body}
        [finding] = run_podcheck([item], file="x")
        assert finding.code == "manifest-pod-security"
        assert finding.message.startswith(f"{kind}/a: hostPort")
        assert finding.location.file == f"x#{kind}/a"


def test_an_unreadable_workload_was_not_checked() -> None:
    for item in (
        {**POD, "spec": {"containers": "x"}},
        {**POD, "spec": {"containers": [], "hostNetwrk": True}},
        {**POD, "Spec": {"hostPID": True}},
        {"apiVersion": "example.com/v1", "kind": "Pod", "metadata": {"name": "a"}},
        {"apiVersion": "apps/v1", "kind": "Unheard", "metadata": {"name": "a"}},
        {"kind": "Pod"},
    ):
        [finding] = run_podcheck([item], file="x")
        assert finding.code == "manifest-not-checked"


def test_a_custom_resource_of_the_platform_holds_no_pod() -> None:
    assert run_podcheck([{"apiVersion": "ameide.io/v1", "kind": "Domain"}], file="x") == ()
    assert judge_pods([]) == ()


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (b"", 0),
        (b"{}", 0),
        (b"null", 0),
        (b"[]", 0),
        (b"[1]", 0),
        (b'[{"holds": "pod"}]', 0),
        (b'[{"holds": "maybe", "problems": []}]', 0),
        (b'[{"holds": "unknown", "problems": []}]', 0),
        (b'[{"holds": "pod", "problems": []}]', 1),
        (b'[{"holds": "pod", "problems": []}, {"holds": "pod", "problems": []}]', 0),
    ],
)
def test_a_failing_podcheck_is_could_not_check(
    answer: bytes, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = replace(run_tool(["true"]), stdout=answer, exit_code=exit_code)
    monkeypatch.setattr(podcheck, "run_tool_confined", lambda *_, **__: done)
    with pytest.raises(CouldNotCheck):
        run_podcheck([POD], file="x")


def test_a_missing_podcheck_is_could_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise CouldNotCheck(f"{name} was not found")

    monkeypatch.setattr(podcheck, "find_tool", missing)
    with pytest.raises(CouldNotCheck, match="podcheck was not found"):
        run_podcheck([POD], file="x")
