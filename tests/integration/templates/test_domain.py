"""The golden template `domain`: its API, its database, and its chart.

Its Makefile and tests run in `test_domain_running.py`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline.errors import Unrenderable
from pipeline.templates import read_builtin_template
from tests.support.golden_templates import DOMAIN
from tests.support.projects import ROOT, TOOLS, hydrated, render_project, run, write_project


def test_the_digest_is_what_git_gives_the_folder(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    folder = ROOT / "pipeline" / "templates" / "domain"
    shutil.copytree(folder, tmp_path / "domain", ignore=ignored)
    for name in ("chart", "sdk-python"):
        shared = ROOT / "pipeline" / "shared" / name
        shutil.copytree(shared, tmp_path / "domain" / "shared" / name, ignore=ignored)
    git = ["git", "-c", "core.autocrlf=false", "-C", str(tmp_path / "domain")]
    for arguments in (["init", "-q"], ["add", "-A", "-f"]):
        assert run(*git, *arguments, cwd=tmp_path).returncode == 0
    tree = run(*git, "write-tree", cwd=tmp_path).stdout.strip()
    assert tree == read_builtin_template("domain").digest


def test_the_first_check_of_a_tenant_downloads_few_packages() -> None:
    lock = render_project("domain", DOMAIN.values())["requirements-dev.lock"].content
    assert 0 < len(re.findall(rb"^[a-z]", lock, re.MULTILINE)) <= 40


def test_pods_migrate_as_the_owner_before_they_serve() -> None:
    by_kind = hydrated("domain", DOMAIN.values())
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    [migration], [container] = pod["initContainers"], pod["containers"]
    assert migration["command"] == ["python", "-m", "domain_order_router.migrate"]
    owner = {"secretRef": {"name": "order-router-owner"}}
    assert owner in migration["envFrom"]
    assert owner not in container["envFrom"]
    assert by_kind["ConfigMap"]["data"]["REFLECTION"] == "false"


def test_an_ephemeral_domain_has_no_database() -> None:
    by_kind = hydrated("domain", DOMAIN.values(database_plan="ephemeral"))
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    assert by_kind["Deployment"]["spec"]["replicas"] == 1
    assert "initContainers" not in pod
    assert "secretRef" not in str(pod)
    assert by_kind["ConfigMap"]["data"]["STORE"] == "memory"


@pytest.mark.parametrize(("plan", "pool"), [("small", "4"), ("medium", "8"), ("large", "16")])
def test_the_database_plan_names_cluster_and_pool(plan: str, pool: str) -> None:
    values = DOMAIN.values(database_plan=plan)
    spec = hydrated("domain", values, runtime="operator")["Domain"]["spec"]
    assert (spec["db"]["clusterRef"], spec["db"]["schema"]) == (
        f"postgres-{plan}",
        "domain_order_router",
    )
    assert spec["env"]["DATABASE_POOL_MAX"] == pool
    assert spec["proto"] == {"module": "ameide.domain", "version": "v1"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": {"ref": ""}}, "image.ref is not set"),
        ({"image": {"ref": "registry.example.com/x:latest"}}, "/image/ref"),
        ({"replicas": 0}, "/replicas"),
        ({"settings": {"lower": "a"}}, "lower"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_the_chart_refuses_unsafe_values(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(Unrenderable, match=re.escape(reason)):
        hydrated("domain", DOMAIN.values(), **changes)


def test_the_api_passes_buf_s_lint_and_format(tmp_path: Path) -> None:
    write_project("domain", DOMAIN.values(), tmp_path)
    for arguments in (["lint"], ["format", "--diff", "--exit-code"]):
        result = run(TOOLS / "bin" / "buf", *arguments, "proto", cwd=tmp_path)
        assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr


def test_buf_sees_an_api_that_breaks_its_rules(tmp_path: Path) -> None:
    write_project("domain", DOMAIN.values(), tmp_path)
    proto = tmp_path / "proto" / "ameide" / "domain" / "v1" / "entity_service.proto"
    proto.write_text(proto.read_text().replace("CreateEntityRequest", "MakeEntity"))
    result = run(TOOLS / "bin" / "buf", "lint", "proto", cwd=tmp_path)
    assert result.returncode != 0
    assert "RPC request type" in result.stdout
