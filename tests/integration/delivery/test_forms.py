"""Each form of delivery: its manifest passes the tool's own definition, and runs what is sealed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.delivery.forms import FILE_OF
from pipeline.machine.versions import find_tool
from pipeline.models.requests import DeliveryForm, EnvironmentName
from pipeline.releases.overlays import Overlay
from pipeline.world.hydrate import Hydrator
from tests.support.delivery_schemas import (
    KINDS,
    api_server_problems,
    definition,
    schema_problems,
)
from tests.support.hydrated import ROWS, base_of, built, case_of, overlay_of
from tests.support.samples import DRAFT

HYDRATOR = Hydrator()
FORMS: tuple[DeliveryForm, ...] = ("application", "kustomization", "helmrelease")


def delivered(
    draft: str, form: DeliveryForm, environment: EnvironmentName = "prod", **policy: object
) -> Overlay:
    """A sample draft's overlay in a form of delivery."""
    case = case_of(draft)
    return overlay_of(case, base_of(case, HYDRATOR), environment, delivery=form, **policy)


def manifest_of(overlay: Overlay, form: DeliveryForm) -> dict[str, Any]:
    found = yaml.safe_load(overlay.files[FILE_OF[form]])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("form", FORMS)
# Code of a tenant, of the platform, and of the platform for one tenant.
@pytest.mark.parametrize("draft", [DRAFT, "platform/product-catalogue", "contoso/inventory"])
def test_a_manifest_passes_its_tools_own_definition(draft: str, form: DeliveryForm) -> None:
    for cluster in (None, "eu-1"):
        overlay = delivered(draft, form, cluster=cluster)
        assert schema_problems(overlay.files[FILE_OF[form]]) == []
        assert api_server_problems(manifest_of(overlay, form)) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_misspelt_field_does_not_pass(form: DeliveryForm) -> None:
    # Else the test above could not fail.
    manifest = manifest_of(delivered(DRAFT, form), form)
    manifest["spec"]["nosuch"] = 1
    assert schema_problems(yaml.safe_dump(manifest).encode())
    assert api_server_problems(manifest)
    del manifest["spec"]["nosuch"]
    required = {"application": "project", "kustomization": "sourceRef", "helmrelease": "interval"}
    del manifest["spec"][required[form]]
    assert schema_problems(yaml.safe_dump(manifest).encode())
    assert api_server_problems(manifest)


def test_every_written_kind_has_its_definition() -> None:
    for kind, version in zip(KINDS, ("v1alpha1", "v2", "v1"), strict=True):
        versions = [v["name"] for v in definition(kind)["spec"]["versions"] if v["storage"]]
        assert versions == [version]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_objects_and_passes_every_rule(form: DeliveryForm) -> None:
    overlay, plain = delivered(DRAFT, form), delivered(DRAFT, "applicationset")
    assert built(overlay) == built(plain)
    assert HYDRATOR.read_findings(overlay, case_of(DRAFT).view.image) == ()


def helm_objects(overlay: Overlay, folder: Path) -> list[dict[str, Any]]:
    """What Helm makes of the overlay's chart, as Flux calls it."""
    chart = {p.removeprefix("chart/"): c for p, c in overlay.files.items() if "chart/" in p}
    for path, content in chart.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    done = subprocess.run(
        [find_tool("helm"), "template", "any", str(folder), "--namespace", "other"],
        capture_output=True,
        check=True,
    )
    return [item for item in yaml.safe_load_all(done.stdout) if item is not None]


def by_name(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(objects, key=lambda item: (item["kind"], item["metadata"]["name"]))


@pytest.mark.parametrize("runtime", ["workload", "operator"])
@pytest.mark.parametrize("draft", ROWS)
def test_helm_renders_the_objects_that_kustomize_builds(
    draft: str, runtime: str, tmp_path: Path
) -> None:
    settings = {
        "HALF": "'a\"",
        "QUOTED": "''b'",
        "LONE": "'",
        "BRACES": "{{ .Values.x }} }}",
        "NUMBER": "1",
        "MODE": "on",
    }
    overlay = delivered(draft, "helmrelease", runtime=runtime, settings=settings)
    found = by_name(helm_objects(overlay, tmp_path))
    assert found == by_name(built(overlay))
    assert "ConfigMap" in {item["kind"] for item in found}
    lint = subprocess.run([find_tool("helm"), "lint", str(tmp_path)], capture_output=True)
    assert lint.returncode == 0, lint.stdout
