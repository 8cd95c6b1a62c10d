"""The golden template `ui`: rendered for odd but legal inputs, then deployed, judged and run.

Its own tests run here as the platform runs them, with Node alone. What needs packages, a browser
and an identity provider is `tests/runtime/test_ui.py`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.characters import FORBIDDEN_IN_VALUE
from pipeline.checks import run_checks
from pipeline.models.evidence import CheckOutcome
from pipeline.templates import read_builtin_template
from pipeline.templating import (
    TemplateFile,
    check_parameters,
    complete_parameters,
    render_template,
)

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".tools"
CRD_SCHEMAS = ROOT / "pipeline" / "shared" / "crds" / "schemas"
IMAGE = f"registry.example.com:5000/ameide/tenant-acme/order-desk@sha256:{'ab' * 32}"
HOSTILE = (
    """"quoted" 'single' \\n \\ ${{ values.owner }} {{ .Values }} {% if %} {# # : - é 日本 <b>`"""
)
OWN = {
    "owner": "a",
    "description": "b",
    "host": "workspace.example.invalid",
    "path_prefix": "/orders",
}

Values = Mapping[str, object]


def values_of(**changes: object) -> dict[str, object]:
    """What the pipeline gives for one draft; `changes` replace single values."""
    return {
        "tenant_id": "acme",
        "sku": "Shared",
        "primitive_id": "order-desk",
        "primitive_type": "ui",
        "code_origin": "tenant",
        "target_repo": "tenant-acme-controllers",
        "instance": "order-desk",
        "platform": "ameide",
        "design_refs": ["process-definition/order-to-cash@3"],
        "namespaces": {"dev": "tenant-acme-dev-cust"},
        "template": "ui@1.0.0",
        "image_repository": "registry.example.com/ameide/tenant-acme/order-desk",
        "cost_centre": "CC-1042",
        "owner": "acme-engineers",
        "description": "Where people see the orders that wait for them",
        "host": "workspace.example.invalid",
        "path_prefix": "/acme/order-desk",
        "scopes": ["profile", "orders:read"],
        **changes,
    }


CASES: dict[str, Values] = {
    "plain": values_of(),
    "hostile description": values_of(description=HOSTILE),
    "longest names": values_of(
        primitive_id="p" * 40,
        instance="t" * 11 + "--" + "p" * 40,
        host=".".join(["h" * 63] * 3) + ".invalid",
        path_prefix="/" + "/".join(["p" * 24] * 4),
        scopes=[f"{'s' * 77}-{number:02}" for number in range(20)],
        description="d" * 500,
    ),
    "words of YAML and TypeScript": values_of(
        primitive_id="class",
        instance="class",
        owner="1e3",
        path_prefix="/null",
        scopes=["true", "null", "on"],
        design_refs=[],
    ),
    "shared platform code": values_of(
        tenant_id="platform",
        code_origin="platform",
        instance="json",
        primitive_id="json",
        scopes=[],
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Values:
    values: Values = request.param
    return values


def rendered(values: Values) -> dict[str, TemplateFile]:
    return render_template(read_builtin_template("ui"), values)


def write(values: Values, folder: Path) -> Path:
    for path, file in rendered(values).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
    return folder


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def tree(files: Mapping[str, TemplateFile]) -> dict[str, tuple[int, bytes]]:
    return {path: (0o100644, file.content) for path, file in files.items()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "Workspace.example.invalid"),
        ("host", "workspace.example.invalid:8443"),
        ("host", "https://workspace.example.invalid"),
        ("host", "localhost"),
        ("path_prefix", "/"),
        ("path_prefix", "orders"),
        ("path_prefix", "/orders/"),
        ("path_prefix", "/orders/../admin"),
        ("path_prefix", "/orders//x"),
        ("path_prefix", "/Orders"),
        ("scopes", ["profile", "profile"]),
        ("scopes", ["a b"]),
        ("scopes", [f"s{number}" for number in range(21)]),
        ("description", "two\nlines"),
        ("owner", "Acme Engineers"),
        ("colour", "red"),
        ("tenant_id", "contoso"),
    ],
)
def test_illegal_parameters_are_refused_before_anything_renders(name: str, value: object) -> None:
    template = read_builtin_template("ui")
    assert check_parameters(template, OWN) == ()
    [problem] = check_parameters(template, {**OWN, name: value})
    assert problem.path[0] == name


