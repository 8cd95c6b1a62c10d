"""The golden template `process`: rendered for odd but legal inputs, then linted, typed and run."""

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
OWN = ("owner", "description", "task_queue", "definition_ref", "max_concurrency_per_tenant")


def values_of(**changes: object) -> dict[str, object]:
    """What a draft of the template renders with; `changes` replace single values."""
    return draft_values(
        "process",
        **{
            "owner": "acme-engineers",
            "description": "Takes an order from basket to cash",
            "task_queue": "orders",
            "definition_ref": "process-definition/order-to-cash@3",
            "max_concurrency_per_tenant": 5,
            **changes,
        },
    )


CASES: dict[str, Values] = {
    "plain": values_of(),
    "hostile description": values_of(description=HOSTILE),
    "longest names": values_of(
        tenant_id="t" * 40,
        primitive_id="p" * 40,
        instance="t" * 11 + "--" + "p" * 40,
        description="d" * 500,
        task_queue="q" * 100,
        definition_ref=f"process-definition/{'d' * 90}@{'9' * 9}",
        max_concurrency_per_tenant=100,
        design_refs=[f"process-definition/{'r' * 90}@{number}" for number in range(20)],
    ),
    "words of YAML and Python": values_of(
        primitive_id="class",
        instance="class",
        owner="1e3",
        task_queue="null",
        definition_ref="process-definition/true@1",
        design_refs=[],
        max_concurrency_per_tenant=1,
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
    return render_project("process", values_of(description=HOSTILE), tmp_path)


def package_of(folder: Path) -> Path:
    [package] = (folder / "src").glob("process_*")
    return package


def test_the_template_passes_the_full_check() -> None:
    folder = ROOT / "pipeline" / "templates" / "process"
    shared = SharedFolders(ROOT / "pipeline" / "shared")
    checked = parse_template("process", read_folder(folder), shared=shared)
    assert checked.digest == read_builtin_template("process").digest
    assert (
        f"template: process@{checked.version}".encode() in (folder / "template.yaml").read_bytes()
    )


def test_the_cases_are_legal_by_the_schema(case: Values) -> None:
    template = read_builtin_template("process")
    assert check_parameters(template, {key: case[key] for key in OWN}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("description", "two\nlines"),
        ("owner", "Acme Engineers"),
        ("task_queue", ""),
        ("task_queue", "Orders"),
        ("task_queue", "orders/../others"),
        ("task_queue", "orders\n"),
        ("task_queue", "q" * 101),
        ("definition_ref", "order-to-cash@3"),
        ("definition_ref", "process-definition/order-to-cash"),
        ("definition_ref", "process-definition/../admin@3"),
        ("definition_ref", "agent-definition/order-to-cash@3"),
        ("max_concurrency_per_tenant", 0),
        ("max_concurrency_per_tenant", 101),
        ("max_concurrency_per_tenant", "5"),
        ("max_concurrency_per_tenant", True),
        ("tenant_id", "contoso"),
    ],
)
def test_illegal_parameters_are_refused_before_anything_renders(name: str, value: object) -> None:
    template = read_builtin_template("process")
    good = {key: CASES["plain"][key] for key in OWN}
    assert check_parameters(template, good) == ()
    [problem] = check_parameters(template, {**good, name: value})
    assert problem.path[0] == name


def test_the_concurrency_has_a_default_and_the_queue_has_none() -> None:
    template = read_builtin_template("process")
    complete = complete_parameters(template, {})
    assert complete["max_concurrency_per_tenant"] == 10
    assert "task_queue" not in complete


def documents(files: Mapping[str, TemplateFile]) -> dict[str, list[object]]:
    """What each structured file of a render says; shared files are not the template's own."""
    found: dict[str, list[object]] = {}
    for path, file in files.items():
        if path.endswith((".yaml", ".yml")) and not path.startswith("chart/templates/"):
            found[path] = list(yaml.load_all(file.content, yaml.CSafeLoader))
        elif path.endswith(".toml"):
            found[path] = [tomllib.loads(file.content.decode())]
    return found


def test_the_description_lands_in_no_code() -> None:
    plain, hostile = (
        render_files("process", CASES[name]) for name in ("plain", "hostile description")
    )
    assert {path for path in plain if plain[path] != hostile[path]} == {
        "README.md",
        "catalog-info.yaml",
        "chart/Chart.yaml",
        "docs/index.md",
        "mkdocs.yml",
        "pyproject.toml",
    }


def test_a_hostile_description_arrives_as_it_was_written() -> None:
    found = documents(render_files("process", CASES["hostile description"]))
    assert found["catalog-info.yaml"][0]["metadata"]["description"] == HOSTILE
    assert found["pyproject.toml"][0]["project"]["description"] == HOSTILE
    assert found["chart/Chart.yaml"][0]["description"] == HOSTILE


def test_nothing_is_left_unrendered() -> None:
    for path, file in render_files("process", values_of()).items():
        if path != ".github/workflows/ci.yaml":
            assert b"${{" not in file.content, path


def test_the_catalogue_entry_has_legal_names_and_names_its_designs(case: Values) -> None:
    [component] = documents(render_files("process", case))["catalog-info.yaml"]
    assert isinstance(component, dict)
    name = component["metadata"]["name"]
    assert re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name)
    assert len(name) <= 63
    spec = component["spec"]
    assert (spec["type"], spec["owner"], spec["system"]) == (
        "process",
        case["owner"],
        case["tenant_id"],
    )
    references = case["design_refs"]
    assert isinstance(references, list)
    assert len(spec.get("dependsOn", [])) == len(references)
    for reference in spec.get("dependsOn", []):
        assert re.fullmatch(r"resource:default/[a-z0-9][-a-z0-9.]*[a-z0-9]", reference)


