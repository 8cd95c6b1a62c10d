"""The pipeline renders the same bytes as Backstage's scaffolder."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.templates import LazyTemplates
from pipeline.templating import (
    GIVEN_VALUES,
    Template,
    TemplateError,
    complete_parameters,
    parse_template,
    render_template,
)
from pipeline.templating.samples import sample_values
from tests.support.backstage import ENGINES, ROOT, RefusedByBackstage, Scaffolder, problems_of

TEMPLATES = ROOT / "pipeline" / "templates"
NAMES = tuple(LazyTemplates())
ROUNDS = 60  # of each template, with other values every time

HOSTILE = (
    "plain",
    "",
    "\"quoted\" and 'quoted'",
    "a\nb\r\nc\ttab",
    "{{ values.tenant_id }}",
    "${{ values.tenant_id }}",
    "{% if true %}x{% endif %}",
    "{# a comment #}",
    "}} %} #}",
    "`id` $(id) ${HOME} ${#a[@]} && rm -rf / ; | > < *",
    "key: value # comment",
    "- item\n- item",
    "!!python/object:os.system",
    "&anchor *anchor",
    "\\ \\n \\u0041 \\",
    "<script>alert(1)</script> @everyone fixes #1",
    "ünïcödé 漢字 🙂 \u2028 \u200b \x7f \x01",
    "null",
    "true",
    "1e3",
    "x" * 20_000,
)
WORDS = ("acme", "a", "order-router", "x1", "very-long-name-of-thing-that-is-close-to-the-edge")


def generated(schema: Mapping[str, object], chance: random.Random) -> object:
    """A value for one parameter: of its type, and as hostile as the type allows."""
    if "enum" in schema:
        return chance.choice(schema["enum"])  # type: ignore[arg-type]  # a list by JSON Schema
    match schema.get("type"):
        case "integer":
            return chance.randint(1, 100)
        case "boolean":
            return chance.random() < 0.5
        case "array":
            items = schema["items"]
            assert isinstance(items, dict)
            return [generated(items, chance) for _ in range(chance.randint(1, 3))]
    pattern = re.compile(str(schema.get("pattern", "")).replace("\\Z", "$"))
    fitting = [word for word in (*HOSTILE, *WORDS) if pattern.search(word)]
    # Where nothing hostile fits, the schema refuses it: render it all the same.
    return chance.choice(fitting or [*HOSTILE])


def values_of(template: Template, chance: random.Random) -> dict[str, object]:
    """All values of one scaffold. What names files stays a name, the rest is data."""
    properties = template.parameters["properties"]
    assert isinstance(properties, dict)
    made = {name: generated(schema, chance) for name, schema in properties.items()}
    if "description" in made:
        made["description"] = chance.choice(HOSTILE)
    given: dict[str, object] = {
        "code_origin": chance.choice(["platform", "tenant", "agent"]),
        "cost_centre": chance.choice(HOSTILE),
        "design_refs": chance.choice([[], ["process-definition/order-to-cash@3"], [*HOSTILE]]),
        "image_repository": "images.example.invalid/a/b",
        "instance": chance.choice(WORDS),
        "namespaces": {"dev": "a-dev", "staging": "a-staging", "prod": "a-prod"},
        "platform": chance.choice(HOSTILE),
        "primitive_id": chance.choice(WORDS),
        "primitive_type": template.name,
        "sku": chance.choice(["Shared", "Namespace", "Private"]),
        "target_repo": chance.choice(HOSTILE),
        "template": f"{template.name}@{template.version}",
        "tenant_id": chance.choice(WORDS),
    }
    return {**made, **given}


@pytest.fixture(scope="module")
def scaffolder() -> Iterator[Scaffolder]:
    with Scaffolder() as script:
        yield script


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_the_pipeline_and_backstage_render_the_same_bytes(
    name: str, engine: str, scaffolder: Scaffolder
) -> None:
    template = LazyTemplates()[name]
    skeleton = TEMPLATES / name / "skeleton"
    for number in range(ROUNDS):
        values = values_of(template, random.Random(f"{name} {number}"))
        ours = render_template(template, complete_parameters(template, values))
        theirs = scaffolder.render(engine, skeleton, values, template.copy_only)
        # Shared folders come by steps of their own, which copy and do not render.
        shared = {file.path for file in template.files if file.shared}
        assert {p: f.content for p, f in ours.items() if p not in shared} == theirs


@pytest.mark.parametrize("name", NAMES)
def test_backstage_accepts_the_template_and_its_catalogue_entry(name: str) -> None:
    template = LazyTemplates()[name]
    manifest = yaml.safe_load((TEMPLATES / name / "template.yaml").read_bytes())
    chance = random.Random(name)
    values = values_of(template, chance) | {"description": "What it is for", "design_refs": []}
    values |= {"owner": "platform-engineers", "platform": "ameide", "target_repo": "a-repo"}
    values |= {"instance": "order-router", "primitive_id": "order-router", "tenant_id": "acme"}
    rendered = render_template(template, values)
    catalogue = rendered["catalog-info.yaml"].content
    entities = [entity for entity in yaml.safe_load_all(catalogue) if entity]
    for entity in entities:
        # Read in by the catalogue, before it validates.
        if "$text" in (entity["spec"].get("definition") or ()):
            path = entity["spec"]["definition"]["$text"].removeprefix("./")
            entity["spec"]["definition"] = rendered[path].content.decode()
    assert problems_of([manifest, *entities]) == []
    assert {"Component"} <= {entity["kind"] for entity in entities}


def test_backstage_refuses_a_template_without_a_type() -> None:
    manifest = yaml.safe_load((TEMPLATES / NAMES[0] / "template.yaml").read_bytes())
    del manifest["spec"]["type"]
    assert "type" in problems_of([manifest])[0]


SILENT = {
    "a comment opened by a shell expansion": "echo ${#names[@]}\n",
    "another tool's expression": "sha: ${{ github.sha }}\n",
    "a missing value": "x: ${{ values.unknown }}\n",
    "a list": "x: ${{ values.design_refs }}\n",
    "an object": "x: ${{ values.namespaces }}\n",
    "a filter that only one has": "x: ${{ values.owner | parseRepoUrl }}\n",
    "an assignment": "{% set x = 1 %}${{ x }}\n",
    "a call": "x: ${{ range(3) }}\n",
    "a test": "x: ${{ values.owner is defined }}\n",
    "arithmetic": "x: ${{ 1 / 2 }}\n",
    "a comparison that differs": "x: ${{ values.owner < 3 }}\n",
    "a comment": "{# note #}\n",
}


@pytest.mark.parametrize("text", SILENT.values(), ids=list(SILENT))
def test_what_backstage_renders_wrong_is_refused(text: str) -> None:
    manifest = (TEMPLATES / "domain" / "template.yaml").read_bytes()
    shared = {"chart": {"a": b""}, "sdk-python": {"a": b""}}
    values = values_of(LazyTemplates()["domain"], random.Random(1))
    with pytest.raises(TemplateError) as caught:
        files = {"template.yaml": manifest, "skeleton/a-file": text.encode()}
        render_template(parse_template("domain", files, shared=shared), values)
    assert "skeleton/a-file:1" in str(caught.value)


def test_the_engine_reports_what_it_cannot_render(scaffolder: Scaffolder, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("{% if %}")
    with pytest.raises(RefusedByBackstage):
        scaffolder.render("nunjitsu", tmp_path, {})
    assert json.dumps(HOSTILE)  # the hostile values are JSON, as a request's are


FORM = ROOT / "pipeline" / "backstage" / "request-primitive"
ASKED = {
    "tenant_id": "acme",
    "primitive_id": "order-router",
    "code_origin": "tenant",
    "design_refs": ["process-definition/order-to-cash@3"],
    "platform": "ameide",
}


def test_backstage_accepts_the_form_for_a_new_primitive() -> None:
    manifest = yaml.safe_load((FORM / "template.yaml").read_bytes())
    assert problems_of([manifest]) == []
    pages = manifest["spec"]["parameters"]
    assert pages[1]["properties"]["template_id"]["enum"] == [
        f"{t.name}@{t.version}" for _, t in sorted(LazyTemplates().items())
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_the_form_s_request_has_no_findings(
    name: str, engine: str, scaffolder: Scaffolder, tmp_path: Path
) -> None:
    template = LazyTemplates()[name]
    sample = sample_values(template)[0].values
    own = {key: value for key, value in sample.items() if key not in GIVEN_VALUES}
    if "owner" in own:
        own["owner"] = "acme-engineers"
    values = {**ASKED, "template_id": f"{name}@{template.version}", "parameters": own}
    made = scaffolder.render(engine, FORM / "skeleton", values)
    [path] = made
    assert path == "tenants/acme/drafts/order-router/draft.yaml"
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    (tmp_path / path).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "tenants/acme/tenant.yaml", tmp_path / "tenants/acme/tenant.yaml")
    (tmp_path / path).write_bytes(made[path])
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    arguments = ["-C", str(tmp_path), "validate", "--worktree"]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
