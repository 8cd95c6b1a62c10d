"""The golden template `agent`: rendered for odd but legal inputs, then linted, typed and run."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pipeline.checks import CHECKS, run_checks
from pipeline.models.evidence import CheckOutcome
from pipeline.templates import SharedFolders, read_builtin_template, read_folder
from pipeline.templating import (
    TemplateFile,
    check_parameters,
    complete_parameters,
    parse_template,
)
from tests.support.rendered_project import (
    HOSTILE,
    IMAGE,
    TOOLS,
    Values,
    check_manifests,
    draft_values,
    hydrated,
    render_files,
    render_project,
    run,
    run_in_venv,
)
from tests.support.samples import findings_of

ROOT = Path(__file__).resolve().parents[3]
OWN = ("owner", "description", "allowed_tools", "risk_tier", "default_model", "definition_ref")


def values_of(**changes: object) -> dict[str, object]:
    """What a draft of the template renders with; `changes` replace single values."""
    return draft_values(
        "agent",
        **{
            "owner": "acme-engineers",
            "description": "Helps with orders",
            "allowed_tools": ["current_time", "find_order", "cancel-order"],
            "risk_tier": "MEDIUM",
            "default_model": "anthropic:claude-sonnet-4",
            "definition_ref": "agent-definition/order-helper@3",
            **changes,
        },
    )


CASES: dict[str, Values] = {
    "plain": values_of(),
    "hostile description": values_of(description=HOSTILE),
    "no tools": values_of(allowed_tools=[], risk_tier="LOW", design_refs=[]),
    "longest names": values_of(
        tenant_id="t" * 40,
        primitive_id="p" * 40,
        instance="t" * 11 + "--" + "p" * 40,
        description="d" * 500,
        allowed_tools=[f"{'t' * 61}_{number:02}" for number in range(50)],
        risk_tier="HIGH",
        default_model=f"anthropic:{'m' * 90}",
        definition_ref=f"agent-definition/{'d' * 90}@{'9' * 9}",
        design_refs=[f"process-definition/{'r' * 90}@{number}" for number in range(20)],
    ),
    "words of YAML and Python": values_of(
        primitive_id="class",
        instance="class",
        owner="1e3",
        allowed_tools=["null", "true", "import", "y"],
        # Of a length that a formatter would wrap, were it let.
        definition_ref=f"agent-definition/{'true' * 15}@1",
        design_refs=[],
    ),
    "shared platform code": values_of(
        tenant_id="platform", code_origin="platform", instance="json", primitive_id="json"
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Values:
    return CASES[request.param]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return render_project("agent", values_of(description=HOSTILE), tmp_path)


def package_of(folder: Path) -> Path:
    [package] = (folder / "src").glob("agent_*")
    return package


def test_the_template_passes_the_full_check() -> None:
    folder = ROOT / "pipeline" / "templates" / "agent"
    shared = SharedFolders(ROOT / "pipeline" / "shared")
    checked = parse_template("agent", read_folder(folder), shared=shared)
    assert checked.digest == read_builtin_template("agent").digest
    assert f"template: agent@{checked.version}".encode() in (folder / "template.yaml").read_bytes()


def test_the_cases_are_legal_by_the_schema(case: Values) -> None:
    template = read_builtin_template("agent")
    assert check_parameters(template, {key: case[key] for key in OWN}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("description", "two\nlines"),
        ("owner", "Acme Engineers"),
        ("allowed_tools", "find_order"),
        ("allowed_tools", ["find order"]),
        ("allowed_tools", ["find_order", "find_order"]),
        ("allowed_tools", ["find_order\n"]),
        ("allowed_tools", ["../admin"]),
        ("allowed_tools", ["t" * 65]),
        ("allowed_tools", [f"t{number}" for number in range(51)]),
        ("risk_tier", "NONE"),
        ("risk_tier", "high"),
        ("default_model", "claude-sonnet-4"),
        ("default_model", "unknown:model"),
        ("default_model", 'anthropic:"'),
        ("definition_ref", "order-helper@3"),
        ("definition_ref", "agent-definition/order-helper"),
        ("definition_ref", "process-definition/order-helper@3"),
        ("definition_ref", "agent-definition/../admin@3"),
        ("tenant_id", "contoso"),
    ],
)
def test_illegal_parameters_are_refused_before_anything_renders(name: str, value: object) -> None:
    template = read_builtin_template("agent")
    good = {key: CASES["plain"][key] for key in OWN}
    assert check_parameters(template, good) == ()
    [problem] = check_parameters(template, {**good, name: value})
    assert problem.path[0] == name


def test_by_default_there_are_no_tools_and_people_confirm() -> None:
    complete = complete_parameters(read_builtin_template("agent"), {})
    assert (complete["allowed_tools"], complete["risk_tier"]) == ([], "MEDIUM")


def documents(files: Mapping[str, TemplateFile]) -> dict[str, list[object]]:
    """What each structured file of a render says; shared files are not the template's own."""
    found: dict[str, list[object]] = {}
    for path, file in files.items():
        if path.endswith((".yaml", ".yml")) and not path.startswith("chart/templates/"):
            found[path] = list(yaml.load_all(file.content, yaml.CSafeLoader))
        elif path.endswith(".toml"):
            found[path] = [tomllib.loads(file.content.decode())]
        elif path.endswith("definition.json"):
            found["definition.json"] = [json.loads(file.content)]
    return found


