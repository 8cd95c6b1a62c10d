"""`policy explain`: each gate in force, with the file and line that set it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.gate.in_force import Gate, PolicyFiles, gates_of
from pipeline.models.base import API_VERSION, seconds_of
from pipeline.render.policy import policy_document, render_policy
from pipeline.requests.kinds import parse_request
from pipeline.requests.snapshot import ReadRequest

PLATFORM = f"""apiVersion: {API_VERSION}
kind: Platform
platform: zenith
organisation: zenith
registry: {{prefix: registry.example.com/zenith}}
accounts:
  - {{id: 1, login: pipeline, kind: pipeline}}
  - {{id: 2, login: engineer, kind: person, teams: [engineers]}}
owners: [engineers]
lanes:
  security: [engineers]
windows:
  - name: year-end
    effect: deny
    zone: UTC
    from: 2026-12-19T00:00:00
    to: 2027-01-04T06:00:00
    environments: [prod]
    reason: few people are there
"""
PROD = f"""apiVersion: {API_VERSION}
kind: Environment
environment: prod
promotes_from: [dev]
required_checks: [lint, tests]
approvals:
  LOW: {{count: 1, teams: [engineers]}}
"""
STATED = """statements:
  - {predicate_type: 'https://example.com/change/v1', signers: [board, chair]}
vulnerabilities: {highest: low, expires_after_days: 3, signers: [scanner], vex_signers: [security]}
"""
DEV = f"apiVersion: {API_VERSION}\nkind: Environment\nenvironment: dev\n"
STOP = f"""apiVersion: {API_VERSION}
kind: Stop
stops:
  - {{reason: an incident, environments: [prod]}}
"""
CHRISTMAS = seconds_of("2026-12-24T18:00:00Z")


def read(path: str, text: str) -> ReadRequest:
    found, findings = parse_request(path, text.encode())
    assert found is not None and found.model is not None, findings
    return found


def files(*, stop: bool = False) -> PolicyFiles:
    return PolicyFiles(
        platform=read("environments/platform.yaml", PLATFORM),
        environments=(
            read("environments/dev/environment.yaml", DEV),
            read("environments/prod/environment.yaml", PROD),
        ),
        stop=read("environments/stop.yaml", STOP) if stop else None,
    )


def gate(name: str, environment: str = "prod", *, stop: bool = False) -> Gate:
    return next(g for g in gates_of(files(stop=stop), environment, CHRISTMAS) if g.name == name)


def test_a_gate_says_where_it_is_set() -> None:
    checks = gate("checks")
    assert checks.asks == "lint, tests"
    assert checks.location is not None
    assert (checks.location.file, checks.location.line) == ("environments/prod/environment.yaml", 5)
    approvals = gate("approvals LOW")
    assert approvals.asks == "1 by engineers" and approvals.location is not None


def test_a_soak_says_where_it_is_watched_and_which_lanes_pass() -> None:
    assert gate("soak").asks == "none" and gate("soak").location is None
    soaks = f"{PROD}soak: {{hours: 24, lanes: [security]}}\n"
    dev, prod = files().environments
    watched = replace(files(), environments=(dev, read(prod.path, soaks)))
    (found,) = (g for g in gates_of(watched, "prod", CHRISTMAS) if g.name == "soak")
    assert found.asks == "24 h seen healthy in dev (not for lanes security)"
    assert found.location is not None and found.location.line == 8


def test_a_gate_that_no_file_sets_is_a_default() -> None:
    assert gate("builders").location is None and gate("builders").asks == "any"
    assert gate("waivers").asks == "no rule can be waived"


def test_the_platforms_windows_count_where_they_are_for_the_environment() -> None:
    window = gate("window year-end")
    assert "deny, lasts" in window.asks and window.location is not None
    assert window.location.file == "environments/platform.yaml"
    names = {g.name for g in gates_of(files(), "dev", CHRISTMAS)}
    assert "window year-end" not in names


def test_a_stop_is_shown_where_it_holds() -> None:
    assert gate("stop", stop=True).asks == "stopped: an incident"
    names = {g.name for g in gates_of(files(stop=True), "dev", CHRISTMAS)}
    assert "stop" not in names


def test_an_unknown_environment_has_no_gates() -> None:
    with pytest.raises(KeyError):
        gates_of(files(), "qa", CHRISTMAS)


def test_the_text_names_file_and_line_or_the_default() -> None:
    gates = {name: gates_of(files(), name, CHRISTMAS) for name in ("dev", "prod")}
    text = render_policy(policy_document("0" * 40, CHRISTMAS, gates))
    assert text.startswith("dev\n") and "\n\nprod\n" in text
    assert "[environments/prod/environment.yaml:5]" in text and "[default]" in text


def test_statements_and_scans_say_who_signs_them() -> None:
    told = files()
    prod = read("environments/prod/environment.yaml", PROD + STATED)
    gates = gates_of(replace(told, environments=(told.environments[0], prod)), "prod", CHRISTMAS)
    asks = {gate.name: gate for gate in gates}
    statement, scan = asks["statement"], asks["vulnerabilities"]
    assert statement.asks == "https://example.com/change/v1, signed by board or chair"
    assert scan.asks == (
        "at most low, in a scan of the last 3 days, signed by scanner, VEX by security"
    )
    assert statement.location is not None and scan.location is not None
    assert (statement.location.line, scan.location.line) == (9, 10)
    assert gate("vulnerabilities").asks == "no report"
