"""Projects of golden templates: rendered, written to a folder, run with their own locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.git.objects import MODE_FILE
from pipeline.templates import read_builtin_template
from pipeline.templating import TemplateFile, render_template
from pipeline.tools.helm import run_helm_template
from pipeline.tools.kubeconform import SCHEMA_VERSION, run_kubeconform

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
IMAGE = f"registry.example.com:5000/ameide/tenant-acme/order-router@sha256:{'ab' * 32}"
TIMEOUT_S = 300

Values = Mapping[str, object]


def draft_values(template: str, **changes: object) -> dict[str, object]:
    """The values that the pipeline gives every draft; `changes` replace or add some."""
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
        "image_repository": "registry.example.com/ameide/tenant-acme/order-router",
        "cost_centre": "CC-1042",
        **changes,
    }


def render_project(template: str, values: Values) -> dict[str, TemplateFile]:
    """Path → file of the project."""
    return render_template(read_builtin_template(template), values)


def write_project(template: str, values: Values, folder: Path) -> Path:
    """The folder, with the project's files in it."""
    for path, file in render_project(template, values).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
    return folder


def source_of(template: str, values: Values) -> dict[str, tuple[int, bytes]]:
    """Path → mode and content of the project: a source tree as checks take it."""
    return {
        path: (MODE_FILE, file.content) for path, file in render_project(template, values).items()
    }


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The finished command with its output, whatever its exit code."""
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )


def environment_of(lock: bytes) -> Path:
    """A virtual environment with exactly a lock file's packages; made once, in `.tools/`."""
    key = hashlib.sha256(lock + sys.version.encode()).hexdigest()[:16]
    target = TOOLS / "template-environments" / key
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as alone:
        # Test processes that run at once wait for the one that makes it.
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not (target / "whole").exists():
            (target / "requirements.txt").write_bytes(lock)
            pip = [target / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check"]
            for command in (
                [sys.executable, "-m", "venv", target],
                [*pip, "install", "--require-hashes", "--no-deps", "-r", "requirements.txt"],
            ):
                subprocess.run(command, cwd=target, check=True, timeout=TIMEOUT_S)
            (target / "whole").touch()
    return target


def locked_python(project: Path) -> Path:
    """The Python of the project's locked packages: of its tools, else of its development."""
    tools, dev = project / "requirements-tools.lock", project / "requirements-dev.lock"
    lock = tools if tools.exists() else dev
    return environment_of(lock.read_bytes()) / "bin" / "python"


def run_python(project: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in the project, with its locked packages alone."""
    python = locked_python(project)
    clean = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(project),
        "PYTHONPATH": f"src{os.pathsep}sdk",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return run(python, *arguments, cwd=project, env=clean)


def chart_of(template: str, values: Values) -> dict[str, bytes]:
    """Path → content of the project's chart."""
    return {
        path.removeprefix("chart/"): file.content
        for path, file in render_project(template, values).items()
        if path.startswith("chart/")
    }


def hydrated(template: str, values: Values, **settings: object) -> dict[str, dict[str, Any]]:
    """Kind → object of the project's chart, all valid; there are no two of a kind."""
    files = run_helm_template(
        chart_of(template, values),
        release=str(values["instance"]),
        values={"image": {"ref": IMAGE}, **settings},
        kubernetes_version=SCHEMA_VERSION,
    )
    assert run_kubeconform(b"---\n".join(files.values()), file="manifests.yaml") == ()
    objects = [yaml.load(content, yaml.CSafeLoader) for content in files.values()]
    by_kind = {item["kind"]: item for item in objects}
    assert len(by_kind) == len(objects)
    return by_kind
