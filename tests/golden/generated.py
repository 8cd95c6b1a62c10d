"""Files generated for others: overlays, a new control repo, catalogues, schemas, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipeline.crds import definition_file
from pipeline.crds.kinds import DOMAIN, UI_SURFACE
from pipeline.delivery.forms import is_delivery_file
from pipeline.docs import commands_page, manifests_page, rules_page
from pipeline.models.requests import DeliveryForm, EnvironmentName, PrimitiveType
from pipeline.publish.schemas import render_schema, schema_of
from pipeline.publish.starter import WORKFLOWS, Answers, Person, starter_files
from pipeline.releases.overlays import render_overlay
from pipeline.render.authority import render_authority_page
from pipeline.render.catalogue import render_catalogue, render_repository_entry
from pipeline.render.code_owners import render_code_owners
from pipeline.render.rules import render_rule, render_rule_list
from pipeline.rules import load_rules
from tests.support import fact_history as history
from tests.support.samples import (
    ENVIRONMENTS,
    sample_environment,
    sample_platform,
    sample_snapshot,
    sample_tenant,
)

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = Answers(
    platform="nova",
    organisation="nova-org",
    registry="registry.example.com/nova",
    bot=(41, "primitive-pipeline[bot]"),
    app_id=7,
    people=(
        Person(8, "somebody", ("platform-engineers", "release-managers", "security")),
        Person(9, "another", ("one-engineers", "release-managers")),
    ),
    tenant="one",
    action="nova-org/primitive-pipeline@" + "0123456789" * 4,
)


def overlay(type: PrimitiveType, environment: EnvironmentName) -> dict[str, str]:
    """The overlay of the sample release, as a primitive of this type, without its base."""
    status = history.sample_status().model_copy(update={"primitive_type": type})
    files = history.overlay_in(environment, status).files
    return {
        path: content.decode() for path, content in files.items() if not path.startswith("base/")
    }


def delivered(form: DeliveryForm, cluster: str | None) -> dict[str, str]:
    """What a form of delivery lays beside the overlay of the sample release."""
    policy = {"delivery": form, "cluster": cluster}
    files = render_overlay(
        history.sample_status(),
        sample_tenant("acme"),
        sample_platform(),
        sample_environment("prod").model_copy(update=policy),
        history.RELEASE,
        history.BASE,
    ).files
    return {
        path.replace("/", "_"): content.decode()
        for path, content in files.items()
        if is_delivery_file(path)
    }


def starter_parts() -> dict[str, bytes]:
    top = ROOT / "pipeline" / "starter"
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file()
    }


def started(*wanted: str) -> dict[str, str]:
    """The files of a new control repo below these paths."""
    files = starter_files(ANSWERS, starter_parts())
    return {
        path.removeprefix(".").replace("/", "_"): content.decode()
        for path, content in files.items()
        if path.startswith(wanted)
    }


def catalogue(wanted: str) -> dict[str, str]:
    files = render_catalogue(sample_snapshot(), sample_platform())
    return {"catalog.yaml": files[wanted].decode()}


def schema(kind: str) -> dict[str, str]:
    return {"schema.json": render_schema(schema_of(kind))}


def section(page: bytes, heading: str) -> dict[str, str]:
    """One section of a generated page."""
    lines = page.decode().split("\n")
    start = lines.index(heading)
    marks = tuple("#" * n + " " for n in range(1, heading.index(" ") + 1))
    ends = [n for n, line in enumerate(lines) if n > start and line.startswith(marks)]
    return {"section.md": "\n".join(lines[start : min(ends, default=len(lines))])}


def rule(id: str) -> dict[str, str]:
    return {"explained.txt": render_rule(load_rules()[id])}


def _overlays() -> Iterator[tuple[str, Callable[[], dict[str, str]]]]:
    for type in PrimitiveType:
        for environment in ENVIRONMENTS:
            yield f"overlay-{type.value}-{environment}", partial(overlay, type, environment)


REQUESTS = ("BlockedDigests", "DraftPatch", "Promotion", "Tenant", "Acknowledgement")
OUTPUTS = ("Error", "RunReport")
# A few of different lengths, so that a new rule changes no golden case.
LISTED_RULES = ("approval-missing", "yaml-anchor", "source-not-on-default-branch")
CASES: dict[str, Callable[[], dict[str, str]]] = {
    **dict(_overlays()),
    "delivery-application": partial(delivered, "application", None),
    "delivery-kustomization": partial(delivered, "kustomization", "eu-1"),
    "delivery-helmrelease": partial(delivered, "helmrelease", "eu-1"),
    "init-policy": partial(started, "environments/blocked", "environments/platform", "tenants/"),
    "init-environments": partial(started, *(f"environments/{e}/" for e in ENVIRONMENTS)),
    "init-owners-and-readme": partial(started, ".github/CODEOWNERS", "README"),
    "init-rulesets": partial(started, ".github/rulesets/"),
    **{
        f"init-workflow-{name}": partial(started, f".github/workflows/{name}.yaml")
        for name in WORKFLOWS
    },
    "catalogue-entry-point": partial(catalogue, "catalog-info.yaml"),
    "catalogue-groups": partial(catalogue, "groups.yaml"),
    "catalogue-platform": partial(catalogue, "platform.yaml"),
    "catalogue-tenant": partial(catalogue, "tenants/acme.yaml"),
    "catalogue-repository": lambda: {
        "catalog-info.yaml": render_repository_entry("tenant-acme-controllers", "tenant acme")
    },
    "code-owners": lambda: {"CODEOWNERS": render_code_owners(sample_snapshot()).decode()},
    **{f"schema-{kind}": partial(schema, kind) for kind in (*REQUESTS, *OUTPUTS)},
    "crd-Domain": lambda: {"crd.yaml": definition_file(DOMAIN).decode()},
    "crd-UISurface": lambda: {"crd.yaml": definition_file(UI_SURFACE).decode()},
    "docs-authority": lambda: {"authority.md": render_authority_page().decode()},
    "docs-cli-command": lambda: section(commands_page(), "### pipeline digest block"),
    "docs-manifests-kind": lambda: section(manifests_page(), "### PodDisruptionBudget"),
    "docs-rule": lambda: section(rules_page(), "### yaml-anchor"),
    "rule-yaml-anchor": partial(rule, "yaml-anchor"),
    "rule-digest-blocked": partial(rule, "digest-blocked"),
    "rules-listed": lambda: {
        "rules.txt": render_rule_list({id: load_rules()[id] for id in LISTED_RULES})
    },
}
