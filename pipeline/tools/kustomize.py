"""kustomize: an overlay as the one stream of objects that a delivery tool would apply."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from pipeline.errors import CouldNotCheck
from pipeline.tools.folders import temporary_folder
from pipeline.tools.process import run_tool
from pipeline.tools.versions import find_tool

TIMEOUT_S = 60
_KEYS_THAT_READ = ("resources", "components", "bases", "crds", "configurations", "transformers")


def run_kustomize_build(files: Mapping[str, bytes], folder: str) -> bytes:
    """The built manifests of `folder`, which lies in `files` (path → bytes).

    Raises CouldNotCheck when a kustomization reaches beyond `folder` or cannot be built.
    """
    for path, content in files.items():
        if path.rsplit("/", 1)[-1] in {"kustomization.yaml", "kustomization.yml", "Kustomization"}:
            _check_local(path, content)
    with temporary_folder(files) as root:
        done = run_tool(
            [
                find_tool("kustomize"),
                "build",
                folder,
                "--load-restrictor",
                "LoadRestrictionsRootOnly",
            ],
            cwd=root,
            timeout_s=TIMEOUT_S,
        )
    if done.exit_code != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CouldNotCheck(f"kustomize cannot build {folder}: {lines[-1][:500] if lines else ''}")
    return done.stdout


def _check_local(path: str, content: bytes) -> None:
    try:
        value = yaml.load(content, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise CouldNotCheck(f"{path} is no YAML: {error}") from error
    if not isinstance(value, dict):
        raise CouldNotCheck(f"{path} is no mapping")
    if "helmCharts" in value or "generators" in value:
        raise CouldNotCheck(f"{path} would run or fetch something while it is built")
    for key in _KEYS_THAT_READ:
        for entry in value.get(key) or ():
            if not isinstance(entry, str) or "://" in entry or "@" in entry or ":" in entry:
                raise CouldNotCheck(f"{path} reads `{entry}`, which is no plain local path")
            if entry.startswith("/") or ".." in entry.split("/"):
                raise CouldNotCheck(f"{path} reads `{entry}`, which is outside of it")
