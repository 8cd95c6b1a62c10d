"""The golden template `domain`: rendered for odd but legal inputs, then linted, deployed and run.

The rendered project's own tests run with its locked packages, which are fetched once as
hash-checked wheels into `.tools/` and then installed without any index.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.characters import FORBIDDEN_IN_VALUE
from pipeline.templates import SharedFolders, list_builtin_templates, read_builtin_template
from pipeline.templating import (
    TemplateFile,
    check_parameters,
    complete_parameters,
    parse_template,
    render_template,
)

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
FOLDER = ROOT / "pipeline" / "templates" / "domain"
IMAGE = f"registry.example.com:5000/ameide/tenant-acme/order-router@sha256:{'ab' * 32}"
HOSTILE = (
    """"quoted" 'single' \\n \\ ${{ values.owner }} {{ .Values }} {% if %} {# # : - é 日本 <b>`"""
)

Values = Mapping[str, object]


def values_of(**changes: object) -> dict[str, object]:
    """What the pipeline gives for one draft; `changes` replace single values."""
    return {
        "tenant_id": "acme",
        "sku": "Shared",
        "primitive_id": "order-router",
        "primitive_type": "domain",
        "code_origin": "tenant",
        "target_repo": "tenant-acme-controllers",
        "instance": "order-router",
        "platform": "ameide",
        "design_refs": ["process-definition/order-to-cash@3"],
        "namespaces": {"dev": "tenant-acme-dev-cust"},
        "template": "domain@1.0.0",
        "image_repository": "registry.example.com/ameide/tenant-acme/order-router",
        "cost_centre": "CC-1042",
        "owner": "acme-engineers",
        "description": "Routes orders to the partner that can deliver first",
        "entities": ["order", "route"],
        "database_plan": "small",
        **changes,
    }


CASES: dict[str, Values] = {
    "plain": values_of(),
    "hostile description": values_of(description=HOSTILE),
    "longest names": values_of(
        primitive_id="p" * 40,
        instance="t" * 11 + "--" + "p" * 40,
        entities=[f"{'e' * 37}-{number:02}" for number in range(20)],
        description="d" * 500,
        database_plan="large",
    ),
    "words of YAML and Python": values_of(
        primitive_id="class",
        instance="class",
        entities=["null", "true", "on", "import", "self", "n"],
        design_refs=[],
        owner="1e3",
        database_plan="ephemeral",
    ),
    "shared platform code": values_of(
        tenant_id="platform", code_origin="platform", instance="json", primitive_id="json"
    ),
}


def rendered(values: Values) -> dict[str, TemplateFile]:
    return render_template(read_builtin_template("domain"), values)


def write(values: Values, folder: Path) -> Path:
    for path, file in rendered(values).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
    return folder


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300
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
    shutil.copytree(FOLDER, tmp_path / "domain", ignore=shutil.ignore_patterns("__pycache__"))
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
    assert 45 <= len(one) <= 60
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
    assert sum(marker in str(content) for content in plain.values()) == 5


def test_the_description_lands_in_no_code() -> None:
    plain, hostile = rendered(values_of()), rendered(values_of(description=HOSTILE))
    changed = {path for path in plain if plain[path] != hostile[path]}
    assert changed == {
        "README.md",
        "api/openapi.yaml",
        "catalog-info.yaml",
        "chart/Chart.yaml",
        "docs/index.md",
        "mkdocs.yml",
        "pyproject.toml",
    }


def test_nothing_is_left_unrendered() -> None:
    for path, file in rendered(values_of()).items():
        assert b"${{" not in file.content, path
        assert b"{%" not in file.content, path


def test_the_api_definition_covers_each_entity_and_resolves(case: Values) -> None:
    [definition] = documents(rendered(case))["api/openapi.yaml"]
    assert isinstance(definition, dict)
    entities = case["entities"]
    assert isinstance(entities, list)
    expected = {f"/v1/{e}{suffix}" for e in entities for suffix in ("", "/{record_id}")}
    assert set(definition["paths"]) == expected
    references = set(re.findall(r"'\$ref': '#/([a-zA-Z/]+)'", str(definition)))
    assert len(references) >= 10
    for reference in references:
        node = definition
        for part in reference.split("/"):
            node = node[part]


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


