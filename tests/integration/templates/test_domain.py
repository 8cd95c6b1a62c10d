"""The golden template `domain`: rendered for odd but legal inputs, then linted, deployed and run.

The rendered project's own tools and tests run from virtual environments of its lock files, which
are made once, with hashes, in `.tools/`; the tests also run in the sandbox of the checks.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.characters import FORBIDDEN_IN_VALUE
from pipeline.errors import Unrenderable
from pipeline.releases.rules import Target, check_objects
from pipeline.templates import SharedFolders, list_builtin_templates, read_builtin_template
from pipeline.templating import (
    TemplateFile,
    check_parameters,
    complete_parameters,
    parse_template,
)
from pipeline.tools.helm import run_helm_lint, run_helm_template
from pipeline.tools.kubeconform import run_kubeconform
from tests.support.bindings import bound_of, in_overlay
from tests.support.domain_template import (
    CASES,
    FOLDER,
    HOSTILE,
    IMAGE,
    ROOT,
    TOOLS,
    Values,
    rendered,
    run,
    values_of,
    write,
)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Values:
    return CASES[request.param]


@pytest.mark.parametrize("name", list_builtin_templates())
def test_every_built_in_template_passes_the_full_check(name: str) -> None:
    folder = ROOT / "pipeline" / "templates" / name
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shared = SharedFolders(ROOT / "pipeline" / "shared")
    checked = parse_template(name, files, shared=shared)
    assert checked.digest == read_builtin_template(name).digest
    assert f"template: {name}@{checked.version}".encode() in files["template.yaml"]


def test_the_digest_is_what_git_gives_the_folder(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FOLDER, tmp_path / "domain", ignore=ignored)
    for name in ("chart", "sdk-python"):
        shared = ROOT / "pipeline" / "shared" / name
        shutil.copytree(shared, tmp_path / "domain" / "shared" / name, ignore=ignored)
    git = ["git", "-c", "core.autocrlf=false", "-C", str(tmp_path / "domain")]
    for arguments in (["init", "-q"], ["add", "-A", "-f"]):
        assert run(*git, *arguments, cwd=tmp_path).returncode == 0
    tree = run(*git, "write-tree", cwd=tmp_path).stdout.strip()
    assert tree == read_builtin_template("domain").digest


def test_the_cases_are_legal_by_the_schema(case: Values) -> None:
    own = ("owner", "description", "entities", "database_plan")
    assert check_parameters(read_builtin_template("domain"), {key: case[key] for key in own}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("description", ""),
        ("description", " padded"),
        ("description", "two\nlines"),
        ("description", "hidden\u200btext"),
        ("description", "turned\u202eround"),
        ("description", "next\x85line"),
        ("description", "del\x7f"),
        ("description", "d" * 501),
        ("owner", "Acme Engineers"),
        ("entities", []),
        ("entities", ["order", "order"]),
        ("entities", ["Order"]),
        ("entities", ["a--b"]),
        ("entities", ["a/../b"]),
        ("entities", [f"e{number}" for number in range(21)]),
        ("database_plan", "infinite"),
        ("colour", "red"),
        ("tenant_id", "contoso"),
    ],
)
def test_illegal_parameters_are_refused_before_anything_renders(name: str, value: object) -> None:
    template = read_builtin_template("domain")
    good = {"owner": "a", "description": "b", "entities": ["c"]}
    assert check_parameters(template, good) == ()
    [problem] = check_parameters(template, {**good, name: value})
    assert problem.path[0] == name


def test_the_plan_has_a_default() -> None:
    assert complete_parameters(read_builtin_template("domain"), {})["database_plan"] == "small"


def test_rendering_twice_gives_the_same_bytes_in_order(case: Values) -> None:
    one, two = rendered(case), rendered(case)
    assert list(one.items()) == list(two.items())
    assert list(one) == sorted(one)
    assert 50 <= len(one) <= 100
    assert not any(file.executable for file in one.values())


def test_it_is_lint_clean_and_formatted(case: Values, tmp_path: Path) -> None:
    write(case, tmp_path)
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["check"], ["format", "--check"]):
        result = run(ruff, *arguments, "--no-cache", ".", cwd=tmp_path)
        assert result.returncode == 0, result.stdout


def documents(files: Mapping[str, TemplateFile]) -> dict[str, list[object]]:
    """What each structured file of a render says."""
    found: dict[str, list[object]] = {}
    for path, file in files.items():
        if path.endswith((".yaml", ".yml")) and not path.startswith("chart/templates/"):
            found[path] = list(yaml.load_all(file.content, yaml.CSafeLoader))
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
        read_builtin_template("domain"), {"owner": "a", "description": text, "entities": ["c"]}
    )


DESCRIPTIONS = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
    | st.text("\"'\\ {}$%#:-|>&*!@`[],\n<~?=a", min_size=1, max_size=40)
    | st.sampled_from(["null", "~", "- a", "a: b", "#", "---", "...", "${{ x }}", "{% raw %}"])
).filter(legal)


@settings(max_examples=60)
@given(DESCRIPTIONS)
def test_no_description_changes_the_structure(description: str) -> None:
    plain, marker = documents(rendered(values_of(description="MARKER"))), "MARKER"
    hostile = documents(rendered(values_of(description=description)))
    assert hostile == replaced(plain, marker, description)
    assert sum(marker in str(content) for content in plain.values()) == 4


def test_the_description_lands_in_no_code() -> None:
    plain, hostile = rendered(values_of()), rendered(values_of(description=HOSTILE))
    changed = {path for path in plain if plain[path] != hostile[path]}
    assert changed == {
        "README.md",
        "catalog-info.yaml",
        "chart/Chart.yaml",
        "docs/index.md",
        "mkdocs.yml",
        "pyproject.toml",
    }


def test_nothing_is_left_unrendered() -> None:
    for path, file in rendered(values_of()).items():
        if path != ".github/workflows/ci.yaml":  # GitHub's expressions look the same
            assert b"${{" not in file.content, path
            assert b"{%" not in file.content, path


def test_the_catalogue_entry_has_legal_names(case: Values) -> None:
    component, api = documents(rendered(case))["catalog-info.yaml"]
    for entity in (component, api):
        assert isinstance(entity, dict)
        name = entity["metadata"]["name"]
        assert re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name)
        assert len(name) <= 63
        assert entity["spec"]["owner"] == case["owner"]
        assert entity["spec"]["system"] == case["tenant_id"]
    assert component["spec"]["providesApis"] == [api["metadata"]["name"]]
    definition = api["spec"]["definition"]["$text"].removeprefix("./")
    assert b"service EntityService" in rendered(case)[definition].content


def test_what_it_realises_are_resources_that_it_depends_on() -> None:
    found = documents(rendered(values_of(design_refs=["process-definition/a-b@12", "x/y"])))
    component = found["catalog-info.yaml"][0]
    assert isinstance(component, dict)
    expected = ["resource:default/process-definition.a-b.v12", "resource:default/x.y"]
    assert component["spec"]["dependsOn"] == expected


def locked(content: bytes) -> dict[str, int]:
    """The packages of a lock file, `name==version` → how many hashes it has."""
    entries = re.split(r"^(?=[a-z])", content.decode(), flags=re.MULTILINE)[1:]
    return {entry.split()[0]: entry.count("--hash=sha256:") for entry in entries}


def test_the_lock_files_are_hashed_and_agree() -> None:
    files = rendered(values_of())
    runtime = locked(files["requirements.lock"].content)
    development = locked(files["requirements-dev.lock"].content)
    tools = locked(files["requirements-tools.lock"].content)
    documents = locked(files["requirements-docs.lock"].content)
    assert runtime.keys() < development.keys() < tools.keys()
    # Each of these is downloaded before a tenant's first check.
    assert len(development) <= 40
    for lock in (runtime, tools, documents):
        assert all(lock.values())
        assert all("==" in package for package in lock)
    assert all(b"://" not in file.content for path, file in files.items() if path.endswith(".lock"))


def hydrated(values: Values, **changes: object) -> dict[str, Any]:
    """Kind → object of the chart; there are no two of a kind."""
    release = str(values["instance"])
    files = run_helm_template(
        chart_of(values),
        release=release,
        values={"image": {"ref": IMAGE}, **changes},
        kubernetes_version="1.34.0",
    )
    objects = [yaml.load(content, yaml.CSafeLoader) for content in files.values()]
    assert run_kubeconform(b"---\n".join(files.values()), file="manifests.yaml") == ()
    by_kind = {item["kind"]: item for item in objects}
    assert len(by_kind) == len(objects)
    return by_kind


def chart_of(values: Values) -> dict[str, bytes]:
    return {
        path.removeprefix("chart/"): file.content
        for path, file in rendered(values).items()
        if path.startswith("chart/")
    }


def test_the_chart_is_valid_in_both_forms(case: Values) -> None:
    assert run_helm_lint(chart_of(case), values={"image": {"ref": IMAGE}}) == ()
    release = str(case["instance"])
    plain, resource = hydrated(case), hydrated(case, runtime="operator")
    assert sorted(plain) == [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
    ]
    assert list(resource) == ["Domain"]
    for item in (*plain.values(), *resource.values()):
        metadata = item["metadata"]
        assert len(metadata["name"]) <= 63
        assert "namespace" not in metadata
        assert metadata["labels"]["ameide.io/primitive"] == release


def test_pods_are_restricted_and_migrate_before_they_serve() -> None:
    by_kind = hydrated(values_of())
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    [migration], [container] = pod["initContainers"], pod["containers"]
    assert migration["command"] == ["python", "-m", "domain_order_router.migrate"]
    owner = {"secretRef": {"name": "order-router-owner"}}
    assert owner in migration["envFrom"]
    assert owner not in container["envFrom"]
    for each in (migration, container):
        assert each["image"] == IMAGE
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert pod["automountServiceAccountToken"] is False
    assert by_kind["ConfigMap"]["data"]["ONLY_TENANT"] == "acme"
    assert by_kind["ConfigMap"]["data"]["REFLECTION"] == "false"


def test_an_ephemeral_one_knows_no_database() -> None:
    values = values_of(database_plan="ephemeral")
    by_kind = hydrated(values)
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    assert by_kind["Deployment"]["spec"]["replicas"] == 1
    assert "initContainers" not in pod
    assert "secretRef" not in str(pod)
    assert by_kind["ConfigMap"]["data"]["STORE"] == "memory"


@pytest.mark.parametrize(("plan", "pool"), [("small", "4"), ("medium", "8"), ("large", "16")])
def test_the_database_plan_names_cluster_and_pool(plan: str, pool: str) -> None:
    values = values_of(database_plan=plan)
    spec = hydrated(values, runtime="operator")["Domain"]["spec"]
    assert (spec["db"]["clusterRef"], spec["db"]["schema"]) == (
        f"postgres-{plan}",
        "domain_order_router",
    )
    assert spec["env"]["DATABASE_POOL_MAX"] == pool
    assert spec["proto"] == {"module": "ameide.domain", "version": "v1"}


def test_only_code_of_the_shared_plane_serves_all_tenants() -> None:
    config = hydrated(CASES["shared platform code"])["ConfigMap"]
    assert config["data"]["ONLY_TENANT"] == ""


def test_the_chart_passes_the_rules_of_manifests(case: Values) -> None:
    for runtime in ("workload", "operator"):
        objects = list(hydrated(case, runtime=runtime).values())
        instance, primitive = str(case["instance"]), str(case["primitive_id"])
        bound = bound_of(instance, primitive=primitive, image=IMAGE)
        named = in_overlay(objects, bound)
        assert list(check_objects(named, Target("base", bound))) == []


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
        hydrated(values_of(), **changes)


def test_its_api_is_lint_clean_by_buf_and_formatted(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    for arguments in (["lint"], ["format", "--diff", "--exit-code"]):
        result = run(TOOLS / "bin" / "buf", *arguments, "proto", cwd=tmp_path)
        assert (result.returncode, result.stdout) == (0, ""), result.stdout + result.stderr


def test_buf_would_see_an_api_that_breaks_its_rules(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    proto = tmp_path / "proto" / "ameide" / "domain" / "v1" / "entity_service.proto"
    proto.write_text(proto.read_text().replace("CreateEntityRequest", "MakeEntity"))
    result = run(TOOLS / "bin" / "buf", "lint", "proto", cwd=tmp_path)
    assert result.returncode != 0
    assert "RPC request type" in result.stdout


def test_it_holds_no_secrets(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    result = run(TOOLS / "bin" / "gitleaks", "dir", "--no-banner", ".", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