def test_people_are_asked_for_their_profile_by_default() -> None:
    assert complete_parameters(read_builtin_template("ui"), {})["scopes"] == ["profile"]


def test_rendering_twice_gives_the_same_bytes_in_order(case: Values) -> None:
    one, two = rendered(case), rendered(case)
    assert list(one.items()) == list(two.items())
    assert list(one) == sorted(one)
    assert {"sdk/identity.ts", "chart/templates/deployment.yaml"} <= one.keys()
    assert not any(file.executable for file in one.values())


def documents(files: Mapping[str, TemplateFile]) -> dict[str, list[object]]:
    """What each structured file of a render says."""
    found: dict[str, list[object]] = {}
    for path, file in files.items():
        if path.startswith(("chart/templates/", ".github/")):
            continue
        if path.endswith((".yaml", ".yml")):
            found[path] = list(yaml.load_all(file.content, yaml.CSafeLoader))
        elif path.endswith(".json"):
            found[path] = [json.loads(file.content)]
        elif path.endswith(".toml"):
            found[path] = [tomllib.loads(file.content.decode())]
    return found


def replaced(value: object, old: str, new: str) -> object:
    if isinstance(value, dict):
        return {replaced(k, old, new): replaced(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [replaced(item, old, new) for item in value]
    return new if value == old else value


def legal(text: str) -> bool:
    return not FORBIDDEN_IN_VALUE.search(text) and not check_parameters(
        read_builtin_template("ui"), {**OWN, "description": text}
    )


DESCRIPTIONS = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
    | st.text("\"'\\ {}$%#:-|>&*!@`[],\n<~?=a", min_size=1, max_size=40)
    | st.sampled_from(["null", "~", "- a", "a: b", "#", "---", "...", "${{ x }}", "{% raw %}"])
).filter(legal)
PLAIN = documents(rendered(values_of(description="MARKER")))


@settings(max_examples=40)
@given(DESCRIPTIONS)
def test_no_description_changes_the_structure(description: str) -> None:
    hostile = documents(rendered(values_of(description=description)))
    assert hostile == replaced(PLAIN, "MARKER", description)


def test_values_land_in_no_code() -> None:
    plain, other = rendered(values_of()), rendered(CASES["longest names"])
    changed = {path for path in plain if plain[path] != other[path]}
    assert changed == {
        "Makefile",
        "README.md",
        "catalog-info.yaml",
        "chart/Chart.yaml",
        "chart/values.yaml",
        "docs/index.md",
        "mkdocs.yml",
        "primitive.json",
    }


def test_what_was_asked_for_reaches_the_code(case: Values) -> None:
    [facts] = documents(rendered(case))["primitive.json"]
    assert isinstance(facts, dict)
    assert facts["pathPrefix"] == case["path_prefix"]
    assert facts["scopes"] == case["scopes"]
    assert facts["description"] == case["description"]


def test_the_catalogue_entry_names_its_owner_and_system(case: Values) -> None:
    [component] = documents(rendered(case))["catalog-info.yaml"]
    assert isinstance(component, dict)
    assert component["metadata"]["name"] == case["instance"]
    references = case["design_refs"]
    assert isinstance(references, list)
    depends = [f"resource:default/{r.replace('/', '.').replace('@', '.v')}" for r in references]
    assert component["spec"] == {
        "type": "ui",
        "lifecycle": "experimental",
        "owner": case["owner"],
        "system": case["tenant_id"],
        **({"dependsOn": depends} if depends else {}),
    }


def test_packages_are_pinned_by_hash_and_name_no_registry() -> None:
    files = documents(rendered(values_of()))
    [manifest], [lock] = files["package.json"], files["package-lock.json"]
    assert isinstance(manifest, dict) and isinstance(lock, dict)
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


def hydrated(folder: Path, release: str, *sets: str) -> list[dict[str, Any]]:
    options = [part for option in (f"image.ref={IMAGE}", *sets) for part in ("--set", option)]
    result = run(TOOLS / "bin" / "helm", "template", release, "chart", *options, cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "manifests.yaml").write_text(result.stdout)
    return [item for item in yaml.load_all(result.stdout, yaml.CSafeLoader) if item is not None]


def check_conforms(folder: Path) -> None:
    """Every object of the last `hydrated` fits its schema, and none is left out."""
    name = "{{.ResourceKind}}{{.KindSuffix}}.json"
    places = [
        f"{where}/{name}"
        for where in (TOOLS / "schemas" / "v1.34.0-standalone-strict", CRD_SCHEMAS)
    ]
    check = run(
        TOOLS / "bin" / "kubeconform",
        *("-strict", "-summary", "-kubernetes-version", "1.34.0"),
        *(part for place in places for part in ("-schema-location", place)),
        "manifests.yaml",
        cwd=folder,
    )
    assert check.returncode == 0, check.stdout
    assert "Skipped: 0" in check.stdout


def test_the_chart_is_valid_and_complete(case: Values, tmp_path: Path) -> None:
    write(case, tmp_path)
    lint = run(TOOLS / "bin" / "helm", "lint", "--strict", "chart", cwd=tmp_path)
    assert lint.returncode == 0, lint.stdout
    release = str(case["instance"])
    objects = hydrated(tmp_path, release)
    check_conforms(tmp_path)
    assert sorted(str(item["kind"]) for item in objects) == [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
    ]
    for item in objects:
        assert len(item["metadata"]["name"]) <= 63
        assert item["metadata"]["labels"]["ameide.io/tier"] == "frontend"


def test_pods_are_probed_below_the_prefix_and_get_their_key_from_a_secret(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    by_kind = {str(item["kind"]): item for item in hydrated(tmp_path, "order-desk")}
    [container] = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 3000, "protocol": "TCP"}]
    for probe, path in (("livenessProbe", "healthz"), ("readinessProbe", "readyz")):
        assert container[probe]["httpGet"] == {"path": f"/acme/order-desk/{path}", "port": "http"}
    assert {"secretRef": {"name": "order-desk-session"}} in container["envFrom"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    settings = by_kind["ConfigMap"]["data"]
    assert settings["PUBLIC_ORIGIN"] == "https://workspace.example.invalid"
    assert settings["ONLY_TENANT"] == "acme"
    assert not any("SECRET" in name or "KEYS" in name for name in settings)


def test_only_code_of_the_shared_plane_serves_all_tenants(tmp_path: Path) -> None:
    write(CASES["shared platform code"], tmp_path)
    [config] = [item for item in hydrated(tmp_path, "json") if item["kind"] == "ConfigMap"]
    assert config["data"]["ONLY_TENANT"] == ""


def test_an_operator_gets_one_object_that_says_it_all(case: Values, tmp_path: Path) -> None:
    write(case, tmp_path)
    [surface] = hydrated(tmp_path, str(case["instance"]), "runtime=operator")
    check_conforms(tmp_path)
    assert (surface["apiVersion"], surface["kind"]) == ("ameide.io/v1", "UISurface")
    spec = surface["spec"]
    assert spec["image"] == IMAGE
    assert spec["host"] == case["host"]
    assert spec["pathPrefix"] == case["path_prefix"]
    assert spec["auth"] == {"scopes": case["scopes"]}
    assert spec["features"] == {"flags": {}}


@pytest.mark.parametrize("name", ["lint", "code-scan", "secrets"])
def test_it_passes_the_platforms_checks(name: Any) -> None:
    files = tree(rendered(values_of(description=HOSTILE)))
    [result] = run_checks(files, commit="0" * 40, tree="0" * 40, names=[name]).results
    assert result.outcome is CheckOutcome.PASSED, result


@pytest.mark.parametrize("name", ["hostile description", "longest names"])
def test_its_tests_pass_in_the_sandbox(name: str) -> None:
    files = tree(rendered(CASES[name]))
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
    write(values_of(), tmp_path)
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
def test_its_tests_see_a_guard_that_was_taken_out(
    file: str, old: str, new: str, failing: str, tmp_path: Path
) -> None:
    path = write(values_of(), tmp_path) / file
    source = path.read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    result = node_tests(tmp_path, failing)
    assert result.returncode == 1, result.stdout
    assert re.search(r"^# fail [1-9]", result.stdout, re.MULTILINE)