def locked(content: bytes) -> dict[str, int]:
    """The packages of a lock file, `name==version` → how many hashes it has."""
    entries = re.split(r"^(?=[a-z])", content.decode(), flags=re.MULTILINE)[1:]
    return {entry.split()[0]: entry.count("--hash=sha256:") for entry in entries}


def test_the_lock_files_are_small_hashed_and_agree() -> None:
    files = rendered(values_of())
    runtime = locked(files["requirements.lock"].content)
    development = locked(files["requirements-dev.lock"].content)
    assert runtime.keys() < development.keys()
    assert len(development) < 20
    assert all(development.values())
    assert all(runtime.values())
    assert all("==" in package for package in development)
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert b"://" not in files[name].content


def hydrated(folder: Path, release: str, *options: str) -> list[dict[str, Any]]:
    result = run(
        TOOLS / "bin" / "helm",
        "template",
        release,
        "chart",
        *options,
        cwd=folder,
        env=dict(os.environ),
    )
    assert result.returncode == 0, result.stderr
    (folder / "manifests.yaml").write_text(result.stdout)
    return [item for item in yaml.load_all(result.stdout, yaml.CSafeLoader) if item is not None]


def test_the_chart_is_valid_and_restricted(case: Values, tmp_path: Path) -> None:
    write(case, tmp_path)
    lint = run(TOOLS / "bin" / "helm", "lint", "--strict", "chart", cwd=tmp_path)
    assert lint.returncode == 0, lint.stdout
    release = str(case["instance"])
    objects = hydrated(tmp_path, release, "--set", f"image.ref={IMAGE}")
    check = run(
        TOOLS / "bin" / "kubeconform",
        "-strict",
        "-summary",
        "-kubernetes-version",
        "1.34.0",
        "-schema-location",
        f"{TOOLS}/schemas/v1.34.0-standalone-strict/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
        "manifests.yaml",
        cwd=tmp_path,
    )
    assert check.returncode == 0, check.stdout
    assert "Skipped: 0" in check.stdout
    kinds = sorted(str(item["kind"]) for item in objects)
    storage = [] if case["database_plan"] == "ephemeral" else ["PersistentVolumeClaim"]
    assert kinds == sorted(
        [
            "ConfigMap",
            "Deployment",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "Service",
            "ServiceAccount",
            *storage,
        ]
    )
    for item in objects:
        metadata = item["metadata"]
        assert isinstance(metadata, dict)
        assert len(metadata["name"]) <= 63
        assert "namespace" not in metadata
        assert "annotations" not in metadata
        assert metadata["labels"]["ameide.io/primitive"] == release