def test_the_description_lands_in_no_code() -> None:
    plain, hostile = (
        render_files("agent", CASES[name]) for name in ("plain", "hostile description")
    )
    assert {path for path in plain if plain[path] != hostile[path]} == {
        "README.md",
        "api/openapi.yaml",
        "catalog-info.yaml",
        "chart/Chart.yaml",
        "docs/index.md",
        "mkdocs.yml",
        "pyproject.toml",
    }


def test_a_hostile_description_arrives_as_it_was_written() -> None:
    found = documents(render_files("agent", CASES["hostile description"]))
    assert found["catalog-info.yaml"][0]["metadata"]["description"] == HOSTILE
    assert found["pyproject.toml"][0]["project"]["description"] == HOSTILE
    assert found["chart/Chart.yaml"][0]["description"] == HOSTILE
    assert found["api/openapi.yaml"][0]["info"]["description"] == HOSTILE


def test_nothing_is_left_unrendered() -> None:
    for path, file in render_files("agent", values_of()).items():
        if path != ".github/workflows/ci.yaml":
            assert b"${{" not in file.content, path


def test_the_definition_names_the_tools_and_trusts_none_of_a_server(case: Values) -> None:
    [definition] = documents(render_files("agent", case))["definition.json"]
    assert isinstance(definition, dict)
    assert definition["ref"] == case["definition_ref"]
    assert definition["riskTier"] == case["risk_tier"]
    assert [tool["name"] for tool in definition["tools"]] == case["allowed_tools"]
    for tool in definition["tools"]:
        assert tool["sideEffects"] is (tool["server"] is not None)
    assert definition["logPrompts"] is False


def test_the_custom_resource_says_the_same(case: Values) -> None:
    [values] = documents(render_files("agent", case))["chart/values.yaml"]
    assert isinstance(values, dict)
    assert values["resource"]["kind"] == "Agent"
    spec = values["resource"]["spec"]
    model = spec["model"]
    assert f"{model['provider']}:{model['name']}" == case["default_model"]
    assert spec["definitionRef"] == {"id": case["definition_ref"], "tenantId": case["tenant_id"]}
    assert spec["tools"] == {"allowed": case["allowed_tools"]}
    assert spec["riskTier"] == case["risk_tier"]
    assert spec["observability"] == {"logPrompts": False, "emitTokens": True}
    sessions = values["settings"]["MAX_PARALLEL_SESSIONS"]
    assert str(spec["concurrency"]["maxParallelSessions"]) == sessions


def test_the_catalogue_entry_has_legal_names_and_names_its_designs(case: Values) -> None:
    component, api = documents(render_files("agent", case))["catalog-info.yaml"]
    assert isinstance(component, dict)
    assert isinstance(api, dict)
    for entity in (component, api):
        name = entity["metadata"]["name"]
        assert re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name)
        assert len(name) <= 63
        assert entity["spec"]["owner"] == case["owner"]
        assert entity["spec"]["system"] == case["tenant_id"]
    assert component["spec"]["type"] == "agent"
    assert component["spec"]["providesApis"] == [api["metadata"]["name"]]
    references = case["design_refs"]
    assert isinstance(references, list)
    assert len(component["spec"].get("dependsOn", [])) == len(references)
    for reference in component["spec"].get("dependsOn", []):
        assert re.fullmatch(r"resource:default/[a-z0-9][-a-z0-9.]*[a-z0-9]", reference)