def test_the_workflow_of_the_project_grants_nothing_and_uses_no_action() -> None:
    [workflow] = documents(render_files("process", values_of()))[".github/workflows/ci.yaml"]
    assert isinstance(workflow, dict)
    assert workflow["permissions"] == {}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert steps
    assert not any("uses" in step for step in steps)
    assert any(step["run"] == "make setup lint types test" for step in steps)


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
    render_project("process", case, tmp_path)
    for arguments in (["check"], ["format", "--check"]):
        done = run_in_venv(tmp_path, "-m", "ruff", *arguments, "--no-cache", ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["plain", "words of YAML and Python"])
def test_its_types_are_sound(name: str, tmp_path: Path) -> None:
    render_project("process", CASES[name], tmp_path)
    done = run_in_venv(tmp_path, "-m", "mypy", "--cache-dir", TOOLS / "template-mypy-cache")
    assert done.returncode == 0, done.stdout
    assert re.search(r"no issues found in [23]\d source files", done.stdout), done.stdout


@pytest.mark.parametrize("name", ["longest names", "words of YAML and Python"])
def test_its_tests_pass_under_odd_names(name: str, tmp_path: Path) -> None:
    render_project("process", CASES[name], tmp_path)
    done = run_in_venv(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[0-9]{2,} passed, 5 skipped", done.stdout, re.MULTILINE), done.stdout


def test_the_platforms_checks_pass_in_their_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kept, as a platform engineer's cache is: fetching the packages takes longer than all else.
    monkeypatch.setenv("PIPELINE_CACHE", str(TOOLS / "checks-cache"))
    rendered = render_files("process", values_of(description=HOSTILE))
    files = {path: (0o100644, file.content) for path, file in rendered.items()}
    report = run_checks(files, commit="a" * 40, tree="b" * 40, names=tuple(CHECKS))
    outcomes = {result.name: (result.outcome, result.details) for result in report.results}
    assert outcomes == dict.fromkeys(CHECKS, (CheckOutcome.PASSED, ()))


@pytest.mark.parametrize(
    ("file", "old", "new", "failing"),
    [
        (
            "workflow.py",
            "await self._wait_for_approval(step)",
            "await workflow.sleep(1)",
            "tests/test_replay.py",
        ),
        (
            "workflow.py",
            "if definition.tenant_id != given.tenant_id:",
            "if not definition.tenant_id:",
            "tests/test_replay.py",
        ),
        (
            "interceptors.py",
            "if identity.tenant_id != tenant_id:",
            "if not identity.tenant_id:",
            "tests/test_tenant.py",
        ),
        (
            "tokens.py",
            "claimed_tenant=tenant_id)",
            'claimed_tenant=token.removeprefix("token-of-"))',
            "tests/test_tenant.py",
        ),
        ("limiter.py", "asyncio.Semaphore(self._limit)", "asyncio.Semaphore(99)", "tests/test_li"),
        ("payloads.py", "> MAX_PAYLOAD_BYTES:", "< 0:", "tests/test_payloads.py"),
    ],
    ids=["order", "definition", "identity", "token", "limit", "size"],
)
def test_its_tests_see_a_guard_that_was_taken_out(
    file: str, old: str, new: str, failing: str, project: Path
) -> None:
    path = package_of(project) / file
    source = path.read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    done = run_in_venv(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 1, done.stdout
    assert f"FAILED {failing}" in done.stdout


def test_its_wheel_builds_and_holds_the_package_and_the_sdk(project: Path) -> None:
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist"]
    done = run_in_venv(project, "-m", "pip", "wheel", *options, ".")
    assert done.returncode == 0, done.stderr
    [wheel] = (project / "dist").glob("order_router-0.1.0-*.whl")
    names = run_in_venv(project, "-m", "zipfile", "-l", wheel).stdout
    assert "process_order_router/workflow.py" in names
    assert "primitive_sdk/identity.py" in names
    assert "primitive_sdk/py.typed" in names


def test_the_chart_is_valid_restricted_and_takes_nothing_in(case: Values, tmp_path: Path) -> None:
    render_project("process", case, tmp_path)
    lint = run(TOOLS / "bin" / "helm", "lint", "--strict", "chart", cwd=tmp_path)
    assert lint.returncode == 0, lint.stdout
    objects = hydrated(tmp_path, str(case["instance"]))
    assert "Invalid: 0" in check_manifests(tmp_path)
    by_kind = {str(item["kind"]): item for item in objects}
    assert sorted(by_kind) == [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
    ]
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert [port["containerPort"] for port in container["ports"]] == [8081]


def test_the_settings_of_the_chart_are_those_of_the_worker(case: Values, tmp_path: Path) -> None:
    render_project("process", case, tmp_path)
    objects = hydrated(tmp_path, str(case["instance"]))
    [config] = [item for item in objects if item["kind"] == "ConfigMap"]
    script = (
        "import sys, json, importlib; "
        "settings = importlib.import_module(sys.argv[1] + '.settings'); "
        "from primitive_sdk.settings import read_settings; "
        "s = read_settings(settings.WorkerSettings, json.loads(sys.argv[2])); "
        "print(json.dumps([s.task_queue, s.definition_ref, s.max_concurrency_per_tenant, "
        "s.only_tenant, s.token_scope, s.stop_timeout_s, list(s.problems())]))"
    )
    site = "https://issuer.example.invalid"
    overlay = dict.fromkeys(
        ("TOKEN_ISSUER", "TOKEN_JWKS_URL", "TOKEN_URL", "PLATFORM_API_URL"), site
    )
    secret = {"CLIENT_ID": "worker", "CLIENT_SECRET": "not-a-real-one"}
    environment = json.dumps({**config["data"], **overlay, **secret})
    done = run_in_venv(tmp_path, "-c", script, package_of(tmp_path).name, environment)
    assert done.returncode == 0, done.stderr
    shared = case["code_origin"] == "platform"
    assert json.loads(done.stdout) == [
        f"{case['tenant_id']}.{case['task_queue']}",
        case["definition_ref"],
        case["max_concurrency_per_tenant"],
        "" if shared else case["tenant_id"],
        "tenant:{tenant}" if shared else "",
        55,
        [],
    ]


def test_an_operator_is_told_what_the_worker_would_read(case: Values, tmp_path: Path) -> None:
    render_project("process", case, tmp_path)
    [resource] = hydrated(tmp_path, str(case["instance"]), "runtime=operator")
    assert "Valid: 1" in check_manifests(tmp_path)
    assert (resource["apiVersion"], resource["kind"]) == ("ameide.io/v1", "Process")
    spec = resource["spec"]
    assert spec["image"] == IMAGE
    assert spec["definitionRef"] == {
        "id": case["definition_ref"],
        "tenantId": case["tenant_id"],
    }
    queue = f"{case['tenant_id']}.{case['task_queue']}"
    assert spec["temporal"] == {"namespace": "ameide", "taskQueue": queue}
    assert spec["rollout"]["maxConcurrencyPerTenant"] == case["max_concurrency_per_tenant"]
    assert spec["env"]["TASK_QUEUE"] == queue


DRAFT_PATH = "tenants/contoso/drafts/purchase-approval/draft.yaml"
REQUEST = """apiVersion: pipeline.ameide.io/v1
kind: PrimitiveImplementationDraft
id: contoso/purchase-approval
tenant_id: contoso
primitive_type: process
primitive_id: purchase-approval
template_id: process@1.0.0
code_origin: tenant
target_repo: tenant-contoso-controllers
design_refs: [process-definition/source-to-pay@4]
parameters:
  description: Has each purchase approved before it is ordered
  owner: contoso-engineers
  task_queue: purchase-approval
  definition_ref: process-definition/source-to-pay@4
  max_concurrency_per_tenant: 10
"""


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("", "", []),
        ("primitive_type: process", "primitive_type: domain", ["template-type"]),
        ("process@1.0.0", "process@9.0.0", ["template-unknown"]),
        ("  task_queue: purchase-approval\n", "", ["draft-parameters"]),
        ("tenant: 10", "tenant: 1000", ["draft-parameters"]),
    ],
)
def test_drafts_of_it_are_judged(old: str, new: str, rules: list[str]) -> None:
    found = findings_of(DRAFT_PATH, REQUEST.replace(old, new).encode())
    assert [finding.rule.id for finding in found] == rules


def test_without_settings_the_worker_names_all_that_it_misses(project: Path) -> None:
    done = run_in_venv(project, "-m", package_of(project).name)
    assert done.returncode == 2
    for name in ("TOKEN_ISSUER", "TEMPORAL_ADDRESS", "PLATFORM_API_URL", "CLIENT_SECRET"):
        assert f"order-router: {name} is not set" in done.stderr
