"""Every golden template, rendered for odd but legal drafts: complete and without injection."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.characters import FORBIDDEN_IN_VALUE
from pipeline.templates import (
    SharedFolders,
    list_builtin_templates,
    read_builtin_template,
    read_folder,
)
from pipeline.templating import (
    TemplateFile,
    check_parameters,
    complete_parameters,
    parse_template,
)
from tests.support.golden_templates import HOSTILE, TEMPLATES, GoldenTemplate
from tests.support.projects import ROOT, Values, render_project
from tests.support.samples import findings_of

CASES = [
    pytest.param(template, values, id=f"{template.name}-{case}")
    for template in TEMPLATES.values()
    for case, values in template.cases.items()
]
every_case = pytest.mark.parametrize(("template", "values"), CASES)
every_template = pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)


def test_every_built_in_template_is_tested_here() -> None:
    assert tuple(sorted(TEMPLATES)) == list_builtin_templates()


@every_template
def test_a_template_passes_its_full_check(template: GoldenTemplate) -> None:
    name, folder = template.name, ROOT / "pipeline" / "templates" / template.name
    shared = SharedFolders(ROOT / "pipeline" / "shared")
    checked = parse_template(name, read_folder(folder), shared=shared)
    assert checked.digest == read_builtin_template(name).digest
    stated = f"template: {name}@{checked.version}".encode()
    assert stated in (folder / "template.yaml").read_bytes()


# -- parameters ----------------------------------------------------------------------------


@every_case
def test_the_cases_are_legal_by_the_schema(template: GoldenTemplate, values: Values) -> None:
    own = {name: values[name] for name in template.parameters}
    assert check_parameters(read_builtin_template(template.name), own) == ()


@pytest.mark.parametrize(
    ("template", "name", "value"),
    [
        *(
            (template, name, value)
            for template in TEMPLATES
            for name, value in (
                ("description", "two\nlines"),
                ("owner", "Acme Engineers"),
                ("colour", "red"),
                ("tenant_id", "contoso"),
            )
        ),
        ("agent", "allowed_tools", "find_order"),
        ("agent", "allowed_tools", ["find order"]),
        ("agent", "allowed_tools", ["find_order", "find_order"]),
        ("agent", "allowed_tools", ["find_order\n"]),
        ("agent", "allowed_tools", ["../admin"]),
        ("agent", "allowed_tools", ["t" * 65]),
        ("agent", "allowed_tools", [f"t{number}" for number in range(51)]),
        ("agent", "risk_tier", "NONE"),
        ("agent", "risk_tier", "high"),
        ("agent", "default_model", "claude-sonnet-4"),
        ("agent", "default_model", "unknown:model"),
        ("agent", "default_model", 'anthropic:"'),
        ("agent", "definition_ref", "order-helper@3"),
        ("agent", "definition_ref", "agent-definition/order-helper"),
        ("agent", "definition_ref", "process-definition/order-helper@3"),
        ("agent", "definition_ref", "agent-definition/../admin@3"),
        ("domain", "description", ""),
        ("domain", "description", " padded"),
        ("domain", "description", "hidden\u200btext"),
        ("domain", "description", "turned\u202eround"),
        ("domain", "description", "next\x85line"),
        ("domain", "description", "del\x7f"),
        ("domain", "description", "d" * 501),
        ("domain", "entities", []),
        ("domain", "entities", ["order", "order"]),
        ("domain", "entities", ["Order"]),
        ("domain", "entities", ["a--b"]),
        ("domain", "entities", ["a/../b"]),
        ("domain", "entities", [f"e{number}" for number in range(21)]),
        ("domain", "database_plan", "infinite"),
        ("process", "task_queue", ""),
        ("process", "task_queue", "Orders"),
        ("process", "task_queue", "orders/../others"),
        ("process", "task_queue", "orders\n"),
        ("process", "task_queue", "q" * 101),
        ("process", "definition_ref", "order-to-cash@3"),
        ("process", "definition_ref", "process-definition/order-to-cash"),
        ("process", "definition_ref", "process-definition/../admin@3"),
        ("process", "definition_ref", "agent-definition/order-to-cash@3"),
        ("process", "max_concurrency_per_tenant", 0),
        ("process", "max_concurrency_per_tenant", 101),
        ("process", "max_concurrency_per_tenant", "5"),
        ("process", "max_concurrency_per_tenant", True),
        ("ui", "host", "Workspace.example.invalid"),
        ("ui", "host", "workspace.example.invalid:8443"),
        ("ui", "host", "https://workspace.example.invalid"),
        ("ui", "host", "localhost"),
        ("ui", "path_prefix", "/"),
        ("ui", "path_prefix", "orders"),
        ("ui", "path_prefix", "/orders/"),
        ("ui", "path_prefix", "/orders/../admin"),
        ("ui", "path_prefix", "/orders//x"),
        ("ui", "path_prefix", "/Orders"),
        ("ui", "scopes", ["profile", "profile"]),
        ("ui", "scopes", ["a b"]),
        ("ui", "scopes", [f"s{number}" for number in range(21)]),
    ],
)
def test_an_illegal_parameter_is_refused_before_anything_renders(
    template: str, name: str, value: object
) -> None:
    found, good = read_builtin_template(template), TEMPLATES[template].parameters
    assert check_parameters(found, good) == ()
    [problem] = check_parameters(found, {**good, name: value})
    assert problem.path[0] == name


@pytest.mark.parametrize(
    ("template", "defaults"),
    [
        ("agent", {"allowed_tools": [], "risk_tier": "MEDIUM"}),
        ("domain", {"database_plan": "small"}),
        ("process", {"max_concurrency_per_tenant": 10}),
        ("ui", {"scopes": ["profile"]}),
    ],
)
def test_absent_parameters_get_these_defaults(template: str, defaults: Values) -> None:
    assert complete_parameters(read_builtin_template(template), {}) == defaults


AGENT_REQUEST = """apiVersion: pipeline.ameide.io/v1
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
PROCESS_REQUEST = """apiVersion: pipeline.ameide.io/v1
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
    ("request_text", "old", "new", "rules"),
    [
        (AGENT_REQUEST, "", "", []),
        (AGENT_REQUEST, "primitive_type: agent", "primitive_type: domain", ["template-type"]),
        (AGENT_REQUEST, "agent@1.0.0", "agent@9.0.0", ["template-unknown"]),
        (AGENT_REQUEST, "  default_model: anthropic:claude-sonnet-4\n", "", ["draft-parameters"]),
        (AGENT_REQUEST, "find_order]", "Find Order]", ["draft-parameters"]),
        (AGENT_REQUEST, "risk_tier: HIGH", "risk_tier: NONE", ["draft-parameters"]),
        (PROCESS_REQUEST, "", "", []),
        (PROCESS_REQUEST, "primitive_type: process", "primitive_type: domain", ["template-type"]),
        (PROCESS_REQUEST, "process@1.0.0", "process@9.0.0", ["template-unknown"]),
        (PROCESS_REQUEST, "  task_queue: purchase-approval\n", "", ["draft-parameters"]),
        (PROCESS_REQUEST, "tenant: 10", "tenant: 1000", ["draft-parameters"]),
    ],
)
def test_a_draft_is_judged_by_its_template(
    request_text: str, old: str, new: str, rules: list[str]
) -> None:
    [id] = re.findall(r"^id: (.+)$", request_text, re.MULTILINE)
    path = f"tenants/{id.replace('/', '/drafts/')}/draft.yaml"
    found = findings_of(path, request_text.replace(old, new).encode())
    assert [finding.rule.id for finding in found] == rules


# -- what is rendered ----------------------------------------------------------------------


@every_case
def test_rendering_twice_gives_the_same_bytes_in_order(
    template: GoldenTemplate, values: Values
) -> None:
    one, two = (render_project(template.name, values) for _ in range(2))
    assert list(one.items()) == list(two.items())
    assert list(one) == sorted(one)
    assert 50 <= len(one) <= 120
    assert {"chart/templates/deployment.yaml", "catalog-info.yaml"} <= one.keys()
    assert not any(file.executable for file in one.values())


@every_template
def test_no_expression_is_left_unrendered(template: GoldenTemplate) -> None:
    for path, file in render_project(template.name, template.values()).items():
        if path == ".github/workflows/ci.yaml":  # GitHub's expressions look the same
            continue
        assert not re.search(rb"\$\{\{ *values|\{%-? *(if|for|end)", file.content), path


def documents(files: Mapping[str, TemplateFile]) -> dict[str, list[object]]:
    """Path → what each structured file of a project says."""
    found: dict[str, list[object]] = {}
    for path, file in files.items():
        if path.startswith("chart/templates/"):
            continue
        if path.endswith((".yaml", ".yml")):
            found[path] = list(yaml.load_all(file.content, yaml.CSafeLoader))
        elif path.endswith(".toml"):
            found[path] = [tomllib.loads(file.content.decode())]
        elif path.endswith(".json"):
            found[path] = [json.loads(file.content)]
    return found


def replaced(value: object, old: str, new: str) -> object:
    if isinstance(value, dict):
        return {replaced(k, old, new): replaced(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [replaced(item, old, new) for item in value]
    return new if value == old else value


def is_legal(description: str) -> bool:
    return not FORBIDDEN_IN_VALUE.search(description) and not any(
        check_parameters(
            read_builtin_template(name), {**template.parameters, "description": description}
        )
        for name, template in TEMPLATES.items()
    )


DESCRIPTIONS = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
    | st.text("\"'\\ {}$%#:-|>&*!@`[],\n<~?=a", min_size=1, max_size=40)
    | st.sampled_from(["null", "~", "- a", "a: b", "#", "---", "...", "${{ x }}", "{% raw %}"])
).filter(is_legal)
# Where the description stands: nowhere in code.
DESCRIBED = {
    "README.md",
    "catalog-info.yaml",
    "chart/Chart.yaml",
    "docs/index.md",
    "mkdocs.yml",
}
DESCRIBED_TOO = {
    "agent": {"api/openapi.yaml", "pyproject.toml"},
    "domain": {"pyproject.toml"},
    "process": {"pyproject.toml"},
    "ui": {"primitive.json"},
}


@functools.cache
def plain_documents(template: str) -> dict[str, list[object]]:
    """The structured files of the draft whose description is MARKER."""
    return documents(render_project(template, TEMPLATES[template].values(description="MARKER")))


@every_template
@settings(max_examples=40)
@example(HOSTILE)
@given(DESCRIPTIONS)
def test_no_description_changes_the_structure(template: GoldenTemplate, description: str) -> None:
    plain = plain_documents(template.name)
    hostile = documents(render_project(template.name, template.values(description=description)))
    assert hostile == replaced(plain, "MARKER", description)
    marked = {path for path, content in plain.items() if "MARKER" in str(content)}
    assert marked == (DESCRIBED | DESCRIBED_TOO[template.name]) & plain.keys()


@every_template
def test_a_description_lands_in_no_code(template: GoldenTemplate) -> None:
    plain = render_project(template.name, template.values())
    hostile = render_project(template.name, template.values(description=HOSTILE))
    changed = {path for path in plain if plain[path] != hostile[path]}
    assert changed == DESCRIBED | DESCRIBED_TOO[template.name]


@every_case
def test_the_catalogue_entry_has_legal_names_and_names_its_designs(
    template: GoldenTemplate, values: Values
) -> None:
    component, *apis = documents(render_project(template.name, values))["catalog-info.yaml"]
    assert isinstance(component, dict)
    names = []
    for entity in (component, *apis):
        assert isinstance(entity, dict)
        name = entity["metadata"]["name"]
        assert re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name)
        assert len(name) <= 63
        assert entity["spec"]["owner"] == values["owner"]
        assert entity["spec"]["system"] == values["tenant_id"]
        names.append(name)
    assert names == [values["instance"]] * len(names)
    assert component["spec"]["type"] == template.name
    assert component["spec"].get("providesApis", []) == names[1:]
    references = values["design_refs"]
    assert isinstance(references, list)
    resources = [f"resource:default/{r.replace('/', '.').replace('@', '.v')}" for r in references]
    assert component["spec"].get("dependsOn", []) == resources
    for resource in resources:
        assert re.fullmatch(r"resource:default/[a-z0-9][-a-z0-9.]*[a-z0-9]", resource)


def test_an_api_of_the_catalogue_names_its_definition() -> None:
    for template, starts in (("agent", b"openapi: "), ("domain", b"service EntityService")):
        files = render_project(template, TEMPLATES[template].values())
        _, api = documents(files)["catalog-info.yaml"]
        assert isinstance(api, dict)
        definition = api["spec"]["definition"]["$text"].removeprefix("./")
        assert starts in files[definition].content


@every_template
def test_the_workflow_of_a_project_grants_nothing_and_uses_no_action(
    template: GoldenTemplate,
) -> None:
    files = render_project(template.name, template.values())
    [workflow] = documents(files)[".github/workflows/ci.yaml"]
    assert isinstance(workflow, dict)
    assert workflow["permissions"] == {}
    assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert steps
    assert not any("uses" in step for step in steps)
    assert any("setup lint types test" in step["run"] for step in steps)
