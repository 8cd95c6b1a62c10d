"""The golden template `process`: its worker reads what its chart and its custom resource say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.golden_templates import PROCESS
from tests.support.projects import Values, hydrated, run_python, write_project

CASES = PROCESS.cases


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Values:
    return CASES[request.param]


def package_of(folder: Path) -> str:
    [package] = (folder / "src").glob("process_*")
    return package.name


def test_pods_listen_for_probes_alone() -> None:
    deployment = hydrated("process", PROCESS.values())["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [8081]


def test_the_worker_reads_the_chart_s_settings(case: Values, tmp_path: Path) -> None:
    write_project("process", case, tmp_path)
    config = hydrated("process", case)["ConfigMap"]
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
    done = run_python(tmp_path, "-c", script, package_of(tmp_path), environment)
    assert done.returncode == 0, done.stderr
    is_shared = case["code_origin"] == "platform"
    assert json.loads(done.stdout) == [
        f"{case['tenant_id']}.{case['task_queue']}",
        case["definition_ref"],
        case["max_concurrency_per_tenant"],
        "" if is_shared else case["tenant_id"],
        "tenant:{tenant}" if is_shared else "",
        55,
        [],
    ]


def test_the_operator_s_resource_says_what_the_worker_reads(case: Values) -> None:
    spec = hydrated("process", case, runtime="operator")["Process"]["spec"]
    assert spec["definitionRef"] == {
        "id": case["definition_ref"],
        "tenantId": case["tenant_id"],
    }
    queue = f"{case['tenant_id']}.{case['task_queue']}"
    assert spec["temporal"] == {"namespace": "ameide", "taskQueue": queue}
    assert spec["rollout"]["maxConcurrencyPerTenant"] == case["max_concurrency_per_tenant"]
    assert spec["env"]["TASK_QUEUE"] == queue


def test_without_settings_the_worker_names_every_missing_one(tmp_path: Path) -> None:
    project = write_project("process", PROCESS.values(), tmp_path)
    done = run_python(project, "-m", package_of(project))
    assert done.returncode == 2
    for name in ("TOKEN_ISSUER", "TEMPORAL_ADDRESS", "PLATFORM_API_URL", "CLIENT_SECRET"):
        assert f"order-router: {name} is not set" in done.stderr