def test_the_workflow_of_the_project_grants_nothing_and_uses_no_action() -> None:
    [workflow] = documents(render_files("agent", values_of()))[".github/workflows/ci.yaml"]
    assert isinstance(workflow, dict)
    assert workflow["permissions"] == {}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert not any("uses" in step for step in steps)
    assert any(step["run"] == "make setup lint types test" for step in steps)


def test_the_api_definition_resolves() -> None:
    [definition] = documents(render_files("agent", values_of()))["api/openapi.yaml"]
    assert isinstance(definition, dict)
    references = set(re.findall(r"'\$ref': '#/([a-zA-Z/]+)'", str(definition)))
    assert len(references) >= 5
    for reference in references:
        node = definition
        for part in reference.split("/"):
            node = node[part]


def test_the_lock_files_are_hashed_agree_and_name_no_index(project: Path) -> None:
    names = {}
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (project / name).read_text()
        assert "://" not in text
        entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
        assert entries
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
        names[name] = {entry.split()[0] for entry in entries}
    assert names["requirements.lock"] < names["requirements-dev.lock"]


def test_it_is_linted_and_formatted_by_its_own_rules(case: Values, tmp_path: Path) -> None:
    render_project("agent", case, tmp_path)
    for arguments in (["check"], ["format", "--check"]):
        done = run_in_venv(tmp_path, "-m", "ruff", *arguments, "--no-cache", ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["plain", "no tools"])
def test_its_types_are_sound(name: str, tmp_path: Path) -> None:
    render_project("agent", CASES[name], tmp_path)
    done = run_in_venv(tmp_path, "-m", "mypy", "--cache-dir", TOOLS / "template-mypy-cache")
    assert done.returncode == 0, done.stdout
    assert re.search(r"no issues found in 1\d source files", done.stdout), done.stdout


