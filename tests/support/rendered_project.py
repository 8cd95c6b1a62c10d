"""Golden templates as the projects that tenants get: rendered, installed from their locks, run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.templates import read_builtin_template
from pipeline.templating import TemplateFile, render_template

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
IMAGE = f"registry.example.invalid:5000/ameide/tenant-acme/order-router@sha256:{'ab' * 32}"
# What a description may hold at its worst; legal by each template's schema.
HOSTILE = (
    """"quoted" 'single' \\n \\ ${{ values.owner }} {{ .Values }} {% if %} {# # : - é 日本 <b>`"""
)
KUBERNETES = "1.34.0"

Values = Mapping[str, object]


def draft_values(template: str, **changes: object) -> dict[str, object]:
    """What the pipeline itself gives for one draft; `changes` replace or add values."""
    return {
        "tenant_id": "acme",
        "sku": "Shared",
        "primitive_id": "order-router",
        "primitive_type": template,
        "code_origin": "tenant",
        "target_repo": "tenant-acme-controllers",
        "instance": "order-router",
        "platform": "ameide",
        "design_refs": ["process-definition/order-to-cash@3"],
        "namespaces": {"dev": "tenant-acme-dev-cust"},
        "template": f"{template}@{read_builtin_template(template).version}",
        "image_repository": "registry.example.invalid/ameide/tenant-acme/order-router",
        "cost_centre": "CC-1042",
        **changes,
    }


def render_files(template: str, values: Values) -> Mapping[str, TemplateFile]:
    """Path → file of the template with these values."""
    return render_template(read_builtin_template(template), values)


def render_project(template: str, values: Values, folder: Path) -> Path:
    """The folder, with the rendered project in it."""
    for path, file in render_files(template, values).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
    return folder


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """How the command ended, with what it said; a non-zero exit is not raised."""
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=timeout_s
    )


def locked_venv(lock: bytes) -> Path:
    """The Python of a virtual environment with the packages of a lock file and no others.

    Kept in `.tools/template-venvs` under the lock's hash; made once, whoever asks first.
    """
    key = hashlib.sha256(lock + sys.version.encode()).hexdigest()[:16]
    folder = TOOLS / "template-venvs" / key
    python, ready = folder / "bin" / "python", folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if ready.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        commands: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", folder],
            [
                *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--only-binary", ":all:", "--require-hashes", "-r", folder / "requirements.lock"),
            ],
        ]
        for command in commands:
            folder.mkdir(exist_ok=True)
            (folder / "requirements.lock").write_bytes(lock)
            done = run(*command, cwd=folder)
            assert done.returncode == 0, done.stderr
        ready.touch()
    return python


def run_in_venv(
    project: Path, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in the project, with its locked development packages alone."""
    python = locked_venv((project / "requirements-dev.lock").read_bytes())
    clean = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(project),
        "PYTHONPATH": f"src{os.pathsep}sdk",
        "PYTHONDONTWRITEBYTECODE": "1",
        **(env or {}),
    }
    return run(python, *arguments, cwd=project, env=clean)


def hydrated(project: Path, release: str, *settings: str) -> list[dict[str, Any]]:
    """The objects of the project's chart for a release; they also lie in `manifests.yaml`."""
    options = [part for setting in (f"image.ref={IMAGE}", *settings) for part in ("--set", setting)]
    helm = TOOLS / "bin" / "helm"
    done = run(helm, "template", release, "chart", *options, cwd=project, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    (project / "manifests.yaml").write_text(done.stdout)
    return [item for item in yaml.load_all(done.stdout, yaml.CSafeLoader) if item is not None]


def check_manifests(project: Path) -> str:
    """What kubeconform says of `manifests.yaml`, with an error or a skipped object as failure."""
    pattern = "{{.ResourceKind}}{{.KindSuffix}}.json"
    ours = ROOT / "pipeline" / "shared" / "crds" / "schemas"
    done = run(
        *(TOOLS / "bin" / "kubeconform", "-strict", "-summary", "-kubernetes-version", KUBERNETES),
        *("-schema-location", f"{TOOLS}/schemas/v{KUBERNETES}-standalone-strict/{pattern}"),
        *("-schema-location", f"{ours}/{pattern}"),
        "manifests.yaml",
        cwd=project,
    )
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout
    return done.stdout
