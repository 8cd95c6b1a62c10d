"""The golden template `domain`, rendered for odd but legal inputs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline.templating import TemplateFile
from tests.support.projects import render_project, write_project

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
    return render_project("domain", values)


def write(values: Values, folder: Path) -> Path:
    return write_project("domain", values, folder)


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300
    )