@pytest.mark.parametrize("name", ["words of YAML and Python"])
def test_its_tests_pass_under_odd_names(name: str, tmp_path: Path) -> None:
    render_project("agent", CASES[name], tmp_path)
    done = run_in_venv(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^1[0-9]{2} passed", done.stdout, re.MULTILINE), done.stdout


def test_the_platforms_checks_pass_in_their_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kept, as a platform engineer's cache is: fetching the packages takes longer than all else.
    monkeypatch.setenv("PIPELINE_CACHE", str(TOOLS / "checks-cache"))
    rendered = render_files("agent", values_of(description=HOSTILE))
    files = {path: (0o100644, file.content) for path, file in rendered.items()}
    report = run_checks(files, commit="a" * 40, tree="b" * 40, names=tuple(CHECKS))
    outcomes = {result.name: (result.outcome, result.details) for result in report.results}
    assert outcomes == dict.fromkeys(CHECKS, (CheckOutcome.PASSED, ()))


@pytest.mark.parametrize(
    ("file", "old", "new", "failing"),
    [
        (
            "definition.py",
            "for g in definition.tools if g.name in limits.allowed_tools}",
            "for g in definition.tools}",
            "tests/test_tools.py",
        ),
        ("tool_registry.py", "        if faults:\n", "        if False:\n", "tests/test_tools.py"),
        (
            "runtime.py",
            "if not confirmed_by and needs_confirmation",
            "if False and needs_confirmation",
            "tests/test_confirmations.py",
        ),
        (
            "runtime.py",
            'confirmed_by = ""  # it was for that one call',
            "pass",
            "tests/test_confirmations.py",
        ),
        (
            "confirmations.py",
            "if not hmac.compare_digest(",
            "if False and not hmac.compare_digest(",
            "tests/test_confirmations.py",
        ),
        (
            "budget.py",
            "if self.steps >= self.budgets.steps:",
            "if self.steps >= 7:",
            "tests/test_budgets.py",
        ),
        (
            "sessions.py",
            "session is None or session.tenant_id != identity.tenant_id",
            "session is None",
            "tests/test_api.py",
        ),
        (
            "runtime.py",
            "shown = arguments if self.definition.log_prompts else None",
            "shown = arguments",
            "tests/test_privacy.py",
        ),
    ],
    ids=["list", "schema", "confirm", "once", "hash", "steps", "tenant", "arguments"],
)
def test_its_tests_see_a_guard_that_was_taken_out(
    file: str, old: str, new: str, failing: str, project: Path
) -> None:
    path = package_of(project) / file
    source = path.read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    done = run_in_venv(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", failing)
    assert done.returncode == 1, done.stdout
    assert f"FAILED {failing}" in done.stdout


def test_its_wheel_builds_and_holds_the_package_and_the_sdk(project: Path) -> None:
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist"]
    done = run_in_venv(project, "-m", "pip", "wheel", *options, ".")
    assert done.returncode == 0, done.stderr
    [wheel] = (project / "dist").glob("order_router-0.1.0-*.whl")
    names = run_in_venv(project, "-m", "zipfile", "-l", wheel).stdout
    for name in ("runtime.py", "definition.json"):
        assert f"agent_order_router/{name}" in names
    assert "primitive_sdk/identity.py" in names
    assert "primitive_sdk/py.typed" in names


def test_the_chart_is_valid_and_restricted(case: Values, tmp_path: Path) -> None:
    render_project("agent", case, tmp_path)
    lint = run(TOOLS / "bin" / "helm", "lint", "--strict", "chart", cwd=tmp_path)
    assert lint.returncode == 0, lint.stdout
    release = str(case["instance"])
    objects = hydrated(tmp_path, release)
    assert "Invalid: 0" in check_manifests(tmp_path)
    by_kind = {str(item["kind"]): item for item in objects}
    assert sorted(by_kind) == [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
    ]
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    secrets = [entry["secretRef"] for entry in container["envFrom"] if "secretRef" in entry]
    assert [secret["name"] for secret in secrets] == [f"{release}-model"]
    shared = case["code_origin"] == "platform"
    only = by_kind["ConfigMap"]["data"]["ONLY_TENANT"]
    assert only == ("" if shared else case["tenant_id"])


def test_where_an_operator_runs_it_one_resource_stands_for_all(project: Path) -> None:
    [resource] = hydrated(project, "order-router", "runtime=operator")
    assert "Valid: 1" in check_manifests(project)
    assert (resource["apiVersion"], resource["kind"]) == ("ameide.io/v1", "Agent")
    assert resource["spec"]["image"] == IMAGE
    assert resource["spec"]["model"] == {"provider": "anthropic", "name": "claude-sonnet-4"}
    assert resource["spec"]["env"]["TOKEN_AUDIENCE"] == "order-router"
    assert "MODEL_API_KEY" not in resource["spec"]["env"]


DRAFT_PATH = "tenants/contoso/drafts/order-helper/draft.yaml"
REQUEST = """apiVersion: pipeline.ameide.io/v1
kind: PrimitiveImplementationDraft
id: contoso/order-helper
tenant_id: contoso
primitive_type: agent
primitive_id: order-helper
template_id: agent@1.0.0
code_origin: tenant
target_repo: tenant-contoso-controllers
design_refs: [agent-definition/order-helper@3]
parameters:
  description: Helps with orders
  owner: contoso-engineers
  allowed_tools: [current_time, find_order]
  risk_tier: HIGH
  default_model: anthropic:claude-sonnet-4
  definition_ref: agent-definition/order-helper@3
"""


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("", "", []),
        ("primitive_type: agent", "primitive_type: domain", ["template-type"]),
        ("agent@1.0.0", "agent@9.0.0", ["template-unknown"]),
        ("  default_model: anthropic:claude-sonnet-4\n", "", ["draft-parameters"]),
        ("find_order]", "Find Order]", ["draft-parameters"]),
        ("risk_tier: HIGH", "risk_tier: NONE", ["draft-parameters"]),
    ],
)
def test_drafts_of_it_are_judged(old: str, new: str, rules: list[str]) -> None:
    found = findings_of(DRAFT_PATH, REQUEST.replace(old, new).encode())
    assert [finding.rule.id for finding in found] == rules


def test_it_holds_no_secrets(project: Path) -> None:
    done = run(TOOLS / "bin" / "gitleaks", "dir", "--no-banner", ".", cwd=project)
    assert done.returncode == 0, done.stderr