def test_pods_are_restricted_and_closed(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    objects = hydrated(tmp_path, "order-router", "--set", f"image.ref={IMAGE}")
    by_kind = {str(item["kind"]): item for item in objects}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == IMAGE
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= container.keys()
    policy = by_kind["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = {(p["protocol"], p["port"]) for rule in policy["egress"] for p in rule["ports"]}
    assert ports == {("UDP", 53), ("TCP", 53), ("TCP", 443)}
    assert by_kind["ConfigMap"]["data"]["ONLY_TENANT"] == "acme"


def test_only_code_of_the_shared_plane_serves_all_tenants(tmp_path: Path) -> None:
    write(CASES["shared platform code"], tmp_path)
    objects = hydrated(tmp_path, "json", "--set", f"image.ref={IMAGE}")
    [config] = [item for item in objects if item["kind"] == "ConfigMap"]
    assert config["data"]["ONLY_TENANT"] == ""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "image.ref is not set"),
        (["image.ref=registry.example.com/x:latest"], "/image/ref"),
        ([f"image.ref={IMAGE}", "replicas=2"], "/replicas"),
        ([f"image.ref={IMAGE}", "autoscaling.enabled=true"], "/autoscaling/enabled"),
        ([f"image.ref={IMAGE}", "auth.algorithm=none"], "/auth/algorithm"),
        ([f"image.ref={IMAGE}", "colour=red"], "colour"),
    ],
)
def test_the_chart_refuses_unsafe_values(options: list[str], reason: str, tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    sets = [part for option in options for part in ("--set", option)]
    result = run(TOOLS / "bin" / "helm", "template", "a", "chart", *sets, cwd=tmp_path)
    assert result.returncode != 0
    assert reason in result.stderr


def test_the_chart_scales_over_a_shared_database(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    options = (
        "--set",
        f"image.ref={IMAGE}",
        "--set",
        "database.shared=true,autoscaling.enabled=true",
    )
    objects = hydrated(tmp_path, "a", *options)
    by_kind = {str(item["kind"]): item for item in objects}
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 6
    assert "replicas" not in by_kind["Deployment"]["spec"]


def test_it_holds_no_secrets(tmp_path: Path) -> None:
    write(values_of(), tmp_path)
    result = run(TOOLS / "bin" / "gitleaks", "dir", "--no-banner", ".", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def packages() -> Path:
    """The rendered project's locked packages, installed once into `.tools/`."""
    lock = rendered(values_of())["requirements-dev.lock"].content
    key = hashlib.sha256(lock + sys.version.encode()).hexdigest()[:16]
    target = TOOLS / "template-packages" / key
    if target.is_dir():
        return target
    making = target.with_name(f"{key}.{os.getpid()}")
    making.mkdir(parents=True)
    (making / "requirements-dev.lock").write_bytes(lock)
    wheels, pip = making / "wheels", [sys.executable, "-m", "pip"]
    options = ["--require-hashes", "-r", "requirements-dev.lock"]
    for command in (
        [*pip, "download", "-q", "--only-binary", ":all:", *options, "-d", str(wheels)],
        [
            *pip,
            "install",
            "-q",
            "--no-index",
            "--find-links",
            str(wheels),
            *options,
            "--target",
            str(making / "packages"),
        ],
    ):
        result = run(*command, cwd=making)
        assert result.returncode == 0, result.stderr
    shutil.rmtree(wheels)
    making.joinpath("packages").rename(target)
    shutil.rmtree(making)
    return target


def run_tests(folder: Path, packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The project's own tests, as the checks stage runs them, without a network where possible."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": f"{packages}{os.pathsep}src",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(folder.parent),
    }
    cut = ["unshare", "--user", "--net"] if _can_cut_network() else []
    python = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return run(*cut, *python, *arguments, cwd=folder, env=env)


def _can_cut_network() -> bool:
    try:
        return run("unshare", "--user", "--net", "true", cwd=ROOT).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "project"
    folder.mkdir()
    yield write(values_of(description=HOSTILE), folder)


def test_the_rendered_project_passes_its_own_tests(project: Path, packages: Path) -> None:
    before = sorted(project.rglob("*"))
    result = run_tests(project, packages)
    assert result.returncode == 0, result.stdout
    assert re.search(r"^1[0-9]{2} passed", result.stdout, re.MULTILINE), result.stdout
    assert sorted(project.rglob("*")) == before


def test_its_tests_pass_under_names_that_are_words_of_python(
    packages: Path, tmp_path: Path
) -> None:
    write(CASES["words of YAML and Python"], tmp_path)
    result = run_tests(tmp_path, packages, "tests/test_server.py", "tests/test_entities_api.py")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "failing"),
    [
        (
            "sqlite_repository.py",
            '" WHERE tenant_id = :tenant_id AND entity = :entity AND position > :after"',
            '" WHERE entity = :entity AND position > :after"',
            "tests/test_tenants.py",
        ),
        (
            "identity.py",
            "audience=settings.token_audience,",
            'audience=jwt.decode(token, options={"verify_signature": False})["aud"],',
            "tests/test_identity.py",
        ),
        (
            "sqlite_repository.py",
            '" AND id = :id AND version = :version"',
            '" AND id = :id AND :version > 0"',
            "tests/test_locking.py",
        ),
        (
            "sqlite_repository.py",
            "if row[0] != _hash_of(draft):",
            "if not row[0]:",
            "tests/test_idempotency.py",
        ),
    ],
    ids=["tenant", "audience", "version", "idempotency"],
)
def test_its_tests_see_a_guard_that_was_taken_out(
    file: str, old: str, new: str, failing: str, project: Path, packages: Path
) -> None:
    path = project / "src" / "domain_order_router" / file
    source = path.read_text()
    assert source.count(old) == 1
    path.write_text(source.replace(old, new))
    result = run_tests(project, packages, failing)
    assert result.returncode == 1, result.stdout
    assert f"FAILED {failing}" in result.stdout
