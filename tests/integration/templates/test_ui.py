"""The golden template `ui`: its facts, its packages, its chart, and its tests run by Node alone.

What needs packages, a browser and an identity provider is `tests/runtime/test_ui.py`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.checks import run_checks
from pipeline.models.evidence import CheckOutcome
from tests.support.golden_templates import UI
from tests.support.projects import TOOLS, Values, hydrated, render_project, source_of, write_project

CASES = UI.cases


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Values:
    return CASES[request.param]


def json_of(values: Values, path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_project("ui", values)[path].content)
    return document


def test_values_land_in_no_code() -> None:
    plain, other = (render_project("ui", CASES[name]) for name in ("plain", "longest names"))
    assert "sdk/identity.ts" in plain
    assert {path for path in plain if plain[path] != other[path]} == {
        "Makefile",
        "README.md",
        "catalog-info.yaml",
        "chart/Chart.yaml",
        "chart/values.yaml",
        "docs/index.md",
        "mkdocs.yml",
        "primitive.json",
    }


def test_parameters_reach_the_code(case: Values) -> None:
    facts = json_of(case, "primitive.json")
    assert facts["pathPrefix"] == case["path_prefix"]
    assert facts["scopes"] == case["scopes"]
    assert facts["description"] == case["description"]


def test_packages_are_pinned_by_hash_and_name_no_registry() -> None:
    manifest, lock = (json_of(UI.values(), path) for path in ("package.json", "package-lock.json"))
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert len(packages) >= 30
    for path, package in packages.items():
        assert package["integrity"].startswith("sha512-"), path
        assert "resolved" not in package, path
        assert "hasInstallScript" not in package or path == "node_modules/sharp", path
    root = lock["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert root[kind] == manifest[kind]
        for name, version in manifest[kind].items():
            assert packages[f"node_modules/{name}"]["version"] == version


def test_pods_are_probed_below_the_prefix_and_get_their_key_from_a_secret() -> None:
    by_kind = hydrated("ui", UI.values())
    [container] = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 3000, "protocol": "TCP"}]
    for probe, path in (("livenessProbe", "healthz"), ("readinessProbe", "readyz")):
        assert container[probe]["httpGet"] == {"path": f"/acme/order-desk/{path}", "port": "http"}
    assert {"secretRef": {"name": "order-router-session"}} in container["envFrom"]
    settings = by_kind["ConfigMap"]["data"]
    assert settings["PUBLIC_ORIGIN"] == "https://workspace.example.invalid"
    assert not any("SECRET" in name or "KEYS" in name for name in settings)


def test_the_operator_s_resource_has_every_parameter(case: Values) -> None:
    spec = hydrated("ui", case, runtime="operator")["UISurface"]["spec"]
    assert spec["host"] == case["host"]
    assert spec["pathPrefix"] == case["path_prefix"]
    assert spec["auth"] == {"scopes": case["scopes"]}
    assert spec["features"] == {"flags": {}}


@pytest.mark.parametrize("name", ["hostile description", "longest names"])
def test_its_tests_pass_in_the_sandbox(name: str) -> None:
    files = source_of("ui", CASES[name])
    [result] = run_checks(files, commit="0" * 40, tree="0" * 40, names=["tests"]).results
    assert result.outcome is CheckOutcome.PASSED, result
    assert re.fullmatch(r"[1-9]\d passed", result.summary), result.summary


def node_tests(folder: Path, *patterns: str) -> subprocess.CompletedProcess[str]:
    """The project's tests by Node alone, in an environment that names no proxy and no token."""
    return subprocess.run(
        [TOOLS / "bin" / "node", "--test", "--test-reporter=tap", *patterns],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_sdks_tests_pass_without_packages(tmp_path: Path) -> None:
    write_project("ui", UI.values(), tmp_path)
    result = node_tests(tmp_path, "sdk/tests/*.test.ts")
    assert result.returncode == 0, result.stdout
    passed = re.search(r"^# pass (\d+)$", result.stdout, re.MULTILINE)
    assert passed is not None and int(passed[1]) >= 70


@pytest.mark.parametrize(
    ("file", "old", "new", "failing"),
    [
        (
            "src/lib/headers.ts",
            "'nonce-${nonce}' 'strict-dynamic'",
            "'nonce-${nonce}' 'unsafe-inline'",
            "tests/unit/headers.test.ts",
        ),
        ("src/lib/addresses.ts", 'found.startsWith("//") || ', "", "tests/unit/addresses.test.ts"),
        ("src/lib/cookies.ts", "httpOnly: true, same", "same", "tests/unit/cookies.test.ts"),
        ("src/lib/gate.ts", 'method === "GET"', "true", "tests/unit/gate.test.ts"),
        (
            "sdk/claims.ts",
            "onlyTenant !== tenantId",
            "onlyTenant === tenantId",
            "sdk/tests/claims.test.ts",
        ),
        ("sdk/claims.ts", "enumerable: false", "enumerable: true", "sdk/tests/claims.test.ts"),
        ("sdk/api.ts", 'redirect: "manual"', 'redirect: "follow"', "sdk/tests/api.test.ts"),
        ("sdk/api.ts", "url.origin !== this.#options.origin", "false", "sdk/tests/api.test.ts"),
    ],
    ids=["nonce", "redirect", "cookie", "change", "tenant", "log", "follow", "origin"],
)
def test_its_tests_fail_without_a_guard(
    file: str, old: str, new: str, failing: str, tmp_path: Path
) -> None:
    path = write_project("ui", UI.values(), tmp_path) / file
    source = path.read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    result = node_tests(tmp_path, failing)
    assert result.returncode == 1, result.stdout
    assert re.search(r"^# fail [1-9]", result.stdout, re.MULTILINE)
